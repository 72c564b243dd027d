"""A report as terminal text, Markdown, LaTeX or JSON. What stands in it is decided elsewhere.

Names, sentences and comments are untrusted: in no format can they become markup or steer a terminal.
"""

from __future__ import annotations

import re
from typing import Any

from claif_tui.core.latex import tex
from claif_tui.core.publish_text import code
from claif_tui.core.rating.intervals import Estimate
from claif_tui.core.rating.report_models import CriterionReport, Figure, Look, Report, Row
from claif_tui.core.rating.report_sections import Quoted, Table, sections
from claif_tui.core.text import cell_width, display_text

_GAP = "  "
_MARKDOWN = re.compile(r"([\\|*_<>`\[\]#&~$])")
_HASH = re.compile(r"[0-9a-f]{32,}")
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")


def text(report: Report) -> str:
    """The report for a terminal or a plain file; aligned columns, nothing that a terminal acts on."""
    blocks = [_plain(f"Study {report.study}")]
    for section in sections(report):
        blocks.append("\n".join([_plain(section.title), *map(_plain, section.lines)]))
        blocks += [_text_table(table) for table in section.tables]
    return "\n\n".join(blocks) + "\n"


def markdown(report: Report) -> str:
    """The report in Markdown (tables as GitHub has them); texts of data are code spans."""
    blocks = [f"# Study {code(report.study)}"]
    for section in sections(report):
        blocks.append(f"## {_markdown(section.title)}")
        if section.lines:
            blocks.append("\n".join(f"- {_markdown(line)}" for line in section.lines))
        blocks += [_markdown_table(table) for table in section.tables]
    return "\n\n".join(blocks) + "\n"


def latex(report: Report) -> str:
    """The report as LaTeX to be input into a paper: needs booktabs and T1 fonts. Sentences and comments are left out.

    Letters that those fonts lack stand as their code points.
    """
    blocks = [
        "% Needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs}.",
        f"\\section*{{Study {_latex(report.study)}}}",
    ]
    left_out = False
    for section in sections(report):
        blocks.append(f"\\subsection*{{{_latex(section.title)}}}")
        if section.lines:
            items = "\n".join(f"  \\item {{}}{_latex(line)}" for line in section.lines)
            blocks.append(f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}")
        for table in section.tables:
            left_out |= table.texts
            if not table.texts:
                blocks.append(_latex_table(table))
    if left_out:
        blocks.append("% Sentences, comments and events are in the report's other formats.")
    return "\n\n".join(blocks) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain data for JSON; shares are 0..1, and what is undefined is null with its reason."""
    return {
        "study": report.study,
        "hash": report.hash,
        "created": report.created,
        "author": report.author,
        "preset": report.preset,
        "protocol": list(report.protocol),
        "raters": [
            {
                "rater": one.rater,
                "planned": one.planned,
                "done": one.done,
                "partly": one.partly,
                "state": one.words,
                "median_seconds": one.seconds,
            }
            for one in report.progress
        ],
        "gold": [
            {
                "rater": one.rater,
                "passed": one.passed,
                "answered": one.answered,
                "planned": one.planned,
                "excluded": one.excluded,
                "because": one.words,
            }
            for one in report.gold
        ],
        "excluded": list(report.excluded),
        "criteria": [_criterion(one) for one in report.criteria],
        "with_excluded": [_criterion(one) for one in report.everyone],
        "sources": dict(report.sources),
        "median_seconds": report.seconds,
        "events": [
            {"at": e.at, "author": e.author, "kind": e.kind, "detail": e.detail, "deviation": e.deviation}
            for e in report.events
        ],
        "changed": {str(n): words for n, words in report.changed},
        "comments": [
            {"rater": c.rater, "item": c.item, "occurrence": c.occurrence, "at": c.at, "text": c.text}
            for c in report.comments
        ],
        "limits": list(report.limits),
    }


def _criterion(one: CriterionReport) -> dict[str, Any]:
    by: dict[str, dict[str, Any]] = {"rater": {}, "score": {}, "rate": {}}
    for row in one.rows[1:]:
        by[row.group][row.name] = _row(row)
    return {
        "name": one.criterion.name,
        "question": one.criterion.question,
        "scale": one.criterion.scale,
        "blind": one.criterion.blind,
        "planned": one.planned,
        "given": one.given,
        "overall": _row(one.overall),
        "by": by,
        "agreement": {
            each.measure: {
                **_estimate(each.estimate),
                "title": each.title,
                "items": each.overlap,
                "raters": each.raters,
                "ratings": each.ratings,
            }
            for each in one.agreement
        },
        "repeats": [
            {"rater": each.rater or None, "same": _figure(each.same), "mean_distance": each.apart}
            for each in one.repeats
        ],
        "human_ai_spearman": None if one.human_ai is None else _figure(one.human_ai),
        "human_less_ai": None if one.bias is None else _figure(one.bias),
        "contrasts": [
            {
                "first": each.first,
                "second": each.second,
                "items": [each.first_items, each.second_items],
                **_estimate(each.difference),
                "p": each.p,
                "more": each.more or None,
            }
            for each in one.contrasts
        ],
        "no_contrasts": one.no_contrasts or None,
        "split": [_look(each) for each in one.split],
        "against_ai": [_look(each) for each in one.against_ai],
    }


def _row(row: Row) -> dict[str, Any]:
    return {figure.label: _figure(figure) for figure in row.figures}


def _figure(figure: Figure) -> dict[str, Any]:
    return {**_estimate(figure.estimate), "unit": figure.unit, "ratings": figure.ratings, "items": figure.items}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.low is None else [estimate.low, estimate.high]
    return {"value": estimate.value, "interval": interval, "reason": estimate.reason or estimate.note or None}


def _look(look: Look) -> dict[str, Any]:
    return {
        "item": look.item,
        "pair": look.pair_id,
        "score": look.score,
        "answers": dict(look.values),
        "apart": look.apart,
        "sentence1": look.text_a,
        "sentence2": look.text_b,
        "comments": list(look.comments),
    }


def _plain(raw: str) -> str:
    return display_text(raw, one_line=True)


def _text_table(table: Table) -> str:
    if table.texts:
        return _text_list(table)
    rows = [[_plain(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(cell_width(row[place]) for row in rows) for place in range(len(table.head))]
    lines = [table.caption] if table.caption else []
    for row in rows:
        cells = []
        for place, cell in enumerate(row):
            blank = " " * (widths[place] - cell_width(cell))
            cells.append(blank + cell if place in table.right else cell + blank)
        lines.append(f"  {_GAP.join(cells)}".rstrip())
    return "\n".join(lines)


def _text_list(table: Table) -> str:
    """Rows that quote sentences, a line for each text: no terminal is wide enough for them beside each other."""
    lines = [table.caption]
    for row in table.rows:
        short = [(name, cell) for name, cell in zip(table.head, row, strict=True) if cell]
        plain = [f"{name} {_plain(cell)}".strip() for name, cell in short if not isinstance(cell, Quoted)]
        lines.append(f"  {', '.join(plain)}")
        lines += [f"    {name}: {_plain(cell)}" for name, cell in short if isinstance(cell, Quoted)]
    return "\n".join(lines)


def _markdown(raw: str) -> str:
    return _MARKDOWN.sub(r"\\\1", _plain(raw))


def _markdown_table(table: Table) -> str:
    lines = [f"**{_markdown(table.caption)}**", ""] if table.caption else []
    lines.append(f"| {' | '.join(map(_markdown, table.head))} |")
    lines.append(f"| {' | '.join('---:' if n in table.right else '---' for n in range(len(table.head)))} |")
    for row in table.rows:
        cells = [(code(cell) if cell else "") if isinstance(cell, Quoted) else _markdown(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _latex(raw: str) -> str:
    escaped = tex(_MINUS.sub("−", _plain(raw)).replace("⏎", "/"))
    # A hash has no place where a line could break.
    return _HASH.sub(lambda hit: "\\allowbreak{}".join(re.findall(".{1,8}", hit[0])), escaped)


def _latex_table(table: Table) -> str:
    columns = "".join("r" if n in table.right else "l" for n in range(len(table.head)))
    lines = [f"\\paragraph{{{_latex(table.caption)}}}\\mbox{{}}\\\\"] if table.caption else []
    lines.append("{\\small")
    lines += [f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}", "\\toprule"]
    lines += [" & ".join(map(_latex, table.head)) + r" \\", "\\midrule"]
    # An empty group keeps a cell that begins with a bracket from being read as an option of the line before.
    lines += ["{}" + " & ".join(map(_latex, row)) + r" \\" for row in table.rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}}"])
