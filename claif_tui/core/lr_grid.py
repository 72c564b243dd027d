"""The same training at several learning rates: which runs there are already, and which one is best. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import engine.rundir as rundir
from claif_tui.core.errors import UsageError
from claif_tui.core.runs import EngineProblem, RunRow, list_runs, told
from engine.config import TrainConfig, digest, parse, resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One rate of a grid. ``row`` is the newest run of these very settings and data, None if there is none yet."""

    config: TrainConfig
    row: RunRow | None


def rates(text: str) -> list[float]:
    """Return the rates of ``1e-5,2e-5``, each once, in that order; ``UsageError`` for fewer than two."""
    with told():
        found = [float(str(parse("lr", word.strip()))) for word in text.split(",")]
    if len(set(found)) < 2:
        raise UsageError("a grid has two rates or more", "Write --lr-grid 1e-5,2e-5; one rate alone is --lr.")
    return list(dict.fromkeys(found))


def points(
    project: Path, config: TrainConfig, grid: Sequence[float], content: Mapping[str, Any]
) -> list[Point]:
    """Return the grid's points; runs are looked for in the project, so an interrupted grid is taken up again.

    ``content`` is the plan's: a run on files that were changed since is another one.
    """
    known: dict[str, RunRow] = {}
    for row in reversed(list_runs(project)):  # the newest counts
        try:
            with told():
                if _on(row.path, content):
                    known[digest(rundir.read_config(row.path))] = row
        except EngineProblem:
            continue  # a damaged run is no result; the list of runs says what is wrong with it
    here = resolved(config, Path.cwd())
    wanted = [replace(here, lr=rate) for rate in grid]
    return [Point(config=one, row=known.get(digest(one))) for one in wanted]


def _on(run: Path, content: Mapping[str, Any]) -> bool:
    """Whether a run's data and dev set are these; one that has not read them yet reads what is there now."""
    info = rundir.read_info(run)
    data, dev = (None, None) if info is None else (info.facts.get("data"), info.facts.get("dev"))
    if not isinstance(data, dict):
        return True
    return (data.get("sha256"), dev) == (content["sha256"], content["dev"])


def best(rows: Sequence[RunRow]) -> RunRow | None:
    """The run with the highest dev score, the first of equals; None where none has one."""
    scored = [row for row in rows if row.best_dev is not None]
    return max(scored, key=lambda row: row.best_dev or 0.0) if scored else None
