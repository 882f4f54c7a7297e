"""A running roll-out read: how it stands, whether it does harm, and whether its challenger may decide for all."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.declaration import load_community
from models.errors import InputError, ModelRefused
from models.gate import GOLDEN, Requirement, Verdict
from models.moments import microseconds
from models.registry import CHAMPION
from models.rollout_reading import KeptComparison, read_and_keep
from models.rollout_wording import Asked, headline, status_dict, watched_sentences
from models.statements import AS_TOLD, Statement
from models.store import Store
from models.texts import LANGUAGES
from pipelines.ingest import canonical_log, log_fingerprint
from pipelines.loading import registry
from pipelines.promote import Force, Promotion, Shown, settle, try_promotion
from pipelines.rollout import LIVE_SECONDS, Said

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.declared import Language
    from models.rollouts import ProcessSeen, Rollout
    from models.second_opinion import Agreement
    from models.training import Progress
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class RolloutStatus:
    """`kept` is None for a roll-out that began with all members; `agreement` of both versions in the shadow."""

    rollout: Rollout
    processes: tuple[ProcessSeen, ...]
    kept: KeptComparison | None
    agreement: Agreement
    community: Community

    @property
    def refusals(self) -> tuple[ProcessSeen, ...]:
        return tuple(one for one in self.processes if one.error is not None)

    @property
    def harms(self) -> bool:
        return self.kept is not None and self.kept.comparison.verdict == "harm"

    @property
    def mismatches(self) -> bool:
        """Something beside the draw decides who is on which side."""
        return self.kept is not None and self.kept.comparison.check.mismatch

    def to_dict(self, language: Language) -> dict[str, Any]:
        """As the service answers."""
        return status_dict(self.rollout, self.processes, self.kept, self.agreement, Asked(self.community, language))


def rollout_status(workspace: Workspace, *, now: datetime) -> RolloutStatus | None:
    """Of the one that runs, else of the last; None where there never was one. What was compared is kept for the pages."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return None
    with closing(Store.open(workspace.store_url)) as store:
        newest = store.rollouts(1)
    return _status(workspace, newest[0], now) if newest else None


def _status(workspace: Workspace, rollout: Rollout, now: datetime) -> RolloutStatus:
    community = load_community(workspace.declaration)
    policy = registry(workspace).load(rollout.champion, workspace.model_cache).community.policy
    log = canonical_log(workspace, community, now=now)
    with closing(Store.open(workspace.store_url)) as store:
        store.load_parts(log.parts(), log_fingerprint(workspace.log))
        kept = read_and_keep(store, rollout, policy, community, now)
        seen = store.rollout_processes(rollout.rollout_id, microseconds(now) - int(LIVE_SECONDS * 1e6))
        agreement = store.agreement(rollout.challenger, rollout.champion)
    return RolloutStatus(rollout, tuple(seen), kept, agreement, community)


@dataclass(frozen=True)
class RolloutWatched:
    """`alarm`: harm is shown, the sides lack their sizes, or a process refused the challenger; `ended`: it was rolled back, as is declared.

    `told`: how it stands, by language; `said` in English, with what a process said that refused.
    """

    status: RolloutStatus
    told: dict[Language, str]
    said: str
    alarm: bool
    ended: bool


def watch_rollout(workspace: Workspace, *, now: datetime) -> RolloutWatched | None:
    """Rolls back what shows harm, where `rollout.roll_back` is declared. None where no roll-out runs."""
    status = rollout_status(workspace, now=now)
    if status is None or status.rollout.state != "running":
        return None
    ended = status.harms and status.community.rollout.roll_back
    if ended:
        with closing(Store.open(workspace.store_url)) as store:
            because = headline(status.rollout, status.kept, status.community, "en")
            store.end_rollout("rolled_back", microseconds(now), "keepwell", because)
    rollout, refused = status.rollout, len(status.refusals)
    told = {
        each: watched_sentences(rollout, status.kept, Asked(status.community, each), ended=ended, refused=refused) for each in LANGUAGES
    }
    said = f"{told['en']} ({status.refusals[0].error})" if refused else told["en"]
    alarm = status.harms or status.mismatches or bool(refused)
    return RolloutWatched(status, told, said, alarm, ended)


def finish(
    workspace: Workspace, said: Said, *, now: datetime, force: bool = False, seed: int = 0, progress: Progress = lambda _: None
) -> Promotion:
    """Makes the challenger of the running roll-out the champion.

    Without force it must do no harm, and either the comparison or the gate of `keepwell promote` must be for it; else ModelRefused tells
    what is missing. Raises InputError where no roll-out runs.
    """
    status = rollout_status(workspace, now=now)
    if status is None or status.rollout.state != "running":
        raise InputError(
            "no roll-out runs; `keepwell rollout start --share PERCENT` begins one, `keepwell promote` puts a version in force"
        )
    version = status.rollout.challenger
    if force:
        promotion = try_promotion(workspace, version, now=now, force=Force(said.because or ""), seed=seed, progress=progress)
    else:
        promotion = _proved(workspace, status, now=now, seed=seed, progress=progress)
    with closing(Store.open(workspace.store_url)) as store:
        store.end_rollout("finished", microseconds(now), said.by, said.because)
    return promotion


def _proved(workspace: Workspace, status: RolloutStatus, *, now: datetime, seed: int, progress: Progress) -> Promotion:
    """By the comparison where it decides, else by the gate. Raises ModelRefused."""
    rollout, verdict = status.rollout, None if status.kept is None else status.kept.comparison.verdict
    told = headline(rollout, status.kept, status.community, "en").rstrip(".")
    refused = f"version {rollout.challenger} is not put in force: {told}"
    if verdict in {"harm", "not_readable"}:
        raise ModelRefused(f"{refused}; `keepwell rollback` ends the roll-out")
    if verdict in {"better", "no_worse"}:
        shown = Shown(Verdict((GOLDEN, Requirement("rollout", met=True, said=Statement(AS_TOLD, {"said": told})))))
        return settle(workspace, Promotion(rollout.challenger, registry(workspace).version_of(CHAMPION), now, shown))
    tried = try_promotion(workspace, rollout.challenger, now=now, seed=seed, progress=progress)
    if not tried.shown.verdict.passed:
        missing = "; ".join(map(str, tried.shown.verdict.missing))
        raise ModelRefused(
            f"{refused}; nor is the gate passed: {missing}. `keepwell rollout finish --force --because TEXT` asks for no proof"
        )
    return tried
