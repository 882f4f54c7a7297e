"""The steps of a night, in their order: what each does, what it needs, and when it is due."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from models.counting import counted
from models.errors import ModelRefused
from models.readings import freshness
from models.registry import CHALLENGER, CHAMPION
from models.store import Store
from models.training_rows import default_test_as_of
from pipelines.community_report import report_all
from pipelines.decide import decide_all
from pipelines.deliveries import refusals, take_in_files, waiting_files
from pipelines.evaluate import evaluate
from pipelines.ingest import ingest, log_fingerprint
from pipelines.lessons import Asked
from pipelines.loading import load_to_learn, registry, told_twice
from pipelines.monitor import monitor
from pipelines.promote import try_promotion
from pipelines.pruning import prune
from pipelines.rollout import running_rollout, was_rolled_back
from pipelines.rollout_watch import watch_rollout
from pipelines.train import train_challenger

if TYPE_CHECKING:
    from pathlib import Path

    from models.community import Community
    from models.training import Progress
    from pipelines.run_record import RunRecord, State
    from pipelines.workspace import Workspace

DECISIONS_FILE, REPORT_FOLDER = "decisions.parquet", "report"


@dataclass
class Night:
    """`as_of` is decided at; `log_changed`: since the run of this `as_of` before."""

    workspace: Workspace
    community: Community
    as_of: datetime
    now: datetime
    seed: int
    folder: Path
    progress: Progress
    log_changed: bool = False

    @property
    def moment(self) -> str:
        return self.as_of.isoformat()

    def within(self, step: str) -> Progress:
        return lambda what: self.progress(f"{step}: {what}")


@dataclass(frozen=True)
class Outcome:
    state: State
    said: str
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """`needs`: steps that must not have failed. One that is `always` taken is so in every run that is not complete."""

    name: str
    act: Callable[[Night, RunRecord], Outcome]
    needs: tuple[str, ...] = ()
    always: bool = False
    looks_at_log: bool = False


def _ingest(night: Night, record: RunRecord) -> Outcome:
    workspace, community = night.workspace, night.community
    told = take_in_files(workspace, community, waiting_files(workspace, community), now=night.now)
    log = ingest(workspace, community, now=night.now).log
    fingerprint = log_fingerprint(workspace.log)
    with closing(Store.open(workspace.store_url)) as store:
        stored = store.load_parts(log.parts(), fingerprint)
    before = record.of("ingest")
    night.log_changed = before is None or before.told.get("log") not in (None, fingerprint)
    figures = told.to_dict() | {"again": len(told.again), "last": log.last.isoformat(), "in_store": vars(stored), "log": fingerprint}
    added = f"{counted(told.events, 'new event')} from {counted(len(told.taken), 'file')}"
    said = f"{added}; the log ends {log.last.isoformat(timespec='minutes')}"
    if told.refused:
        return Outcome("partial", f"{'; '.join(refusals(told))}; {said}", figures)
    return Outcome("done", said, figures)


def _check(night: Night, _: RunRecord) -> Outcome:
    found = ingest(night.workspace, night.community, now=night.now)
    findings = (*found.findings, *told_twice(night.workspace, night.community, found.log, now=night.now))
    levels = [finding.level for finding in findings]
    counts = {level: levels.count(level) for level in ("error", "warning", "advice")}
    told = {**counts, "messages": [f"{finding.level}: {finding.message}" for finding in findings if finding.level != "advice"]}
    said = f"{counted(counts['error'], 'error')}, {counted(counts['warning'], 'warning')}"
    return Outcome("alarm", f"{said}: {found.errors[0].message}", told) if found.errors else Outcome("done", said, told)


def _monitor(night: Night, _: RunRecord) -> Outcome:
    watched = monitor(night.workspace, as_of=night.moment, now=night.now, seed=night.seed, progress=night.within("monitor"))
    told = {"version": watched.version, "alarms": {one.name: one.said for one in watched.alarms}, "model": watched.alarmed("model")}
    if watched.alarms:
        return Outcome("alarm", "; ".join(f"{one.name}: {one.said}" for one in watched.alarms), told)
    return Outcome("done", f"{counted(len(watched.readings), 'reading')}, no alarm", told)


def _rollout(night: Night, _: RunRecord) -> Outcome:
    """Before anything is decided: what shows harm decides for nobody any more, where that is declared."""
    watched = watch_rollout(night.workspace, now=night.now)
    if watched is None:
        return Outcome("not_due", "no roll-out runs")
    told = watched.status.to_dict("en") | {"rolled_back": watched.ended}
    return Outcome("alarm" if watched.alarm else "done", watched.said, told)


def _train(night: Night, record: RunRecord) -> Outcome:
    stale = _stale(night, record)
    if stale is not None:
        return Outcome("skipped", stale)
    due = _due(night, record)
    if due.state == "not_due":
        return due
    errors = _errors(record)
    if errors is not None:
        return Outcome("skipped", errors)
    summary = train_challenger(night.workspace, Asked(seed=night.seed), now=night.now, progress=night.within("train"))
    trained = summary.trained
    auc, grade = trained.churn.metrics.auc, trained.churn.compared.grade
    said = f"{due.said}: version {summary.registered.version}, grade {grade}, AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f})"
    told = {"version": summary.registered.version, "grade": grade, "auc": auc.value, "auc_interval": auc.interval}
    return Outcome("done", said, told | {"test_as_of": trained.test_as_of.isoformat(), "warnings": list(trained.warnings)})


def _due(night: Night, record: RunRecord) -> Outcome:
    """`done` with the reason where a model is to be trained: by how much newer what could be learned is than what was."""
    models = registry(night.workspace)
    newest = models.aliases().get(CHALLENGER)
    if newest is None:
        return Outcome("done", "the first model")
    try:
        through = models.load(newest, night.workspace.model_cache).provenance.trained_through
    except ModelRefused as refusal:
        return Outcome("done", f"version {newest} cannot be loaded ({refusal})")
    latest = default_test_as_of(load_to_learn(night.workspace, now=night.now).arrays, night.community)
    days, schedule = (latest - through).days, night.community.schedule
    watched = record.of("monitor")
    if watched is not None and watched.told.get("model") and days >= schedule.retrain_early_days:
        return Outcome("done", f"the monitor raised an alarm, and {counted(days, 'day')} more can be learned from")
    if days >= schedule.retrain_days:
        return Outcome("done", f"{counted(days, 'day')} more can be learned from")
    more = counted(days, "day more is", "days more are")
    return Outcome("not_due", f"version {newest} learned through {through:%Y-%m-%d}; {more} there, {schedule.retrain_days} make it due")


def _evaluate(night: Night, _: RunRecord) -> Outcome:
    version = _unproved(night)
    if version is None:
        return Outcome("not_due", "no challenger waits for its proof")
    told = evaluate(night.workspace, as_of=None, version=version, seed=night.seed, now=night.now).to_dict()
    found = told["churn"]
    said = f"version {version} at {told['as_of'][:10]}: AUC {found['auc']:.3f}, log loss {found['log_loss']:.3f}, grade {found['grade']}"
    return Outcome("done", said, told)


def _promote(night: Night, _: RunRecord) -> Outcome:
    running = running_rollout(night.workspace)
    if running is not None:
        return Outcome("not_due", f"roll-out {running.rollout_id} of version {running.challenger} runs; a person finishes it")
    version = _unproved(night)
    if version is None:
        return Outcome("not_due", "no challenger waits for its proof")
    tried = try_promotion(night.workspace, version, now=night.now, seed=night.seed, progress=night.within("promote"))
    if tried.shown.verdict.passed:
        return Outcome("done", f"version {version} is the champion, in the place of {tried.against or 'none'}", tried.to_dict())
    return Outcome("refused", f"version {tried.against} stays: {'; '.join(map(str, tried.shown.verdict.missing))}", tried.to_dict())


def _unproved(night: Night) -> str | None:
    """The challenger, where it is not the champion, was not rolled back, and was never tried, or lacked evidence when it was."""
    models = registry(night.workspace)
    aliases = models.aliases()
    newest = aliases.get(CHALLENGER)
    if newest is None or newest == aliases.get(CHAMPION) or was_rolled_back(night.workspace, newest):
        return None
    tried = models.gate(newest)
    return newest if tried is None or lacked_evidence(tried) else None


def lacked_evidence(tried: Mapping[str, Any]) -> bool:
    """Of `Promotion.to_dict`: something could not be measured yet; what was measured and did not suffice stays refused."""
    unmet = {requirement["name"] for requirement in tried["requirements"] if not requirement["met"]}
    return ("risk" in unmet and tried["risk"] is None) or ("policy_value" in unmet and tried["policies"] is None)


def _decide(night: Night, record: RunRecord) -> Outcome:
    reason = _stale(night, record)
    if reason is not None:
        return Outcome("skipped", f"{reason}; the decisions of before stay in force")
    output = night.folder / DECISIONS_FILE
    decided = decide_all(
        night.workspace,
        output,
        as_of=night.moment,
        language=None,
        now=night.now,
        progress=night.within("decide"),
        record=night.community.schedule.record,
    )
    _put_in_force(output, night.workspace.decisions)
    chosen = dict(decided.table["chosen"].value_counts(sort=True).iter_rows())
    told = {
        "version": decided.version,
        "members": decided.table.height,
        "chosen": chosen,
        "table": str(output.relative_to(night.workspace.root)),
    }
    if decided.rollout:
        told["rollout"] = decided.rollout
    if decided.recorded is not None:
        told |= {"recorded": decided.recorded.kept, "left_out": decided.recorded.left_out}
    acted = decided.table.height - chosen.get("none", 0)
    return Outcome("done", f"{counted(decided.table.height, 'member')} by version {decided.version}, {acted:,} with an action", told)


def _put_in_force(table: Path, place: Path) -> None:
    aside = place.with_suffix(".part")
    shutil.copyfile(table, aside)
    aside.replace(place)


def _report(night: Night, record: RunRecord) -> Outcome:
    if not night.community.schedule.report:
        return Outcome("not_due", "schedule.report is false")
    reason = _stale(night, record)
    if reason is not None:
        return Outcome("skipped", reason)
    folder = night.folder / REPORT_FOLDER
    report_all(night.workspace, folder, as_of=night.moment, since=None, language=None, now=night.now, progress=night.within("report"))
    return Outcome("done", f"in {folder.relative_to(night.workspace.root)}")


def _prune(night: Night, _: RunRecord) -> Outcome:
    with closing(Store.open(night.workspace.store_url)) as store:
        pruned = prune(night.workspace, store, night.community, at=night.as_of, now=night.now)
    return Outcome("done", pruned.said, asdict(pruned))


def _stale(night: Night, record: RunRecord) -> str | None:
    """Why nothing should be learned or decided: of a day that is missing everybody would seem to have been silent."""
    taken = record.of("ingest")
    if taken is None:
        return None
    reading = freshness(datetime.fromisoformat(taken.told["last"]), night.as_of, night.community.monitor)
    return f"the log is stale: {reading.said}" if reading.status == "alarm" else None


def _errors(record: RunRecord) -> str | None:
    checked = record.of("check")
    return f"the check found errors: {checked.said}" if checked is not None and checked.state == "alarm" else None


STEPS = (
    Step("ingest", _ingest, always=True),
    Step("check", _check, needs=("ingest",), looks_at_log=True),
    Step("rollout", _rollout, needs=("ingest",), looks_at_log=True),
    Step("monitor", _monitor, needs=("ingest",), looks_at_log=True),
    Step("train", _train, needs=("ingest", "check")),
    Step("evaluate", _evaluate, needs=("ingest", "train")),
    Step("promote", _promote, needs=("ingest", "evaluate")),
    Step("decide", _decide, needs=("ingest",)),
    Step("report", _report, needs=("ingest",)),
    Step("prune", _prune, needs=("ingest",)),
)
