"""All figures of the report of a whole community."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.experiment_wording import told as told_experiment
from models.goals import Observed, distance_to, goals_reached

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Floats
    from models.community import Community
    from models.declared import Language
    from models.goals import Distance, Reached
    from models.overview import Overview
    from models.plan_figures import Outlook
    from models.read_out import ReadOut
    from models.stage_paths import StagePaths


@dataclass(frozen=True)
class CommunityFigures:
    """`paths` from `since` to the date of the overview; `frontier` by rising budget; `distance` where a target retention is declared."""

    overview: Overview
    goals: tuple[Reached, ...]
    since: datetime
    paths: StagePaths
    frontier: tuple[Outlook, ...]
    distance: Distance | None
    experiments: tuple[ReadOut, ...] = ()

    def to_dict(self, community: Community, language: Language) -> dict[str, Any]:
        distance = self.distance
        return {
            "overview": json.loads(self.overview.to_json()),
            "stickiness": self.overview.liveliness.stickiness,
            "goals": [{**asdict(one), "met": one.met} for one in self.goals],
            "paths": {"since": self.since.isoformat(), "flows": [asdict(flow) for flow in self.paths.flows]},
            "frontier": [point.to_dict() for point in self.frontier],
            "target": None if distance is None else _target(distance),
            "experiments": [told_experiment(one, community, language) for one in self.experiments],
        }


def _target(distance: Distance) -> dict[str, Any]:
    return {
        "retention": distance.target,
        "expected": distance.expected.to_dict(),
        "members": distance.members,
        "missing": distance.missing,
        "reaching": distance.reaching and distance.reaching.to_dict(),
        "at_most": distance.at_most,
    }


def figures_of(  # noqa: PLR0913 - one argument for each thing that was counted
    community: Community,
    overview: Overview,
    *,
    since: datetime,
    paths: StagePaths,
    silence_days: Floats,
    value: Floats,
    probability: Floats,
    frontier: tuple[Outlook, ...],
    experiments: tuple[ReadOut, ...],
) -> CommunityFigures:
    """silence_days, value, probability (n,): of all members who had joined, the last NaN without a score."""
    lively = overview.liveliness
    seen = Observed(lively.stickiness, lively.weekly_events, silence_days, value, probability)
    target = community.goals.retention
    distance = None if target is None else distance_to(target, probability, frontier)
    return CommunityFigures(overview, goals_reached(community.goals, seen), since, paths, frontier, distance, experiments)
