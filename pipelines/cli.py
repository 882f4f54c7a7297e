"""The command line: each verb reads its options, calls one function and prints what came of it."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.exceptions import TyperException

from models.community import Language
from models.errors import InputError, KeepwellError
from models.times import YEARS
from pipelines.workspace import Workspace

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
logging.getLogger("mlflow").setLevel(logging.WARNING)

UNUSABLE = 2
OUT, ERR = Console(), Console(stderr=True)
app = typer.Typer(
    name="keepwell",
    help="Who is leaving, what would keep them, and why: churn prediction and next best action for member communities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Home = Annotated[Path | None, typer.Option("--config", "-c", help="keepwell.yaml, or its folder; by default the nearest one upwards.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="A date or time: what was known just before it is used, nothing after.")]
Version = Annotated[str | None, typer.Option("--version", help="A registered version.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of all random draws.")]
Lang = Annotated[str | None, typer.Option("--lang", help="en or zh; by default the community's language.")]


def main() -> None:
    """Exit code 0, 1 where `check` found errors, 2 where the input or an option cannot be used; then one sentence says why."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="keepwell", standalone_mode=False)
    except TyperException as error:
        code = _refuse(f"{error.format_message().rstrip('.')}; --help tells what can be given")
    except KeepwellError as error:
        code = _refuse(str(error))
    sys.exit(code)


def _refuse(why: str) -> int:
    ERR.print(f"keepwell: {escape(' '.join(why.split()))}", style="red", highlight=False, soft_wrap=True)
    return UNUSABLE


@app.command()
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
    churn_days: Annotated[int | None, typer.Option("--churn-days", help="Silent for so long means gone; by default 7, 30 and 90.")] = None,
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
        churn_days=churn_days,
        active_days=active_days,
        contract_event=contract_event,
        language=_language(language) or "en",
        timezone=timezone,
        currency=currency,
        output=output,
        force=force,
    )
    initialise(options, OUT, now=_now())


@app.command()
def check(config: Home = None, as_json: AsJson = False) -> None:
    """Report what is wrong with the declared tables, and what to do. Exit code 1 where a finding is an error."""
    from pipelines.check import check

    raise typer.Exit(check(Workspace.find(config), OUT, now=_now(), as_json=as_json))


@app.command()
def ingest(config: Home = None) -> None:
    """Validate the log and put it into the service's store; a second run adds what is new."""
    from pipelines.serve import prepare

    prepared = prepare(Workspace.find(config), now=_now())
    loaded = prepared.loaded
    OUT.print(f"new in the store: {loaded.events:,} events, {loaded.members:,} members, {loaded.touches:,} touches", highlight=False)
    _show_key(prepared.first_key)


@app.command()
def train(
    config: Home = None,
    test_as_of: Annotated[
        str | None, typer.Option("--test-as-of", help="Date of the test; by default the last whose outcome is known.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train on the log, test on later outcomes, and register the engine as challenger."""
    from pipelines.printing import print_training
    from pipelines.train import train_challenger

    summary = train_challenger(Workspace.find(config), test_as_of=test_as_of, seed=seed, now=_now(), progress=_Steps())
    if as_json:
        _print_json(summary.to_dict())
    else:
        print_training(summary, OUT)


@app.command()
def evaluate(config: Home = None, as_of: AsOf = None, version: Version = None, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Measure a registered version, by default the champion or else the challenger, at a date whose outcome is known."""
    from pipelines.evaluate import evaluate
    from pipelines.printing import print_evaluation

    evaluated = evaluate(Workspace.find(config), as_of=as_of, version=version, seed=seed, now=_now())
    if as_json:
        _print_json(evaluated.to_dict())
    else:
        print_evaluation(evaluated, OUT)


@app.command()
def promote(config: Home = None, version: Version = None) -> None:
    """Make a version, by default the challenger, the champion that the service uses."""
    from pipelines.promote import promote

    OUT.print(f"version {promote(Workspace.find(config), version)} is the champion", highlight=False)


@app.command()
def decide(
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write, .parquet or .csv.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
) -> None:
    """Decide for all members: risk, reasons and ranked interventions, one row for each."""
    from pipelines.decide import decide_all
    from pipelines.printing import print_decisions

    decided = decide_all(Workspace.find(config), output, as_of=as_of, language=_language(lang), now=_now(), progress=_Steps())
    print_decisions(decided, output, OUT)


@app.command()
def report(
    member: Annotated[str, typer.Option("--member", help="The member's id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write, .html.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
) -> None:
    """Write the report of one member as one standalone HTML page."""
    from pipelines.report import report_member

    report_member(Workspace.find(config), member, output, as_of=as_of, language=_language(lang), now=_now())
    OUT.print(f"Wrote {output}", highlight=False, soft_wrap=True)


@app.command()
def serve(
    config: Home = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Stop the service's clock here, to score a log that ended long ago.")] = None,
) -> None:
    """Put the log into the store and start the service on the champion."""
    from pipelines.serve import serve

    serve(Workspace.find(config), host, port, workers, as_of=as_of)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who it is for; stands in the store beside the key's hash.")],
    scopes: Annotated[str, typer.Option("--scopes", help="What it may do, of score, ingest, read, admin, by commas.")] = "score,read",
    config: Home = None,
) -> None:
    """Make another API key and show it once."""
    from pipelines.key import make_key

    secret = make_key(Workspace.find(config), name, tuple(scopes.split(",")), now=_now())
    OUT.print(f"API key, shown this once: {secret}", highlight=False, soft_wrap=True)


@app.command()
def simulate(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the tables into.")],
    members: Annotated[int, typer.Option("--members", min=1, help="How many.")] = 5000,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Length of the log.")] = 365,
    seed: Seed = 1,
    start: Annotated[str, typer.Option("--start", help="First day of the log.")] = "2025-01-01",
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Simulate a community whose risks and effects are known: events, members, touches with propensities, truth."""
    from pipelines.simulate import simulate_to

    files = simulate_to(output, members, days, seed, start=_day(start), overwrite=force)
    OUT.print(
        f"{files.event_rows:,} events and {files.touch_rows:,} touches of {members:,} members, seed {seed}, in {output}",
        highlight=False,
        soft_wrap=True,
    )
    OUT.print(
        f"next: keepwell init {files.events} --member member_id --time timestamp --type type --value value "
        f"--members {files.members} --joined joined --touches {files.touches} -o {output / 'keepwell.yaml'}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo lives.")] = Path("demo"),
    members: Annotated[int, typer.Option("--members", min=500, help="How many.")] = 4000,
    seed: Seed = 20,
) -> None:
    """Simulate a community, train, promote, serve, score members over HTTP and write a report."""
    from pipelines.demo import run_demo

    run_demo(folder, members, seed, OUT, now=_now())


class _Steps:
    """Progress on stderr: each step with the seconds that the one before took."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._step: str | None = None

    def __call__(self, step: str) -> None:
        at = time.perf_counter()
        if self._step is not None:
            ERR.print(f"  {self._step}: {at - self._began:.1f} s", style="dim", highlight=False)
        self._began, self._step = at, step


def _now() -> datetime:
    return datetime.now(UTC)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(f'"{text}" is no day; write it as 2025-01-01') from None
    if day.year not in YEARS:
        raise InputError(f"{day}: a year from {YEARS[0]} to {YEARS[-1]} is needed")
    return day


def _language(text: str | None) -> Language | None:
    if text is None or text in ("en", "zh"):
        return text  # type: ignore[return-value]  # narrowed by the line above
    raise typer.BadParameter(f'"{text}" is no language of the reports; give en or zh')


def _print_json(content: dict[str, Any]) -> None:
    OUT.out(json.dumps(content, ensure_ascii=False, indent=2), highlight=False)


def _show_key(secret: str | None) -> None:
    if secret is not None:
        OUT.print(f"API key, shown this once: {secret}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
