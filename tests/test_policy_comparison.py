"""Policies side by side on one log whose truth is known, and warnings where the log cannot tell."""

from dataclasses import replace

import numpy as np
import pytest

from models.policy_comparison import DecisionRows, Target, best_constant, compare_policies, nobody, random_choice
from tests.policy_worlds import ACTIONS, COST, MEAN_VALUE, log_of, predicted

NAMES = ("none", "digest", "gift", "call")


def decisions(members: int = 3000, seed: int = 1) -> DecisionRows:
    rng = np.random.default_rng(seed)
    log = log_of(members, 1.0, rng)
    fold = rng.integers(0, 5, members)[log.member]
    return DecisionRows(NAMES, log.chosen, log.reward, log.propensities, predicted(log, rng), log.member, log.member, fold)


def everything(rows: DecisionRows) -> np.ndarray:
    return np.ones((len(rows), ACTIONS), dtype=bool)


def true_values() -> dict[str, float]:
    """Of nobody, everybody by turns, and each action for all."""
    log = log_of(100_000, 1.0, np.random.default_rng(9))
    expected = (log.kept * MEAN_VALUE - COST).mean(axis=0)
    return {"nobody": expected[0], "random": expected.mean(), **dict(zip(NAMES, expected, strict=True))}


def test_each_policy_is_worth_what_is_planted() -> None:
    rows, truth = decisions(), true_values()
    targets = {
        "random": random_choice(everything(rows)),
        "nobody": nobody(everything(rows)),
        "constant": best_constant(rows, everything(rows)),
    }
    told = compare_policies(rows, targets, "random")
    best = max(NAMES, key=lambda name: truth[name])
    assert targets["constant"].note.startswith(best)
    for name, planted in (("random", truth["random"]), ("nobody", truth["nobody"]), ("constant", truth[best])):
        value = told.policies[name].dr
        assert abs(value.value - planted) < 3 * value.standard_error
    gain = told.policies["nobody"].gain
    assert abs(gain.value - (truth["nobody"] - truth["random"])) < 3 * gain.standard_error
    assert told.policies["random"].gain is None


def test_the_best_constant_is_chosen_on_rows_that_do_not_judge_it() -> None:
    """Four members, two folds. What fold 0 earned speaks for acting, what fold 1 earned against: each takes what the other says."""
    rows = DecisionRows(
        actions=("none", "gift"),
        chosen=np.array([0, 1, 0, 1]),
        reward=np.array([0.0, 9.0, 9.0, 0.0]),
        propensities=np.full((4, 2), 0.5),
        predictions=np.zeros((4, 2)),
        member=np.arange(4),
        unit=np.arange(4),
        fold=np.array([0, 0, 1, 1]),
    )
    told = best_constant(rows, np.ones((4, 2), dtype=bool)).probabilities
    assert told.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_a_constant_action_falls_back_to_nothing_where_it_is_not_allowed() -> None:
    rows = decisions(200)
    allowed = everything(rows)
    allowed[:50, 1:] = False
    told = best_constant(rows, allowed).probabilities
    assert np.all(told[:50, 0] == 1)
    assert np.allclose(told.sum(axis=1), 1)
    assert np.all(random_choice(allowed).probabilities[:50, 0] == 1)


def test_a_message_that_must_go_out_goes_out_under_every_policy() -> None:
    """The third action is all that is allowed."""
    allowed = np.array([[False, False, False, True]])
    assert nobody(allowed).probabilities.tolist() == [[0, 0, 0, 1]]
    assert random_choice(allowed).probabilities.tolist() == [[0, 0, 0, 1]]


def test_what_was_done_in_one_branch_alone_has_no_weighted_mean() -> None:
    rows = decisions(300)
    unit = np.where(rows.chosen == 2, 0, 1 + rows.member % 5)
    always = Target(np.tile([0.0, 0.0, 1.0, 0.0], (len(rows), 1)))
    told = compare_policies(replace(rows, unit=unit), {"champion": nobody(everything(rows)), "always": always}, "champion").policies
    assert told["always"].snips is None
    assert np.isfinite([told["always"].gain.low, told["always"].gain.high]).all()


def test_a_policy_beyond_the_log_is_warned_of() -> None:
    rows = decisions(500)
    never = np.where(np.arange(ACTIONS) == 3, 0.0, rows.propensities)
    kept = rows.chosen != 3
    narrow = DecisionRows(
        NAMES,
        rows.chosen[kept],
        rows.reward[kept],
        (never / never.sum(axis=1, keepdims=True))[kept],
        rows.predictions[kept],
        rows.member[kept],
        rows.unit[kept],
        rows.fold[kept],
    )
    call = Target(np.tile([0.0, 0.0, 0.0, 1.0], (len(narrow), 1)))
    told = compare_policies(narrow, {"nobody": nobody(everything(narrow)), "call": call}, "nobody").policies["call"]
    assert told.snips is None
    said = "lies on actions that the log never tried there, as of those that are new, or whose places or money had run out"
    assert f"100.0% of its probability {said}" in map(str, told.warnings)


def test_few_effective_rows_are_warned_of() -> None:
    rows = decisions(40)
    told = compare_policies(rows, {"nobody": nobody(everything(rows))}, "nobody").policies["nobody"]
    assert any("effective rows" in str(warning) for warning in told.warnings)


def test_probabilities_that_were_not_in_force_are_found_out() -> None:
    """The log claims that nothing was done half as often as it was."""
    rows = decisions()
    claimed = rows.propensities.copy()
    claimed[:, 0] /= 2
    claimed /= claimed.sum(axis=1, keepdims=True)
    told = compare_policies(replace(rows, propensities=claimed), {"nobody": nobody(everything(rows))}, "nobody").policies["nobody"]
    assert any("not those that were in force" in str(warning) for warning in told.warnings)
    honest = compare_policies(rows, {"nobody": nobody(everything(rows))}, "nobody").policies["nobody"]
    assert honest.warnings == ()


@pytest.mark.parametrize("part", ["dr", "snips"])
def test_all_figures_can_be_written_down(part: str) -> None:
    rows = decisions(200)
    told = compare_policies(rows, {"random": random_choice(everything(rows)), "nobody": nobody(everything(rows))}, "random").to_dict()
    assert told["policies"]["nobody"][part]["low"] <= told["policies"]["nobody"][part]["value"] <= told["policies"]["nobody"][part]["high"]
    assert told["policies"]["random"]["gain"] is None
