"""Small communities whose members, risks and values are set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from models.catalogue_identity import catalogue_fingerprint
from models.community import DAY_US, Community
from models.events import NEVER_US, EventArrays
from models.features import FeatureSpec, compute_features, feature_spec
from models.snapshots import Snapshots
from models.uplift_beliefs import PriorUplift

AS_OF = datetime(2026, 3, 10, 12, tzinfo=UTC)
AS_OF_US = int(AS_OF.timestamp()) * 1_000_000
TWIN = {"en": "as named", "zh": "如名"}


def intervention(name="digest", **given):
    """Free, on email, worth 0.1 of retention on the evidence of 400 members, and repeatable at once."""
    return {
        "id": name,
        "label": TWIN,
        "category": "content",
        "lever": "curiosity",
        "channels": ["email"],
        "cost": 0,
        "starting_uplift": 0.1,
        "starting_evidence": 400,
        "cooldown_days": 0,
        **given,
    }


def signal(name, **given):
    return {"name": name, "event_types": [name], "label": TWIN, **given}


def tier(name, floor, value):
    return {"name": name, "min_contributions": floor, "value": value, "label": TWIN}


def community(*interventions, **given):
    """Posts (qualifying) and reads (not); tiers `base` (10) and `koc` (from 20 contributions on, 100); no exploration, no control."""
    lifecycle = {"tiers": [tier("base", 0, 10), tier("koc", 20, 100)], **given.pop("lifecycle", {})}
    policy = {"exploration": 0, "control_share": 0, **given.pop("policy", {})}
    return Community.model_validate(
        {
            "name": "Planted",
            "log": {"path": "log.csv", "member": "m", "time": "t", "type": "k"},
            "signals": [signal("post"), signal("read", qualifying=False)],
            "interventions": interventions or (intervention(),),
            "lifecycle": lifecycle,
            "policy": policy,
            **given,
        }
    )


@dataclass(frozen=True)
class Member:
    """`events`: days before AS_OF, by signal; `joined`: the same."""

    joined: float = 100.0
    events: dict[str, list[float]] = field(default_factory=lambda: {"post": [1.0]})
    values: dict[str, list[float]] = field(default_factory=dict)


def arrays(members: list[Member], declared: Community) -> EventArrays:
    """The members' events as `event_arrays` would give them."""
    code = {use.name: position for position, use in enumerate(declared.signals)}
    rows = [
        (number, AS_OF_US - round(ago * DAY_US), code[name], value)
        for number, member in enumerate(members)
        for name, days in member.events.items()
        for ago, value in zip(days, member.values.get(name, [np.nan] * len(days)), strict=True)
    ]
    owner, at, kind, value = (np.array(column) for column in zip(*sorted(rows), strict=True)) if rows else (np.empty(0),) * 4
    return EventArrays(
        offsets=np.searchsorted(owner, np.arange(len(members) + 1)),
        timestamp_us=at.astype(np.int64),
        signal=kind.astype(np.uint8),
        value=value.astype(np.float64),
        joined_us=np.array([AS_OF_US - round(member.joined * DAY_US) for member in members], dtype=np.int64),
        contract_end_us=np.full(len(members), NEVER_US),
    )


@dataclass(frozen=True)
class PlantedScores:
    features: np.ndarray
    probability: np.ndarray
    value: np.ndarray
    status: np.ndarray


@dataclass(frozen=True)
class PlantedReference:
    typical_probability: float = 0.5
    probabilities: np.ndarray = field(default_factory=lambda: np.linspace(0, 0.9, 10))
    band_edges: tuple[float, float] = (0.3, 0.6)


@dataclass(frozen=True)
class PlantedEngine:
    """Real features; risk (of every horizon), value and status of each member of the arrays as told."""

    community: Community
    risk: list[float]
    value: list[float]
    status: list[str]
    reference: PlantedReference = PlantedReference()
    version: str = "7"
    grade: str = "B"

    @cached_property
    def spec(self) -> FeatureSpec:
        return feature_spec(self.community)

    @cached_property
    def catalogue_fingerprint(self) -> str:
        return catalogue_fingerprint(self.community)

    @property
    def uplift(self) -> PriorUplift:
        return PriorUplift.of(self.community.interventions, self.reference.typical_probability)

    def score(self, events: EventArrays, snapshots: Snapshots) -> PlantedScores:
        risk = np.array(self.risk)[snapshots.member]
        return PlantedScores(
            features=compute_features(events, snapshots, self.spec),
            probability=np.repeat(risk[:, None], len(self.community.churn.horizons_days), axis=1),
            value=np.array(self.value)[snapshots.member],
            status=np.array(self.status)[snapshots.member],
        )

    def effect_contributions(self, features, arm):
        """Effects are believed."""
        assert len(features) == len(arm)
        return np.zeros((len(features), features.shape[1] + 1))

    def effect_reasons(self, features, _contributions, _language):
        """So there is nothing to tell."""
        return [()] * len(features)


def engine(declared: Community, members: int = 1, *, risk=0.5, value=100.0, status="scored") -> PlantedEngine:
    """Each of risk, value and status for all members, or a list of one for each."""
    return PlantedEngine(declared, *(given if isinstance(given, list) else [given] * members for given in (risk, value, status)))
