"""What was assigned to whom and what came of it, checked once: the rows that effects are learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.actions import NO_ACTION
from models.errors import InputError, NotEnoughData

if TYPE_CHECKING:
    from models.arrays import Floats, Integers

Given = Any
"""A list, an array, or a column or frame of any library."""
ROUNDING = 0.01
MANY_ROWS = 20_000
MISSING = ("NAType", "NaTType")
MOST_NAMED = 5
MISPLACED_SHARE, MISPLACED_Z = 0.05, 10.0
"""An arm whose share of the rows is so far from its mean propensity, and by so many standard errors, has another arm's column."""


class Prior(NamedTuple):
    """A belief before there are data: the change of the outcome, and how many members a trial would need to be worth as much."""

    uplift: float
    evidence: float


@dataclass(frozen=True)
class Trial:
    """n rows of d features and k interventions.

    features (n, d) float64, NaN where unknown; arm (n,): 0 for `none`, else 1 + position in `interventions`; outcome (n,);
    propensities (n, 1 + k) that add up to 1, or None; member (n,): codes 0 .. n_members - 1 of rows that depend on one another.
    """

    features: Floats
    interventions: tuple[str, ...]
    arm: Integers
    outcome: Floats
    propensities: Floats | None
    member: Integers

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.outcome, (0.0, 1.0)).all())

    @property
    def folds(self) -> int:
        """Into how many parts the members are split where models are judged on those they have not seen."""
        return 5 if len(self) <= MANY_ROWS else 3

    @property
    def rows(self) -> Integers:
        """Of each arm, `none` first, shape (1 + k,)."""
        return np.bincount(self.arm, minlength=1 + len(self.interventions))


def trial_of(
    features: Given,
    assignment: Given,
    outcome: Given,
    propensities: Given = None,
    *,
    interventions: Sequence[str] | None = None,
    groups: Given = None,
) -> Trial:
    """Raises InputError for arrays that do not fit together or hold what cannot be, NotEnoughData where all or none were left alone."""
    names = _names(assignment)
    matrix = matrix_of(features)
    told = _outcomes(outcome)
    _check_lengths(names, features=matrix, outcome=told, groups=groups, propensities=propensities)
    _check_outcomes(names, told)
    order = _order(names, interventions, propensities)
    if not order:
        raise NotEnoughData(f'assignment: every row is "{NO_ACTION}"; effects are learned from members who were given something')
    arm = np.array(
        [{NO_ACTION: 0, **{name: at for at, name in enumerate(order, start=1)}}[name] for name in names.tolist()], dtype=np.int64
    )
    if not (arm == 0).any():
        there = ", ".join(f'"{name}"' for name in order[:5])
        raise NotEnoughData(
            f'assignment: no row is "{NO_ACTION}", only {there}; effects are against doing nothing, so some members must be left alone, '
            f'and what means it must be named "{NO_ACTION}"'
        )
    member = np.arange(len(arm)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if member.max() == 0:
        raise NotEnoughData("groups: all rows are of one member or group; what is learned is tried on others, so there must be two")
    shares = None if propensities is None else _shares(propensities, order, arm, member)
    return Trial(matrix, order, arm, told, shares, member)


def matrix_of(features: Given) -> Floats:
    """Float64, shape (n, d), infinities as NaN; a single member's row of shape (d,) is refused."""
    try:
        matrix = _floats(features)
    except (TypeError, ValueError) as fault:
        raise InputError(f"features: every column must be a number ({fault}); encode labels first") from None
    if matrix.ndim != 2:
        raise InputError(f"features: shape {matrix.shape}; give a matrix with a row for each member, X[None, :] for one")
    if not matrix.shape[1]:
        raise InputError("features: no columns; give what was known of the members, or a column of zeros where nothing was")
    return np.where(np.isinf(matrix), np.nan, matrix)


def _names(assignment: Given) -> np.ndarray:
    given = _array(assignment)
    if given.dtype == object and (missing := np.count_nonzero(_missing(given))):
        raise InputError(f'assignment: {missing:,} rows name nothing; write "{NO_ACTION}" where nothing was done, and leave out the others')
    return given.astype(str)


def _outcomes(outcome: Given) -> Floats:
    try:
        return _floats(outcome)
    except (TypeError, ValueError) as fault:
        raise InputError(f"outcome: every value must be a number, 0 and 1 or any other, the higher the better ({fault})") from None


def _check_outcomes(names: np.ndarray, told: Floats) -> None:
    missing = ~np.isfinite(told)
    if missing.any():
        shares = ", ".join(f"{missing[names == name].mean():.1%} of {name}" for name in np.unique(names)[:MOST_NAMED])
        raise InputError(
            f"outcome: {missing.sum():,} values are missing ({shares}); leave out rows without one where the shares are alike, "
            "else what was done decided who is left, and no effect can be learned from those"
        )


def _floats(given: Given) -> Floats:
    """What is missing, by whatever library, as NaN. Raises TypeError or ValueError for what is no number."""
    array = _array(given)
    known = np.where(_missing(array), np.nan, array) if array.dtype == object else array
    return known.astype(np.float64)


def _array(given: Given) -> np.ndarray:
    return given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)


def _missing(array: np.ndarray) -> np.ndarray:
    """None, NaN, and what pandas has for them; of an array of objects."""
    told: np.ndarray = np.frompyfunc(lambda value: value is None or type(value).__name__ in MISSING or value != value, 1, 1)(array)  # noqa: PLR0124 - NaN
    return told.astype(np.bool_)


def _check_lengths(names: np.ndarray, **arrays: Given) -> None:
    if names.ndim != 1 or not len(names):
        raise InputError(f"assignment: shape {names.shape}; give one name for each row")
    for name, array in arrays.items():
        if array is not None and len(array) != len(names):
            raise InputError(f"{name}: {len(array):,} rows, but the assignment has {len(names):,}")


def _order(names: np.ndarray, interventions: Sequence[str] | None, propensities: Given) -> tuple[str, ...]:
    """The given order, else that of the named propensity columns, else the alphabet's."""
    found = sorted(set(names.tolist()) - {NO_ACTION})
    if interventions is not None:
        given = tuple(name for name in interventions if name != NO_ACTION)
    elif hasattr(propensities, "columns"):
        given = tuple(str(name) for name in propensities.columns if name != NO_ACTION)
    else:
        return tuple(found)
    strange = [name for name in found if name not in given]
    if strange:
        raise InputError(f"assignment: {', '.join(strange)} was assigned, but only {', '.join(given)} are named")
    return given


def _shares(propensities: Given, order: tuple[str, ...], arm: Integers, member: Integers) -> Floats:
    shares = _matrix_of_shares(propensities, order)
    if np.isnan(shares).any() or (shares < 0).any() or (np.abs(shares.sum(axis=1) - 1) > ROUNDING).any():
        raise InputError("propensities: each row must hold probabilities that add up to 1, that of doing nothing among them")
    impossible = np.count_nonzero(shares[np.arange(len(arm)), arm] <= 0)
    if impossible:
        raise InputError(f"propensities: {impossible:,} rows give what was assigned no chance; log the probability before the draw")
    for position, name in enumerate((NO_ACTION, *order)):
        _check_place(shares[:, position], arm == position, member, name)
    conditional: Floats = shares / shares.sum(axis=1, keepdims=True)
    return conditional


def _matrix_of_shares(propensities: Given, order: tuple[str, ...]) -> Floats:
    if hasattr(propensities, "columns"):
        missing = [name for name in (NO_ACTION, *order) if name not in propensities.columns]
        if missing:
            raise InputError(f"propensities: no column for {', '.join(missing)}")
        propensities = propensities[[NO_ACTION, *order]].to_numpy()
    shares: Floats = np.asarray(propensities, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] != 1 + len(order):
        raise InputError(
            f"propensities: shape {shares.shape}, but there are {1 + len(order)} arms: {', '.join((NO_ACTION, *order))}, in this order"
        )
    return shares


def _check_place(share: Floats, assigned: np.ndarray, member: Integers, name: str) -> None:
    """As if one draw had decided all rows of a member, or of a group that was given the same together."""
    gap = assigned.mean() - share.mean()
    spread = np.bincount(member, weights=np.sqrt(share * (1 - share)))
    error = np.sqrt(np.square(spread).sum()) / len(share) + 1e-12
    if abs(gap) > MISPLACED_SHARE and abs(gap) / error > MISPLACED_Z:
        raise InputError(
            f"propensities: {name} was assigned to {assigned.mean():.1%} of the rows, but its column says {share.mean():.1%} on average; "
            "check the order of the columns"
        )


def priors_of(priors: Mapping[str, tuple[float, float]] | None, interventions: Sequence[str]) -> dict[str, Prior]:
    """Raises InputError for an evidence that is not positive."""
    given = {name: Prior(*belief) for name, belief in (priors or {}).items()}
    for name, prior in given.items():
        if not (np.isfinite(prior.uplift) and prior.evidence > 0):
            raise InputError(f"priors: {name} has uplift {prior.uplift} and evidence {prior.evidence}; give numbers, the evidence above 0")
    return {name: given[name] for name in interventions if name in given}
