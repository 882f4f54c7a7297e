"""Who may have an intervention, as it is declared."""

from __future__ import annotations

from models.declared import Declared, Share, Stage, Tag


class Eligibility(Declared):
    """May this member have it at all? Every given rule must hold, bounds included; of `tags` one suffices. One left out does not bind."""

    stages: tuple[Stage, ...] | None = None
    tiers: tuple[str, ...] | None = None
    tags: tuple[Tag, ...] | None = None
    min_tenure_days: float | None = None
    max_tenure_days: float | None = None
    min_days_silent: float | None = None
    max_days_silent: float | None = None
    min_churn_probability: Share | None = None
    min_value: float | None = None
