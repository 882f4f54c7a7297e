"""What comes in at once is served together, and everyone gets their own."""

import asyncio
from threading import Event, get_ident

import pytest

from models.errors import StoreUnavailable
from serving.turns import Patience, Turns
from tests.patience import PATIENCE_SECONDS


class Counter:
    """Serves each item with its double; the first turn waits until it is opened."""

    def __init__(self):
        self.turns, self.begun, self.opened = [], Event(), Event()

    def __call__(self, items, _ending):
        self.turns.append(list(items))
        self.begun.set()
        assert len(self.turns) > 1 or self.opened.wait()
        if "odd" in items:
            raise ZeroDivisionError
        if "down" in items:
            raise StoreUnavailable
        return [2 * item for item in items]


def served(items, **given):
    """What became of items that came while another (1) was served, and in which turns."""
    counter = Counter()

    async def ask():
        turns = Turns(counter, **{"most": 8, **given})
        first = asyncio.create_task(turns.result(1))
        await asyncio.to_thread(counter.begun.wait)
        rest = [asyncio.create_task(turns.result(item)) for item in items]
        await asyncio.sleep(0)
        counter.opened.set()
        results = await asyncio.gather(first, *rest, return_exceptions=True)
        turns.close()
        return results[1:]

    return asyncio.run(ask()), counter.turns[1:]


def test_who_comes_while_others_are_served_shares_the_next_turn():
    assert served([2, 3, 4]) == ([4, 6, 8], [[2, 3, 4]])


def test_a_turn_holds_no_more_than_it_may():
    assert served([2, 3, 4], most=2) == ([4, 6, 8], [[2, 3], [4]])


def test_what_must_be_served_apart_takes_the_next_turn_and_keeps_its_order():
    results, turns = served([12, 22, 13, 32, 23], apart=lambda item: item % 10)
    assert results == [24, 44, 26, 64, 46]
    assert turns == [[12, 13], [22, 23], [32]]


def test_only_what_belongs_together_shares_a_turn():
    assert served([2, 3, 4, 5], together=lambda item: item % 2)[1] == [[2, 4], [3, 5]]


def test_an_error_of_one_meets_no_other():
    results, turns = served([2, "odd", 4])
    assert turns == [[2, "odd", 4], [2], ["odd"], [4]]
    assert (results[0], results[2]) == (4, 8)
    assert isinstance(results[1], ZeroDivisionError)


def test_a_store_that_is_down_is_asked_once_for_all():
    results, turns = served([2, "down", 4])
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    assert len(turns) == 1


@pytest.mark.parametrize("served_with", [lambda _: next(iter(())), lambda items: [*items, 5]])
def test_a_turn_that_ends_in_no_way_that_was_foreseen_is_told_and_the_next_one_is_served(served_with):
    def serve(items, _ending):
        return served_with(items) if "odd" in items else items

    async def ask():
        turns = Turns(serve, most=8)
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(turns.result("odd"), PATIENCE_SECONDS)
        told = await asyncio.wait_for(turns.result(2), PATIENCE_SECONDS)
        turns.close()
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(turns.result(3), PATIENCE_SECONDS)
        return told

    assert asyncio.run(ask()) == 2


def test_who_went_away_is_not_waited_for():
    counter = Counter()

    async def ask():
        turns = Turns(counter, most=8)
        gone = asyncio.create_task(turns.result(1))
        await asyncio.to_thread(counter.begun.wait)
        gone.cancel()
        stays = asyncio.create_task(turns.result(2))
        counter.opened.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(ask()) == 4


def after_a_turn_of_four(patience, *groups):
    """Turns of those who come in groups after four were served together."""
    seen = []

    def serve(items, _ending):
        seen.append(list(items))
        return items

    async def ask():
        turns = Turns(serve, most=8, patience=patience)
        await asyncio.gather(*(turns.result(item) for item in range(4)))
        asked = []
        for group in groups:
            asked += [asyncio.create_task(turns.result(item)) for item in group]
            await asyncio.sleep(0.05)
        await asyncio.gather(*asked)
        turns.close()

    asyncio.run(ask())
    return seen[1:]


def test_a_straggler_is_served_with_those_who_are_expected_again():
    assert after_a_turn_of_four(Patience(most=60, pause=60), [11], [12, 13]) == [[11, 12, 13]]


def test_nobody_is_expected_for_long():
    assert after_a_turn_of_four(Patience(most=0.001, pause=60), [11]) == [[11]]


def test_nobody_is_expected_once_it_is_quiet():
    assert after_a_turn_of_four(Patience(most=60, pause=0.001), [11]) == [[11]]


class Keeper:
    """Its first turn says that it is ending once `decided` is set, and ends when `kept` is."""

    def __init__(self):
        self.turns, self.begun, self.decided, self.kept = [], Event(), Event(), Event()

    def __call__(self, items, ending):
        self.turns.append(list(items))
        self.begun.set()
        if len(self.turns) == 1:
            assert self.decided.wait(PATIENCE_SECONDS)
            ending()
            assert self.kept.wait(PATIENCE_SECONDS)
        return items


def beside_one_that_ends(first, items, expected, **given):
    """The turns of `items`, of which those `expected` are answered while the turn of `first` is being kept; and those that are."""
    keeper = Keeper()

    async def ask():
        turns = Turns(keeper, most=8, **given)
        before = [asyncio.create_task(turns.result(item)) for item in first]
        await asyncio.to_thread(keeper.begun.wait)
        asked = {item: asyncio.create_task(turns.result(item)) for item in items}
        await asyncio.sleep(0)
        keeper.decided.set()
        try:
            if expected:
                await asyncio.wait([asked[item] for item in expected], timeout=PATIENCE_SECONDS)
            await asyncio.sleep(0.02)
            beside = [item for item, task in asked.items() if task.done()]
        finally:
            keeper.kept.set()
        await asyncio.gather(*before, *asked.values())
        turns.close()
        return beside

    beside = asyncio.run(ask())
    return keeper.turns[1:], beside


def test_who_waits_is_served_while_the_turn_before_is_kept():
    turns, beside = beside_one_that_ends([1, 2], [3, 4, 5], expected=[3, 4, 5])
    assert (turns, beside) == ([[3, 4, 5]], [3, 4, 5])


def test_fewer_than_a_turn_is_kept_for_wait_until_that_is_done():
    turns, beside = beside_one_that_ends([1, 2, 3], [4, 5], expected=[])
    assert (turns, beside) == ([[4, 5]], [])


def test_who_has_to_be_apart_from_those_that_are_kept_waits_for_them():
    turns, beside = beside_one_that_ends([11, 12], [21, 13, 22], expected=[13], apart=lambda item: item % 10)
    assert (turns, beside) == ([[13], [21, 22]], [13])


def test_one_thread_serves_turn_after_turn_also_after_a_second_one_was_needed():
    keeper, threads = Keeper(), []

    def serve(items, ending):
        threads.append(get_ident())
        return keeper(items, ending)

    async def ask():
        turns = Turns(serve, most=8)
        kept = asyncio.create_task(turns.result(1))
        await asyncio.to_thread(keeper.begun.wait)
        beside = asyncio.create_task(turns.result(2))
        keeper.decided.set()
        await asyncio.wait_for(beside, PATIENCE_SECONDS)
        keeper.kept.set()
        await kept
        for item in range(3, 13):
            await turns.result(item)
        turns.close()

    asyncio.run(ask())
    assert threads[1] != threads[0]
    assert set(threads[2:]) == {threads[0]}


def test_who_is_read_within_a_few_rounds_of_the_loop_shares_the_turn_of_the_first():
    """As requests that waited in their sockets: read in the next round, taken in with the one after that."""
    turns_taken = []

    async def later(turns, item, rounds):
        for _ in range(rounds):
            await asyncio.sleep(0)
        return await turns.result(item)

    async def ask():
        turns = Turns(lambda items, _ending: turns_taken.append(list(items)) or items, most=8)
        await asyncio.gather(*(later(turns, item, rounds) for rounds, item in enumerate("abc")))
        turns.close()

    asyncio.run(ask())
    assert turns_taken == [["a", "b", "c"]]
