"""The whole pipeline against a slow loopback endpoint: rate kept, CPU a request, store writes included.

``python -m benchmarks.pipeline [SECONDS]``: 64 requests in flight, 200 ms a request, in chat form, without and
with streaming. The ideal is 320 requests a second.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

from claif_tui.core.desk import Desk
from claif_tui.core.events import CallStarted, Progress
from claif_tui.core.llm.http_client import HttpClient
from claif_tui.core.llm.pace import Pace
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from tests.core.test_pipeline import fill
from tests.llm_fixtures import LLMServer

IN_FLIGHT = 64
LATENCY = 0.2
WARM_UP = 2.0


async def measure(folder: Path, streaming: bool, seconds: float) -> tuple[float, float]:
    """Return (requests a second, CPU milliseconds a request) of a run, after its first seconds."""
    server = LLMServer(folder / "log", [], {"latency": LATENCY})
    with Store.create(folder / "p") as store:
        fill(store, [f"the number {n} stands in a sentence of its own , like {n * n} ." for n in range(4000)])
        desk = Desk(store, HttpClient(server.base_url, streaming=streaming), price=None, pace=Pace(IN_FLIGHT))
        run = Generation(store, Recipe(profile="bench", model="tiny"), RunOptions(), desk)
        began = cpu = 0.0
        calls = 0
        rate = cost = 0.0
        start = time.perf_counter()
        async for event in run.events():
            now = time.perf_counter()
            if isinstance(event, CallStarted):
                calls += 1
            if not isinstance(event, Progress):
                continue
            if not began and now - start > WARM_UP:
                began, cpu, calls = now, _cpu(), 0
            elif began and now - began > seconds and not rate:
                rate, cost = calls / (now - began), 1000 * (_cpu() - cpu) / max(1, calls)
                run.stop()
    server.stop()
    return rate, cost


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print both figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    ideal = IN_FLIGHT / LATENCY
    for streaming in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            rate, cost = asyncio.run(measure(Path(folder), streaming, seconds))
        kind = "streaming" if streaming else "non-streaming"
        print(
            f"pipeline, {kind}: {rate:.0f}/s = {100 * rate / ideal:.1f} % of ideal, {cost:.2f} ms CPU a request"
        )


if __name__ == "__main__":
    main()
