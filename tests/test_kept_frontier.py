"""What budgets would bring is kept as a run found it, and comes back figure for figure."""

from contextlib import closing
from datetime import timedelta

from models.intervals import Estimate
from models.kept_frontier import keep_frontier, kept_frontier
from models.plan_figures import ArmOutlook, Outlook
from models.store import Store
from tests.serving_world import NOW


def point(budget, members):
    saved = Estimate(0.1 * members, 0.0, 0.2 * members)
    arm = ArmOutlook("coupon", "prior", members, 2 * members, Estimate(3.5, -1.0, 6.0), saved, (("eligibility:stages", 4),))
    return Outlook(budget, 1e-5, (arm,), saved, 12.0)


def test_of_two_runs_the_later_one_is_kept(store_url):
    with closing(Store.open(store_url)) as store:
        assert kept_frontier(store) is None
        points = (point(10.0, 4), point(None, 8))
        keep_frontier(store, NOW, points)
        keep_frontier(store, NOW - timedelta(days=1), (point(None, 1),))
        kept = kept_frontier(store)
        assert (kept.as_of, kept.points) == (NOW, points)
        assert kept.points[1].saved == Estimate(0.8, 0.0, 1.6)
