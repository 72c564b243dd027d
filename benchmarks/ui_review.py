"""How Review feels on 1.2 million pairs: opening it, and from a key to the painted screen.

``python -m benchmarks.ui_review`` makes the project up (``--folder`` keeps and reuses it), opens the app on it in a
fresh process, presses keys as a reviewer would, and prints times in milliseconds. A key counts as painted when the
screen that shows its effect has been drawn; for a decision that is after it is on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from textual import events

from benchmarks.bulk import PAIRS, peak_mb
from benchmarks.review_store import prepare
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.review import ReviewScreen
from engine.stats import percentile

SIZE = (120, 40)


class Watched(ClaifApp):
    """The app, saying when it has drawn."""

    CSS_PATH = str(Path(sys.modules[ClaifApp.__module__].__file__ or "").with_name("app.tcss"))

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.drawn = asyncio.Event()

    def post_display_hook(self) -> None:
        """Called by Textual after each drawing."""
        self.drawn.set()


async def key(app: Watched, name: str, ready: Callable[[], bool]) -> float:
    """Press a key; return the milliseconds until its effect is painted."""
    start = time.perf_counter()
    app.post_message(events.Key(name, name if len(name) == 1 else None))
    while True:
        app.drawn.clear()
        await app.drawn.wait()
        if ready():
            return (time.perf_counter() - start) * 1000


async def measure(folder: Path) -> None:
    """Open, move, decide, narrow; print."""
    app = Watched(folder)
    async with app.run_test(size=SIZE) as pilot:
        while app.store is None:
            await pilot.pause(0.01)
        await pilot.pause(1.0)
        start = time.perf_counter()
        await app.action_go("review")
        review = app.screen
        assert isinstance(review, ReviewScreen)
        while review.card.pair is None:
            await pilot.pause(0.001)
        app.drawn.clear()
        await app.drawn.wait()
        line("open Review: first pair and list painted", [(time.perf_counter() - start) * 1000], 500)
        while review.rows.loading_ids:
            await pilot.pause(0.001)
        line("open Review: all ids in the background", [(time.perf_counter() - start) * 1000])
        await pilot.pause(1.0)
        print(f"{'rows in the list':44}{review.rows.count:>9,}")
        line("j", await moves(app, review, "j", 200, 1), 50)
        line("ctrl+d", await moves(app, review, "ctrl+d", 60, 1), 50)
        line("G, g", [await key(app, name, there(review, name)) for name in ("G", "g") * 20], 50)
        line("a: on disk and the next painted", await moves(app, review, "a", 200, 1), 50)
        line("k", await moves(app, review, "k", 100, -1), 50)
        print(f"{'peak memory, MB':44}{peak_mb():9.0f}{'':9}{'':9}   budget 300")


def there(review: ReviewScreen, name: str) -> Callable[[], bool]:
    """Whether the cursor is at the end that ``name`` leads to, and its pair is shown."""

    def ready() -> bool:
        rows = review.rows
        wanted = rows.count - 1 if name == "G" else 0
        return rows.cursor == wanted and shown(review)

    return ready


def shown(review: ReviewScreen) -> bool:
    """Whether the card shows the pair under the cursor."""
    return review.card.pair is not None and review.card.pair.id == review.rows.cursor_id


async def moves(app: Watched, review: ReviewScreen, name: str, count: int, way: int) -> list[float]:
    """Press a key many times, at human speed; return each time to paint."""
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(count):
        ready = partial(went, review, review.rows.cursor, way)
        times.append(await key(app, name, ready))
        await asyncio.sleep(0.02)
    print(f"{f'{name}: processor time a key':44}{(time.process_time() - cpu) / count * 1000:9.1f}")
    return times


def went(review: ReviewScreen, before: int, way: int) -> bool:
    """Whether the cursor has left ``before`` that way, and its pair is shown."""
    return (review.rows.cursor - before) * way > 0 and shown(review)


def line(name: str, times: list[float], budget: float | None = None) -> None:
    """Print median, 95th percentile and worst."""
    figures = [percentile(times, 0.5), percentile(times, 0.95), max(times)]
    told = f"   budget {budget:g} at p95" if budget else ""
    print(f"{name:44}" + "".join(f"{figure:9.1f}" for figure in figures) + told, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--folder", type=Path, help="keep the project here, and use it if it is there")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(f"{'milliseconds':44}{'median':>9}{'p95':>9}{'worst':>9}")
        asyncio.run(measure(args.folder))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary) / "p"
        if not (folder / "claif.db").exists():
            prepare(folder, args.pairs)
        environment = {**os.environ, "CLAIF_TUI_HOME": temporary, "CLAIF_TUI_AUTHOR": "benchmark"}
        command = [sys.executable, "-m", "benchmarks.ui_review", "--measure", "--folder", str(folder)]
        subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
