"""The difference of two rows as a text to read: task by task, with interval and p. Computed elsewhere; no widget."""

from __future__ import annotations

from pathlib import Path

from claif_tui.core.predictions import Predictions
from claif_tui.core.reference import Kind
from claif_tui.core.significance import Contest, Side, contest, own_side
from claif_tui.core.significance_formats import HEAD, RIGHT, cells, lines, notes, stands_out, title
from claif_tui.ui import safe
from claif_tui.ui.screens.evaluate_table import Line

_GAP = "  "


def compare(project: Path | None, kind: Kind, first: Line, second: Line) -> Contest:
    """Compare the rows of two lines. Takes seconds; blocks."""
    return contest(kind, _side(project, kind, first), _side(project, kind, second))


def _side(project: Path | None, kind: Kind, line: Line) -> Side:
    none: dict[str, Predictions] = {}
    found = None if line.evaluation is None else own_side(kind, line.evaluation, project)
    return found or Side(row=line.entry.row, predictions=none)


def text(found: Contest) -> tuple[safe.Content, str]:
    """The comparison to show, and to copy."""
    rows = [list(HEAD), *cells(found)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    drawn = [
        _GAP.join(
            cell.rjust(width) if place in RIGHT else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    shown: list[safe.Part] = []
    if found.differences:
        shown.append((drawn[0], "$text-muted"))
        for words, one in zip(drawn[1:], lines(found), strict=True):
            shown.append((words, "bold") if stands_out(one) else words)
        shown.append("")
    said = notes(found)
    shown += [safe.block(note) for note in said]
    plain = [title(found), *(drawn if found.differences else ()), *said]
    return safe.lines(*shown), "\n".join(plain)
