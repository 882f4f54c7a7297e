"""The text of a LightGBM model, checked before LightGBM reads it, which trusts every length and every index in it and may not survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from models.arrays import Floats, Integers
from models.errors import ModelRefused

MAX_LEAVES, MAX_DEPTH, MAX_OUTPUTS = 4_096, 256, 1_000
LARGEST = 1e300
END = "end of trees"
_OF_SPLITS = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_CATEGORICAL = 1

Fields = Mapping[str, str]


def check_booster(text: str) -> None:
    """Raises ModelRefused unless this is a model of numeric splits whose trees are trees, on the features that its head names."""
    head, blank, body = text.partition("\n\n")
    fields = _fields(head)
    if not head.startswith("tree\n") or not blank:
        raise ModelRefused("the text of a booster does not begin as LightGBM writes it; train again")
    features = _whole(fields, "max_feature_idx", 0, 1_000_000) + 1
    outputs = _whole(fields, "num_tree_per_iteration", 1, MAX_OUTPUTS)
    if _whole(fields, "num_class", 1, MAX_OUTPUTS) != outputs:
        raise _refused("num_class", "is not its number of outputs")
    for name in ("feature_names", "feature_infos"):
        if len(fields.get(name, "").split()) != features:
            raise _refused(name, f"are not {features}")
    trees = _trees(fields, body)
    if len(trees) % outputs:
        raise _refused("trees", f"are {len(trees)}, no multiple of its {outputs} outputs")
    for number, tree in enumerate(trees):
        _check_tree(number, _fields(tree), features)


def tree_fields(text: str) -> list[dict[str, str]]:
    """Of each tree of a checked model what its text names, by name."""
    head, _, body = text.partition("\n\n")
    return [_fields(tree) for tree in _trees(_fields(head), body)]


def _trees(head: Fields, body: str) -> list[str]:
    """Cut where the head says that each ends, as LightGBM does."""
    sizes = _numbers(head, "tree_sizes").astype(np.int64)
    ends = [0, *accumulate(int(size) for size in sizes)]
    if not body.isascii() or (sizes <= 0).any() or not body.startswith(END, ends[-1]):
        raise _refused("tree_sizes", "do not end where its trees do")
    trees = [body[start:end] for start, end in pairwise(ends)]
    if any(not tree.startswith(f"Tree={number}\n") for number, tree in enumerate(trees)):
        raise _refused("tree_sizes", "do not begin where its trees do")
    return trees


def _check_tree(number: int, tree: Fields, features: int) -> None:
    leaves = _whole(tree, "num_leaves", 1, MAX_LEAVES)
    if tree.get("num_cat") != "0" or tree.get("is_linear", "0") != "0":
        raise _refused(f"tree {number}", "splits by categories or is linear, which no model here is")
    value = _numbers(tree, "leaf_value")
    splits = {name: _numbers(tree, name) for name in _OF_SPLITS}
    if len(value) != leaves or not np.isfinite(value).all() or any(len(column) != leaves - 1 for column in splits.values()):
        raise _refused(f"tree {number}", f"has not the splits and values of {leaves} leaves")
    feature, kind = splits["split_feature"].astype(np.int64), splits["decision_type"].astype(np.int64)
    if (feature < 0).any() or (feature >= features).any() or (kind & _CATEGORICAL).any() or np.isnan(splits["threshold"]).any():
        raise _refused(f"tree {number}", f"splits by what is none of its {features} features")
    if leaves > 1:
        _check_shape(number, np.stack([splits["left_child"], splits["right_child"]], axis=1).astype(np.int64), leaves)


def _check_shape(number: int, children: Integers, leaves: int) -> None:
    """`children` (n_splits, 2): a later split, or leaf i as -1 - i. Each stands below one split, none too deep."""
    expected = [*range(-leaves, 0), *range(1, leaves - 1)]
    parent = np.arange(len(children))[:, None]
    if sorted(children.ravel().tolist()) != expected or ((children >= 0) & (children <= parent)).any():
        raise _refused(f"tree {number}", "is no tree: a split has no place of its own below the root")
    depth = np.zeros(len(children), dtype=np.int64)
    for split, below in enumerate(children):
        depth[below[below >= 0]] = depth[split] + 1
    if depth.max() >= MAX_DEPTH:
        raise _refused(f"tree {number}", f"is deeper than {MAX_DEPTH}")


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def _whole(fields: Fields, name: str, least: int, most: int) -> int:
    told = fields.get(name, "")
    if not (told.isascii() and told.isdigit() and len(told) < 10 and least <= int(told) <= most):
        raise _refused(name, f'is "{told[:40]}", no number from {least} to {most:,}')
    return int(told)


def _numbers(fields: Fields, name: str) -> Floats:
    words: Sequence[str] = fields.get(name, "").split()
    try:
        found: Floats = np.array(words, dtype=np.float64)
    except ValueError:
        raise _refused(name, "are no numbers") from None
    if name != "threshold" and (np.isfinite(found) & (np.abs(found) > LARGEST)).any():
        raise _refused(name, "are beyond what a model can hold")
    return found


def _refused(what: str, why: str) -> ModelRefused:
    return ModelRefused(f"the text of a booster cannot be read: {what} {why}; fetch the model again, or train again")
