"""What a process beside the first of a run has in place of a run directory: nothing that it does is told or kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import rundir
from engine.errors import RunError
from engine.events import EventWriter, Kind
from engine.rundir import Run


class Silent(EventWriter):
    """Takes events and writes none."""

    def __init__(self) -> None:
        """There is no file."""

    def write(self, kind: Kind, **fields: Any) -> None:
        """Nothing."""

    def beat(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bystander(Run):
    """A run that another process owns: it may be read, and nothing in it is changed."""

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def describe(self, **facts: Any) -> None:
        """Nothing."""

    def stop_wanted(self) -> bool:
        """The first process looks for wishes."""
        return False

    def mark_stopping(self) -> None:
        """Nothing."""


def beside(path: Path, *, resumed: bool) -> Run:
    """The run that the first process has claimed; ``RunError`` if it has not."""
    info = rundir.read_info(path)
    if info is None:
        raise RunError(f"{path} has not been taken by the first process of the run")
    return Bystander(path, info, Silent(), resumed)
