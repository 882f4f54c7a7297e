"""Commands that make, describe and check the tables that all others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.counting import counted
from pipelines.options import AsJson, Home, Seed, day_of, language_of, now
from pipelines.terminal import OUT, Steps, show_key
from pipelines.workspace import Workspace


def init(  # noqa: PLR0917 - typer calls it by name, an option each
    log: Annotated[Path, typer.Argument(help="The event log: CSV, CSV.gz, Parquet, or a folder of Parquet.")],
    member: Annotated[str, typer.Option("--member", help="Column with the member's id, in all tables.")],
    time_column: Annotated[str, typer.Option("--time", help="Column with the time of the event.")],
    type_column: Annotated[str | None, typer.Option("--type", help="Column with the type of the event.")] = None,
    type_is: Annotated[str | None, typer.Option("--type-is", help="The one type of all events, where there is no such column.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="Column with an amount or another quantity.")] = None,
    members: Annotated[Path | None, typer.Option("--members", help="Table of members.")] = None,
    joined: Annotated[str | None, typer.Option("--joined", help="Its column with the date of joining.")] = None,
    touches: Annotated[Path | None, typer.Option("--touches", help="Table of earlier assignments of interventions.")] = None,
    touch_time: Annotated[str | None, typer.Option("--touch-time", help="Its column with the time of the assignment.")] = None,
    touch_arm: Annotated[str | None, typer.Option("--touch-arm", help="Its column with what was assigned.")] = None,
    churn_days: Annotated[int | None, typer.Option("--churn-days", help="Silent for so long means gone; found by default.")] = None,
    active_days: Annotated[int | None, typer.Option("--active-days", help="Members active in so many days are asked about.")] = None,
    contract_event: Annotated[str | None, typer.Option("--contract-event", help="Event type that ends a membership.")] = None,
    language: Annotated[str, typer.Option("--language", help="en or zh.")] = "en",
    timezone: Annotated[str, typer.Option("--timezone", help="The community's clock, an IANA name.")] = "UTC",
    currency: Annotated[str, typer.Option("--currency", help="ISO 4217 code.")] = "CNY",
    output: Annotated[Path, typer.Option("-o", "--output", help="The declaration to write.")] = Path("keepwell.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Profile a log and draft keepwell.yaml, the declaration of the community."""
    from pipelines.init import InitOptions, initialise

    options = InitOptions(
        log=log,
        member=member,
        time=time_column,
        type=type_column,
        type_is=type_is,
        value=value,
        members=members,
        joined=joined,
        touches=touches,
        touch_time=touch_time,
        touch_arm=touch_arm,
        churn_days=churn_days,
        active_days=active_days,
        contract_event=contract_event,
        language=language_of(language) or "en",
        timezone=timezone,
        currency=currency,
        output=output,
        force=force,
    )
    initialise(options, OUT, now=now())


def check(config: Home = None, as_json: AsJson = False) -> None:
    """Report what is wrong with the declared tables, and what to do. Exit code 1 where a finding is an error."""
    from pipelines.check import check

    raise typer.Exit(check(Workspace.find(config), OUT, now=now(), as_json=as_json, progress=Steps()))


def ingest(
    files: Annotated[list[Path] | None, typer.Argument(help="Files with more events, in the columns of the log.")] = None,
    config: Home = None,
) -> None:
    """Append files with a day's events to the log, validate it and put it into the service's store; a second run adds what is new."""
    from models.declaration import load_community
    from models.errors import InputError
    from pipelines.deliveries import refusals, take_in_files, waiting_files
    from pipelines.printing_nights import print_deliveries
    from pipelines.serve import prepare

    workspace, at = Workspace.find(config), now()
    community = load_community(workspace.declaration)
    told = take_in_files(workspace, community, files or waiting_files(workspace, community), now=at)
    print_deliveries(told, OUT)
    prepared = prepare(workspace, now=at)
    loaded = prepared.loaded
    new = (counted(loaded.events, "event"), counted(loaded.members, "member"), counted(loaded.touches, "touch", "touches"))
    OUT.print(f"new in the store: {', '.join(new)}", highlight=False)
    show_key(prepared.first_key)
    if told.refused:
        raise InputError("; ".join(refusals(told)))


def simulate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the tables into.")],
    members: Annotated[int, typer.Option("--members", min=1, help="How many.")] = 5000,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Length of the log.")] = 365,
    seed: Seed = 1,
    start: Annotated[str, typer.Option("--start", help="First day of the log.")] = "2025-01-01",
    world: Annotated[str, typer.Option("--world", help="What is planted: docs/simulation.md lists the worlds.")] = "mixed",
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Simulate a community whose risks and effects are known: events, members, touches with propensities, truth."""
    from pipelines.simulate import simulate_to

    files = simulate_to(output, members, days, seed, world=world, start=day_of(start), overwrite=force)
    rows = f"{counted(files.event_rows, 'event')} and {counted(files.touch_rows, 'touch', 'touches')}"
    OUT.print(
        f"{rows} of {counted(members, 'member')}, world {world}, seed {seed}, in {output}",
        highlight=False,
        soft_wrap=True,
    )
    OUT.print(
        f"next: keepwell init {files.events} --member member_id --time timestamp --type type --value value "
        f"--members {files.members} --joined joined --touches {files.touches} -o {output / 'keepwell.yaml'}",
        highlight=False,
        soft_wrap=True,
    )


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo lives.")] = Path("demo"),
    members: Annotated[int, typer.Option("--members", min=500, help="How many.")] = 4000,
    seed: Seed = 20,
) -> None:
    """Simulate a community, train, promote, serve, score members over HTTP and write a report."""
    from pipelines.demo import run_demo

    run_demo(folder, members, seed, OUT, now=now())
