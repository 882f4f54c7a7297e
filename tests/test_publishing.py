"""What the pages show after a decision job over everyone is what they show after `keepwell decide`; a job over a part changes no count."""

from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.activity import Activity
from models.community import DAY_US
from models.events import event_arrays
from models.moments import microseconds
from models.quotas import Quotas
from models.reports import TouchReport
from models.store import Store
from models.store_rows import Retention
from pipelines.decide import decide_all
from pipelines.workspace import Workspace
from serving.app import create_app
from serving.job_decisions import Deciding
from serving.job_requests import new_job
from serving.job_selection import Selection
from serving.job_task import Task
from serving.job_worker import JobWorker
from serving.schemas import DecisionJobRequest
from tests.serving_world import DECLARED, NOW, Clock, fill, settings_of, world, write_home, write_logs
from tests.shown_run import assert_same, figures, shown

REFUSING = "m0000003"


def contact_beforehand(store):
    """One refuses scores; others were met by another system, and one of them is not to be met again so soon."""
    store.prefer(REFUSING, personalization=False)
    community, at_us = world().engine.community, microseconds(NOW) - 2 * DAY_US
    met = ((1, "delivered", "redeemed"), (2, "undelivered", None), (3, "delivered", None), (5, "delivered", "refused"))
    told = [
        TouchReport(f"t{number}", at_us, state, None, f"m000000{number}", "coupon", "email", response) for number, state, response in met
    ]
    channels = {one.id: tuple(one.channels) for one in community.interventions}
    store.report_touches(told, channels, lambda _: Quotas.of(DECLARED.capacity, community, NOW), 0)


@contextmanager
def workshop(folder, url):
    """A service that nobody has started, over a store with the log; one member refuses scores."""
    fill(url, world().log)
    service = create_app(settings_of(write_home(folder), mlflow_uri=world().mlflow_uri, store_url=url), clock=Clock()).state.service
    contact_beforehand(service.store)
    service.models.refresh()
    try:
        yield service
    finally:
        service.close()


def done(service, **request):
    """A job, from its beginning to its end."""
    job = new_job(service, DecisionJobRequest.model_validate(request), None)
    service.store.add_job(*job, "key", None, "")
    assert JobWorker(service).work()
    row = service.store.job(job.row.job_id)
    assert row.status == "succeeded", row.error
    return row


@pytest.fixture(scope="module")
def decided_on_the_command_line(tmp_path_factory):
    """Into a store of its own; what it shows."""
    folder = tmp_path_factory.mktemp("command") / "home"
    write_logs(write_home(folder))
    workspace = Workspace(folder)
    fill(workspace.store_url, world().log)
    with closing(Store.open(workspace.store_url)) as store, pytest.MonkeyPatch.context() as environment:
        environment.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        contact_beforehand(store)
        decide_all(workspace, folder / "all.parquet", as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)
        return shown(store), figures(store)


def test_a_job_over_everyone_shows_what_the_command_line_shows(store_url, tmp_path, decided_on_the_command_line):
    expected = decided_on_the_command_line
    with workshop(tmp_path / "home", store_url) as service:
        done(service)
        told = shown(service.store), figures(service.store)
    for one, other in zip((*told[0], *told[1]), (*expected[0], *expected[1]), strict=True):
        assert_same(one, other)
    assert expected[0][0]["members"] == world().log.members.height
    assert expected[0][2].keys().isdisjoint({REFUSING})
    assert [step["members"] for one in expected[1][0]["interventions"] for step in one["contacts"]][:3] == [3, 2, 1]


def test_a_part_a_rehearsal_and_an_earlier_date_change_nothing_that_is_shown(tmp_path):
    with workshop(tmp_path / "home", f"sqlite:///{tmp_path}/store.db") as service:
        done(service, dry_run=True)
        done(service, audience={"risk_bands": ["high"]})
        done(service, audience={"member_ids": ["m0000001"]})
        assert service.store.overview_key() is None
        done(service)
        first = service.store.overview_key()
        service.clock.pass_(hours=-1)
        done(service)
        assert service.store.overview_key() == first
        service.clock.pass_(hours=2)
        done(service)
        assert service.store.overview_key() > first
        assert shown(service.store)[0]["as_of"] == service.clock().isoformat()


def test_a_job_whose_process_died_before_it_was_shown_is_shown_by_another(tmp_path):
    with workshop(tmp_path / "home", f"sqlite:///{tmp_path}/store.db") as service:
        service.store.add_job(*new_job(service, DecisionJobRequest(), None), "key", None, "")
        row = service.store.lease_job("dead", 1)
        task = Task(service, service.engine(), row, "dead", NOW)
        Deciding(replace(task, row=Selection(task).run())).run()
        with service.store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE jobs SET lease_us = 0")
        assert JobWorker(service).work()
        overview, _, standings = shown(service.store)
        scored = sum(band["members"] for band in overview["bands"])
        assert overview["members"] == world().log.members.height
        assert len(standings) == scored == overview["scored"]["members"] > 0


def test_cohorts_that_joined_before_what_the_store_still_has_are_not_told(tmp_path):
    with workshop(tmp_path / "home", f"sqlite:///{tmp_path}/store.db") as service:
        from_ = NOW - timedelta(days=DECLARED.lookback_days)
        service.store.prune(Retention(microseconds(from_)), lambda _: None)
        done(service)
        months = [cohort["month"] for cohort in shown(service.store)[0]["cohorts"]]
        assert months
        assert min(months) > f"{from_:%Y-%m}"


def test_activity_of_parts_adds_up_to_that_of_the_whole():
    log, events = world().log, event_arrays(world().log, DECLARED)
    whole, parts = Activity.of(DECLARED, events, NOW), Activity.nobodys(DECLARED, NOW)
    for members in np.array_split(np.arange(log.members.height), 7):
        parts += Activity.of(DECLARED, events.of_members(members), NOW)
    assert (parts.liveliness(), parts.cohorts()) == (whole.liveliness(), whole.cohorts())
    assert (parts.first_us, parts.last_us) == (whole.first_us, whole.last_us)
