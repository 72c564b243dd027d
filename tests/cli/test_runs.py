"""``claif-tui runs`` and following, on real run directories of processes that stand for training."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from claif_tui.cli import following
from claif_tui.core import launching, runs
from claif_tui.core.runs import Follower
from engine.config import preset
from engine.rundir import liveness
from tests.cli.conftest import Cli, child, finish
from tests.core.train_child import FAILS, FINISHES, WAITS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(launching, "TRAIN", (sys.executable, "-P", "-m", "tests.core.train_child"))
    project = tmp_path / "p"
    (project / "runs").mkdir(parents=True)
    (project / "d.jsonl").touch()
    yield project
    for row in runs.list_runs(project):
        if row.state in ("running", "stopping"):
            runs.stop(project, row.name, force=True)


def launch(project: Path, kind: int, out: str = "") -> Path:
    return runs.launch(project, preset("claif", data="d.jsonl", seed=kind, out=out), base=project)


def ended(path: Path) -> None:
    follower = Follower(path)
    while not follower.progress.ended or liveness(path) in ("running", "stopping"):
        follower.poll()
        os.sched_yield()


def test_a_project_without_runs_says_how_to_start_one(tmp_path: Path, cli: Cli) -> None:
    assert "claif-tui train" in cli("runs", "list", "-P", tmp_path).out
    assert cli("runs", "list", "-P", tmp_path, "--json").doc == {"runs": []}
    assert cli("runs", "show", "claif-1", "-P", tmp_path).code == 2


def test_following_a_run_to_its_end_gives_its_metrics(folder: Path, cli: Cli) -> None:
    path = launch(folder, FINISHES)
    done = cli("runs", "show", "claif-1", "--follow", "-P", folder, "--json")
    assert done.code == 0
    assert done.doc == {
        "run": "claif-1",
        "path": str(path),
        "state": "finished",
        "best": {"step": 6, "dev": 76.0},
    }
    said = cli("runs", "show", "claif-1", "--follow", "-P", folder).out
    assert "claif-1 finished" in said and "best dev 76.00 at step 6" in said
    assert str(path / "checkpoints" / "best") in said


def test_runs_are_listed_and_shown(folder: Path, cli: Cli) -> None:
    ended(launch(folder, FINISHES))
    [row] = cli("runs", "list", "-P", folder, "--json").doc["runs"]
    assert (row["name"], row["state"], row["total_steps"]) == ("claif-1", "finished", 10)
    assert row["best"] == {"step": 6, "dev": 76.0}
    assert "76.00 at 6" in cli("runs", "list", "-P", folder).out
    doc = cli("runs", "show", "claif-1", "-P", folder, "--json").doc
    assert (doc["rows"], doc["device"], doc["config"]["seed"]) == (64, "cpu", FINISHES)
    assert doc["scores"] == [{"step": 6, "dev": 76.0, "best": True}]
    said = cli("runs", "show", "claif-1", "-P", folder).out
    assert "turn 1" in said and "finished" in said
    by_path = cli("runs", "show", folder / "runs" / "claif-1", "--json", "-P", folder.parent)
    assert by_path.doc == doc


def test_ctrl_c_ends_the_following_and_not_the_run(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    path = launch(folder, WAITS)
    monkeypatch.setattr(following, "sleep", interrupt)
    done = cli("runs", "show", "claif-1", "--follow", "-P", folder, "--json")
    assert done.code == 130
    assert done.out == ""
    assert "The run goes on" in done.err and f"claif-tui runs stop {path}" in done.err
    assert liveness(path) == "running"


def test_a_real_ctrl_c_reaches_the_command_alone(folder: Path) -> None:
    path = launch(folder, WAITS)
    process = child("runs", "show", path, "--follow")
    assert process.stderr is not None
    # On no terminal a line tells the progress every few seconds: the command follows once it stands there.
    assert process.stderr.readline().startswith("claif-1: 6 of 10")
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, "The run goes on" in done.err) == (130, True)
    assert liveness(path) == "running"


def test_a_run_is_stopped_and_goes_on(folder: Path, cli: Cli) -> None:
    path = launch(folder, WAITS)
    follower = Follower(path)
    while follower.progress.step < 6:
        follower.poll()
    assert cli("runs", "stop", "claif-1", "-P", folder, "--json").doc["stop"] == "signalled"
    stopped = cli("runs", "show", "claif-1", "--follow", "-P", folder, "--json")
    assert (stopped.code, stopped.doc["state"]) == (1, "stopped")
    assert f"claif-tui train --resume --out {path}" in stopped.err
    wrong = cli("train", "--resume", "--epochs", 5, "-P", folder)
    assert (wrong.code, "--epochs does not go with --resume" in wrong.err) == (2, True)
    ended(path)
    while (gone := cli("train", "--resume", "--follow", "-P", folder, "--json")).code == 1 and (
        "about to end" in gone.err
    ):
        os.sched_yield()
    # The end of the first turn, which stands in its events, is not taken for that of the second.
    assert (gone.code, gone.doc["state"]) == (0, "finished")
    assert "over already" in cli("runs", "stop", "claif-1", "-P", folder).out
    none = cli("train", "--resume", "-P", folder)
    assert none.code == 2 and "claif-1 finished" in none.err


def test_a_failed_run_says_why_and_how_to_go_on(folder: Path, cli: Cli) -> None:
    path = launch(folder, FAILS)
    done = cli("runs", "show", "claif-1", "--follow", "-P", folder, "--json")
    assert done.code == 1
    assert done.doc["error"]["message"] == "claif-1 failed: a loss is not a number Lower lr."
    assert f"claif-tui train --resume --out {path}" in done.doc["error"]["hint"]


def test_a_run_that_is_killed_is_told_as_dead(folder: Path, cli: Cli) -> None:
    path = launch(folder, WAITS)
    follower = Follower(path)
    while not follower.progress.scores:
        follower.poll()
    while "turn 1" not in runs.log_tail(path):
        os.sched_yield()
    assert "was killed" in cli("runs", "stop", str(path), "--force", "-P", folder).out
    done = cli("runs", "show", str(path), "--follow", "-P", folder)
    assert done.code == 1
    assert "is: dead, without a word" in done.err and "turn 1" in done.err


def test_a_run_outside_a_project_is_found_by_its_path(folder: Path, tmp_path: Path, cli: Cli) -> None:
    path = launch(folder, FINISHES, out=str(tmp_path / "far"))
    done = cli("runs", "show", path, "--follow", "--json", "-P", tmp_path)
    assert (done.code, done.doc["run"]) == (0, "far")
    assert cli("runs", "show", tmp_path / "nowhere", "-P", tmp_path).code == 1


def test_import_brings_a_run_in(folder: Path, tmp_path: Path, cli: Cli) -> None:
    path = launch(folder, FINISHES)
    ended(path)
    other = tmp_path / "other"
    other.mkdir()
    assert cli("runs", "import", path, "--name", "cluster", "-P", other, "--json").doc["name"] == "cluster"
    assert cli("runs", "show", "cluster", "-P", other, "--json").doc["state"] == "finished"
    again = cli("runs", "import", path, "--name", "cluster", "-P", other)
    assert again.code == 2 and "already" in again.err
    assert json.loads((other / "runs" / "cluster" / "metrics.json").read_text())["best"]["step"] == 6
