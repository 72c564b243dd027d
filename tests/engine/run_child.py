"""A process that writes a run directory, to be watched and killed: ``python -m tests.engine.run_child VERB …``.

What it says on stdout is what the test waits for; there is no other clock.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import rundir
from engine.config import preset
from engine.errors import EngineError
from engine.events import EventWriter

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def child(*words: object) -> Iterator[subprocess.Popen[str]]:
    """Start one; it is gone when the block ends, however that ends."""
    command = [sys.executable, "-m", "tests.engine.run_child", *map(str, words)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - this is what the test reads


def fill(writer: EventWriter, count: int) -> None:
    """Write ``count`` steps; every hundredth line is far longer than a pipe or a buffer holds."""
    for _ in range(count):
        step = writer.next_seq
        writer.write("step", step=step, losses=[0.5], note="ß猫 " * (40_000 if step % 100 == 0 else step % 7))


def halves(path: str, count: str) -> None:
    """Write half, say so, wait to be told to go on, and write the rest."""
    with EventWriter(Path(path)) as writer:
        fill(writer, int(count) // 2)
        say("half")
        sys.stdin.readline()
        fill(writer, int(count) - int(count) // 2)
        writer.write("finished", step=int(count))


def endless(path: str) -> None:
    """Write until killed."""
    with EventWriter(Path(path)) as writer:
        while True:
            fill(writer, 1)


def full(path: str, room: str) -> None:
    """Write until the disk is full (no file may be longer than ``room``), then try once more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), resource.RLIM_INFINITY))
    with EventWriter(Path(path)) as writer:
        for _ in range(2):
            try:
                while True:
                    writer.write("warning", message="x" * 997)
            except EngineError as error:
                say(json.dumps({"next": writer.next_seq, "message": error.message, "hint": error.hint}))
        writer.write("step", step=1, losses=[])
        say(json.dumps({"next": writer.next_seq}))


def hold(path: str, *flags: str) -> None:
    """Claim a run directory and keep it until told to end, by a line on stdin, a signal, or a kill."""
    handler = signal.SIG_IGN if "deaf" in flags else lambda *_: sys.exit(0)
    signal.signal(signal.SIGTERM, handler)
    run = rundir.claim(Path(path), preset("claif", data="d.jsonl", out=path), resume="resume" in flags)
    started(run, 1 if run.resumed else 0)
    if "helper" in flags:  # holds our stdout open for as long as it lives
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"])
    say("claimed", run.info.incarnation, os.getpid())
    sys.stdin.readline()
    run.events.write("finished", step=5)
    say("finished")


def under(path: str) -> None:
    """Be the leader of a process group in which another process holds the run."""
    command = [sys.executable, "-m", "tests.engine.run_child", "hold", path]
    code = subprocess.run(command, check=False).returncode
    say("leader saw", code)


def race(folder: str, rounds: str, resume: str) -> None:
    """Try to claim one directory after the other, each when told to."""
    for number in range(int(rounds)):
        path = Path(folder) / str(number)
        sys.stdin.readline()
        try:
            rundir.claim(path, preset("claif", data="d.jsonl"), resume=resume == "resume")
            say("won")
        except EngineError as error:
            say(error.message)
    sys.stdin.readline()


def started(run: rundir.Run, from_step: int) -> None:
    run.events.write(
        "started",
        config="0" * 16,
        device="cpu",
        rows=10,
        steps_per_epoch=5,
        total_steps=5,
        from_step=from_step,
    )


def metrics_full(path: str, room: str) -> None:
    """Keep one small set of metrics, then try a large one where no file may be longer than ``room``."""
    run = rundir.claim(Path(path), preset("claif", data="d.jsonl", out=path))
    run.write_metrics({"best": {"step": 1, "dev": 70.5}})
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), resource.RLIM_INFINITY))
    try:
        run.write_metrics({"best": {"step": 2, "dev": 71.0}, "note": "x" * int(room)})
    except EngineError as error:
        say(error.message)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
