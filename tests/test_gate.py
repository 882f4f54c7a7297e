"""What a challenger must show, and what is said where it cannot."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from models.gate import Missing, PolicyProof, RiskProof, Verdict, judge, judge_first, measure_risk
from models.intervals import Estimate
from models.policy_comparison import DecisionRows, Target, compare_policies
from models.statements import AS_TOLD, Statement
from tests.policy_worlds import log_of, predicted, targets_of

SOUND = RiskProof(2000, Estimate(0.02, 0.01, 0.03), Estimate(-0.004, -0.009, 0.001))
NAMES = ("none", "digest", "gift", "call")


def proof(challenger: str, champion: str, members: int = 4000) -> PolicyProof:
    """Two policies of a simulated log, compared as `keepwell promote` does."""
    rng = np.random.default_rng(2)
    log = log_of(members, 1.0, rng)
    part = 1 + log.member % 5
    rows = DecisionRows(NAMES, log.chosen, log.reward, log.propensities, predicted(log, rng), log.member, log.member, part)
    targets = targets_of(log)
    told = compare_policies(rows, {name: Target(targets[name]) for name in (champion, challenger)}, champion).policies
    return PolicyProof(
        told[challenger], told[champion], told[challenger].gain, Statement(AS_TOLD, {"said": "on all decisions of the log"}), "CNY"
    )


def met(verdict: Verdict) -> dict[str, bool]:
    return {requirement.name: requirement.met for requirement in verdict.requirements}


def test_the_first_champion_needs_its_golden_members_alone() -> None:
    verdict = judge_first(Statement("proof.no_champion"))
    assert verdict.passed
    assert met(verdict) == {"golden_members": True}
    assert "there is no champion to compare with" in str(verdict.notes[0])


def test_a_challenger_whose_decisions_are_clearly_better_passes() -> None:
    verdict = judge(SOUND, proof("greedy", "near"))
    assert verdict.passed
    assert met(verdict)["policy_value"]


def test_a_challenger_that_is_not_clearly_better_is_refused_with_the_interval() -> None:
    verdict = judge(SOUND, proof("near", "greedy"))
    assert not verdict.passed
    assert "for each 1,000 against the champion's: the lower bound must lie above CN¥0; nothing in the log speaks for it" in str(
        verdict.missing[0]
    )


def test_a_promising_challenger_is_told_how_many_decisions_it_needs() -> None:
    """The half-width shrinks with the root of n."""
    found = proof("greedy", "near")
    half = replace(found.gain, value=1.0, low=-1.0)
    verdict = judge(SOUND, replace(found, gain=half))
    n = found.challenger.dr.n
    assert f"about {4 * n:,} decisions in the log would show a gain of this size; it has {n:,}" in str(verdict.missing[0])


def test_a_version_that_is_worse_with_its_own_effects_is_refused_however_good_those_learned_anew_are() -> None:
    found = proof("greedy", "near")
    spoilt = replace(found, as_it_is=replace(found.gain, value=-0.9, low=-1.0, high=-0.8))
    verdict = judge(SOUND, spoilt)
    assert [name for name, shown in met(verdict).items() if not shown] == ["as_it_is"]
    assert "it learned something else than the log tells now" in str(verdict.missing[0])
    assert judge(SOUND, replace(found, as_it_is=replace(found.gain, high=0.1))).passed
    assert judge(SOUND, spoilt, margin=801).passed


def test_a_margin_admits_what_is_hardly_worse() -> None:
    found = proof("greedy", "near")
    even = replace(found, gain=replace(found.gain, value=0.0, low=-0.05, high=0.05))
    assert not judge(SOUND, even).passed
    assert not judge(SOUND, even, margin=50).passed
    assert judge(SOUND, even, margin=51).passed


def test_a_renewal_may_lose_half_of_what_the_champion_is_sure_to_gain() -> None:
    found = proof("greedy", "near")
    even = replace(found, gain=replace(found.gain, value=0.0, low=-0.05, high=0.05))
    assert judge(SOUND, replace(even, renewed_gain=0.11)).passed
    assert not judge(SOUND, replace(even, renewed_gain=0.09)).passed
    assert not judge(SOUND, replace(even, renewed_gain=0.11), margin=0).passed


def test_a_champion_that_may_gain_nothing_leaves_no_margin() -> None:
    found = proof("greedy", "near")
    even = replace(found, gain=replace(found.gain, value=0.0, low=-0.05, high=0.05), renewed_gain=-0.2)
    verdict = judge(SOUND, even)
    assert "the lower bound must lie above CN¥0" in str(verdict.missing[0])


def test_a_value_that_cannot_be_believed_is_no_proof() -> None:
    found = proof("greedy", "near")
    few = replace(found.challenger, dr=replace(found.challenger.dr, effective_sample_size=40.0))
    verdict = judge(SOUND, replace(found, challenger=few))
    assert met(verdict)["policy_value"]
    assert [str(one) for one in verdict.missing] == [
        (
            f"the challenger's value cannot be believed: only 40 effective rows of {found.challenger.dr.n:,}; 100 are needed, "
            f"with fewer its interval may be too narrow; about {ceil(2.5 * found.challenger.dr.n):,} decisions like these would give "
            "100 effective rows; fewer will do where more is explored (`policy.exploration`, `capacity.exploration_share`)"
        )
    ]


def test_without_assignments_the_risk_alone_is_proved_and_that_is_said() -> None:
    verdict = judge(SOUND, None)
    assert verdict.passed
    assert met(verdict) == {"golden_members": True, "calibration": True, "risk_not_worse": True}
    assert [str(note) for note in verdict.notes] == ["the log holds no assignments, so decisions cannot be proved: the risk alone was"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"calibration_error": Estimate(0.09, 0.06, 0.12)}, "calibration error 0.090"),
        ({"excess_log_loss": Estimate(0.01, 0.004, 0.016)}, "log loss +0.0100"),
    ],
)
def test_a_risk_that_is_off_or_worse_beyond_chance_is_refused(changed: dict, said: str) -> None:
    verdict = judge(replace(SOUND, **changed), None)
    assert len(verdict.missing) == 1
    assert said in str(verdict.missing[0])


def test_a_risk_that_may_be_off_by_chance_passes() -> None:
    assert judge(replace(SOUND, calibration_error=Estimate(0.09, 0.04, 0.14)), None).passed


def test_what_could_not_be_measured_is_missing() -> None:
    verdict = judge(
        Missing(Statement("proof.risk_not_measured", detail="nobody was active")), Missing(Statement("proof.policies_not_measured"))
    )
    assert [str(one) for one in verdict.missing] == [
        "the risk could not be compared: nobody was active",
        "the value of the decisions could not be compared",
    ]
    assert verdict.missing[0].text_in("zh") == "结果已知的成员不够，无法与现用模型比较风险"


def test_a_risk_is_measured_beside_the_champions() -> None:
    rng = np.random.default_rng(4)
    risk = rng.beta(2, 3, 2000)
    churned = rng.random(2000) < risk
    found = measure_risk(churned, risk, np.clip(risk + 0.2, 0, 1), np.arange(2000), rng=np.random.default_rng(1))
    assert found.excess_log_loss.upper < 0
    assert found.calibration_error.lower < 0.02
    off = measure_risk(churned, np.clip(risk + 0.2, 0, 0.99), risk, np.arange(2000), rng=np.random.default_rng(1))
    assert off.excess_log_loss.lower > 0
    assert off.calibration_error.lower > 0.05


def test_a_verdict_can_be_written_down() -> None:
    told = judge(SOUND, None).noting(Statement(AS_TOLD, {"said": "one more thing"})).to_dict()
    assert told["passed"] is True
    assert told["notes"][-1] == "one more thing"
    assert {requirement["name"] for requirement in told["requirements"]} == {"golden_members", "calibration", "risk_not_worse"}
