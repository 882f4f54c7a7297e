"""The whole path on a simulated community, as a newcomer would walk it: from a log to scores over HTTP and a member's report."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import polars as pl

from models.api_keys import create_key
from models.counting import counted
from models.declaration import load_community
from models.errors import KeepwellError
from models.store import Store
from pipelines.decide import decide_all
from pipelines.ingest import ingest
from pipelines.init import InitOptions, initialise
from pipelines.lessons import Asked
from pipelines.monitor import monitor
from pipelines.printing import print_decisions, print_training
from pipelines.printing_nights import print_monitor
from pipelines.promote import promote
from pipelines.report import report_member
from pipelines.serve import prepare
from pipelines.simulate import simulate_to
from pipelines.train import train_challenger
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from rich.console import Console

DAYS = 365
SHOWN_MEMBERS = 3
START_SECONDS = 900
MARKER = "events.parquet"


@dataclass(frozen=True)
class Served:
    url: str
    key: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = Request(self.url + path, json.dumps(body).encode(), headers)  # noqa: S310 - the address is our own
        with urlopen(request, timeout=120) as answer:  # noqa: S310 - as above
            told: dict[str, Any] = json.load(answer)
        return told


def run_demo(folder: Path, members: int, seed: int, console: Console, *, now: datetime) -> None:
    """Takes about a minute; what lay in the folder from an earlier demo is replaced. Raises KeepwellError."""
    step = _Steps(console)
    _clear(folder)
    step(f"simulating a community of {members:,} members over {DAYS} days, with the fixed seed {seed}")
    files = simulate_to(folder / "log", members, DAYS, seed, start=(now - timedelta(days=DAYS)).date())
    console.print(f"   {files.event_rows:,} events, {files.touch_rows:,} assignments of interventions", highlight=False)
    step("drafting its declaration: keepwell init")
    declaration = folder / "keepwell.yaml"
    initialise(_options(files.events, files.members, files.touches, declaration), console, now=now)
    workspace = Workspace.find(folder)
    step("checking the log: keepwell check")
    found = ingest(workspace, load_community(workspace.declaration), now=now)
    console.print(f"   {counted(found.rejected, 'row')} rejected, {counted(len(found.findings), 'finding')}", highlight=False)
    step("training and testing on later outcomes: keepwell train")
    summary = train_challenger(workspace, Asked(seed=seed), now=now, progress=lambda name: console.print(f"   {name}", style="dim"))
    print_training(summary, console)
    step("putting it in force: keepwell promote")
    promote(workspace, None, now=now)
    step("deciding for everybody: keepwell decide")
    decided = decide_all(workspace, folder / "decisions.parquet", as_of=None, language=None, now=now, progress=lambda _: None)
    print_decisions(decided, folder / "decisions.parquet", console)
    chosen = _worth_a_look(decided.table)
    step("starting the service and scoring members over HTTP, as a CRM would")
    prepare(workspace, now=now)
    with closing(Store.open(workspace.store_url)) as store:
        key = create_key(store, "demo", ("score", "ingest", "read"), now=now)
    with _service(workspace, key) as service:
        for member_id in chosen:
            _show(service.post("/score", {"member_id": member_id}), console)
    step("writing the reports of a member at risk, and of one who is best left alone: keepwell report")
    reports = {member_id: folder / f"report-{member_id}.html" for member_id in _two_sides(decided.table)}
    for member_id, report in reports.items():
        report_member(workspace, member_id, report, as_of=None, language=None, now=now)
    step("watching the data, the model and the decisions, as every night: keepwell monitor")
    print_monitor(monitor(workspace, as_of=None, now=now, seed=seed), console)
    step("done")
    _tell_where(folder, reports.values(), decided.table, key, chosen[0], console)


class _Steps:
    def __init__(self, console: Console) -> None:
        self._console, self._began, self._number = console, time.perf_counter(), 0

    def __call__(self, what: str) -> None:
        self._number += 1
        seconds = time.perf_counter() - self._began
        self._console.print(f"[bold]{self._number}. {what}[/] [dim]({seconds:.0f} s so far)[/]", highlight=False)


def _clear(folder: Path) -> None:
    """Only a folder that an earlier demo made is emptied."""
    if not folder.exists():
        return
    if not folder.is_dir():
        message = f"{folder} is a file; name a folder with --folder"
        raise KeepwellError(message)
    if any(folder.iterdir()) and not (folder / "log" / MARKER).exists():
        message = f"{folder} is not empty and no earlier demo; name another with --folder"
        raise KeepwellError(message)
    shutil.rmtree(folder)


def _options(events: Path, members: Path, touches: Path, output: Path) -> InitOptions:
    return InitOptions(
        log=events,
        member="member_id",
        time="timestamp",
        type="type",
        value="value",
        members=members,
        joined="joined",
        touches=touches,
        output=output,
    )


def _worth_a_look(decisions: pl.DataFrame) -> list[str]:
    """Members for whom something was chosen, by what it is expected to bring."""
    acted = decisions.filter(pl.col("chosen") != "none").sort("priority", "member_id", descending=[True, False])
    scored = decisions.filter(pl.col("status") == "scored").sort("churn_probability", "member_id", descending=[True, False])
    found: list[str] = pl.concat([acted, scored])["member_id"].unique(maintain_order=True).head(SHOWN_MEMBERS).to_list()
    return found


def _two_sides(decisions: pl.DataFrame) -> list[str]:
    """At most risk of those for whom something was chosen, and at least risk of those who are best left alone, where there are such."""
    scored = decisions.filter(pl.col("status") == "scored").sort("churn_probability", "member_id", descending=[True, False])
    acted, alone = scored.filter(pl.col("chosen") != "none"), scored.filter(pl.col("no_action_reason") == "do_nothing_is_best")
    found: list[str] = pl.concat([acted.head(1), alone.tail(1)])["member_id"].to_list()
    return found


@contextmanager
def _service(workspace: Workspace, key: str) -> Iterator[Served]:
    """`keepwell serve` in a process of its own, on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "serve", "--config", str(workspace.root), "--port", str(port)]
    with (workspace.state / "service.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)  # noqa: S603 - the command is our own
        try:
            _await_ready(f"http://127.0.0.1:{port}", process, workspace.state / "service.log")
            yield Served(f"http://127.0.0.1:{port}", key)
        finally:
            process.terminate()
            process.wait()


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"{url}/readyz", timeout=30):  # noqa: S310 - the address is our own
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    message = f"the service did not start; what it said is in {log}"
    raise KeepwellError(message)


def _show(answer: dict[str, Any], console: Console) -> None:
    churn, actions = answer["churn"], answer["actions"]
    risk = (
        f"risk {churn['probability']:.2f} over {churn['horizon_days']} days ({churn['risk_band']})"
        if churn["status"] == "scored"
        else churn["status"]
    )
    first = (
        f"{actions[0]['intervention_id']}, worth {actions[0]['expected_net_value']:.2f}"
        if actions
        else f"nothing ({answer['no_action_reason']})"
    )
    console.print(f"   POST /score {answer['member_id']}: {risk}; action: {first}", highlight=False)
    for reason in answer["reasons"][:3]:
        console.print(f"      {reason['contribution_pp']:+.1f} points: {reason['text']}", style="dim", highlight=False)


def _tell_where(folder: Path, reports: Iterable[Path], decisions: pl.DataFrame, key: str, member_id: str, console: Console) -> None:
    body = json.dumps({"member_id": member_id})
    headers = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    lines = (
        *(f"member report      {report}" for report in reports),
        f"all decisions      {folder / 'decisions.parquet'} ({decisions.height:,} members)",
        f"declaration        {folder / 'keepwell.yaml'}",
        f"models (MLflow)    mlflow ui --backend-store-uri sqlite:///{folder / '.keepwell' / 'mlflow.db'}",
        f"start again        {_command()} serve --config {folder}",
        f"API key, shown this once: {key}",
        f"then               curl -s http://127.0.0.1:8000/score {headers} -d '{body}'",
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _command() -> Path:
    """As it can be typed from here."""
    beside = Path(sys.executable).with_name("keepwell")
    here = Path.cwd()
    return beside.relative_to(here) if beside.is_relative_to(here) else beside
