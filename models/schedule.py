"""What is done every day without a person, as it is declared."""

from __future__ import annotations

from models.declared import Declared, Share


class Schedule(Declared):
    """`deliveries`: a pattern of the files that bring a day's events, from the folder of the declaration, such as `days/*.csv`.

    A file of which more than `most_rejected` of the rows cannot be used is refused whole.
    """

    deliveries: str | None = None
    most_rejected: Share = 0.1
