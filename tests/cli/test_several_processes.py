"""``claif-tui train --launcher torchrun``: two real processes share one run, through a stop, a resume and a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import runs
from engine import process, rundir
from tests.cli.conftest import Cli
from tests.cli.test_train import SMALL
from tests.cli.test_train import pairs as pairs

TWO = ("--launcher", "torchrun", "--processes", 2)
Event = dict[str, Any]


@contextmanager
def told(path: Path) -> Iterator[Callable[[str], Event]]:
    """Wait for the next event of a kind, leaving the cores to the run."""
    words = ["tail", "-n", "+1", "-F", str(path / rundir.EVENTS)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        assert tail.stdout is not None
        events = map(json.loads, tail.stdout)
        yield lambda kind: next(event for event in events if event["kind"] == kind)
        tail.terminate()


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.timeout(300)
def test_a_run_of_two_stops_goes_on_and_fails_with_words(project: Path, pairs: Path, cli: Cli) -> None:
    words = ("train", "-P", project, "--data", pairs, *SMALL, *TWO, "--epochs", 1000, "--eval-every", 50)
    started = cli(*words, "--json")
    assert started.code == 0, started.err
    path = Path(started.doc["path"])
    with told(path) as wait:
        # Told to end before both are there, it still ends in order.
        assert cli("runs", "stop", path).code == 0
        stopped = wait("stopped")["step"]
        first = rundir.read_info(path)
        assert first is not None and (first.launcher, len(first.facts["pids"])) == ("torchrun", 2)
        assert first.pid == first.facts["pids"][0]
        while any(process.start_mark(pid) for pid in first.facts["pids"]):
            os.sched_yield()
        assert runs.log_tail(path) == ""

        assert cli("train", "--resume", "--out", path).code == 0
        assert wait("started")["from_step"] == stopped
        assert wait("step")["step"] > stopped
        again = rundir.read_info(path)
        assert again is not None and again.incarnation == 2
        other = again.facts["pids"][1]
        os.kill(other, signal.SIGKILL)
        failed = wait("failed")
    assert failed["message"] == f"process 2 of 2 is gone (number {other})" and "resume" in failed["hint"]
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
