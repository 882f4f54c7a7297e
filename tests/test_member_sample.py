"""A sample of members is picked by their ids alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.actions import Policy
from models.errors import InputError
from models.member_sample import EVERYONE, MemberSample
from models.policy import draw_of, in_control

IDS = [f"member {number}" for number in range(20_000)]
some_ids = st.lists(st.text(min_size=1), unique=True, max_size=40)
shares = st.floats(0.001, 1)


@given(some_ids, shares, st.randoms(use_true_random=False))
def test_who_is_picked_depends_on_nobody_else_and_on_no_order(ids, share, random):
    sample = MemberSample(share)
    picked = dict(zip(ids, sample.picks(ids).tolist(), strict=True))
    random.shuffle(ids)
    assert dict(zip(ids, sample.picks(ids).tolist(), strict=True)) == picked
    assert {member_id: bool(sample.picks([member_id])[0]) for member_id in ids} == picked


@given(some_ids, shares, shares)
def test_a_larger_share_keeps_the_members_of_a_smaller_one(ids, one, other):
    smaller, larger = (MemberSample(share).picks(ids) for share in sorted((one, other)))
    assert not (smaller & ~larger).any()


@pytest.mark.parametrize("share", [0.01, 0.2, 0.7])
def test_about_the_asked_share_is_picked(share):
    error = np.sqrt(share * (1 - share) / len(IDS))
    assert MemberSample(share).picks(IDS).mean() == pytest.approx(share, abs=4 * error)


def test_a_number_of_members_is_a_share_of_all_of_them():
    assert MemberSample.of(500, 2000) == MemberSample.of(0.25, 2000) == MemberSample(0.25)
    assert MemberSample.of(3000, 2000) == MemberSample.of(1, 2000) == EVERYONE
    assert EVERYONE.picks(IDS).all()


@pytest.mark.parametrize("asked", [0, -1, float("nan")])
def test_nobody_is_no_sample(asked):
    with pytest.raises(InputError, match=r"give a share up to 1, such as 0\.1, or a number of members"):
        MemberSample.of(asked, 100)


def test_the_sample_leans_to_no_side_of_the_global_control():
    """Of 20,000 a tenth is control: among the picked the same tenth, within four standard errors."""
    picked = MemberSample(0.3).picks(IDS)
    control = in_control(IDS, Policy(control_share=0.1))
    assert control[picked].mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / picked.sum()))


def test_the_salt_belongs_to_the_hash_and_is_the_first_half_of_what_is_hashed():
    picked = MemberSample(0.5).picks(IDS[:100])
    assert picked.tolist() == [draw_of(f"training_sample:{member_id}") < 0.5 for member_id in IDS[:100]]
    assert picked.tolist() != MemberSample(0.5, "another").picks(IDS[:100]).tolist()
