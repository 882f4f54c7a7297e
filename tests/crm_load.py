"""A CRM that scores and reports from several threads at once, and remembers what it was answered; and what the store must hold of that."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from time import sleep

import httpx2
from sqlalchemy import text

from models.store import Store
from tests.patience import PATIENCE_SECONDS, PLAIN
from tests.serving_world import NOW

EVENTS = 3


@dataclass
class Crm:
    """`answers` by request id, as they were sent; `accepted` the ids of events; `statuses` of all answers, 0 for none."""

    key: str
    members: Sequence[str]
    answers: dict[str, str] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    unfit: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def busy(self, url: str, threads: int = 4) -> Iterator[None]:
        """Asks all the time within the block."""
        over = Event()
        workers = [Thread(target=self._work, args=(url, over)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            over.set()
            for worker in workers:
                worker.join()

    def _work(self, url: str, over: Event) -> None:
        with httpx2.Client(base_url=url, timeout=PATIENCE_SECONDS, verify=PLAIN, headers={"Authorization": f"Bearer {self.key}"}) as client:
            while not over.is_set():
                number = next(self._numbers)
                try:
                    self._report(client, number) if number % 3 == 0 else self._score(client, number)
                except httpx2.TransportError:
                    self.statuses[0] += 1
                    sleep(0.05)

    def _score(self, client: httpx2.Client, number: int) -> None:
        request_id = f"crm-{number}"
        answer = client.post("/v1/score", json={"member_id": self.members[number % len(self.members)], "request_id": request_id})
        if self._counted(answer):
            self.answers[request_id] = answer.text

    def _report(self, client: httpx2.Client, number: int) -> None:
        ids = [f"event-{number}-{place}" for place in range(EVENTS)]
        answer = client.post("/v1/events", json={"events": [self.event(name) for name in ids]})
        if self._counted(answer) and answer.json()["accepted"] == EVENTS:
            self.accepted.update(ids)

    def event(self, event_id: str) -> dict[str, str]:
        """As it is sent, however often."""
        number = int(event_id.split("-")[1])
        return {"event_id": event_id, "member_id": self.members[number % 7], "type": "post", "timestamp": NOW.isoformat()}

    def _counted(self, answer: httpx2.Response) -> bool:
        """Whether it succeeded; a 503 must say when to come back, and anything else is unfit."""
        self.statuses[answer.status_code] += 1
        waits = answer.status_code == 503 and "retry-after" in answer.headers and answer.json()["status"] == 503
        if answer.status_code != 200 and not waits:
            self.unfit.append(answer.text)
        if answer.status_code == 503:
            sleep(0.05)
        return answer.status_code == 200


def losses(crm: Crm, store_url: str) -> list[str]:
    """What was answered and is not there, or is there in part, or twice; one sentence each."""
    with closing(Store.open(store_url)) as store, store.engine.connect() as connection:
        bodies = {row.decision_id: row for row in connection.execute(text("SELECT decision_id, chosen, body FROM decisions"))}
        stored = dict(map(tuple, connection.execute(text("SELECT request_id, answer FROM requests WHERE answer IS NOT NULL"))))
        events = Counter(connection.scalars(text("SELECT event_id FROM events WHERE source = 'api'")))
        touches = Counter(connection.scalars(text("SELECT decision_id FROM touches WHERE decision_id IS NOT NULL")))
    decided = Counter(json.loads(answer)["decision_id"] for answer in stored.values())
    chose = {name for name, row in bodies.items() if row.chosen != "none"}
    return [
        *(f"{name}: another answer is stored than was sent" for name, sent in crm.answers.items() if stored.get(name) != sent),
        *(f"{name}: an accepted event is kept {events[name]} times" for name in crm.accepted if events[name] != 1),
        *(f"{name}: {decided[name]} answers" for name in bodies.keys() | decided.keys() if decided[name] != (name in bodies)),
        *(f"{name}: {touches[name]} contacts" for name in bodies.keys() | touches.keys() if touches[name] != (name in chose)),
        *(f"{name}: the trace is another's" for name, row in bodies.items() if json.loads(row.body)["decision_id"] != name),
    ]
