"""The grid of an experiment over Evaluate: what it shows of the files, starting and stopping a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from claif_tui.core import settings
from claif_tui.core.experiment.file import load
from claif_tui.core.experiment.grid import build
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.models import Grid, Now, Result
from claif_tui.core.store.process import start_mark, this_host
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ChooseModal, ConfirmModal
from claif_tui.ui.screens.experiment import ExperimentModal
from tests.core import experiment_support as support
from tests.ui.conftest import AppPilot, idle, opened, screen_text, until
from tests.ui.hostile import leaks

SYSTEMS = """
[[system]]
name = "average"
[[system]]
name = "simcse-sup"
[[system]]
name = "[red]toy[/]"
system = "claif"
[system.model]
profile = "offline"
"""


@pytest.fixture
def file(project: Path) -> Path:
    """An experiment in the project's folder: four cells of seven are done, one of them failed."""
    path = support.write(project, SYSTEMS, model="minilm:1", numbers="[1, 2, 3]")
    grid = build(load(path), settings.load())
    journal = Journal(grid.spec.folder)
    for number, cell in enumerate(grid.cells):
        if cell.row == "average" or cell.seed == 1:
            tasks = {"STSBenchmark": {"spearman": 60.0 + number, "n": 10, "fingerprint": "0"}}
            about = dict.fromkeys(("model", "data", "identity", "name", "made"), "m")
            document = {**about, **dict.fromkeys(("backbone", "supervision", "scorer")), "v": 1, "tasks": tasks}
            document["avg_sts_paper"] = 60.0 + number
            journal.keep_result(cell, Result(state="done", train_seconds=3.0, evaluation=document))
        elif cell.row == "simcse-sup" and cell.seed == 2:
            journal.keep_result(cell, Result(state="failed", reason="its loss \x1b]0;x is [MASK]"))
    return path


async def shown(pilot: AppPilot) -> None:
    await opened(pilot)
    await pilot.press("8")
    await idle(pilot)
    await pilot.press("e")
    await until(pilot, lambda: isinstance(pilot.app.screen, ExperimentModal), "the grid")
    await idle(pilot)


def row(app: ClaifApp, name: str) -> str:
    return next(line for line in screen_text(app).splitlines() if name in line and "seed" not in line)


def pretend(grid: Grid, journal: Journal) -> subprocess.Popen[bytes]:
    """Start a process that does nothing, and say in its name that it trains a cell."""
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    waiting = next(cell for cell in grid.cells if cell.row == "simcse-sup" and cell.seed == 2)
    now = Now(
        pid=other.pid,
        mark=start_mark(other.pid) or "",
        host=this_host(),
        stage="training",
        cells=(waiting.id,),
        done=9,
        total=20,
        words="loss 0.5",
        eta_seconds=65.0,
        spent_nano=1_200_000_000,
        ended="",
        at=0.0,
    )
    journal.write_text("now.json", json.dumps({"v": 1, **asdict(now)}))
    return other


def rewrite(file: Path, systems: str) -> None:
    """Give the file other systems."""
    file.write_text(file.read_text().split("[[system]]")[0] + systems)


def damage(file: Path) -> None:
    """Leave nothing in it that could be a triplet."""
    file.write_text("one column\nalone\n")


async def test_the_grid_shows_each_cell_by_sign_and_word_and_follows_the_process(file: Path) -> None:
    app = ClaifApp(file.parent)
    grid = build(load(file), settings.load())
    journal = Journal(grid.spec.folder)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot)
        assert "3 of 7 cells done · 1 failed" in screen_text(app)
        assert "✓ 60.00" in row(app, "average")
        assert "✓ 61.00" in row(app, "simcse-sup")
        assert "✗ failed" in row(app, "simcse-sup")
        assert "✓ 64.00" in row(app, "[red]toy[/]")
        assert "demo" in row(app, "[red]toy[/]")
        assert leaks(screen_text(app)) == []
        assert "1 ▸ columns" in screen_text(app)
        await pilot.press("right")
        assert "seed 3" in screen_text(app)
        assert "· waits" in row(app, "simcse-sup")
        await pilot.press("left", "j")
        await until(pilot, lambda: "is [MASK]" in screen_text(app), "why it failed")

        # Another process runs it now: what it says shows, and x ends it.
        other = pretend(grid, journal)
        await until(pilot, lambda: "▶ train 45%" in row(app, "simcse-sup"), "the training")
        assert "$1.20 of $5.00 · loss 0.5" in screen_text(app)
        assert "about 1:05 left" in screen_text(app)
        await pilot.press("g")
        await until(pilot, lambda: "It is running" in str([n.message for n in app._notifications]), "a refusal")
        await pilot.press("x")
        await until(pilot, lambda: other.poll() is not None, "its end")
        await until(pilot, lambda: "g goes on" in screen_text(app), "the offer to go on")
        await pilot.press("y")
        await until(pilot, lambda: "Markdown" in str([n.message for n in app._notifications]), "a copy")


async def test_it_runs_in_a_process_of_its_own_after_a_question_if_it_costs(file: Path) -> None:
    app = ClaifApp(file.parent)
    rewrite(file, '[[system]]\nname = "claif"\n')
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shown(pilot)
        assert "0 of 3 cells done" in screen_text(app)
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        assert "never more than $5.00 in all" in screen_text(app)
        await pilot.press("n")
        assert not (file.parent / "grid" / "now.json").exists(), "nothing began"

        # What cannot be made fails in the other process, and its words come back through the files.
        rewrite(file, '[[system]]\nname = "simcse-sup"\n')
        damage(file.parent / "nli.csv")
        await until(pilot, lambda: "simcse-sup" in screen_text(app), "the changed file")
        await pilot.press("g")
        await until(pilot, lambda: "✗" in screen_text(app), "the failure")
        rewrite(file, "[[system]]\n")
        await until(pilot, lambda: "cannot be run as it is" in screen_text(app), "what is wrong with the file")


async def test_without_a_file_it_says_what_to_do_and_writes_a_ready_one(project: Path) -> None:
    sets = project.parent / 'sets "of mine"'
    sets.mkdir()
    settings.remember("evaluation_data", str(sets))
    app = ClaifApp(project)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shown(pilot)
        assert "n writes a ready file" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ChooseModal), "the choice")
        await pilot.press("1")
        await until(pilot, lambda: (project / "family.toml").exists(), "the file")
        await until(pilot, lambda: "Experiment · family.toml" in screen_text(app), "the file in the title")
    written = tomllib.loads((project / "family.toml").read_text())
    assert (written["data"], written["seeds_from"]["file"]) == (
        str(sets),
        f"{sets}/STS/STSBenchmark/sts-train.csv",
    )
