"""What is said of one row: whether it may be compared, where it comes from, every figure of it. No widget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from claif_tui.core.leaderboard import Difference
from claif_tui.core.leaderboard_formats import SHORT
from claif_tui.core.reference import STANDING, SUPERVISION, Row
from claif_tui.ui import safe
from claif_tui.ui.screens.evaluate_table import UNKNOWN, Line, Table, interval

_SCORED = {
    "bi-encoder": "bi-encoder: cosine of two vectors",
    "cross-encoder": "cross-encoder: both sentences at once",
}


def row_text(line: Line, table: Table) -> safe.Content:
    """The row under the cursor: facts, comparison, figures, then where it comes from and what is noted."""
    row = line.entry.row
    out: list[safe.Part] = [safe.line(_facts(row)), _compared(line, table)]
    if line.evaluation is not None:
        out.append(
            safe.join(("made     ", "$text-muted"), f"{_when(line.evaluation.made)} on {line.evaluation.data}")
        )
    else:
        out.append(safe.join(("source   ", "$text-muted"), row.source))
    out += [safe.join(("note     ", "$text-muted"), note) for note in row.notes]
    ends = _intervals(line, table)
    out += [safe.join(("95 %     ", "$text-muted"), ends)] if ends else []
    return safe.lines(*out)


def details(line: Line, table: Table) -> tuple[safe.Content, str]:
    """Everything about one row: to show, and to copy."""
    row = line.entry.row
    rows: list[str] = [
        f"row          {STANDING[row.standing]}",
        f"backbone     {row.backbone or UNKNOWN}",
        f"supervision  {_supervision(row)}",
        f"scorer       {_SCORED.get(row.scorer or '', row.scorer or UNKNOWN)}",
        f"average      {_figure(row.average)}{_exact(line)}",
    ]
    if row.ours:
        rows.append(f"against      {_told(line.entry.difference, table)}")
    rows.append("")
    about = line.evaluation.tasks if line.evaluation is not None else {}
    for task in table.board.tasks:
        rows.append(f"{SHORT.get(task, task):<8}{_figure(row.values.get(task)):>6}{_more(about.get(task, {}))}")
    rows.append("")
    if line.evaluation is not None:
        one = line.evaluation
        rows += [f"model        {one.model}", f"data         {one.data}", f"made         {_when(one.made)}"]
        rows += [f"{name:<12} {value}" for name, value in one.settings.items()]
        rows += [f"content      {one.identity[:16]}"]
    else:
        rows.append(f"source       {row.source}")
    rows += ["", *row.notes] if row.notes else []
    return safe.lines(*rows), f"{row.system}\n" + "\n".join(rows)


def plain_row(line: Line, table: Table) -> str:
    """One row to copy: names and figures, tab-separated."""
    row = line.entry.row
    figures = [f"{SHORT.get(task, task)} {_figure(row.values.get(task))}" for task in table.board.tasks]
    facts = [row.system, row.backbone or UNKNOWN, row.supervision or UNKNOWN, row.scorer or UNKNOWN]
    return "\t".join([*facts, *figures, f"Avg. {_figure(row.average)}"])


def _facts(row: Row) -> str:
    backbone = f"backbone {row.backbone}" if row.backbone else "backbone not known"
    supervision = f"supervision {row.supervision}" if row.supervision else "supervision not known"
    what = {"demo": "demo · ", "reference": "reference only · "}.get(row.standing, "")
    return f"{what}{backbone} · {supervision} · {row.scorer or 'scorer not known'}"


def _supervision(row: Row) -> str:
    if row.supervision is None:
        return UNKNOWN
    meaning = SUPERVISION.get(row.supervision)
    return f"{row.supervision}: {meaning}" if meaning else row.supervision


def _compared(line: Line, table: Table) -> safe.Content:
    row, difference = line.entry.row, line.entry.difference
    average = "no average" if row.average is None else f"Avg. {row.average:.2f}"
    margin = "" if line.margin is None else f" ±{line.margin:.2f}"
    if not row.ours:
        return safe.join((average, "bold"))
    style = "bold $text-warning" if difference is not None and difference.value is None else "bold"
    return safe.join((average + margin, "bold"), "   ", (_told(difference, table), style))


def _told(difference: Difference | None, table: Table) -> str:
    if difference is None:
        return "not compared"
    if difference.value is None:
        return f"not comparable: {difference.reason}"
    return f"Δ {difference.value:+.2f} against {difference.against}"


def _intervals(line: Line, table: Table) -> str:
    if line.evaluation is None:
        return ""
    found = [(task, interval(line.evaluation.tasks.get(task, {}))) for task in table.board.tasks]
    return " · ".join(
        f"{SHORT.get(task, task)} {ends[0]:.2f} to {ends[1]:.2f}" for task, ends in found if ends is not None
    )


def _exact(line: Line) -> str:
    exact, margin = line.entry.row.exact, line.margin
    parts = [f"exactly {exact:.4f}"] if exact is not None else []
    parts += [f"±{margin:.2f} (95 %, the test pairs alone)"] if margin is not None else []
    return f"  {', '.join(parts)}" if parts else ""


def _more(about: Mapping[str, Any]) -> str:
    ends = interval(about)
    parts = [f"{ends[0]:.2f} to {ends[1]:.2f}"] if ends else []
    parts += [f"n {about['n']:,}"] if isinstance(about.get("n"), int) else []
    parts += [
        f"{name} {about[name]:.2f}"
        for name in ("pearson", "mean", "wmean", "f1")
        if isinstance(about.get(name), int | float)
    ]
    parts += [f"{about['mode']} mode"] if isinstance(about.get("mode"), str) else []
    parts += [f"data {about['fingerprint'][:12]}"] if isinstance(about.get("fingerprint"), str) else []
    parts += [str(about["reason"])] if about.get("reason") else []
    return f"   {' · '.join(parts)}" if parts else ""


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _when(made: str) -> str:
    try:
        return f"{datetime.fromisoformat(made).astimezone():%d %b %Y %H:%M}"
    except ValueError:
        return made or UNKNOWN
