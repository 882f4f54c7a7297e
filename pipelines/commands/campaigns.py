"""Commands of those who act on members: plan and decide for all of them, tell about one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import AsJson, AsOf, Budget, Home, Lang, language_of, now
from pipelines.terminal import OUT, Steps, print_json
from pipelines.workspace import Workspace


def decide(
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write, .parquet or .csv.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
    budget: Budget = None,
) -> None:
    """Decide for all members: risk, reasons and ranked interventions, one row for each."""
    from pipelines.decide import decide_all
    from pipelines.plan_printing import print_joint_plan
    from pipelines.printing import print_decisions

    language = language_of(lang)
    decided = decide_all(Workspace.find(config), output, as_of=as_of, language=language, now=now(), progress=Steps(), budget=budget)
    print_decisions(decided, output, OUT)
    if decided.joint is not None:
        print_joint_plan(decided.joint, float(decided.table["cost"].sum()), decided.currency, OUT)


def plan(
    config: Home = None,
    budget: Budget = None,
    frontier: Annotated[int, typer.Option("--frontier", min=1, help="Budgets to compare, up to what would be spent without one.")] = 5,
    as_of: AsOf = None,
    activate: Annotated[bool, typer.Option("--activate", help="Put the plan in force: the service charges its shadow prices.")] = False,
    valid_days: Annotated[int, typer.Option("--valid-days", min=1, help="How long from its date a plan in force holds.")] = 7,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="End the plan in force, and plan nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Plan for all members without deciding: what each budget would bring, who gets what, and which rules stand in the way."""
    from pipelines.plan import plan_campaign, withdraw_plan
    from pipelines.plan_printing import print_plan

    workspace, at = Workspace.find(config), now()
    if withdraw:
        withdraw_plan(workspace, now=at)
        OUT.print("no plan is in force", highlight=False)
        return
    held = valid_days if activate else None
    planned = plan_campaign(workspace, budget=budget, points=frontier, as_of=as_of, now=at, progress=Steps(), valid_days=held)
    if as_json:
        print_json(planned.to_dict())
    else:
        print_plan(planned, OUT, now=at)


def report(
    member: Annotated[str, typer.Option("--member", help="The member's id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write, .html.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
) -> None:
    """Write the report of one member as one standalone HTML page."""
    from pipelines.report import report_member

    report_member(Workspace.find(config), member, output, as_of=as_of, language=language_of(lang), now=now())
    OUT.print(f"Wrote {output}", highlight=False, soft_wrap=True)
