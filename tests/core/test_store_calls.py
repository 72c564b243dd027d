"""Calls and their money: a cap that holds across processes, a ledger that is exact, nothing paid twice."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from claif_tui.core.errors import StoreError
from claif_tui.core.models import Ledger, Run
from claif_tui.core.store.store import Store
from tests.core.store_children import finish, new_call, said, start


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    return store.runs.start("generate", "r1", "p", "m", {})


def check_books(store: Store) -> None:
    """The ledger is the sum of the calls, whatever happened before."""
    with store.read() as conn:
        calls = conn.execute(
            "SELECT recipe_id, sum(cost_nano), sum(reserved_nano) FROM calls GROUP BY recipe_id ORDER BY recipe_id"
        ).fetchall()
        books = conn.execute(
            "SELECT recipe_id, spent_nano, reserved_nano FROM ledger ORDER BY recipe_id"
        ).fetchall()
        loose = conn.execute("SELECT count(*) FROM calls WHERE state <> 'reserved' AND reserved_nano <> 0")
        assert loose.fetchone() == (0,)
    assert books == calls


async def test_a_call_goes_from_reserved_to_answered_and_the_money_with_it(store: Store, run: Run) -> None:
    assert await store.calls.reserve(new_call("k1", run.id, 100), 1000)
    assert store.ledger.get("r1") == Ledger(cap_nano=None, spent_nano=0, reserved_nano=100)
    reserved = store.calls.get("k1")
    assert reserved is not None
    assert (reserved.state, reserved.reserved_nano, reserved.tries) == ("reserved", 100, 1)
    await store.calls.answer(
        "k1",
        raw="Hello.",
        reasoning="hm",
        finish_reason="stop",
        model_returned="m-1",
        prompt_tokens=3,
        completion_tokens=4,
        latency_ms=12,
        cost_nano=42,
    )
    call = store.calls.get("k1")
    assert call is not None
    assert (call.state, call.raw, call.reasoning, call.finish_reason) == ("answered", "Hello.", "hm", "stop")
    assert (call.model_returned, call.prompt_tokens, call.completion_tokens) == ("m-1", 3, 4)
    assert (call.cost_nano, call.reserved_nano, call.latency_ms, call.run_id) == (42, 0, 12, run.id)
    assert store.ledger.get("r1") == Ledger(cap_nano=None, spent_nano=42, reserved_nano=0)
    check_books(store)


async def test_the_cap_is_reached_to_the_last_nano_and_never_passed(store: Store, run: Run) -> None:
    assert await store.calls.reserve(new_call("k1", run.id, 60), 100)
    assert not await store.calls.reserve(new_call("k2", run.id, 41), 100)
    assert store.calls.get("k2") is None, "a refused call leaves no trace"
    assert await store.calls.reserve(new_call("k3", run.id, 40), 100)
    await store.calls.answer("k1", raw="x", cost_nano=60)
    assert not await store.calls.reserve(new_call("k4", run.id, 1), 100)
    assert await store.calls.reserve(new_call("k5", run.id, 1), 101)
    check_books(store)


async def test_the_stored_cap_holds_whatever_a_command_says(store: Store, run: Run) -> None:
    store.ledger.set_cap("r1", 50)
    assert not await store.calls.reserve(new_call("k1", run.id, 51), None)
    assert not await store.calls.reserve(new_call("k1", run.id, 51), 1000)
    assert await store.calls.reserve(new_call("k1", run.id, 50), None)
    store.ledger.set_cap("r1", None)
    assert await store.calls.reserve(new_call("k2", run.id, 10**15), None)
    assert await store.calls.reserve(new_call("k3", run.id, 7, recipe="r2"), 10), "each recipe has its own"
    assert store.ledger.get("r1").cap_nano is None
    check_books(store)


async def test_the_first_reservation_of_a_recipe_obeys_the_cap_too(store: Store, run: Run) -> None:
    assert not await store.calls.reserve(new_call("k1", run.id, 11), 10)
    assert store.ledger.get("r1") == Ledger()


async def test_an_answered_call_and_one_in_flight_are_never_sent_again(store: Store, run: Run) -> None:
    await store.calls.reserve(new_call("k1", run.id))
    with pytest.raises(StoreError, match="in flight"):
        await store.calls.reserve(new_call("k1", run.id))
    await store.calls.answer("k1", raw="x", cost_nano=5)
    with pytest.raises(StoreError, match="answered"):
        await store.calls.reserve(new_call("k1", run.id))
    for again in (
        store.calls.answer("k1", raw="y", cost_nano=5),
        store.calls.fail("k1", "timeout", cost_nano=5),
    ):
        with pytest.raises(StoreError, match="not in flight"):
            await again
    assert store.ledger.get("r1") == Ledger(spent_nano=5)
    check_books(store)


async def test_a_failed_call_is_kept_and_its_text_survives_the_retry(store: Store, run: Run) -> None:
    await store.calls.reserve(new_call("k1", run.id, 100))
    await store.calls.fail("k1", "cut_off", "no end", raw="half a sent", cost_nano=100)
    failed = store.calls.get("k1")
    assert failed is not None
    assert (failed.state, failed.reason, failed.raw) == ("failed", "cut_off", "half a sent")
    await store.calls.reserve(new_call("k1", run.id, 80))
    await store.calls.answer("k1", raw="A sentence.", cost_nano=30)
    call = store.calls.get("k1")
    assert call is not None
    assert (call.state, call.reason, call.raw, call.cost_nano, call.tries) == (
        "answered",
        None,
        "A sentence.",
        130,
        2,
    )
    (lost,) = store.calls.lost_tries("k1")
    assert (lost.reason, lost.detail, lost.raw, lost.cost_nano, lost.tries) == (
        "cut_off",
        "no end",
        "half a sent",
        100,
        1,
    )
    check_books(store)


async def test_a_lost_try_is_charged_and_the_next_one_reserved_at_once(store: Store, run: Run) -> None:
    await store.calls.reserve(new_call("k1", run.id, 100), 250)
    assert await store.calls.retry(
        "k1", "timeout", "60 s", reserve_nano=100, cap_nano=250, raw="ha", cost_nano=100
    )
    assert store.ledger.get("r1") == Ledger(spent_nano=100, reserved_nano=100)
    assert not await store.calls.retry("k1", "timeout", reserve_nano=100, cap_nano=250, cost_nano=100)
    call = store.calls.get("k1")
    assert call is not None
    assert (call.state, call.reason, call.detail, call.tries) == ("failed", "budget", "after timeout: ", 2)
    assert store.ledger.get("r1") == Ledger(spent_nano=200, reserved_nano=0)
    assert [(lost.tries, lost.raw, lost.cost_nano) for lost in store.calls.lost_tries("k1")] == [
        (1, "ha", 100),
        (2, None, 100),
    ]
    await store.calls.reserve(new_call("k1", run.id, 50), 250)
    await store.calls.fail("k1", "timeout", cost_nano=50)
    await store.calls.reserve(new_call("k1", run.id, 50), None)
    assert [lost.cost_nano for lost in store.calls.lost_tries("k1")] == [100, 100, 50]
    check_books(store)


async def test_retrying_what_is_not_in_flight_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="not in flight"):
        await store.calls.retry("k1", "timeout", reserve_nano=1)


def test_reservations_of_two_processes_never_pass_the_cap(store: Store, run: Run) -> None:
    code = (
        "async def main():\n"
        "    with Store.open(folder) as store:\n"
        "        ready('open'); wait()\n"
        "        calls = [new_call(f'{os.getpid()}-{n}', 1, 7) for n in range(120)]\n"
        "        ready(sum(await asyncio.gather(*(store.calls.reserve(call, 1000) for call in calls))))\n"
        "asyncio.run(main())\n"
    )
    children = [start(store.folder, code) for _ in range(2)]
    for child in children:
        assert said(child) == "open"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    granted = [int(finish(child)) for child in children]
    assert sum(granted) == 1000 // 7
    assert store.ledger.get("r1").reserved_nano == 7 * (1000 // 7)
    check_books(store)


KILLED = (
    "async def main():\n"
    "    store = Store.open(folder)\n"
    "    run = store.runs.start('generate', 'r1', 'p', 'm', {})\n"
    "    for n in range(5):\n"
    "        await store.calls.reserve(new_call(f'k{n}', run.id, 100))\n"
    "    await store.calls.answer('k0', raw='x', cost_nano=30)\n"
    "    ready('reserved')\n"
    "    wait()\n"
    "asyncio.run(main())\n"
)


async def test_what_a_killed_process_had_in_flight_is_charged_once(store: Store) -> None:
    child = start(store.folder, KILLED)
    assert said(child) == "reserved"
    assert store.calls.recover() == 0, "the process lives: its reservations are its own"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert store.ledger.get("r1") == Ledger(spent_nano=30, reserved_nano=400)
    assert store.calls.recover() == 4
    assert store.calls.recover() == 0
    assert store.ledger.get("r1") == Ledger(spent_nano=430, reserved_nano=0)
    assert store.calls.failure_counts("r1") == {"interrupted": 4}
    check_books(store)
    run = store.runs.start("generate", "r1", "p", "m", {})
    assert await store.calls.reserve(new_call("k1", run.id, 100)), "it is sent again"
    await store.calls.answer("k1", raw="y", cost_nano=20)
    call = store.calls.get("k1")
    assert call is not None
    assert (call.cost_nano, call.tries, call.run_id) == (120, 2, run.id)
    assert store.ledger.get("r1").spent_nano == 450
    child.communicate()
    check_books(store)


async def test_reservations_of_a_run_that_ended_are_recovered(store: Store, run: Run) -> None:
    await store.calls.reserve(new_call("k1", run.id, 100))
    store.runs.set_state(run.id, "stopped")
    assert store.calls.recover() == 1
    await store.calls.answer("k1", raw="late", cost_nano=10)
    call = store.calls.get("k1")
    assert call is not None
    assert (call.state, call.raw, call.cost_nano) == ("answered", "late", 100), (
        "a late answer is kept, not refunded"
    )
    check_books(store)


async def test_the_books_balance_after_any_sequence(store: Store, run: Run) -> None:
    chance = random.Random(7)
    cap = 20_000
    for _ in range(400):
        key = f"k{chance.randrange(40)}"
        recipe = f"r{int(key[1:]) % 3}"
        nano, cost = chance.randrange(1, 300), chance.randrange(0, 300)
        work: Coroutine[object, object, bool | None]
        match chance.randrange(6):
            case 0 | 1:
                work = store.calls.reserve(new_call(key, run.id, nano, recipe), cap)
            case 2:
                work = store.calls.retry(key, "timeout", reserve_nano=nano, cap_nano=cap, cost_nano=cost)
            case 3 | 4:
                work = store.calls.fail(key, "empty", raw="", cost_nano=cost)
            case _:
                work = store.calls.answer(key, raw="x", cost_nano=cost)
        with suppress(StoreError):  # a step may make no sense for the call, and must then change nothing
            await work
        check_books(store)


async def test_a_failed_call_asked_again_by_another_recipe_is_that_ones_money(store: Store, run: Run) -> None:
    assert await store.calls.reserve(new_call("k1", run.id, 100, "r1"), 1000)
    await store.calls.fail("k1", "timeout", cost_nano=100)
    assert await store.calls.reserve(new_call("k1", run.id, 80, "r2"), 1000)
    assert store.ledger.get("r1") == Ledger(cap_nano=None, spent_nano=100, reserved_nano=0)
    assert store.ledger.get("r2") == Ledger(cap_nano=None, spent_nano=0, reserved_nano=80)
    await store.calls.answer("k1", raw="x", cost_nano=30)
    assert store.ledger.get("r1") == Ledger(cap_nano=None, spent_nano=100, reserved_nano=0)
    assert store.ledger.get("r2") == Ledger(cap_nano=None, spent_nano=30, reserved_nano=0)
    assert store.ledger.spent() == store.calls.totals().cost_nano == 130


async def test_many_calls_are_found_by_their_keys(store: Store, run: Run) -> None:
    keys = [f"{n:064x}" for n in range(1200)]
    await asyncio.gather(*(store.calls.reserve(new_call(key, run.id, 1)) for key in keys[:1100]))
    found = store.calls.known(keys)
    assert set(found) == set(keys[:1100])
    assert store.calls.known([]) == {}


async def test_failures_are_counted_paged_and_filtered(store: Store, run: Run) -> None:
    for n in range(6):
        await store.calls.reserve(new_call(f"k{n}", run.id, 10, recipe="r1" if n < 4 else "r2"))
    await store.calls.answer("k0", raw="x", prompt_tokens=5, completion_tokens=6, cost_nano=3)
    await store.calls.fail("k1", "timeout", cost_nano=10)
    await store.calls.fail("k2", "empty", cost_nano=1, prompt_tokens=2)
    await store.calls.fail("k4", "timeout")
    assert store.calls.failure_counts() == {"timeout": 2, "empty": 1}
    assert store.calls.failure_counts("r1") == {"empty": 1, "timeout": 1}
    assert [call.key for call in store.calls.failures(limit=2)] == ["k1", "k2"]
    assert [call.key for call in store.calls.failures(after="k2")] == ["k4"]
    assert [call.key for call in store.calls.failures("r1", "timeout")] == ["k1"]
    totals = store.calls.totals("r1")
    assert (totals.answered, totals.failed, totals.reserved, totals.cost_nano) == (1, 2, 1, 14)
    assert (totals.prompt_tokens, totals.completion_tokens) == (7, 6)
    assert store.calls.totals().failed == 3
    assert store.calls.stage_counts("r2") == {("generate", "failed"): 1, ("generate", "reserved"): 1}
    assert store.ledger.spent() == 14
