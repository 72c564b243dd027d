"""Who a process is, so that "is it alive" has an answer that a reused number cannot spoil. No SQL."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

SYSTEM = os.uname().sysname


@cache
def this_host() -> str:
    """The name of this machine."""
    return os.uname().nodename


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return ""


def start_mark(pid: int) -> str | None:
    """A mark of when process ``pid`` started; None if there is no such live process (a zombie is not alive).

    Marks are only good for comparing: the same process always gives the same one.
    """
    if SYSTEM == "Linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # The program's name stands in parentheses and may itself hold blanks and parentheses.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"
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
        return None
    state, _, started = done.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


@cache
def _own_mark(pid: int) -> str:
    return start_mark(pid) or ""


def own_mark() -> str:
    """The start mark of this process."""
    return _own_mark(os.getpid())


def is_alive(pid: int, mark: str) -> bool:
    """Whether the process that had number ``pid`` and start mark ``mark`` on this host still runs."""
    return start_mark(pid) == mark
