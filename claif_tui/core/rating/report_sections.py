"""A report as sections of sentences and tables, the same for every format. No escaping, no computing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from claif_tui.core.rating.agreement import Agreement
from claif_tui.core.rating.intervals import Estimate
from claif_tui.core.rating.models import Criterion
from claif_tui.core.rating.report_models import Contrast, CriterionReport, Figure, Gold, Look, Report, Row
from engine.stats import wilson

NONE = "—"
GROUPS = {"rater": "By rater", "score": "By AI score", "rate": "By mask rate"}
_SCALES = {"yesno": "yes or no", "ordinal": "1 to 5", "tenths": "0 to 1 in tenths"}
_TEXT = 300
"""Characters of a sentence or a comment that a report shows."""


class Quoted(str):
    """A text from data in a cell or a line: each format shows it so that nothing in it is markup."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells with a head; ``right`` names the columns that hold numbers. ``texts``: it quotes sentences at length."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    caption: str = ""
    texts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A title, sentences, and tables below them."""

    title: str
    lines: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def sections(report: Report) -> tuple[Section, ...]:
    """Return the whole report in the order of reading."""
    found = [_short(report), _head(report), _progress(report)]
    if report.gold:
        found.append(_gold(report.gold))
    for one in report.criteria:
        found.append(_criterion(one, "without " + _names(report.excluded) if report.excluded else ""))
    for one in report.everyone:
        lines = ("The figures with the excluded raters, for comparison.",)
        tables = (_figures_table(one.rows[:1], "Overall"), _agreement_table(one.agreement))
        found.append(Section(title=f"{one.criterion.name}, all raters", lines=lines, tables=tables))
    found += [_happened(report), Section(title="What this report cannot say", lines=report.limits)]
    return tuple(found)


def told(estimate: Estimate, unit: str) -> str:
    """A figure alone: ``92.0 %``, ``3.88``, ``0.743``; a dash where it is undefined."""
    return NONE if estimate.value is None else _number(estimate.value, unit)


def bounds(estimate: Estimate, unit: str) -> str:
    """The bounds of a figure: ``85.0–95.9``; a dash where there are none."""
    if estimate.low is None or estimate.high is None:
        return NONE
    low, high = (_number(end, unit).removesuffix(" %") for end in (estimate.low, estimate.high))
    return f"{low} to {high}" if estimate.low < 0 or estimate.high < 0 else f"{low}–{high}"


def sentence(figure: Figure) -> str:
    """A figure in a line: ``92.0 % (85.0–95.9)``, or why there is none."""
    estimate = figure.estimate
    if estimate.value is None:
        return f"none: {estimate.reason}"
    if estimate.low is None:
        return f"{told(estimate, figure.unit)} (no interval: {estimate.note})"
    return f"{told(estimate, figure.unit)} ({bounds(estimate, figure.unit)})"


def answered(criterion: Criterion, value: float) -> str:
    """An answer in words of its scale."""
    if criterion.scale == "yesno":
        return "yes" if value else "no"
    return f"{value:.0f}" if criterion.scale == "ordinal" else f"{value:.1f}"


def _number(value: float, unit: str) -> str:
    digits = {"share": 1, "mean": 2}.get(unit, 3)
    # Adding nothing takes the sign from a zero that was rounded from below.
    rounded = round(value * 100 if unit == "share" else value, digits) + 0.0
    return f"{rounded:.{digits}f}{' %' if unit == 'share' else ''}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _short(report: Report) -> Section:
    """What most readers look for: each question's figures and one coefficient of agreement."""
    lines = []
    for one in report.criteria:
        told_of = [f"{figure.label} {sentence(figure)}" for figure in one.overall.figures]
        if one.human_ai is not None:
            told_of.append(f"{one.human_ai.label} {sentence(one.human_ai)}")
        for alpha in [each for each in one.agreement if each.measure.startswith("alpha")][-1:]:
            figure = Figure(
                label="",
                unit="coefficient",
                estimate=alpha.estimate,
                ratings=alpha.ratings,
                items=alpha.overlap,
            )
            told_of.append(f"{alpha.title} {sentence(figure)}")
        lines.append(f"{one.criterion.name}: {'; '.join(told_of)}.")
    if report.excluded and len(report.excluded) == len(report.progress):
        lines = [
            "Every rater was excluded by the frozen rule; the figures with them stand below, beside the main ones."
        ]
    elif report.excluded:
        lines.append(f"Excluded by the frozen rule: {_names(report.excluded)}.")
    return Section(title="In short", lines=tuple(lines))


def _head(report: Report) -> Section:
    lines = [
        f"Study hash {report.hash}.",
        f"Frozen {report.created[:19].replace('T', ' ')} UTC by {report.author or 'nobody named'}.",
    ]
    lines += [*report.protocol]
    lines += [
        f"Question {Quoted(one.criterion.name)}: {one.criterion.question} ({_SCALES[one.criterion.scale]}"
        f"{', blind' if one.criterion.blind else ''})"
        for one in report.criteria
    ]
    return Section(title="Protocol", lines=tuple(lines))


def _progress(report: Report) -> Section:
    rows = tuple(
        (
            Quoted(one.rater),
            f"{one.done:,} of {one.planned:,}",
            f"{one.partly:,}",
            NONE if one.seconds is None else f"{one.seconds:.1f} s",
            one.words,
        )
        for one in report.progress
    )
    table = Table(
        head=("rater", "items", "in part", "median time", "state"), rows=rows, right=(1, 2, 3), caption="Raters"
    )
    lines = [
        f"{one.criterion.name}: {one.given:,} of {one.planned:,} ratings of the sample were given"
        + (f"; {one.planned - one.given:,} are missing." if one.given < one.planned else ".")
        for one in report.everyone or report.criteria
    ]
    if report.sources:
        lines.append(
            f"Answers came by {', '.join(f'{source} ({count:,})' for source, count in report.sources)}."
        )
    if report.seconds is not None:
        lines.append(f"The median time an item took is {report.seconds:.1f} s, all its questions together.")
    return Section(title="Completeness", lines=tuple(lines), tables=(table,))


def _gold(gold: Sequence[Gold]) -> Section:
    rows = tuple(
        (
            Quoted(one.rater),
            f"{one.passed:,} of {one.answered:,}",
            f"{one.planned:,}",
            "excluded" if one.excluded else "kept",
            one.words,
        )
        for one in gold
    )
    head = ("rater", "passed of answered", "planned", "answers", "because")
    return Section(title="Items of known answer", tables=(Table(head=head, rows=rows, right=(1, 2)),))


def _criterion(one: CriterionReport, without: str) -> Section:
    lines = [f"{one.criterion.question}"] + ([f"Figures are {without}."] if without else [])
    lines += _paper(one.criterion)
    for figure in (one.human_ai, one.bias):
        if figure is not None:
            lines.append(f"{figure.label}: {sentence(figure)}, {figure.items:,} items.")
    lines += [f"{label}: {why}." for label, why in _reasons(one)]
    if one.no_contrasts:
        lines.append(f"Contrasts of conditions: none, as {one.no_contrasts}.")
    for each in one.contrasts:
        if why := each.more or each.difference.note:
            lines.append(f"{each.first} and {each.second} are not told apart: {why}.")
    overall = [row for row in one.rows if row.group == "overall"]
    tables = [_figures_table(overall, "Overall")]
    for group, caption in GROUPS.items():
        rows = [row for row in one.rows if row.group == group]
        if len(rows) > 1:
            tables.append(_figures_table(rows, caption))
    if any(each.estimate.value is not None for each in one.agreement):
        tables.append(_agreement_table(one.agreement))
    if one.repeats:
        tables.append(_repeats_table(one))
    if one.contrasts:
        tables.append(_contrasts_table(one.contrasts))
    apart = "raters apart" if any(len(look.values) > 1 for look in one.split) else "answered no"
    for looks, caption in (
        (one.split, f"To look at: {apart}"),
        (one.against_ai, "To look at: people and AI apart"),
    ):
        if looks:
            tables.append(_looks_table(one.criterion, looks, caption))
    return Section(title=one.criterion.name, lines=tuple(lines), tables=tuple(tables))


def _paper(criterion: Criterion) -> list[str]:
    """What the CLAIF paper found for the same question (section 4.7), each item judged by one rater."""
    hits = {"fluent": 92, "consistent": 90}.get(criterion.name)
    found = wilson(hits, 100) if hits is not None and criterion.scale == "yesno" else None
    if found is None:
        return []
    estimate = Estimate(found.value, found.low, found.high)
    return [
        f"The CLAIF paper found {told(estimate, 'share')} ({bounds(estimate, 'share')}) yes in 100 ratings."
    ]


def _reasons(one: CriterionReport) -> Iterable[tuple[str, str]]:
    """Why a figure or its interval is missing, each reason once."""
    by: dict[str, list[str]] = {}
    for label, estimate in (
        *((figure.label, figure.estimate) for figure in one.overall.figures),
        *((each.title, each.estimate) for each in one.agreement),
    ):
        if estimate.value is None:
            by.setdefault(estimate.reason, []).append(label)
        elif estimate.low is None:
            by.setdefault(f"no interval, as {estimate.note}", []).append(label)
    yield from (("; ".join(labels), why) for why, labels in by.items())


def _figures_table(rows: Sequence[Row], caption: str) -> Table:
    head, right = ["", "ratings", "items"], [1, 2]
    for figure in rows[0].figures:
        right += [len(head), len(head) + 1]
        head += [figure.label, "95 %"]
    cells = []
    for row in rows:
        line: list[str] = [Quoted(row.name), f"{row.figures[0].ratings:,}", f"{row.figures[0].items:,}"]
        for figure in row.figures:
            line += [told(figure.estimate, figure.unit), bounds(figure.estimate, figure.unit)]
        cells.append(tuple(line))
    return Table(head=tuple(head), rows=tuple(cells), right=tuple(right), caption=caption)


def _agreement_table(found: Sequence[Agreement]) -> Table:
    rows = []
    for one in found:
        rows.append(
            (
                one.title,
                told(one.estimate, one.unit),
                bounds(one.estimate, one.unit),
                f"{one.overlap:,}",
                f"{one.raters:,}",
            )
        )
    head = ("coefficient", "value", "95 %", "items", "raters")
    return Table(head=head, rows=tuple(rows), right=(1, 2, 3, 4), caption="Agreement")


def _repeats_table(one: CriterionReport) -> Table:
    rows = tuple(
        (
            Quoted(each.rater or "all"),
            f"{each.same.ratings:,}",
            told(each.same.estimate, "share"),
            bounds(each.same.estimate, "share"),
            NONE if each.apart is None else f"{each.apart:.2f}",
        )
        for each in one.repeats
    )
    head = ("rater", "shown twice", "same answer", "95 %", "mean distance")
    return Table(head=head, rows=rows, right=(1, 2, 3, 4), caption="Items shown again")


def _contrasts_table(contrasts: Sequence[Contrast]) -> Table:
    rows = tuple(
        (
            Quoted(one.first),
            Quoted(one.second),
            f"{one.first_items:,}, {one.second_items:,}",
            told(one.difference, "mean"),
            bounds(one.difference, "mean"),
            NONE if one.p is None else ("< 0.001" if one.p < 0.001 else f"{one.p:.3f}"),
        )
        for one in contrasts
    )
    head = ("first", "second", "items", "first less second", "95 %", "p")
    return Table(head=head, rows=rows, right=(2, 3, 4, 5), caption="Conditions")


def _looks_table(criterion: Criterion, looks: Sequence[Look], caption: str) -> Table:
    rows = []
    for one in looks:
        said = ", ".join(f"{rater} {answered(criterion, value)}" for rater, value in one.values)
        rows.append(
            (
                f"{one.item}",
                NONE if one.pair_id is None else f"{one.pair_id}",
                NONE if one.score is None else f"{one.score:.2f}",
                Quoted(said),
                Quoted(_cut(one.text_a)),
                Quoted(_cut(one.text_b)),
                Quoted(_cut(" / ".join(one.comments))),
            )
        )
    head = ("item", "pair", "AI score", "answers", "first sentence", "second sentence", "comments")
    return Table(head=head, rows=tuple(rows), right=(0, 1, 2), caption=caption, texts=True)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"


def _happened(report: Report) -> Section:
    lines = []
    if report.deviations:
        lines.append(f"{len(report.deviations):,} of these events depart from the frozen plan.")
    else:
        lines.append("No deviation from the frozen plan was recorded.")
    tables = []
    if report.events:
        rows = tuple(
            (
                one.at[:19].replace("T", " "),
                Quoted(one.author),
                Quoted(one.kind),
                "deviation" if one.deviation else "",
                Quoted(_cut(one.detail)),
            )
            for one in report.events
        )
        tables.append(
            Table(head=("when (UTC)", "who", "what", "", "detail"), rows=rows, caption="Events", texts=True)
        )
    if report.changed:
        lines.append(f"{len(report.changed):,} items: the pair is not what it was when the study was frozen.")
        since = tuple((f"{n}", Quoted(_cut(words))) for n, words in report.changed)
        tables.append(
            Table(head=("item", "since"), rows=since, right=(0,), caption="Changed since", texts=True)
        )
    if report.comments:
        said = tuple(
            (f"{one.item}", Quoted(one.rater), one.at[:19].replace("T", " "), Quoted(_cut(one.text)))
            for one in report.comments
        )
        tables.append(
            Table(
                head=("item", "rater", "when (UTC)", "comment"),
                rows=said,
                right=(0,),
                caption="Comments",
                texts=True,
            )
        )
    return Section(title="What happened", lines=tuple(lines), tables=tuple(tables))
