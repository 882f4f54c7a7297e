"""What plans are made on, laid by a run over all members: whoever asks for a plan weighs nobody again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.audience import CELL_KEYS, Counted, counted_of
from models.plan_figures import Arm, arms_of, of_crowd
from models.standing_tally import StandingTally
from models.strata import Condensed, Strata
from models.strata_arrays import strata_arrays, strata_of_arrays

if TYPE_CHECKING:
    from models.arrays import Flags, Integers
    from models.audience_filter import AudienceFilter
    from models.engine import Engine

MOST_STRATA = 10_000
"""Up to so many members a plan is made for each by itself."""

MEMBERS_ALIKE, MOST_AT_ALL = 6, 60_000
"""In a stratum of a larger community, on average, as long as there are no more strata than that: a plan has to answer within a second."""

PART, STRATA_OF_PART = 20_000, 7_000
"""Members who are condensed at once, and to how many strata."""

AT_ONCE = 100
"""Parts whose strata are condensed together at once."""

ROW_COLUMNS = ("member_id", "place", "stratum", "probability", "value_at_risk")


@dataclass(frozen=True)
class Terms:
    """What holds for all plans on one ground."""

    as_of: datetime
    model_version: str
    horizon_days: int
    currency: str
    exploration: float
    arms: tuple[Arm, ...]
    channels: tuple[str, ...]

    @classmethod
    def of(cls, engine: Engine, as_of: datetime) -> Self:
        community = engine.community
        told = (community.churn.horizon_days, community.currency, community.policy.exploration)
        return cls(as_of, engine.version, *told, arms_of(engine), tuple(community.channels))

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> Self:
        told = json.loads(text)
        lists = {"arms": tuple(Arm(*arm) for arm in told["arms"]), "channels": tuple(told["channels"])}
        return cls(**told | lists | {"as_of": datetime.fromisoformat(told["as_of"])})


@dataclass(frozen=True)
class Crowd:
    """Members to plan for: `strata` that have some of them, `members` in all, and of those with a risk what is to be expected.

    rows (s,): the positions of these strata on the ground.
    """

    strata: Strata
    rows: Integers
    members: int
    scored: Counted


class Alike(NamedTuple):
    """So many members of one place and one stratum, which are positions; shape (n_pairs,)."""

    place: Integers
    stratum: Integers
    members: Integers


@dataclass(frozen=True)
class PlanGround:
    """`places`: by `audience.CELL_KEYS` the scored members, and sums of their risk, its variance and money, as in `audience.Cells`."""

    terms: Terms
    strata: Strata
    places: pl.DataFrame
    alike: Alike

    def crowd(self, audience: AudienceFilter) -> Crowd:
        chosen = audience.of_places(self.places)
        kept = chosen[self.alike.place]
        members = np.bincount(self.alike.stratum[kept], self.alike.members[kept], len(self.strata))
        return self._crowd(members, counted_of(self.places, chosen))

    def crowd_of(self, rows: pl.DataFrame, audience: AudienceFilter) -> Crowd:
        """Of some members alone, with ROW_COLUMNS."""
        chosen = rows.filter(self.belongs(rows, audience))
        risk = pl.col("probability").drop_nulls()
        sums = chosen.select(
            members=risk.len(), expected=risk.sum(), variance=(risk * (1 - risk)).sum(), value_at_risk=pl.col("value_at_risk").sum()
        )
        members = np.bincount(chosen["stratum"].to_numpy(), minlength=len(self.strata)).astype(np.float64)
        return self._crowd(members, counted_of(sums))

    def belongs(self, rows: pl.DataFrame, audience: AudienceFilter) -> Flags:
        belongs: Flags = audience.of_places(self.places)[rows["place"].to_numpy()]
        return belongs

    def _crowd(self, members: np.ndarray, scored: Counted) -> Crowd:
        there = np.flatnonzero(members > 0)
        return Crowd(replace(self.strata[there], members=members[there]), there, round(float(members.sum())), scored)

    def to_bytes(self) -> bytes:
        written, places = io.BytesIO(), io.BytesIO()
        self.places.write_parquet(places)
        arrays = {
            "terms": np.frombuffer(self.terms.to_json().encode(), np.uint8),
            "places": np.frombuffer(places.getvalue(), np.uint8),
            **strata_arrays(self.strata),
            **{f"alike_{name}": column for name, column in zip(Alike._fields, self.alike, strict=True)},
        }
        np.savez_compressed(written, allow_pickle=False, **arrays)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, written: bytes) -> Self:
        """What `to_bytes` wrote: arrays alone, of which none can hold code."""
        with np.load(io.BytesIO(written), allow_pickle=False) as held:
            told = {name: held[name] for name in held.files}
        places = pl.read_parquet(io.BytesIO(told["places"].tobytes()))
        alike = Alike(*(told[f"alike_{name}"] for name in Alike._fields))
        return cls(Terms.from_json(told["terms"].tobytes().decode()), strata_of_arrays(told), places, alike)


class Laid(NamedTuple):
    """A ground, and where each member stands on it, with ROW_COLUMNS."""

    ground: PlanGround
    rows: pl.DataFrame


def condensed_part(strata: Strata) -> Condensed:
    """Finer than plans are made on: what is taken together here is not told apart any more."""
    return strata.condensed(MOST_STRATA if len(strata) < PART else STRATA_OF_PART)


def most_strata(members: int) -> int:
    """Of a community of so many."""
    return min(max(MOST_STRATA, members // MEMBERS_ALIKE), MOST_AT_ALL)


class Common(NamedTuple):
    """The strata of all parts together. stratum: of the strata of each part, their position in `strata`."""

    strata: Strata
    stratum: tuple[Integers, ...]

    @classmethod
    def of(cls, parts: Iterable[Strata]) -> Self:
        """One part at least; no more than AT_ONCE of them are held beside what others were condensed to."""
        sizes: list[int] = []

        def each() -> Iterator[Condensed]:
            for strata in parts:
                sizes.append(len(strata))
                yield Condensed(strata, np.arange(len(strata)))

        whole = _in_turns(each())
        return cls(whole.strata, tuple(np.split(whole.code, np.cumsum(sizes)[:-1])))


@dataclass(frozen=True)
class Footing:
    """What members stand on. places: by CELL_KEYS, with `place`."""

    common: Common
    places: pl.DataFrame

    @classmethod
    def of(cls, common: Common, tally: StandingTally) -> Self:
        """Of the strata and the tally of all members."""
        places = tally.places.with_columns(place=pl.struct(CELL_KEYS).rank("dense").cast(pl.Int64) - 1)
        return cls(common, places.sort("place"))

    def placed(self, part: int, standings: pl.DataFrame, code: Integers) -> pl.DataFrame:
        """The standings of a part's members with `place` and `stratum`; code: of each of them the stratum of the part."""
        at = self.places.select(*CELL_KEYS, "place")
        found = standings.join(at, on=CELL_KEYS, how="left", nulls_equal=True, maintain_order="left")
        return found.with_columns(stratum=pl.Series(self.common.stratum[part][code], dtype=pl.Int64))

    def ground(self, terms: Terms, placed: Iterable[pl.DataFrame]) -> PlanGround:
        """Of everyone, as `placed` tells part after part."""
        pairs = pl.DataFrame(schema=dict.fromkeys(Alike._fields, pl.Int64))
        for rows in placed:
            counted = rows.group_by("place", "stratum").agg(members=pl.len().cast(pl.Int64))
            pairs = pl.concat([pairs, counted]).group_by("place", "stratum").agg(pl.col("members").sum())
        alike = pairs.sort("place", "stratum")
        terms, strata = replace(terms, arms=of_crowd(terms.arms, self.common.strata)), self.common.strata
        return PlanGround(terms, strata, self.places.drop("place"), Alike(*(alike[name].to_numpy() for name in Alike._fields)))


def lay_ground(terms: Terms, parts: Sequence[Condensed], standings: pl.DataFrame) -> Laid:
    """`parts` follow the rows of `standings`; one part at least."""
    footing = Footing.of(Common.of(part.strata for part in parts), StandingTally.of(standings))
    begins = np.cumsum([0, *(len(part.code) for part in parts)]).tolist()
    cut = (standings.slice(begin, len(part.code)) for begin, part in zip(begins, parts, strict=False))
    placed = pl.concat([footing.placed(at, rows, part.code) for at, (rows, part) in enumerate(zip(cut, parts, strict=True))])
    return Laid(footing.ground(terms, [placed]), placed.select(ROW_COLUMNS))


def _in_turns(parts: Iterable[Condensed]) -> Condensed:
    """As `together`, of no more than AT_ONCE parts at a time."""
    left = iter(parts)
    groups = [together(some) for some in iter(lambda: list(islice(left, AT_ONCE)), [])]
    return groups[0] if len(groups) == 1 else _in_turns(groups)


def together(parts: Sequence[Condensed]) -> Condensed:
    """Strata of all parts condensed again, and of each member, or of each of the strata that they were made of, its own."""
    begins = np.cumsum([0, *(len(part.strata) for part in parts)])
    most = most_strata(round(sum(float(part.strata.members.sum()) for part in parts)))
    whole = Strata.together([part.strata for part in parts]).condensed(most)
    code = np.concatenate([whole.code[begin + part.code] for begin, part in zip(begins, parts, strict=False)])
    return Condensed(whole.strata, code.astype(np.int32))
