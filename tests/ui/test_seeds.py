"""Seeds through the keyboard: look, search, import after a preview, stop, and what was left out."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from textual.widgets import Input

from claif_tui.core.models import Seed
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens.import_preview import ImportPreviewModal
from claif_tui.ui.screens.left_out import LeftOutModal
from claif_tui.ui.widgets.paths import complete
from claif_tui.ui.widgets.seed_list import SeedList
from tests.ui.conftest import AppPilot, idle, opened, screen_text, type_text, until

SIZE = (120, 36)


def current(app: ClaifApp) -> Seed | None:
    return app.screen.query_one(SeedList).current


async def seeds(pilot: AppPilot) -> None:
    await opened(pilot)
    await pilot.press("2")
    await idle(pilot)


async def choose(pilot: AppPilot, path: Path) -> None:
    await pilot.press("i")
    await until(pilot, lambda: isinstance(pilot.app.focused, Input), "the path field")
    await type_text(pilot, str(path))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, ImportPreviewModal), "the preview")
    await idle(pilot)


async def test_the_list_moves_by_the_usual_keys_and_the_card_follows(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        for keys, wanted in ((("j", "j"), 3), (("k",), 2), (("end",), 5), (("home",), 1), (("ctrl+d",), 5)):
            await pilot.press(*keys)
            await until(pilot, lambda: current(app) is not None, "a seed")
            seed = current(app)
            assert seed is not None and seed.id == wanted
        assert "Seed 5" in screen_text(app)
        assert "/data/seeds.txt, line 5" in screen_text(app)


async def test_search_narrows_and_escape_shows_everything_again(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await pilot.press("slash", *"flute")
        await until(pilot, lambda: "1 with “flute”" in screen_text(app), "the hit")
        assert "taking off" not in screen_text(app)
        await pilot.press("enter")
        assert isinstance(app.focused, SeedList)
        await pilot.press("slash", "escape")
        await until(pilot, lambda: "taking off" in screen_text(app), "all seeds")


async def test_an_import_is_looked_at_first_and_then_lands(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.txt"
    file.write_text("a new sentence .\n\na plane is taking off .\na new sentence .\n", encoding="utf8")
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await choose(pilot, file)
        shown = screen_text(app)
        assert "text: one sentence per line" in shown
        assert "First rows" in shown and "a new sentence ." in shown
        assert "the same text came before" in shown
        await pilot.press("enter")
        await until(pilot, lambda: "6 train" in screen_text(app), "the new seed")
        job = app.jobs.latest("import")
        assert job is not None and job.state == "done"
        assert job.message == "1 new sentences from 4 rows of more.txt, 2 duplicates, 1 empty."
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, LeftOutModal), "the rows left out")
        await until(pilot, lambda: "duplicate" in screen_text(app), "the reasons")
        assert "line         2 empty" in screen_text(app)
    with Store.open(project) as store:
        assert store.seeds.count() == 6


async def test_a_held_out_file_is_refused_until_the_split_says_so(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "dev.txt"
    file.write_text("held out .\n", encoding="utf8")
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await choose(pilot, file)
        assert "looks like dev data" in screen_text(app)
        await pilot.press("enter")
        assert isinstance(app.screen, ImportPreviewModal), "refused"
        split = next(field for field in app.screen.query("Field") if getattr(field, "key", "") == "split")
        split.query_one("Picker").focus()
        await pilot.press("right", "right")
        await until(pilot, lambda: "✗" not in screen_text(app), "no refusal")
        await idle(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "1 dev" in screen_text(app), "the dev seed")
    with Store.open(project) as store:
        assert store.seeds.by_splits() == {"train": 5, "dev": 1}


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("binary.txt", bytes(range(256)) * 20, "binary file"),
        ("empty.txt", b"", "is empty"),
        ("zip.csv", b"PK\x03\x04rest", "zip archive"),
    ],
    ids=["binary", "empty", "zip"],
)
async def test_a_file_that_is_none_is_said_in_the_preview(
    project: Path, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await choose(pilot, file)
        assert said in screen_text(app).replace("\n", " ")
        await pilot.press("enter")
        assert isinstance(app.screen, ImportPreviewModal)
        await pilot.press("escape")
        assert "5 train" in screen_text(app)


async def test_a_path_that_is_none_is_said_at_the_field(project: Path, tmp_path: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.focused, Input), "the path field")
        await type_text(pilot, str(tmp_path / "nowhere.txt"))
        await pilot.press("enter")
        await until(pilot, lambda: "✗ no such file" in screen_text(app), "the complaint")
        await type_text(pilot, "x")
        assert "✗" not in screen_text(app)


async def test_a_stopped_import_leaves_nothing_behind(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.txt"
    file.write_text("".join(f"sentence number {n} of a file .\n" for n in range(6_000)), encoding="utf8")
    gate = threading.Event()
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await choose(pilot, file)
        assert app.store is not None
        # Somebody else writes: the import has begun and waits for its turn.
        other = asyncio.ensure_future(asyncio.to_thread(app.store.write, lambda conn: gate.wait(30)))
        await pilot.press("enter")
        await until(pilot, lambda: "x stops" in screen_text(app), "the progress line")
        await pilot.press("x")
        gate.set()
        await until(pilot, lambda: not app.jobs.live("import"), "the end")
        await other
        await idle(pilot)
        job = app.jobs.latest("import")
        assert job is not None and job.state == "done" and "cancelled" in job.message
        assert "5 train" in screen_text(app)
    with Store.open(project) as store:
        assert store.seeds.count() == 5 and len(store.sources.list()) == 1


async def test_without_a_project_importing_says_where_to_go(tmp_path: Path) -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("2", "i")
        await until(pilot, lambda: app._notifications, "the notice")
        assert "press 1" in next(str(note.message) for note in app._notifications)


def test_paths_complete_to_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "sentences.txt").write_text("x")
    (tmp_path / "senteval").mkdir()
    (tmp_path / "evil\x1b.txt").write_text("x")
    assert complete(f"{tmp_path}/sente") == f"{tmp_path}/sentences.txt"
    assert complete(f"{tmp_path}/sente", folders=True) == f"{tmp_path}/senteval/"
    assert complete(f"{tmp_path}/evil") is None, "a name that is no plain text is not suggested"
    assert complete(f"{tmp_path}/nothing/x") is None
    assert complete("") is None and complete("\x00") is None


@pytest.mark.data
async def test_sts_b_train_imports_with_the_figures_of_the_papers(project: Path, data_dir: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await seeds(pilot)
        await choose(pilot, data_dir / "senteval/STS/STSBenchmark/sts-train.csv")
        assert "10,518 sentences of 5,749 rows" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: not app.jobs.live("import") and app.jobs.latest("import"), "the import")
        await until(pilot, lambda: "train" in screen_text(app) and "10,5" in screen_text(app), "the seeds")
