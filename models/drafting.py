"""Drafts signals, churn definition, windows and tiers from what a log holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl

from models.catalogue import TIER_VALUES, default_tiers
from models.community import Churn, Signal
from models.declared import Label
from models.errors import InputError
from models.event_kinds import Kind, kind_of, signal_names
from models.log_findings import days_held

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from datetime import datetime

    from models.community import Tier
    from models.rhythm import Rhythm

MOST_SIGNALS, MOST_TYPES = 32, 1000
LEAST_VALUED = 0.5
LEAST_ACTING = 0.5
LEAST_NEGATIVE = 0.5
MONTH_DAYS, LEAST_MONTHLY, FEWEST_REPEATS = (27.5, 31.5), 0.7, 20
FEWEST_ENDING, LEAST_FINAL = 20, 0.9
USUAL_HORIZONS, USUAL_HORIZON, USUAL_ACTIVE = (7, 30, 90), 30, 30
RHYTHM_HORIZONS = (30, 90, 180)
USUAL_WINDOWS, LONG_WINDOWS = (1, 3, 7, 14, 30, 60, 90), (180, 365)
TIER_SHARES = (0.5, 0.9, 0.99)
MONEY_NAMES = ("amount", "price", "revenue", "paid", "spend", "money", "gmv", "sales", "umsatz", "betrag", "preis", "金额", "价格", "元")
QUANTITY_NAMES = ("quantity", "qty", "count", "units", "数量", "件数", "次数")


@dataclass(frozen=True)
class TypeSeen:
    """valued: share of the events with a value; negative: of these, of those below 0; final: of its `members`, of those who end with it.

    monthly: of money, the share of a member's repetitions that come one month after the last; 0 where they are too few to tell.
    """

    name: str
    events: int
    valued: float
    negative: float
    members: int
    final: float
    monthly: float
    kind: Kind

    @property
    def is_fee(self) -> bool:
        """Money that comes month after month as if by itself tells of no visit: who has long been silent pays it too."""
        return self.monthly >= LEAST_MONTHLY

    @property
    def paid_back(self) -> bool:
        """Money, with a minus before it: an order that is cancelled ends no membership."""
        return self.kind.role in {"service", "leaving"} and self.negative > LEAST_NEGATIVE


@dataclass(frozen=True)
class Profile:
    """What a log holds, types by their frequency."""

    events: int
    members: int
    first: datetime
    last: datetime
    types: tuple[TypeSeen, ...]
    acting_share: float

    @property
    def days(self) -> int:
        return days_held(self.first, self.last)

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Self:
        """rows: `member_id`, `timestamp`, `type`, `value`; raises InputError for a type column that holds no types."""
        last = pl.col("timestamp") == pl.col("timestamp").max().over("member_id")
        counted = (
            rows.with_columns(last=last)
            .group_by("type")
            .agg(
                events=pl.len(),
                valued=pl.col("value").is_not_null().mean(),
                negative=(pl.col("value") < 0).mean().fill_null(0.0),
                members=pl.col("member_id").n_unique(),
                final=pl.col("member_id").filter("last").n_unique() / pl.col("member_id").n_unique(),
            )
            .sort("events", "type", descending=[True, False])
        )
        if counted.height > MOST_TYPES:
            raise InputError(
                f"the type column holds {counted.height:,} different values, more than {MOST_TYPES:,}; name the column of the type"
            )
        kinds = {name: kind_of(name) for name in counted["type"]}
        monthly = _monthly(rows, [name for name, kind in kinds.items() if kind.role == "purchase"])
        seen = counted.rename({"type": "name"}).iter_rows(named=True)
        types = tuple(TypeSeen(**each, monthly=monthly.get(each["name"], 0.0), kind=kinds[each["name"]]) for each in seen)
        acts = [seen.name for seen in types if seen.kind.role in {"act", "purchase", "rating"} and not seen.is_fee]
        members = rows["member_id"].n_unique()
        acting = rows.filter(pl.col("type").is_in(acts))["member_id"].n_unique()
        at = rows["timestamp"]
        return cls(rows.height, members, at.min(), at.max(), types, acting / members)  # type: ignore[arg-type]  # polars types extremes as any literal


def _monthly(rows: pl.DataFrame, types: Sequence[str]) -> dict[str, float]:
    """Of these types, those that are repeated often enough to tell."""
    gap = pl.col("timestamp").sort().diff().dt.total_hours() / 24
    repeated = (
        rows.filter(pl.col("type").is_in(types))
        .group_by("type", "member_id")
        .agg(repeats=pl.len() - 1, monthly=gap.is_between(*MONTH_DAYS).sum())
        .group_by("type")
        .agg(pl.col("repeats", "monthly").sum())
        .filter(pl.col("repeats") >= FEWEST_REPEATS)
    )
    return dict(repeated.select("type", pl.col("monthly") / pl.col("repeats")).iter_rows())


def draft_signals(profile: Profile, value_column: str | None, contract_event: str | None) -> tuple[Signal, ...]:
    """One for each type but the end of the contract; beyond 32 types the rarest share one.

    Looking on (reads, views) keeps nobody from being silent where at least half of the members also act,
    else it does. Nor does a monthly fee.
    """
    types = [seen for seen in profile.types if seen.name != contract_event]
    if not types:
        raise InputError(f'every event is a "{contract_event}"; a log needs what members do before their contract ends')
    alone = types if len(types) <= MOST_SIGNALS else types[: MOST_SIGNALS - 1]
    rest = types[len(alone) :]
    all_money = _all_money(alone, value_column)
    signals = [
        Signal(
            name=name,
            event_types=(seen.name,),
            qualifying=_qualifies(seen, profile),
            value=_value(seen, value_column, all_money=all_money),
            label=_label(seen, alone),
        )
        for name, seen in zip(signal_names([seen.name for seen in alone]), alone, strict=True)
    ]
    if rest:
        signals.append(Signal(name="other", event_types=tuple(seen.name for seen in rest), label=Label(en="other events", zh="其他行为")))
    if not any(signal.qualifying for signal in signals):
        signals = [signal.model_copy(update={"qualifying": True}) for signal in signals]
    return tuple(signals)


def _qualifies(seen: TypeSeen, profile: Profile) -> bool:
    if seen.kind.role == "passive":
        return profile.acting_share < LEAST_ACTING
    return seen.kind.role not in {"service", "leaving"} and not seen.is_fee


def _label(seen: TypeSeen, types: Sequence[TypeSeen]) -> Label:
    """Two types of one kind keep their own names, or they could not be told apart."""
    own = Label(en=seen.name, zh=seen.name)
    if seen.paid_back and seen.kind.role == "leaving":
        return own
    return seen.kind.label if sum(other.kind == seen.kind for other in types) == 1 else own


def _all_money(types: Sequence[TypeSeen], value_column: str | None) -> bool:
    """Where no type tells of buying, the name of the value column may."""
    named = value_column is not None and any(name in value_column.lower() for name in MONEY_NAMES)
    return named and not any(seen.kind.role == "purchase" for seen in types)


def _value(seen: TypeSeen, value_column: str | None, *, all_money: bool) -> Literal["none", "money", "quantity"]:
    if seen.valued < LEAST_VALUED:
        return "none"
    counts = value_column is not None and any(name in value_column.lower() for name in QUANTITY_NAMES)
    return "money" if not counts and (all_money or seen.paid_back or seen.kind.role == "purchase") else "quantity"


def ending_types(profile: Profile) -> tuple[TypeSeen, ...]:
    """Those that seem to end a membership, whatever their names: given once, to some of the members, and nothing comes after."""
    return tuple(
        seen
        for seen in profile.types
        if seen.members >= FEWEST_ENDING
        and seen.members < LEAST_FINAL * profile.members
        and seen.events <= seen.members / LEAST_FINAL
        and seen.final >= LEAST_FINAL
    )


@dataclass(frozen=True)
class ChurnDraft:
    """`dropped` are usual horizons that the log is too short for; `wanted` the one that the rhythm of members asks for, if it is."""

    churn: Churn
    dropped: tuple[int, ...]
    wanted: int | None = None


def draft_churn(days: int, churn_days: int | None, active_days: int | None, contract_event: str | None, rhythm: Rhythm) -> ChurnDraft:
    """The given horizon alone; else those of 7, 30 and 90 days that the log holds three times, and the decision on 30.

    Where fewer than three in four returns come within 30 days, it is on 90 or 180, and horizons below a fifth of that are left out.
    """
    if churn_days is not None:
        return ChurnDraft(_churn((churn_days,), churn_days, active_days, contract_event), ())
    fitting = rhythm.fitting(RHYTHM_HORIZONS) or (RHYTHM_HORIZONS[-1] if rhythm.within else USUAL_HORIZON)
    wanted = USUAL_HORIZON if contract_event is not None else fitting
    usual = tuple(horizon for horizon in (*USUAL_HORIZONS, *RHYTHM_HORIZONS) if horizon >= wanted / 5)
    usual = tuple(dict.fromkeys(horizon for horizon in usual if horizon <= max(wanted, USUAL_HORIZONS[-1])))
    held = tuple(horizon for horizon in usual if 3 * horizon <= days)
    horizons = held or (max(1, days // 3),)
    decided = wanted if wanted in horizons else horizons[-1]
    dropped = tuple(horizon for horizon in usual if horizon not in horizons)
    return ChurnDraft(
        _churn(horizons, decided, active_days, contract_event), dropped, wanted if wanted > max(decided, USUAL_HORIZON) else None
    )


def _churn(horizons: tuple[int, ...], decided: int, active_days: int | None, contract_event: str | None) -> Churn:
    active = active_days or max(USUAL_ACTIVE, decided)
    return Churn(horizons_days=horizons, horizon_days=decided, active_days=active, contract_event=contract_event)


def draft_windows(days: int, churn: Churn) -> tuple[int, ...]:
    """With longer ones where the horizon or active_days is longer than the usual; none longer than the log, but for one day.

    Nor any below a thirtieth of the shortest horizon: three days tell nothing of the next half-year, and the model pays for the noise.
    """
    reach = max(churn.active_days, churn.horizon_days)
    long = [window for window in LONG_WINDOWS if window < 4 * reach and reach > USUAL_WINDOWS[-1]]
    least = churn.horizons_days[0] / 30
    return tuple(window for window in (*USUAL_WINDOWS, *long) if least <= window <= max(days, 1)) or (1,)


def draft_tiers(rows: pl.DataFrame, profile: Profile, signals: Sequence[Signal], window_days: int, value_days: int) -> tuple[Tier, ...]:
    """Members with more contributions than 50, 90 and 99 % of the others are active, KOC and KOL.

    A tier is worth the mean paid by its members in the longest window, scaled to `value_days`; a guess where nothing is paid.
    """
    qualifying = [kind for signal in signals if signal.qualifying for kind in signal.event_types]
    money = [kind for signal in signals if signal.value == "money" for kind in signal.event_types]
    recent = rows.filter(pl.col("timestamp") > profile.last - timedelta(days=window_days))
    members = recent.group_by("member_id").agg(
        contributions=pl.col("type").is_in(qualifying).sum(), paid=pl.col("value").filter(pl.col("type").is_in(money)).sum()
    )
    contributions, paid = members["contributions"].to_numpy(), members["paid"].to_numpy() * value_days / window_days
    floors = [int(np.quantile(contributions, share)) + 1 for share in TIER_SHARES]
    tiers = default_tiers(floors)
    if not money:
        return tiers
    place = np.searchsorted([tier.min_contributions for tier in tiers], contributions, side="right") - 1
    return default_tiers(floors, [_mean(paid[place == position], guess) for position, guess in enumerate(TIER_VALUES)])


def _mean(values: np.ndarray, guess: float) -> float:
    return round(max(0.0, float(values.mean())), 2) if len(values) else guess


def usual_column(columns: Sequence[str], usual: Sequence[str], used: Container[str | None] = ()) -> str | None:
    """The column with the first of the usual names that there is, in any case of letters, and that is not `used` for something else."""
    by_name = {column.lower(): column for column in reversed(columns) if column not in used}
    return next((by_name[name.lower()] for name in usual if name.lower() in by_name), None)
