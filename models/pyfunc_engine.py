"""An Engine as an MLflow pyfunc, for `mlflow models serve` and Spark: members with their events in, risks out."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from models.attributes import attributes_from_json
from models.engine_files import load_engine
from models.errors import InputError
from models.events import NEVER_US
from models.moments import microseconds
from models.signal_columns import SignalColumns, grouped_arrays
from models.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    from mlflow.pyfunc.model import PythonModelContext

    from models.engine import Engine


class EngineModel(PythonModel):
    """Input columns: member_id, as_of, joined (ISO 8601 with an offset), events (a list of {type, timestamp, value}, or that as JSON).

    Timestamps are texts as `as_of` is; where the cell of `events` is missing there is none. Where the model reads attributes also
    `attributes`, a JSON object; both the column and a cell may be missing.
    """

    engine: Engine

    def load_context(self, context: PythonModelContext) -> None:
        self.engine = load_engine(Path(context.artifacts["engine"]))

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002 - the signature is MLflow's
        rows = [_told(position, given) for position, given in enumerate(model_input["events"])]
        return self._scores(model_input, [row for told in rows for row in told])

    def _scores(self, members: pd.DataFrame, rows: list[tuple[str, int, str, float | None]]) -> pd.DataFrame:
        community = self.engine.community
        joined = [_moment(text) for text in members["joined"]]
        row_of = {str(position): position for position in range(len(members))}
        ends = np.full(len(members), NEVER_US)
        for position, at, kind, _ in rows:
            if kind == community.churn.contract_event:
                ends[int(position)] = min(ends[int(position)], at)
        events = grouped_arrays(SignalColumns.of(rows, row_of, community.signal_of_type), joined, ends, self._attributes(members))
        as_of = np.array([_moment(text) for text in members["as_of"]], dtype=np.int64)
        scores = self.engine.score(events, Snapshots(np.arange(len(members)), as_of, events.joined_us))
        told: dict[str, Any] = {"member_id": members["member_id"].to_numpy(), "status": scores.status}
        scored = scores.status == "scored"
        for column, days in enumerate(self.engine.churn.horizons_days):
            told[f"churn_probability_{days}d"] = np.where(scored, scores.probability[:, column], np.nan)
        return pd.DataFrame(told)

    def _attributes(self, members: pd.DataFrame) -> pl.DataFrame | None:
        given = members["attributes"] if "attributes" in members else [None] * len(members)
        names = [attribute.name for attribute in self.engine.attributes.attributes]
        return attributes_from_json([text if isinstance(text, str) else None for text in given], names)


def _told(position: int, given: object) -> list[tuple[str, int, str, float | None]]:
    """(row, microseconds, type, value) of each event; raises InputError."""
    try:
        return [(str(position), _moment(event["timestamp"]), event["type"], _value(event)) for event in _listed(given)]
    except (ValueError, TypeError, KeyError) as fault:
        form = '[{"type": "post", "timestamp": "2026-01-31T09:00:00+08:00", "value": null}]'
        message = f"row {position}: events must be JSON such as {form}, or a list of the same ({type(fault).__name__}: {fault})"
        raise InputError(message) from None


def _listed(given: object) -> Iterable[dict[str, Any]]:
    """A text is JSON; Spark's arrays of structs are arrays of dicts; where nothing is given pandas has None or NaN."""
    if isinstance(given, str):
        listed: list[dict[str, Any]] = json.loads(given)
        return listed
    return given if isinstance(given, (list, np.ndarray)) else ()


def _value(event: dict[str, Any]) -> float | None:
    value = event.get("value")
    return None if value is None else float(value)


def _moment(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        at = None
    if at is None or at.tzinfo is None:
        message = f'"{text}" is no time with an offset from UTC; write it as 2026-01-31T09:00:00+08:00'
        raise InputError(message)
    return microseconds(at)


set_model(EngineModel())
