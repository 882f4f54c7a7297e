"""Decisions on a whole community as one flat table, without an object for each member."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.community import DAY_US
from models.declared import STAGES, TAGS
from models.eligibility import OPTED_OUT
from models.moments import microseconds
from models.weighing import BANDS, NOWHERE, Context, Weighed, risk_bands, weigh

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.community import Community
    from models.engine import Engine
    from models.events import EventArrays
    from models.interventions import ContactHistory
    from models.snapshots import Snapshots


def decide_table(
    engine: Engine,
    events: EventArrays,
    snapshots: Snapshots,
    member_ids: Sequence[str],
    decision_ids: Sequence[str],
    contacts: ContactHistory,
    *,
    as_of: datetime,
    context: Context = NOWHERE,
) -> pl.DataFrame:
    """What `table_of` tells of what `weigh` finds."""
    weighed = weigh(engine, events, snapshots, member_ids, decision_ids, contacts, as_of=as_of, context=context)
    return table_of(engine, weighed, member_ids, decision_ids, as_of)


def table_of(engine: Engine, weighed: Weighed, member_ids: Sequence[str], decision_ids: Sequence[str], as_of: datetime) -> pl.DataFrame:
    """One row for each member that was weighed, of the same numbers as `decide`; null where a number does not exist.

    Text columns that hold several names separate them by commas, so that the table can be written as CSV: `tags`, and `ranked`, all
    allowed interventions by priority. The columns uplift ... propensity without a name tell of what was chosen. For each
    intervention follow `uplift_<id>`, `priority_<id>`, `shadow_price_<id>` (what a plan charges), `propensity_<id>`, and `removed_<id>`,
    "stage:rule" or null.
    """
    ids = {
        "decision_id": pl.Series(decision_ids, dtype=pl.String),
        "member_id": pl.Series(member_ids, dtype=pl.String),
        "as_of": pl.repeat(as_of.astimezone(UTC), len(member_ids), dtype=pl.Datetime("us", "UTC"), eager=True),
    }
    columns = (
        _risk(engine, weighed) | _member(engine, weighed) | _choice(engine.community, weighed, as_of) | _arms(engine.community, weighed)
    )
    return pl.DataFrame(ids | columns).with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def table_of_traces(bodies: Sequence[str], interventions: Sequence[str]) -> pl.DataFrame:
    """`chosen`, and by intervention `propensity_<id>` and `removed_<id>`, of decisions as the store keeps them, JSON; in their order.

    An intervention that does not admit such a member is no candidate; what keeps it away is the member's status.
    """
    told = pl.Series([*bodies], dtype=pl.String).str.json_decode(_TRACE).struct.unnest()
    is_of = pl.element().struct.field("intervention_id")

    def of(name: str, field: str) -> pl.Expr:
        return pl.col("candidates").list.filter(is_of == name).list.first().struct.field(field)

    columns = [of(NO_ACTION, "probability").alias("propensity_none")]
    for name in interventions:
        status = pl.concat_str(pl.lit("eligibility:"), pl.col("churn").struct.field("status"))
        unfit = pl.when(of(name, "intervention_id").is_null()).then(status)
        removed = pl.coalesce(pl.concat_str(of(name, "removed_at"), of(name, "rule"), separator=":"), unfit)
        columns += [of(name, "probability").alias(f"propensity_{name}"), removed.alias(f"removed_{name}")]
    return told.select("chosen", *columns)


_TRACED = {"intervention_id": pl.String, "probability": pl.Float64, "removed_at": pl.String, "rule": pl.String}
_TRACE = pl.Struct({"chosen": pl.String, "churn": pl.Struct({"status": pl.String}), "candidates": pl.List(pl.Struct(_TRACED))})


def _risk(engine: Engine, weighed: Weighed) -> dict[str, object]:
    scored = weighed.scored
    horizons = np.where(scored[:, None], weighed.scores.probability, np.nan)
    bands = risk_bands(weighed.probability, engine.reference.band_edges)
    return {
        "status": weighed.scores.status,
        "churn_probability": weighed.probability,
        **{f"churn_probability_{days}d": horizons[:, at] for at, days in enumerate(engine.community.churn.horizons_days)},
        "churn_percentile": weighed.percentile,
        "risk_band": _named((*BANDS, None), np.where(scored, bands, len(BANDS))),
    }


def _member(engine: Engine, weighed: Weighed) -> dict[str, object]:
    """Null for members who switched personalisation off."""
    lifecycles, scores = weighed.lifecycles, weighed.scores
    columns: dict[str, pl.Series | Floats] = {
        "stage": _named(STAGES, lifecycles.stage),
        "tier": _named(lifecycles.tiers, lifecycles.tier),
        "tags": _named(_TAG_SETS, lifecycles.tags @ (1 << np.arange(len(TAGS)))),
        "value": scores.value,
        "value_at_risk": weighed.probability * scores.value,
        "tenure_days": lifecycles.tenure_days,
        "days_silent": scores.features[:, engine.spec.position("days_since_any")],
    }
    withheld = pl.Series(scores.status == OPTED_OUT)
    return {name: pl.Series(column).set(withheld, None) for name, column in columns.items()}


def _choice(community: Community, weighed: Weighed, as_of: datetime) -> dict[str, object]:
    arms = (NO_ACTION, *(intervention.id for intervention in community.interventions))
    uplift = _of_chosen(weighed, weighed.uplift)
    value, cost = weighed.scores.value, _of_chosen(weighed, weighed.cost)
    return {
        "chosen": _named(arms, weighed.chosen),
        "channel": _named((*community.channels, None), _chosen_channel(community, weighed)),
        "uplift": uplift,
        "uplift_low": _of_chosen(weighed, weighed.interval.low),
        "uplift_high": _of_chosen(weighed, weighed.interval.high),
        "cost": cost,
        "expected_net_value": uplift * value - cost,
        "priority": _of_chosen(weighed, weighed.priority),
        "propensity": weighed.propensity[np.arange(len(value)), weighed.chosen],
        "draw": weighed.draw,
        "exploration": weighed.explored,
        "arm": _named(("treated", "control"), weighed.control.astype(int)),
        "no_action_reason": pl.Series(weighed.no_action_reason).replace("", None),
        "ranked": _ranked(arms[1:], weighed),
        **_sending(community, weighed, as_of),
    }


def _of_chosen(weighed: Weighed, by_intervention: Floats | Integers) -> Floats:
    """The column of what was chosen; 0 for doing nothing."""
    column = np.maximum(weighed.chosen - 1, 0)
    return np.where(weighed.chosen == 0, 0.0, by_intervention[np.arange(len(column)), column])


def _chosen_channel(community: Community, weighed: Weighed) -> Integers:
    """Position in the channels, one past the last for doing nothing."""
    column = np.maximum(weighed.chosen - 1, 0)
    return np.where(weighed.chosen == 0, len(community.channels), weighed.channel[np.arange(len(column)), column])


def _sending(community: Community, weighed: Weighed, as_of: datetime) -> dict[str, object]:
    """Null for doing nothing."""
    begin = microseconds(as_of) + _of_chosen(weighed, weighed.delay_us).astype(np.int64)
    days = np.array([0, *(intervention.valid_days for intervention in community.interventions)])[weighed.chosen]
    times = {"send_not_before": begin, "valid_until": begin + days * DAY_US}
    return {name: pl.Series(at).cast(pl.Datetime("us", "UTC")).set(pl.Series(weighed.chosen == 0), None) for name, at in times.items()}


def _ranked(ids: Sequence[str], weighed: Weighed) -> pl.Series:
    """Allowed interventions by priority less what is charged, highest first, ties in the catalogue's order."""
    order = np.argsort(np.where(weighed.allowed, weighed.charge.total - weighed.priority, np.inf), axis=1, kind="stable")
    standing = np.take_along_axis(weighed.allowed, order, axis=1)
    places = np.where(standing, order, len(ids))
    return pl.select(pl.concat_str([_named((*ids, None), place) for place in places.T], separator=",", ignore_nulls=True)).to_series()


def _arms(community: Community, weighed: Weighed) -> dict[str, object]:
    rules = (None, *(f"{rule.stage}:{rule.name}" for rule in weighed.refusals.rules))
    columns: dict[str, object] = {"propensity_none": weighed.propensity[:, 0]}
    for position, intervention in enumerate(community.interventions):
        columns[f"uplift_{intervention.id}"] = weighed.uplift[:, position]
        columns[f"priority_{intervention.id}"] = weighed.priority[:, position]
        columns[f"shadow_price_{intervention.id}"] = weighed.charge.total[:, position]
        columns[f"propensity_{intervention.id}"] = weighed.propensity[:, 1 + position]
        columns[f"removed_{intervention.id}"] = _named(rules, weighed.refusals.code[:, position])
    return columns


def _named(names: Sequence[str | None], position: Integers) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(position)


def _tag_sets() -> tuple[str, ...]:
    """The names in each set of tags, by the number whose bits are its members."""
    return tuple(",".join(tag for bit, tag in enumerate(TAGS) if number >> bit & 1) for number in range(1 << len(TAGS)))


_TAG_SETS = _tag_sets()
