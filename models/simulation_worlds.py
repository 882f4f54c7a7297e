"""The worlds that can be simulated: what interventions do there, who gets them, and what else sets one world apart from another.

All worlds offer the same interventions, so that one catalogue and one declaration serve them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.errors import InputError

DRIVERS = ("constant", "newcomer", "quiet", "bargain", "reader", "social", "young")
Weights = Mapping[str, Mapping[str, float]]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Arm:
    """One arm of the experiment that runs inside the simulated community.

    Attributes:
        id: intervention, or "none".
        channels: where it is sent; drawn uniformly.
        delivery: probability that an assignment reaches the member.
    """

    id: str
    channels: tuple[str, ...]
    delivery: float


ARMS = (
    Arm("none", (), 0.0),
    Arm("welcome_gift", ("app_push", "sms"), 0.9),
    Arm("silence_benefit", ("app_push", "sms"), 0.9),
    Arm("comeback_offer", ("email", "sms"), 0.85),
    Arm("content_digest", ("email",), 0.8),
    Arm("question", ("app_push", "group_chat"), 0.9),
    Arm("group_invitation", ("group_chat",), 0.85),
    Arm("recognition_badge", ("app_push",), 0.95),
    Arm("personal_call", ("phone",), 0.6),
)
ARM_IDS = tuple(arm.id for arm in ARMS)


@dataclass(frozen=True)
class Regime:
    """What holds in a world for a time.

    Attributes:
        shifts: for each intervention, the weight of each driver in the shift of the member's log visits per day on delivery; one that is
            left out, or empty, has no effect on anybody.
        activity: factor on everybody's visits per day.
        fading: factor on the hazard with which members begin to fade.
    """

    shifts: Weights
    activity: float = 1.0
    fading: float = 1.0

    @cached_property
    def shift_matrix(self) -> Matrix:
        """Shape (n_drivers, n_arms)."""
        return _matrix(self.shifts)


@dataclass(frozen=True)
class WorldPlan:
    """What is planted in a world.

    Attributes:
        name: what `keepwell simulate --world` calls it.
        planted: one sentence for people.
        first: the regime of the beginning.
        preferences: for each arm, the weight of each driver in the logit of the logging policy. "quiet" stands for observed risk, and
            confounds.
        exploration: share of the logging policy that is uniform over the arms.
        own_spread: standard deviation of a member's own shift, which no driver explains, on each intervention that has any effect.
        propensities_written: whether the log tells the probabilities of assignment.
        then: the regime that follows, None where nothing changes.
        change_at: share of the log after which it follows.
    """

    name: str
    planted: str
    first: Regime
    preferences: Weights
    exploration: float = 0.2
    own_spread: float = 0.15
    propensities_written: bool = True
    then: Regime | None = None
    change_at: float = field(default=0.7, kw_only=True)

    @cached_property
    def preference_matrix(self) -> Matrix:
        """Shape (n_drivers, n_arms)."""
        return _matrix(self.preferences)

    @property
    def regimes(self) -> tuple[Regime, ...]:
        return (self.first,) if self.then is None else (self.first, self.then)


def _matrix(weights: Weights) -> Matrix:
    return np.array([[weights.get(arm.id, {}).get(driver, 0.0) for arm in ARMS] for driver in DRIVERS], dtype=np.float32)


def scaled(weights: Weights, factor: float) -> dict[str, dict[str, float]]:
    return {arm: {driver: factor * weight for driver, weight in drivers.items()} for arm, drivers in weights.items()}


MIXED_SHIFTS: Weights = {
    "welcome_gift": {"newcomer": 1.4},
    "silence_benefit": {"quiet": 0.4, "bargain": 0.6},
    "comeback_offer": {"constant": -0.4, "quiet": 1.3},
    "content_digest": {"constant": -0.35, "reader": 0.8},
    "group_invitation": {"social": 0.7},
    "personal_call": {"constant": 0.8, "young": -1.8},
}
USUAL_PREFERENCES: Weights = {
    "none": {"constant": 1.6},
    "welcome_gift": {"constant": -0.6, "newcomer": 2.0},
    "silence_benefit": {"constant": -0.8, "quiet": 1.8},
    "comeback_offer": {"constant": -1.0, "quiet": 2.4},
    "content_digest": {"constant": 0.0},
    "question": {"constant": 0.2, "quiet": -0.8},
    "group_invitation": {"constant": 0.0, "quiet": -0.5},
    "recognition_badge": {"constant": 0.4, "quiet": -1.6},
    "personal_call": {"constant": -1.0, "quiet": 1.2},
}
EVEN_SHIFTS: Weights = {
    "welcome_gift": {"constant": 0.3},
    "silence_benefit": {"constant": 0.45},
    "comeback_offer": {"constant": 0.35},
    "content_digest": {"constant": 0.15},
    "group_invitation": {"constant": 0.3},
    "personal_call": {"constant": 0.7},
}
HELPFUL_SHIFTS: Weights = {
    "welcome_gift": {"constant": 0.2, "newcomer": 1.4},
    "silence_benefit": {"constant": 0.3, "bargain": 0.6},
    "comeback_offer": {"constant": 0.3, "quiet": 0.6},
    "content_digest": {"constant": 0.1, "reader": 0.5},
    "group_invitation": {"constant": 0.1, "social": 0.7},
    "personal_call": {"constant": 1.2, "young": -1.0},
}
CONTRARY_SHIFTS: Weights = {
    "welcome_gift": {"constant": 0.6, "newcomer": 2.0, "quiet": -1.8},
    "silence_benefit": {"constant": 1.3, "quiet": -3.2},
    "comeback_offer": {"constant": 1.0, "bargain": 1.2, "quiet": -3.0},
    "content_digest": {"constant": 0.1, "reader": 1.6, "quiet": -1.4},
    "group_invitation": {"social": 1.8, "quiet": -1.4},
    "personal_call": {"constant": 2.0, "quiet": -4.0},
}
QUIET_FIRST: Weights = {
    "none": {"constant": 2.5, "quiet": -2.5},
    "welcome_gift": {"constant": -1.0, "newcomer": 1.0, "quiet": 3.0},
    "silence_benefit": {"constant": -1.0, "quiet": 4.0},
    "comeback_offer": {"constant": -1.5, "quiet": 4.5},
    "content_digest": {"constant": -0.5, "quiet": 3.0},
    "question": {"constant": 0.5, "quiet": -1.0},
    "group_invitation": {"constant": -0.5, "quiet": 3.0},
    "recognition_badge": {"constant": 1.0, "quiet": -3.0},
    "personal_call": {"constant": -1.5, "quiet": 4.0},
}
MIXED = WorldPlan(
    "mixed",
    "six interventions help some members and not others, some of them harm a group, two do nothing; assignment leans to members at risk",
    Regime(MIXED_SHIFTS),
    USUAL_PREFERENCES,
)
_PLANS = (
    MIXED,
    WorldPlan(
        "strong",
        "as mixed, with effects twice as large and members who differ twice as much",
        Regime(scaled(MIXED_SHIFTS, 2)),
        USUAL_PREFERENCES,
        own_spread=0.3,
    ),
    WorldPlan(
        "weak",
        "as mixed, with effects a third as large and members who differ a third as much",
        Regime(scaled(MIXED_SHIFTS, 1 / 3)),
        USUAL_PREFERENCES,
        own_spread=0.05,
    ),
    WorldPlan(
        "no_heterogeneity",
        "an intervention shifts the log visits per day of everybody whom it reaches by the same amount; two do nothing",
        Regime(EVEN_SHIFTS),
        USUAL_PREFERENCES,
        own_spread=0.0,
    ),
    WorldPlan(
        "harmful",
        "as mixed, but the invitation to a group drives members away on average, and newcomers and the young strongly",
        Regime({**MIXED_SHIFTS, "group_invitation": {"constant": -0.4, "newcomer": -1.2, "young": -1.2}}),
        USUAL_PREFERENCES,
    ),
    WorldPlan(
        "contrary",
        "six interventions keep members who are there and drive those away who have fallen silent; assignment leans to members at risk",
        Regime(CONTRARY_SHIFTS),
        USUAL_PREFERENCES,
        own_spread=0.3,
    ),
    WorldPlan(
        "confounded",
        "six interventions help, and go to members at risk, so that a plain comparison shows harm; no propensities are written",
        Regime(HELPFUL_SHIFTS),
        QUIET_FIRST,
        exploration=0.05,
        propensities_written=False,
    ),
    WorldPlan(
        "rare",
        "as mixed, in a lively community that few members leave",
        Regime(MIXED_SHIFTS, activity=3.0, fading=0.15),
        USUAL_PREFERENCES,
    ),
    WorldPlan(
        "drifting",
        "from one day on the benefit for quiet members and the invitation repel, the digest and the badge attract, people come less "
        "and fade sooner",
        Regime(MIXED_SHIFTS),
        USUAL_PREFERENCES,
        then=Regime(
            {
                **MIXED_SHIFTS,
                "silence_benefit": {"quiet": -0.4, "bargain": -0.3},
                "group_invitation": {"constant": -0.3},
                "content_digest": {"constant": 0.3, "reader": 0.4},
                "recognition_badge": {"constant": 0.4},
            },
            activity=0.8,
            fading=1.5,
        ),
    ),
)
WORLDS: Mapping[str, WorldPlan] = {plan.name: plan for plan in _PLANS}


def world_named(name: str) -> WorldPlan:
    """Raises InputError for a name that is not in `WORLDS`."""
    if name not in WORLDS:
        raise InputError(f'"{name}" is no world that can be simulated; there are {", ".join(WORLDS)}')
    return WORLDS[name]
