"""An experiment's outcome as lines of cells, Markdown, CSV, LaTeX and plain data. What stands in it: ``outcome``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from claif_tui.core.experiment.models import DEMO
from claif_tui.core.experiment.outcome import DataLine, Line, Outcome
from claif_tui.core.export import neutral_cell
from claif_tui.core.latex import tex
from claif_tui.core.leaderboard_formats import SHORT, TITLES
from claif_tui.core.reference import TASKS, Kind, Row
from claif_tui.core.text import display_text

NONE = "–"
DATA_HEAD = (
    *("data set", "for", "rows", "planned", "valid", "failed", "duplicates", "funnel", "cost", "time"),
)
DATA_RIGHT = (2, 3, 4, 5, 6, 8, 9)
_TEXTS = ("system", "backbone", "compared with the paper", "data set", "for", "funnel")
_QUIET = ("pairs", "kept", "rows", "zero_pairs", "conflicting_scores")


def head(kind: Kind) -> tuple[str, ...]:
    """The columns' names of the table of scores."""
    tasks = tuple(SHORT.get(task, task) for task in TASKS[kind])
    return (
        *("system", "backbone", "seeds", *tasks, "avg", "±95%", "gain", "cost", "$/point", "training"),
        "compared with the paper",
    )


def right(kind: Kind) -> tuple[int, ...]:
    """Which of them hold numbers."""
    return tuple(place for place, name in enumerate(head(kind)) if name not in _TEXTS)


def score_rows(found: Outcome, kind: Kind) -> list[list[str]]:
    """Our rows, then the papers'; what is not known is a dash."""
    ours = [_ours(line, kind) for line in found.lines[kind]]
    return ours + [_papers(row, kind) for row in found.papers[kind]]


def data_rows(found: Outcome) -> list[list[str]]:
    """A line for each data set."""
    return [_data(one) for one in found.data]


def table(found: Outcome) -> list[tuple[str, tuple[str, ...], list[list[str]], tuple[int, ...]]]:
    """Everything as (title, head, rows, columns of numbers), for whoever aligns them."""
    parts = [(TITLES[kind], head(kind), score_rows(found, kind), right(kind)) for kind in found.kinds]
    if found.data:
        parts.append(("Data", DATA_HEAD, data_rows(found), DATA_RIGHT))
    return parts


def closing(found: Outcome) -> list[str]:
    """The lines below the tables: money and notes."""
    cap = "; no budget was set" if found.budget_usd is None else f" of a budget of {dollars(found.budget_usd)}"
    why: dict[str, dict[str, None]] = {}
    for kind in found.kinds:
        for line in found.lines[kind]:
            if line.no_margin and line.cells[0].seed is not None and line.seeds:
                why.setdefault(line.no_margin, {})[line.row.system] = None
    explained = [
        "±95%: Student's t over the seeds' averages. gain: average less that of the untrained backbone. "
        "$/point: cost of the data for a point of gain.",
        *(f"No interval, as {reason}: {', '.join(names)}." for reason, names in why.items()),
    ]
    return [f"Spent {dollars(found.spent_usd)}{cap}.", *explained, *found.notes]


def markdown(found: Outcome) -> str:
    """Markdown tables with the notes below."""
    text = ""
    for title, names, rows, _ in table(found):
        lines = [names, ["---" if name in _TEXTS else "---:" for name in names]]
        lines += [[_markdown(cell) for cell in cells] for cells in rows]
        text += f"{title}\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + "\n"
    return text + "".join(f"{_markdown(note)}\n\n" for note in closing(found))


def latex(found: Outcome) -> str:
    """LaTeX tables for the booktabs package, with the notes as a paragraph below."""
    text = ""
    for title, names, rows, _ in table(found):
        columns = "".join("l" if name in _TEXTS else "r" for name in names)
        lines = [f"% {title}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
        lines += [" & ".join(map(tex, names)) + r" \\", "\\midrule"]
        lines += [" & ".join(map(tex, cells)) + r" \\" for cells in rows]
        text += "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "", ""])
    notes = "".join(f"{tex(note)}\\par\n" for note in closing(found))
    return f"{text}\\par{{\\footnotesize\n{notes}}}\n"


def comma(found: Outcome) -> str:
    """One CSV: a row for each system and backbone (our own and the papers'), figures not rounded."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    tasks = [task for kind in found.kinds for task in TASKS[kind]]
    writer.writerow(
        [
            *("kind", "ours", "demo", "system", "backbone", "seeds", *tasks, "average", "margin95", "gain"),
            *("cost_usd", "usd_per_point", "train_seconds", "difference", "against", "reason", "failures"),
        ]
    )
    for kind in found.kinds:
        for line in found.lines[kind]:
            differs = line.difference
            value = None if differs is None else differs.value
            against, why = ("", "") if differs is None else (differs.against, differs.reason)
            writer.writerow(
                [
                    *(kind, "yes", "yes" if line.demo else "no", *_names(line.row), line.seeds),
                    *(_plain(line.row.values.get(task)) for task in tasks),
                    *map(_plain, (line.row.average, line.margin, line.gain, line.cost_usd, line.per_point)),
                    *(round(line.train_seconds, 1), _plain(value), against, neutral_cell(why)),
                    neutral_cell("; ".join(line.failures)),
                ]
            )
        for row in found.papers[kind]:
            figures = [_plain(row.values.get(task)) for task in tasks]
            writer.writerow([kind, "no", "no", *_names(row), "", *figures, _plain(row.average), *[""] * 9])
    return file.getvalue()


def document(found: Outcome) -> dict[str, Any]:
    """The outcome as plain data."""
    return {
        "experiment": found.name,
        "spent_usd": found.spent_usd,
        "budget_usd": found.budget_usd,
        "rows": [_row(kind, line) for kind in found.kinds for line in found.lines[kind]],
        "papers": [
            {"kind": kind, "id": row.id, "system": row.system, "backbone": row.backbone, "average": row.average}
            | {"values": dict(row.values)}
            for kind in found.kinds
            for row in found.papers[kind]
        ],
        "data": [_data_document(one) for one in found.data],
        "notes": list(found.notes),
    }


def dollars(value: float) -> str:
    """Write money for people; what is less than a cent keeps two digits."""
    return f"${value:,.2f}" if value == 0 or value >= 0.01 else f"${value:.2g}"


def seconds(value: float) -> str:
    """Write a time for people: 8.2 s, 3:05, 2:10:00."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _ours(line: Line, kind: Kind) -> list[str]:
    row, total = line.row, len(line.cells)
    seeds = "any" if line.cells[0].seed is None else str(line.seeds)
    if line.cells[0].seed is not None and line.seeds < total:
        seeds = f"{line.seeds} of {total}"
    paid = bool(line.cells[0].data and line.cells[0].data.recipe)
    return [
        f"{row.system} · {DEMO}" if line.demo else row.system,
        line.cells[0].backbone,
        seeds,
        *(_figure(row.values[task]) for task in TASKS[kind]),
        _figure(row.average),
        NONE if line.margin is None else f"±{line.margin:.2f}",
        NONE if line.gain is None else f"{line.gain:+.2f}",
        dollars(line.cost_usd) if paid else NONE,
        NONE if line.per_point is None else dollars(line.per_point),
        seconds(line.train_seconds) if line.train_seconds else NONE,
        _compared(line),
    ]


def _compared(line: Line) -> str:
    if line.difference is None:
        return "failed, see below" if line.failures else "not run yet"
    if line.difference.value is None:
        return f"not compared: {line.difference.reason}"
    return f"{line.difference.value:+.2f} against {line.difference.against}"


def _papers(row: Row, kind: Kind) -> list[str]:
    figures = [_figure(row.values[task]) for task in TASKS[kind]]
    return [row.system, row.backbone or "?", "paper", *figures, _figure(row.average), *[""] * 5, row.source]


def _data(one: DataLine) -> list[str]:
    title = f"{one.data.title} · {DEMO}" if one.data.demo else one.data.title
    facts = one.facts
    if facts is None:
        return [title, ", ".join(one.rows), *[NONE] * (len(DATA_HEAD) - 2)]
    return [
        title,
        ", ".join(one.rows),
        f"{facts.rows:,}",
        f"{facts.planned:,}" if facts.planned else NONE,
        NONE if facts.valid_share is None else f"{facts.valid_share:.1%}",
        f"{sum(facts.failed.values()):,}" if facts.planned else NONE,
        NONE if facts.duplicate_rate is None else f"{facts.duplicate_rate:.1%}",
        ", ".join(f"{rule} {count:,}" for rule, count in facts.funnel.items() if count and rule not in _QUIET)
        or NONE,
        dollars(facts.spent_nano / 1e9) if facts.planned else NONE,
        seconds(facts.seconds) if facts.planned else NONE,
    ]


def _row(kind: Kind, line: Line) -> dict[str, Any]:
    row, differs = line.row, line.difference
    return {
        "kind": kind,
        "system": row.system,
        "method": line.cells[0].system,
        "backbone": line.cells[0].backbone,
        "supervision": row.supervision,
        "scorer": row.scorer,
        "demo": line.demo,
        "seeds": line.seeds,
        "failed": len(line.failures),
        "waiting": line.waiting,
        "values": dict(row.values),
        "average": row.average,
        "margin95": line.margin,
        "no_margin": line.no_margin or None,
        "gain": line.gain,
        "cost_usd": line.cost_usd,
        "usd_per_point": line.per_point,
        "no_usd_per_point": line.no_per_point or None,
        "train_seconds": line.train_seconds,
        "difference": None
        if differs is None
        else {
            "value": differs.value,
            "against": differs.against or None,
            "reason": differs.reason or None,
        },
        "failures": list(line.failures),
        "cells": [
            {"id": cell.id, "seed": cell.seed, "data": None if cell.data is None else cell.data.id}
            for cell in line.cells
        ],
    }


def _data_document(one: DataLine) -> dict[str, Any]:
    facts = one.facts
    about: dict[str, Any] = {"id": one.data.id, "title": one.data.title, "demo": one.data.demo}
    about["rows_of"] = list(one.rows)
    if facts is None:
        return {**about, "made": False}
    return {
        **about,
        "made": True,
        "rows": facts.rows,
        "planned": facts.planned,
        "answered": facts.answered,
        "valid_share": facts.valid_share,
        "failed": dict(facts.failed),
        "duplicate_rate": facts.duplicate_rate,
        "funnel": dict(facts.funnel),
        "spent_usd": facts.spent_nano / 1e9,
        "seconds": facts.seconds,
    }


def _names(row: Row) -> list[str]:
    return [neutral_cell(row.system), neutral_cell(row.backbone or "")]


def _plain(value: float | None) -> object:
    return "" if value is None else value


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _markdown(text: str) -> str:
    plain = display_text(text, one_line=True).replace("\\", "\\\\")
    for sign in "|*_<>`[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def files(found: Outcome, aligned: str) -> Sequence[tuple[str, str]]:
    """The outcome's files by name; ``aligned`` is the table as the terminal shows it."""
    return (
        ("table.txt", aligned),
        ("table.md", markdown(found)),
        ("table.csv", comma(found)),
        ("table.tex", latex(found)),
    )
