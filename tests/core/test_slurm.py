"""Runs as jobs of Slurm: through submitit's own executor on this machine, and with commands that stand for Slurm's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import launching, runs, slurm, slurm_queue
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.runs import Follower
from engine import rundir
from engine.config import preset
from engine.events import EventWriter, all_events
from tests.core.slurm_commands import Slurm, installed
from tests.core.train_child import PREEMPTED, WAITS

pytest.importorskip("submitit", reason="needs the slurm extra")

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = (sys.executable, "-P", "-m", "tests.core.train_child")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    return installed(tmp_path / "bin", monkeypatch)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(launching, "TRAIN", STAND_IN)
    (tmp_path / "p" / "runs").mkdir(parents=True)
    (tmp_path / "p" / "d.jsonl").touch()
    yield tmp_path / "p"
    for row in runs.list_runs(tmp_path / "p"):
        if rundir.lives_here(row.path):
            runs.stop(tmp_path / "p", row.name, force=True)


def submit(project: Path, kind: int = WAITS, **more: Any) -> Path:
    config = preset("claif", data="d.jsonl", seed=kind, launcher="slurm", slurm_gpus=0, **more)
    return runs.launch(project, config, base=project)


def in_queue(project: Path, **more: Any) -> Path:
    """A run whose job 4711 was handed to the cluster blue."""
    path = project / "runs" / "claif-1"
    config = preset("claif", data="d.jsonl", seed=WAITS, out=str(path), launcher="slurm", slurm_gpus=0, **more)
    rundir.prepare(path, config)
    (path / rundir.SLURM).mkdir()
    job = {"job": "4711", "name": "claif-1-c0ffee", "cluster": "blue", "after": 0, "submitted": 1.7e9}
    (path / rundir.SLURM / slurm_queue.JOB).write_text(json.dumps(job))
    return path


def follow(path: Path, reached: Callable[[Follower], bool]) -> Follower:
    """Follow a run until something was told; other processes get the CPU meanwhile."""
    follower = Follower(path)
    while not reached(follower):
        follower.poll()
        os.sched_yield()
    return follower


def state(path: Path) -> tuple[str, str]:
    how = slurm_queue.condition(path)
    return how.state, how.why


def elsewhere(path: Path, *, began: float = 0.0) -> EventWriter:
    """Take a run as its job on another machine would, and return what it tells with."""
    run = rundir.claim(path, rundir.read_config(path), "slurm")
    info = json.loads((path / "run.json").read_bytes())
    (path / "run.json").write_text(json.dumps({**info, "host": "node7", "claimed": began or info["claimed"]}))
    return run.events


def test_a_job_whose_node_is_taken_waits_again_and_goes_on(
    project: Path, commands: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "CLUSTER", "local")
    path = submit(project, PREEMPTED)
    progress = follow(path, lambda follower: follower.progress.ended in ("finished", "failed")).progress
    found = list(all_events(path / rundir.EVENTS))
    told = [event["kind"] for event in found if event["kind"] not in ("step", "eval")]
    assert told == ["started", "stopped", "queued", "started", "finished"]
    [queued] = [event for event in found if event["kind"] == "queued"]
    job, info = slurm_queue.submitted(path), rundir.read_info(path)
    assert job is not None and info is not None
    assert queued["message"] == f"job {job.job} went back into the queue: Slurm took its node back"
    assert (info.launcher, info.job, info.incarnation) == ("slurm", job.job, 2)
    assert progress.losses == [(step, 1 / step) for step in range(1, 11)]
    assert state(path)[0] == "finished"


def test_a_job_that_is_told_to_end_saves_and_is_handed_in_again(
    project: Path, commands: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "CLUSTER", "local")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    path = submit(project)
    follow(path, lambda follower: follower.progress.step == 6)
    info = rundir.read_info(path)
    assert info is not None and info.facts["keys"] == []
    assert runs.stop_at(path) == "signalled"
    follow(path, lambda follower: follower.progress.ended == "stopped")
    while state(path)[0] != "stopped" or rundir.lives_here(path):
        os.sched_yield()
    assert runs.stop_at(path) == "over"
    first = slurm_queue.submitted(path)
    runs.resume_at(path)
    progress = follow(path, lambda follower: follower.progress.ended == "finished").progress
    second = slurm_queue.submitted(path)
    assert first is not None and second is not None
    assert (first.after, second.after, first.job != second.job) == (0, 1, True)
    assert progress.losses == [(step, 1 / step) for step in range(1, 11)]


def test_what_sbatch_is_told_and_no_key_goes_along(
    project: Path, commands: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    commands.says("sbatch", "Submitted batch job 4711")
    setup = ("module load cuda", "#SBATCH --mem=32G")
    more = {"slurm_account": "nlp", "slurm_partition": "gpu", "slurm_time": 5, "slurm_setup": setup}
    path = runs.launch(project, preset("claif", data="d.jsonl", launcher="slurm", **more), base=project)
    script = commands.told("sbatch").splitlines()
    for line in ("account=nlp", "partition=gpu", "gpus-per-node=1", "time=5", "signal=USR2@75", "requeue"):
        assert f"#SBATCH --{line}" in script
    begins = next(number for number, line in enumerate(script) if line and not line.startswith("#"))
    assert script[begins] == "module load cuda"
    assert script.index("#SBATCH --mem=32G") < begins
    assert "sk-secret" not in commands.told("sbatch", "env")
    job = slurm_queue.submitted(path)
    assert job is not None
    assert (job.job, job.cluster, job.after) == ("4711", "blue", 0)
    assert f"#SBATCH --job-name={job.name}" in script


def test_several_gpus_are_several_processes() -> None:
    config = launching.settled(preset("claif", data="d.jsonl", launcher="slurm", slurm_gpus=2))
    assert (config.processes, config.slurm_gpus) == (2, 2)
    assert launching.command(config, Path("run"), resume=False)[3] == "engine.torchrun"
    one = launching.settled(preset("claif", data="d.jsonl", launcher="slurm"))
    assert (one.processes, launching.command(one, Path("run"), resume=False)[3]) == (0, "engine")


def test_a_job_that_is_not_taken_leaves_nothing_behind(
    project: Path, commands: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(slurm.SlurmError) as caught:
        submit(project, slurm_partition="nowhere")
    assert "invalid partition specified: nowhere" in caught.value.message
    assert "sinfo" in caught.value.hint
    (commands.bin / "sbatch").unlink()
    with pytest.raises(UsageError, match="no sbatch on this machine"):
        submit(project)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ClaifError) as missing:
        submit(project)
    assert missing.value.hint == "pip install 'claif-tui[slurm]'"
    assert list((project / "runs").iterdir()) == []


def test_before_it_begins_a_job_waits_until_slurm_says_otherwise(project: Path, commands: Slurm) -> None:
    path = in_queue(project)
    commands.queue(path, "PENDING", "Priority")
    assert state(path) == ("waiting", "job 4711 waits in the queue (Priority)")
    [row] = runs.list_runs(project)
    assert (row.state, row.job, row.launcher, row.begun > 0) == ("waiting", "4711", "slurm", True)
    with pytest.raises(UsageError, match="cannot be resumed: job 4711 waits"):
        runs.resume_at(path)
    commands.queue(path, "RUNNING")
    assert state(path)[0] == "waiting"
    commands.says("squeue", None)
    assert state(path)[0] == "dead"
    assert "4711_0_log.err" in state(path)[1]
    # The same number under another name is another's job.
    commands.says("squeue", "4711|RUNNING|node7|None|hers")
    assert state(path)[0] == "dead"
    (commands.bin / "squeue").unlink()
    slurm_queue.forget()
    assert state(path) == ("unknown", "job 4711 was submitted, but there is no squeue on this machine to ask")


def test_on_another_cluster_nothing_is_known_of_a_job(
    project: Path, commands: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_queue(project)
    monkeypatch.setattr(slurm_queue, "_cluster", "red")
    assert state(path)[0] == "unknown"
    assert "cluster blue" in state(path)[1]


def test_a_job_that_waits_is_taken_out_of_the_queue_and_handed_in_again(project: Path, commands: Slurm) -> None:
    path = in_queue(project)
    commands.queue(path, "PENDING")
    assert runs.stop_at(path) == "cancelled"
    assert commands.told("scancel") == "--state=PENDING 4711\n"
    commands.queue(path, "CANCELLED")
    assert state(path) == ("stopped", "job 4711 was cancelled before it began")
    commands.says("sbatch", "Submitted batch job 4712")
    runs.resume_at(path)
    commands.queue(path, "PENDING")
    assert state(path) == ("waiting", "job 4712 waits in the queue (None)")


def test_a_run_on_another_node_lives_and_dies_by_the_word_of_slurm(project: Path, commands: Slurm) -> None:
    path = in_queue(project)
    events = elsewhere(path, began=1.0)
    commands.queue(path, "RUNNING")
    assert state(path)[0] == "running"
    assert "is running on node7, says Slurm; no sign of life" in state(path)[1]
    events.beat()
    commands.queue(path, "PENDING", "BeginTime")  # put back by an administrator: it had no time to say so
    assert state(path) == ("waiting", "job 4711 waits in the queue (BeginTime)")
    commands.queue(path, "NODE_FAIL")
    assert state(path) == ("dead", "job 4711 is over: node_fail, says Slurm")
    # The scheduler's word is enough to go on, though the run gave a sign of life a moment ago.
    assert rundir.liveness(path) == "running"
    commands.says("sbatch", "Submitted batch job 4712")
    runs.resume_at(path)
    assert rundir.liveness(path) == "dead"
    commands.queue(path, "PENDING")
    assert state(path)[0] == "waiting"
    events.close()


def test_one_that_was_put_back_without_a_word_is_stopped_while_it_waits(project: Path, commands: Slurm) -> None:
    path = in_queue(project)
    elsewhere(path, began=1.0).close()
    commands.queue(path, "PENDING", "BeginTime")
    job = slurm_queue.submitted(path)
    assert job is not None
    (commands.bin / "scancel").write_text(
        f'#!/bin/sh\necho "4711|CANCELLED||None|{job.name}" > {commands.bin}/squeue.says\n'
    )
    assert runs.stop_at(path) == "cancelled"
    assert [row.why for row in runs.list_runs(project)] == ["its job was taken out of the queue"]
    assert state(path)[0] == "stopped"


def test_a_run_that_went_back_into_the_queue_says_so_itself(project: Path, commands: Slurm) -> None:
    path = in_queue(project)
    elsewhere(path).close()
    rundir.tell_after(path, "stopped", step=7)
    rundir.tell_after(path, "queued", job="4711", message="job 4711 went back into the queue: x")
    commands.queue(path, "COMPLETING")
    assert state(path) == ("waiting", "job 4711 went back into the queue: x")
    (commands.bin / "squeue").rename(commands.bin / "away")
    slurm_queue.forget()
    assert state(path)[0] == "unknown"
    assert "whether it still waits is not known" in state(path)[1]
    (commands.bin / "away").rename(commands.bin / "squeue")
    slurm_queue.forget()
    commands.queue(path, "PENDING")
    assert runs.stop_at(path) == "cancelled"
    commands.says("squeue", None)
    assert state(path) == ("stopped", "told to end while it waited in the queue")
    commands.says("sbatch", "Submitted batch job 4712")
    runs.resume_at(path)
    # On its node, where nobody asks Slurm, the job may take it over.
    assert rundir.liveness(path) == "dead"


def test_an_unknown_run_is_dead_by_the_word_of_its_user_until_it_speaks(project: Path) -> None:
    path = project / "runs" / "far"
    config = preset("claif", data="d.jsonl", seed=WAITS, out=str(path))
    rundir.prepare(path, config)
    events = elsewhere(path, began=1.0)
    assert state(path)[0] == "unknown"
    with pytest.raises(ClaifError) as refused:
        runs.resume_at(path)
    assert f"claif-tui runs stop --gone {path}" in refused.value.message + refused.value.hint
    runs.declare_gone(path)
    assert state(path) == ("dead", "its user says that it is gone")
    events.beat()  # it was not
    assert state(path)[0] == "running"
    with pytest.raises(UsageError, match="--gone is for a run of which nothing is known"):
        runs.declare_gone(path)
    events.close()


def test_a_run_of_a_cluster_goes_on_as_a_process_of_this_machine(project: Path, commands: Slurm) -> None:
    path = in_queue(project, slurm_account="nlp", slurm_time=9)
    elsewhere(path).close()
    rundir.tell_after(path, "stopped", step=6)
    commands.says("squeue", None)
    runs.resume_at(path, where={"launcher": "local"})
    follow(path, lambda follower: follower.progress.ended == "finished")
    config, info = rundir.read_config(path), rundir.read_info(path)
    assert info is not None
    assert (config.launcher, config.slurm_account, config.slurm_time, info.launcher) == (
        "local",
        "",
        240,
        "local",
    )


@pytest.mark.parametrize(("number", "taken_over"), [("4711", True), ("4712", False)])
def test_a_job_takes_over_from_its_own_earlier_turn_and_from_no_other_job(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: str, taken_over: bool
) -> None:
    path = in_queue(project)
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    elsewhere(path).close()
    code = (
        "import sys; from claif_tui.core.slurm_job import TrainingJob, _Turn\n"
        "_Turn(TrainingJob(sys.argv[1], ['/bin/false'], 60.0), sys.argv[2], None).go()"
    )
    subprocess.run([sys.executable, "-c", code, str(path), number], cwd=ROOT, check=True)
    assert rundir.liveness(path) == ("dead" if taken_over else "running")


def test_a_signal_that_came_before_the_engine_could_take_it_is_not_lost() -> None:
    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}); os.kill(os.getpid(), signal.SIGUSR2)\n"
        "from engine.verbs import Signals\n"
        "signals = Signals(); print(signals.came(), signals.exit_code - signal.SIGUSR2)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True 128\n"
