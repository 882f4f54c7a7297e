"""Which members a job or a plan is for: by what is known of them at that moment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.audience import BINS, cohort_of
from models.declared import STAGES, TAGS
from models.eligibility import OPTED_OUT
from models.weighing import BANDS, Weighed, risk_bands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.arrays import Flags, Integers
    from models.engine import Engine


@dataclass(frozen=True)
class AudienceFilter:
    """A member belongs to it who has one of the values of every kind that is named; a kind without values asks nothing.

    A tag is one of those that a member may wear several of. Members without a score have no risk band, and those who switched
    personalisation off are selected by nothing that is known of them. `groups` are values by column of the members table, `cohorts` months
    of joining; bins of risk lie in `[low, high)`, 20 from risk 0 to 1.
    """

    risk_bands: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cohorts: tuple[str, ...] = ()
    low: int = 0
    high: int = BINS

    @property
    def at_any_risk(self) -> bool:
        return (self.low, self.high) == (0, BINS)

    @property
    def is_everyone(self) -> bool:
        named = self.risk_bands or self.stages or self.tiers or self.tags or self.groups or self.cohorts
        return self.at_any_risk and not named

    def of_places(self, places: pl.DataFrame) -> Flags:
        """Of rows with `audience.CELL_KEYS`; nobody of whom nothing is known is selected by it."""
        kinds = {"risk_band": self.risk_bands, "stage": self.stages, "tier": self.tiers, "cohort": self.cohorts}
        asked = [pl.col(name).is_in(wanted) for name, wanted in kinds.items() if wanted]
        if self.tags:
            asked.append(pl.any_horizontal(pl.col("tags").str.contains(f",{tag},", literal=True) for tag in self.tags))
        if not self.at_any_risk:
            asked.append(pl.col("bin").is_between(self.low, self.high - 1))
        if not self.is_everyone:
            asked.append(pl.col("stage").is_not_null())
        chosen = [places.select(one.fill_null(value=False)).to_series().to_numpy() for one in asked]
        belongs: Flags = np.logical_and.reduce([np.ones(places.height, dtype=np.bool_), self._in_groups(places["groups"]), *chosen])
        return belongs

    def _in_groups(self, written: pl.Series) -> Flags:
        """`written`: JSON of each one's groups, null for none."""
        if not self.groups:
            return np.ones(len(written), dtype=np.bool_)
        told = {text: {} if text is None else json.loads(text) for text in written.unique()}
        belongs = {text: all(known.get(name) in values for name, values in self.groups.items()) for text, known in told.items()}
        return np.array([belongs[text] for text in written], dtype=np.bool_)

    def selects(self, engine: Engine, weighed: Weighed, groups: pl.DataFrame, joined_us: Integers) -> Flags:
        """`groups` of the members, as `groups_of_store` and `groups_of_log` give them. Shape (n_members,), as `joined_us`."""
        lifecycles = weighed.lifecycles
        bins = np.minimum(np.nan_to_num(weighed.probability, nan=-1) * BINS, BINS - 1)
        bands = np.where(weighed.scored, risk_bands(weighed.probability, engine.reference.band_edges), len(BANDS))
        worn = lifecycles.tags[:, [name in self.tags for name in TAGS]].sum(axis=1)
        asked = (
            _has(bands, BANDS, self.risk_bands),
            _has(lifecycles.stage, STAGES, self.stages),
            _has(lifecycles.tier, lifecycles.tiers, self.tiers),
            (worn > 0) | (not self.tags),
            (weighed.scored & (bins >= self.low) & (bins < self.high)) | self.at_any_risk,
            self._joined(joined_us, engine.community.timezone) | (not self.cohorts),
            *(groups[name].is_in(list(values)).fill_null(value=False).to_numpy() for name, values in self.groups.items()),
            (np.asarray(weighed.scores.status) != OPTED_OUT) | self.is_everyone,
        )
        selected: Flags = np.logical_and.reduce(asked)
        return selected

    def _joined(self, joined_us: Integers, timezone: str) -> Flags:
        joined = pl.Series(joined_us).cast(pl.Datetime("us", "UTC"))
        return cohort_of(joined, timezone).is_in(self.cohorts).to_numpy()


def _has(position: Integers, names: Sequence[str], wanted: tuple[str, ...]) -> Flags:
    if not wanted:
        return np.ones(len(position), dtype=np.bool_)
    return np.isin(position, [at for at, name in enumerate(names) if name in wanted])
