"""The hostile corpus on every screen, with toasts on: no exception, nothing a terminal acts on, the text as it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from claif_tui.core.errors import InputError
from claif_tui.core.models import NewPair, NewScore
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from claif_tui.core.text import storable_text
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ConfirmModal, ErrorModal, TextModal
from claif_tui.ui.jobs import Job
from claif_tui.ui.keymap import PLACES
from claif_tui.ui.screens.import_preview import ImportPreviewModal
from claif_tui.ui.widgets.seed_list import SeedList
from tests.ui.conftest import AppPilot, idle, opened, screen_text, type_text, until
from tests.ui.hostile import HOSTILE, LITERALS, leaks

SIZES = ((120, 40), (80, 24))


def check(pilot: AppPilot, where: str) -> None:
    assert isinstance(pilot.app, ClaifApp)
    shown = screen_text(pilot.app)
    assert not leaks(shown), f"{where}: {leaks(shown)}"
    assert not isinstance(pilot.app.screen, ErrorModal), f"{where}\n{shown}"


@pytest.fixture
def everything_hostile(hostile_project: Path) -> Path:
    """Pairs, scores, reasons, models and a failed run of hostile text, on top of the hostile seeds."""
    clean = [storable_text(text)[0] for text in HOSTILE]
    with Store.open(hostile_project) as store:

        def pairs(conn: object) -> None:
            for number, text in enumerate(clean):
                row = NewPair(
                    system="claif",
                    text_a=text,
                    generated=text[::-1],
                    rate=number % 9 / 10,
                    masked=f"<mask> {text[:200]}",
                    model=f"m {text[:40]}",
                    generate_key=f"key{number}",
                    score=NewScore(score=0.5, raw=text[:50], scale="0-1", reason=text),
                )
                store.pairs.add(conn, row)  # type: ignore[arg-type]

        store.write(pairs)
        store.recipes.save("0" * 12, "not json [MASK]")
        run = store.runs.start("generate", "0" * 12, clean[0], clean[4], {})
        store.runs.set_state(run.id, "failed", {}, " ".join(clean[:8]))
    return hostile_project


async def test_every_screen_shows_hostile_data_as_text(everything_hostile: Path) -> None:
    app = ClaifApp(everything_hostile)
    async with app.run_test(size=SIZES[0], notifications=True) as pilot:
        await opened(pilot)
        seen = ""
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for place in PLACES:
                await pilot.press(place.key)
                await idle(pilot)
                for _ in range(3 if place.name in ("seeds", "review", "recipe") else 0):
                    await pilot.press("right" if place.name == "recipe" else "j")
                    await idle(pilot)
                    check(pilot, f"{place.name} at {size}")
                check(pilot, f"{place.name} at {size}")
                seen += screen_text(app)
                await pilot.press("f1")
                check(pilot, f"help of {place.name}")
                await pilot.press("escape")
        assert app.is_running, "nothing in the data ran an action"
        for literal in LITERALS:
            assert literal in seen


async def test_every_seed_is_shown_in_list_and_card(everything_hostile: Path) -> None:
    app = ClaifApp(everything_hostile)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("2")
        await idle(pilot)
        rows = app.screen.query_one(SeedList)
        for _ in HOSTILE:
            await until(pilot, lambda: rows.current is not None, "the seed")
            check(pilot, "seeds")
            await pilot.press("y")
            await idle(pilot)
            check(pilot, "the notice of a copy")
            await pilot.press("j")


async def test_notices_errors_questions_and_jobs_are_no_way_in(everything_hostile: Path) -> None:
    app = ClaifApp(everything_hostile)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot)
        for text in HOSTILE:
            for modal in (
                ErrorModal(InputError(text, text)),
                ConfirmModal(text, text, yes=text[:20], no=text[:20], detail=text),
            ):
                app.push_screen(modal)
                await pilot.pause()
                assert not leaks(screen_text(app)), repr(text[:40])
                await pilot.press("escape")
            app.say(text, title=text[:40])
            await pilot.pause()
            check(pilot, "a notice")
            app.clear_notifications()
        job = Job()
        job.title = " ".join(HOSTILE[:4])
        app.jobs._jobs.append(job)
        app._job_changed(job)
        await pilot.pause()
        check(pilot, "the top line")


async def test_recipe_fields_and_files_are_no_way_in(everything_hostile: Path) -> None:
    from claif_tui.core import recipe_file

    text = "[MASK] [/foo] \u202e \x9b31m {masked}"
    recipe_file.save(everything_hostile / "recipe.toml", Recipe(chat_fill=text, model="[red]m[/] \u202e"))
    app = ClaifApp(everything_hostile)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("3")
        await idle(pilot)
        check(pilot, "recipe")
        assert "[MASK] [/foo]" in screen_text(app) and "[red]m[/]" in screen_text(app)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, TextModal), "the diff")
        check(pilot, "the diff")
        await pilot.press("escape", "v")
        await idle(pilot)
        check(pilot, "the versions")


async def test_a_hostile_file_and_its_name_are_looked_at_safely(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "[MASK] [bold] \u202e.csv"
    lines = ["text_a,text_b,[red]col\u202e[/]"]
    lines += ['"' + text.replace('"', '""').replace("\ud800", "\ufffd") + '",b,c' for text in HOSTILE]
    await asyncio.to_thread(file.write_text, "\n".join(lines), encoding="utf8")
    app = ClaifApp(project)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("2", "i")
        await until(pilot, lambda: app.focused is not None and app.focused.id != "list", "the field")
        await type_text(pilot, str(file))
        check(pilot, "a path that is typed")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ImportPreviewModal), "the preview")
        await idle(pilot)
        check(pilot, "the preview")
        assert "[MASK]" in screen_text(app)


async def test_a_megabyte_in_one_pair_is_shown_cut_and_counted(project: Path) -> None:
    text = "answer [MASK] " * 75_000
    with Store.open(project) as store:
        row = NewPair(system="claif", text_a="a", generated=text, rate=0.1, generate_key="k")
        store.write(lambda conn: store.pairs.add(conn, row))
    app = ClaifApp(project)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot)
        for key in "1245":
            await pilot.press(key)
            await idle(pilot)
            check(pilot, f"screen {key}")
        assert "[MASK]" in screen_text(app)
