"""What a client reads of the catalogue, the models and the service itself."""

from __future__ import annotations

from datetime import datetime

from models.actions import Intervention
from serving.answers import Answered, Probability


class CatalogueAnswer(Answered):
    """The interventions that the model in force decides among."""

    fingerprint: str
    interventions: list[Intervention]


class ShadowAnswer(Answered):
    """The challenger beside the champion: the shares of `decisions` in which band and choice agree, with 95 % intervals.

    `probability_difference` is the mean distance of their probabilities. `error` tells why it is not being asked.
    """

    version: str | None
    error: str | None
    decisions: int = 0
    band: Probability | None = None
    band_interval: tuple[float, float] | None = None
    choice: Probability | None = None
    choice_interval: tuple[float, float] | None = None
    probability_difference: Probability | None = None


class ModelInForce(Answered):
    """`error` tells why a newer champion could not be taken over, and the log of the service where it lies.

    `shadow` is null where no challenger is asked.
    """

    version: str
    grade: str
    in_use: str
    trained_at: datetime
    trained_through: datetime
    error: str | None
    shadow: ShadowAnswer | None = None


class DeadLetterAnswer(Answered):
    """A message that no attempt could deliver; `error` is the reason of the last."""

    message_id: str
    endpoint_id: str
    type: str
    created_at: datetime
    attempts: int
    error: str | None


class DeadLettersAnswer(Answered):
    """Without a `next_cursor` this is the last page."""

    dead_letters: list[DeadLetterAnswer]
    next_cursor: int | None


class Readiness(Answered):
    """`ready` where the store answers and a model is in force."""

    ready: bool
    store: str
    model: str
