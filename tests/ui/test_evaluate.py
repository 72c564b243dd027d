"""Evaluate through the keyboard: the table, what is comparable, scoring in a process of its own, taking rows along."""

from __future__ import annotations

import csv
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest

from claif_tui.core import engine_child, evaluations
from claif_tui.core.evaluating import EvaluationWish
from claif_tui.core.evaluations import Evaluation
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ChooseModal, ConfirmModal, ErrorModal, TextModal
from claif_tui.ui.screens import evaluate, evaluate_job
from claif_tui.ui.screens.evaluate_job import summary, words
from claif_tui.ui.screens.evaluate_rows import ScoreTable
from claif_tui.ui.screens.evaluate_table import Line, View, layout, margin_of, read
from claif_tui.ui.screens.evaluate_wish import EvaluateModal, offers
from claif_tui.ui.widgets.fields import Field, Picker
from engine import rundir
from engine.config import preset
from engine.tasks import STS, TRANSFER
from tests.core.test_significance import noisy
from tests.core.test_significance import scored as scored_alike
from tests.ui.conftest import AppPilot, idle, opened, screen_text, still, type_text, until
from tests.ui.hostile import HOSTILE, LITERALS, leaks

SIZE = (120, 40)
SMALL = (80, 24)


def result(name: str = "claif-1", value: float = 77.0, tasks: tuple[str, ...] = STS, **more: Any) -> Evaluation:
    """A result whose tasks lie 0.7 apart, each with an interval two wide."""
    figures = {}
    for number, task in enumerate(tasks):
        here = round(value + 0.7 * number, 4)
        metric = "spearman" if task in STS else "accuracy"
        ends = [here - 1.0, here + 1.0]
        figures[task] = {metric: here, "n": 1000, "fingerprint": "0" * 16, "interval": ends}
    about: dict[str, Any] = {
        "model": f"/models/{name}",
        "data": "/data/senteval",
        "identity": name,
        "name": name,
        "backbone": "bert-base",
        "supervision": "ai",
        "scorer": "bi-encoder",
        "made": "2026-01-02T09:30:00+00:00",
    }
    return Evaluation(tasks=figures, **{**about, **more})


@pytest.fixture
def scored(project: Path) -> Path:
    """A project with one whole result, one that is like no row, and one of three tasks."""
    evaluations.save(project, result(tasks=STS + TRANSFER))
    evaluations.save(
        project,
        result("minilm:3", 66.0, backbone="MiniLM-L3", supervision=None, made="2026-01-01T09:30:00+00:00"),
    )
    evaluations.save(project, result("half", 70.0, STS[:3], made="2025-12-31T09:30:00+00:00"))
    return project


def place(app: ClaifApp) -> ScoreTable:
    return app.screen.query_one(ScoreTable)


def names(app: ClaifApp) -> list[str]:
    found = app.screen.query_one(ScoreTable)
    return [line.entry.row.system for row_id in found.ids if (line := found.row(row_id)) is not None]


def current(app: ClaifApp) -> Line:
    line = app.screen.query_one(ScoreTable).current
    assert line is not None
    return line


def own_line(app: ClaifApp, name: str) -> str:
    """The line that one of our results is drawn as; nothing while it is out of sight."""
    return next((line for line in screen_text(app).splitlines() if f"◆ ours {name}" in line), "")


def notices(app: ClaifApp) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


async def shown(pilot: AppPilot) -> None:
    await opened(pilot)
    await pilot.press("8")
    await idle(pilot)


async def press(pilot: AppPilot, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await idle(pilot)


# The table


async def test_ours_stand_among_the_papers_rows_by_sign_and_word_with_the_distance(scored: Path) -> None:
    app = ClaifApp(scored)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        drawn = screen_text(app).splitlines()
        head = next(line for line in drawn if "model" in line)
        assert head.split()[1:] == [
            *("model", "backbone", "superv.", "scorer", "STS12", "STS13", "STS14", "STS15", "STS16"),
            *("STS-B", "SICK-R", "Avg.", "±95%", "Δ", "│"),
        ]
        own = next(line for line in drawn if "◆ ours claif-1" in line)
        figures = ["77.00", "77.70", "78.40", "79.10", "79.80", "80.50", "81.20", "79.10", "±0.38", "-3.27"]
        assert own.replace("│", " ").split() == ["◆", "ours", "claif-1", "bert-base", "ai", "bi", *figures]
        paper = next(line for line in drawn if line.startswith("│       CLAIF ") and "roberta-base" in line)
        assert "ours" not in paper and "79.90" in paper
        assert own.index("79.10 ±") == paper.index("79.90"), "figures stand under each other"
        assert current(app).entry.row.system == "claif-1", "the cursor begins at the newest of ours"
        assert "Δ -3.27 against claif-scaled-bert" in screen_text(app)
        averages = [
            line.entry.row.average
            for row_id in place(app).ids
            if (line := place(app).row(row_id)) is not None and line.entry.row.average is not None
        ]
        assert len(averages) > 40 and averages == sorted(averages, reverse=True)


async def test_rows_that_are_not_alike_get_a_reason_in_place_of_a_difference(scored: Path) -> None:
    app = ClaifApp(scored)
    async with app.run_test(size=(150, 40), notifications=True) as pilot:
        await shown(pilot)
        while current(app).entry.row.system != "minilm:3":
            await press(pilot, "j")
        await until(pilot, lambda: "not comparable" in own_line(app, "minilm:3"), "the row, not compared")
        assert "not comparable: its supervision is not known" in screen_text(app)
        await press(pilot, "end")
        while current(app).entry.row.system != "half":
            await press(pilot, "k")
        assert "it has no figure for STS15, STS16, STSBenchmark, SICKRelatedness" in screen_text(app)
        assert "no average" in screen_text(app)


async def test_a_narrow_table_turns_sideways_and_keeps_the_model(scored: Path) -> None:
    app = ClaifApp(scored)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await shown(pilot)
        drawn = screen_text(app)
        assert "Avg." in drawn and "-3.27" in drawn, "what matters first is in sight"
        assert "SICK-R" not in drawn.splitlines()[3] and "7 columns ▸" in drawn
        await press(pilot, *["right"] * 20)
        drawn = screen_text(app)
        own = next(line for line in drawn.splitlines() if "◆ ours claif-1" in line)
        assert "81.20" in own and drawn.splitlines()[3].split()[-2] == "SICK-R"
        assert "backbone" not in drawn.splitlines()[3] and re.search(r"◂ \d columns ─", drawn)
        await press(pilot, *["left"] * 20)
        assert "7 columns ▸" in screen_text(app)
        for width in (60, 200, 80):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda: own_line(app, "claif-1"), "the row under the cursor")
        while current(app).entry.row.system != "minilm:3":
            await press(pilot, "j")
        await until(pilot, lambda: "n/c" in own_line(app, "minilm:3"), "the row, not compared")


async def test_transfer_backbone_order_and_comparison(scored: Path) -> None:
    app = ClaifApp(scored)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await press(pilot, "T")
        assert "Transfer · accuracy ×100 · 30 rows" in screen_text(app)
        assert "MRPC" in screen_text(app) and "SICK-R" not in screen_text(app)
        assert current(app).entry.row.system == "claif-1", "the cursor keeps to its row"
        await press(pilot, "T", "b", "b")
        assert "backbone bert-base" in screen_text(app)
        assert {line.entry.row.backbone for row_id in place(app).ids if (line := place(app).row(row_id))} == {
            "bert-base"
        }
        await press(pilot, "b", "b", "b")
        assert "50 rows ─" in screen_text(app), "all rows again"
        await press(pilot, "s", "n")
        assert names(app)[:3] == ["claif-1", "minilm:3", "half"]
        await press(pilot, "s", "3")
        assert "by STS14" in screen_text(app)
        assert names(app)[0] == "PromptRoBERTa + CLHAIF"
        await press(pilot, "s", "m")
        assert names(app) == sorted(names(app), key=str.casefold)
        await press(pilot, "s", "d", "home", "j")
        assert names(app)[0] == "claif-1"
        while current(app).entry.row.id != "claif-bert":
            await press(pilot, "j")
        await press(pilot, "c")
        assert "Δ to claif-bert" in screen_text(app)
        back = current(app)
        await press(pilot, "home")
        assert "-0.53" in screen_text(app)
        place(app).move_to_id(back.id)
        await press(pilot, "c", "home")
        assert "-3.27" in screen_text(app) and "Δ to" not in screen_text(app)


async def test_the_marked_row_less_the_row_of_the_cursor(project: Path) -> None:
    evaluations.save(project, scored_alike("better", noisy(1.0, 1, STS[:2])))
    evaluations.save(project, scored_alike("worse", noisy(2.0, 2, STS[:2])))
    evaluations.save(project, scored_alike("human", noisy(2.0, 3, STS[:2]), supervision="human"))
    app = ClaifApp(project)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await shown(pilot)

        async def on(name: str) -> None:
            rows = place(app)
            rows.jump(
                next(one for one in rows.ids if (line := rows.row(one)) and line.entry.row.system == name)
            )
            await idle(pilot)

        await on("better")
        await press(pilot, "d")
        assert "space marks a row" in notices(app)
        await press(pilot, "space")
        await until(pilot, lambda: "● ours better" in screen_text(app), "the mark")
        await on("worse")
        await pilot.press("d")
        await until(pilot, lambda: "paired bootstrap" in screen_text(app), "the comparison")
        drawn = screen_text(app)
        assert "better less worse" in drawn and isinstance(app.screen, TextModal)
        [line] = [line for line in drawn.splitlines() if "STS13" in line]
        assert "<0.001*" in line and " to +" in line and "300" in line
        await press(pilot, "y", "escape")
        assert app.clipboard.startswith("better less worse") and "<0.001*" in app.clipboard
        await on("human")
        await pilot.press("d")
        reason = "not comparable: supervision is ai, not human"
        await until(pilot, lambda: reason in screen_text(app) and isinstance(app.screen, TextModal), "why not")
        await press(pilot, "escape")
        await on("better")
        await press(pilot, "space")
        await until(pilot, lambda: "◆ ours better" in screen_text(app), "no mark")


async def test_demos_and_reference_rows_are_marked_and_reranking_has_its_table(project: Path) -> None:
    evaluations.save(project, result("offline", 95.0, demo=True))
    ranked = {"rerank": {"map": 61.5, "n": 9, "fingerprint": "0" * 16, "interval": [50.0, 70.0]}}
    evaluations.save(project, replace(result("ranked", identity="r"), tasks=ranked))
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await press(pilot, "end")
        assert current(app).entry.row.system == "offline", "last, though its average is the best"
        drawn = screen_text(app)
        assert "◆ demo offline" in drawn and "offline is a demo: its data were made" in drawn
        assert "│   ref BERT-flow " in drawn and "│       SimCSE " in drawn
        await press(pilot, "T", "T")
        drawn = screen_text(app)
        assert "Reranking · MAP ×100 · 1 rows" in drawn and "◆ ours ranked" in drawn and "61.50" in drawn
        await press(pilot, "enter", "escape", "T")
        assert names(app)[-1] == "offline"


async def test_details_and_copy(scored: Path) -> None:
    app = ClaifApp(scored)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await press(pilot, "y")
        assert app.clipboard.startswith("claif-1\tbert-base\tai\tbi-encoder\tSTS12 77.00")
        await press(pilot, "enter")
        assert isinstance(app.screen, TextModal)
        assert "76.00 to 78.00 · n 1,000 · data 000000000000" in screen_text(app)
        assert "/models/claif-1" in screen_text(app)


async def test_without_results_the_next_key_is_named(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await shown(pilot)
        assert "none of yours yet: press v to evaluate a model" in screen_text(app)
        assert "PromptRoBERTa" in screen_text(app)


async def test_without_a_project_the_papers_rows_stand_and_say_where_to_go() -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await idle(pilot)
        await press(pilot, "8")
        assert "No project is open: press 1" in screen_text(app) and "CLAIF" in screen_text(app)
        for key in ("v", "o"):
            app.clear_notifications()
            await press(pilot, key)
            await until(pilot, lambda: "press 1 to open or make one" in notices(app), key)


async def test_a_result_of_another_process_is_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "LOOK_SECONDS", 0.02)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("8")
        await until(pilot, lambda: "none of yours yet" in screen_text(app), "the empty table")
        evaluations.save(project, result("from elsewhere", 90.0))
        await until(pilot, lambda: "◆ ours from elsewhere" in screen_text(app), "the result")


async def test_a_damaged_file_is_named_and_the_others_stand(project: Path) -> None:
    path = evaluations.save(project, result("whole", 90.0))
    (path.parent / "cut.json").write_text('{"model": [/foo]')
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)

        def told() -> bool:
            """However long the path is, and so wherever its sentence breaks."""
            words = " ".join(line.strip("│ ") for line in screen_text(app).splitlines())
            return "cut.json is no result of an evaluation" in words

        await until(pilot, told, "the problem")
        assert "whole" in names(app)


async def test_hostile_results_are_shown_as_text(project: Path) -> None:
    for number, text in enumerate(HOSTILE):
        clean = text.replace("\ud800", "\ufffd")
        more: dict[str, Any] = {
            "backbone": clean,
            "supervision": clean,
            "scorer": clean,
            "model": clean,
            "data": clean,
        }
        evaluations.save(project, result(clean, 99.0 - number, identity=str(number), notes=(clean,), **more))
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        seen = ""
        await press(pilot, "home")
        for number, _ in enumerate(HOSTILE):
            seen += screen_text(app)
            await press(pilot, *(("enter", "escape") if number < 4 else ()), "y", "j")
            assert not leaks(screen_text(app)) and not isinstance(app.screen, ErrorModal)
        for key in ("b", "T", "s"):
            await press(pilot, key)
            assert not leaks(screen_text(app))
        for literal in LITERALS:
            assert literal in seen
        assert app.is_running


# Pure parts


def test_the_margin_of_an_average_is_that_of_a_mean_of_independent_tasks() -> None:
    assert margin_of(result(), STS) == pytest.approx(1.0 / 7**0.5)
    assert margin_of(result(tasks=STS[:1]), STS[:1]) == 1.0
    one = result()
    broken: tuple[object, ...] = (None, [1.0], ["a", "b"], [1.0, float("nan")])
    for ends in broken:
        tasks = {**one.tasks, "STS16": {**one.tasks["STS16"], "interval": ends}}
        assert margin_of(_with(one, tasks), STS) is None


def _with(one: Evaluation, tasks: dict[str, Any]) -> Evaluation:
    return Evaluation(**{name: getattr(one, name) for name in one.__slots__} | {"tasks": tasks})


def test_fast_transfer_has_no_average_and_no_margin(project: Path) -> None:
    fast = result(tasks=TRANSFER)
    tasks = {task: {**about, "mode": "fast"} for task, about in fast.tasks.items()}
    evaluations.save(project, _with(fast, tasks))
    found = read(project, View(kind="transfer"), {})
    [own] = [line for line in found.lines if line.entry.row.ours]
    assert (own.entry.row.average, own.margin) == (None, None)


@pytest.mark.parametrize("tasks", [STS, TRANSFER])
@pytest.mark.parametrize("width", [50, 60, 76, 90, 117, 118, 126, 140, 200])
def test_columns_never_take_more_than_there_is_and_all_can_be_reached(
    tasks: tuple[str, ...], width: int
) -> None:
    found = layout(tasks, width)
    for first in range(found.last + 1):
        used = 7 + found.name + 1 + sum(column.width for column in found.shown(first))
        assert used <= width
    seen = {column.key for first in range(found.last + 1) for column in found.shown(first)}
    assert seen == {column.key for column in found.columns} and len(found.columns) == 13


# Scoring


def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    """Let ``code`` stand in for the command; what it is given stands in a file beside it."""
    script = tmp_path / "child.py"
    given = tmp_path / "given"
    begin = f"import sys, json, signal, pathlib\npathlib.Path({str(given)!r}).write_text('\\n'.join(sys.argv[1:]))\n"
    script.write_text(begin + code)
    monkeypatch.setattr(evaluate_job, "COMMAND", (sys.executable, str(script)))
    monkeypatch.setattr(engine_child, "_TRAIN", ())
    return given


async def asked(pilot: AppPilot, data: Path) -> EvaluateModal:
    """Open the dialog and name the data."""
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, EvaluateModal), "the dialog")
    modal = pilot.app.screen
    assert isinstance(modal, EvaluateModal)
    field = next(field for field in modal.query(Field) if field.key == "data")
    if not field.text:
        field.focus_editor()
        await pilot.pause()
        await type_text(pilot, str(data))
    return modal


WAITS = "print('minilm: STS12, STS13, STS14 (1 of 2)', file=sys.stderr, flush=True)\nsignal.pause()\n"


async def test_an_evaluation_outlives_the_screen_is_shown_above_it_and_stops(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = child(tmp_path, monkeypatch, WAITS)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await asked(pilot, tmp_path)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "STS12 … STS14 · part 1 of 2" in screen_text(app), "the progress")
        assert given.read_text().split("\n") == [
            *("-P", str(project), "--json", "--data", str(tmp_path)),
            *("--tasks", "sts", "--mode", "full", "--", "minilm"),
        ]
        await pilot.press("2")
        await until(pilot, lambda: "▶ evaluate minilm 0 %" in screen_text(app), "the job in the top line")
        await pilot.press("8", "v")
        await until(pilot, lambda: "An evaluation is running" in notices(app), "one at a time")
        await pilot.press("x")
        await until(pilot, lambda: not app.jobs.live(), "the end")
        assert "The evaluation was stopped; what was scored is kept." in notices(app)
        await idle(pilot)
        assert "x Stop" not in screen_text(app)
        await asked(pilot, tmp_path)
        assert next(f.text for f in app.screen.query(Field) if f.key == "data") == str(tmp_path), "remembered"


async def test_a_result_lands_under_the_cursor(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluations.save(tmp_path, result("fresh", made="2026-02-01T00:00:00+00:00"))
    evaluations.save(project, result("older"))
    target = project / "evaluations" / done.name
    code = f"text = pathlib.Path({str(done)!r}).read_text()\n"
    code += f"pathlib.Path({str(target)!r}).write_text(text)\nprint(text)"
    child(tmp_path, monkeypatch, code)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        assert current(app).entry.row.system == "older"
        await asked(pilot, tmp_path)
        shown_data = next(f.text for f in app.screen.query(Field) if f.key == "data")
        assert shown_data == "/data/senteval", "the data of the newest result are offered"
        field = next(f for f in app.screen.query(Field) if f.key == "data")
        field.show(str(tmp_path))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "fresh: STS average 79.10." in notices(app), "the notice")
        await until(pilot, lambda: current(app).entry.row.system == "fresh", "the new row")


@pytest.mark.parametrize(
    "code, said",
    [
        (
            "told = {'title': 'Engine', 'message': 'STS12 is [/foo] missing', 'hint': 'get it'}\n"
            "print(json.dumps({'error': told}))\nsys.exit(2)",
            ("STS12 is [/foo] missing", "What to do: get it"),
        ),
        ("print('boom', file=sys.stderr)\nsys.exit(7)", ("ended with code 7", "boom")),
    ],
    ids=["told", "unforeseen"],
)
async def test_what_goes_wrong_in_the_process_is_an_error_one_can_read(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: tuple[str, ...]
) -> None:
    child(tmp_path, monkeypatch, code)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await asked(pilot, tmp_path)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert all(text in screen_text(app) for text in said)
        job = app.jobs.latest("evaluate")
        assert job is not None and job.state == "failed"


async def test_leaving_can_leave_the_evaluation_at_work(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ended"
    code = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})\n"
        + WAITS.replace("signal.pause()", "got = signal.sigwait({signal.SIGUSR1, signal.SIGTERM})")
        + f"pathlib.Path({str(mark)!r}).write_text(got.name)\n"
    )
    child(tmp_path, monkeypatch, code)
    started: list[Any] = []
    real = evaluate_job._start

    def start(*args: Any) -> Any:
        started.append(real(*args))
        return started[-1]

    monkeypatch.setattr(evaluate_job, "_start", start)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await asked(pilot, tmp_path)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "part 1 of 2" in screen_text(app), "the progress")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, ChooseModal), "the question")
        await pilot.press("l")
        await until(pilot, lambda: app._exit, "the end")
    [process] = started
    assert process.poll() is None, "it goes on without the app"
    process.send_signal(signal.SIGUSR1)
    process.wait(30)
    assert mark.read_text() == "SIGUSR1", "nobody had ended it"


async def test_a_missing_extra_names_the_install_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_child, "_TRAIN", ("no_such_package_of_ours",))
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await asked(pilot, project)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert "pip install 'claif-tui[train]'" in screen_text(app)


async def test_the_dialog_says_at_the_field_what_is_wrong(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = child(tmp_path, monkeypatch, WAITS)
    app = ClaifApp(project)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        modal = await asked(pilot, tmp_path / "nowhere")

        def field(key: str) -> Field:
            return next(found for found in modal.query(Field) if found.key == key)

        await pilot.press("ctrl+s")
        assert "✗ no such folder" in screen_text(app) and app.screen is modal
        assert not field("path").display and not field("mode").display
        field("data").show(str(tmp_path))
        assert not field("corpus").display and not field("whitening_dim").display
        field("whitening").query_one(Picker).focus()
        await pilot.press("right")
        field("max_seq_length").focus_editor()
        await until(pilot, lambda: "Tokens kept" in screen_text(app), "the explanation of the field")
        await type_text(pilot, "2")
        await pilot.press("ctrl+s")
        assert "✗ a whole number from 3 on" in screen_text(app) and "✗ name a file" in screen_text(app)
        field("max_seq_length").show("")
        field("whitening").query_one(Picker).focus()
        await pilot.press("right")
        assert field("whitening_dim").display and not field("corpus").display
        await pilot.press("right")
        field("tasks").show("")
        field("tasks").focus_editor()
        await type_text(pilot, "STS99")
        await pilot.press("ctrl+s")
        assert "'STS99' is no task" in screen_text(app)
        field("tasks").show("")
        await type_text(pilot, "STS12,MR")
        assert field("mode").display, "a transfer task has a mode"
        field("model").query_one(Picker).focus()
        await pilot.press("left")
        assert field("path").display and field("model").text == "vectors from a file"
        await pilot.press("ctrl+s")
        assert "✗ name a file" in screen_text(app)
        vectors = tmp_path / "own.npz"
        vectors.touch()
        field("path").focus_editor()
        await type_text(pilot, str(vectors))
        field("backbone").show("bert-base")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: given.exists() and "part 1 of 2" in screen_text(app), "the start")
        assert given.read_text().split("\n")[-4:] == ["--backbone", "bert-base", "--", f"vectors:{vectors}"]
        await pilot.press("x")
        await until(pilot, lambda: not app.jobs.live(), "the end")


def test_runs_with_a_best_checkpoint_are_offered_and_those_at_work_are_not(project: Path) -> None:
    for name, best in (("claif-1", True), ("claif-2", False), ("claif-3", True)):
        path = project / "runs" / name
        config = preset("claif", data=str(project / "d.jsonl"), out=str(path))
        rundir.prepare(path, config)
        run = rundir.claim(path, config)
        if best:
            (run.checkpoints / "best").mkdir(parents=True)
        run.write_metrics({"best": {"step": 5, "dev": 77.5}})
        if name != "claif-3":
            run.events.write("finished", step=10)
        run.events.close()
    found = offers(project)
    assert [offer.label for offer in found] == ["run claif-1 · dev 77.50", "minilm (packaged)"]
    assert found[0].model == str(project / "runs" / "claif-1")


def test_the_command_understands_what_it_is_given(tmp_path: Path) -> None:
    from claif_tui.cli.commands.evaluate import command

    wish = EvaluationWish(
        data=tmp_path,
        tasks="STS12",
        pooling="avg_first_last",
        max_seq_length=64,
        precision="bf16",
        whitening="/corpus.txt",
        whitening_dim=256,
        name="n",
        backbone="bert-base",
        supervision="human+ai",
    )
    for given in (wish, EvaluationWish(data=tmp_path)):
        context: click.Context = command.make_context("evaluate", words(tmp_path, "-odd name", given))
        assert context.params["models"] == ("-odd name",) and context.params["as_json"] is True
        for name in {field.name for field in fields(EvaluationWish)} - {"threads"}:
            assert context.params[name] == getattr(given, name), name


def test_the_end_of_an_evaluation_in_one_line() -> None:
    assert (
        summary(result(tasks=STS + TRANSFER).document())
        == "claif-1: STS average 79.10, transfer average 84.00."
    )
    assert summary(result(tasks=STS[:1]).document()) == "claif-1: 1 task scored."


# Taking rows along


async def test_the_rows_that_are_shown_are_written_as_they_stand(scored: Path) -> None:
    app = ClaifApp(scored)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await press(pilot, "b", "b", "s", "n", "o", "c")
        path = scored / "exports" / "leaderboard-sts-bert-base.csv"
        await until(pilot, path.exists, "the file")
        await idle(pilot)
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        assert [row["system"] for row in rows] == names(app)
        assert [row["ours"] for row in rows[:3]] == ["yes", "yes", "no"]
        assert {row["backbone"] for row in rows} == {"bert-base"}
        await press(pilot, "o", "m", "o", "t")
        assert "| **claif-1** | bert-base | ai |" in path.with_suffix(".md").read_text("utf-8")
        assert r"\textbf{claif-1}" in path.with_suffix(".tex").read_text("utf-8")
        path.write_text("mine")
        await press(pilot, "o", "c")
        await until(pilot, lambda: isinstance(app.screen, ConfirmModal), "the question")
        await press(pilot, "n")
        assert path.read_text() == "mine"
        await press(pilot, "o", "c", "y")
        await until(pilot, lambda: path.read_text("utf-8") != "mine", "the new file")


async def test_an_export_that_cannot_be_written_says_why(scored: Path) -> None:
    (scored / "exports").rmdir()
    (scored / "exports").write_text("in the way")
    app = ClaifApp(scored)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot)
        await press(pilot, "o", "m")
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert "cannot be written" in screen_text(app)


# Pictures

SnapCompare = Callable[..., bool]


def steps(*keys: str) -> Callable[[AppPilot], Awaitable[None]]:
    async def run(pilot: AppPilot) -> None:
        await shown(pilot)
        await press(pilot, *keys)
        still(pilot.app)
        await pilot.pause()

    return run


@pytest.fixture
def same_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the same local times on every machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.usefixtures("same_zone")
@pytest.mark.parametrize("size", [SMALL, SIZE], ids=["80x24", "120x40"])
def test_picture(snap_compare: SnapCompare, scored: Path, size: tuple[int, int]) -> None:
    assert snap_compare(ClaifApp(scored), terminal_size=size, run_before=steps())


@pytest.mark.parametrize("size", [SMALL, SIZE], ids=["80x24", "120x40"])
def test_picture_without_results(snap_compare: SnapCompare, project: Path, size: tuple[int, int]) -> None:
    assert snap_compare(ClaifApp(project), terminal_size=size, run_before=steps())


@pytest.mark.usefixtures("same_zone")
def test_picture_turned(snap_compare: SnapCompare, scored: Path) -> None:
    assert snap_compare(
        ClaifApp(scored), terminal_size=SMALL, run_before=steps("right", "right", "right", "right")
    )


@pytest.mark.usefixtures("same_zone")
def test_picture_without_colours(
    snap_compare: SnapCompare, scored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(ClaifApp(scored), terminal_size=SMALL, run_before=steps())
