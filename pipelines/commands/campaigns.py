"""Commands of those who act on members: plan and decide for all of them, tell about one, ask whom to contact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import AsJson, AsOf, Budget, Home, Lang, Master, OnWhat, Seed, SparkConf, Version, Where, language_of, named, now
from pipelines.terminal import ERR, OUT, Steps, print_json
from pipelines.workspace import Workspace


def decide(  # noqa: PLR0917 - typer calls it by name, an option each
    output: Annotated[str, typer.Option("-o", "--output", help="Table to write, .parquet or .csv; of Spark a folder, .parquet.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
    budget: Budget = None,
    record: Annotated[bool, typer.Option("--record", help="Keep the decisions in the store too, for touches and training.")] = False,
    engine: OnWhat = Where.HERE,
    master: Master = None,
    conf: SparkConf = None,
    no_pages: Annotated[bool, typer.Option("--no-pages", help="With --engine spark: leave the pages as they are.")] = False,
) -> None:
    """Decide for all members: risk, reasons and ranked interventions, one row for each."""
    language = language_of(lang)
    workspace, at = Workspace.find(config), now()
    if engine is Where.SPARK:
        from pipelines.distributed import decide_on_spark
        from pipelines.printing_spark import print_decided_on_spark
        from pipelines.rollout import running_rollout
        from pipelines.spark_session import settings_of

        settings, steps = settings_of(conf or ()), Steps()
        told = decide_on_spark(
            workspace,
            output,
            master=master,
            settings=settings,
            as_of=as_of,
            language=language,
            budget=budget,
            now=at,
            progress=steps,
            pages=not no_pages,
            record=record,
        )
        print_decided_on_spark(told, OUT)
        if (running := running_rollout(workspace)) is not None:
            OUT.print(f"roll-out {running.rollout_id}: version {running.challenger} decided for nobody here, for Spark asks the champion")
        return
    from pipelines.decide import decide_all
    from pipelines.plan_printing import print_joint_plan
    from pipelines.printing import print_decisions

    if master is not None or conf or no_pages:
        raise typer.BadParameter("--master, --conf and --no-pages are for --engine spark")
    table = Path(output)
    decided = decide_all(workspace, table, as_of=as_of, language=language, now=at, progress=Steps(), budget=budget, record=record)
    print_decisions(decided, table, OUT)
    if decided.joint is not None:
        print_joint_plan(decided.joint, float(decided.table["cost"].sum()), decided.currency, OUT)


def plan(
    config: Home = None,
    *,
    budget: Budget = None,
    frontier: Annotated[
        int, typer.Option("--frontier", min=1, max=50, help="Budgets to compare, up to what would be spent without one.")
    ] = 5,
    audience: Annotated[
        str | None, typer.Option("--audience", help="Whom to plan for, as the address of the page Audience says it: from=40&stage=silent.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Interventions that may be used, repeated or by commas; by default all.")
    ] = None,
    capacity: Annotated[
        list[str] | None,
        typer.Option("--capacity", help="Most members: coupon=100, or channel:email=500 for a channel; repeated for several."),
    ] = None,
    hold_out: Annotated[
        float, typer.Option("--hold-out", min=0, max=0.9, help="Share of the audience, drawn at random, that gets nothing.")
    ] = 0.0,
    as_of: AsOf = None,
    activate: Annotated[bool, typer.Option("--activate", help="Put the plan in force: the service charges its shadow prices.")] = False,
    valid_days: Annotated[int, typer.Option("--valid-days", min=1, help="How long from its date a plan in force holds.")] = 7,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="End the plan in force, and plan nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Plan for all members without deciding: what each budget would bring, who gets what, and which rules stand in the way."""
    from pipelines.asked import audience_of, question_of
    from pipelines.plan import plan_campaign, withdraw_plan
    from pipelines.plan_printing import print_plan

    workspace, at = Workspace.find(config), now()
    if withdraw:
        withdraw_plan(workspace, now=at)
        OUT.print("no plan is in force", highlight=False)
        return
    held = valid_days if activate else None
    question = question_of(budget, capacity or (), named(only or ()), hold_out=hold_out, points=frontier)
    planned = plan_campaign(workspace, question, audience_of(audience or ""), as_of=as_of, now=at, progress=Steps(), valid_days=held)
    if as_json:
        print_json(planned.to_dict())
    else:
        print_plan(planned, OUT, now=at)


def report(
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write, .html; with --all, a folder.")],
    member: Annotated[str | None, typer.Option("--member", help="The member's id.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Report on the whole community instead.")] = False,
    since: Annotated[str | None, typer.Option("--since", help="With --all: from when on stages are followed.")] = None,
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
) -> None:
    """Write the report of one member, or of the whole community, as one standalone HTML page."""
    from pipelines.community_report import PAGE, report_all
    from pipelines.report import report_member

    if (member is not None) == everyone:
        raise typer.BadParameter("give either --member or --all")
    workspace, language, at = Workspace.find(config), language_of(lang), now()
    if member is None:
        report_all(workspace, output, as_of=as_of, since=since, language=language, now=at, progress=Steps())
    else:
        report_member(workspace, member, output, as_of=as_of, language=language, now=at)
    OUT.print(f"Wrote {output / PAGE if member is None else output}", highlight=False, soft_wrap=True)


def targeting(
    share: Annotated[float, typer.Option("--share", help="Part of the members to contact, above 0 and up to 1.")] = 0.2,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Page to write, .html.")] = None,
    best_action: Annotated[
        bool, typer.Option("--best-action", help="Let each contacted member have the best action instead of what the log gave.")
    ] = False,
    config: Home = None,
    version: Version = None,
    seed: Seed = 0,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Tell from the log of a trial whether targeting by risk hurts: the same number contacted by risk, by effect, at random."""
    from pipelines.output import check_page
    from pipelines.printing_proof import print_targeting
    from pipelines.targeting import compare_rankings, write_page

    if output is not None:
        check_page(output)
    workspace, language = Workspace.find(config), language_of(lang)
    told = compare_rankings(workspace, share, best_action=best_action, version=version, seed=seed, now=now(), progress=Steps())
    if as_json:
        print_json(told.to_dict())
    else:
        print_targeting(told, language or told.occasion.community.language, OUT)
    if output is not None:
        write_page(told, output, language=language or told.occasion.community.language, now=now())
        ERR.print(f"Wrote {output}", highlight=False, soft_wrap=True)


def experiments(
    experiment: Annotated[str | None, typer.Argument(help="One of them; by default all.")] = None,
    config: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Tell what experiments say: the declared ones, the global control, each intervention against doing nothing."""
    from pipelines.experiments import tell_experiments
    from pipelines.printing_experiments import print_experiments

    told = tell_experiments(Workspace.find(config), experiment, language=language_of(lang), now=now())
    if as_json:
        print_json(told.to_dict())
    else:
        print_experiments(told, OUT)
