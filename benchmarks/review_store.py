"""What Review asks of the store on 1.2 million pairs, without the screen.

``python -m benchmarks.review_store`` makes the project up in a temporary folder (``--folder`` keeps and reuses it),
opens it in a fresh process and prints how long each question takes: median and worst of several runs.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.bulk import PAIRS, load, peak_mb
from claif_tui.core.models import PairQuery
from claif_tui.core.store.store import Store

ROUNDS = 5

PAGES: dict[str, PairQuery] = {
    "newest pending": PairQuery(filter="status = pending"),
    "all by score": PairQuery(sort="score", descending=True),
    "pending by score": PairQuery(filter="status = pending", sort="score"),
    "rejected by score (few)": PairQuery(filter="status = rejected", sort="score"),
    "by rate": PairQuery(sort="rate"),
    "by length": PairQuery(sort="length", descending=True),
    "by disagreement": PairQuery(sort="disagreement", descending=True),
    "score and rate and status": PairQuery(
        filter="score >= 0.2 and score < 0.8 and rate = 0.4 and status = pending"
    ),
    "no match, by score": PairQuery(filter="score > 0.5 and length > 500 or model = nobody", sort="score"),
    "no match, newest": PairQuery(filter="not (model = made-up) and status = pending"),
    "common word, newest": PairQuery(search="COMMON"),
    "common word, by score": PairQuery(search="COMMON", sort="score"),
    "rare word, by score": PairQuery(search="RARE", sort="score"),
    "two words, by length": PairQuery(search="COMMON RARE", sort="length"),
    "beginning of a word": PairQuery(search="RAR", sort="score"),
    "sign that is no word": PairQuery(search="."),
    "no such sign": PairQuery(search="☃"),
}


def timed(name: str, work: Callable[[], object], budget: str = "", rounds: int = ROUNDS) -> None:
    """Run ``work`` several times and print median and worst in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    print(f"{name:44}{median(times):9.1f}{max(times):9.1f}   {budget}")


def words(store: Store) -> dict[str, str]:
    """A frequent and a rare word of the project."""
    seen: dict[str, int] = {}
    for pair in store.pairs.many(range(1, 4000)):
        for word in pair.text_a.split():
            seen[word] = seen.get(word, 0) + 1
    ranked = sorted((word for word in seen if len(word) > 3), key=lambda word: -seen[word])
    return {"COMMON": ranked[0], "RARE": ranked[-1], "RAR": ranked[-1][:3]}


def ask(folder: Path) -> None:
    """Print the figures for the project in ``folder``."""
    start = time.perf_counter()
    store = Store.open(folder)
    store.pairs.first(PairQuery(filter="status = pending"), 200)
    counts = store.pairs.counts()
    opened = (time.perf_counter() - start) * 1000
    print(f"{counts.total:,} pairs{'':24}{'median':>14}{'worst':>9}   ms")
    print(f"{'open: project, first page, counts':44}{opened:9.1f}{opened:9.1f}   500 (a fresh process)")
    chosen = words(store)
    for name, query in PAGES.items():
        for token, word in chosen.items():
            if query.search:
                query = PairQuery(
                    filter=query.filter, search=query.search.replace(token, word), sort=query.sort
                )
        timed(f"first page: {name}", lambda query=query: store.pairs.first(query, 200), "100")  # type: ignore[misc]
    rng = random.Random(1)
    scattered = [rng.randrange(1, counts.total) for _ in range(200)]
    timed("page of 200 by scattered ids", lambda: store.pairs.many(scattered), "10")
    timed("counts by status", store.pairs.counts, "50")
    timed("count of a filter", lambda: store.pairs.count(PairQuery(filter="score < 0.5 and rate > 0.2")))
    timed("histogram by rate", store.pairs.histogram)
    timed("all ids, newest", lambda: store.pairs.ids(PairQuery()))
    timed("all ids, by score", lambda: store.pairs.ids(PairQuery(sort="score")))
    timed("ids of a filter, by length", lambda: store.pairs.ids(PairQuery(filter="score < 0.5", sort="length")))
    timed("sample of 300", lambda: store.pairs.ids(PairQuery(filter="status = pending", sample=(7, 300))))
    timed(
        "accept one pair (on disk)", lambda: store.decisions.decide([rng.randrange(1, counts.total)], "accept")
    )
    timed("undo it", store.decisions.undo)
    print(f"{'peak memory, MB':44}{peak_mb():9.0f}{'':9}   300")
    store.close()


def prepare(folder: Path, pairs: int) -> None:
    """Make the project up: a few rejected, a third with an encoder cosine."""
    with Store.create(folder) as store:
        load(store, pairs)
        rng = random.Random(2)
        for start in range(1, pairs // 3, 50_000):
            end = min(start + 50_000, pairs // 3)
            store.pairs.set_encoder([(pair_id, rng.random()) for pair_id in range(start, end)])
        store.decisions.decide(rng.sample(range(1, pairs), 50), "reject")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--folder", type=Path, help="keep the project here, and use it if it is there")
    parser.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ask:
        ask(args.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary) / "p"
        if not (folder / "claif.db").exists():
            prepare(folder, args.pairs)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.review_store", "--ask", "--folder", str(folder)], check=True
        )


if __name__ == "__main__":
    main()
