"""The grid of an experiment as text to draw: a line a system, a cell a backbone and seed, and one row closely.

Pure; what is known comes from ``core.experiment``. A state is always a sign and a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claif_tui.core.experiment import formats
from claif_tui.core.experiment.models import DEMO, CellState, CellStatus, Standing
from claif_tui.core.experiment.outcome import DataLine, Line, Outcome, figure
from claif_tui.core.leaderboard_formats import SHORT
from claif_tui.core.reference import TASKS
from claif_tui.core.text import cell_width
from claif_tui.ui import safe
from claif_tui.ui.safe import Content

SIGNS: dict[CellState, tuple[str, str, str]] = {
    "waiting": ("·", "waits", "$text-muted"),
    "generating": ("▶", "data", "$text-primary"),
    "training": ("▶", "train", "$text-primary"),
    "evaluating": ("▶", "eval", "$text-primary"),
    "done": ("✓", "done", "$text-success"),
    "failed": ("✗", "failed", "$text-error"),
}
NAME_LEAST, NAME_MOST, CELL, SUMMARY = 18, 30, 13, 22
EMPTY = (
    "No experiment yet. n writes a ready file into this project's folder, o opens one of yours; "
    "g then runs what is missing. In a shell: claif-tui experiment --show family > family.toml"
)


@dataclass(slots=True)
class Chosen:
    """Which file is looked at; kept while the app runs, so that the grid opens where it was left."""

    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at an experiment's files."""

    standing: Standing
    outcome: Outcome

    @property
    def columns(self) -> tuple[tuple[str, int | None], ...]:
        """The grid's columns: (backbone, seed) of the file."""
        spec = self.standing.grid.spec
        return tuple((backbone, seed) for backbone in spec.backbones for seed in spec.seeds)

    @property
    def names(self) -> tuple[str, ...]:
        """The grid's lines: systems in the order of the file, those without training first."""
        return tuple(dict.fromkeys(status.cell.row for status in self.standing.cells))

    def at(self, name: str, column: tuple[str, int | None]) -> CellStatus | None:
        """What stands at a crossing; a cell without a seed stands in the first column of its backbone."""
        for status in self.standing.cells:
            cell = status.cell
            if cell.row != name or cell.backbone != column[0]:
                continue
            if cell.seed == column[1]:
                return status
            if cell.seed is None and column[1] == self.standing.grid.spec.seeds[0]:
                return status
        return None

    def lines_of(self, name: str) -> tuple[Line, ...]:
        """The outcome's lines of a system, one a backbone, of the first kind of task."""
        kind = self.outcome.kinds[0]
        return tuple(line for line in self.outcome.lines[kind] if line.cells[0].row == name)


def room(width: int, names: Sequence[str]) -> tuple[int, int]:
    """How many cells a system's name takes in a box of ``width``, and how many columns of cells fit beside it."""
    longest = max((cell_width(name) for name in names), default=0) + 1
    name = max(NAME_LEAST, min(NAME_MOST, longest))
    return name, max(1, (width - name - SUMMARY) // CELL)


def head(seen: Seen, width: int, first: int) -> Content:
    """The line above the grid."""
    name, fit = room(width, seen.names)
    shown = seen.columns[first : first + fit]
    many = len(seen.standing.grid.spec.backbones) > 1
    cells = "".join(
        _padded(safe.clip(f"{backbone} {seed}" if many else f"seed {seed}", CELL - 1), CELL)
        for backbone, seed in shown
    )
    return safe.line(f"{_padded('system', name)}{cells}{'avg':>6} {'±95%':>7} {'cost':>7}", "bold")


def row(seen: Seen, name: str, width: int, first: int) -> Content:
    """One system's line."""
    size, fit = room(width, seen.names)
    parts: list[safe.Part] = [_padded(safe.clip(name, size - 1), size)]
    for column in seen.columns[first : first + fit]:
        status = seen.at(name, column)
        text, style = ("", "") if status is None else cell(status)
        parts.append((_padded(text, CELL), style) if style else _padded(text, CELL))
    lines = seen.lines_of(name)
    parts.append(_summary(lines[0]) if len(lines) == 1 else f"{'':>22}")
    if lines and lines[0].demo:
        parts.append((f"  {DEMO}", "$text-warning"))
    return safe.join(*parts)


def cell(status: CellStatus) -> tuple[str, str]:
    """A state as (sign and word, style): ``✓ 78.12``, ``▶ train 45%``."""
    sign, word, style = SIGNS[status.state]
    if status.state == "done" and status.result is not None:
        value = figure(status.result)
        word = word if value is None else f"{value:.2f}"
    elif status.total:
        word = f"{word} {status.done / status.total:.0%}"
    return f"{sign} {word}", style


def state(seen: Seen, asked: bool) -> Content:
    """Where the experiment stands, in one line. ``asked``: it was asked to stop."""
    standing, now = seen.standing, seen.standing.now
    done = sum(one.state == "done" for one in standing.cells)
    failed = sum(one.state == "failed" for one in standing.cells)
    parts = [f"{done:,} of {len(standing.cells):,} cells done"]
    parts += [f"{failed:,} failed"] if failed else []
    budget = standing.grid.spec.budget_usd
    if standing.spent_nano or budget is not None:
        cap = "" if budget is None else f" of {formats.dollars(budget)}"
        parts.append(f"{formats.dollars(standing.spent_nano / 1e9)}{cap}")
    if standing.running and now is not None:
        parts += [now.words] if now.words else []
        parts += [] if now.eta_seconds is None else [f"about {formats.seconds(now.eta_seconds)} left"]
        begins = ("■ stopping ", "bold $text-warning") if asked else ("▶ ", "bold $text-primary")
        return safe.join(begins, " · ".join(parts), ("" if asked else "   x stops", "$text-primary"))
    if done == len(standing.cells):
        return safe.join(("✓ ", "$text-success"), " · ".join(parts))
    hint = "g goes on" if done or failed or (now is not None and now.ended) else "g starts it"
    said = f" · {now.ended}" if now is not None and now.ended not in ("", "finished") and not failed else ""
    return safe.join(" · ".join(parts) + said, (f"   {hint}", "$text-primary"))


def details(seen: Seen, name: str) -> Content:
    """Everything about one system: its figures, its data, and why what failed did."""
    rows: list[safe.Part] = []
    kind = seen.outcome.kinds[0]
    for line in seen.lines_of(name):
        values = [
            f"{SHORT.get(task, task)} {value:.2f}"
            for task in TASKS[kind]
            if (value := line.row.values[task]) is not None
        ]
        rows.append((line.cells[0].backbone, "bold"))
        rows.append(" · ".join(values) or "no figure yet")
        facts = [f"training {formats.seconds(line.train_seconds)}"] if line.train_seconds else []
        facts += [] if line.gain is None else [f"gain {line.gain:+.2f} over the untrained backbone"]
        facts += [] if line.per_point is None else [f"{formats.dollars(line.per_point)} a point"]
        if line.difference is not None:
            value, against = line.difference.value, line.difference.against
            compared = f"not compared: {line.difference.reason}"
            facts.append(compared if value is None else f"{value:+.2f} against {against}")
        if facts:
            rows.append(" · ".join(facts))
        rows += [safe.line(f"✗ {failure}", "$text-error") for failure in line.failures]
    for one in seen.outcome.data:
        if name in one.rows:
            rows.append(safe.line(_data(one), "" if one.facts else "$text-muted"))
    return safe.lines(*rows)


def _data(one: DataLine) -> str:
    if one.facts is None:
        return f"data {one.data.title}: not made yet"
    facts = one.facts
    parts = [f"{facts.rows:,} rows"]
    parts += (
        [] if facts.valid_share is None else [f"{facts.valid_share:.1%} of {facts.planned:,} answers valid"]
    )
    parts += [] if facts.duplicate_rate is None else [f"{facts.duplicate_rate:.1%} duplicates"]
    if facts.planned:
        parts += [formats.dollars(facts.spent_nano / 1e9), formats.seconds(facts.seconds)]
    return f"data {one.data.title}: {', '.join(parts)}"


def _summary(line: Line) -> str:
    average = "–" if line.row.average is None else f"{line.row.average:.2f}"
    margin = "–" if line.margin is None else f"±{line.margin:.2f}"
    paid = bool(line.cells[0].data and line.cells[0].data.recipe and line.seeds)
    cost = formats.dollars(line.cost_usd) if paid else "–"
    return f"{average:>6} {margin:>7} {cost:>7}"


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - cell_width(text))
