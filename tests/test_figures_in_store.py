"""Figures for the pages in the store, on both databases."""

from contextlib import closing

from models.store import Store
from models.store_figures import KeptFigures


def test_of_figures_with_one_name_those_of_the_latest_time_are_kept(store_url):
    with closing(Store.open(store_url)) as store:
        assert store.figures("model") is None
        for as_of_us, body in ((5, "first"), (5, "again"), (4, "older"), (7, "newer")):
            store.keep_figures("model", as_of_us, body)
        store.keep_figures("input", 1, "other")
        assert store.figures("model") == KeptFigures(7, "newer")
        assert store.figures("input") == KeptFigures(1, "other")
