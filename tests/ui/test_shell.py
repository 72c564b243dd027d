"""The frame around every screen, through the keyboard: places, help, palette, copying, errors, leaving, themes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.worker import Worker

from claif_tui.core.errors import InputError, StoreError
from claif_tui.core.llm import offline
from claif_tui.core.paths import config_dir
from claif_tui.core.store.store import Store
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.dialogs import ChooseModal, ErrorModal
from claif_tui.ui.help import HelpModal
from claif_tui.ui.jobs import Job, JobProgress
from claif_tui.ui.keymap import PLACES
from tests.engine.offline_child import needs_model
from tests.ui.conftest import idle, opened, screen_text, until

SIZE = (110, 34)
ROOT = Path(__file__).parents[2]


def notices(app: ClaifApp) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


async def test_help_names_every_live_key_of_the_screen(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=(120, 60), notifications=True) as pilot:
        await opened(pilot)
        for place in PLACES:
            await pilot.press(place.key)
            await idle(pilot)
            wanted = [
                active.binding.description
                for active in app.screen.active_bindings.values()
                if active.node is app.screen and active.binding.show and not active.binding.system
            ]
            about = app.screen
            assert isinstance(about, ClaifScreen)
            await pilot.press("f1")
            assert isinstance(app.screen, HelpModal)
            text = app.screen._content().plain
            assert all(description in text for description in wanted), place.name
            assert " ".join(about.HELP_TEXT.split()).split(".")[0] in text
            await pilot.press("escape")


async def test_the_palette_holds_every_action_by_name(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("2", "colon")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette), "the palette")
        await pilot.press(*"seedsimport")
        await until(pilot, lambda: "seeds: import" in screen_text(app), "the action in the palette")
        await pilot.press("enter", "enter")
        await until(
            pilot, lambda: "Import" in str(app.screen.query(".dialog").first().border_title), "the dialog"
        )


async def test_the_palette_opens_while_typing_and_changes_the_theme_for_good(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await idle(pilot)
        await pilot.press("e", "tab", "tab", "ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette), "the palette")
        await pilot.press(*"claif-light")
        await until(pilot, lambda: "theme: claif-light" in screen_text(app), "the theme in the palette")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: app.theme == "claif-light", "the light theme")
        await idle(pilot)
    again = ClaifApp(project)
    async with again.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        assert again.theme == "claif-light"


async def test_copying_says_where_the_text_went(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await idle(pilot)
        await pilot.press("j", "y")
        await until(pilot, lambda: "Copied seed 2" in notices(app), "the notice")
        assert app.clipboard == "a plane is taking off ."
        kept = config_dir() / "copied.txt"
        assert str(kept) in notices(app).replace("\n", "")
        assert kept.read_text("utf8") == "a plane is taking off ."
        assert kept.stat().st_mode & 0o077 == 0


async def test_a_failing_worker_of_any_screen_becomes_an_error_one_can_copy(project: Path) -> None:
    async def fail() -> None:
        raise InputError("line 3 of [MASK].txt is [/broken]", "mend it")

    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        for place in PLACES:
            await pilot.press(place.key)
            await idle(pilot)
            worker: Worker[Any] = app.screen.run_worker(fail(), group="test", exit_on_error=False)
            await until(pilot, lambda: isinstance(app.screen, ErrorModal), f"the error on {place.name}")
            assert worker.error is not None
            shown = screen_text(app)
            assert "line 3 of [MASK].txt is [/broken]" in shown
            assert "What to do: mend it" in shown
            await pilot.press("y")
            await until(pilot, lambda: "[/broken]" in app.clipboard, "the copied error")
            await pilot.press("escape")


async def test_a_fault_of_ours_shows_no_traceback_but_gives_one_to_copy(project: Path) -> None:
    async def fail() -> None:
        raise RuntimeError("boom")

    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        app.run_worker(fail(), group="test", exit_on_error=False)
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert "Traceback" not in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: "Traceback" in app.clipboard, "the copied traceback")


async def test_a_project_that_cannot_be_opened_is_an_error_not_a_crash(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "claif.db").write_bytes(b"this is no database at all, only text" * 100)
    app = ClaifApp(folder)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        await pilot.press("escape")
        await idle(pilot)
        assert app.store is None
        assert "n  a new project" in screen_text(app)


async def test_changes_of_another_process_are_seen(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        assert "5 train" in screen_text(app)
        child = (
            "import sys; from pathlib import Path; from claif_tui.core.store.store import Store\n"
            "from tests.ui.conftest import fill\n"
            "with Store.open(Path(sys.argv[1])) as store: fill(store, ('one more .',), path='b.txt')"
        )
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", child, str(project)], check=True, cwd=ROOT
        )
        await until(pilot, lambda: "6 train" in screen_text(app), "the other process's seed")


class SlowJob(Job):
    """A job that works until it is told to pause or stop."""

    kind = "generate"
    title = "generate"
    can_pause = True

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()
        self.asked = ""

    async def work(self, app: ClaifApp) -> None:
        self.report(progress=JobProgress(done=61, total=100))
        await self.over.wait()

    def stop(self) -> None:
        self.asked = "stop"
        self.over.set()


async def test_leaving_asks_while_a_job_runs_and_pauses_it_safely(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        job = SlowJob()
        app.jobs.start(job)
        await until(pilot, lambda: "▶ generate 61 %" in screen_text(app), "the job in the top line")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, ChooseModal), "the question")
        assert "Still at work: generate" in screen_text(app)
        await pilot.press("c")
        await until(pilot, lambda: not isinstance(app.screen, ChooseModal), "staying")
        assert app.is_running and job.asked == ""
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, ChooseModal), "the question")
        await pilot.press("p")
        await until(pilot, lambda: app._exit, "the end")
        assert job.asked == "stop" and job.state == "done", "what was in flight has landed"


async def test_leaving_without_a_job_does_not_ask(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("q")
        await until(pilot, lambda: app._exit, "the end")
    with Store.open(project) as store:
        assert store.seeds.count() == 5


async def test_a_job_that_fails_is_said_and_the_app_goes_on(project: Path) -> None:
    class Failing(Job):
        title = "failing"

        async def work(self, app: ClaifApp) -> None:
            raise StoreError("the disk is full", "make room")

    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        job = app.jobs.start(Failing())
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert job.state == "failed"
        assert "the disk is full" in screen_text(app)


async def test_letters_are_text_in_a_field_and_escape_gives_the_keys_back(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await idle(pilot)
        await pilot.press("e", "tab", "tab", "q", "2")
        assert app.current_mode == "recipe" and app.is_running
        await pilot.press("escape", "2")
        assert app.current_mode == "seeds"


async def test_digits_reach_all_nine_screens_at_every_size_and_in_every_theme(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(pilot)
        for width, height in ((200, 60), (80, 24), (60, 20)):
            await pilot.resize_terminal(width, height)
            for place in PLACES:
                await pilot.press(place.key)
                await idle(pilot)
                lines = screen_text(app).splitlines()
                assert len(lines) == height
                title = place.short if 70 <= width < 100 else place.title
                assert app.current_mode == place.name
                assert "stsb" in lines[0] and f"[{place.key} {title}]" in lines[1]
                assert "Too small" not in "\n".join(lines)
        for theme in ("claif-light", "ansi-dark", "ansi-light", "nord", "claif-dark"):
            app.use_theme(theme)
            await idle(pilot)
            assert app.theme == theme
        assert not isinstance(app.screen, ErrorModal)


async def test_a_terminal_that_is_too_small_is_told_so_and_recovers(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=(40, 12), notifications=True) as pilot:
        await opened(pilot)
        assert "Too small" in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "5 train" in screen_text(app), "the screen")


async def test_no_colour_reaches_the_terminal_when_asked_not_to(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        assert app.no_color
        strips = app.screen._compositor.render_strips()
        drawn = [
            app.screen.app.get_line_filters()[0].apply(list(strip), app.screen.background_colors[1])
            for strip in strips
        ]
        colours = {segment.style.color for line in drawn for segment in line if segment.style is not None}
        assert {colour.is_default for colour in colours if colour is not None} <= {True}
        assert "● pending" in screen_text(app) and "✓ accepted" in screen_text(app)


@needs_model
async def test_the_offline_model_is_loaded_before_anyone_asks_and_ends_with_the_app(project: Path) -> None:
    app = ClaifApp(project, warm=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await idle(pilot)
        starting = offline._spare._starting
        assert starting is not None
        child, _ = await starting
        assert not child.gone
    assert child.process.returncode is not None
    assert offline._spare._starting is None


async def test_another_endpoint_loads_no_model(project: Path) -> None:
    (project / "recipe.toml").write_text(
        '[model]\nprofile = "openai"\nname = "gpt-4o-mini"\n', encoding="utf-8"
    )
    app = ClaifApp(project, warm=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await idle(pilot)
        assert offline._spare._starting is None


def test_the_app_module_stays_thin() -> None:
    """First paint comes early: only textual and thin modules are imported before it."""
    script = (
        "import sys, claif_tui.ui.app\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))\n"
        "print(*sorted(m for m in sys.modules if m.startswith('claif_tui')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    packages, ours = done.stdout.splitlines()
    heavy = {
        "numpy",
        "aiohttp",
        "pydantic",
        "sqlite_utils",
        "tomlkit",
        "keyring",
        "scipy",
        "rapidfuzz",
        "torch",
    }
    assert not heavy & set(packages.split())
    assert not [name for name in ours.split() if name.startswith("claif_tui.core.store")]


def test_the_mouse_is_left_alone_when_flag_or_setting_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from claif_tui.__main__ import wants_mouse
    from claif_tui.core import settings

    assert wants_mouse()
    settings.change("mouse", "no")
    assert not wants_mouse()
    monkeypatch.setenv("CLAIF_TUI_MOUSE", "yes")
    assert wants_mouse()
    monkeypatch.delenv("CLAIF_TUI_MOUSE")
    settings.settings_path().write_text("not toml")
    assert wants_mouse()
