"""What a community starts with: interventions, contact policy and lifecycle, paced by how long a silence counts as leaving."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING

from models.community import Cap, ContactPolicy, Eligibility, Intervention, Label, Lifecycle, QuietHours, Tier

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def default_interventions(pace: Pace) -> tuple[Intervention, ...]:
    """Starting uplifts are beliefs, a few percentage points at most, worth as much as a trial on `starting_evidence` members."""
    cooldown, valid = pace.days(14, 7, 90), pace.days(7, 2, 30)
    return (
        Intervention(
            id="welcome_gift",
            label=Label(en="Welcome gift", zh="新人礼"),
            category="incentive",
            lever="reciprocity",
            channels=("app_push", "sms"),
            cost=3.0,
            starting_uplift=0.02,
            starting_evidence=500,
            cooldown_days=365,
            valid_days=valid,
            eligibility=Eligibility(max_tenure_days=pace.new_days),
        ),
        Intervention(
            id="silence_benefit",
            label=Label(en="Benefit for quiet members", zh="沉默关怀福利"),
            category="incentive",
            lever="loss_aversion",
            channels=("app_push", "sms"),
            cost=2.0,
            starting_uplift=0.015,
            starting_evidence=800,
            cooldown_days=2 * cooldown,
            valid_days=valid,
            eligibility=Eligibility(stages=("silent", "lost"), min_days_silent=pace.silent_days),
        ),
        Intervention(
            id="comeback_offer",
            label=Label(en="Come-back offer", zh="回归礼遇"),
            category="incentive",
            lever="scarcity",
            channels=("email", "sms"),
            cost=4.0,
            starting_uplift=0.02,
            starting_evidence=500,
            cooldown_days=3 * cooldown,
            valid_days=valid,
            eligibility=Eligibility(tags=("win_back_candidate",), min_days_silent=2 * pace.silent_days),
        ),
        Intervention(
            id="content_digest",
            label=Label(en="Digest of the best content", zh="精选内容周报"),
            category="content",
            lever="curiosity",
            channels=("email", "app_push"),
            cost=0.05,
            starting_uplift=0.008,
            starting_evidence=1500,
            cooldown_days=cooldown,
            valid_days=valid,
            eligibility=Eligibility(min_tenure_days=min(7, pace.new_days)),
        ),
        Intervention(
            id="question",
            label=Label(en="Question to the member", zh="向成员提问"),
            category="social",
            lever="competence",
            channels=("app_push", "group_chat"),
            cost=0.1,
            starting_uplift=0.01,
            starting_evidence=1000,
            cooldown_days=cooldown,
            valid_days=valid,
            eligibility=Eligibility(stages=("new", "growing", "active", "stable", "silent")),
        ),
        Intervention(
            id="group_invitation",
            label=Label(en="Invitation to a group event", zh="社群活动邀请"),
            category="social",
            lever="belonging",
            channels=("group_chat", "app_push"),
            cost=0.5,
            starting_uplift=0.012,
            starting_evidence=800,
            cooldown_days=cooldown,
            valid_days=valid,
            eligibility=Eligibility(max_days_silent=pace.lost_days),
        ),
        Intervention(
            id="recognition_badge",
            label=Label(en="Recognition badge", zh="荣誉徽章"),
            category="recognition",
            lever="status",
            channels=("app_push",),
            cost=0.1,
            starting_uplift=0.008,
            starting_evidence=1000,
            cooldown_days=3 * cooldown,
            valid_days=valid,
            eligibility=Eligibility(stages=("growing", "active", "stable"), tiers=("active", "KOC", "KOL")),
        ),
        Intervention(
            id="personal_call",
            label=Label(en="Personal call", zh="专人回访"),
            category="service",
            lever="care",
            channels=("phone",),
            cost=8.0,
            starting_uplift=0.03,
            starting_evidence=300,
            cooldown_days=6 * cooldown,
            valid_days=valid,
            eligibility=Eligibility(tiers=("KOC", "KOL"), min_churn_probability=0.2),
        ),
    )


def default_contact_policy() -> ContactPolicy:
    """People tire of messages at one pace everywhere, so this is not paced by the horizon."""
    return ContactPolicy(
        caps=(
            Cap(name="any_week", channel="any", max_contacts=2, days=7),
            Cap(name="any_month", channel="any", max_contacts=5, days=30),
            Cap(name="sms_month", channel="sms", max_contacts=2, days=30),
            Cap(name="email_week", channel="email", max_contacts=1, days=7),
            Cap(name="phone_quarter", channel="phone", max_contacts=1, days=90),
        ),
        quiet_hours=QuietHours(start=time(21, 30), end=time(8, 30)),
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
