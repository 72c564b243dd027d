"""What every test of the app stands on: a project with seeds, the hostile corpus, and waiting without sleeping."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual import __version__ as textual_version
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from tests.ui.hostile import HOSTILE

SEEDS = (
    "three men are playing chess .",
    "a plane is taking off .",
    "a man is playing a large flute .",
    "a woman is slicing an onion .",
    "two dogs run along the beach .",
)
SNAPSHOTS_MADE_WITH = ((3, 11), "8.2.8")
AppPilot = Pilot[None]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to update pictures on another Python or Textual than the one they are compared with."""
    here = (sys.version_info[:2], textual_version)
    if config.getoption("update_snapshots", default=False) and here != SNAPSHOTS_MADE_WITH:
        raise pytest.UsageError(
            f"snapshots are made with Python and Textual {SNAPSHOTS_MADE_WITH}, this is {here}"
        )


@pytest.fixture(autouse=True)
def same_pictures(request: pytest.FixtureRequest) -> None:
    """Skip snapshot tests where the pictures cannot be the same."""
    if (
        "snap_compare" in request.fixturenames
        and (sys.version_info[:2], textual_version) != SNAPSHOTS_MADE_WITH
    ):
        pytest.skip(f"pictures are compared on {SNAPSHOTS_MADE_WITH} only")


def fill(store: Store, texts: tuple[str, ...], *, path: str = "/data/seeds.txt") -> None:
    """Put sentences into a project as one import of ``path``."""
    from claif_tui.core.text import storable_text

    clean = [storable_text(text)[0] for text in texts]
    source = store.write(
        lambda conn: store.sources.begin(
            conn, path=path, role="seeds", format="text", split="train", sha256="0" * 64, author="tester"
        )
    )
    rows = [(text, line) for line, text in enumerate(clean, 1)]
    result = store.write(lambda conn: store.seeds.add_batch(conn, source, "train", rows))
    store.write(
        lambda conn: store.sources.finish(
            conn,
            source,
            rows=len(rows),
            sentences=len(rows),
            unique=result.unique,
            duplicates=len(result.duplicates),
            empty=0,
            dropped={},
        )
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """The folder of a project with five seeds."""
    folder = tmp_path / "stsb"
    with Store.create(folder) as store:
        fill(store, SEEDS)
    yield folder


@pytest.fixture
def hostile_project(tmp_path: Path) -> Path:
    """A project whose seeds, paths and recipe hold everything a terminal could trip over."""
    folder = tmp_path / "h [MASK] \u202e"
    with Store.create(folder) as store:
        fill(store, HOSTILE, path="/data/[MASK] \x1b]52;c;aGk=\x07.txt")
    return folder


async def until(pilot: AppPilot, holds: Callable[[], object], what: str = "it") -> None:
    """Let the app go on until ``holds`` says so; fail with ``what`` when it never does."""
    for _ in range(600):
        if holds():
            await pilot.pause()
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never came: {what}\n{screen_text(pilot.app)}")


async def opened(pilot: AppPilot) -> None:
    """Wait until the project is open and the shown screen has loaded."""
    app = pilot.app
    assert isinstance(app, ClaifApp)
    await until(pilot, lambda: app.store is not None, "an open project")
    await idle(pilot)


async def idle(pilot: AppPilot) -> None:
    """Wait until no worker is at work (those that wait for an answer to a question aside)."""

    def busy() -> list[str]:
        return [
            w.description for w in pilot.app.workers if not w.is_finished and w.group not in ("ask", "quit")
        ]

    await until(pilot, lambda: not busy(), "an idle app")


async def type_text(pilot: AppPilot, text: str) -> None:
    """Type into the focused field as a terminal would paste it, then let the app react."""
    from textual import events

    assert pilot.app.focused is not None, "no field has the focus"
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


def screen_text(app: object) -> str:
    """Everything that is drawn now, as text."""
    assert isinstance(app, ClaifApp)
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def still(app: object) -> None:
    """Stop everything that moves by itself, so that pictures are the same every time."""
    assert isinstance(app, ClaifApp)
    for field in app.screen.query(Input):
        field.cursor_blink = False
    for area in app.screen.query(TextArea):
        area.cursor_blink = False
