"""Counting a run and handing its events over: the tally behind ``Progress`` and the stream they pull."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import monotonic

from claif_tui.core.events import CallFailed, CallStarted, Event, Progress, TokenArrived, Unit

BACKLOG_EVENTS = 20_000
"""Events kept for a slow reader; beyond it pieces of streaming answers are left out, facts never are."""
PROGRESS_SECONDS = 0.25
WINDOW_SECONDS = 10.0
"""Over how long speed is measured."""


@dataclass(slots=True)
class Tally:
    """The running counts of one run. ``failed`` counts planned pairs, ``troubles`` tries."""

    planned: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    paused: bool = False
    unit: Unit = "pairs"
    _calls_at: deque[tuple[float, int, int]] = field(default_factory=deque)

    def note(self, event: Event) -> None:
        """Count what an event says about calls and their troubles."""
        if isinstance(event, CallStarted):
            self.calls += 1
        elif isinstance(event, CallFailed) and not event.final:
            self.troubles[event.reason] += 1

    def progress(
        self,
        *,
        in_flight: int,
        limit: int,
        held_by_cap: bool,
        spent_nano: int,
        reserved_nano: int,
        cap_nano: int | None,
    ) -> Progress:
        """Return the counts as they stand, with speed and time left measured over the last seconds."""
        calls_a_second, items_a_second = self._speed()
        failed = {reason: count for reason, count in sorted(self.failed.items()) if count > 0}
        left = max(0, self.planned - self.answered - sum(failed.values()))
        return Progress(
            planned=self.planned,
            answered=self.answered,
            failed=failed,
            calls=self.calls,
            per_second=calls_a_second,
            eta_seconds=left / items_a_second if items_a_second > 0 and not self.paused else None,
            in_flight=in_flight,
            limit=limit,
            held_by_cap=held_by_cap,
            rate_limited=self.troubles["rate_limited"],
            troubles=dict(sorted(self.troubles.items())),
            spent_nano=spent_nano,
            reserved_nano=reserved_nano,
            cap_nano=cap_nano,
            paused=self.paused,
            unit=self.unit,
        )

    def _speed(self) -> tuple[float, float]:
        now = monotonic()
        settled = self.answered + self.failed.total()
        window = self._calls_at
        window.append((now, self.calls, settled))
        while len(window) > 2 and now - window[0][0] > WINDOW_SECONDS:
            window.popleft()
        then, calls, before = window[0]
        span = now - then
        if span < PROGRESS_SECONDS / 2:
            return 0.0, 0.0
        return (self.calls - calls) / span, (settled - before) / span


class EventStream:
    """Events on their way from a run to its one reader, on one event loop."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event. When the reader lags far behind, pieces of answers are dropped, never facts."""
        if len(self._events) > BACKLOG_EVENTS and isinstance(event, TokenArrived | CallStarted):
            return
        if len(self._events) > BACKLOG_EVENTS and isinstance(event, CallFailed) and not event.final:
            return
        self._events.append(event)
        self._wake.set()

    async def until(self, work: asyncio.Task[None], progress: Callable[[], Progress]) -> AsyncIterator[Event]:
        """Yield events until ``work`` is over and all are handed out; ``Progress`` four times a second."""
        work.add_done_callback(lambda _: self._wake.set())
        told = monotonic()
        while True:
            while self._events:
                yield self._events.popleft()
            if work.done() and not self._events:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.0, told + PROGRESS_SECONDS - monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            if monotonic() - told >= PROGRESS_SECONDS:
                told = monotonic()
                yield progress()
