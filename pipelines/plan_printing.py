"""What a person reads of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from models.plan_figures import ArmOutlook, Outlook
    from models.planning import JointPlan
    from pipelines.plan import Planned


def print_plan(planned: Planned, console: Console, *, now: datetime) -> None:
    console.print(
        f"{planned.members:,} members at {planned.as_of.isoformat()}, version {planned.version}; money in {planned.currency}, expected; "
        "intervals 90 %, as if the effect of an intervention erred for all its members alike",
        highlight=False,
    )
    console.print(_frontier(planned), highlight=False)
    console.print(f"The plan{_of_budget(planned.outlook.budget)}: by intervention", highlight=False)
    console.print(_arms(planned.outlook), highlight=False)
    _print_prices(planned, console)
    _print_force(planned, console, now)


def print_joint_plan(joint: JointPlan, spent: float, currency: str, console: Console) -> None:
    """What `decide` says of the plan that it followed."""
    console.print(
        f"planned for all members together: {spent:,.2f} {currency} spent, gap to the best plan at most {joint.plan.gap:.3%}, "
        f"one {currency} more would bring {joint.plan.shadow_prices.budget:.2f}, exploration {joint.exploration:.4f}",
        highlight=False,
        soft_wrap=True,
    )


def _frontier(planned: Planned) -> Table:
    table = Table("budget", "spend", "net value", "contacted", "saved", "cost of one saved", title="What a budget brings")
    for point in planned.frontier:
        table.add_row(*_point(point))
    if planned.outlook.budget is not None:
        table.add_section()
        table.add_row(*_point(planned.outlook))
    return table


def _point(point: Outlook) -> tuple[str, ...]:
    saved, interval = point.saved, point.cost_per_saved_interval
    ends = "" if interval is None else f" ({interval[0]:,.2f} to {'any' if interval[1] is None else f'{interval[1]:,.2f}'})"
    return (
        "none" if point.budget is None else f"{point.budget:,.2f}",
        f"{point.spend:,.2f}",
        f"{point.net_value:,.2f}",
        f"{point.contacted:,.0f}",
        f"{saved.value:,.1f} ({saved.lower:,.1f} to {saved.upper:,.1f})",
        "-" if point.cost_per_saved is None else f"{point.cost_per_saved:,.2f}{ends}",
    )


def _of_budget(budget: float | None) -> str:
    return " without a budget" if budget is None else f" for {budget:,.2f}"


def _arms(outlook: Outlook) -> Table:
    table = Table("intervention", "members", "spend", "net value", "saved", "kept from it most often by")
    for arm in outlook.arms:
        table.add_row(arm.intervention_id, f"{arm.members:,.0f}", f"{arm.spend:,.2f}", f"{arm.net_value:,.2f}", _saved(arm), _blocked(arm))
    return table


def _saved(arm: ArmOutlook) -> str:
    return f"{arm.saved.value:,.1f} ({arm.saved.lower:,.1f} to {arm.saved.upper:,.1f})"


def _blocked(arm: ArmOutlook) -> str:
    return ", ".join(f"{rule} {members:,}" for rule, members in arm.blocked)


def _print_prices(planned: Planned, console: Console) -> None:
    if planned.outlook.budget is not None:
        console.print(f"one {planned.currency} more would bring {planned.budget_price:,.2f}", highlight=False)
    for name, limit in planned.limits.items():
        console.print(
            f"{name}: {limit.used:,.1f} of {limit.limit:,.0f} places; one more would bring {limit.shadow_price:,.2f}", highlight=False
        )
    if planned.exploration < planned.declared_exploration:
        console.print(
            f"exploration is lowered from {planned.declared_exploration:g} to {planned.exploration:.4g}, to take no more than its share",
            highlight=False,
        )


def _print_force(planned: Planned, console: Console, now: datetime) -> None:
    plan = planned.in_force
    if plan is None:
        return
    console.print(f"plan {plan.plan_id} is in force until {plan.valid_until.isoformat()}", highlight=False, soft_wrap=True)
    if plan.valid_until <= now:
        console.print("that is past: only a service whose clock stopped before, `keepwell serve --as-of`, goes by it", style="yellow")
