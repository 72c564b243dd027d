"""Which process, on which machine: what tells whether the writer of a run directory is still there. No torch, no files.

The app's store answers the same question for its own runs; neither package may import the other's.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SYSTEM = os.uname().sysname


@dataclass(frozen=True, slots=True)
class Place:
    """Where process numbers mean something. ``boot`` and ``namespace`` are "" where the system does not tell."""

    host: str
    machine: str
    boot: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of the processes of one run this is: ``rank`` 0 to ``size`` - 1."""

    rank: int = 0
    size: int = 1


def under_torchrun() -> bool:
    """Whether torchrun started this process; other programs set a rank in the environment too."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def seat() -> Seat:
    """What torchrun says in the environment; without it the one process there is."""
    return Seat(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if under_torchrun() else Seat()


@cache
def here() -> Place:
    """This machine, this boot, this process namespace (a container has one of its own)."""
    return Place(
        host=os.uname().nodename,
        machine=_line("/etc/machine-id")[:8],
        boot=_line("/proc/sys/kernel/random/boot_id")[:8],
        namespace=_namespace(),
    )


def start_mark(pid: int) -> str | None:
    """When process ``pid`` of this place started, as a text to compare; None if there is no such live process.

    A zombie is not alive. A process that is there but hidden from this user has the mark "".
    """
    mark = _proc_mark(pid) if SYSTEM == "Linux" else _ps_mark(pid)
    if mark != "":
        return mark
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""


def leads_its_group(pid: int) -> bool:
    """Whether signalling the process group reaches ``pid`` and what it started, and nothing else.

    Never for process 1 of a container: to signal "group 1" means to signal every process there is.
    """
    try:
        return pid > 1 and os.getpgid(pid) == pid
    except OSError:
        return False


def _proc_mark(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The program's name stands in parentheses and may itself hold blanks and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _ps_mark(pid: int) -> str | None:
    try:
        done = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            timeout=10,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    state, _, started = done.stdout.strip().partition(" ")
    return None if state.startswith("Z") else started.strip()


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
