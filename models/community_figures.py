"""All figures of the report of a whole community."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.experiment_wording import told as told_experiment
from models.goals import Distance, Reached, distance_to, goals_reached

if TYPE_CHECKING:
    from models.community import Community
    from models.declared import Language
    from models.overview import Overview
    from models.plan_figures import Outlook
    from models.read_out import ReadOut


@dataclass(frozen=True)
class CommunityFigures:
    """`frontier` by rising budget; `distance` where a target retention is declared."""

    overview: Overview
    goals: tuple[Reached, ...]
    frontier: tuple[Outlook, ...]
    distance: Distance | None
    experiments: tuple[ReadOut, ...] = ()

    def to_dict(self, community: Community, language: Language) -> dict[str, Any]:
        return {
            "overview": json.loads(self.overview.to_json()),
            "stickiness": self.overview.liveliness.stickiness,
            "goals": [{**asdict(one), "met": one.met} for one in self.goals],
            "frontier": [point.to_dict() for point in self.frontier],
            "target": None if self.distance is None else told_distance(self.distance),
            "experiments": [told_experiment(one, community, language) for one in self.experiments],
        }


def told_distance(distance: Distance) -> dict[str, Any]:
    """As the service answers."""
    at_most, reaching, most = distance.at_most, distance.reaching, distance.most
    return {
        "retention": distance.target,
        "days": distance.days,
        "expected": distance.expected.to_dict(),
        "members": distance.members,
        "missing": distance.missing,
        "missing_per_week": distance.missing_per_week,
        "within_reach": distance.within_reach,
        "reaching": reaching and reaching.to_dict(),
        "most": most and most.to_dict(),
        "at_most": at_most and at_most.to_dict(),
    }


def figures_of(
    community: Community, overview: Overview, frontier: tuple[Outlook, ...], experiments: tuple[ReadOut, ...]
) -> CommunityFigures:
    target = community.goals.retention
    distance = None if target is None else distance_to(target, overview.horizon_days, overview.scored, frontier)
    return CommunityFigures(overview, goals_reached(community.goals, overview), frontier, distance, experiments)
