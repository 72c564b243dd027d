"""``claif-tui train --launcher torchrun``: two real processes share one run, through a stop, a resume and a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from claif_tui.core import runs
from claif_tui.core.runs import Progress
from engine import process, rundir
from engine.events import all_events
from tests.cli.conftest import Cli
from tests.cli.test_train import SMALL
from tests.cli.test_train import pairs as pairs

TWO = ("--launcher", "torchrun", "--processes", 2)


def until(path: Path, reached: Callable[[Progress], bool]) -> Progress:
    """Follow a run until it has told what is waited for."""
    follower = runs.Follower(path)
    while not reached(follower.progress):
        follower.poll()
        os.sched_yield()
    return follower.progress


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.timeout(300)
def test_a_run_of_two_stops_goes_on_and_fails_with_words(project: Path, pairs: Path, cli: Cli) -> None:
    words = ("train", "-P", project, "--data", pairs, *SMALL, *TWO, "--epochs", 1000, "--eval-every", 50)
    started = cli(*words, "--json")
    assert started.code == 0, started.err
    path = Path(started.doc["path"])
    until(path, lambda progress: progress.step > 0)
    info = rundir.read_info(path)
    assert info is not None and (info.launcher, len(info.facts["pids"])) == ("torchrun", 2)
    assert info.pid == info.facts["pids"][0]
    assert cli("runs", "stop", path).code == 0
    stopped = until(path, lambda progress: progress.ended != "")
    assert stopped.ended == "stopped"
    # Both are gone, and none of them has failed.
    for pid in info.facts["pids"]:
        while process.start_mark(pid) is not None:
            os.sched_yield()
    assert runs.log_tail(path) == ""

    assert cli("train", "--resume", "--out", path).code == 0
    until(path, lambda progress: progress.step > stopped.step)
    assert [
        event["from_step"] for event in all_events(path / "events.jsonl") if event["kind"] == "started"
    ] == [
        0,
        stopped.step,
    ]
    again = rundir.read_info(path)
    assert again is not None and again.incarnation == 2
    other = again.facts["pids"][1]
    os.kill(other, signal.SIGKILL)
    failed = until(path, lambda progress: progress.ended != "")
    assert failed.ended == "failed"
    assert failed.message.startswith(f"process 2 of 2 is gone (number {other})")
    assert "Traceback" not in runs.log_tail(path)


def test_what_cannot_be_shared_is_refused_before_a_run_is_made(project: Path, pairs: Path, cli: Cli) -> None:
    words = ("train", "-P", project, "--data", pairs, *SMALL)
    for more, said in (
        (("--processes", 2), "launcher local starts one"),
        ((*TWO[:3], 1), "launcher torchrun starts several"),
        ((*TWO[:3], 9), "a batch of 8 rows is shared"),
    ):
        refused = cli(*words, *more)
        assert refused.code == 2 and said in refused.err
    refused = cli(*words, *TWO[:2])
    assert refused.code == 1 and "one for each visible GPU, but there is none" in refused.err
    assert list((project / "runs").glob("*")) == []
