"""Scores that are asked for one by one and answered together: whoever comes while others are answered shares the next turn."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from models.api_keys import holder_of
from serving.auth import admit
from serving.problems import Refusal
from serving.schemas import ScoreRequest
from serving.scoring import Outcome, Outcomes, answer_requests
from serving.service import Service
from serving.settings import wall_clock
from serving.turns import Ending, Patience, Turns

MOST_IN_A_TURN = 64
PATIENCE = Patience(most=0.003, pause=0.0005)


@dataclass(frozen=True)
class Posed:
    """A request of its own, made with the key `key_id`; or with a `secret`, whose holder is admitted when its turn comes.

    To look the key up before would be a turn of its own. `state` is the request's, where it is noted who made it.
    """

    request: ScoreRequest
    key_id: str = ""
    secret: str = ""
    state: MutableMapping[str, Any] = field(default_factory=dict)


def score_turns(service: Service) -> Turns[Posed, Outcome]:
    """Requests that come at the same time are read, decided and kept together, each as it would be alone."""

    def serve(posed: Sequence[Posed], ending: Ending) -> list[Outcome]:
        entry = _entry(service, posed)
        requests = {index: one.request for index, one in enumerate(posed) if index not in entry.refused}
        outcomes = entry.refused | (answer_requests(service, entry.key_id, requests, ending) if requests else {})
        return [outcomes[index] for index in range(len(posed))]

    return Turns(
        serve,
        most=MOST_IN_A_TURN,
        patience=PATIENCE,
        together=lambda one: (one.key_id, one.secret),
        apart=lambda one: one.request.member_id,
    )


class _Entry(NamedTuple):
    """The key with which a turn is made, and those whom it does not admit."""

    key_id: str
    refused: Outcomes


def _entry(service: Service, posed: Sequence[Posed]) -> _Entry:
    """All of one key. Raises StoreUnavailable."""
    key_id, secret = posed[0].key_id, posed[0].secret
    refused: Outcomes = {}
    if not secret:
        return _Entry(key_id, refused)
    holder = holder_of(service.store, secret, now=wall_clock())
    for index, one in enumerate(posed):
        try:
            key_id = admit(service, holder, secret, "score", one.state).key_id
        except Refusal as refusal:
            refused[index] = refusal
    return _Entry(key_id, refused)
