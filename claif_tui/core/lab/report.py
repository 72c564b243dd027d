"""A lab's result as tables, plain-text charts and plain data, for command and screen. Nothing is computed here."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from claif_tui.core.export import neutral_cell
from claif_tui.core.lab.compare import is_supported
from claif_tui.core.lab.models import HEAPS, Bin, CellResult, Contrast, LabResult
from claif_tui.core.lab.result import value_of
from claif_tui.core.models import NANO
from claif_tui.core.postprocess import RULES
from claif_tui.core.text import display_text
from engine.stats import Interval

BAR = 24
"""Cells of the longest bar of a chart."""
_BLOCKS = " ▁▂▃▄▅▆▇█"
_TEX = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {sign: f"\\{sign}" for sign in "{}#$%&_"}
)


def head(result: LabResult) -> tuple[list[str], tuple[int, ...]]:
    """The columns of the cells' table, and which hold numbers."""
    if result.lab.spec.kind == "score":
        names = [
            "cell",
            "spearman",
            "95 %",
            "rows",
            "cal. error",
            "bias",
            "heaped",
            "unread",
            "re-asked",
            "$/1,000",
        ]
        return names, tuple(range(1, 10))
    names = ["cell", "planned", "kept", "yield", "95 %", "score", "novelty", "unseen", "edit"]
    names += ["dist-1", "dist-2", "near dup.", "$/kept", "$/accepted"]
    return names, tuple(range(1, 14))


def rows(result: LabResult) -> list[list[str]]:
    """One line for each cell; the leader is marked with > where its lead is supported, with ~ where it is not."""
    found = []
    for cell in result.cells:
        mark = ("> " if result.supported else "~ ") if cell.cell.name == result.leader else "  "
        found.append(
            [mark + cell.cell.name, *(_score_cells(cell) if cell.score is not None else _made_cells(cell))]
        )
    return found


def _score_cells(cell: CellResult) -> list[str]:
    figures = cell.score
    assert figures is not None
    return [
        _x100(figures.spearman.value if figures.spearman else None),
        _ends(figures.spearman),
        f"{cell.spread.scored:,}",
        _share(figures.error, 3),
        "" if figures.bias is None else f"{figures.bias:+.3f}",
        _percent(cell.spread.heaped),
        f"{sum(cell.failed.values()):,}",
        f"{cell.reasked:,}",
        _dollars(per_thousand(cell)),
    ]


def _made_cells(cell: CellResult) -> list[str]:
    figures = cell.made
    assert figures is not None
    return [
        f"{cell.planned:,}",
        f"{figures.kept:,}",
        _percent(figures.yielded.value if figures.yielded else None),
        _ends(figures.yielded),
        "" if cell.spread.mean is None else f"{cell.spread.mean:.2f}",
        _percent(figures.novelty),
        _percent(figures.unseen),
        _share(figures.edit, 2),
        _share(figures.distinct[0], 2),
        _share(figures.distinct[1], 2),
        _percent(figures.near),
        _dollars(per_kept(cell)),
        _dollars(per_accepted(cell)),
    ]


def per_thousand(cell: CellResult) -> float | None:
    """Dollars for 1,000 scored rows, failed ones included in the cost; None where unknown."""
    if not cell.priced or not cell.spread.scored:
        return None
    return cell.cost_nano / NANO / cell.spread.scored * 1000


def per_kept(cell: CellResult) -> float | None:
    """Dollars for a pair that the funnel keeps; None where unknown."""
    return value_of(cell, "cost") if cell.priced else None


def per_accepted(cell: CellResult) -> float | None:
    """Dollars for a pair that people accepted, over those of the cell that they decided on; None without any."""
    figures = cell.made
    if figures is None or not cell.priced or not figures.accepted:
        return None
    return figures.decided_nano / NANO / figures.accepted


CONTRAST_HEAD = ("comparison", "difference", "95 %", "p", "p (Holm)", "rows", "rows needed")
CONTRAST_RIGHT = (1, 2, 3, 4, 5)


MANY = 10
"""Of more comparisons only those with the leading cell are written out; ``document`` has them all."""


def contrast_rows(result: LabResult) -> list[list[str]]:
    """One line for each two cells, or for the leader and each other; * marks a difference that is supported."""
    cost = result.lab.spec.criterion == "cost"
    return [_contrast(one, cost) for one in result.contrasts if not _many(result) or _leads(result, one)]


def _many(result: LabResult) -> bool:
    return len(result.contrasts) > MANY and result.leader is not None


def _leads(result: LabResult, one: Contrast) -> bool:
    return result.leader in (one.first, one.second)


def _contrast(one: Contrast, cost: bool) -> list[str]:
    name = f"{one.first} - {one.second}"
    if one.difference is None:
        return [name, "", "", "", "", f"{one.n:,}", one.reason]
    ends = one.difference
    scale, digits = (1, 6) if cost else (100, 2)
    star = "*" if is_supported(one) else " "
    return [
        name,
        f"{scale * ends.value:+.{digits}f}",
        f"{scale * ends.low:+.{digits}f} to {scale * ends.high:+.{digits}f}",
        _p(one.p),
        _p(one.adjusted) + star,
        f"{one.n:,}",
        "" if star == "*" else "-" if one.needed is None else f"{one.needed:,}",
    ]


def failures(result: LabResult) -> list[str]:
    """A line for each cell in which something has no outcome: failures by reason, and drops by rule."""
    found = []
    for cell in result.cells:
        parts = [f"{reason} {count:,}" for reason, count in cell.failed.items()]
        if cell.made is not None:
            # Why a score is missing stands among the reasons already.
            drops = [(rule, count) for rule, count in cell.made.drops.items() if rule != "unscored"]
            parts += [f"{RULES.get(rule, rule)} {count:,}" for rule, count in drops]  # type: ignore[call-overload]
        if parts:
            found.append(f"{cell.cell.name}: {'; '.join(parts)}")
    return found


def method(result: LabResult) -> list[str]:
    """How the figures were made, in a few lines."""
    if result.lab.spec.kind == "score":
        figures = (
            "spearman x100 with people's labels (95 %: bootstrap over the rows); cal. error: expected calibration "
            "error over ten bins; heaped: scores of exactly 0.0, 0.5 or 1.0; $/1,000: dollars for 1,000 scored pairs."
        )
        unit = "rows that both cells read"
    else:
        figures = (
            "kept: by the recipe's own funnel; novelty: words that the seed lacks; unseen: kept sentences that are no "
            "seed; edit: word edit distance; dist-1, -2: distinct n-grams of the first "
            f"{_of(result):,} kept sentences of each cell; near dup.: sentences among these with a near duplicate; "
            "$/kept: by the funnel; $/accepted: by people, where they decided on the same pairs."
        )
        unit = "seeds, each with all its pairs"
    test = (
        f"Differences: paired bootstrap over the {unit}; p corrected by Holm over all comparisons of the lab."
    )
    many = f"Of {len(result.contrasts):,} comparisons those with the leading cell are shown; --json has all."
    return [figures, test, *([many] if _many(result) else [])]


def _of(result: LabResult) -> int:
    return min((cell.made.distinct_of for cell in result.cells if cell.made is not None), default=0)


def histogram(counts: Sequence[int]) -> str:
    """Counts in equal parts of 0..1 as one line of bars."""
    most = max(counts, default=0)
    return "".join(_BLOCKS[0 if not count else max(1, round(8 * count / most))] for count in counts)


def calibration_lines(bins: Sequence[Bin]) -> list[str]:
    """Mean human label for each part of the score's scale, as bars; | stands where the mean score is."""
    found = []
    for one in bins:
        label = f"{one.low:.1f}-{one.high:.1f} {one.rows:>5,}"
        if one.gold is None or one.score is None:
            found.append(f"{label}  ·")
            continue
        bar = list(("█" * round(BAR * one.gold)).ljust(BAR + 1))
        bar[round(BAR * one.score)] = "|"
        found.append(f"{label}  {''.join(bar)} {one.gold:.2f}")
    return found


def charts(result: LabResult) -> list[str]:
    """A histogram of scores for each cell, and for scoring labs its calibration, as lines of text."""
    found = []
    for cell in result.cells:
        heaps = ", ".join(
            f"{heap:.1f}: {count:,}" for heap, count in zip(HEAPS, cell.spread.heaps, strict=True)
        )
        found += [cell.cell.name, f"  scores 0 [{histogram(cell.spread.counts)}] 1   {heaps}"]
        if cell.score is not None:
            found.append("  score    rows  mean human label (█), mean score (|)")
            found += [f"  {line}" for line in calibration_lines(cell.score.bins)]
        found.append("")
    return found[:-1]


def markdown(result: LabResult) -> str:
    """Both tables and the verdict in Markdown."""
    names, right = head(result)
    parts = [_markdown(names, rows(result), right)]
    if result.contrasts:
        parts.append(_markdown(CONTRAST_HEAD, contrast_rows(result), CONTRAST_RIGHT))
    return "\n".join([*parts, result.verdict, *(f"- {note}" for note in result.notes)]) + "\n"


def _markdown(names: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    def row(cells: Sequence[str]) -> str:
        shown = (display_text(cell.strip(), one_line=True).replace("|", "\\|") for cell in cells)
        return "| " + " | ".join(shown) + " |"

    rule = "|" + "|".join(" ---: " if place in right else " --- " for place in range(len(names))) + "|"
    return "\n".join([row(names), rule, *map(row, lines)]) + "\n"


def comma(result: LabResult) -> str:
    """The cells' table as CSV; no cell begins a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head(result)[0])
    for line in rows(result):
        writer.writerow([neutral_cell(line[0].removeprefix("> ").removeprefix("~ ").strip()), *line[1:]])
    return out.getvalue()


def latex(result: LabResult) -> str:
    """The cells' table in LaTeX (booktabs)."""
    names, right = head(result)
    columns = "".join("r" if place in right else "l" for place in range(len(names)))
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines.append(" & ".join(name.translate(_TEX) for name in names) + r" \\")
    lines.append("\\midrule")
    for line in rows(result):
        cells = [
            display_text(cell.removeprefix("> ").removeprefix("~ ").strip(), one_line=True) for cell in line
        ]
        lines.append(" & ".join(cell.translate(_TEX) for cell in cells) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def document(result: LabResult) -> dict[str, object]:
    """The result as plain data. Correlations are x100, shares and scores in 0..1."""
    lab = result.lab
    return {
        "lab": lab.id,
        "kind": lab.spec.kind,
        "criterion": lab.spec.criterion,
        "rows": len(lab.gold) or len(lab.seeds),
        "available": lab.available,
        "seed": lab.spec.seed,
        "cells": [_cell(cell) for cell in result.cells],
        "comparisons": [_comparison(one, lab.spec.criterion == "spearman") for one in result.contrasts],
        "leader": result.leader,
        "supported": result.supported,
        "verdict": result.verdict,
        "notes": list(result.notes),
        "open": result.open,
    }


def _cell(cell: CellResult) -> dict[str, object]:
    common: dict[str, object] = {
        "name": cell.cell.name,
        "fields": dict(cell.cell.changes),
        "planned": cell.planned,
        "open": cell.open,
        "failed": cell.failed,
        "reasked": cell.reasked,
        "calls": cell.calls,
        "cost_usd": cell.cost_nano / NANO if cell.priced else None,
        "scores": {
            "scored": cell.spread.scored,
            "histogram": list(cell.spread.counts),
            "mean": cell.spread.mean,
            "heaped": cell.spread.heaped,
            "heaps": {f"{heap:.1f}": count for heap, count in zip(HEAPS, cell.spread.heaps, strict=True)},
        },
    }
    if cell.score is not None:
        figures = cell.score
        return common | {
            "spearman": None if figures.spearman is None else 100 * figures.spearman.value,
            "interval": _pair(figures.spearman, 100),
            "reason": figures.why_not or None,
            "calibration": {
                "error": figures.error,
                "bias": figures.bias,
                "bins": [
                    {"low": one.low, "high": one.high, "rows": one.rows, "score": one.score, "gold": one.gold}
                    for one in figures.bins
                ],
            },
            "usd_per_1000": per_thousand(cell),
        }
    made = cell.made
    assert made is not None
    return common | {
        "generated": made.generated,
        "funnel": made.drops,
        "kept": made.kept,
        "yield": None if made.yielded is None else made.yielded.value,
        "interval": _pair(made.yielded, 1),
        "novelty": {"new_words": made.novelty, "unseen": made.unseen, "edit": made.edit},
        "diversity": {
            "distinct_1": made.distinct[0],
            "distinct_2": made.distinct[1],
            "near_duplicates": made.near,
            "of": made.distinct_of,
        },
        "usd_per_kept": per_kept(cell),
        "people": {"decided": made.decided, "accepted": made.accepted, "usd_per_accepted": per_accepted(cell)},
    }


def _comparison(one: Contrast, correlation: bool) -> dict[str, object]:
    scale = 100 if correlation else 1
    return {
        "first": one.first,
        "second": one.second,
        "n": one.n,
        "difference": None if one.difference is None else scale * one.difference.value,
        "interval": _pair(one.difference, scale),
        "p": one.p,
        "p_holm": one.adjusted,
        "rows_needed": one.needed,
        "reason": one.reason or None,
    }


def _pair(interval: Interval | None, scale: float) -> list[float] | None:
    return None if interval is None else [scale * interval.low, scale * interval.high]


def _ends(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.low:.1f}-{100 * interval.high:.1f}"


def _x100(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _share(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _dollars(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if not value or value >= 1 else f"{value:.3g}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
