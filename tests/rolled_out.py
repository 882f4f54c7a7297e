"""A store in which half of the members were decided on by a challenger, with what followed planted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from models.events import EventLog
from models.moments import EPOCH, microseconds
from models.policy import in_control
from models.rollouts import Planned, Rollout, Stage
from models.store import Store
from models.store_schema import decisions, touches
from tests.serving_world import DECLARED

HALF, DAY_US = 50.0, 86_400_000_000
Shares = tuple[float, float]


@dataclass(frozen=True)
class Planted:
    """Rows of members: who is the challenger's, who stayed, who refused; without those of the global control."""

    rollout: Rollout
    challenger: np.ndarray
    stayed: np.ndarray
    refused: np.ndarray


def plan_of(began: datetime, folder: str = "run/engine", seal: str = "seal") -> Planned:
    return Planned("1", "2", folder, seal, "salt", Stage(HALF, microseconds(began), "anna"))


def plant(
    store: Store,
    began: datetime,
    *,
    members: int = 2_400,
    kept: tuple[float, float] = (0.6, 0.6),
    refusing: tuple[float, float] = (0.02, 0.02),
) -> Planted:
    """All are decided on in the ten days from `began` on; `kept` and `refusing`: shares of the champion's and the challenger's members."""
    rng, ids = np.random.default_rng(7), [f"m-{number:05}" for number in range(members)]
    rollout = store.start_rollout(plan_of(began))
    mine = rollout.takes(ids, DECLARED.policy)
    side = mine.astype(int)
    stays, refuses = rng.random(members) < np.array(kept)[side], rng.random(members) < np.array(refusing)[side]
    decided = microseconds(began) + rng.integers(0, 10 * DAY_US, members)
    rows = [(name, at - 20 * DAY_US) for name, at in zip(ids, decided.tolist(), strict=True)]
    rows += [(name, at + 5 * DAY_US) for name, at, stay in zip(ids, decided.tolist(), stays, strict=True) if stay]
    rows.append((ids[0], microseconds(began) + 60 * DAY_US))
    store.load_log(_log(ids, rows, began))
    _decide(store, ids, decided.tolist(), mine, refuses)
    out = ~in_control(ids, DECLARED.policy)
    return Planted(rollout, mine[out], stays[out], refuses[out])


def _log(ids: list[str], rows: list[tuple[str, int]], began: datetime) -> EventLog:
    members = pl.DataFrame({"member_id": ids, "joined": [began - timedelta(days=100)] * len(ids)}).with_columns(
        pl.col("joined").dt.cast_time_unit("us").dt.convert_time_zone("UTC")
    )
    codes = {name: code for code, name in enumerate(ids)}
    events = pl.DataFrame(
        {
            "member": pl.Series([codes[name] for name, _ in rows], dtype=pl.UInt32),
            "timestamp": pl.Series([EPOCH + timedelta(microseconds=at) for _, at in rows]).dt.cast_time_unit("us"),
            "type": pl.Series(["post"] * len(rows), dtype=pl.Categorical),
            "value": pl.Series([None] * len(rows), dtype=pl.Float64),
            "channel": pl.Series([None] * len(rows), dtype=pl.String),
            "event_id": [f"e-{number}" for number in range(len(rows))],
        }
    )
    return EventLog(events.sort("member", "timestamp"), members)


def _decide(store: Store, ids: list[str], decided: list[int], mine: np.ndarray, refuses: np.ndarray) -> None:
    made = [
        {
            "decision_id": f"d-{name}",
            "member_id": name,
            "created_us": at,
            "model_version": "2" if one else "1",
            "chosen": "coupon",
            "body": "{}",
            "channel": "email",
            "propensities": '{"none": 0.5, "coupon": 0.5}',
        }
        for name, at, one in zip(ids, decided, mine.tolist(), strict=True)
    ]
    sent = [
        {
            "touch_id": f"t-{name}",
            "member_id": name,
            "at_us": at,
            "channel": "email",
            "intervention_id": "coupon",
            "state": "delivered",
            "response": "refused" if refused else None,
            "decision_id": f"d-{name}",
            "cost": 2.5,
            "source": "decision",
        }
        for name, at, refused in zip(ids, decided, refuses.tolist(), strict=True)
    ]
    with store.engine.begin() as connection:
        connection.execute(decisions.insert(), made)
        connection.execute(touches.insert(), sent)
