from __future__ import annotations

import asyncio

import pytest

from claif_tui.core.llm.pace import START, Pace
from tests.core.llm_helpers import in_no_time


async def _calls(pace: Pace, count: int, seconds: float, sent: list[float], *, tokens: int = 0) -> int:
    """Make ``count`` calls of ``seconds`` each through ``pace``; return the most that were in flight at once."""
    clock = asyncio.get_running_loop().time
    peak = 0

    async def one() -> None:
        nonlocal peak
        permit = await pace.acquire(tokens, 0)
        sent.append(clock())
        peak = max(peak, pace.in_flight)
        await asyncio.sleep(seconds)
        pace.release(permit, latency=seconds, tokens=tokens or None)

    await asyncio.gather(*(one() for _ in range(count)))
    return peak


def test_it_doubles_to_the_maximum_and_never_passes_it() -> None:
    sent: list[float] = []

    async def work() -> tuple[int, int]:
        pace = Pace(128)
        return await _calls(pace, 1000, 0.2, sent), pace.limit

    assert in_no_time(work()) == (128, 128)
    assert len([when for when in sent if when < 0.01]) == START
    assert len([when for when in sent if when < 0.41]) == START + 2 * START + 128


def test_a_429_halves_once_and_growth_is_slow_afterwards() -> None:
    async def work() -> list[int]:
        pace = Pace(64)
        limits = []
        permits = [await pace.acquire() for _ in range(START)]
        for permit in permits:
            pace.rate_limited_at(permit, 0.0)
            pace.release(permit)
        limits.append(pace.limit)
        await _calls(pace, pace.limit * 3, 0.2, [])
        limits.append(pace.limit)
        fresh = await pace.acquire()
        pace.rate_limited_at(fresh, 0.0)
        pace.release(fresh)
        assert pace.rate_limited == START + 1
        return [*limits, pace.limit]

    assert in_no_time(work()) == [START // 2, START // 2 + 1, 1]


def test_nothing_goes_out_before_the_server_allows_it() -> None:
    sent: list[float] = []

    async def work() -> None:
        pace = Pace(4)
        permit = await pace.acquire()
        pace.rate_limited_at(permit, 30.0)
        pace.release(permit)
        await _calls(pace, 10, 0.1, sent)

    in_no_time(work())
    assert min(sent) >= 30.0


def test_slower_answers_stop_the_growth_and_much_slower_ones_shrink_it() -> None:
    async def work() -> tuple[int, int, int]:
        pace = Pace(512)
        await _calls(pace, 200, 0.2, [])
        before = pace.limit
        await _calls(pace, 600, 1.4, [])
        held = pace.limit
        await _calls(pace, 3000, 20.0, [])
        return before, held, pace.limit

    before, held, after = in_no_time(work())
    assert before > START
    assert held < 512
    assert after < held


def test_scores_and_sentences_have_their_own_latencies() -> None:
    async def work() -> int:
        pace = Pace(64)
        for number in range(400):
            permits = [await pace.acquire() for _ in range(pace.limit)]
            for permit in permits:
                slow = number % 2
                pace.release(permit, latency=5.0 if slow else 0.2, kind="generate" if slow else "score")
        return pace.limit

    assert in_no_time(work()) == 64


@pytest.mark.parametrize("rpm", [1, 2, 7, 12, 60, 500])
def test_requests_per_minute_hold_in_every_minute(rpm: int) -> None:
    sent: list[float] = []

    async def work() -> None:
        await _calls(Pace(64, rpm=rpm), 4 * rpm + 5, 0.1, sent)

    in_no_time(work())
    worst = max(sum(start <= when < start + 60.0 for when in sent) for start in sent)
    assert worst <= rpm
    assert sent[-1] <= 60 * 1.15 * len(sent) / rpm  # and not much slower than allowed


def test_tokens_per_minute_hold_and_learn_from_what_was_used() -> None:
    sent: list[float] = []

    async def work() -> None:
        pace = Pace(8, tpm=6000)

        async def one() -> None:
            permit = await pace.acquire(100, 400)  # 500 at most, 150 in truth
            sent.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.1)
            pace.release(permit, latency=0.1, tokens=150, answer_tokens=50)

        for _ in range(30):
            await asyncio.gather(*(one() for _ in range(8)))

    in_no_time(work())
    worst = max(sum(150 for when in sent if start <= when < start + 60.0) for start in sent)
    assert worst <= 6000
    assert sent[-1] < 1.35 * 60 * 240 * 150 / 6000


def test_a_cancelled_wait_gives_its_turn_on() -> None:
    async def work() -> None:
        pace = Pace(1)
        permit = await pace.acquire()
        waiting = [asyncio.create_task(pace.acquire()) for _ in range(3)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        pace.release(permit)
        waiting[1].cancel()  # has its turn already, and gives it on
        second = await waiting[2]
        assert pace.in_flight == 1
        pace.release(second)
        pace.release(await pace.acquire())
        assert pace.in_flight == 0

    in_no_time(work())


def test_waits_that_are_called_off_together_end_quietly_and_leave_the_place_free() -> None:
    async def work() -> None:
        pace = Pace(1)
        permit = await pace.acquire()
        waiting = [asyncio.create_task(pace.acquire()) for _ in range(3)]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        pace.release(permit)  # looks for the next in line before those called off have run
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
        pace.release(await pace.acquire())
        assert pace.in_flight == 0

    in_no_time(work())


def test_the_maximum_can_be_moved_while_running() -> None:
    async def work() -> None:
        pace = Pace(4)
        permits = [await pace.acquire() for _ in range(4)]
        waiting = asyncio.create_task(pace.acquire())
        await asyncio.sleep(1)
        assert not waiting.done()
        pace.set_maximum(2)
        assert pace.limit == 2
        for permit in permits:
            pace.release(permit)
        pace.release(await waiting)

    in_no_time(work())


def test_impossible_limits_are_refused() -> None:
    for options in ({"maximum": 0}, {"rpm": 0}, {"tpm": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            Pace(**options)
