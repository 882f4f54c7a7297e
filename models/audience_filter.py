"""Which members a job is for: by what is known of them at that moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.declared import STAGES, TAGS
from models.eligibility import OPTED_OUT
from models.weighing import BANDS, Weighed, risk_bands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from models.arrays import Flags, Integers
    from models.engine import Engine


@dataclass(frozen=True)
class AudienceFilter:
    """A member belongs to it who has one of the values of every kind that is named; a kind without values asks nothing.

    A tag is one of those that a member may wear several of. Members without a score have no risk band, and those who switched
    personalisation off are selected by nothing that is known of them. `groups` are values by column of the members table.
    """

    risk_bands: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_everyone(self) -> bool:
        return not (self.risk_bands or self.stages or self.tiers or self.tags or self.groups)

    def selects(self, engine: Engine, weighed: Weighed, groups: pl.DataFrame) -> Flags:
        """`groups` of the members, as `groups_of_store` and `groups_of_log` give them. Shape (n_members,)."""
        lifecycles = weighed.lifecycles
        bands = np.where(weighed.scored, risk_bands(weighed.probability, engine.reference.band_edges), len(BANDS))
        worn = lifecycles.tags[:, [name in self.tags for name in TAGS]].sum(axis=1)
        asked = (
            _has(bands, BANDS, self.risk_bands),
            _has(lifecycles.stage, STAGES, self.stages),
            _has(lifecycles.tier, lifecycles.tiers, self.tiers),
            (worn > 0) | (not self.tags),
            *(groups[name].is_in(list(values)).fill_null(value=False).to_numpy() for name, values in self.groups.items()),
            (np.asarray(weighed.scores.status) != OPTED_OUT) | self.is_everyone,
        )
        selected: Flags = np.logical_and.reduce(asked)
        return selected


def _has(position: Integers, names: Sequence[str], wanted: tuple[str, ...]) -> Flags:
    if not wanted:
        return np.ones(len(position), dtype=np.bool_)
    return np.isin(position, [at for at, name in enumerate(names) if name in wanted])
