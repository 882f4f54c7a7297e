"""Plans for whoever asks: the ground of the latest run, read once, and what was found out about an audience, kept for the next question."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from models.moments import microseconds
from models.plan_figures import Outlook
from models.plan_ground import Crowd, PlanGround
from models.quotas import left_of, limits_of, period_begin_us
from models.simulated_plan import Question, Simulated, frontier_of, simulate_plan
from serving.problems import NO_RUN, Refusal
from serving.schemas import AudienceRequest

if TYPE_CHECKING:
    from models.community import Community
    from models.store import Store
    from serving.settings import Clock

REMEMBERED, STRATA_REMEMBERED, FEWEST = 64, 300_000, 4
"""Answers, and strata of all answers that hold strata; some 600 bytes each."""
Found = TypeVar("Found")


class Kept(Generic[Found]):
    """The latest answers by what was asked; any thread may ask."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._answers: OrderedDict[str, Found] = OrderedDict()
        self._lock = Lock()

    def get(self, asked: str, find: Callable[[], Found]) -> Found:
        with self._lock:
            if asked in self._answers:
                self._answers.move_to_end(asked)
                return self._answers[asked]
        found = find()
        with self._lock:
            self._answers[asked] = found
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return found


@dataclass(frozen=True)
class Ground:
    """As it lies in the store under `key`, with what was found out on it."""

    key: int
    ground: PlanGround
    crowds: Kept[Crowd]
    frontiers: Kept[tuple[Outlook, ...]]
    plans: Kept[Simulated]

    @classmethod
    def read(cls, key: int, body: bytes) -> Self:
        ground = PlanGround.from_bytes(body)
        most = min(REMEMBERED, max(FEWEST, STRATA_REMEMBERED // max(1, len(ground.strata))))
        return cls(key, ground, Kept(most), Kept(), Kept(most))


@dataclass(frozen=True)
class Asked:
    """One question about one audience."""

    audience: AudienceRequest
    question: Question

    def name(self, *, budget: bool = True) -> str:
        question = self.question if budget else replace(self.question, capacity=self.question.capacity.model_copy(update={"budget": None}))
        return f"{self.audience.model_dump_json()}{question}"


class PlanDesk:
    """One for each process."""

    def __init__(self, store: Callable[[], Store], community: Community, clock: Clock) -> None:
        self._store = store
        self._community = community
        self._declared = community.capacity
        self._clock = clock
        self._ground: Ground | None = None
        self._ready: int | None = None
        self._lock = Lock()

    def ground(self) -> Ground:
        """Raises StoreUnavailable, and Refusal before the first run."""
        with self._lock:
            key = self._store().ground_key()
            if key is not None and (self._ground is None or self._ground.key != key):
                body = self._store().ground(key)
                self._ground = None if body is None else Ground.read(key, body)
            if key is None or self._ground is None:
                raise Refusal(NO_RUN, "`keepwell decide` looks at all members and makes plans on them possible")
            return self._ground

    def make_ready(self) -> None:
        """Plans for everyone where a newer run lies in the store, so that nobody who asks waits for it. Raises StoreUnavailable."""
        key = self._store().ground_key()
        if key is not None and key != self._ready:
            with suppress(Refusal):
                self.plan(Asked(AudienceRequest(), Question()))
            self._ready = key

    def plan(self, asked: Asked) -> Simulated:
        """Nobody is weighed for it. Raises StoreUnavailable, and InputError for an intervention or channel that there is not."""
        ground, used = self.ground(), self.used()
        return ground.plans.get(f"{asked.name()}{used}", lambda: self._plan(ground, asked, used))

    def used(self) -> dict[str, float]:
        """What the running period has no more of, by resource, of what is declared. Raises StoreUnavailable."""
        if not limits_of(self._declared):
            return {}
        now = self._clock()
        return self._store().used(period_begin_us(now, self._declared.period_days, self._community), microseconds(now))

    def _plan(self, ground: Ground, asked: Asked, used: dict[str, float]) -> Simulated:
        terms, crowd, left = ground.ground.terms, self.crowd(ground, asked.audience), left_of(self._declared, used)
        found = f"{asked.name(budget=False)}{used}"
        frontier = ground.frontiers.get(found, lambda: frontier_of(terms, crowd, asked.question, left))
        return simulate_plan(terms, crowd, asked.question, self._declared, frontier, used)

    def crowd(self, ground: Ground, audience: AudienceRequest) -> Crowd:
        """Of members who are named the rows are read."""
        return ground.crowds.get(audience.model_dump_json(), lambda: self._crowd(ground, audience))

    def _crowd(self, ground: Ground, audience: AudienceRequest) -> Crowd:
        if audience.member_ids is None:
            return ground.ground.crowd(audience.filter)
        rows = self._store().named_ground_members(ground.key, list(dict.fromkeys(audience.member_ids)))
        return ground.ground.crowd_of(rows, audience.filter)
