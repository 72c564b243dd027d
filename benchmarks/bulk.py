"""How long a bulk load takes until the pairs are indexed and searchable, and a bulk decision and its undo after it.

``python -m benchmarks.bulk`` loads 1.2 million made-up scored pairs (a seeded generator) into a new project in a
temporary folder, while a second process reads, then accepts them all with one decision and undoes it.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

from claif_tui.core.models import NewPair, NewScore, PairQuery
from claif_tui.core.store.bulk import BulkLoader
from claif_tui.core.store.store import Store

PAIRS = 1_200_000


def sentences(count: int, seed: int = 1) -> list[str]:
    """Made-up sentences of 5 to 20 words, word frequencies as in text (Zipf)."""
    rng = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(5, 20))) + " ." for _ in range(count)
    ]


def made_up(count: int, seed: int = 1) -> Iterator[NewPair]:
    """Pairs as an import brings them: nine to an original, a mask rate, a score that falls with it."""
    rng = random.Random(seed)
    texts = sentences(60_000, seed)
    for number in range(count):
        rate = number % 9 / 10
        score = round(min(1.0, max(0.0, rng.gauss(0.85 - rate * 0.7, 0.15))), 2)
        yield NewPair(
            system="claif",
            model="made-up",
            text_a=texts[number // 9 % len(texts)],
            generated=texts[rng.randrange(len(texts))],
            rate=rate,
            line=number + 1,
            score=NewScore(score=score, raw=f"{score:.2f}", scale="0-1"),
        )


def load(store: Store, count: int) -> None:
    """Load ``count`` made-up pairs as one source."""

    def begin(conn: object) -> int:
        return store.sources.begin(
            conn,  # type: ignore[arg-type]
            path="made-up.csv",
            role="pairs",
            format="csv",
            split="train",
            sha256="0" * 64,
        )

    source_id = store.write(begin)
    BulkLoader(store).load(source_id, made_up(count))


def watch(folder: str, stop: Event, worst: multiprocessing.Queue[float]) -> None:
    """Read a first page and the counts again and again; report the slowest reading in seconds."""
    slowest = 0.0
    with Store.open(Path(folder)) as store:
        while not stop.wait(0.2):
            start = time.perf_counter()
            store.pairs.first(PairQuery(filter="status = pending", sort="score"), 50)
            store.pairs.counts()
            slowest = max(slowest, time.perf_counter() - start)
    worst.put(slowest)


def peak_mb() -> float:
    """This process's peak memory in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    args = parser.parse_args()
    making = time.perf_counter()
    for _ in made_up(args.pairs):
        pass
    making = time.perf_counter() - making
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder) / "p") as store:
        context = multiprocessing.get_context("spawn")
        stop, worst = context.Event(), context.Queue()
        reader = context.Process(target=watch, args=(str(store.folder), stop, worst))
        reader.start()
        start, cpu = time.perf_counter(), time.process_time()
        load(store, args.pairs)
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        stop.set()
        slowest = worst.get()
        reader.join()
        size = sum(part.stat().st_size for part in store.folder.glob("claif.db*")) / 1e6
        print(
            f"bulk load of {args.pairs:,} pairs  {took:8.1f} s   budget 45 s ({making:.1f} s of it make the data up)"
        )
        print(f"  CPU                         {cpu:8.1f} s   the least it can take on an idle machine")
        print(f"  database                    {size:8.0f} MB")
        print(f"  another process meanwhile   {slowest * 1000:8.0f} ms  slowest first page and counts")
        start = time.perf_counter()
        decision = store.decisions.decide(PairQuery(), "accept")
        print(f"accept {decision.count:,} pairs       {time.perf_counter() - start:8.2f} s   budget 5 s")
        start = time.perf_counter()
        store.decisions.undo()
        print(f"undo it                       {time.perf_counter() - start:8.2f} s   budget 5 s")
        half = PairQuery(filter="score >= 0.5")
        start = time.perf_counter()
        decision = store.decisions.decide(half, "reject")
        print(f"reject {decision.count:,} scattered   {time.perf_counter() - start:8.2f} s   budget 5 s")
        start = time.perf_counter()
        store.decisions.undo()
        print(f"undo it                       {time.perf_counter() - start:8.2f} s   budget 5 s")
    print(f"peak memory                   {peak_mb():8.0f} MB  budget 300 MB")


if __name__ == "__main__":
    main()
