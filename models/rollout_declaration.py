"""From where on a running roll-out is an alarm, and what is done then, as it is declared."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.declared import Declared, Share


class Guardrails(Declared):
    """Members of the challenger against those of the champion; harm is shown where the whole interval lies beyond.

    `retention`: share of members fewer who stay, `refusals` and `opt_outs`: share of members more who refuse a contact, or contacts as
    such, `contacts` and `cost`: contacts and money more for each member; null where more of it is no harm. With `roll_back` the night ends
    a roll-out that shows harm. `margin`: it may be finished where at most so small a share of members fewer can be staying; with 0 a gain
    must be shown.
    """

    roll_back: bool = False
    margin: Share = 0.0
    retention: Share = 0.0
    refusals: Share = 0.0
    opt_outs: Share = 0.0
    contacts: Annotated[float, Field(ge=0)] | None = None
    cost: Annotated[float, Field(ge=0)] | None = None
