"""Decisions about members of the told community: at risk, best left alone, and without a number."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
from scipy.special import expit, logit

from models.decision import Candidate, ChurnScore, Decision, MemberState
from models.explanation import Typical, reasons
from models.features import feature_spec
from models.reason_groups import reason_groups
from models.report_figures import Week
from tests.told_community import told_community

COMMUNITY = told_community(timezone="Asia/Shanghai")
AS_OF = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
TYPICAL = 0.18
FADING = {
    "days_since_comment": (21, 4, 0.62),
    "comment_count_30d": (1, 6, 0.34),
    "gap_now_to_usual": (3.2, 0.8, 0.41),
    "purchase_sum_365d": (182, 45, -0.28),
    "tenure_days": (812, 240, -0.14),
    "evening_share": (0.62, 0.41, 0.05),
    "touches_answered_share": (0.2, 0.5, 0.12),
    "signals_used_30d": (2, 3, 0.09),
    "read_count_30d": (14, 11, -0.03),
}
THRIVING = {
    "days_since_comment": (0.4, 4, -0.51),
    "comment_count_30d": (31, 6, -0.44),
    "tenure_days": (1204, 240, -0.30),
    "touch_count_30d": (5, 2, 0.21),
    "gap_now_to_usual": (0.3, 0.8, -0.17),
    "days_since_purchase": (np.nan, 40, 0.08),
}


def told_reasons(language, story, probability, max_reasons=7):
    spec = feature_spec(COMMUNITY)
    features, usual, contributions = (np.zeros(len(spec.features)) for _ in range(3))
    scale = (logit(probability) - logit(TYPICAL)) / sum(contribution for _, _, contribution in story.values())
    for name, (value, typical, contribution) in story.items():
        at = spec.position(name)
        features[at], usual[at], contributions[at] = value, typical, contribution * scale
    groups = reason_groups(COMMUNITY, spec)
    typical = Typical.of(expit, float(logit(TYPICAL)), usual)
    return reasons(contributions, features, probability, typical, groups, language, max_reasons=max_reasons)


def candidate(name, channel, uplift, cost, priority, **more):
    interval = (round(uplift - 0.05, 3), round(uplift + 0.05, 3))
    return Candidate(name, channel, uplift, interval, more.pop("source", "experiment"), 182.0, 1.0, 1.0, cost, priority, **more)


CANDIDATES = (
    Candidate("none", None, 0.0, (0.0, 0.0), "prior", 182.0, 1.0, 1.0, 0.0, 0.0, 0.02),
    candidate("come_back_offer", "wecom", 0.06, 3.0, 7.92, probability=0.94),
    candidate("welcome_gift", "wecom", 0.04, 5.0, 2.28, removed_at="eligibility", rule="max_tenure_days"),
    candidate("content_digest", "email", 0.028, 0.0, 5.1, probability=0.02, source="prior"),
    candidate("ask_question", "wecom", 0.015, 0.0, 2.73, probability=0.02, source="prior"),
    candidate("badge", "wecom", 0.03, 0.0, 5.46, removed_at="eligibility", rule="min_value"),
    candidate("call", "phone", 0.08, 12.0, 2.56, removed_at="contact_policy", rule="calls"),
)


def at_risk(language="en"):
    churn = ChurnScore("scored", 30, 0.43, TYPICAL, 0.91, "high", ((7, 0.71), (30, 0.43), (90, 0.24)))
    return Decision(
        decision_id="0d9c1a52-6c1e-4a7e-9d6a-5a0f4f1c2b7e",
        member_id="m-48213",
        as_of=AS_OF,
        features_as_of=AS_OF,
        last_event_at=AS_OF - timedelta(days=3, hours=5),
        churn=churn,
        member=MemberState("silent", "koc", ("interest_decay", "high_value"), 182.0, 78.26, 812.0, 9.3),
        reasons=told_reasons(language, FADING, 0.43),
        candidates=CANDIDATES,
        chosen="come_back_offer",
        draw=0.5172,
        exploration=False,
        arm="treated",
        no_action_reason=None,
        model_version="7",
        grade="A",
        catalogue_fingerprint="9f2c7b1e55aa0d31c0ffee",
    )


def best_left_alone(language="en"):
    loss = [replace(each, uplift=-0.01, uplift_interval=(-0.04, 0.02), priority=-3.1 - each.cost) for each in CANDIDATES[1:]]
    standing = [replace(each, probability=0.0 if each.removed_at else 0.02) for each in loss]
    return replace(
        at_risk(language),
        member_id="小林 <b>&",
        churn=ChurnScore("scored", 30, 0.052, TYPICAL, 0.08, "low", ((7, 0.31), (30, 0.052), (90, 0.011))),
        member=MemberState("stable", "kol", (), 480.0, 24.96, 1204.0, 0.4),
        reasons=told_reasons(language, THRIVING, 0.052),
        candidates=(replace(CANDIDATES[0], probability=0.94), *standing),
        chosen="none",
        no_action_reason="do_nothing_is_best",
        grade="C",
    )


def without_history(language="en"):
    rules = {"come_back_offer": "min_days_silent", "content_digest": "min_churn_probability", "badge": "min_value"}
    removed = [
        replace(each, probability=0.0, removed_at="eligibility" if rule else "arbitration", rule=rule)
        for each, rule in ((each, rules.get(each.intervention_id)) for each in CANDIDATES[1:])
    ]
    return replace(
        at_risk(language),
        member_id="m-99001",
        last_event_at=None,
        churn=ChurnScore("insufficient_history", 30),
        member=MemberState("new", "base", (), 20.0, None, 0.6, None),
        reasons=(),
        candidates=(replace(CANDIDATES[0], probability=1.0), *removed),
        chosen="none",
        no_action_reason="insufficient_history",
    )


def weeks(*, fading=True):
    """Counts of comments, posts, purchases, ratings and reads."""
    rng = np.random.default_rng(7)
    level = np.linspace(1, 0.1 if fading else 1, 26)
    counts = rng.poisson(np.outer(level, [5, 1.2, 0.6, 0, 9]))
    return tuple(Week(date(2026, 5, 22) + timedelta(days=7 * at), tuple(row)) for at, row in enumerate(counts.tolist()))


def silent_weeks():
    return tuple(Week(week.start, (0,) * 5) for week in weeks())
