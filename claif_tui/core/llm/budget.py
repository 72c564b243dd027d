"""What a request can cost at worst and did cost in the end; and what the caller asks of the ledger.

No storage: the ledger itself (spent, reserved, cap) lives in the project's database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from claif_tui.core.errors import BudgetError
from claif_tui.core.llm.base import Answer, LLMError, Price, Request
from claif_tui.core.llm.prices import nano
from claif_tui.core.models import NANO

_OVERHEAD = 64
"""Tokens a chat template may add around a conversation (system header, dates)."""
_PER_MESSAGE = 8
"""... and around each message, or around a text that is embedded."""
_TAIL = 8
"""Tokens that end an answer and are counted, but not seen."""

_UNBOUNDED = 4096
"""What an answer without ``max_tokens`` is taken for; only where no cap is set."""

Outcome = Literal["answered", "failed", "retry", "cancelled"]
Basis = Literal["usage", "bound", "worst_case", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How one try ended, and what is owed for it.

    ``outcome``: answered (``answer`` is set); failed (``error``, no further try); retry (``error``, another
    try follows under the same key); cancelled (stopped on purpose: to be sent again later). ``tries`` counts
    every time the request was sent, from 1. ``basis`` says where ``cost_nano`` comes from: the server's own
    usage, a bound on the answer's bytes because no usage was reported, the worst case, or nothing is owed.
    A key may be settled several times; its costs add up.
    """

    request: Request
    outcome: Outcome
    tries: int
    reserved_nano: int
    cost_nano: int
    basis: Basis
    sent: bool
    latency_ms: int | None = None
    answer: Answer | None = None
    error: LLMError | None = None


class Ledger(Protocol):
    """Money and journal of the tries, kept durably by someone else. One await per write."""

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        """Put ``nano`` aside before try number ``tries`` is sent; durable when this returns.

        False: it does not fit under the cap beside what is spent and reserved now. Spent plus reserved must
        never exceed the cap, whoever asks at the same time.
        """

    async def settle(self, settlement: Settlement) -> None:
        """End a reservation: book the cost, keep the answer or error; durable when this returns."""


EXPOSED_SHARE = 25
"""One part in so many of a cap may be open at once: a kill wastes 4 % of it at most, or one request if that is more."""


class Exposure:
    """How much money is open at once: reservations whose cost is not known yet.

    A kill turns every open reservation into spent money, at its worst case, which is mostly many times what an
    answer costs. With a cap that is small beside one round of requests in flight, a kill would so eat most of
    it; then fewer are let go at once. That costs little: what such a cap buys is soon asked, whatever the
    concurrency. Waiters go in order. Without a cap nobody waits.
    """

    def __init__(self, cap_nano: int | None) -> None:
        self._limit = None if cap_nano is None else cap_nano // EXPOSED_SHARE
        self._open = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether a request waits for room."""
        return self._turn.locked()

    @asynccontextmanager
    async def held(self, nano: int) -> AsyncIterator[None]:
        """Hold ``nano`` open within the block; waits for room. One request may always go, whatever it costs."""
        if self._limit is not None and nano:
            async with self._turn:
                while self._open and self._open + nano > self._limit:
                    self._freed.clear()
                    await self._freed.wait()
                self._open += nano
        else:
            self._open += nano
        try:
            yield
        finally:
            self._open -= nano
            self._freed.set()


def prompt_bound(request: Request) -> int:
    """Return a bound on the prompt's tokens: a token holds at least one byte of UTF-8; plus the template's."""
    size = sum(len(content.encode("utf-8", "surrogatepass")) for _, content in request.messages)
    if request.api == "completions":
        return size + _PER_MESSAGE
    if request.api == "embeddings":
        return size + _PER_MESSAGE * len(request.messages)
    return size + _OVERHEAD + _PER_MESSAGE * len(request.messages)


def worst_case_nano(request: Request, price: Price | None) -> int:
    """Return the most a request can cost, in nano-dollars; 0 when the price is unknown.

    It is a true bound wherever ``require_bound`` lets a run start with a cap.
    """
    if price is None or not (price.input_usd_per_m or price.output_usd_per_m):
        return 0
    limit = request.sampling.max_tokens
    return nano(price, prompt_bound(request), (_UNBOUNDED if limit is None else limit) + _TAIL)


def actual_nano(request: Request, answer: Answer, price: Price | None) -> tuple[int, Basis]:
    """Return what an answer cost and where the figure comes from.

    Without reported usage every byte of the answer counts as a token, up to ``max_tokens``.
    """
    if price is None:
        return 0, "usage"
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        return nano(price, answer.prompt_tokens, answer.completion_tokens), "usage"
    size = len((answer.text + answer.reasoning).encode("utf-8", "surrogatepass"))
    limit = request.sampling.max_tokens
    bound = size + _TAIL if limit is None else min(limit, size) + _TAIL
    return nano(price, prompt_bound(request), bound), "bound"


def require_bound(price: Price | None, cap_nano: int | None, model: str, max_tokens: int | None) -> None:
    """Raise ``BudgetError`` when a cap is set that could not be kept: no known price, or no ``max_tokens``."""
    if cap_nano is None:
        return
    if price is None:
        raise BudgetError(
            f"a budget is set, but the price of {model!r} is unknown",
            "Give --price-in and --price-out (dollars per million tokens; 0 if it is free), or drop --budget.",
        )
    if max_tokens is None and (price.input_usd_per_m or price.output_usd_per_m):
        raise BudgetError(
            "a budget is set, but no max_tokens is sent, so an answer has no upper price",
            "Set max_tokens in the recipe, or drop --budget.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A range for what a number of calls will take. Dollars are None when the price is unknown."""

    calls: int
    tokens_in: tuple[int, int]
    tokens_out: tuple[int, int]
    usd: tuple[float, float] | None
    worst_usd: float | None
    """What the reservations would add up to; no run costs more."""


def estimate(sample: Iterable[Request], calls: int, price: Price | None) -> Estimate:
    """Return the estimate for ``calls`` requests like those of ``sample`` (a few dozen are enough).

    English has 3 to 5 bytes a token. Answers are judged by task: a sentence about as long as the given one,
    a score between a bare number and a short reason. Hidden reasoning is in the worst case only.
    """
    low_in = high_in = low_out = high_out = worst = count = 0
    for request in sample:
        count += 1
        size = prompt_bound(request)
        low_in += size // 5
        high_in += size // 3
        low, high = _answer_tokens(request)
        low_out += low
        high_out += high
        worst += worst_case_nano(request, price)
    if not calls:
        nothing = None if price is None else (0.0, 0.0)
        worst_usd = None if price is None else 0.0
        return Estimate(calls=0, tokens_in=(0, 0), tokens_out=(0, 0), usd=nothing, worst_usd=worst_usd)
    if not count:
        return Estimate(calls=calls, tokens_in=(0, 0), tokens_out=(0, 0), usd=None, worst_usd=None)

    def scaled(total: int) -> int:
        return -(-total * calls // count)

    tokens_in, tokens_out = (scaled(low_in), scaled(high_in)), (scaled(low_out), scaled(high_out))
    if price is None:
        return Estimate(calls=calls, tokens_in=tokens_in, tokens_out=tokens_out, usd=None, worst_usd=None)
    usd = tuple(nano(price, i, o) / NANO for i, o in zip(tokens_in, tokens_out, strict=True))
    return Estimate(
        calls=calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=(usd[0], usd[1]),
        worst_usd=scaled(worst) / NANO,
    )


def add(one: Estimate, other: Estimate) -> Estimate:
    """Return the estimate for both; dollars are unknown where those of one are."""
    usd = worst = None
    if one.usd is not None and other.usd is not None:
        usd = (one.usd[0] + other.usd[0], one.usd[1] + other.usd[1])
    if one.worst_usd is not None and other.worst_usd is not None:
        worst = one.worst_usd + other.worst_usd
    return Estimate(
        calls=one.calls + other.calls,
        tokens_in=(one.tokens_in[0] + other.tokens_in[0], one.tokens_in[1] + other.tokens_in[1]),
        tokens_out=(one.tokens_out[0] + other.tokens_out[0], one.tokens_out[1] + other.tokens_out[1]),
        usd=usd,
        worst_usd=worst,
    )


def _answer_tokens(request: Request) -> tuple[int, int]:
    if request.task.op == "score":
        low, high = 3, 90
    elif request.task.op == "sentences":
        low, high = 8 * request.task.count, 40 * request.task.count
    else:
        size = len(request.task.text.encode("utf-8", "surrogatepass"))
        low, high = size // 6 + 1, size // 2 + 16
    limit = request.sampling.max_tokens
    return (low, high) if limit is None else (min(low, limit), min(high, limit))
