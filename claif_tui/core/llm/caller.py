"""One call from request to answer: pace, budget, the wire, and tries again by class. No storage, no parsing.

Order of one try: the worst case is reserved durably, leave to send is awaited, the request goes out, the
reservation is settled durably, and only then is the answer given back or the next try made.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from claif_tui.core.llm.base import (
    FATAL,
    RETRYABLE,
    Answer,
    Delta,
    LLMClient,
    LLMError,
    Price,
    Reason,
    Request,
)
from claif_tui.core.llm.budget import (
    Basis,
    Exposure,
    Ledger,
    Outcome,
    Settlement,
    actual_nano,
    prompt_bound,
    worst_case_nano,
)
from claif_tui.core.llm.pace import Pace, Permit
from claif_tui.core.llm.refusals import PARAMETERS

T = TypeVar("T")

_DISPENSABLE = frozenset({"stream_options", "encoding_format"})
"""Refused parameters that clients leave out by themselves from then on: no answer depends on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerConfig:
    """``tries`` per call (429s do not count), backoff in seconds (doubling, with jitter), and when to give up.

    ``first_tries`` holds while the endpoint has not answered once and is not to be reached, or sends web pages:
    mostly the URL is wrong, and whoever typed it should hear so soon.
    ``give_up_after``: this many calls in a row that used up their tries, with no good answer between, stop
    everything: the endpoint is down, and the rest should stay unsent rather than fail one by one.
    """

    tries: int = 6
    first_tries: int = 3
    backoff_base: float = 1.0
    backoff_max: float = 60.0
    give_up_after: int = 8


@dataclass(frozen=True, slots=True)
class Sent:
    """A try went out. ``tries`` counts every time this request was sent."""

    tries: int


@dataclass(frozen=True, slots=True)
class Retrying:
    """A try failed and another follows after ``wait`` seconds; what had streamed is void."""

    reason: Reason
    detail: str
    wait: float


CallEvent = Sent | Delta | Retrying
OnEvent = Callable[[CallEvent], None]


class Caller:
    """Makes calls to one endpoint for many tasks on one event loop.

    ``fatal`` is set by the first error that concerns every request (see ``base.FATAL``, a refused sampling
    parameter, an endpoint that is down); every call after it raises it, unsent. The owner opens and closes
    the client.
    """

    def __init__(
        self,
        client: LLMClient,
        *,
        ledger: Ledger,
        pace: Pace,
        price: Price | None,
        cap_nano: int | None = None,
        config: CallerConfig | None = None,
    ) -> None:
        """``cap_nano`` is what the ledger will not let pass; known here, it also limits what is open at once."""
        self.client = client
        self.ledger = ledger
        self.pace = pace
        self.price = price
        self.config = config or CallerConfig()
        self.fatal: LLMError | None = None
        self._exposure = Exposure(cap_nano)
        self.open_reservations = 0
        self._between = 0
        """Calls waiting for their next try: a ledger may swap their reservation for the new one."""
        self._tight = False
        self._gate = asyncio.Lock()
        self._settled = asyncio.Event()
        self._answered = False
        self._exhausted = 0

    @property
    def held_by_cap(self) -> bool:
        """Whether fewer requests go out at once than the pace allows, since the cap is small."""
        return self._exposure.full

    async def call(self, request: Request, on_event: OnEvent | None = None) -> Answer:
        """Return the answer to ``request``, already settled with the ledger.

        Raises ``LLMError``: a failure that stands (settled as failed), ``budget`` (unsent: nothing is in flight
        and the cap leaves no room) or the shared fatal error. Read ``fatal`` after every error: it says
        whether going on makes sense. ``on_event`` is called on the event loop and must be quick. Cancelling
        settles a request in flight at its worst case.
        """
        state = _State(request, worst_case_nano(request, self.price), on_event)
        async with self._exposure.held(state.reserve):
            return await self._to_answer(state)

    async def _to_answer(self, state: _State) -> Answer:
        await self._reserve(state)
        while True:
            answer = await self._try(state)
            if answer is not None:
                return answer
            try:
                if state.on_event is not None and state.error is not None:
                    state.on_event(Retrying(state.error.reason, state.error.detail, state.wait))
                await asyncio.sleep(state.wait)
                granted = self.fatal is None and await self._ask(state)
            finally:
                self._between -= 1
                self._settled.set()
            if not granted:
                await self._reserve(state)

    async def _reserve(self, state: _State) -> None:
        """Get the reservation, waiting while others in flight may still give back what they did not use."""
        self._raise_fatal()
        if not self._tight:
            if await self._ask(state):
                return
            self._tight = True
            self._settled.set()
        # Near the cap one at a time, in order: all waiters asking after each answer would be a stampede.
        async with self._gate:
            while True:
                self._raise_fatal()
                self._settled.clear()
                if await self._ask(state):
                    return
                if not self.open_reservations and not self._between:
                    detail = "the budget leaves no room for another call"
                    raise LLMError("budget", detail, sent=False, billed=False)
                await self._settled.wait()

    async def _ask(self, state: _State) -> bool:
        self.open_reservations += 1
        granted = False
        try:
            writing = self.ledger.reserve(state.request, state.reserve, state.sent + 1)
            granted, cancelled = await _to_the_end(writing)
        except BaseException:
            self._settled.set()
            raise
        finally:
            # A refusal gives nothing back: it wakes nobody, or the one at the gate would ask without end.
            self.open_reservations -= not granted
        if cancelled is not None:
            if granted:
                await self._settle(state, "cancelled", cost=0, basis="nothing", sent=False)
            self._settled.set()
            raise cancelled
        return granted

    async def _try(self, state: _State) -> Answer | None:
        """Send once. Returns the answer, or None when another try is due; raises what stands."""
        try:
            limit = state.request.sampling.max_tokens or 0
            permit = await self.pace.acquire(prompt_bound(state.request) // 4, limit)
        except BaseException:
            await self._settle(state, "cancelled", cost=0, basis="nothing", sent=False)
            raise
        if self.fatal is not None:
            self.pace.release(permit)
            await self._settle(state, "cancelled", cost=0, basis="nothing", sent=False)
            self._raise_fatal()
        state.sent += 1
        state.started, state.first = time.monotonic(), None
        try:
            answer = await self._send(state)
        except LLMError as error:
            wait = self._judge(state, error, permit)
            self.pace.release(permit)
            await self._failed(state, error, wait)
            return None
        except BaseException as error:
            self.pace.release(permit)
            stopped = LLMError("cancelled", "stopped before the answer was complete")
            await self._settle(state, "cancelled", cost=state.reserve, basis="worst_case", error=stopped)
            raise error
        self._release_good(state, answer, permit)
        cost, basis = actual_nano(state.request, answer, self.price)
        await self._settle(state, "answered", cost=cost, basis=basis, answer=answer)
        return answer

    async def _send(self, state: _State) -> Answer:
        if state.on_event is not None:
            state.on_event(Sent(state.sent))
        answer: Answer | None = None
        items = self.client.stream(state.request)
        try:
            async for item in items:
                if state.first is None:
                    state.first = time.monotonic()
                if isinstance(item, Answer):
                    answer = item
                elif state.on_event is not None:
                    state.on_event(item)
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()
        if answer is None:
            raise LLMError("broken_stream", "the client gave no answer")
        return answer

    def _release_good(self, state: _State, answer: Answer, permit: Permit) -> None:
        self._answered = True
        self._exhausted = 0
        known = answer.prompt_tokens is not None and answer.completion_tokens is not None
        self.pace.release(
            permit,
            latency=(state.first or time.monotonic()) - state.started,
            kind=state.request.stage,
            tokens=(answer.prompt_tokens or 0) + (answer.completion_tokens or 0) if known else None,
            answer_tokens=answer.completion_tokens,
        )

    def _judge(self, state: _State, error: LLMError, permit: Permit) -> float | None:
        """Return the seconds to wait before another try, or None when the error stands."""
        config = self.config
        if error.parameter in _DISPENSABLE and not state.plain:
            state.plain = True
            return 0.0
        if _concerns_all(error):
            self.fatal = self.fatal or error
            return None
        if error.reason == "rate_limited":
            state.throttled += 1
            wait = error.retry_after or self._backoff(state.throttled)
            self.pace.rate_limited_at(permit, wait)
            return wait
        if error.reason not in RETRYABLE:
            return None
        state.failures += 1
        never = not self._answered and error.reason in ("not_json", "connection")
        if state.failures < (min(config.tries, config.first_tries) if never else config.tries):
            return max(error.retry_after or 0.0, self._backoff(state.failures))
        self._exhausted += 1
        if never or self._exhausted >= config.give_up_after:
            reason: Reason = "wrong_endpoint" if error.reason == "not_json" else error.reason
            self.fatal = self.fatal or LLMError(reason, error.detail, status=error.status)
        return None

    def _backoff(self, failures: int) -> float:
        base = self.config.backoff_base
        return min(self.config.backoff_max, base * 2.0 ** min(failures - 1, 30) + base * random.random())

    async def _failed(self, state: _State, error: LLMError, wait: float | None) -> None:
        owed = error.sent and error.billed
        # What concerns every request is not this one's failure: it is sent again once the cause is mended.
        given_up: Outcome = "cancelled" if _concerns_all(error) else "failed"
        outcome: Outcome = "retry" if wait is not None else given_up
        await self._settle(
            state,
            outcome,
            cost=state.reserve if owed else 0,
            basis="worst_case" if owed else "nothing",
            sent=error.sent,
            error=error,
        )
        if wait is None:
            raise error
        state.error, state.wait = error, wait
        self._between += 1

    async def _settle(
        self,
        state: _State,
        outcome: Outcome,
        *,
        cost: int,
        basis: Basis,
        sent: bool = True,
        answer: Answer | None = None,
        error: LLMError | None = None,
    ) -> None:
        """Settle durably, even when cancelled meanwhile; the cancellation is raised afterwards."""
        settlement = Settlement(
            request=state.request,
            outcome=outcome,
            tries=state.sent,
            reserved_nano=state.reserve,
            cost_nano=cost,
            basis=basis,
            sent=sent,
            latency_ms=round((time.monotonic() - state.started) * 1000) if sent else None,
            answer=answer,
            error=error,
        )
        try:
            _, cancelled = await _to_the_end(self.ledger.settle(settlement))
        finally:
            self._closed_one()
        if cancelled is not None:
            raise cancelled

    def _closed_one(self) -> None:
        self.open_reservations -= 1
        self._settled.set()

    def _raise_fatal(self) -> None:
        if self.fatal is not None:
            raise LLMError(self.fatal.reason, self.fatal.detail, sent=False, billed=False)


@dataclass(slots=True)
class _State:
    """What one call has been through."""

    request: Request
    reserve: int
    on_event: OnEvent | None
    sent: int = 0
    failures: int = 0
    throttled: int = 0
    plain: bool = False
    """Sent again without what the answer does not depend on."""
    started: float = 0.0
    first: float | None = None
    error: LLMError | None = None
    wait: float = 0.0


def _concerns_all(error: LLMError) -> bool:
    """Whether every request would meet this error: a wrong key, no such model, a refused sampling parameter."""
    return error.reason in FATAL or (error.reason == "bad_request" and error.parameter in PARAMETERS)


async def _to_the_end(writing: Awaitable[T]) -> tuple[T, asyncio.CancelledError | None]:
    """Await a durable write to its end whatever happens; a cancellation meanwhile is handed back."""
    task = asyncio.ensure_future(writing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    return task.result(), cancelled
