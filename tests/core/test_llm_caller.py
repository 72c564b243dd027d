from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from claif_tui.core.llm.base import Answer, Delta, LLMError, Price, Request
from claif_tui.core.llm.budget import EXPOSED_SHARE, worst_case_nano
from claif_tui.core.llm.caller import Caller, CallerConfig, CallEvent, Retrying, Sent
from claif_tui.core.llm.http_client import HttpClient
from claif_tui.core.llm.pace import Pace
from claif_tui.core.llm.prices import nano
from claif_tui.core.llm.transport import Timeouts
from tests.core.llm_helpers import FILL, MemoryLedger, in_no_time, request
from tests.llm_fixtures import Factory, LLMServer
from tests.llm_server_answers import answer

PRICE = Price(input_usd_per_m=1.0, output_usd_per_m=4.0, as_of="2026-01-01")
AT_ONCE = CallerConfig(backoff_base=0.0)


@asynccontextmanager
async def calling(
    server: LLMServer,
    ledger: MemoryLedger,
    *,
    streaming: bool = False,
    maximum: int = 64,
    price: Price | None = PRICE,
    config: CallerConfig = AT_ONCE,
    cap_nano: int | None = None,
) -> AsyncIterator[Caller]:
    timeouts = Timeouts(connect=5, first_byte=5, between_chunks=5)
    client = HttpClient(server.base_url, streaming=streaming, timeouts=timeouts)
    await client.open()
    try:
        pace = Pace(maximum)
        yield Caller(client, ledger=ledger, pace=pace, price=price, cap_nano=cap_nano, config=config)
    finally:
        await client.close()


def prompts(count: int) -> list[str]:
    return [FILL.replace("flute", f"flute{n}") for n in range(count)]


async def outcomes(caller: Caller, wanted: list[Request]) -> list[Answer | BaseException]:
    return await asyncio.gather(*(caller.call(one) for one in wanted), return_exceptions=True)


async def test_a_call_is_reserved_sent_settled_and_only_then_answered(llm_server: Factory) -> None:
    server, ledger, events = llm_server(), MemoryLedger(), list[CallEvent]()
    async with calling(server, ledger, streaming=True) as caller:
        got = await caller.call(request(), events.append)
    assert got.text == answer(FILL)
    settled = ledger.settled[0]
    assert (settled.outcome, settled.tries, settled.basis, settled.answer) == ("answered", 1, "usage", got)
    line = server.log()[0]
    assert settled.cost_nano == nano(PRICE, line["prompt_tokens"], line["completion_tokens"])
    assert settled.cost_nano <= settled.reserved_nano == worst_case_nano(request(), PRICE)
    assert events[0] == Sent(1)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == got.text


@pytest.mark.parametrize("kind", ["500", "reset", "cut", "cut_clean", "garbage", "html", "429", "502_html"])
async def test_what_can_be_tried_again_is(llm_server: Factory, kind: str) -> None:
    server = llm_server(faults=[{"kind": kind, "per_prompt": 2, "match": "flute", "retry_after": "none"}])
    ledger, events = MemoryLedger(), list[CallEvent]()
    async with calling(server, ledger, streaming=True) as caller:
        await caller.call(request("hello"))  # the endpoint is known to work
        got = await caller.call(request(), events.append)
    assert got.text == answer(FILL)
    assert ledger.outcomes() == ["answered", "retry", "retry", "answered"]
    assert ledger.settled[-1].tries == 3
    assert [type(event) for event in events if not isinstance(event, Delta)] == [
        *(Sent, Retrying, Sent, Retrying, Sent)
    ]
    owed = {"500": 0, "429": 0}.get(kind, ledger.settled[1].reserved_nano)
    assert ledger.settled[1].cost_nano == owed
    assert not ledger.reserved


@pytest.mark.parametrize(
    ("kind", "reason"), [("400", "bad_request"), ("400_length", "context_length"), ("empty_choices", "empty")]
)
async def test_what_stays_wrong_is_sent_once(llm_server: Factory, kind: str, reason: str) -> None:
    server, ledger = llm_server(faults=[{"kind": kind}]), MemoryLedger()
    async with calling(server, ledger) as caller:
        with pytest.raises(LLMError) as caught:
            await caller.call(request())
    assert caught.value.reason == reason
    assert ledger.outcomes() == ["failed"]
    assert caller.fatal is None
    assert len(server.log()) == 1


async def test_tries_are_used_up_by_failures_but_not_by_429s(llm_server: Factory) -> None:
    kinds = ["429", "500", "429", "500", "429", "429", "500", "500"]
    server = llm_server(faults=[{"sequence": kinds, "retry_after": "none"}])
    ledger = MemoryLedger()
    async with calling(server, ledger, config=CallerConfig(tries=4, backoff_base=0.0)) as caller:
        with pytest.raises(LLMError) as caught:
            await caller.call(request())
    assert caught.value.reason == "server_error"
    assert len(server.log()) == 8
    assert Counter(ledger.outcomes()) == {"retry": 7, "failed": 1}


@pytest.mark.parametrize("kind", ["401", "402", "404", "404_model", "429_quota", "redirect"])
async def test_what_concerns_all_stops_all(llm_server: Factory, kind: str) -> None:
    server, ledger = llm_server(faults=[{"kind": kind}]), MemoryLedger()
    async with calling(server, ledger, maximum=4) as caller:
        results = await outcomes(caller, [request(prompt) for prompt in prompts(40)])
    assert caller.fatal is not None
    assert all(isinstance(result, LLMError) and result.reason == caller.fatal.reason for result in results)
    assert len(server.log()) <= 4
    assert ledger.spent == 0 and not ledger.reserved
    assert set(ledger.outcomes()) == {"cancelled"}  # to be sent again, none has failed for good


async def test_a_refused_parameter_stops_all_and_is_named(llm_server: Factory) -> None:
    server, ledger = llm_server(options={"refuse": ["temperature"]}), MemoryLedger()
    async with calling(server, ledger) as caller:
        with pytest.raises(LLMError):
            await caller.call(request())
    assert caller.fatal is not None and caller.fatal.parameter == "temperature"
    assert ledger.outcomes() == ["cancelled"]


async def test_a_server_without_usage_is_asked_again_at_once_and_charged_by_bound(llm_server: Factory) -> None:
    server, ledger = llm_server(options={"refuse": ["stream_options"]}), MemoryLedger()
    async with calling(server, ledger, streaming=True) as caller:
        results = await outcomes(caller, [request(prompt) for prompt in prompts(10)])
    assert all(isinstance(result, Answer) for result in results)
    done = [settled for settled in ledger.settled if settled.outcome == "answered"]
    assert {settled.basis for settled in done} == {"bound"}
    assert all(settled.cost_nano <= settled.reserved_nano for settled in done)


async def test_an_endpoint_that_never_worked_is_given_up_after_one_call_and_few_tries(
    llm_server: Factory,
) -> None:
    server, ledger = llm_server(faults=[{"kind": "html"}]), MemoryLedger()
    async with calling(server, ledger, config=CallerConfig(tries=6, backoff_base=0.0)) as caller:
        with pytest.raises(LLMError):
            await caller.call(request())
        assert caller.fatal is not None and caller.fatal.reason == "wrong_endpoint"
        with pytest.raises(LLMError) as caught:
            await caller.call(request("another"))
    assert caught.value.sent is False
    assert len(server.log()) == 3


async def test_an_endpoint_that_went_down_is_given_up_after_a_few(llm_server: Factory) -> None:
    server, ledger = llm_server(faults=[{"kind": "500", "match": "flute"}]), MemoryLedger()
    config = CallerConfig(tries=2, backoff_base=0.0, give_up_after=3)
    async with calling(server, ledger, maximum=1, config=config) as caller:
        await caller.call(request("hello"))
        for prompt in prompts(3):
            with pytest.raises(LLMError):
                await caller.call(request(prompt))
        assert caller.fatal is not None and caller.fatal.reason == "server_error"
    assert Counter(ledger.outcomes()) == {"answered": 1, "retry": 3, "failed": 3}


async def test_the_cap_holds_and_is_used_up_while_work_remains(llm_server: Factory) -> None:
    rules = [
        {"kind": "500", "rate": 0.1},
        {"kind": "429", "rate": 0.1, "retry_after": "none"},
        {"kind": "cut", "rate": 0.02},
        {"kind": "no_usage", "rate": 0.02},
    ]
    server = llm_server(faults=rules, options={"latency": 0.01})
    cap = worst_case_nano(request(prompts(1)[0]), PRICE) * 40
    ledger = MemoryLedger(cap)
    async with calling(server, ledger, streaming=True) as caller:
        results = await outcomes(caller, [request(prompt) for prompt in prompts(600)])
    refused = [result for result in results if isinstance(result, LLMError)]
    assert {error.reason for error in refused} == {"budget"}
    assert not any(error.sent for error in refused)
    assert ledger.peak <= cap
    assert ledger.spent >= 0.9 * cap
    spent = nano(PRICE, *server.spent_tokens())
    assert spent <= ledger.spent <= cap
    assert len([result for result in results if isinstance(result, Answer)]) > 40
    assert ledger.asked < 3 * len(results)  # waiting is not asking again and again


async def test_a_budget_too_small_for_one_call_sends_nothing(llm_server: Factory) -> None:
    server, ledger = llm_server(), MemoryLedger(cap=10)
    async with calling(server, ledger) as caller:
        results = await outcomes(caller, [request(prompt) for prompt in prompts(5)])
    assert [getattr(result, "reason", None) for result in results] == ["budget"] * 5
    assert server.log() == []


async def test_cancelled_in_flight_counts_at_its_worst_and_before_sending_at_nothing(
    llm_server: Factory,
) -> None:
    server, ledger = llm_server(faults=[{"kind": "hang"}]), MemoryLedger()
    async with calling(server, ledger, maximum=1) as caller:
        sent = asyncio.Event()
        first = asyncio.create_task(caller.call(request("one"), lambda event: sent.set()))
        await sent.wait()
        second = asyncio.create_task(caller.call(request("two")))
        while len(ledger.reserved) < 2:  # noqa: ASYNC110 (the ledger is no event)
            await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        for task in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert caller.pace.in_flight == 0
    settled = {one.request.key: one for one in ledger.settled}
    assert {one.outcome for one in ledger.settled} == {"cancelled"}
    assert (settled["one"].sent, settled["one"].cost_nano) == (True, settled["one"].reserved_nano)
    assert (settled["two"].sent, settled["two"].cost_nano) == (False, 0)
    assert not ledger.reserved


class _Scripted:
    """A client without a network, for what happens between two writes of the ledger."""

    def __init__(self, *script: LLMError | Answer) -> None:
        self.script = list(script)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def stream(self, request: Request) -> AsyncIterator[Delta | Answer]:
        step = self.script.pop(0)
        await asyncio.sleep(0)
        if isinstance(step, LLMError):
            raise step
        yield step


GOOD = Answer(text="a sentence", finish_reason="stop", prompt_tokens=10, completion_tokens=3)


class _SlowLedger(MemoryLedger):
    """Takes a second for each write, as a disk that syncs might."""

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        await asyncio.sleep(1)
        return await super().reserve(request, nano, tries)

    async def settle(self, settlement: Any) -> None:
        await asyncio.sleep(1)
        await super().settle(settlement)


@pytest.mark.parametrize("after", [0.5, 1.5])
def test_a_write_is_never_left_half_done_by_a_cancellation(after: float) -> None:
    ledger = _SlowLedger()

    async def work() -> None:
        caller = Caller(_Scripted(GOOD), ledger=ledger, pace=Pace(1), price=PRICE)
        task = asyncio.create_task(caller.call(request()))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert caller.open_reservations == 0

    in_no_time(work())
    assert not ledger.reserved
    # Cancelled while the answer was being written: it is kept, since it is paid.
    assert ledger.outcomes() == (["cancelled"] if after < 1 else ["answered"])


def test_backoff_grows_to_a_minute_and_obeys_the_server() -> None:
    waits: list[float] = []

    async def work() -> None:
        script: list[LLMError | Answer] = [LLMError("server_error") for _ in range(8)]
        script += [LLMError("server_error", retry_after=300.0), GOOD]
        caller = Caller(
            _Scripted(*script),
            ledger=MemoryLedger(),
            pace=Pace(1),
            price=None,
            config=CallerConfig(tries=12),
        )
        await caller.call(request(), lambda event: waits.append(getattr(event, "wait", -1.0)))

    in_no_time(work())
    waits = [wait for wait in waits if wait >= 0]
    assert all(2**n <= wait <= 2**n + 1 for n, wait in enumerate(waits[:6]))
    assert waits[6:] == [60.0, 60.0, 300.0]


def test_a_429_holds_everyone_for_as_long_as_the_server_says() -> None:
    sent: list[float] = []

    async def work() -> None:
        clock = asyncio.get_running_loop().time
        script: list[LLMError | Answer] = [
            LLMError("rate_limited", retry_after=42.0, billed=False),
            GOOD,
            GOOD,
            GOOD,
        ]
        caller = Caller(_Scripted(*script), ledger=MemoryLedger(), pace=Pace(1), price=None)

        def note(event: CallEvent) -> None:
            if isinstance(event, Sent):
                sent.append(clock())

        await asyncio.gather(*(caller.call(request(f"{n}"), note) for n in range(3)))

    in_no_time(work())
    assert sent[0] < 1
    assert all(when >= 42.0 for when in sent[1:])
    assert len(sent) == 4


def test_near_the_cap_a_call_waits_for_one_between_its_tries() -> None:
    """Its lost try still holds money in a ledger that swaps reservations: the budget is not reached yet."""
    worst = worst_case_nano(request(), PRICE)

    class Swapping(MemoryLedger):
        async def reserve(self, request: Request, nano: int, tries: int) -> bool:
            if tries > 1:
                self.reserved.pop(request.key)
            return await super().reserve(request, nano, tries)

        async def settle(self, settlement: Any) -> None:
            if settlement.outcome != "retry":
                await super().settle(settlement)

    async def work() -> list[Answer | BaseException]:
        script: list[LLMError | Answer] = [LLMError("server_error", billed=False), GOOD, GOOD]
        caller = Caller(_Scripted(*script), ledger=Swapping(worst + worst // 2), pace=Pace(4), price=PRICE)
        return await outcomes(caller, [request("a" * len(FILL)), request("b" * len(FILL))])

    assert in_no_time(work()) == [GOOD, GOOD]


@pytest.mark.parametrize(("calls_of_cap", "open_at_once"), [(10, 1), (EXPOSED_SHARE * 3, 3), (10_000, 24)])
async def test_a_kill_can_never_waste_more_than_a_small_share_of_the_cap(
    llm_server: Factory, calls_of_cap: int, open_at_once: int
) -> None:
    """What is open at once counts at its worst case when a run dies; under a small cap less is let go at once."""
    server = llm_server(options={"latency": 0.05})
    wanted = [request(prompt) for prompt in prompts(24)]
    cap = max(worst_case_nano(one, PRICE) for one in wanted) * calls_of_cap
    ledger, held = _Watching(cap), set[bool]()
    async with calling(server, ledger, cap_nano=cap) as caller:
        told = asyncio.create_task(outcomes(caller, wanted))
        while not told.done():
            held.add(caller.held_by_cap)
            await asyncio.wait([told], timeout=0.01)
        got = await told
    assert (True in held) == (open_at_once < len(wanted)), "whoever looks is told why"
    assert not caller.held_by_cap
    assert all(isinstance(one, Answer) for one in got)
    assert ledger.most_open == open_at_once


class _Watching(MemoryLedger):
    """Notes how many reservations were open at once."""

    most_open = 0

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        granted = await super().reserve(request, nano, tries)
        self.most_open = max(self.most_open, len(self.reserved))
        return granted


async def test_a_run_that_is_stopped_leaves_nothing_waiting_for_room(llm_server: Factory) -> None:
    server = llm_server(options={"latency": 30.0})
    wanted = [request(prompt) for prompt in prompts(6)]
    cap = max(worst_case_nano(one, PRICE) for one in wanted) * EXPOSED_SHARE
    ledger = MemoryLedger(cap)
    async with calling(server, ledger, cap_nano=cap) as caller:
        sent = asyncio.Event()
        tasks = [asyncio.create_task(caller.call(one, lambda _: sent.set())) for one in wanted]
        await sent.wait()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    assert not ledger.reserved
    assert len(ledger.settled) == 1, "those that waited for room were never reserved"
