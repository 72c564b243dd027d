"""Whether the app stays smooth while answers stream in: 500 events a second on the flight deck.

``python -m benchmarks.ui_stream`` plays a made-up run (tokens, pairs, scores) at a steady pace and measures two
things meanwhile: how late a timer on the same event loop fires, and how long a key takes until its effect is painted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

from benchmarks.bulk import peak_mb
from benchmarks.ui_review import SIZE, Watched, key, line
from claif_tui.core.events import (
    CallStarted,
    Event,
    Finished,
    PairGenerated,
    PairScored,
    Progress,
    TokenArrived,
)
from claif_tui.core.store.store import Store
from claif_tui.ui.screens.generate import GenerateScreen
from claif_tui.ui.screens.generate_job import GenerateJob

PROBE_SECONDS = 0.02
LATE_MS = 20.0
"""A probe that comes this late would be felt."""


def made_up() -> Iterator[Event]:
    """An endless run: nine rates, eight words an answer, each scored."""
    for n in count(1):
        rate, text_a = n % 9 / 10, f"this is the made-up seed sentence number {n} ."
        words = f"here is another sentence with number {n} .".split(" ")
        yield CallStarted(key=f"g{n}", stage="generate", seed_id=n, rate=rate, text=f"this <mask> number {n}")
        for word in words:
            yield TokenArrived(key=f"g{n}", text=f"{word} ")
        text_b = " ".join(words)
        yield PairGenerated(
            key=f"g{n}", pair_id=n, seed_id=n, rate=rate, text_a=text_a, text_b=text_b, answer_class="ok"
        )
        yield CallStarted(key=f"s{n}", stage="score", seed_id=n, rate=rate, text=f"{text_a} ⟷ {text_b}")
        yield PairScored(
            key=f"s{n}", pair_id=n, seed_id=n, rate=rate, text_a=text_a, text_b=text_b, score=n % 101 / 100
        )


class PacedRun:
    """Plays events at ``per_second`` for ``seconds``."""

    def __init__(self, per_second: int, seconds: float) -> None:
        self._per_second, self._seconds = per_second, seconds
        self.played = 0

    async def events(self) -> AsyncIterator[Event]:
        """Events in small bursts, as a socket brings them, and progress four times a second."""
        events, start, told = made_up(), time.perf_counter(), 0.0
        while (now := time.perf_counter() - start) < self._seconds:
            while self.played < now * self._per_second:
                self.played += 1
                yield next(events)
            if now - told > 0.25:
                told = now
                yield self._progress()
            await asyncio.sleep(0.005)
        yield Finished(state="finished", message="", progress=self._progress())

    def _progress(self) -> Progress:
        return Progress(planned=100_000, answered=self.played // 12, per_second=80.0, in_flight=64, limit=64)

    def pause(self) -> None:
        """Not steered here."""

    resume = stop = pause


async def probe(lateness: list[float]) -> None:
    """Note how late a timer fires, in milliseconds, again and again."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(PROBE_SECONDS)
        lateness.append((time.perf_counter() - start - PROBE_SECONDS) * 1000)


async def fly(folder: Path, per_second: int, seconds: float) -> None:
    """Fly one run and print how it felt; 0 events a second gives the ground to compare with."""
    app = Watched(folder)
    async with app.run_test(size=SIZE) as pilot:
        while app.store is None:
            await pilot.pause(0.01)
        await app.action_go("generate")
        await pilot.pause(1.0)
        screen = app.screen
        assert isinstance(screen, GenerateScreen)
        run = PacedRun(per_second, seconds)
        job = GenerateJob(run, app.store)
        app.jobs.start(job)
        screen.adopt(job)
        await pilot.pause(1.0)
        lateness: list[float] = []
        probing = asyncio.create_task(probe(lateness))
        begun = time.process_time(), time.perf_counter()
        times = []
        rows = screen.query_one("#landed")
        while app.jobs.live():
            if per_second:
                before = rows.cursor  # type: ignore[attr-defined]
                times.append(await key(app, "j", lambda before=before: rows.cursor != before))  # type: ignore[attr-defined,misc]
            await asyncio.sleep(0.1)
        probing.cancel()
        cpu, wall = time.process_time() - begun[0], time.perf_counter() - begun[1]
    late = sum(value > LATE_MS for value in lateness) / max(1, len(lateness))
    print(f"\n{run.played:,} events, {per_second} a second; {cpu / wall:.0%} of one core; {peak_mb():.0f} MB")
    line("a timer on the event loop is late by", lateness)
    print(f"{f'timers more than {LATE_MS:g} ms late':44}{late:9.1%}")
    if times:
        line("j in the landed list, until painted", times, 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500, help="events a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    print(f"{'milliseconds':44}{'median':>9}{'p95':>9}{'worst':>9}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "p"
        with Store.create(folder) as store:
            source = store.write(
                lambda conn: store.sources.begin(
                    conn, path="seeds", role="seeds", format="text", split="train", sha256="0" * 64
                )
            )
            store.write(lambda conn: store.seeds.add_batch(conn, source, "train", [("a seed .", 1)]))
        asyncio.run(fly(folder, 0, args.seconds / 2))
        asyncio.run(fly(folder, args.events, args.seconds))


if __name__ == "__main__":
    main()
