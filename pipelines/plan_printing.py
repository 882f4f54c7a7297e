"""What a person reads of a plan, within eighty columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Column, Table

from models.counting import counted

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from models.intervals import Estimate
    from models.plan_figures import ArmOutlook, Outlook
    from models.planning import JointPlan
    from models.shadow_prices import ShadowPrices
    from pipelines.plan import Planned

INTRODUCTION = (
    "{members} at {as_of}, version {version}. Expected, in {currency}; saved: members who stay because of the plan, with a 90 % "
    "interval, for which all interventions err the same way."
)


def print_plan(planned: Planned, console: Console, *, now: datetime) -> None:
    simulated, terms = planned.simulated, planned.simulated.terms
    given = {
        "members": counted(simulated.members, "member"),
        "as_of": terms.as_of.isoformat(),
        "version": terms.model_version,
        "currency": terms.currency,
    }
    _say(INTRODUCTION.format(**given), console)
    console.print(_frontier(planned), highlight=False)
    budget = planned.outlook.budget
    _say("The plan without a budget:" if budget is None else f"The plan for {_amount(budget)}:", console)
    console.print(_arms(planned.outlook), highlight=False)
    for arm in planned.outlook.arms:
        if arm.blocked:
            _say(f"{arm.intervention_id} was kept from members by {', '.join(f'{rule} ({n:,})' for rule, n in arm.blocked)}", console)
    _print_prices(planned, console)
    _print_force(planned, console, now)


def print_joint_plan(joint: JointPlan, spent: float, currency: str, console: Console) -> None:
    """What `decide` says of the plan that it followed."""
    print_followed(joint.gap, joint.plan.shadow_prices, joint.exploration, spent, currency, console)


def print_followed(gap: float, prices: ShadowPrices, exploration: float, spent: float, currency: str, console: Console) -> None:
    _say(
        f"planned for all members together: {spent:,.2f} {currency} spent, gap to the best plan at most {gap:.3%}, "
        f"one {currency} more would bring {prices.budget:.2f}, exploration {exploration:.4g}",
        console,
    )


def _say(sentence: str, console: Console) -> None:
    console.print(sentence, highlight=False, soft_wrap=True)


def _table(*heads: str) -> Table:
    return Table(
        *(Column(head, no_wrap=True, justify="left" if at == 0 else "right") for at, head in enumerate(heads)),
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )


def _frontier(planned: Planned) -> Table:
    table = _table("budget", "spend", "net value", "contacted", "saved", "cost of one")
    for point in planned.simulated.frontier:
        table.add_row(*_point(point))
    if planned.outlook.budget is not None:
        table.add_section()
        table.add_row(*_point(planned.outlook))
    return table


def _point(point: Outlook) -> tuple[str, ...]:
    figures = [_amount(point.spend), _amount(point.net_value.value), f"{point.contacted:,.0f}", _saved(point.saved), _cost_per_saved(point)]
    return ("none" if point.budget is None else _amount(point.budget), *figures)


def _cost_per_saved(point: Outlook) -> str:
    interval = point.cost_per_saved_interval
    if point.cost_per_saved is None or interval is None:
        return "-"
    return f"{_amount(point.cost_per_saved)} [{_amount(interval[0])}, {'any' if interval[1] is None else _amount(interval[1])}]"


def _arms(outlook: Outlook) -> Table:
    table = _table("intervention", "members", "spend", "net value", "saved")
    for arm in outlook.arms:
        table.add_row(arm.intervention_id, *_figures(arm))
    return table


def _figures(arm: ArmOutlook) -> tuple[str, ...]:
    return f"{arm.members:,.0f}", _amount(arm.spend), _amount(arm.net_value.value), _saved(arm.saved)


def _saved(saved: Estimate) -> str:
    return f"{saved.value:,.1f} [{saved.lower:,.1f}, {saved.upper:,.1f}]"


def _amount(money: float) -> str:
    return f"{money:,.0f}" if abs(money) >= 1000 else f"{money:,.2f}"


def _print_prices(planned: Planned, console: Console) -> None:
    simulated, exploration = planned.simulated, planned.simulated.plan.exploration
    if planned.outlook.budget is not None:
        _say(f"one {simulated.terms.currency} more would bring {_amount(simulated.budget_price)}", console)
    for name, used in simulated.used_in_period.items():
        _say(f"{name}: {_amount(used)} are used up in the running period, and taken off", console)
    for name, limit in simulated.limits.items():
        _say(f"{name}: {limit.used:,.1f} of {limit.limit:,.0f} places; one more would bring {_amount(limit.shadow_price)}", console)
    if exploration < planned.declared_exploration:
        _say(f"exploration is lowered from {planned.declared_exploration:g} to {exploration:.4g}, to keep to its share", console)


def _print_force(planned: Planned, console: Console, now: datetime) -> None:
    plan = planned.in_force
    if plan is None:
        return
    _say(f"plan {plan.plan_id} is in force until {plan.valid_until.isoformat()}", console)
    if plan.valid_until <= now:
        _say("that is past: only a service whose clock stopped before, `keepwell serve --as-of`, goes by it", console)
