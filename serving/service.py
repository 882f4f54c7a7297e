"""What the routes stand on: settings, clock, store, community and the model in force."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event
from typing import Annotated, cast

from fastapi import Depends, Request

from models.api_keys import Principal, holders_of
from models.community import Community
from models.declared import Language
from models.engine import Engine
from models.errors import KeepwellError
from models.moments import microseconds
from models.quotas import ROUNDING, Quotas
from models.store import LoggedEvent, Store
from models.texts import listed, text
from serving.latest_run import LatestRun
from serving.logs import LOGGER
from serving.measurers import Measurers
from serving.model_source import ModelSource
from serving.places import without_places
from serving.plan_desk import PlanDesk
from serving.problems import Fault
from serving.rates import Rates
from serving.read_outs import ReadOutReader
from serving.rollouts import Decider, Part, RolloutWatch, parts_of
from serving.settings import Clock, Settings, wall_clock
from serving.turns import Turns

MOST_LOOKED_UP = 1000
NewId = Callable[[], str]


class Service:
    """One for each process. The store is opened when it is first asked for, and again after a failure.

    `community` is what is declared now; a model decides by the declaration that it was trained with. `job_asked` is set where a decision
    job waits to be taken up, `stopping` where one under way is to be left. `new_id` names decisions: nobody may foresee it, for the draw
    follows from it.
    """

    def __init__(self, settings: Settings, community: Community, models: ModelSource, clock: Clock, new_id: NewId | None = None) -> None:
        self.settings = settings
        self.community = community
        self.models = models
        self.clock = clock
        self.new_id = new_id or (lambda: decision_id(wall_clock()))
        self.job_asked = Event()
        self.stopping = Event()
        self.rollouts = RolloutWatch(lambda: self.store, models, settings.mlflow_uri, settings.model_cache)

    @cached_property
    def store(self) -> Store:
        store = Store.open(self.settings.store_url, wait_seconds=self.settings.store_seconds)
        try:
            self._count_places(store)
        except KeepwellError:
            store.close()
            raise
        return store

    def _count_places(self, store: Store) -> None:
        """What the running period has seen before its limits were declared counts too. Raises StoreUnavailable."""
        quotas = Quotas.of(self.community.capacity, self.community, self.clock())
        for resource, told in store.count_anew(quotas).items():
            limit = quotas.limits[resource]
            if told.now > told.before + ROUNDING:
                LOGGER.info("counted what the period has used before", of=resource, used=told.now, limit=limit)
            if told.now > limit + ROUNDING:
                LOGGER.warning("the period has used more than its limit", of=resource, used=told.now, limit=limit)

    @cached_property
    def latest_run(self) -> LatestRun:
        return LatestRun(lambda: self.store)

    @cached_property
    def plan_desk(self) -> PlanDesk:
        return PlanDesk(lambda: self.store, self.community, self.clock)

    @cached_property
    def read_outs(self) -> ReadOutReader:
        return ReadOutReader(self)

    @cached_property
    def holders(self) -> Turns[str, Principal | None]:
        """Who has a secret, looked up after it came: one query serves all requests that came while the one before was made."""
        return Turns(lambda secrets_, _: holders_of(self.store, secrets_, now=wall_clock()), most=MOST_LOOKED_UP)

    @cached_property
    def measurers(self) -> Measurers:
        return Measurers()

    @cached_property
    def rates(self) -> Rates:
        return Rates(self.settings.rate_limit, self.settings.workers)

    def ping(self) -> None:
        """Raises StoreUnavailable."""
        self.store.ping()

    def open_store(self) -> None:
        """Before MLflow looks for tables of its own: Alembic, which both bring theirs up with, knows one task in a process at a time."""
        with suppress(KeepwellError):
            self.ping()

    @cached_property
    def event_types(self) -> frozenset[str]:
        ending = self.community.churn.contract_event
        return frozenset(self.community.signal_of_type) | ({ending} if ending else frozenset())

    def engine(self) -> Engine:
        """Raises NoChampion."""
        return self.models.engine()

    @property
    def champion_fault(self) -> str | None:
        """Why the engine in force is not the registry's champion, without places of this machine; None where it is."""
        why, settings = self.models.error, self.settings
        return None if why is None else without_places(why, settings.mlflow_uri, settings.model_cache)

    def deciders(self, member_ids: Sequence[str]) -> tuple[Part, ...]:
        """Which engine decides for whom; raises NoChampion."""
        return parts_of(self.rollouts.share, self.models.engine(), member_ids)

    def decider(self, member_id: str) -> Decider:
        """Raises NoChampion."""
        return self.deciders([member_id])[0].by

    def close(self) -> None:
        self.models.stop()
        with suppress(KeepwellError):
            self.rollouts.stop()
        self.holders.close()
        self.read_outs.stop()
        if "store" in self.__dict__:
            self.store.close()

    def fault_of(self, event: LoggedEvent, now: datetime, language: Language = "en") -> Fault | None:
        """Why an event that is well formed is refused all the same: its type, or its time."""
        if event.type not in self.event_types:
            known = listed(language, sorted(self.event_types))
            return Fault(code="unknown_event_type", detail=text(language, "warning.unknown_event_type", type=event.type, known=known))
        return self.future_fault(event.timestamp_us, now, language)

    def channel_faults(self, channel: str | None, language: Language) -> list[Fault]:
        """Of a conversation on a channel that the community does not have: nothing can go on there."""
        if channel is None or channel in self.community.channels:
            return []
        detail = text(language, "warning.unknown_channel", channel=channel, known=listed(language, list(self.community.channels)))
        return [Fault(pointer="/context/channel", code="unknown_channel", detail=detail)]

    def future_fault(self, at_us: int, now: datetime, language: Language = "en") -> Fault | None:
        latest = now + timedelta(seconds=self.settings.future_seconds)
        if at_us > microseconds(latest):
            return Fault(code="future_timestamp", detail=text(language, "warning.future_timestamp", latest=latest.isoformat()))
        return None


def decision_id(at: datetime) -> str:
    """The millisecond, twelve hexadecimal digits, and 80 random bits: what is decided together lies together in every index of ids."""
    return f"{microseconds(at) // 1000:012x}{secrets.token_hex(10)}"


async def _current(request: Request) -> Service:
    return cast("Service", request.app.state.service)


CurrentService = Annotated[Service, Depends(_current)]
