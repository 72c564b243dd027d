"""The score quality view as lines for a given width: sentences, tables with bars, and what a line opens. No widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claif_tui.core.models import PairQuery
from claif_tui.core.quality import Bin, Mean, Quality, Rate, Step
from claif_tui.core.quality_words import STEPS, mean, number, percent, sentences
from claif_tui.core.store import filters
from claif_tui.ui import safe
from claif_tui.ui.widgets.pair_sides import field, score_bar

_LABEL = 10
_ORDER = ("pairs", "people", "encoder", "gold", "re-scored", "by hand", "rates", "heaping")
_TRACKS = (31, 21, 11)
"""Cells that 0 to 1 may take up, with a cell at each end."""
_BAR = 20
_BESIDE_BAR = 46
"""What stands beside the bar of a mask rate, the number of pairs aside."""
_GLYPHS: dict[Step, tuple[str, str]] = {
    "": (" ", ""),
    "falls": ("▼", "$text-success"),
    "level": ("=", "$text-warning"),
    "rises": ("▲", "$text-warning"),
}
_ABOUT = (
    "apart: mean distance from the AI's score. AI: by how much it is higher or lower on average. kept: accepted among "
    "decided pairs; changed: text or score changed by a person. [ ], ±: 95 % intervals that take pairs as independent."
)
_UNSCORED = (
    "SynCSE's triplets have no scores, and those of Dino and of zero pairs are labels that no AI gave: "
    "none of them is here."
)
_MARKS = (("score", "│"), ("encoder", "e"), ("gold", "g"), ("rescored", "r"))


@dataclass(frozen=True, slots=True)
class Row:
    """One line or paragraph; ``condition`` is the filter of the pairs behind it, empty where there are none."""

    content: safe.Content
    condition: str = ""


def selection(query: PairQuery) -> str:
    """Say in words which pairs are looked at: those of any status that ``query`` finds."""
    parts = [] if query.sample is None else [f"sample of {query.sample[1]:,}, seed {query.sample[0]}"]
    parts += [f'"{query.search}"'] if query.search else []
    kept = query.filter if query.sample is not None else str(filters.parse(query.filter).without("status"))
    parts += [kept] if kept else []
    return " · ".join(parts) or "all pairs"


def rows(found: Quality, width: int) -> list[Row]:
    """Return the whole view, ``width`` cells wide."""
    if not found.scored:
        return [Row(_nothing(found))]
    told = [*((name, safe.block(text)) for name, text in sentences(found)), *_missing(found)]
    told.sort(key=lambda one: _ORDER.index(one[0]))
    out = [Row(field(name, text, width, label_width=_LABEL)) for name, text in told]
    out += _calibration(found, width)
    out += _by_rate(found.rates, width)
    out += _common(found)
    out.append(Row(safe.lines("", *(line.rstrip() for line in safe.line(_ABOUT, "$text-muted").wrap(width)))))
    return out


def _nothing(found: Quality) -> safe.Content:
    if found.unscored:
        how = "In a terminal: claif-tui score. In Review: mark pairs with space, then s."
        none = f"None of {found.unscored:,} pairs has a score of an AI yet."
        return safe.lines(none, "", (how, "bold $primary"), "", (_UNSCORED, "$text-muted"))
    how = "Press esc, then 4 and g to generate some; or f in Review for another filter."
    labels = "Zero pairs and Dino's are not among them: their scores are labels that no AI gave."
    return safe.lines("There are no pairs to look at.", "", (how, "bold $primary"), "", (labels, "$text-muted"))


def _missing(found: Quality) -> list[tuple[str, safe.Content]]:
    """What is not known, each with the step that would tell."""
    out = []
    if found.unencoded:
        lacking = "no cosines yet" if found.encoder is None else f"{found.unencoded:,} without a cosine"
        out.append(("encoder", safe.join(f"{lacking}: ", ("e", "bold $primary"), " works them out")))
    if found.keep is None:
        keys = safe.join(("a", "bold $primary"), " and ", ("r", "bold $primary"))
        out.append(("people", safe.join("nothing decided yet: ", keys, " in Review decide")))
    if found.gold is None:
        out.append(("gold", safe.line("no labels: claif-tui import FILE --as gold, then claif-tui score")))
    return out


def _heading(title: str, more: str, head: str) -> list[Row]:
    words = safe.join((title, "bold $primary"), (f"  {more}" if more else "", "$text-muted"))
    return [Row(safe.lines("", words, (head, "bold")))]


def _calibration(found: Quality, width: int) -> list[Row]:
    """One line a bin: what stands against the score, and where it lies between 0 and 1."""
    counts = _column("pairs", [f"{one.score.n:,}" for one in found.bins])
    shown = [key for key in ("encoder", "gold", "rescored") if any(getattr(one, key) for one in found.bins)]
    columns = [counts]
    for key in shown:
        title = "re-scored" if key == "rescored" else key
        columns.append(_column(title, [mean(getattr(one, key)) for one in found.bins]))
    if found.keep is not None:
        columns.append(_column("decided", [f"{one.decided:,}" for one in found.bins]))
        kept = _column("kept", [percent(one.keep) if one.keep else "-" for one in found.bins])
        if 7 + sum(len(column[0]) for column in (*columns, kept)) > width:  # without the interval
            kept = _column("kept", [f"{100 * one.keep.value:.1f} %" if one.keep else "-" for one in found.bins])
        columns.append(kept)
        if width >= 100:
            columns.append(
                _column("changed", [f"{one.changed:,}" if one.decided else "" for one in found.bins])
            )
    used = 7 + sum(len(column[0]) for column in columns)
    cells = next((cells for cells in _TRACKS if used + cells + 2 <= width), 0)
    marks = [(key, mark) for key, mark in _MARKS if key == "score" or key in shown]
    legend = "  ".join(f"{mark} {'AI' if key == 'score' else 're-scored' if key == 'rescored' else key}"
                       for key, mark in marks) + ("  * several" if len(marks) > 1 else "")  # fmt: skip
    head = "score  " + "".join(column[0] for column in columns)
    head += f"  0{' ' * (cells - 2)}1" if cells else ""
    out = _heading("By AI score", f"means: {legend}" if cells else "means", head)
    for place, one in enumerate(found.bins):
        text = f"{one.low:.1f}-{one.high:.1f}" + "".join(column[place + 1] for column in columns)
        track = (f"  {_track(one, marks, cells)}", "$text-primary") if cells else ""
        out.append(Row(safe.join(text, track), one.condition))
    return out


def _track(one: Bin, marks: Sequence[tuple[str, str]], cells: int) -> str:
    """Where the means of a bin lie between 0 and 1."""
    line = ["·"] * cells
    for key, mark in marks:
        found: Mean | None = getattr(one, key)
        if found is not None:
            place = round(min(1.0, max(0.0, found.value)) * (cells - 1))
            line[place] = mark if line[place] == "·" else "*"
    return "".join(line)


def _by_rate(found: Sequence[Rate], width: int) -> list[Row]:
    if not found:
        return []
    counts = _column("pairs", [f"{one.score.n:,}" for one in found])
    steps = any(one.step for one in found)
    room = width - len(counts[0]) - _BESIDE_BAR
    cells = min(_BAR, room) if room >= 5 else max(5, room + 6)  # then without the figure of the change
    head = f"rate   {counts[0]}   mean  ±95 %  {'':<{cells}}  {'vs. rate below' if steps else ''}"
    out = _heading("By mask rate", "", head.rstrip())
    for place, one in enumerate(found):
        margin = "" if one.score.margin is None else f"{one.score.margin:.3f}"
        text = f"{number(one.rate):<7}{counts[place + 1]}   {mean(one.score)}  {margin:>5}  "
        glyph, style = _GLYPHS[one.step]
        change = "" if one.change is None or room < 5 else f" {one.change.value:+.2f}"
        bar = (score_bar(one.score.value, cells), "$text-primary")
        out.append(Row(safe.join(text, bar, (f"  {glyph} {STEPS[one.step]}{change}", style)), one.condition))
    return out


def _common(found: Quality) -> list[Row]:
    """The commonest scores, their bars against all scores."""
    heap = found.heaping.common
    counts = _column("pairs", [f"{count:,}" for _, count in heap])
    out = _heading("Commonest scores", "", f"score  {counts[0]}    share")
    for place, (value, count) in enumerate(heap):
        text = f"{number(value):<7}{counts[place + 1]}  {100 * count / found.scored:>5.1f} %  {'':<5}"
        bar = (score_bar(count / found.scored, _BAR), "$text-primary")
        out.append(Row(safe.join(text, bar), f"score = {value!r}"))
    return out


def _column(head: str, cells: Sequence[str]) -> list[str]:
    """A column, its head first, right-aligned and with a gap before it."""
    width = max(len(head), *map(len, cells)) + 2
    return [f"{cell:>{width}}" for cell in (head, *cells)]
