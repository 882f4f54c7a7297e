"""Exact Shapley values of small trees by look-up: a tree of m splits has 2^m patterns of answers, and each pattern its values.

They are those of path dependent TreeSHAP (Lundberg et al. 2020): where a feature is not known both ways are taken, by the shares of
training rows. All patterns are worked out once (Nadel and Wettenstein 2025 do so for whole forests); a row then costs a comparison for
each split and a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.booster_text import tree_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Floats, Integers

MOST_SPLITS = 9
"""Of a tree whose patterns are worked out: 512 patterns of at most 9 features."""

ROWS_AT_ONCE = 1_000
ZERO = 1e-35
MISSING_ZERO, MISSING_NAN = 1, 2


class _Tree(NamedTuple):
    """Splits, shape (m,): what they ask, the child for yes and for no (leaf i as -1 - i), and the share of rows that goes to yes."""

    feature: Integers
    threshold: Floats
    kind: Integers
    yes: Integers
    no: Integers
    share: Floats
    leaf: Floats

    @classmethod
    def of(cls, told: dict[str, str]) -> Self:
        def numbers(name: str) -> Floats:
            return np.array(told.get(name, "").split(), dtype=np.float64)

        yes, no = (numbers(name).astype(np.int64) for name in ("left_child", "right_child"))
        counts = numbers("internal_count"), numbers("leaf_count")
        rows = np.array([counts[0][child] if child >= 0 else counts[1][-1 - child] for child in yes])
        whole = numbers("split_feature").astype(np.int64), numbers("threshold"), numbers("decision_type").astype(np.int64)
        return cls(*whole, yes, no, rows / counts[0], numbers("leaf_value"))

    @property
    def features(self) -> Integers:
        return np.unique(self.feature)

    def expected(self) -> Floats:
        """What is expected where some features are known and the pattern of answers is one: shape (2^m patterns, 2^k sets of features)."""
        m, place = len(self.feature), np.searchsorted(self.features, self.feature)
        answers, known = np.arange(1 << m)[:, None], np.arange(1 << len(self.features))[None]
        below: dict[int, Floats] = {-1 - leaf: np.array([[value]]) for leaf, value in enumerate(self.leaf)}
        for split in reversed(range(m)):
            yes, no = below[int(self.yes[split])], below[int(self.no[split])]
            mixed = self.share[split] * yes + (1 - self.share[split]) * no
            taken = np.where(answers >> split & 1, yes, no)
            below[split] = np.where(known >> place[split] & 1, taken, mixed)
        return below[0]

    def values(self) -> Floats:
        """Shapley values of each pattern, shape (2^m, k)."""
        expected, k = self.expected(), len(self.features)
        sets = np.arange(1 << k)
        size = np.array([number.bit_count() for number in sets.tolist()])
        weight = np.array([factorial(s) * factorial(k - s - 1) / factorial(k) if s < k else 0.0 for s in range(k + 1)])[size]
        without = [sets[(sets >> j & 1) == 0] for j in range(k)]
        return np.stack([((expected[:, of | 1 << j] - expected[:, of]) * weight[of]).sum(axis=1) for j, of in enumerate(without)], axis=1)


class _Asks(NamedTuple):
    """What all splits ask, one tree after the other: what goes the way of `default` is not compared. `bits`: what each answer counts."""

    feature: Integers
    threshold: Floats
    nan_by_default: Flags
    zero_by_default: Flags
    default: Flags
    bits: Integers


@dataclass(frozen=True)
class ShapleyTrees:
    """All trees of a model. Splits, shape (n_trees, m), filled up with splits that are always no.

    A pair is a tree and one of its features; pairs (n_pairs,) stand in the order of features. `values` holds the patterns of each pair
    from `begin` on; `tree` is its tree; pairs of feature `used[i]` begin at `first[i]`. `base` is expected where nothing is known.
    """

    feature: Integers
    threshold: Floats
    kind: Integers
    begin: Integers
    tree: Integers
    values: Floats
    used: Integers
    first: Integers
    base: float

    @classmethod
    def of(cls, model_text: str) -> Self | None:
        """None where a tree is too large, or none has a split."""
        trees = [_Tree.of(told) for told in tree_fields(model_text)]
        base = sum(
            float(tree.leaf[0] if len(tree.feature) == 0 else tree.expected()[0, 0]) for tree in trees if len(tree.feature) <= MOST_SPLITS
        )
        split = [tree for tree in trees if len(tree.feature)]
        if not split or max(len(tree.feature) for tree in split) > MOST_SPLITS:
            return None
        return cls._laid_out(split, base)

    @classmethod
    def _laid_out(cls, trees: Sequence[_Tree], base: float) -> Self:
        m = max(len(tree.feature) for tree in trees)
        columns = [
            (int(feature), number, column)
            for number, tree in enumerate(trees)
            for feature, column in zip(tree.features, tree.values().T, strict=True)
        ]
        columns.sort(key=lambda pair: pair[:2])
        lengths = [len(values) for _, _, values in columns]
        used, first = np.unique([feature for feature, _, _ in columns], return_index=True)
        return cls(
            feature=np.stack([_filled(tree.feature, m, 0) for tree in trees]),
            threshold=np.stack([_filled(tree.threshold, m, -np.inf) for tree in trees]),
            kind=np.stack([_filled(tree.kind, m, 0) for tree in trees]),
            begin=np.cumsum([0, *lengths[:-1]]),
            tree=np.array([number for _, number, _ in columns]),
            values=np.concatenate([values for _, _, values in columns]),
            used=used,
            first=first,
            base=base,
        )

    def contributions(self, features: Floats) -> Floats:
        """Shape (n, n_features); a row gives the same to the last bit among whatever others."""
        told = np.zeros(features.shape)
        for begin in range(0, len(features), ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            at = self._pattern(features[rows]).take(self.tree, axis=1) + self.begin
            told[rows, self.used] = np.add.reduceat(self.values.take(at), self.first, axis=1)
        return told

    def _pattern(self, features: Floats) -> Integers:
        """Which answers each tree gets, bit i that of split i; shape (n, n_trees)."""
        asks = self._asks
        asked = features.take(asks.feature, axis=1).astype(np.float64)
        missing = np.isnan(asked)
        answer = np.where(missing & ~asks.nan_by_default, 0.0, asked) <= asks.threshold
        by_default = missing & asks.nan_by_default
        if asks.zero_by_default.any():
            by_default |= asks.zero_by_default & (missing | (np.abs(asked) <= ZERO))
        answer = np.where(by_default, asks.default, answer)
        return answer.reshape(len(features), *self.feature.shape) @ asks.bits

    @cached_property
    def _asks(self) -> _Asks:
        kind = self.kind.ravel()
        missing = kind >> 2 & 3
        return _Asks(
            feature=self.feature.ravel(),
            threshold=self.threshold.ravel(),
            nan_by_default=missing == MISSING_NAN,
            zero_by_default=missing == MISSING_ZERO,
            default=(kind & 2) > 0,
            bits=1 << np.arange(self.feature.shape[1]),
        )


def _filled(values: np.ndarray, length: int, with_: float) -> np.ndarray:
    return np.concatenate([values, np.full(length - len(values), with_, dtype=values.dtype)])
