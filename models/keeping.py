"""How long the store keeps what nobody needs for ever, as it is declared."""

from __future__ import annotations

from models.declared import Declared, PositiveDays


class Keeping(Declared):
    """`answers_days`: a request that comes again under its id gets the stored answer for so long, and is a new one after that.

    `traces_days`: the whole trace of a decision can be read and made again for so long, then it goes to the archive; who was assigned
    what with which probabilities stays. `events_days`: older events go to the archive; None keeps all.
    """

    answers_days: PositiveDays = 30
    traces_days: PositiveDays = 90
    events_days: PositiveDays | None = None
