"""Read-outs are kept as they were read, with a mark of what the store held then."""

from contextlib import closing
from datetime import timedelta

import pytest

from models.errors import UnknownExperiment
from models.experiments import read_out_of
from models.kept_read_outs import KeptReadOuts, is_stale, kept_read_outs, read_and_keep
from models.moments import microseconds
from models.store import LoggedEvent, Store
from tests.test_experiments import NOW, declared, ids, letter, log_of

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        store.load_log(log_of(ids(40), [True] * 30 + [False] * 10))
        yield store


def test_what_is_kept_comes_back_figure_for_figure(store):
    made = read_and_keep(store, declared(letter()), NOW, LATER)
    assert kept_read_outs(store, declared(letter())) == made
    assert made.read_at == LATER
    assert any(lift.lift is not None for lift in read_out_of(made.read_outs, "letter_test").lifts)
    assert KeptReadOuts.from_json(made.to_json(), microseconds(LATER)) == made


def test_anything_that_comes_or_goes_makes_it_stale(store):
    said = declared(letter())
    changes = (
        lambda: store.add_events([LoggedEvent("m000001", microseconds(NOW) - 1, "post")]),
        lambda: store.prefer("m000002", personalization=False),
        lambda: store.erase("m000003", microseconds(NOW)),
    )
    for change in changes:
        made = read_and_keep(store, said, NOW, LATER)
        assert not is_stale(made, store)
        change()
        assert is_stale(made, store)


def test_what_was_read_by_another_declaration_is_not_shown(store):
    read_and_keep(store, declared(letter()), NOW, LATER)
    assert kept_read_outs(store, declared()) is None


def test_an_experiment_that_there_is_not_is_told_with_those_that_there_are(store):
    made = read_and_keep(store, declared(letter()), NOW, LATER)
    with pytest.raises(UnknownExperiment, match='no experiment "leter"; there are global_control, letter_test, coupon, call'):
        read_out_of(made.read_outs, "leter")
