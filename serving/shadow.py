"""The challenger in the shadow: it is asked, after the answer, what it would have decided, and nothing is done by it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event, Thread

from models.basis import Basis
from models.community import DAY_US
from models.engine import Engine
from models.errors import KeepwellError, NoChampion
from models.second_opinion import second_opinions
from models.store import LoggedEvent
from serving.leaving import joined
from serving.logs import LOGGER
from serving.operation_answers import ShadowAnswer
from serving.places import without_places
from serving.service import Service
from serving.settings import wall_clock

AT_ONCE = 64
ROUND_SECONDS = 1.0
"""At most sixty-four of the newest decisions each second are looked at: a few per cent of one core, however many are made."""


class Shadow:
    """Reads decisions that the store has kept; whatever goes wrong here stands in `error` and touches no answer."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopped = Event()
        self._thread = Thread(target=self._watch, name="shadow", daemon=True)
        self._engine: Engine | None = None
        self._look_up_at = wall_clock()
        self.error: str | None = "the challenger has not been looked up yet"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        joined(self._thread)

    def answer(self) -> ShadowAnswer:
        """Raises StoreUnavailable."""
        engine, champion = self._engine, self._service.models.version
        if engine is None or champion is None:
            return ShadowAnswer(version=None, error=self.error)
        found = self._service.store.agreement(engine.version, champion)
        return ShadowAnswer(version=engine.version, error=self.error, **vars(found))

    def _watch(self) -> None:
        while not self._stopped.wait(ROUND_SECONDS):
            try:
                self.round()
            except KeepwellError as error:
                self._tell(str(error))
            except Exception:  # noqa: BLE001 - nothing that a challenger does may end the thread
                LOGGER.exception("the challenger could not be asked")
                self.error = "the challenger could not be asked; the log of the service tells why"

    def _tell(self, why: str) -> None:
        settings = self._service.settings
        shown = without_places(why, settings.mlflow_uri, settings.model_cache)
        if shown != self.error:
            LOGGER.info("challenger not asked", why=why)
        self.error = shown

    def round(self) -> None:
        """Raises NoChampion where there is no challenger, ModelRefused, RegistryUnavailable, StoreUnavailable."""
        if wall_clock() >= self._look_up_at:
            self._look_up()
        if self._engine is not None:
            self._ask(self._engine)

    def _look_up(self) -> None:
        found = None
        self._look_up_at = wall_clock() + timedelta(seconds=self._service.settings.model_seconds)
        try:
            found = self._challenger()
            self.error = None
        finally:
            self._engine = found

    def _challenger(self) -> Engine:
        engine = self._service.models.challenger(self._engine)
        if engine.version == self._service.models.version:
            raise NoChampion(f"the challenger, version {engine.version}, is the champion; `keepwell train` makes another")
        return engine

    def _ask(self, engine: Engine) -> None:
        store = self._service.store
        made = store.claim_for_shadow(engine.version, AT_ONCE)
        if not made:
            return
        known = store.known(one.member_id for one in made)
        made = [one for one in made if one.member_id in known]
        members = sorted({one.member_id for one in made})
        added = [LoggedEvent(**event) for one in made for event in Basis.from_json(one.basis).added]
        since_us = min((one.created_us for one in made), default=0) - engine.community.lookback_days * DAY_US
        if members:
            events = store.history(members, since_us, engine.community, added)
            found = second_opinions(engine, events, made, {name: row for row, name in enumerate(members)})
            store.keep_shadows(engine.version, {one.decision_id: (one.opinion, found[one.decision_id]) for one in made})
