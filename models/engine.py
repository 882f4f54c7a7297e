"""The registered unit: definitions, models, catalogue and policy together, stored so that loading it runs no code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from models.attributes import NO_ATTRIBUTES, AttributeEncoding, feature_matrix
from models.catalogue_identity import catalogue_fingerprint
from models.community import DAY_US
from models.explanation import Typical, reasons_of
from models.margins import Contributions
from models.moments import microseconds
from models.reason_groups import ReasonGroups, reason_groups, with_attributes
from models.snapshots import Activity, Snapshots
from models.uplift_beliefs import PriorUplift

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from models.arrays import Flags, Floats, Integers, Names
    from models.churn import ChurnModel, HorizonModel
    from models.community import Community
    from models.decision import Reason
    from models.declared import Language
    from models.evaluation import Grade
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.learned_uplift import LearnedUplift
    from models.uplift_beliefs import UpliftModel
    from models.value import ValueModel

MOST_REASONS, MOST_EFFECT_REASONS = 8, 3
STATUSES = np.array(["scored", "already_churned", "insufficient_history"])
SCORED, ALREADY_CHURNED, INSUFFICIENT_HISTORY = range(3)


@dataclass(frozen=True)
class Scores:
    """Shapes: features (n, n_features) float32, probability (n, n_horizons), value (n,), status (n,): a ChurnStatus each."""

    features: Floats
    probability: Floats
    value: Floats
    status: Names


@dataclass(frozen=True)
class Reference:
    """The members that a risk is compared with: the population at the test's `as_of`.

    `probabilities` of the main horizon, sorted; `band_edges` between low, medium and high; `values`: the median of each feature,
    shape (n_features,), NaN where most have none, and of an attribute that is a label the columns of the commonest; `centre`: the mean
    contribution of each feature to their log-odds, shape (n_features,).
    """

    typical_probability: float
    probabilities: Floats
    band_edges: tuple[float, float]
    values: Floats
    centre: Floats

    @classmethod
    def of(
        cls,
        features: Floats,
        probability: Floats,
        typical_probability: float,
        centre: Floats,
        attributes: AttributeEncoding = NO_ATTRIBUTES,
    ) -> Reference:
        """High is the tenth of the members with the highest risk, medium the next three tenths."""
        low, high = np.quantile(probability, [0.6, 0.9])
        behaviour, declared = np.split(features, [features.shape[1] - len(attributes.names)], axis=1)
        medians = np.median(np.nan_to_num(behaviour, nan=np.inf), axis=0)
        values = np.concatenate([np.where(np.isinf(medians), np.nan, medians), attributes.usual(declared)])
        return cls(typical_probability, np.sort(probability), (float(low), float(high)), values, centre)


@dataclass(frozen=True)
class Provenance:
    """When the engine was made, the end of the last label of its risks, its grade, and what uses the risk: the blend or a plain rule."""

    trained_at: datetime
    trained_through: datetime
    grade: Grade
    in_use: str


@dataclass(frozen=True)
class Engine:
    """Scores, explains and carries what deciding needs.

    `baselines` are the plain rules of the main horizon, to be measured beside it; `version` is the registry's, or "unregistered";
    `attributes` are those of members that the models read beside their behaviour; `learned_uplift` is None where no touch was learned from.
    """

    community: Community
    spec: FeatureSpec
    churn: ChurnModel
    value: ValueModel
    reference: Reference
    provenance: Provenance
    baselines: Mapping[str, HorizonModel]
    version: str = "unregistered"
    attributes: AttributeEncoding = NO_ATTRIBUTES
    learned_uplift: LearnedUplift | None = None

    @cached_property
    def uplift(self) -> UpliftModel:
        """Learned from touches where there were enough, else the catalogue's beliefs at the usual risk."""
        if self.learned_uplift is not None:
            return self.learned_uplift
        return PriorUplift.of(self.community.interventions, self.reference.typical_probability)

    @property
    def learned_through_us(self) -> int:
        """No outcome that any of its models learned from ended later."""
        through = microseconds(self.provenance.trained_through)
        return through if self.learned_uplift is None else max(through, self.learned_uplift.through_us)

    @property
    def grade(self) -> str:
        return self.provenance.grade

    @cached_property
    def groups(self) -> ReasonGroups:
        return with_attributes(reason_groups(self.community, self.spec), self.attributes)

    @cached_property
    def catalogue_fingerprint(self) -> str:
        return catalogue_fingerprint(self.community)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that `features` gives."""
        return (*self.spec.names, *self.attributes.names)

    @cached_property
    def qualifying(self) -> Flags:
        """One flag for each signal code; touches, the last code where there are any, never qualify."""
        return np.array([*(use.qualifying for use in self.spec.signals), False])

    def registered_as(self, version: str) -> Engine:
        return replace(self, version=version)

    def features(self, events: EventArrays, snapshots: Snapshots, *, threads: int = 1) -> Floats:
        """All that the models read, float32, shape (n_snapshots, n_features)."""
        return feature_matrix(events, snapshots, self.spec, self.attributes, threads=threads)

    def score(self, events: EventArrays, snapshots: Snapshots, *, threads: int = 1) -> Scores:
        """Rows follow the snapshots; the numbers of a row whose status is not `scored` are computed and mean nothing."""
        features = self.features(events, snapshots, threads=threads)
        return Scores(features, self.churn.probability(features), self.value(features), self.status(events, snapshots))

    def main_probability(self, scores: Scores) -> Floats:
        """Of the horizon that decisions are made on, shape (n,)."""
        probability: Floats = scores.probability[:, self.churn.horizons_days.index(self.churn.main)]
        return probability

    def status(self, events: EventArrays, snapshots: Snapshots) -> Names:
        """A ChurnStatus for each row.

        already_churned: no qualifying event for `active_days`, or the contract has ended. insufficient_history: no event ever, or joined
        less than `min_history_days` ago.
        """
        churn, member, as_of_us = self.community.churn, snapshots.member, snapshots.as_of_us
        activity = Activity.of(events, self.qualifying)
        before = activity.first_from(member, as_of_us)
        active = before > activity.first_from(member, as_of_us - churn.active_days * DAY_US)
        known = (before > activity.offsets[member]) & activity.known(snapshots, churn)
        code = np.where(active, SCORED, ALREADY_CHURNED)
        code[~known] = INSUFFICIENT_HISTORY
        code[activity.contract_end_us[member] < as_of_us] = ALREADY_CHURNED
        return STATUSES[code]

    def contributions(self, features: Floats) -> Contributions:
        """In log-odds against the reference members: base and values are moved by `centre`, so that their sum stays the margin.

        The members that a model learned from may be of another time; a reason compares with the members of now.
        """
        learned, centre = self.churn.contributions(features), self.reference.centre
        return Contributions(learned.base + float(centre.sum()), learned.values - centre)

    def reasons(self, features: Floats, probability: Floats, language: Language, *, most: int = MOST_REASONS) -> list[tuple[Reason, ...]]:
        """The reasons of each row, adding up to its distance from the usual risk in percentage points; the weaker ones together."""
        contributions = self.contributions(features)
        typical = Typical.of(self.churn.main_model.calibration, contributions.base, self.reference.values)
        return reasons_of(contributions.values, features, probability, typical, self.groups, language, max_reasons=most)

    def effect_contributions(self, features: Floats, arm: Integers) -> Floats:
        """To the learned effect of intervention `arm`, shape (n,), for each row: shape (n, n_features + 1), the usual effect last.

        All 0 where it is believed.
        """
        values = np.zeros((len(features), features.shape[1] + 1))
        if self.learned_uplift is not None:
            for each in np.unique(arm).tolist():
                values[arm == each] = self.learned_uplift.contributions_to(features[arm == each], each)
        return values

    def effect_reasons(self, features: Floats, contributions: Floats, language: Language) -> list[tuple[Reason, ...]]:
        """Why an effect is not the usual one for each row, of its `effect_contributions`; nothing where it is believed.

        They add up to the member's effect less that of the usual member, in percentage points.
        """
        if self.learned_uplift is None or not len(features):
            return [()] * len(features)
        usual, effect = contributions[:, -1], contributions.sum(axis=1)
        unmoved = Typical(0.0, 1.0, self.reference.values)
        return reasons_of(contributions[:, :-1], features, effect - usual, unmoved, self.groups, language, max_reasons=MOST_EFFECT_REASONS)


def explain(engine: Engine, features: Floats, probability: Floats, language: Language) -> list[tuple[Reason, ...]]:
    """What `models.deciding.decide` takes to tell its reasons."""
    return engine.reasons(features, probability, language)
