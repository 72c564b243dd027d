"""A run that plays given events, for tests of the flight deck that need a certain picture or a flood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from claif_tui.core.events import (
    CallFailed,
    CallStarted,
    Event,
    Finished,
    PairGenerated,
    PairScored,
    Progress,
    TokenArrived,
)


class ScriptedRun:
    """Plays ``before``, then waits for ``stop``, then ends; notes how it was steered."""

    def __init__(self, before: Sequence[Event], progress: Progress) -> None:
        self._before = before
        self._last = progress
        self._end = asyncio.Event()
        self.steered: list[str] = []
        self.played = False

    async def events(self) -> AsyncIterator[Event]:
        for event in self._before:
            yield event
        self.played = True
        yield self._last
        await self._end.wait()
        yield Finished(state="stopped", message="12 of 18 planned pairs are open.", progress=self._last)

    def pause(self) -> None:
        self.steered.append("pause")

    def resume(self) -> None:
        self.steered.append("resume")

    def stop(self) -> None:
        self.steered.append("stop")
        self._end.set()


def item(n: int, text_a: str, text_b: str, rate: float, score: float | None) -> Iterator[Event]:
    """All events of one planned pair: streamed in pieces, landed, scored."""
    yield CallStarted(
        key=f"g{n}", stage="generate", seed_id=n, title=f"{rate}", rate=rate, text=f"{text_a} <mask>"
    )
    for word in text_b.split(" "):
        yield TokenArrived(key=f"g{n}", text=f"{word} ")
    yield PairGenerated(
        key=f"g{n}",
        pair_id=n,
        seed_id=n,
        title=f"{rate}",
        rate=rate,
        text_a=text_a,
        text_b=text_b,
        answer_class="ok",
    )
    if score is None:
        yield CallFailed(
            key=f"s{n}",
            stage="score",
            seed_id=n,
            title=f"{rate}",
            rate=rate,
            reason="unparsed",
            detail=text_b,
            final=True,
        )
        return
    yield CallStarted(
        key=f"s{n}", stage="score", seed_id=n, title=f"{rate}", rate=rate, text=f"{text_a} ⟷ {text_b}"
    )
    yield PairScored(
        key=f"s{n}", pair_id=n, seed_id=n, title=f"{rate}", rate=rate, text_a=text_a, text_b=text_b, score=score
    )


def flight(count: int) -> list[Event]:
    """A run of ``count`` pairs over nine rates, and one answer still streaming."""
    events: list[Event] = []
    for n in range(1, count + 1):
        rate = n % 9 / 10
        score = max(0.0, min(1.0, 0.95 - rate + (n % 5) / 20))
        events += item(n, f"seed sentence number {n} .", f"generated sentence number {n} .", rate, score)
    events.append(
        CallStarted(key="last", stage="generate", seed_id=0, title="0.3", rate=0.3, text="three <mask> chess .")
    )
    events.append(TokenArrived(key="last", text="three men are pl"))
    return events


def progress(**changes: object) -> Progress:
    """Figures as in the middle of a large run."""
    figures: dict[str, object] = {
        "planned": 94_662,
        "answered": 57_731,
        "failed": {"unparsed": 12},
        "calls": 115_500,
        "per_second": 288.0,
        "eta_seconds": 128.0,
        "in_flight": 64,
        "limit": 64,
        "rate_limited": 3,
        "troubles": {"rate_limited": 3, "cut_off": 1},
        "spent_nano": 1_620_000_000,
        "cap_nano": 5_000_000_000,
    }
    return Progress(**(figures | changes))  # type: ignore[arg-type]
