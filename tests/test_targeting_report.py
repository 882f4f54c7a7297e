"""The answer on whom to contact: sentences that say no more than the figures, and a page that stands alone."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.charts import Series, line_chart, round_step
from models.intervals import Estimate
from models.targeting import compare_targeting
from models.targeting_report import Occasion, answer_of, caveats_of, notes_of, render_targeting_report
from tests.test_member_report import Page
from tests.test_targeting import trial_rows
from tests.told_decisions import COMMUNITY

AT = datetime(2025, 12, 1, tzinfo=UTC)
MIX = (0.6, 0.4, *(0.0 for _ in COMMUNITY.interventions[2:]))
OCCASION = Occasion(
    COMMUNITY, "3", datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC), AT, 0.63, "logged", best_action=False
)


def told_of(effect_of_risk, n=3000):
    return replace(compare_targeting(trial_rows(effect_of_risk, n=n), 0.2), mix=MIX)


HURTS, NOTHING = told_of(lambda risk: 0.2 * (1 - risk) ** 2, n=20_000), told_of(np.zeros_like)


def page(told, language="en", occasion=OCCASION):
    return render_targeting_report(told, occasion, generated_at=AT, language=language)


def test_the_first_sentence_is_the_answer_in_members_of_a_thousand():
    risk, effect, random = (f"{HURTS.at[name].kept.value:.0f}" for name in ("risk", "effect", "random"))
    sentence = f"Targeting by risk keeps {risk} of 1,000 contacted; by expected effect {effect}; at random {random}."
    assert answer_of(HURTS, "en", "CNY").lead == sentence.replace("-", "−")


def test_what_is_within_chance_is_called_so():
    (finding, *_) = answer_of(NOTHING, "en", "CNY").finding
    assert "is within chance: the log shows neither that targeting by risk hurts nor that it does not" in finding
    assert "within chance" in answer_of(NOTHING, "en", "CNY").money[1]


def test_what_is_beyond_chance_is_told_with_its_interval():
    gap = HURTS.gap("random", "risk").kept
    (finding,) = answer_of(HURTS, "en", "CNY").finding
    assert finding == (
        f"Targeting by risk does worse than chance: contacting at random keeps {gap.value:.0f} of 1,000 more "
        f"({gap.lower:.0f} to {gap.upper:.0f})."
    )


def test_a_better_risk_is_told_as_a_gain_of_the_risk():
    rows = trial_rows(lambda risk: 0.3 * risk, error=0.0)
    told = compare_targeting(replace(rows, predicted=-rows.predicted), 0.2)
    ahead = told.gap("effect", "risk").kept
    (finding, *_) = answer_of(told, "en", "CNY").finding
    assert finding.startswith(f"By risk {-ahead.value:.0f} of 1,000 more are kept than by expected effect ({-ahead.upper:.0f} to ")


def test_a_loss_is_explained_where_one_is_told():
    told = told_of(lambda risk: -0.1 * risk)
    assert "Below 0: more members leave than if nobody had been contacted." in answer_of(told, "en", "CNY").finding
    assert not any("Below 0" in sentence for sentence in answer_of(HURTS, "en", "CNY").finding)


def test_the_notes_name_what_was_given_and_what_the_risk_had_seen():
    notes = " ".join(notes_of(HURTS, OCCASION, "en"))
    first, second = (intervention.label.en for intervention in COMMUNITY.interventions[:2])
    assert f"{first} 60%, {second} 40%." in notes
    assert "version 3, which learned from events up to 1 Sep 2025; 63% of the assignments are older" in notes
    assert "The chance of each action was logged" in notes


def test_an_observational_log_is_a_caveat_and_not_a_note():
    observational = replace(OCCASION, assignment="observational")
    assert "differences that no feature shows may pass for effects" in caveats_of(observational, "en")[0]
    assert caveats_of(OCCASION, "en") == ()
    assert "was logged when it was drawn" not in " ".join(notes_of(HURTS, observational, "en"))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("told", [HURTS, NOTHING])
def test_a_page_stands_alone(told, language):
    source = page(told, language)
    found = Page(source)
    tags = {tag for tag, _, _ in found.attributes}
    assert not tags & {"script", "link", "img", "iframe"}
    assert not {name for _, name, _ in found.attributes} & {"src", "href", "style", "onclick"}
    assert "url(" not in source
    assert "http" not in source
    assert ("html", "lang", "zh-CN" if language == "zh" else "en") in found.attributes


def test_a_chinese_page_is_chinese():
    told = re.sub(r"Tea & Friends|Keepwell|Asia/Shanghai|UTC", "", Page(page(HURTS, "zh")).text)
    assert not re.search("[a-zA-Z]{2,}", told)
    assert not re.search("[\u4e00-\u9fff]", Page(page(HURTS)).text)


def test_every_figure_is_a_table_too():
    text = Page(page(HURTS)).text
    for point in HURTS.curve:
        assert f"{point.kept['effect'].value:.0f}".replace("-", "−") in text


def test_where_too_few_are_contacted_no_figure_is_drawn():
    assert "<polyline" not in page(replace(NOTHING, curve=()))


def test_a_figure_holds_0_and_every_band():
    """From -30 to 120 in five steps of 50: -50 to 150; 0 lies a quarter up of 214 units."""
    series = [Series("a", [Estimate(10, -30, 20), Estimate(50, 40, 120)], banded=True)]
    chart = line_chart([0.5, 1.0], series, mark=0.5, x_label=str, y_label="{:.0f}".format, x_ticks=[0.0, 1.0])
    assert [tick.label for tick in chart.y_ticks] == ["-50", "0", "50", "100", "150"]
    assert chart.zero == pytest.approx(224 - 214 / 4)
    assert chart.lines[0].points.split()[1].startswith("392.0,")


@pytest.mark.parametrize(("span", "step"), [(0, 1), (1, 0.2), (4.9, 1), (10, 2), (11, 2.5), (26, 10), (5e6, 1e6)])
def test_steps_are_round(span, step):
    assert round_step(span) == pytest.approx(step)
