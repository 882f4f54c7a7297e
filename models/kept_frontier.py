"""What budgets would bring, as the latest run over all members found it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from models.intervals import Estimate
from models.moments import EPOCH, microseconds
from models.plan_figures import ArmOutlook, Outlook

if TYPE_CHECKING:
    from models.store import Store

NAME = "frontier"


@dataclass(frozen=True)
class KeptFrontier:
    """`points` by rising budget, the last without one."""

    as_of: datetime
    points: tuple[Outlook, ...]


def keep_frontier(store: Store, as_of: datetime, points: tuple[Outlook, ...]) -> None:
    """Raises StoreUnavailable."""
    store.keep_figures(NAME, microseconds(as_of), json.dumps([asdict(point) for point in points]))


def kept_frontier(store: Store) -> KeptFrontier | None:
    """None before the first run. Raises StoreUnavailable."""
    figures = store.figures(NAME)
    if figures is None:
        return None
    told: list[dict[str, Any]] = json.loads(figures.body)
    return KeptFrontier(EPOCH + timedelta(microseconds=figures.as_of_us), tuple(_outlook(point) for point in told))


def _outlook(told: dict[str, Any]) -> Outlook:
    return Outlook(**told | {"arms": tuple(_arm(arm) for arm in told["arms"]), "kept": Estimate(**told["kept"])})


def _arm(told: dict[str, Any]) -> ArmOutlook:
    blocked = tuple((rule, members) for rule, members in told["blocked"])
    estimates = {name: Estimate(**told[name]) for name in ("net_value", "saved")}
    return ArmOutlook(**told | estimates | {"blocked": blocked})
