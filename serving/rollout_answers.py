"""The roll-out that runs, as the service answers it: the same as `keepwell rollout status --json`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from models.declared import Language
from models.moments import microseconds
from models.rollout_comparison import RowVerdict, Verdict
from models.rollout_reading import kept_comparison
from models.rollout_wording import Asked, none_running, status_dict
from models.rollouts import Rollout, State
from serving.rollouts import LIVE_SECONDS
from serving.service import Service
from serving.settings import wall_clock

Interval = tuple[float, float]


class StageAnswer(BaseModel):
    """`share` in per cent, from `since` on."""

    share: float
    since: datetime
    by: str
    because: str | None


class RolloutAnswer(BaseModel):
    """Versions, and the share of the members, in per cent, for whom the challenger decides; 0 where it has ended."""

    rollout_id: int
    champion: str
    challenger: str
    state: State
    share: float
    stages: list[StageAnswer]
    ended_at: datetime | None
    ended_by: str | None
    ended_because: str | None


class ProcessAnswer(BaseModel):
    """The share that a process of the service goes by; `refused` tells why it did not load the challenger."""

    process: str
    share: float
    refused: str | None


class RatioAnswer(BaseModel):
    p: float
    mismatch: bool
    text: str


class RowAnswer(BaseModel):
    """The challenger's mean less the champion's, over `days` from a member's first decision on, 0 for all since then."""

    name: str
    label: str
    days: int
    members: int
    champion_members: int
    mean: float | None
    champion_mean: float | None
    difference: float | None
    interval: Interval | None
    tolerance: float | None
    members_needed: int | None
    days_needed: int | None
    verdict: RowVerdict
    text: str


class ComparisonAnswer(BaseModel):
    """Of the stage that began at `since`. `members` and `followed`: of the champion, of the challenger.

    All intervals hold together with `level`, however often they are read. `followed`: the share of the decisions on a side's members that
    its own version made.
    """

    read_at: datetime
    share: float
    since: datetime
    until: datetime
    level: float
    members: tuple[int, int]
    sample_ratio: RatioAnswer
    followed: tuple[float | None, float | None]
    followed_text: str
    verdict: Verdict
    rows: list[RowAnswer]


class AgreementAnswer(BaseModel):
    """In the shadow: the shares of `decisions` in which both versions agree."""

    decisions: int
    band: float | None
    band_interval: Interval | None
    choice: float | None
    choice_interval: Interval | None
    probability_difference: float | None


class CurrentRolloutAnswer(BaseModel):
    """`rollout` is null where none runs, and `text` tells how the last one ended; `comparison` where nothing was compared yet."""

    rollout: RolloutAnswer | None
    text: str
    verdict_text: str = ""
    todo: str = ""
    processes: list[ProcessAnswer] = Field(default_factory=list)
    comparison: ComparisonAnswer | None = None
    shadow: AgreementAnswer | None = None


def current_rollout(service: Service, language: Language | None) -> CurrentRolloutAnswer:
    """Raises StoreUnavailable."""
    newest, asked = service.store.rollouts(1), Asked(service.community, language or service.community.language)
    if newest and newest[0].state == "running":
        return rollout_answer(service, newest[0], asked.language)
    last = newest[0] if newest else None
    kept = None if last is None else kept_comparison(service.store, last)
    return CurrentRolloutAnswer(rollout=None, text=none_running(last, kept, asked))


def rollout_answer(service: Service, rollout: Rollout, language: Language) -> CurrentRolloutAnswer:
    store, since_us = service.store, microseconds(wall_clock() - timedelta(seconds=LIVE_SECONDS))
    told: dict[str, Any] = status_dict(
        rollout,
        store.rollout_processes(rollout.rollout_id, since_us),
        kept_comparison(store, rollout),
        store.agreement(rollout.challenger, rollout.champion),
        Asked(service.community, language),
    )
    return CurrentRolloutAnswer.model_validate(told)
