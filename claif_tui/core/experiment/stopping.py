"""Starting an experiment as a process that outlives whoever started it, and stopping it from elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from claif_tui.core.engine_child import PYTHON, environment
from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.store.process import this_host

LOG = "experiment.log"
START_SECONDS = 60.0


def start(file: Path, folder: Path) -> int:
    """Run an experiment in a session of its own and return its process id once it is on, or has ended well.

    What costs was agreed to before. Blocks for a second or two; ``ClaifError`` says why it ended at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        handle = os.open(log, flags, 0o600)
    except OSError as error:
        raise ClaifError(f"cannot write {log}: {error.strerror}", "Move it away.") from None
    with os.fdopen(handle, "ab") as sink:
        size = sink.tell()
        child = subprocess.Popen(
            [*PYTHON, "claif_tui", "experiment", str(file), "--yes"],
            cwd=file.parent,
            env=environment(keys=True),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    journal, end = Journal(folder), time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        code = child.poll()
        now, running = journal.now()
        if code == 0 or (now is not None and running and now.pid == child.pid):
            break
        if code is not None:
            with log.open("rb") as said:
                said.seek(size)
                tail = said.read().decode("utf-8", "replace").strip().splitlines()[-3:]
            words = " ".join(line.strip() for line in tail)
            told = ClaifError(f"the experiment ended at once: {words}", f"All of it is in {log}")
            told.title, told.exit_code = "Experiment", 1
            raise told
        time.sleep(0.05)
    return child.pid


def stop(folder: Path) -> int:
    """Ask the process that runs an experiment to save what is in hand and end; returns its number.

    ``UsageError`` where none is on, or one of another machine.
    """
    now, running = Journal(folder).now()
    if now is None or not running:
        raise UsageError(f"{folder.name} is not being run", "The table says how far it is.")
    if now.host != this_host():
        raise UsageError(f"{folder.name} is run by process {now.pid} on {now.host}", "Stop it there.")
    os.kill(now.pid, signal.SIGTERM)
    return now.pid
