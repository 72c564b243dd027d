"""The overlap with evaluation sets on the Train screen: asked of the real engine, shown, left out, never in the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import overlap, settings
from claif_tui.core.snapshot import snapshots
from claif_tui.core.store.store import Store
from claif_tui.core.training import Plan
from claif_tui.ui.app import ClaifApp
from claif_tui.ui.screens import train_form, train_launch
from claif_tui.ui.screens.train_form import ConfigModal
from claif_tui.ui.screens.train_overlap import FolderModal, OverlapModal
from engine import rundir
from engine.config import TrainConfig
from tests.core.train_child import FINISHES
from tests.overlap_data import evaluation_data, training_file
from tests.ui.conftest import idle, screen_text, type_text, until
from tests.ui.hostile import leaks
from tests.ui.made_pairs import make_project
from tests.ui.test_train import SMALL, WIDE, frozen, notices, stand_in, train


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose default run trains, without a model, on data of which some stand in STS-B's test split."""
    monkeypatch.setattr(train_launch, "GPU_DEVICES", ())
    folder = make_project(tmp_path / "stsb")
    with Store.open(folder) as store:
        store.decisions.decide(list(range(1, 7)), "accept")
    frozen(folder)
    stand_in(monkeypatch, FINISHES)
    data = training_file(tmp_path / "claif.jsonl")
    default = train_launch.default_config

    def on_data(*args: Any, **more: Any) -> TrainConfig:
        return replace(default(*args, **more), data=str(data), select="own")

    monkeypatch.setattr(train_launch, "default_config", on_data)
    return folder


async def test_the_form_shows_what_overlaps_and_trains_without_it(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [snapshot] = [one.id for one in snapshots(ready)]
    plan = Plan(
        rows=6,
        steps_per_epoch=1,
        total_steps=3,
        dev={"own": 1},
        remarks=(),
        warnings=(),
        dropped={},
        content={},
    )
    monkeypatch.setattr(train_form, "planned", lambda config: plan)
    monkeypatch.setattr(train_form, "PAUSE_SECONDS", 0.01)
    senteval = evaluation_data(tmp_path / "senteval")
    app = ClaifApp(ready)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await train(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "not checked  ctrl+o names them" in screen_text(app), "that it is not known")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, FolderModal), "the question")
        await type_text(pilot, str(tmp_path / "nowhere"))
        await pilot.press("enter")
        await until(pilot, lambda: "no such folder" in screen_text(app), "the complaint")
        await pilot.press("ctrl+u")
        await type_text(pilot, str(senteval))
        await pilot.press("enter")
        await until(pilot, lambda: "! overlap: 42 % in STS tests (exact 4, near 1)" in screen_text(app), "it")
        assert settings.load().text(overlap.SETTING) == str(senteval)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, OverlapModal), "the table")
        shown = screen_text(app)
        assert "STSBenchmark test             4 + 1    42 %   0.2 %              1" in shown
        assert "Of 6 rows 2 hold a sentence of a test set, 1 more nearly." in shown
        await pilot.press("ctrl+d", "ctrl+d")
        await until(pilot, lambda: "on the red [/]mat" in screen_text(app), "an example, as text")
        assert not leaks(screen_text(app))
        await pilot.press("n")
        await until(
            pilot, lambda: "3 of 6 rows overlap (near) and are left out" in screen_text(app), "the choice"
        )
        await pilot.press("ctrl+o", "e")
        await until(
            pilot, lambda: "2 of 6 rows overlap (exact) and are left out" in screen_text(app), "the other"
        )
        assert isinstance(app.screen, ConfigModal)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✓ finished claif-1" in screen_text(app), "the run")
        await idle(pilot)
        assert "2 rows are left out, 4 stay" in notices(app)
    trained = rundir.read_config(ready / "runs" / "claif-1").data
    manifest = json.loads((Path(trained) / "manifest.json").read_bytes())
    assert Path(trained).parent == ready / "snapshots"
    assert [one["rows"] for one in manifest["overlap_removed"]] == [2]
    with Store.open(ready) as store:
        newest = train_launch.ground(store).snapshot
    assert newest is not None and newest.id == snapshot, "t goes on from what the project froze itself"


async def test_one_key_starts_at_once_and_the_run_is_told_what_overlaps(ready: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    settings.remember(overlap.SETTING, str(empty))
    app = ClaifApp(ready)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await train(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "claif-1 was not compared with evaluation sets" in notices(app), "why not")
        await until(pilot, lambda: "✓ finished" in screen_text(app), "that it trains all the same")
        settings.remember(overlap.SETTING, str(evaluation_data(tmp_path / "senteval")))
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, OverlapModal), "the table, made now")
        assert "42 % of the training sentences stand in STS test sets" in screen_text(app)
        assert "Without exact" not in screen_text(app), "this run has trained already"
        await pilot.press("escape", "t")
        await until(pilot, lambda: "claif-2: 42 % of the training sentences" in notices(app), "the warning")
        await until(pilot, lambda: "! overlap: 42 % in STS tests" in screen_text(app), "it beside the run")
        await idle(pilot)
    assert rundir.read_overlap(ready / "runs" / "claif-2") == rundir.read_overlap(ready / "runs" / "claif-1")
