"""A large ingested log with a heavy-tailed activity, made from a fixed seed, and the community that reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from models.community import DAY_US, Community
from models.events import EventLog

SHARES = {"post": 0.08, "comment": 0.15, "reaction": 0.30, "read": 0.40, "purchase": 0.05, "service": 0.02}
DAYS = 365
BEGIN_US = 20_089 * DAY_US
END_US = BEGIN_US + DAYS * DAY_US


def community() -> Community:
    label = {"en": "x", "zh": "x"}
    action = {"id": "call", "label": label, "category": "service", "lever": "care", "channels": ["phone"]}
    return Community.model_validate(
        {
            "name": "benchmark",
            "timezone": "Asia/Shanghai",
            "log": {"path": "log.parquet", "member": "member", "time": "time", "type": "type"},
            "signals": [
                {"name": name, "event_types": [name], "label": label, "value": "money" if name == "purchase" else "none"} for name in SHARES
            ],
            "lifecycle": {"tiers": [{"name": "base", "min_contributions": 0, "value": 1, "label": label}]},
            "interventions": [{**action, "cost": 1, "starting_uplift": 0.01, "starting_evidence": 100}],
        }
    )


def write_log(folder: Path, n_events: int, n_members: int) -> None:
    """At least one event each; the rest by a log-normal activity (sigma 1.5: the busiest percent makes a sixth of all events)."""
    rng = np.random.default_rng(7)
    activity = rng.lognormal(0, 1.5, n_members)
    lengths = rng.multinomial(n_events - n_members, activity / activity.sum()) + 1
    at = BEGIN_US + rng.integers(0, DAYS * DAY_US, n_events)
    member = np.repeat(np.arange(n_members, dtype=np.uint32), lengths)
    code = rng.choice(len(SHARES), n_events, p=list(SHARES.values())).astype(np.uint32)
    price = np.round(rng.gamma(2, 30, n_events), 2)
    events = pl.DataFrame({"member": member, "timestamp": at[np.lexsort((at, member))]}).select(
        "member",
        pl.col("timestamp").cast(pl.Datetime("us", "UTC")),
        type=pl.Series(list(SHARES), dtype=pl.Categorical).gather(pl.Series(code)),
        value=pl.Series(np.where(code == list(SHARES).index("purchase"), price, np.nan)).fill_nan(None),
        channel=pl.lit("app"),
        event_id=pl.int_range(n_events).cast(pl.String),
    )
    joined = pl.Series("joined", np.full(n_members, BEGIN_US)).cast(pl.Datetime("us", "UTC"))
    EventLog(events, pl.DataFrame({"member_id": [f"m{i:08d}" for i in range(n_members)], "joined": joined})).write(folder)
