"""A table as LaTeX (booktabs), CSV and Markdown from the same rows. What stands in it is decided elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from claif_tui.core import publish_text
from claif_tui.core.export import neutral_cell
from claif_tui.core.latex import tex
from claif_tui.core.text import display_text

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. ``right`` names the columns of numbers, ``wide`` those of sentences by their share of the line.

    ``rows`` are as people read them; ``data_head`` and ``data`` are the same facts in full, for the CSV. A rule stands
    before each row of ``breaks``.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data_head: tuple[str, ...]
    data: tuple[tuple[Cell, ...], ...]
    right: tuple[int, ...] = ()
    wide: tuple[tuple[int, float], ...] = ()
    breaks: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def latex(table: Table) -> str:
    """A table environment that needs booktabs, and the T1 encoding for its texts."""
    shares = dict(table.wide)
    columns = "".join(
        f">{{\\raggedright\\arraybackslash}}p{{{shares[n]:g}\\linewidth}}"
        if n in shares
        else ("r" if n in table.right else "l")
        for n in range(len(table.head))
    )
    lines = [
        "\\begin{table}[tbp]",
        "\\centering\\footnotesize",
        f"\\caption{{{tex(table.caption)}}}",
        f"\\label{{tab:{table.name}}}",
        f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        "\\toprule",
        " & ".join(map(tex, table.head)) + r" \\",
        "\\midrule",
    ]
    for number, row in enumerate(table.rows):
        if number in table.breaks:
            lines.append("\\midrule")
        # The empty group keeps a cell that begins with a bracket from being read as an option of the line before.
        lines.append("{}" + " & ".join(map(tex, row)) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par\\smallskip{{\\scriptsize {tex(note)}\\par}}" for note in table.notes]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def csv_text(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Rows as CSV; a text that begins like a formula gets a quote before it, so that no spreadsheet runs it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            [neutral_cell(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in row]
        )
    return file.getvalue()


def markdown(table: Table) -> str:
    """The table for the README, with its notes below. Cells are code spans where they may hold anything."""
    sentences = {n for n, _ in table.wide}
    rows = [
        [publish_text.code(cell) if n in sentences and cell else _plain(cell) for n, cell in enumerate(row)]
        for row in table.rows
    ]
    notes = [_plain(note) for note in table.notes]
    return "\n\n".join([publish_text.table(table.head, rows), *notes])


def _plain(text: str) -> str:
    shown = display_text(text, one_line=True).replace("\\", "\\\\")
    for sign in "|*_<>`[]#&~":
        shown = shown.replace(sign, f"\\{sign}")
    return shown
