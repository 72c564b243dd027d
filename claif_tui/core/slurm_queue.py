"""How a run stands by the word of Slurm: asking squeue, and joining its answer to what the run says itself.

Submitting and cancelling are ``slurm``'s; nothing here changes anything. Asking takes up to ``PATIENCE_SECONDS``, so
never on the app's own thread.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import engine.rundir as rundir
from engine.errors import RunError
from engine.events import ENDS
from engine.rundir import Condition

JOB = "job.json"
"""What was handed to Slurm, in the run's folder ``slurm``."""
PATIENCE_SECONDS = 5.0
FRESH_SECONDS = 5.0
"""An answer is as good as new for so long; that there was none, for six times as long."""

_WAITS = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_RUNS = frozenset(
    {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
)
_UNKNOWN_JOB = re.compile("invalid job id", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was submitted for a run: ``name`` is no other's, ``after`` the run's last turn before it."""

    job: str
    name: str
    cluster: str
    after: int
    submitted: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job is, and what was said of it: ``ending`` where it runs, but is being taken down."""

    place: Literal["waits", "runs", "ending", "gone", "unknown"]
    why: str


def submitted(path: Path) -> Job | None:
    """Return the newest job of a run, None if it has none or its file does not read."""
    try:
        found = json.loads((path / rundir.SLURM / JOB).read_bytes())
        return Job(
            job=str(int(found["job"])),
            name=str(found["name"]),
            cluster=str(found["cluster"]),
            after=int(found["after"]),
            submitted=float(found["submitted"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def condition(path: Path) -> Condition:
    """Say how a run stands: by its own word and its process, and for a job of Slurm by the scheduler's."""
    own = rundir.condition(path)
    job = submitted(path)
    if job is None:
        return own
    try:
        info = rundir.read_info(path)
    except RunError:
        return own
    began = info is not None and info.incarnation > job.after
    if began and (own.state in ("finished", "failed") or rundir.lives_here(path)):
        return own
    said = standing(job)
    if said.place == "gone" and began:
        own = rundir.condition(path)  # it may have told its end while the queue was asked
        if own.state in ENDS:
            return own
    return _after(own, said, job) if began else _before(path, own, said, job)


def _before(path: Path, own: Condition, said: Standing, job: Job) -> Condition:
    """The condition of a run whose job has not taken its directory."""
    if said.place in ("waits", "runs", "ending"):
        return Condition("waiting", said.why)
    if said.place == "unknown":
        return Condition("unknown", f"job {job.job} was submitted, but {said.why}")
    if own.state in ENDS or own.state == "dead":
        return Condition(own.state, f"job {job.job} ended before the run went on")
    if rundir.stop_asked(path):
        return Condition("stopped", f"job {job.job} was cancelled before it began")
    return Condition(
        "dead", f"job {job.job} ended before the run began: see {rundir.SLURM}/{job.job}_0_log.err"
    )


def _after(own: Condition, said: Standing, job: Job) -> Condition:
    """The condition of a run that its job has taken; it does not live on this machine."""
    if said.place == "waits":
        return Condition("waiting", said.why)
    if said.place == "gone":
        return Condition("dead", said.why)
    if said.place in ("runs", "ending") and own.state == "unknown":
        return Condition("running", f"{said.why}; {own.why}")
    if said.place == "unknown" and own.state == "waiting":
        return Condition("unknown", f"{own.why}; whether it still waits is not known: {said.why}")
    return own


# Asking

Row = tuple[str, str, str, str]
"""Of a job that squeue knows: state, node, reason, name."""

_lock = threading.Lock()
_answers: dict[str, tuple[float, Row | None]] = {}
_wanted: dict[str, float] = {}
_mute: tuple[float, str] = (-1e9, "")
_cluster = ""


def standing(job: Job) -> Standing:
    """Ask squeue where a job is. An answer is kept for some seconds; one call is for all jobs asked for lately."""
    global _mute
    with _lock:
        now = time.monotonic()
        if job.job not in _answers or now - _answers[job.job][0] > FRESH_SECONDS:
            if now - _mute[0] < 6 * FRESH_SECONDS:
                return Standing("unknown", _mute[1])
            _wanted[job.job] = now
            lately = [one for one, when in _wanted.items() if now - when < 12 * FRESH_SECONDS]
            rows = _asked(lately)
            if isinstance(rows, str):
                _mute = (time.monotonic(), rows)
                return Standing("unknown", rows)
            _answers.update({one: (time.monotonic(), rows.get(one)) for one in lately})
        row = _answers[job.job][1]
        here = cluster()
    return _read(job, row, here)


def _read(job: Job, row: Row | None, here: str) -> Standing:
    """What squeue's row says of a job. A number alone proves nothing: other clusters give the same ones."""
    if row is not None and row[3] == job.name:
        state, node, reason, _ = row
        if state in _WAITS:
            return Standing("waits", f"job {job.job} waits in the queue ({reason})")
        if state in _RUNS:
            ending = state == "COMPLETING"
            words = f"job {job.job} is {state.lower()} on {node or 'its node'}, says Slurm"
            return Standing("ending" if ending else "runs", words)
        return Standing("gone", f"job {job.job} is over: {state.lower()}, says Slurm")
    if not here or here != job.cluster:
        theirs = f"cluster {job.cluster}" if job.cluster else "a cluster that did not tell its name"
        return Standing(
            "unknown", f"it is a job of {theirs}, and this machine speaks to {here or 'an unnamed one'}"
        )
    return Standing("gone", f"Slurm no longer knows job {job.job}")


def forget() -> None:
    """Ask anew next time: something was just submitted, cancelled or requeued."""
    global _mute
    with _lock:
        _answers.clear()
        _mute = (-1e9, "")


def cluster() -> str:
    """Return the name of the cluster that Slurm's commands of this machine speak to; "" if they do not tell."""
    global _cluster
    if not _cluster:
        said = tell("scontrol", "show", "config")
        found = None if isinstance(said, str) else re.search(r"^ClusterName\s*=\s*(\S+)", said[1], re.MULTILINE)
        _cluster = found.group(1) if found else ""
    return _cluster


def tell(*words: str) -> tuple[int, str, str] | str:
    """Run one of Slurm's commands; returns its exit code, output and complaint, or in words why there is none."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**env, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        return f"there is no {words[0]} on this machine to ask"
    except OSError as error:
        return f"{words[0]} cannot be run: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{words[0]} did not answer within {PATIENCE_SECONDS:.0f} s"
    return done.returncode, done.stdout, done.stderr.strip()


def _asked(jobs: list[str]) -> dict[str, Row] | str:
    """Return the row of each job that squeue knows, or in words why it says nothing."""
    done = tell(
        "squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%r|%j", f"--jobs={','.join(sorted(jobs))}"
    )
    if isinstance(done, str):
        return done
    code, said, complaint = done
    if code and not _UNKNOWN_JOB.search(complaint):
        return f"squeue says: {complaint.splitlines()[-1][:200] if complaint else f'exit code {code}'}"
    lines = [line.strip().split("|", 4) for line in said.splitlines()]
    return {parts[0]: (parts[1], parts[2], parts[3], parts[4]) for parts in lines if len(parts) == 5}
