"""Requests, a ledger with a cap, and a clock that jumps: what the tests of the LLM client share."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from claif_tui.core.llm.base import Answer, Api, Delta, LLMClient, LLMError, Request, Sampling, Task
from claif_tui.core.llm.budget import Settlement

T = TypeVar("T")
FILL = "Replace all <mask> tokens in 'a man <mask> a flute .' to make a new sentence. The new sentence is:"


def request(
    prompt: str = FILL,
    *,
    api: Api = "chat",
    model: str = "test-model",
    max_tokens: int | None = 64,
    temperature: float | None = 0.7,
    stop: tuple[str, ...] = (),
    key: str = "",
) -> Request:
    return Request(
        key=key or prompt,
        stage="generate",
        model=model,
        api=api,
        messages=(("user", prompt),),
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens, stop=stop),
        task=Task(op="free", text=prompt),
    )


async def ask(client: LLMClient, wanted: Request) -> tuple[Answer, list[Delta]]:
    """Send one request; return the answer and the deltas before it."""
    items = [item async for item in client.stream(wanted)]
    answer = items.pop()
    assert isinstance(answer, Answer)
    return answer, [item for item in items if isinstance(item, Delta)]


async def failure(client: LLMClient, wanted: Request) -> LLMError:
    """Send one request that must fail."""
    try:
        answer, _ = await ask(client, wanted)
    except LLMError as error:
        return error
    raise AssertionError(f"no error but {answer}")


class MemoryLedger:
    """A ledger as the caller sees it, in memory: spent plus reserved never passes the cap."""

    def __init__(self, cap: int | None = None) -> None:
        self.cap = cap
        self.spent = 0
        self.reserved: dict[str, int] = {}
        self.peak = 0
        self.asked = 0
        self.settled: list[Settlement] = []

    async def reserve(self, request: Request, nano: int, tries: int) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        if self.cap is not None and self.spent + sum(self.reserved.values()) + nano > self.cap:
            return False
        assert request.key not in self.reserved, "reserved twice"
        self.reserved[request.key] = nano
        self.peak = max(self.peak, self.spent + sum(self.reserved.values()))
        return True

    async def settle(self, settlement: Settlement) -> None:
        await asyncio.sleep(0)
        assert self.reserved.pop(settlement.request.key) == settlement.reserved_nano
        self.spent += settlement.cost_nano
        self.settled.append(settlement)

    def outcomes(self) -> list[str]:
        return [settlement.outcome for settlement in self.settled]


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: an idle loop's clock jumps to its next timer. As with a real clock, no two rounds are equal."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        self.now += 1e-7 if ready else max(timeout or 0.0, 1e-7)
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_no_time(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that uses timers only; hours pass at once, in exact order."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(work)
