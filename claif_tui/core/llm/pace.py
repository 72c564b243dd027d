"""How fast requests may go out: adaptive concurrency, requests and tokens a minute, and the server's own waits.

No money, no retries. One ``Pace`` serves all calls to one endpoint, on one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

START = 32
_SMOOTH = 0.1
_STEADY = 3.0
"""Latency may grow to this many times its best before the limit stops growing."""
_SLACK_S = 0.25
"""... and differences below this many seconds are noise."""
_SHRINK = 3.0
"""Past ``_STEADY`` times this the limit goes down."""
_DRIFT = 1.0005
_NOTHING = 1e-9
_WINDOW_S = 5.0
"""Burst allowed by the minute limits, in seconds' worth."""


class Bucket:
    """At most ``per_minute`` units in any minute, its first burst included; first come, first served.

    What was taken can be corrected afterwards, which is why this is not a library's limiter: tokens are known
    only when the answer is there.
    """

    def __init__(self, per_minute: int) -> None:
        if per_minute < 1:
            raise ValueError("a limit per minute must be at least 1")
        self._burst = max(1.0, per_minute * _WINDOW_S / 60)
        steady = per_minute - self._burst if self._burst > 1 else per_minute
        self._rate = steady / 60
        self._level = 0.0
        self._checked = 0.0
        self._turn = asyncio.Lock()

    async def take(self, amount: float) -> None:
        """Wait until ``amount`` fits, and take it. More than a whole burst waits for an empty bucket."""
        async with self._turn:
            while (over := self._drained() + min(amount, self._burst) - self._burst) > _NOTHING:  # noqa: ASYNC110 (time passes by itself)
                await asyncio.sleep(over / self._rate)
            self._level += amount

    def correct(self, difference: float) -> None:
        """Add to what was taken (or give back, if negative) once the truth is known."""
        self._level = max(0.0, self._drained() + difference)

    def _drained(self) -> float:
        now = asyncio.get_running_loop().time()
        self._level = max(0.0, self._level - (now - self._checked) * self._rate)
        self._checked = now
        return self._level


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request; ``era`` tells a 429 of before the last halving from one after it."""

    era: int
    sent_at: float
    tokens: int


class Pace:
    """Grows fast while answers come as quickly as at first, halves on a 429, waits when the server says so.

    Growth: one more request in flight per good answer (so the limit doubles per round trip) until the first
    429; after it, one per round. ``limit`` and ``in_flight`` may be read at any time for a screen.
    """

    def __init__(self, maximum: int = 64, *, rpm: int | None = None, tpm: int | None = None) -> None:
        if maximum < 1:
            raise ValueError("maximum must be at least 1")
        self.maximum = maximum
        self.in_flight = 0
        self.rate_limited = 0
        """429s so far."""
        self.wait_until = 0.0
        """Loop time before which nothing is sent, because the server asked for it."""
        self._limit = float(min(maximum, START))
        self._doubling = True
        self._era = 0
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._latency: dict[str, tuple[float, float]] = {}
        self._shrunk_at = 0.0
        self._requests = None if rpm is None else Bucket(rpm)
        self._tokens = None if tpm is None else Bucket(tpm)
        self._answer_tokens: float | None = None

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return int(self._limit)

    def set_maximum(self, maximum: int) -> None:
        """Change the ceiling while running; what is in flight stays."""
        self.maximum = max(1, maximum)
        self._limit = min(self._limit, float(self.maximum))
        self._wake()

    async def acquire(self, prompt_tokens: int = 0, max_tokens: int = 0) -> Permit:
        """Wait for leave to send one request; every permit is given back by exactly one ``release``.

        The token figures (estimates) matter only under a tokens-per-minute limit.
        """
        await self._slot()
        try:
            await self._pause()
            if self._requests is not None:
                await self._requests.take(1)
            tokens = 0
            if self._tokens is not None:
                answer = max_tokens if self._answer_tokens is None else min(max_tokens, self._answer_tokens)
                tokens = int(prompt_tokens + answer)
                await self._tokens.take(tokens)
            await self._pause()
        except BaseException:
            self._give_back()
            raise
        self.in_flight += 1
        return Permit(self._era, asyncio.get_running_loop().time(), tokens)

    def release(
        self,
        permit: Permit,
        *,
        latency: float | None = None,
        kind: str = "",
        tokens: int | None = None,
        answer_tokens: int | None = None,
    ) -> None:
        """Give a permit back. A good answer says its ``latency`` in seconds and the tokens it took.

        Latencies are compared within one ``kind`` only: a score comes sooner than a sentence.
        """
        self.in_flight -= 1
        if tokens is not None and self._tokens is not None:
            self._tokens.correct(tokens - permit.tokens)
        if answer_tokens is not None:
            old = self._answer_tokens
            self._answer_tokens = answer_tokens if old is None else old + _SMOOTH * (answer_tokens - old)
        if latency is not None:
            self._good(latency, kind)
        self._give_back()

    def rate_limited_at(self, permit: Permit, wait: float) -> None:
        """Take note of a 429: halve the limit (once per era) and let nothing out for ``wait`` seconds."""
        self.rate_limited += 1
        self._doubling = False
        if permit.era == self._era:
            self._era += 1
            self._limit = max(1.0, min(self._limit, float(self.in_flight)) / 2)
        self.wait_until = max(self.wait_until, asyncio.get_running_loop().time() + wait)

    def _good(self, latency: float, kind: str) -> None:
        smooth, best = self._latency.get(kind, (latency, latency))
        smooth += _SMOOTH * (latency - smooth)
        # The best drifts up slowly, so that a server that became slower for good is accepted as it is.
        best = min(best * _DRIFT, smooth)
        self._latency[kind] = (smooth, best)
        now = asyncio.get_running_loop().time()
        if smooth > best * _STEADY * _SHRINK + _SLACK_S:
            if now - self._shrunk_at > smooth:
                self._shrunk_at = now
                self._limit = max(1.0, self._limit * 0.8)
        elif smooth <= best * _STEADY + _SLACK_S and self._held >= self.limit:
            self._limit = min(self.maximum, self._limit + (1.0 if self._doubling else 1.0 / self._limit))

    async def _slot(self) -> None:
        if self._held < self.limit and not self._waiting:
            self._held += 1
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._give_back()
            elif future in self._waiting:  # _wake may have thrown it out already
                self._waiting.remove(future)
            raise

    def _give_back(self) -> None:
        self._held -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._held < self.limit:
            future = self._waiting.popleft()
            if not future.done():
                self._held += 1
                future.set_result(None)

    async def _pause(self) -> None:
        clock = asyncio.get_running_loop().time
        until = clock()
        while until < self.wait_until:  # another 429 may have moved it meanwhile
            until = self.wait_until
            await asyncio.sleep(max(0.0, until - clock()))
