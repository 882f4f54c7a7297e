"""The thread that works on decision jobs, one at a time; what a killed process had begun is taken over when its lease ends."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread

from models.engine import Engine
from models.errors import KeepwellError, NoChampion, RegistryUnavailable, StoreUnavailable
from models.job_rows import JobStatus
from models.jobs import JobEnd, JobLost, JobRow
from models.moments import EPOCH, microseconds
from serving.job_decisions import Deciding
from serving.job_publication import Publication
from serving.job_selection import Selection
from serving.job_task import Interrupted, Task
from serving.leaving import joined
from serving.logs import LOGGER
from serving.places import without_places
from serving.service import Service
from serving.settings import wall_clock

POLL_SECONDS = 1.0
TURN_SECONDS = 0.0005
SWEEP_SECONDS = 3_600.0
PASSING = (StoreUnavailable, RegistryUnavailable, NoChampion)
"""What another attempt may find gone; the job waits for the end of its lease."""


@contextmanager
def taking_turns() -> Iterator[None]:
    """Within the block threads that wait to run Python get their turn after half a millisecond instead of five: answers go before jobs."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


class JobWorker:
    """`worker` names the process in the leases."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopped = Event()
        self._thread = Thread(target=self._watch, name="jobs", daemon=True)
        self._swept = wall_clock()
        self.worker = secrets.token_hex(8)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._service.stopping.set()
        self._service.job_asked.set()
        joined(self._thread)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                while not self._stopped.is_set() and self.work():
                    pass
                self._sweep()
            except StoreUnavailable as error:
                LOGGER.warning("decision jobs wait for the store", why=str(error))
            self._service.job_asked.wait(POLL_SECONDS)
            self._service.job_asked.clear()

    def work(self) -> bool:
        """Whether there was a job; raises StoreUnavailable."""
        row = self._service.store.lease_job(self.worker, microseconds(wall_clock()))
        if row is None:
            return False
        try:
            with taking_turns():
                self._run(row)
        except PASSING as error:
            LOGGER.warning("decision job is tried again later", job_id=row.job_id, why=str(error))
        except Interrupted:
            LOGGER.info("decision job goes on when its lease has ended", job_id=row.job_id)
        except JobLost:
            LOGGER.info("decision job was cancelled or is in other hands", job_id=row.job_id)
        except KeepwellError as error:
            LOGGER.warning("decision job failed", job_id=row.job_id, why=str(error))
            settings = self._service.settings
            self._end(row, "failed", without_places(str(error), settings.mlflow_uri, settings.model_cache))
        except Exception:  # noqa: BLE001 - the worker has to outlive one job, whatever is wrong with it
            LOGGER.exception("decision job failed", job_id=row.job_id)
            self._end(row, "failed", "something went wrong here; the log of the service tells why")
        return True

    def _run(self, row: JobRow) -> None:
        if row.stage == "selecting":
            task = Task(self._service, self._service.engine(), row, self.worker, self._service.clock())
            task = replace(task, row=Selection(task).run())
        else:
            task = Task(self._service, self._engine_of(row), row, self.worker, EPOCH + timedelta(microseconds=row.as_of_us or 0))
        Deciding(task).run()
        if task.decides_on_everyone:
            Publication(task).run()
        self._end(row, "succeeded")

    def _engine_of(self, row: JobRow) -> Engine:
        """The model that the plan was made with, be it in force still or not."""
        return self._service.models.version_of(row.model_version or "")

    def _end(self, row: JobRow, status: JobStatus, error: str | None = None) -> None:
        self._service.store.end_job(JobEnd(row.job_id, status, microseconds(wall_clock()), error, self.worker))

    def _sweep(self) -> None:
        if (wall_clock() - self._swept).total_seconds() > SWEEP_SECONDS:
            self._swept = wall_clock()
            self._service.store.sweep_jobs(microseconds(self._swept))
            kept_from = self._swept - timedelta(days=self._service.community.store.answers_days)
            self._service.store.drop_answers(microseconds(kept_from))
