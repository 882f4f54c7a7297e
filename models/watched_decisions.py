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

    chosen (n,): position in `arms`; propensity (n, n_arms), 0 where an arm could not be chosen.
    """

    member_ids: Sequence[str]
    arms: tuple[str, ...]
    chosen: Integers
    propensity: Floats

    def __len__(self) -> int:
        return len(self.chosen)

    @classmethod
    def of(cls, rows: pl.DataFrame, chosen: str, community: Community) -> Self:
        """`rows` have `member_id`, the column named by `chosen`, and `propensity_<arm>`; arms that are no longer declared are left out."""
        arms = (NO_ACTION, *(intervention.id for intervention in community.interventions))
        known = rows.filter(rows[chosen].is_in(arms))
        columns = [f"propensity_{arm}" for arm in arms]
        absent = np.zeros(known.height)
        shares = [known[name].fill_null(0.0).to_numpy() if name in known.columns else absent for name in columns]
        place = known[chosen].cast(pl.String).replace_strict(arms, range(len(arms)), return_dtype=pl.Int64).to_numpy()
        return cls(known["member_id"].to_list(), arms, place, np.column_stack(shares))


def decision_readings(drawn: Drawn, community: Community, *, limited: bool) -> tuple[Reading, ...]:
    """`limited`: the decisions followed a plan under budgets or capacities, which may lower exploration."""
    names = ("decisions_mix", "propensity_floor", "control_size", "control_kept")
    if not len(drawn):
        return tuple(Reading(name, "decisions", "unknown", "no decision was kept in these days") for name in names)
    return (_mix(drawn, community), _floor(drawn, community, limited=limited), *_control(drawn, community))


def _mix(drawn: Drawn, community: Community) -> Reading:
    """Members by intervention against the sum of their chances; the least p-value counts that there are several."""
    threshold = community.monitor.mix_p
    told = []
    for position, arm in enumerate(drawn.arms):
        check = drawn_ratio(drawn.chosen == position, drawn.propensity[:, position])
        told.append((min(1.0, check.p * len(drawn.arms)), arm, check.observed[1], check.expected[1]))
    p, arm, count, expected = min(told)
    parts = ", ".join(f"{name} {seen:,} ({planned:,.0f})" for _, name, seen, planned in told if seen or planned >= 1)
    said = f"of {len(drawn):,} decisions, by what was chosen (expected by its chances): {parts}"
    todo = f"{arm} was chosen {count:,} times where {expected:,.0f} were due: find out what filters or repeats decisions after the draw"
    return judged("decisions_mix", "decisions", beyond=p < threshold, said=said, todo=todo, value=p, threshold=threshold)


def _floor(drawn: Drawn, community: Community, *, limited: bool) -> Reading:
    """With m actions that had a chance each had at least min(exploration, 1 / m)."""
    exploration = community.policy.exploration
    open_ = drawn.propensity > 0
    least = np.where(open_, drawn.propensity, 1.0).min(axis=1)
    floor = np.minimum(exploration, 1 / np.maximum(open_.sum(axis=1), 1))
    below = int((least < floor - ROUNDING).sum())
    impossible = int((drawn.propensity[np.arange(len(drawn)), drawn.chosen] <= 0).sum())
    said = f"the least chance of an action that could be chosen was {least.min():.4f}; declared are {exploration:g}"
    said += f"; {below:,} of {len(drawn):,} decisions lie below" + (", as a plan under limits may have it" if limited and below else "")
    if impossible:
        said += f"; {impossible:,} chose what had no chance"
    todo = "effects cannot be learned from these decisions: find out what changed their chances"
    beyond = impossible > 0 or (below > 0 and not limited)
    return judged("propensity_floor", "decisions", beyond=beyond, said=said, todo=todo, value=float(least.min()), threshold=exploration)


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
        said=f"{counts[0]:,} of {sum(counts):,} members who were decided on are in the control, {check.expected[0]:,.0f} expected",
        todo="members of the control are asked for less often than others, or more: ask for decisions on all alike",
        value=check.p,
        threshold=threshold,
    )
    said = f"{offered:,} decisions gave marketing to members of the control"
    todo = "the control no longer tells what happens without: find out who decided on its members, and start it anew with another salt"
    kept = judged("control_kept", "decisions", beyond=offered > 0, said=said, todo=todo, value=float(offered), threshold=0.0)
    return size, kept


def _first_of_each(member_ids: Sequence[str]) -> Flags:
    _, first = np.unique(np.asarray(member_ids, dtype=str), return_index=True)
    chosen = np.zeros(len(member_ids), dtype=np.bool_)
    chosen[first] = True
    return chosen
