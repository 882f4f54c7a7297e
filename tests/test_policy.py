"""Worth, probability and choice."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.actions import Policy
from models.declared import STAGES
from models.policy import (
    CLASSES,
    best_action,
    cautious,
    choose,
    context_weights,
    control_refusals,
    draw_of,
    draws_of,
    in_control,
    priorities,
    propensities,
    urgent_action,
    urgent_refusals,
    with_urgent,
)
from tests.planted import community, intervention

ARMS = 4
worths = hnp.arrays(np.float64, (3, ARMS), elements=st.floats(-1e6, 1e6))
flags = hnp.arrays(np.bool_, (3, ARMS))
explorations = st.floats(0, 1)


def explored(priorities, allowed, exploration):
    return propensities(best_action(priorities, allowed), allowed, exploration)


def test_priority_is_weighted_worth_less_cost():
    """0.5 x 1.2 x (0.06 x 200) - 3 = 4.2, and 1 x 1 x (-0.01 x 200) - 0 = -2."""
    declared = community(intervention("a", lever_weight=1.2, cost=3), intervention("b"))
    found = priorities(declared, np.array([[0.5, 1.0]]), np.array([[0.06, -0.01]]), np.array([200.0]))
    assert found.tolist() == pytest.approx(np.array([[4.2, -2]]))


def test_caution_moves_the_uplift_to_the_lower_end_of_its_interval():
    """0.06 with an interval from -0.02: half of the caution leaves 0.02."""
    moved = [cautious(np.array([[0.06]]), np.array([[-0.02]]), caution).item() for caution in (0, 0.5, 1)]
    assert moved == pytest.approx([0.06, 0.02, -0.02])


def test_a_stage_and_a_channel_weigh_together_and_all_else_weighs_one():
    declared = community(
        intervention("a", channels=["wecom", "email"], context_weights={"silent": 1.5, "channel:email": 0.5}),
        intervention("b", channels=["email"]),
    )
    stage = np.array([STAGES.index("silent"), STAGES.index("silent"), STAGES.index("new")])
    channel = np.array([[0, 1], [1, 1], [1, 1]])
    assert context_weights(declared, stage, channel).tolist() == [[1.5, 1], [0.75, 1], [0.5, 1]]


def test_the_best_has_what_exploration_leaves():
    found = explored(np.array([[3.0, 5.0, 9.0]]), np.array([[True, True, False]]), 0.02)
    assert found.tolist() == [pytest.approx([0.02, 0.02, 0.96, 0])]


def test_doing_nothing_is_best_where_all_else_costs_more_than_it_brings():
    found = explored(np.array([[-3.0, -0.1]]), np.array([[True, True]]), 0.02)
    assert found.tolist() == [pytest.approx([0.96, 0.02, 0.02])]


def test_ties_go_to_doing_nothing_and_then_to_the_first_of_the_catalogue():
    allowed = np.ones((2, 3), dtype=bool)
    assert best_action(np.array([[0.0, 0.0, -1.0], [2.0, 3.0, 3.0]]), allowed).tolist() == [0, 2]


def test_with_more_actions_than_exploration_can_serve_all_are_equally_likely():
    found = explored(np.arange(20.0)[None], np.ones((1, 20), dtype=bool), 0.1)
    assert found.tolist() == [pytest.approx([1 / 21] * 21)]


@given(worths, flags, explorations)
def test_propensities_sum_to_one_and_every_allowed_action_keeps_its_share(worth, allowed, exploration):
    found = explored(worth, allowed, exploration)
    assert found.shape == (3, 1 + ARMS)
    assert np.abs(found.sum(axis=1) - 1).max() <= 1e-12
    least = np.minimum(exploration, 1 / (1 + allowed.sum(axis=1)))
    assert (found[:, 0] >= least - 1e-15).all()
    assert (found[:, 1:] >= (least[:, None] - 1e-15) * allowed).all()
    assert (found[:, 1:][~allowed] == 0).all()


classes = st.lists(st.sampled_from(CLASSES), min_size=ARMS, max_size=ARMS)


@given(worths, flags, explorations, classes)
def test_what_is_urgent_is_certain_and_the_rest_is_as_if_it_were_not_there(worth, allowed, exploration, kinds):
    declared = community(*(intervention(f"a{number}", message_class=kind) for number, kind in enumerate(kinds)))
    urgent = urgent_action(declared, worth, allowed)
    plain = explored(worth, allowed, exploration)
    found = with_urgent(plain, urgent)
    for row in range(3):
        standing = [(CLASSES.index(kinds[arm]), worth[row, arm], -arm) for arm in range(ARMS) if allowed[row, arm]]
        first = max(standing, default=(0, 0, 0))
        if first[0] == 0:
            assert urgent[row] == 0
            assert (found[row] == plain[row]).all()
        else:
            assert urgent[row] == 1 - first[2]
            assert found[row].tolist() == [float(action == urgent[row]) for action in range(1 + ARMS)]
    assert (urgent_refusals(urgent, ARMS).allowed == ((urgent == 0)[:, None] | (found[:, 1:] == 1))).all()


def test_the_control_holds_back_marketing_and_nothing_else():
    declared = community(*(intervention(kind, message_class=kind) for kind in CLASSES))
    assert control_refusals(np.array([True, False]), declared).allowed.tolist() == [[False, True, True], [True, True, True]]


@given(worths, flags, explorations)
def test_no_action_is_likelier_than_the_best(worth, allowed, exploration):
    found = explored(worth, allowed, exploration)
    best = best_action(worth, allowed)
    assert (found[np.arange(3), best] >= found.max(axis=1) - 1e-12).all()


@given(worths, flags, explorations, hnp.arrays(np.float64, 3, elements=st.floats(0, 1, exclude_max=True)))
def test_what_is_chosen_was_allowed_and_had_a_chance(worth, allowed, exploration, draw):
    found = explored(worth, allowed, exploration)
    chosen = choose(found, draw)
    assert (found[np.arange(3), chosen] > 0).all()


@pytest.mark.parametrize(("draw", "chosen"), [(0.0, 1), (0.2499, 1), (0.25, 3), (0.9999, 3), (1 - 2**-53, 3)])
def test_the_draw_falls_into_one_step_of_the_cumulated_probabilities(draw, chosen):
    assert choose(np.array([[0.0, 0.25, 0.0, 0.75, 0.0]]), np.array([draw])).tolist() == [chosen]


def test_a_last_step_lost_to_rounding_chooses_the_last_that_is_possible():
    short = np.array([[0.5, 0.5 - 1e-12, 0.0]])
    assert choose(short, np.array([1 - 2**-53])).tolist() == [1]


def test_actions_are_chosen_as_often_as_their_propensity_says():
    found = explored(np.array([[3.0, 5.0]]), np.ones((1, 2), dtype=bool), 0.1)
    chosen = choose(np.repeat(found, 20_000, axis=0), draws_of(str(number) for number in range(20_000)))
    assert np.bincount(chosen) / 20_000 == pytest.approx([0.1, 0.1, 0.8], abs=0.01)


@given(st.text())
def test_a_draw_is_the_first_53_bits_of_the_digest(decision_id):
    bits = int(hashlib.sha256(decision_id.encode()).hexdigest(), 16) >> (256 - 53)
    assert Fraction(draw_of(decision_id)) == Fraction(bits, 2**53)


def test_the_draw_of_a_known_id():
    """The SHA-256 of "abc" begins with ba7816bf 8f01cf (FIPS 180-2, B.1)."""
    assert draw_of("abc") == int("ba7816bf8f01cf", 16) // 8 / 2**53


def test_the_global_control_is_a_lasting_share_that_grows_without_exchange():
    ids = [f"m{number}" for number in range(20_000)]
    five, ten = (in_control(ids, Policy(control_share=share)) for share in (0.05, 0.10))
    assert five.mean() == pytest.approx(0.05, abs=0.005)
    assert (ten >= five).all()
    assert (in_control(ids[::-1], Policy(control_share=0.05))[::-1] == five).all()
    assert not in_control(ids, Policy(control_share=0)).any()


def test_another_salt_draws_another_control():
    ids = [f"m{number}" for number in range(20_000)]
    one, other = (in_control(ids, Policy(control_share=0.5, control_salt=salt)) for salt in ("a", "b"))
    assert (one & other).mean() == pytest.approx(0.25, abs=0.015)
