"""What a roll-out shows: the challenger's members against the champion's, by intervals that may be looked at every night."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import ndtri

from models.always_valid import members_needed, reach, share_p
from models.community import DAY_US
from models.intervals import Estimate
from models.read_out import RatioCheck
from models.two_arms import ALPHA, POWER, REACH, compare_arms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Floats, Integers
    from models.two_arms import Measure

RowVerdict = Literal["better", "worse", "no_worse", "open", "waiting"]
Verdict = Literal["harm", "better", "no_worse", "not_yet", "not_readable"]
FEWEST = 100
"""Members of each side; the intervals rest on means of many."""


@dataclass(frozen=True)
class Watched:
    """A figure by member. sign: +1 where more of it is better, -1 where less is, 0 where neither.

    Harm is a difference beyond `tolerance` to the worse, None where it is only shown; up to `margin` it is no worse, None where nobody
    asks. `rate`: a share of members who did something that few do.
    """

    measure: Measure
    sign: int
    tolerance: float | None = None
    margin: float | None = None
    rate: bool = False


@dataclass(frozen=True)
class Row:
    """`difference`: the challenger's mean less the champion's. `days`: over which it is counted, 0 for all since a member is in.

    `members` of the challenger and `champion_members` are those whose days have passed; with `members_needed` of both, in about
    `days_needed` days, a twentieth of the champion's mean would be found four times of five.
    """

    name: str
    kind: str
    days: int
    sign: int
    tolerance: float | None
    members: int
    champion_members: int
    verdict: RowVerdict
    mean: float | None = None
    champion_mean: float | None = None
    difference: Estimate | None = None
    members_needed: int | None = None
    days_needed: int | None = None


@dataclass(frozen=True)
class Sides:
    """Members who were decided on in one stage. challenger (n,): whose they are; since_us (n,): their first decision in it."""

    challenger: Flags
    since_us: Integers
    share: float
    until_us: int

    @property
    def check(self) -> RatioCheck:
        """Its p holds at every look."""
        members, taken = len(self.challenger), int(self.challenger.sum())
        expected = (members * (1 - self.share), members * self.share)
        return RatioCheck((members - taken, taken), expected, share_p(taken, members, self.share))

    @property
    def pace(self) -> float:
        """Members a day."""
        if len(self.since_us) == 0:
            return 0.0
        days = (self.until_us - int(self.since_us.min())) / DAY_US
        return len(self.since_us) / days if days > 0 else 0.0


@dataclass(frozen=True)
class Comparison:
    """Of one stage of a roll-out; nothing is known of `until_us` and later. All intervals together hold with `level`, at every look.

    `followed`: shares of the decisions on the champion's and on the challenger's members that were made by their own version.
    """

    rollout_id: int
    percent: float
    since_us: int
    until_us: int
    check: RatioCheck
    followed: tuple[float | None, float | None]
    rows: tuple[Row, ...]
    verdict: Verdict
    level: float = 1 - ALPHA

    @property
    def harms(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == "worse")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"check": asdict(self.check) | {"mismatch": self.check.mismatch}}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Comparison:
        kept = told["check"]
        check = RatioCheck(tuple(kept["observed"]), tuple(kept["expected"]), kept["p"])
        rows = tuple(Row(**row | {"difference": row["difference"] and Estimate(**row["difference"])}) for row in told["rows"])
        followed = (told["followed"][0], told["followed"][1])
        return cls(**told | {"check": check, "rows": rows, "followed": followed})


def compare(
    rollout_id: int, percent: float, since_us: int, sides: Sides, followed: tuple[float | None, float | None], watched: Sequence[Watched]
) -> Comparison:
    """The first of `watched` is the one that a roll-out is finished for. Their intervals share ALPHA evenly (Bonferroni).

    Where something beside the draw decides who is on which side, harm is told all the same, and nothing else is judged.
    """
    alpha, check = ALPHA / len(watched), sides.check
    rows = tuple(_row(one, sides, alpha) for one in watched)
    if check.mismatch:
        rows = tuple(replace(row, verdict="open") if row.verdict in {"better", "no_worse"} else row for row in rows)
    return Comparison(rollout_id, percent, since_us, sides.until_us, check, followed, rows, _verdict(rows, check))


def _verdict(rows: Sequence[Row], check: RatioCheck) -> Verdict:
    if any(row.verdict == "worse" for row in rows):
        return "harm"
    if check.mismatch:
        return "not_readable"
    return {"better": "better", "no_worse": "no_worse"}.get(rows[0].verdict, "not_yet")  # type: ignore[return-value]  # both are verdicts


def _row(one: Watched, sides: Sides, alpha: float) -> Row:
    measure = one.measure
    treated, control = (side & measure.due for side in (sides.challenger, ~sides.challenger))
    numbers = int(treated.sum()), int(control.sum())
    about = (measure.name, measure.kind, measure.days, one.sign, one.tolerance, *numbers)
    found = _found(one, treated, control) if min(numbers) >= FEWEST else None
    if found is None:
        return Row(*about, verdict="waiting")
    half = reach(found.error, sum(numbers), alpha)
    difference = Estimate(found.difference, found.difference - half, found.difference + half)
    target = measure.smallest_lift * abs(found.other)
    needed = members_needed(found.error, sum(numbers), target, alpha, float(ndtri(POWER))) if target > 0 else None
    return Row(
        *about,
        verdict=_judged(one, difference),
        mean=found.mean,
        champion_mean=found.other,
        difference=difference,
        members_needed=needed,
        days_needed=None if needed is None else _days(needed, measure, sides),
    )


@dataclass(frozen=True)
class _Found:
    mean: float
    other: float
    difference: float
    error: float


def _found(one: Watched, treated: Flags, control: Flags) -> _Found | None:
    """None where nothing varies."""
    if one.rate:
        return _rates(one.measure.value[treated], one.measure.value[control])
    compared = compare_arms(one.measure, treated, control)
    if compared is None:
        return None
    error = (compared.lift.upper - compared.lift.lower) / (2 * REACH)
    return _Found(compared.mean, compared.control_mean, compared.lift.value, error)


def _rates(treated: Floats, control: Floats) -> _Found:
    """The error as if each side had one more who did and one more who did not (Agresti and Caffo 2000), for few do."""
    shares = [(float(side.sum()) + 1) / (len(side) + 2) for side in (treated, control)]
    error = sqrt(sum(share * (1 - share) / (len(side) + 2) for share, side in zip(shares, (treated, control), strict=True)))
    mean, other = float(treated.mean()), float(control.mean())
    return _Found(mean, other, mean - other, error)


def _judged(one: Watched, difference: Estimate) -> RowVerdict:
    worst, best = sorted((one.sign * difference.lower, one.sign * difference.upper))
    if one.sign == 0:
        return "open"
    if one.tolerance is not None and best < -one.tolerance:
        return "worse"
    if worst > 0:
        return "better"
    return "no_worse" if one.margin and worst > -one.margin else "open"


def _days(needed: int, measure: Measure, sides: Sides) -> int | None:
    """Until so many are due, of those who are in and those who come; None where too few come."""
    due_us = np.sort(sides.since_us) + measure.days * DAY_US
    if needed <= len(due_us):
        return max(0, ceil((int(due_us[needed - 1]) - sides.until_us) / DAY_US))
    more = needed - len(due_us)
    return ceil(more / sides.pace) + measure.days if sides.pace > 0 else None
