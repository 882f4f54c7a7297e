"""Shapley values that are looked up are those that LightGBM works out, and those that the definition gives."""

from itertools import permutations

import lightgbm as lgb
import numpy as np
import pytest

from models.shapley_trees import MOST_SPLITS, ShapleyTrees

WAYS = {"none": {"use_missing": False}, "nan": {}, "zero": {"zero_as_missing": True}}


def table(rng, rows=800):
    """Counts with many zeros, amounts, and a tenth of everything missing."""
    told = np.column_stack([rng.poisson(1, (rows, 4)), rng.gamma(1, 10, (rows, 3)), rng.normal(size=(rows, 2))]).astype(np.float32)
    told[rng.random(told.shape) < 0.1] = np.nan
    return told


def by_every_order(tree, row, n_features):
    """By the definition: what each feature adds when it becomes known, over all orders; 0.0 for none is what a missing count is read as."""
    orders = list(permutations(range(n_features)))
    values = np.zeros(n_features)
    for order in orders:
        for known, feature in enumerate(order):
            values[feature] += expected(tree, row, order[: known + 1]) - expected(tree, row, order[:known])
    return values / len(orders)


def expected(node, row, known):
    """Where the feature of a split is not known, both sides by their share of the training rows."""
    if "leaf_value" in node:
        return node["leaf_value"]
    below = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        return expected(below[0 if goes_left(node, row[node["split_feature"]]) else 1], row, known)
    rows = [child.get("internal_count", child.get("leaf_count")) for child in below]
    return sum(count / sum(rows) * expected(child, row, known) for count, child in zip(rows, below, strict=True))


def goes_left(node, value):
    if np.isnan(value):
        if node["missing_type"] == "NaN":
            return node["default_left"]
        value = 0.0
    return float(value) <= node["threshold"]


def fitted(rng, features, trees=12, **parameters):
    outcome = rng.random(len(features)) < 1 / (1 + np.exp(np.nan_to_num(features[:, 0]) - np.nan_to_num(features[:, 8])))
    asked = {"objective": "binary", "verbose": -1, "num_leaves": 8, "max_depth": 4, "min_child_samples": 5, "num_threads": 1}
    return lgb.train(asked | parameters, lgb.Dataset(features, outcome.astype(float)), trees)


@pytest.mark.parametrize("missing", WAYS)
@pytest.mark.parametrize("leaves", [2, 8, MOST_SPLITS + 1])
def test_they_are_those_of_lightgbm_whatever_is_missing(rng, missing, leaves):
    features = table(rng)
    booster = fitted(rng, features, num_leaves=leaves, max_depth=-1, **WAYS[missing])
    looked_up = ShapleyTrees.of(booster.model_to_string())
    told = booster.predict(features, pred_contrib=True)
    np.testing.assert_allclose(looked_up.contributions(features), told[:, :-1], atol=1e-12)
    assert looked_up.base == pytest.approx(told[0, -1], abs=1e-12)
    margin = booster.predict(features, raw_score=True)
    np.testing.assert_allclose(looked_up.base + looked_up.contributions(features).sum(axis=1), margin, atol=1e-12)


def test_they_are_the_mean_over_all_orders_in_which_features_become_known(rng):
    features = table(rng)[:, :4]
    booster = lgb.train(
        {"objective": "regression", "verbose": -1, "num_leaves": 5, "min_child_samples": 5, "num_threads": 1},
        lgb.Dataset(features, np.nan_to_num(features) @ [1.0, 2.0, -1.0, 0.5]),
        1,
    )
    tree = booster.dump_model()["tree_info"][0]["tree_structure"]
    told = ShapleyTrees.of(booster.model_to_string()).contributions(features[:20])
    for row, values in zip(features[:20], told, strict=True):
        np.testing.assert_allclose(values, by_every_order(tree, row, 4), atol=1e-12)


def test_a_row_gives_the_same_to_the_last_bit_alone_and_among_others(rng):
    features = table(rng, 2100)
    looked_up = ShapleyTrees.of(fitted(rng, features).model_to_string())
    whole = looked_up.contributions(features)
    for row in (0, 999, 1000, 2099):
        assert (looked_up.contributions(features[row : row + 1])[0] == whole[row]).all()
    assert looked_up.contributions(features[:0]).shape == (0, 9)


def test_larger_trees_and_those_without_any_split_are_not_looked_up(rng):
    features = table(rng)
    assert ShapleyTrees.of(fitted(rng, features, num_leaves=MOST_SPLITS + 2, max_depth=-1).model_to_string()) is None
    assert ShapleyTrees.of(fitted(rng, features, min_child_samples=500).model_to_string()) is None
