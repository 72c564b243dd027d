"""What rater mode shows, from what a rater may know: ``Desk`` and ``Shown``. Pure functions; no widget, no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claif_tui.core.rating.models import SCALES
from claif_tui.ui import safe
from claif_tui.ui.screens.rater_scale import read, written

if TYPE_CHECKING:
    from claif_tui.core.rating.models import Criterion, Desk, Shown

BRIEF = 240
"""Characters of an explanation that stand beside the score; ``w`` shows the rest."""
BAR = 20
"""Cells of the progress bar."""
_BREAK = "You have rated for a while without a pause. A short one helps; everything is saved."


def title(desk: Desk, shown: Shown | None) -> safe.Content:
    """``Study human-eval-1 · rater R2 · 17 of 25``; practice is counted apart."""
    if shown is None:
        where = f"{desk.done} of {desk.total}"
    elif shown.practice:
        where = f"practice {shown.position} of {desk.practice}"
    else:
        where = f"{shown.position - desk.practice} of {desk.total - desk.practice}"
    return safe.join("Study ", (desk.study, "bold"), f" · rater {desk.rater} · {where}")


def bar(desk: Desk) -> safe.Content:
    """How much is done, as a bar and in numbers."""
    filled = round(BAR * desk.done / desk.total) if desk.total else 0
    return safe.join(
        ("█" * filled + "░" * (BAR - filled), "$primary"),
        (f" {desk.done} of {desk.total} rated", "$text-muted"),
    )


def score(shown: Shown, *, whole: bool) -> safe.Content:
    """The AI's score with its explanation, as far as the study shows them."""
    parts: list[safe.Part] = []
    if shown.score is not None:
        parts.append((f"{shown.score:.2f}", "bold"))
    if shown.explanation:
        said = shown.explanation if whole else safe.clip(shown.explanation, BRIEF)
        parts.append(safe.block(f"“{said}”"))
    return safe.join(*parts, separator="  ")


def open_question(desk: Desk, shown: Shown) -> Criterion | None:
    """The question that is asked now: the first without an answer."""
    return next((criterion for criterion in desk.criteria if criterion.name not in shown.mine), None)


def questions(desk: Desk, shown: Shown, typed: str, *, guideline: bool) -> safe.Content:
    """Every question: the answered ones with the answer, the one that is asked with its keys, then the others."""
    asked = open_question(desk, shown)
    rows: list[safe.Part] = []
    for criterion in desk.criteria:
        if criterion.name in shown.mine:
            said = written(criterion.scale, shown.mine[criterion.name])
            rows.append(safe.join(("✓ ", "$text-success"), criterion.question, "  ", (said, "bold")))
        elif criterion is asked:
            rows.append(safe.join(("▸ ", "bold $primary"), (criterion.question, "bold")))
            rows.append(safe.join("  ", _keys(criterion, typed)))
            if guideline:
                rows.append(safe.join("  ", safe.line(criterion.guideline, "$text-muted")))
        else:
            rows.append(safe.line(f"· {criterion.question}", "$text-muted"))
    return safe.lines(*rows)


def _keys(criterion: Criterion, typed: str) -> safe.Content:
    if criterion.scale == "yesno":
        return safe.join(("y", "bold $primary"), " yes   ", ("n", "bold $primary"), " no")
    if criterion.scale == "ordinal":
        values = [f"{value:g}" for value in SCALES["ordinal"]]
        parts: list[safe.Part] = [(value, "bold $primary") for value in values]
        return safe.join(*parts, separator="   ")
    value = read(typed)
    cells: list[safe.Part] = []
    for each in SCALES["tenths"]:
        chosen = value is not None and abs(each - value) < 1e-9
        cells.append((f"[{each:.1f}]", "bold reverse") if chosen else (f" {each:.1f} ", "$text-muted"))
    if value is None:
        hint = safe.line("0-9 are tenths, 10 is 1.0; enter takes it", "$text-muted")
    else:
        hint = safe.join(
            "typed ", (typed, "bold"), f": {value:.1f}   ", ("enter", "bold $primary"), " takes it"
        )
    return safe.lines(safe.join(*cells), safe.join("  ", hint))


def guidelines(desk: Desk) -> safe.Content:
    """What a rater reads before the first item."""
    rows: list[safe.Part] = [("Guidelines", "bold $primary"), ""]
    count = f"You will see {desk.total - desk.practice} items, one at a time"
    practice = f", after {desk.practice} to practise on, which do not count" if desk.practice else ""
    rows += [
        safe.line(f"{count}{practice}. Judge each by itself: there is no right share of any answer."),
        safe.line("Each answer is saved as you give it. You can leave (esc) and go on at any time."),
    ]
    for n, criterion in enumerate(desk.criteria, 1):
        rows += ["", safe.join((f"{n}  ", "$text-muted"), (criterion.question, "bold"))]
        rows += [safe.join("   ", (_scale(criterion), "$text-primary")), safe.block(criterion.guideline)]
    return safe.lines(*rows)


def _scale(criterion: Criterion) -> str:
    if criterion.scale == "yesno":
        return "y yes, n no"
    if criterion.scale == "ordinal":
        return "1 to 5"
    return "0.0 to 1.0 in tenths: 7 or 0.7 is 0.7, 10 or 1.0 is 1.0; enter takes it"


def finished(desk: Desk) -> safe.Content:
    """The last page."""
    if not desk.total:
        return safe.lines(("Nothing to rate", "bold"), "", "The plan of this study gives you no item.")
    return safe.lines(
        ("Thank you.", "bold $primary"),
        "",
        safe.line(f"All {desk.total} items are rated, and every answer is saved."),
        "",
        safe.join(("u", "bold"), "    takes the latest answer back, if you want to change it"),
        safe.join(("esc", "bold"), "  leaves"),
    )


def closed(message: str, hint: str) -> safe.Content:
    """Why the desk did not open, and the way out."""
    rows: list[safe.Part] = [("Rating cannot begin", "bold $text-error"), "", safe.block(message)]
    if hint:
        rows += [safe.block(hint)]
    return safe.lines(
        *rows, "", safe.join(("r", "bold"), "    tries again"), safe.join(("esc", "bold"), "  leaves")
    )


def take_a_break() -> safe.Content:
    """The hint that a pause is due."""
    return safe.line(_BREAK, "$text-warning")


def help_rows(rows: list[tuple[str, str, str]]) -> safe.Content:
    """The keys of rater mode."""
    said: list[safe.Part] = [
        ("Keys", "bold $primary"),
        "",
        *(
            safe.join(
                (f"{keys:<15}", "bold"), f"{name:<12}", (meaning if meaning != name else "", "$text-muted")
            )
            for keys, name, meaning in rows
        ),
        "",
        safe.line(
            "An answer is saved before the next question shows. A key counts only for the item that was in sight when"
            " it was pressed."
        ),
    ]
    return safe.lines(*said)
