"""Plans for whoever asks: the ground of the latest run, read once, and what was found out about an audience, kept for the next question."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from models.plan_figures import Outlook
from models.plan_ground import Crowd, PlanGround
from models.simulated_plan import Question, Simulated, frontier_of, simulate_plan
from models.supply import Capacity
from serving.problems import NO_RUN, Refusal
from serving.schemas import AudienceRequest

if TYPE_CHECKING:
    from models.store import Store

REMEMBERED = 64
Found = TypeVar("Found")


class Kept(Generic[Found]):
    """The latest answers by what was asked; any thread may ask."""

    def __init__(self) -> None:
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
            while len(self._answers) > REMEMBERED:
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

    def __init__(self, store: Callable[[], Store], declared: Capacity) -> None:
        self._store = store
        self._declared = declared
        self._ground: Ground | None = None
        self._lock = Lock()

    def ground(self) -> Ground:
        """Raises StoreUnavailable, and Refusal before the first run."""
        with self._lock:
            key = self._store().ground_key()
            if key is not None and (self._ground is None or self._ground.key != key):
                body = self._store().ground(key)
                self._ground = None if body is None else Ground(key, PlanGround.from_bytes(body), Kept(), Kept(), Kept())
            if key is None or self._ground is None:
                raise Refusal(NO_RUN, "`keepwell decide` looks at all members and makes plans on them possible")
            return self._ground

    def plan(self, asked: Asked) -> Simulated:
        """Nobody is weighed for it. Raises StoreUnavailable, and InputError for an intervention or channel that there is not."""
        ground = self.ground()
        return ground.plans.get(asked.name(), lambda: self._plan(ground, asked))

    def _plan(self, ground: Ground, asked: Asked) -> Simulated:
        terms, crowd = ground.ground.terms, self.crowd(ground, asked.audience)
        frontier = ground.frontiers.get(asked.name(budget=False), lambda: frontier_of(terms, crowd, asked.question, self._declared))
        return simulate_plan(terms, crowd, asked.question, self._declared, frontier)

    def crowd(self, ground: Ground, audience: AudienceRequest) -> Crowd:
        """Of members who are named the rows are read."""
        return ground.crowds.get(audience.model_dump_json(), lambda: self._crowd(ground, audience))

    def _crowd(self, ground: Ground, audience: AudienceRequest) -> Crowd:
        if audience.member_ids is None:
            return ground.ground.crowd(audience.filter)
        rows = self._store().named_ground_members(ground.key, list(dict.fromkeys(audience.member_ids)))
        return ground.ground.crowd_of(rows, audience.filter)
