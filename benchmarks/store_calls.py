"""What keeping calls and money costs: rate and CPU with the store against the same loop without it.

``python -m benchmarks.store_calls`` keeps 64 calls in flight that "take" 200 ms each, once bare and once with a
durable reservation before and a durable answer after each, alternating, and prints the rate as a share of
the bare one and the CPU time that the store adds per call.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from claif_tui.core.models import NewCall
from claif_tui.core.store.store import Store

IN_FLIGHT = 64
LATENCY = 0.2
PROMPT = '[["user","' + "Replace all <mask> tokens in this sentence to make a new one. " * 8 + '"]]'


@dataclass(frozen=True, slots=True)
class Result:
    """Calls per second, and CPU milliseconds per call."""

    rate: float
    cpu_ms: float


def _call(key: str, run_id: int) -> NewCall:
    return NewCall(
        key=key,
        stage="generate",
        recipe_id="r",
        run_id=run_id,
        seed_id=1,
        pair_id=None,
        rate=0.1,
        occurrence=0,
        attempt=0,
        profile="p",
        model="m",
        api="chat",
        prompt=PROMPT,
        params="{}",
        reserve_nano=100,
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _measure(store: Store | None, run_id: int, calls: int, prefix: str) -> Result:
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            key = f"{prefix}{number:060x}"
            if store is not None:
                await store.calls.reserve(_call(key, run_id), 10**15)
            await asyncio.sleep(LATENCY)
            if store is not None:
                await store.calls.answer(key, raw="three players are playing basketball .", cost_nano=70)

    wall, cpu = time.perf_counter(), _cpu()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return Result(calls / (time.perf_counter() - wall), (_cpu() - cpu) / calls * 1000)


def main() -> None:
    """Run three alternating rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1920, help="calls per round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    shares, added = [], []
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder) / "p") as store:
        run = store.runs.start("generate", None, "p", "m", {})
        for number in range(args.rounds):
            bare = asyncio.run(_measure(None, run.id, args.calls, ""))
            kept = asyncio.run(_measure(store, run.id, args.calls, f"{number:04x}"))
            shares.append(kept.rate / bare.rate)
            added.append(kept.cpu_ms - bare.cpu_ms)
    print(f"store: {median(shares):.1%} of the bare rate, {median(added):.3f} ms CPU added per call")


if __name__ == "__main__":
    main()
