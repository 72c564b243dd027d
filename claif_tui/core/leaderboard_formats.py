"""A leaderboard as lines of cells, Markdown, CSV or LaTeX. What stands in it is decided elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from claif_tui.core.export import neutral_cell
from claif_tui.core.leaderboard import Board, Difference, Entry
from claif_tui.core.text import display_text
from engine.tasks import EVERY

SHORT = {"rerank": "MAP", "STSBenchmark": "STS-B", "SICKRelatedness": "SICK-R", "SST2": "SST-2"}
TITLES = {
    "sts": "STS, Spearman x100",
    "transfer": "Transfer, accuracy x100 (logistic regression on frozen vectors)",
    "rerank": "Reranking, MAP x100 (no paper's rows: the queries are one's own)",
}
UNKNOWN = "?"
ROW = {"ours": "ours", "demo": "demo", "paper": "", "reference": "reference only"}
"""What stands before a row that is not simply a paper's."""
_TEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        **{sign: f"\\{sign}" for sign in "#$%&_"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_WORDS = ("row", "system", "backbone", "supervision", "scorer", "notes", "difference")


def head(board: Board) -> list[str]:
    """The columns' names; the last says how a row of ours compares."""
    tasks = [SHORT.get(task, task) for task in board.tasks]
    return ["row", "system", "backbone", "supervision", "scorer", *tasks, "avg", "notes", "difference"]


def lines(board: Board) -> tuple[list[list[str]], list[str]]:
    """The rows as texts, and the numbered notes they point to, each note once."""
    notes: list[str] = []
    cells = []
    for entry in board.entries:
        row = entry.row
        own = row.notes if row.ours else (row.source, *row.notes)
        for note in own:
            if note not in notes:
                notes.append(note)
        cells.append(
            [
                ROW[row.standing],
                row.system,
                row.backbone or UNKNOWN,
                row.supervision or UNKNOWN,
                row.scorer or UNKNOWN,
                *(_figure(row.values[task]) for task in board.tasks),
                _figure(row.average),
                ",".join(str(notes.index(note) + 1) for note in own),
                told(entry.difference),
            ]
        )
    return cells, [f"[{number}] {note}" for number, note in enumerate(notes, 1)]


def told(difference: Difference | None) -> str:
    """A comparison in words: ``+0.31 against claif-bert``, or ``not comparable: …``."""
    if difference is None:
        return ""
    if difference.value is None:
        return f"not comparable: {difference.reason}"
    return f"{difference.value:+.2f} against {difference.against}"


def markdown(board: Board) -> str:
    """A Markdown table with its notes below; our rows are bold."""
    rows, notes = lines(board)
    names = head(board)
    table = [names, ["---" if name in _WORDS else "---:" for name in names]]
    for entry, cells in zip(board.entries, rows, strict=True):
        plain = [_markdown(cell) for cell in cells]
        plain[1] = f"**{plain[1]}**" if entry.row.ours else plain[1]
        table.append(plain)
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in table)
    return f"{TITLES[board.kind]}\n\n{text}\n" + "".join(f"{_markdown(note)}\n\n" for note in notes)


def latex(board: Board) -> str:
    """A LaTeX table for the booktabs package, with its notes as a paragraph below; our rows are bold."""
    rows, notes = lines(board)
    names = head(board)
    columns = "".join("l" if name in _WORDS else "r" for name in names)
    body = [f"% {TITLES[board.kind]}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    body += [" & ".join(map(_latex, names)) + r" \\", "\\midrule"]
    for entry, cells in zip(board.entries, rows, strict=True):
        plain = [_latex(cell) for cell in cells]
        if entry.row.ours:
            plain[1] = f"\\textbf{{{plain[1]}}}"
        body.append(" & ".join(plain) + r" \\")
    body += ["\\bottomrule", "\\end{tabular}"]
    body += ["", "\\par{\\footnotesize", *(f"{_latex(note)}\\par" for note in notes), "}"] if notes else []
    return "\n".join(body) + "\n"


def csv_text(boards: Sequence[Board]) -> str:
    """All boards in one CSV: a column for each task, empty where a row has no figure; averages not rounded.

    A text that begins like a formula gets a quote before it, so that no spreadsheet runs it.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    tasks = [task for task in EVERY if any(task in board.tasks for board in boards)]
    facts = ["kind", "ours", "row", "id", "system", "backbone", "supervision", "scorer"]
    writer.writerow([*facts, *tasks, "average", "difference", "against", "reason", "source", "notes"])
    for board in boards:
        for entry in board.entries:
            writer.writerow(_csv_row(board, entry, tasks))
    return file.getvalue()


def document(board: Board) -> list[dict[str, object]]:
    """The rows as plain data."""
    found: list[dict[str, object]] = []
    for entry in board.entries:
        row, difference = entry.row, entry.difference
        about: dict[str, object] = {
            "kind": board.kind,
            "ours": row.ours,
            "row": row.standing,
            "id": row.id,
            "system": row.system,
            "backbone": row.backbone,
            "supervision": row.supervision,
            "scorer": row.scorer,
            "values": dict(row.values),
            "average": row.average,
            "source": row.source,
            "notes": list(row.notes),
        }
        if row.ours:
            about["average_exact"] = row.exact
        if difference is not None:
            about["difference"] = {
                "value": difference.value,
                "against": difference.against or None,
                "reason": difference.reason or None,
            }
        found.append(about)
    return found


def _csv_row(board: Board, entry: Entry, tasks: Sequence[str]) -> list[object]:
    row, difference = entry.row, entry.difference
    compared: list[object] = ["", "", ""]
    if difference is not None:
        compared = ["" if difference.value is None else difference.value, difference.against, difference.reason]
    texts = [row.id, row.system, row.backbone or "", row.supervision or "", row.scorer or ""]
    figures = [row.values.get(task) for task in tasks]
    return [
        board.kind,
        "yes" if row.ours else "no",
        row.standing,
        *map(neutral_cell, texts),
        *("" if value is None else value for value in (*figures, row.average)),
        *compared,
        neutral_cell(row.source),
        neutral_cell(" ".join(row.notes)),
    ]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _markdown(text: str) -> str:
    plain = display_text(text, one_line=True).replace("\\", "\\\\")
    for sign in "|*_<>`[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def _latex(text: str) -> str:
    return display_text(text, one_line=True).translate(_TEX).replace("±", "$\\pm$")
