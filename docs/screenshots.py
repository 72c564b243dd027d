"""Draw the README's pictures again: ``python docs/screenshots.py``. Makes a demo project, runs it, looks at it."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

from claif_tui.core import session, settings
from claif_tui.core.demo import create_demo
from claif_tui.core.models import PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp

PICTURES = Path(__file__).resolve().parent.parent / "assets" / "screenshots"
SIZE = (118, 30)


async def _generate(folder: Path, seeds: int) -> None:
    create_demo(folder)
    with Store.open(folder) as store:
        ready = session.prepare(store, settings.load())
        async for _ in Generation(
            store, ready.recipe, RunOptions(limit=seeds), session.open_desk(store, ready)
        ).events():
            pass
        store.decisions.decide(PairQuery(filter="score >= 0.6 and rate <= 0.2"), "accept")
        store.decisions.decide(PairQuery(filter="score < 0.1"), "reject")


async def _draw(folder: Path, name: str, keys: list[str]) -> None:
    app = ClaifApp(folder)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.0)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.8)
        svg = app.export_screenshot(title=f"claif-tui: {name}")
    # The picture must not fetch fonts from anywhere.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.S)
    (PICTURES / f"{name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    """Draw Review, Generate and Recipe."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "demo"
        asyncio.run(_generate(folder, 10))
        asyncio.run(_draw(folder, "review", ["5", "j", "j", "j", "j"]))
        asyncio.run(_draw(folder, "generate", ["4"]))
        asyncio.run(_draw(folder, "recipe", ["3"]))


if __name__ == "__main__":
    main()
