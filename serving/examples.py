"""Examples of the documentation: true to the schemas, which a test checks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.cloud_events import BATCH, STRUCTURED

Extra = dict[str, Any]

_EVENT: Extra = {"event_id": "e-1", "type": "read", "timestamp": "2026-11-20T09:00:00+08:00"}

_REQUEST: Extra = {
    "member_id": "m-123",
    "request_id": "crm-8841",
    "events": [_EVENT],
    "context": {"channel": "wecom_group"},
    "max_actions": 3,
    "mode": "decide",
    "include": ["reasons"],
}

_ANSWER: Extra = {
    "decision_id": "5b1e6c0f9a7d4e21b3c8d90f12a4e6b7",
    "request_id": "crm-8841",
    "member_id": "m-123",
    "created_at": "2026-11-20T01:00:05Z",
    "churn": {
        "status": "scored",
        "horizon_days": 30,
        "probability": 0.43,
        "typical_probability": 0.21,
        "percentile": 0.91,
        "risk_band": "high",
        "horizons": [{"days": 7, "probability": 0.71}, {"days": 30, "probability": 0.43}, {"days": 90, "probability": 0.3}],
        "text": None,
    },
    "member": {
        "stage": "silent",
        "tier": "active",
        "tags": ["interest_decay"],
        "value": 182.0,
        "value_at_risk": 78.3,
        "tenure_days": 402.5,
        "days_silent": 9.2,
    },
    "reasons": [
        {
            "code": "days_since_comment",
            "direction": "raises",
            "contribution_pp": 22.0,
            "value": 21.0,
            "typical": 4.0,
            "feature": "days_since_comment",
            "window_days": None,
            "text": "No comments for 21 days (usual: 4 days)",
        }
    ],
    "actions": [
        {
            "rank": 1,
            "intervention_id": "coupon_20",
            "label": "Voucher over 20",
            "channel": "wecom_group",
            "uplift": 0.06,
            "uplift_interval": [0.01, 0.11],
            "uplift_source": "prior",
            "expected_net_value": 7.9,
            "cost": 3.0,
            "priority": 7.9,
            "shadow_price": 0.0,
            "assignment_probability": 0.92,
            "exploration": False,
            "reasons": [
                {
                    "code": "uplift",
                    "text": "Of 100 members like this one, about 6.0 more would stay (90% interval: 1.0 to 11.0)",
                    "contribution_pp": None,
                }
            ],
            "send_not_before": "2026-11-20T01:00:05Z",
            "valid_until": "2026-11-27T01:00:05Z",
        }
    ],
    "no_action_reason": None,
    "no_action_text": None,
    "suppressed": [
        {
            "intervention_id": "call",
            "stage": "contact_policy",
            "rule": "calls_30d",
            "text": "At most 1 contact in 30 days on Phone, which is used up",
        }
    ],
    "candidates": None,
    "experiment": {"id": "global_control", "arm": "treated"},
    "plan_id": None,
    "model": {"version": "7", "grade": "B"},
    "data": {"features_as_of": "2026-11-20T01:00:05Z", "last_event_at": "2026-11-20T01:00:00Z"},
    "warnings": [],
}

_UNKNOWN_MEMBER: Extra = {
    "type": "/docs#unknown-member",
    "title": "The member is not known",
    "status": 404,
    "detail": 'member "m-9" is not known; ids are case-sensitive, and a member joins with its first event',
    "request_id": "9f86d081884c7d65",
    "errors": [],
}


_CLOUD_EVENT: Extra = {
    "specversion": "1.0",
    "id": "8841",
    "source": "https://crm.example.org/wecom",
    "type": "purchase",
    "subject": "m-123",
    "time": "2026-11-20T09:00:00+08:00",
    "datacontenttype": "application/json",
    "data": {"value": 19.5, "channel": "wecom_group"},
}
CLOUD_EVENT_EXAMPLES: Extra = {STRUCTURED: _CLOUD_EVENT, BATCH: [_CLOUD_EVENT]}
"""By media type; the answer is that to other events."""

RECORDED: Extra = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf-8"))
"""`METHOD path` -> {request, answers: {status: answer}}, as the service gave them over a simulated community; long lists are cut."""


@dataclass(frozen=True)
class Example:
    """Of one operation: a request, and the answer to it."""

    path: str
    request: Extra
    answer: Extra


EXAMPLES = (
    Example("/v1/score", _REQUEST, _ANSWER),
    Example(
        "/v1/score/batch",
        {"requests": [_REQUEST, {"member_id": "m-9"}]},
        {
            "results": [
                {"index": 0, "status": 200, "answer": _ANSWER, "problem": None},
                {"index": 1, "status": 404, "answer": None, "problem": _UNKNOWN_MEMBER},
            ]
        },
    ),
    Example(
        "/v1/events",
        {"events": [{"member_id": "m-123", **_EVENT}, {"member_id": "m-123", "type": "pst", "timestamp": "2026-11-20T09:05:00+08:00"}]},
        {
            "accepted": 1,
            "duplicate": 0,
            "rejected": [{"index": 1, "code": "unknown_event_type", "detail": 'no signal names the type "pst"; known are comment, post'}],
        },
    ),
    Example(
        "/v1/touches",
        {
            "touches": [
                {
                    "touch_id": "t-1",
                    "decision_id": "5b1e6c0f9a7d4e21b3c8d90f12a4e6b7",
                    "at": "2026-11-20T10:02:00+08:00",
                    "state": "delivered",
                    "response": "accepted",
                    "cost": 3.2,
                },
                {
                    "touch_id": "t-2",
                    "member_id": "m-9",
                    "intervention_id": "call",
                    "at": "2026-11-20T10:05:00+08:00",
                    "state": "undelivered",
                },
            ]
        },
        {
            "accepted": 1,
            "duplicate": 0,
            "rejected": [{"index": 1, "code": "unknown_member", "detail": 'member "m-9" is not known; ids are case-sensitive'}],
        },
    ),
    Example(
        "/v1/outcomes",
        {
            "outcomes": [
                {
                    "outcome_id": "o-1",
                    "member_id": "m-123",
                    "decision_id": "5b1e6c0f9a7d4e21b3c8d90f12a4e6b7",
                    "type": "redeemed",
                    "at": "2026-11-22T18:30:00+08:00",
                    "value": 20.0,
                }
            ]
        },
        {"accepted": 1, "duplicate": 0, "rejected": []},
    ),
)
