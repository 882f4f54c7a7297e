"""What several processes do to one store at once, each with several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from models.quotas import Quotas
from models.store import Answer, DecisionRow, Store
from tests.patience import PATIENCE_SECONDS

THREADS = 4
CONTACT = "digest"
T = TypeVar("T")


def take_places(url: str, worker: str, members: list[str], places: int) -> int:
    """Tries to contact each of the members while there is a place; the number of those who got one."""
    quotas = Quotas(0, {f"intervention:{CONTACT}": float(places)}, {CONTACT: 0.0})

    def place(store: Store, member_id: str) -> bool:
        while True:
            seen = store.used(quotas.begins_us)
            used_up = quotas.used_up(seen)
            if CONTACT in used_up.interventions:
                return False
            row = DecisionRow(f"{worker}-{member_id}", member_id, 5, "1", CONTACT, "email", 0, "{}", used_up=used_up)
            if not store.record([row], quotas=quotas):
                return True

    return sum(_at_once(url, place, members))


def contact_one(url: str, worker: str, member_id: str, attempts: int) -> int:
    """All of them saw that nobody had contacted the member; the number of those who did."""

    def contact(store: Store, number: int) -> bool:
        return not store.record([DecisionRow(f"{worker}-{number}", member_id, 5, "1", CONTACT, "email", 0, "{}")])

    return sum(_at_once(url, contact, list(range(attempts))))


def draw_one(url: str, worker: str, member_id: str, attempts: int) -> int:
    """All of them saw that nobody had drawn for the member, and drew nothing; the number of draws that are kept."""

    def draw(store: Store, number: int) -> bool:
        row = DecisionRow(f"{worker}-{number}", member_id, 5, "1", "none", None, 0, "{}", drawn_us=5, rests=True)
        return not store.record([row])

    return sum(_at_once(url, draw, list(range(attempts))))


def answer_requests(url: str, worker: str, request_ids: list[str]) -> list[str]:
    """Claims every request and answers those that are free; the answers that it gave."""

    def answer(store: Store, request_id: str) -> str | None:
        if store.claim("key", [(request_id, "body")], 5)[0].state != "new":
            return None
        text = f"{worker} answers {request_id}"
        store.record([], [Answer("key", request_id, 5, text)])
        return text

    return [text for text in _at_once(url, answer, request_ids * 2) if text is not None]


def _at_once(url: str, act: Callable[[Store, T], object], things: list[T]) -> list:
    with closing(Store.open(url, wait_seconds=PATIENCE_SECONDS)) as store, ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda thing: act(store, thing), things))
