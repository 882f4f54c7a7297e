import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.community import Churn
from models.decision import ChurnScore, Reason
from models.member_report import Provenance, render_member_report, weekly_activity
from models.report_choice import chosen_candidate
from models.report_figures import dots_of, rounded_to_sum, waterfall
from tests.told_community import told_community
from tests.told_decisions import AS_OF, COMMUNITY, at_risk, best_left_alone, silent_weeks, weeks, without_history

GENERATED = AS_OF + timedelta(minutes=5)
VOID = {"meta"}
CASES = [at_risk, best_left_alone, without_history]


class Page(HTMLParser):
    """Texts as a reader meets them, attributes of every element, and whether every element is closed."""

    def __init__(self, source):
        super().__init__()
        self.open, self.attributes, self.texts = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and data.strip():
            self.texts.append(data.strip())

    @property
    def text(self):
        return " ".join(self.texts)


def rendered(decision, language="en", *, community=COMMUNITY, activity=None, **more):
    shown = weeks() if activity is None else activity
    return render_member_report(decision, community, activity=shown, generated_at=GENERATED, language=language, **more)


def page(decision, language="en", **more):
    return Page(rendered(decision, language, **more))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("case", CASES)
def test_a_report_stands_alone(case, language):
    source = rendered(case(language), language)
    found = Page(source)
    tags = {tag for tag, _, _ in found.attributes}
    assert not tags & {"script", "link", "img", "iframe"}
    assert not {name for _, name, _ in found.attributes} & {"src", "href", "style", "onclick"}
    assert "url(" not in source
    assert "@import" not in source
    assert "http" not in source
    assert ("html", "lang", "zh-CN" if language == "zh" else "en") in found.attributes


@pytest.mark.parametrize("case", CASES)
def test_an_english_report_has_no_chinese_in_it_and_a_chinese_one_hardly_any_english(case):
    assert not re.search("[\u4e00-\u9fff]", page(replace(case("en"), member_id="m")).text)
    words = set(re.findall(r"[A-Za-z]{2,}", page(case("zh"), "zh").text))
    assert words <= {"Tea", "Friends", "Asia", "Shanghai", "Keepwell"} | set(
        re.findall(r"[A-Za-z]{2,}", f"{case().member_id} {case().decision_id} 9f2c7b1e55aa")
    )


def test_what_a_member_is_called_cannot_break_the_page():
    source = rendered(replace(at_risk(), member_id='<script>alert("1")</script>&'), community=COMMUNITY.model_copy(update={"name": "<i>"}))
    assert "<script" not in source
    assert "<i>" not in source
    assert '<script>alert("1")</script>&' in Page(source).text


def test_the_waterfall_leads_from_the_usual_risk_to_the_members_and_what_is_written_adds_up():
    steps = waterfall("en", 0.43, 0.18, at_risk().reasons)
    changes = [float(step.change.replace("\N{MINUS SIGN}", "-").removesuffix(" pp")) for step in steps[1:-1]]
    assert (steps[0].change, steps[-1].change) == ("18.0%", "43.0%")
    assert 18.0 + sum(changes) == pytest.approx(43.0, abs=1e-9)
    assert [step.after for step in steps[:-1]] == [f"{18.0 + sum(changes[:j]):.1f}%" for j in range(len(changes) + 1)]
    assert all(after.before_x == pytest.approx(before.after_x) for before, after in pairwise(steps[:-1]))
    assert steps[-2].after_x == pytest.approx(steps[-1].width)
    assert all(step.x >= 0 and step.x + step.width <= 100 for step in steps)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9))
def test_rounding_keeps_the_sum_and_moves_nothing_further_than_it_must(values):
    total = round(sum(values))
    whole = rounded_to_sum(values, total)
    assert sum(whole) == total
    assert all(abs(rounded - value) <= 1.5 for rounded, value in zip(whole, values, strict=True))


def test_the_table_says_what_the_waterfall_shows():
    found = page(at_risk())
    for step in waterfall("en", 0.43, 0.18, at_risk().reasons)[1:-1]:
        assert found.text.count(step.text + step.aside) == 2
        assert found.texts.count(step.change) == 2
        assert step.after in found.texts


@pytest.mark.parametrize(("probability", "filled"), [(0.0, 0), (0.43, 43), (1.0, 100)])
def test_as_many_dots_are_filled_as_members_of_a_hundred_go_silent(probability, filled):
    figure = dots_of("en", probability, 0.18)
    assert len(figure.dots) == 100
    assert sum(dot.filled for dot in figure.dots) == filled
    assert figure.usual_x == 4.0


def test_direction_and_choice_are_told_by_signs_and_not_by_colour_alone():
    found = page(at_risk()).text
    assert {"▲", "▼", "●", "○", "✕"} <= set(found)
    assert "▲ High risk" in found


def test_a_member_at_risk_is_told_in_sentences():
    found = page(at_risk()).text
    assert "43 of 100 members like this one go silent in the next 30 days (usual: 18)" in found
    assert "The risk is higher than that of 91% of the members." in found
    assert "No comments for 21 days (usual: 4 days)" in found
    assert "Linked with the risk, not proven to cause it." in found
    assert "Come-back offer (WeCom) Of 100 members like this one, about 6 more would stay (90% interval: 1 to 11)" in found
    assert "Expected benefit CN¥11" in found
    assert "Chosen over Digest of the best posts (Email), whose priority is CN¥5.10." in found
    assert "At most 1 contact in 30 days (Phone), which is used up" in found
    assert "version 7, grade A: clearly better than the best simple rule" in found
    assert "20 Nov 2026 16:00 (Asia/Shanghai)" in found


def test_a_cost_below_one_is_told_as_it_was_declared():
    cheap = tuple(replace(candidate, cost=candidate.cost / 6) for candidate in at_risk().candidates)
    found = page(replace(at_risk(), candidates=cheap)).text
    assert "Expected benefit CN¥11" in found
    assert "Cost CN¥0.50" in found
    assert "Cost CN¥0 " in found


def test_an_effect_from_the_catalogue_is_called_an_assumption():
    prior = tuple(replace(candidate, uplift_source="prior") for candidate in at_risk().candidates)
    assert "The effect is an assumption from the catalogue, not yet measured here." in page(replace(at_risk(), candidates=prior)).text


def test_an_action_drawn_to_learn_says_so():
    explored = replace(at_risk(), chosen="ask_question", draw=0.99, exploration=True)
    assert "Drawn on purpose, to learn: Come-back offer (WeCom) has the higher priority, CN¥7.92." in page(explored).text


def test_an_action_without_a_rival_was_chosen_over_doing_nothing():
    only = tuple(candidate for candidate in at_risk().candidates if candidate.intervention_id in {"none", "come_back_offer"})
    assert "Chosen over doing nothing; no other option is allowed." in page(replace(at_risk(), candidates=only)).text


def test_the_draw_tells_which_channel_of_an_intervention_was_chosen():
    both = (
        replace(at_risk().candidates[1], probability=0.4),
        replace(at_risk().candidates[1], channel="sms", probability=0.6),
    )
    assert chosen_candidate(replace(at_risk(), candidates=both, draw=0.39)).channel == "wecom"
    assert chosen_candidate(replace(at_risk(), candidates=both, draw=0.41)).channel == "sms"
    assert chosen_candidate(best_left_alone()) is None


def test_what_is_usual_stands_apart_from_what_is_told():
    english, chinese = (waterfall(language, 0.43, 0.18, at_risk(language).reasons)[1:-1] for language in ("en", "zh"))
    assert (english[0].text, english[0].aside) == ("No comments for 21 days ", "(usual: 4 days)")
    assert (chinese[0].text, chinese[0].aside) == ("已有21天没有评论", "（通常为4天）")
    assert english[-1].aside == ""


@pytest.mark.parametrize(
    ("percentile", "english", "chinese"),
    [
        (1.0, "more than 99%", "99%以上"),
        (0.998, "more than 99%", "99%以上"),
        (0.41, "41%", "41%"),
        (0.001, "less than 1%", "不到1%"),
        (0.0, "less than 1%", "不到1%"),
    ],
)
def test_a_rank_is_told_in_words(percentile, english, chinese):
    highest, zh = (replace(at_risk(language), churn=replace(at_risk(language).churn, percentile=percentile)) for language in ("en", "zh"))
    assert f"The risk is higher than that of {english} of the members." in page(highest).text
    assert f"风险高于{chinese}的成员。" in page(zh, "zh").text


def test_several_horizons_say_which_way_their_numbers_go():
    """Silence over a longer time is rarer, the end of a contract within a longer time likelier."""
    silence = page(at_risk()).text
    assert silence.index("Silent all 7 days 71%") < silence.index("Silent all 30 days 43%") < silence.index("Silent all 90 days 24%")
    assert "the fewer stay silent throughout" in silence
    contract = page(at_risk(), community=told_community(churn=Churn(contract_event="cancel"))).text
    assert "Leaves in the next 30 days 43%" in contract
    assert "the more have left by its end" in contract
    (only,) = [at for at in at_risk().churn.horizons if at[0] == 30]
    alone = page(replace(at_risk(), churn=replace(at_risk().churn, horizons=(only,)))).text
    assert "the fewer stay silent" not in alone


def test_a_member_best_left_alone_is_told_why():
    found = page(best_left_alone()).text
    assert "Do nothing No option is worth it: the expected benefit of each is below its cost." in found
    assert "The best of the allowed options, Digest of the best posts (Email), has a priority of −CN¥3.10." in found
    assert "▽ Low risk" in found


def test_a_member_without_a_number_gets_a_sentence_and_no_figure():
    found = page(without_history(), activity=silent_weeks())
    assert "There is too little history to tell this member's risk, so no number is given." in found.text
    assert "Without a number there is nothing to explain." in found.text
    assert "No activity in the weeks shown." in found.text
    assert not [tag for tag, _, _ in found.attributes if tag == "circle"]
    assert "%" not in found.text.replace("100%", "").replace("10%", "")


@pytest.mark.parametrize("status", ["already_churned", "opted_out"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_status_without_a_number_can_be_told(status, language):
    decision = replace(without_history(language), churn=ChurnScore(status, 30), no_action_reason=status)
    Page(rendered(decision, language, community=told_community(churn=Churn(contract_event="cancel"))))


def test_the_page_of_who_switched_personalisation_off_tells_nothing_of_the_behaviour():
    source = rendered(replace(without_history(), churn=ChurnScore("opted_out", 30), no_action_reason="opted_out"))
    found = Page(source)
    assert not re.search(r"<(dl|ul|ol)[^>]*>\s*</", source)
    assert "This member has switched personalisation off, so no risk is computed." in found.text
    assert not [told for told in ("Activity", "Value", "A member for", "Silent") if told in found.text]


def test_a_member_like_the_usual_one_has_no_difference_to_show():
    usual = replace(at_risk(), reasons=(), churn=replace(at_risk().churn, probability=0.18))
    assert "This member does not differ from the usual one in anything that counts." in page(usual).text


def test_differences_that_the_calibration_levels_are_called_without_effect():
    flat = Reason("tenure", "raises", 0.0, 20.0, 400.0, "Joined recently")
    found = page(replace(at_risk(), reasons=(flat,), churn=replace(at_risk().churn, probability=0.18))).text
    assert "The differences below do not move the risk of this member." in found


def test_signals_without_events_are_named_and_not_drawn():
    found = page(at_risk())
    assert "No activity in these weeks: ratings." in found.text
    drawn = [value.split(":")[0] for tag, name, value in found.attributes if (tag, name) == ("svg", "aria-label")]
    assert drawn[1:] == ["Comments", "Posts", "Purchases", "Reads"]


def test_notes_on_the_data_and_the_age_of_the_model_are_shown_where_they_are_known():
    known = Provenance(AS_OF - timedelta(days=60), ("Three weeks have far fewer events than usual.",))
    found = page(at_risk(), provenance=known).text
    assert "Learned from events up to 21 Sep 2026 16:00 (Asia/Shanghai)" in found
    assert "Notes on the data Three weeks have far fewer events than usual." in found
    assert "Learned from" not in page(at_risk()).text


def test_a_rule_or_reason_without_a_text_is_shown_as_it_is_named():
    odd = replace(best_left_alone(), no_action_reason="moon_phase")
    assert "moon phase" in page(odd).text


def test_weeks_are_counted_back_from_the_day_of_the_decision(rng):
    as_of = datetime(2026, 11, 20, 8, tzinfo=UTC)
    end = round(as_of.timestamp() * 1e6)
    week_us = 7 * 86_400_000_000
    times = np.sort(end - rng.integers(-week_us, 6 * week_us, 300))
    signal = rng.integers(0, 4, 300)
    found = weekly_activity(times, signal, 3, as_of, weeks=4)
    for back, week in enumerate(reversed(found), start=1):
        inside = (times >= end - back * week_us) & (times < end - (back - 1) * week_us)
        assert week.counts == tuple(int((inside & (signal == j)).sum()) for j in range(3))
        assert week.start == (as_of - back * timedelta(days=7)).date()
