"""Read-outs of all experiments as the store keeps them: made by a command or by the service, shown until they are made anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

from models.experiments import Record, read_experiments
from models.intervals import Estimate
from models.moments import EPOCH, microseconds
from models.read_out import Lift, RatioCheck, ReadOut, Sources
from models.statements import statement_of

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.store import Store

NAME = "experiments"


@dataclass(frozen=True)
class KeptReadOuts:
    """`mark`: of what the store held when the reading began, as `WholeLogStore.log_mark` gives it; `declaration` that they were read by."""

    read_at: datetime
    mark: str
    declaration: str
    read_outs: tuple[ReadOut, ...]

    def to_json(self) -> str:
        return json.dumps({"mark": self.mark, "declaration": self.declaration, "read_outs": [one.to_dict() for one in self.read_outs]})

    @classmethod
    def from_json(cls, text: str, read_us: int) -> Self:
        told: dict[str, Any] = json.loads(text)
        read = tuple(_read_out(one) for one in told["read_outs"])
        return cls(EPOCH + timedelta(microseconds=read_us), told["mark"], told["declaration"], read)


def declaration_mark(community: Community) -> str:
    """Another one as soon as anything in the declaration changes."""
    return sha256(community.model_dump_json().encode()).hexdigest()[:16]


def kept_read_outs(store: Store, community: Community) -> KeptReadOuts | None:
    """None where they were never read by this declaration."""
    figures = store.figures(NAME)
    if figures is None:
        return None
    kept = KeptReadOuts.from_json(figures.body, figures.as_of_us)
    return kept if kept.declaration == declaration_mark(community) else None


def is_stale(kept: KeptReadOuts, store: Store) -> bool:
    """Whether anything came after the reading began."""
    return kept.mark != store.log_mark()


def read_and_keep(store: Store, community: Community, now: datetime, read_at: datetime) -> KeptReadOuts:
    """Nothing is known of `now` and later; what comes into the store meanwhile makes the result stale."""
    mark = store.log_mark()
    made = KeptReadOuts(read_at, mark, declaration_mark(community), read_experiments(Record.of(store, community, now)))
    store.keep_figures(NAME, microseconds(read_at), made.to_json())
    return made


def _read_out(told: dict[str, Any]) -> ReadOut:
    clusters = told.get("clusters")
    lifts = tuple(_lift(one) for one in told["lifts"])
    plain = {name: told[name] for name in ("id", "kind", "started_us", "ended_us", "until_us", "pace", "level")}
    return ReadOut(
        **plain,
        arms=tuple(told["arms"]),
        check=_check(told["check"]),
        lifts=lifts,
        clusters=clusters and _check(clusters),
        whole_groups=told.get("whole_groups"),
        unlike_before=told.get("unlike_before", False),
        sources=told.get("sources") and Sources(**told["sources"]),
        notes=tuple(statement_of(one) for one in told.get("notes", ())),
    )


def _check(told: dict[str, Any]) -> RatioCheck:
    return RatioCheck(tuple(told["observed"]), tuple(told["expected"]), told["p"], of_clusters=told.get("of_clusters", False))


def _lift(told: dict[str, Any]) -> Lift:
    plain: dict[str, Any] = {name: value for name, value in told.items() if name != "largest_compatible"}
    return Lift(**plain | {name: told[name] and Estimate(**told[name]) for name in ("lift", "relative")})
