"""What fell out alike is told once, and tells each member where that member stands."""

import json

import pytest

from models import removal_texts
from models.decision import MemberState
from models.interventions import Rule
from models.refusal_wording import Standing, removal_sentence
from models.removal_texts import Removal, removal_text
from tests.told_community import told_community

COMMUNITY = told_community()
SILENT = Removal.by("come_back_offer", Rule("eligibility", "min_days_silent"))
TIERS = Removal.by("badge", Rule("eligibility", "tiers"))
CAP = Removal.by("badge", Rule("contact_policy", "weekly"))


def standing(days_silent, tier="active"):
    return Standing(MemberState("active", tier, (), 100.0, None, 50.0, days_silent), None)


def text_of(removal, of, language="en", community=COMMUNITY):
    told = json.loads(removal_text(language, removal, of, community))
    assert told == {
        "intervention_id": removal.intervention_id,
        "stage": removal.removed_at,
        "rule": removal.rule,
        "text": removal_sentence(language, removal, of, community),
    }
    return told["text"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_member_is_told_where_it_stands(language):
    assert len({text_of(SILENT, standing(days), language) for days in (1.0, 2.0, 3.0, 1.0)}) == 3
    assert len({text_of(TIERS, standing(1.0, tier), language) for tier in ("active", "koc")}) == 2
    assert len({text_of(CAP, standing(days), language) for days in (1.0, 2.0)}) == 1


def test_languages_and_communities_keep_their_own_sentences():
    other = told_community(contact_policy=COMMUNITY.contact_policy.model_copy(update={"caps": (COMMUNITY.contact_policy.caps[1],)}))
    assert len({text_of(CAP, standing(1.0), "en"), text_of(CAP, standing(1.0), "zh"), text_of(CAP, standing(1.0), "en", other)}) == 3


def test_sentences_stay_right_when_more_are_told_than_are_held(monkeypatch):
    monkeypatch.setattr(removal_texts, "MOST_HELD", 3)
    for _ in range(2):
        assert len({text_of(SILENT, standing(float(days))) for days in range(1, 9)}) == 8
