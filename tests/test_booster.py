"""What LightGBM's library is asked directly is what its own package would be told."""

import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pytest

from models.booster import Booster
from models.errors import ModelRefused

FEATURES = 6


@pytest.fixture(scope="module", params=[1, 3], ids=["one output", "three outputs"])
def fitted(request):
    """A model of LightGBM's own, with holes among its features."""
    rng = np.random.default_rng(1)
    table = rng.normal(size=(800, FEATURES))
    table[rng.random(table.shape) < 0.1] = np.nan
    outcome = (np.nan_to_num(table[:, 0]) * 2 + rng.normal(size=800)).round().astype(int) % (3 if request.param == 3 else 2)
    objective = {"objective": "multiclassova", "num_class": 3} if request.param == 3 else {"objective": "binary"}
    return lgb.train(objective | {"verbose": -1, "num_threads": 1, "seed": 1}, lgb.Dataset(table, outcome), 12)


@pytest.fixture
def asked():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(1_200, FEATURES))
    table[rng.random(table.shape) < 0.1] = np.nan
    return table


@pytest.mark.parametrize("rows", [1, 3, 16, 1_200])
@pytest.mark.parametrize(
    "laid_out", [np.ascontiguousarray, np.asfortranarray, np.float32, lambda table: np.nan_to_num(table).astype(np.int64)]
)
def test_it_says_what_lightgbm_says_bit_for_bit(fitted, asked, rows, laid_out):
    table, booster = laid_out(asked[:rows]), Booster(fitted.model_to_string())
    np.testing.assert_array_equal(booster.margins(table).reshape(-1), fitted.predict(table, raw_score=True).reshape(-1))
    told = booster.contributions(table)
    np.testing.assert_array_equal(told.reshape(rows, -1), fitted.predict(table, pred_contrib=True))
    np.testing.assert_allclose(told.sum(axis=2), booster.margins(table), atol=1e-9)


def test_some_of_its_trees_alone_are_asked(fitted, asked):
    booster = Booster(fitted.model_to_string())
    parts = booster.margins(asked, trees=5) + booster.margins(asked, first_tree=5, trees=7)
    np.testing.assert_allclose(parts, booster.margins(asked), atol=1e-9)


def test_nobody_is_asked_about_nobody(fitted):
    booster = Booster(fitted.model_to_string())
    assert booster.margins(np.empty((0, FEATURES))).shape == (0, booster.outputs)
    assert booster.contributions(np.empty((0, FEATURES))).shape == (0, booster.outputs, FEATURES + 1)


def test_a_copy_has_a_handle_of_its_own(fitted, asked):
    booster = Booster(fitted.model_to_string())
    again = copy.deepcopy(booster)
    np.testing.assert_array_equal(again.margins(asked), booster.margins(asked))


@pytest.mark.parametrize("at_once", [1, 7])
def test_threads_ask_it_at_once(fitted, asked, at_once):
    booster = Booster(fitted.model_to_string())
    rows = [asked[at : at + at_once] for at in range(0, 700, at_once)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(booster.margins, rows))
        shap = list(pool.map(booster.contributions, rows))
    np.testing.assert_array_equal(np.concatenate(told), booster.margins(asked[:700]))
    np.testing.assert_array_equal(np.concatenate(shap), booster.contributions(asked[:700]))


@pytest.mark.parametrize("columns", [0, FEATURES - 1, FEATURES + 1])
def test_a_table_of_another_width_is_refused_before_it_is_read(fitted, columns):
    with pytest.raises(ModelRefused, match=f"{FEATURES} features"):
        Booster(fitted.model_to_string()).margins(np.zeros((2, columns)))


@pytest.mark.parametrize("text", ["", "no tree", "tree\nversion=v4\n"])
def test_a_text_that_is_no_model_is_refused(text):
    with pytest.raises(ModelRefused, match="train again"):
        Booster(text)


def test_what_fitting_alone_needs_is_not_imported(fitted):
    asking = "import sys; from models.booster import Booster; Booster(sys.stdin.read()); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asking], input=fitted.model_to_string(), capture_output=True, text=True, check=True)
    assert not {"lightgbm", "sklearn", "pandas"} & set(done.stdout.split())
