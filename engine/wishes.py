"""What others leave beside a run: the wish that it ends, the word that it is gone, what its data have in common with
evaluation sets. Whose turn it is, rundir knows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import RunError
from engine.whole import read_json, write_json

STOP, GONE, OVERLAP = "stop.json", "gone.json", "overlap.json"


def wish(path: Path, incarnation: int, *, asked: bool = True) -> None:
    """Write down that this turn is to end (0: that the first never begins).

    ``asked`` is False where a run says so itself, which has got a signal and is about to end.
    """
    write_json(path / STOP, {"incarnation": incarnation, "t": time.time(), "asked": asked})


def wished(path: Path, incarnation: int, *, by_somebody: bool = False) -> bool:
    """Whether this turn is to end; ``by_somebody``: because somebody asked for it, rather than for a signal."""
    try:
        found = read_json(path / STOP)
    except RunError:
        return True  # a wish that does not read is a wish
    if found is None or found.get("incarnation") != incarnation:
        return False
    return not by_somebody or found.get("asked") is not False


def forget_stop(path: Path) -> None:
    """Take back the wish that the run ends, for a turn that is asked for after it."""
    with suppress(FileNotFoundError):
        (path / STOP).unlink()


def say_gone(path: Path, incarnation: int, seq: int, why: str) -> None:
    """Write down that the process of this turn, whose last event is number ``seq``, is gone; ``why``: a few words."""
    write_json(path / GONE, {"incarnation": incarnation, "seq": seq, "t": time.time(), "why": why})


def said_gone(path: Path, incarnation: int, seq: int) -> str:
    """Return why this turn is known to be gone; "" if nobody said so, or it told something since."""
    found = read_json(path / GONE)
    if found is None or (found.get("incarnation"), found.get("seq")) != (incarnation, seq):
        return ""
    return str(found.get("why") or "somebody said so")


def note_overlap(path: Path, found: Mapping[str, Any]) -> None:
    """Leave with a run what its training sentences have in common with evaluation sets; it may be at work or over."""
    write_json(path / OVERLAP, found)


def read_overlap(path: Path) -> dict[str, Any] | None:
    """Return what was noted, None if nothing was, or nothing that reads: a run does not depend on it."""
    with suppress(RunError):
        return read_json(path / OVERLAP)
    return None
