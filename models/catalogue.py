"""What a community starts with: interventions, contact policy and lifecycle, paced by how long a silence counts as leaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Literal

from models.actions import Cap, ContactPolicy, Intervention, QuietHours
from models.community import Lifecycle, Tier
from models.declared import Label
from models.rules import Eligibility, Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Category = Literal["incentive", "content", "social", "recognition", "service"]
Lever = Literal["reciprocity", "loss_aversion", "scarcity", "curiosity", "competence", "belonging", "status", "care"]
USUAL_HORIZON_DAYS = 30
TIER_LABELS = {
    "base": Label(en="base members", zh="基础成员"),
    "active": Label(en="active members", zh="活跃成员"),
    "KOC": Label(en="key opinion consumers", zh="关键意见消费者"),
    "KOL": Label(en="key opinion leaders", zh="关键意见领袖"),
}
TIER_VALUES = (20.0, 80.0, 300.0, 1000.0)
"""Money in 90 days where purchases do not tell: a place for the community's own estimate."""


@dataclass(frozen=True)
class Pace:
    """Thresholds are known for communities where 30 days of silence are a loss; where people come once a quarter, all takes longer."""

    horizon_days: int

    @property
    def factor(self) -> float:
        return self.horizon_days / USUAL_HORIZON_DAYS

    def days(self, usual: int, least: int, most: int) -> int:
        return round(min(max(usual * self.factor, least), most))

    @property
    def new_days(self) -> int:
        return self.days(30, 7, 120)

    @property
    def silent_days(self) -> int:
        return self.days(7, 1, 365)

    @property
    def lost_days(self) -> int:
        return max(self.silent_days + 1, self.horizon_days)


@dataclass(frozen=True)
class Incentive:
    """What it costs when it is redeemed, and the share of members who are believed to do so."""

    cost: float
    redemption_rate: float


@dataclass(frozen=True)
class Occasion:
    """A scene, and who may have the intervention where it is declared."""

    scene: str
    eligibility: Eligibility


@dataclass(frozen=True)
class Offer:
    """An intervention before it is paced; where the scene of its occasion is declared, that tells who may have it.

    `uplift` is a belief, a few percentage points at most, worth as much as a trial on `evidence` members. `cooldowns` counts usual
    cooldowns, 14 days where 30 days of silence are a loss; None is a year.
    """

    id: str
    label: Label
    category: Category
    lever: Lever
    channels: tuple[str, ...]
    cost: float
    uplift: float
    evidence: float
    cooldowns: int | None
    eligibility: Callable[[Pace], Eligibility]
    occasion: Occasion | None = None
    incentive: Incentive | None = None

    def at(self, pace: Pace, scenes: Sequence[Scene]) -> Intervention:
        occasion = self.occasion
        met = occasion is not None and occasion.scene in {scene.name for scene in scenes}
        cooldown_days = 365 if self.cooldowns is None else self.cooldowns * pace.days(14, 7, 90)
        return Intervention(
            id=self.id,
            label=self.label,
            category=self.category,
            lever=self.lever,
            channels=self.channels,
            cost=self.cost,
            incentive_cost=0.0 if self.incentive is None else self.incentive.cost,
            redemption_rate=1.0 if self.incentive is None else self.incentive.redemption_rate,
            starting_uplift=self.uplift,
            starting_evidence=self.evidence,
            cooldown_days=cooldown_days,
            valid_days=pace.days(7, 2, 30),
            refusal_cooldown_days=pace.days(60, 30, 365),
            eligibility=occasion.eligibility if occasion is not None and met else self.eligibility(pace),
        )


OFFERS = (
    Offer(
        "welcome_gift",
        Label(en="Welcome gift", zh="新人礼"),
        "incentive",
        "reciprocity",
        channels=("app_push", "sms"),
        cost=0.1,
        incentive=Incentive(6.0, 0.5),
        uplift=0.02,
        evidence=500,
        cooldowns=None,
        eligibility=lambda pace: Eligibility(max_tenure_days=pace.new_days),
        occasion=Occasion("welcome", Eligibility(scenes=("welcome",))),
    ),
    Offer(
        "silence_benefit",
        Label(en="Benefit for quiet members", zh="沉默关怀福利"),
        "incentive",
        "loss_aversion",
        channels=("app_push", "sms"),
        cost=0.1,
        incentive=Incentive(6.0, 0.3),
        uplift=0.015,
        evidence=800,
        cooldowns=2,
        eligibility=lambda pace: Eligibility(stages=("silent", "lost"), min_days_silent=pace.silent_days),
    ),
    Offer(
        "comeback_offer",
        Label(en="Come-back offer", zh="回归礼遇"),
        "incentive",
        "scarcity",
        channels=("email", "sms"),
        cost=0.1,
        incentive=Incentive(10.0, 0.4),
        uplift=0.02,
        evidence=500,
        cooldowns=3,
        eligibility=lambda pace: Eligibility(tags=("win_back_candidate",), min_days_silent=2 * pace.silent_days),
        occasion=Occasion("gone", Eligibility(scenes=("gone",), statuses=("scored", "already_churned"), tags=("win_back_candidate",))),
    ),
    Offer(
        "content_digest",
        Label(en="Digest of the best content", zh="精选内容周报"),
        "content",
        "curiosity",
        channels=("email", "app_push"),
        cost=0.05,
        uplift=0.008,
        evidence=1500,
        cooldowns=1,
        eligibility=lambda pace: Eligibility(min_tenure_days=min(7, pace.new_days)),
    ),
    Offer(
        "question",
        Label(en="Question to the member", zh="向成员提问"),
        "social",
        "competence",
        channels=("app_push", "group_chat"),
        cost=0.1,
        uplift=0.01,
        evidence=1000,
        cooldowns=1,
        eligibility=lambda _: Eligibility(stages=("new", "growing", "active", "stable", "silent")),
    ),
    Offer(
        "group_invitation",
        Label(en="Invitation to a group event", zh="社群活动邀请"),
        "social",
        "belonging",
        channels=("group_chat", "app_push"),
        cost=0.5,
        uplift=0.012,
        evidence=800,
        cooldowns=1,
        eligibility=lambda pace: Eligibility(max_days_silent=pace.lost_days),
    ),
    Offer(
        "recognition_badge",
        Label(en="Recognition badge", zh="荣誉徽章"),
        "recognition",
        "status",
        channels=("app_push",),
        cost=0.1,
        uplift=0.008,
        evidence=1000,
        cooldowns=3,
        eligibility=lambda _: Eligibility(stages=("growing", "active", "stable"), tiers=("active", "KOC", "KOL")),
        occasion=Occasion("tier_reached", Eligibility(scenes=("tier_reached",))),
    ),
    Offer(
        "personal_call",
        Label(en="Personal call", zh="专人回访"),
        "service",
        "care",
        channels=("phone",),
        cost=8.0,
        uplift=0.03,
        evidence=300,
        cooldowns=6,
        eligibility=lambda _: Eligibility(tiers=("KOC", "KOL"), min_churn_probability=0.2),
    ),
)


def default_interventions(pace: Pace, scenes: Sequence[Scene] = ()) -> tuple[Intervention, ...]:
    return tuple(offer.at(pace, scenes) for offer in OFFERS)


def default_scenes(pace: Pace, tiers: Sequence[Tier], reach_days: int, *, first: str = "any", born: str | None = None) -> tuple[Scene, ...]:
    """first: the signal whose first event is welcomed; born: the column with birthdays, where there is one.

    reach_days: how much further than the longest window the lookback goes, so that a tier can be seen being reached.
    """
    scenes = (
        Scene(name="welcome", label=Label(en="Welcome", zh="欢迎"), after_first=first, within_hours=24),
        Scene(name="gone_quiet", label=Label(en="Has gone quiet", zh="开始沉默"), after_silence_days=pace.silent_days, within_days=3),
        Scene(name="gone", label=Label(en="Gone for long", zh="长期离开"), after_silence_days=pace.lost_days, within_days=14),
        Scene(name="birthday", label=Label(en="Birthday", zh="生日"), on_date=born or "birthday", within_days=2),
        Scene(name="tier_reached", label=Label(en="Reached a tier", zh="升级"), on_tiers=tuple(t.name for t in tiers[1:]), within_days=7),
    )
    absent = {"birthday"} if born is None else set()
    absent |= {"tier_reached"} if len(tiers) < 2 or reach_days < 7 else set()
    return tuple(scene for scene in scenes if scene.name not in absent)


def default_contact_policy(interventions: Iterable[Intervention]) -> ContactPolicy:
    """People tire of messages at one pace everywhere, so this is not paced by the horizon. Caps are those of channels that are used."""
    used = {"any", *(channel for intervention in interventions for channel in intervention.channels)}
    caps = (
        Cap(name="any_week", channel="any", max_contacts=2, days=7),
        Cap(name="any_month", channel="any", max_contacts=5, days=30),
        Cap(name="sms_month", channel="sms", max_contacts=2, days=30),
        Cap(name="email_week", channel="email", max_contacts=1, days=7),
        Cap(name="phone_quarter", channel="phone", max_contacts=1, days=90),
    )
    return ContactPolicy(
        caps=tuple(cap for cap in caps if cap.channel in used),
        quiet_hours=QuietHours(start=time(21, 30), end=time(8, 30)),
        refusal_cooldown_days=7,
    )


def default_lifecycle(pace: Pace, tiers: tuple[Tier, ...], service: tuple[str, ...] = (), satisfaction: tuple[str, ...] = ()) -> Lifecycle:
    """service, satisfaction: names of the signals that are contacts with the service, and ratings."""
    slower = max(1.0, pace.factor)
    return Lifecycle(
        new_days=pace.new_days,
        silent_days=pace.silent_days,
        lost_days=pace.lost_days,
        stable_days=pace.days(180, 60, 720),
        trend_days=pace.days(14, 3, 90),
        low_weekly_events=round(3 / slower, 2),
        high_weekly_events=round(5 / slower, 2),
        newcomer_hours=72,
        newcomer_silent_hours=24,
        service_signals=service,
        satisfaction_signals=satisfaction,
        tiers=tiers,
    )


def default_tiers(floors: Sequence[int], values: Sequence[float] = TIER_VALUES) -> tuple[Tier, ...]:
    """floors: contributions from which a member is active, KOC and KOL; made to rise where they do not."""
    rising = [0]
    for floor in floors:
        rising.append(max(floor, rising[-1] + 1))
    return tuple(
        Tier(name=name, min_contributions=floor, value=value, label=label)
        for (name, label), floor, value in zip(TIER_LABELS.items(), rising, values, strict=True)
    )
