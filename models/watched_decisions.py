"""Were decisions drawn as they should have been: against their probabilities, above the floor of exploration, beside the control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.policy import in_control
from models.read_out import drawn_ratio, sample_ratio
from models.readings import Reading, judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Floats, Integers
    from models.community import Community

ROUNDING = 1e-9


@dataclass(frozen=True)
class Drawn:
    """Decisions as they were kept: who, what was chosen, and with which chances. `arms` begin with `none`.

    chosen (n,): position in `arms`; propensity (n, n_arms), 0 where an arm could not be chosen. `decision_ids` (n,), or none where they are
    not known.
    """

    member_ids: Sequence[str]
    arms: tuple[str, ...]
    chosen: Integers
    propensity: Floats
    decision_ids: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.chosen)

    def below(self, exploration: float) -> Flags:
        """Which of them (n,) gave an action too small a chance: of m actions that had one each has at least min(exploration, 1 / m)."""
        floor = np.minimum(exploration, 1 / np.maximum((self.propensity > 0).sum(axis=1), 1))
        below: Flags = self.least < floor - ROUNDING
        return below

    @property
    def least(self) -> Floats:
        """The smallest chance that an action had which could be chosen, shape (n,)."""
        least: Floats = np.where(self.propensity > 0, self.propensity, 1.0).min(axis=1)
        return least

    @classmethod
    def of(cls, rows: pl.DataFrame, chosen: str, community: Community) -> Self:
        """`rows` have `member_id`, the column named by `chosen`, and `propensity_<arm>`; arms that are no longer declared are left out."""
        arms = (NO_ACTION, *(intervention.id for intervention in community.interventions))
        known = rows.filter(rows[chosen].is_in(arms))
        columns = [f"propensity_{arm}" for arm in arms]
        absent = np.zeros(known.height)
        shares = [known[name].fill_null(0.0).to_numpy() if name in known.columns else absent for name in columns]
        place = known[chosen].cast(pl.String).replace_strict(arms, range(len(arms)), return_dtype=pl.Int64).to_numpy()
        made = known["decision_id"].to_list() if "decision_id" in known.columns else ()
        return cls(known["member_id"].to_list(), arms, place, np.column_stack(shares), made)


def decision_readings(drawn: Drawn, community: Community, *, limited: bool | Flags) -> tuple[Reading, ...]:
    """`limited`: which decisions (n,), or whether all, followed a plan under budgets or capacities, which may lower exploration."""
    names = ("decisions_mix", "propensity_floor", "control_size", "control_kept")
    if not len(drawn):
        return tuple(Reading(name, "decisions", "unknown", "no_decisions", {}) for name in names)
    return (_mix(drawn, community), _floor(drawn, community, limited=limited), *_control(drawn, community))


def _mix(drawn: Drawn, community: Community) -> Reading:
    """Members by intervention against the sum of their chances; the least p-value counts that there are several."""
    threshold = community.monitor.mix_p
    told = []
    for position, arm in enumerate(drawn.arms):
        check = drawn_ratio(drawn.chosen == position, drawn.propensity[:, position])
        told.append((min(1.0, check.p * len(drawn.arms)), arm, check.observed[1], check.expected[1]))
    p, arm, count, expected = min(told)
    arms = [{"arm": name, "seen": seen, "expected": float(planned)} for _, name, seen, planned in told if seen or planned >= 1]
    figures = {"decisions": len(drawn), "arms": arms, "arm": arm, "count": count, "expected": float(expected)}
    return judged("decisions_mix", "decisions", beyond=p < threshold, told=figures, value=p, threshold=threshold)


def _floor(drawn: Drawn, community: Community, *, limited: bool | Flags) -> Reading:
    exploration, least = community.policy.exploration, float(drawn.least.min())
    lower = drawn.below(exploration)
    allowed, unexplained = int((lower & limited).sum()), int((lower & ~np.asarray(limited)).sum())
    impossible = int((drawn.propensity[np.arange(len(drawn)), drawn.chosen] <= 0).sum())
    notes = [*(["under_limits"] if allowed and not unexplained else []), *(["impossible"] if impossible else [])]
    below = unexplained or allowed
    told = {"least": least, "declared": exploration, "below": below, "decisions": len(drawn), "impossible": impossible}
    beyond = impossible > 0 or unexplained > 0
    return judged("propensity_floor", "decisions", beyond=beyond, told=told | {"notes": notes}, value=least, threshold=exploration)


def _control(drawn: Drawn, community: Community) -> tuple[Reading, Reading]:
    policy, threshold = community.policy, community.monitor.control_p
    held_back = in_control(drawn.member_ids, policy)
    first = _first_of_each(drawn.member_ids)
    counts = (int(held_back[first].sum()), int((~held_back[first]).sum()))
    check = sample_ratio(counts, (policy.control_share, 1 - policy.control_share))
    marketing = [intervention.id for intervention in community.interventions if intervention.message_class == "marketing"]
    offered = int((held_back & np.isin(np.array(drawn.arms)[drawn.chosen], marketing)).sum())
    size = judged(
        "control_size",
        "decisions",
        beyond=check.p < threshold,
        told={"control": counts[0], "members": sum(counts), "expected": float(check.expected[0])},
        value=check.p,
        threshold=threshold,
    )
    kept = judged("control_kept", "decisions", beyond=offered > 0, told={"count": offered}, value=float(offered), threshold=0.0)
    return size, kept


def _first_of_each(member_ids: Sequence[str]) -> Flags:
    _, first = np.unique(np.asarray(member_ids, dtype=str), return_index=True)
    chosen = np.zeros(len(member_ids), dtype=np.bool_)
    chosen[first] = True
    return chosen
