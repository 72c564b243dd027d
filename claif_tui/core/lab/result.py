"""A lab's result: figures of every cell, the comparisons, and in words what they support. Blocks; sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from claif_tui.core.lab.compare import (
    LEAST_ROWS,
    leader,
    made_contrasts,
    score_contrasts,
    stands_out,
    unseparated,
)
from claif_tui.core.lab.figures import funnel_of, known_texts, make_result, score_result, seed_sums
from claif_tui.core.lab.models import Cell, CellResult, Contrast, Criterion, Lab, LabResult
from claif_tui.core.lab.outcomes import made_pairs, scored_rows
from claif_tui.core.store.store import Store

NAMED = 3
"""Cells that a verdict names before it counts the others."""
GAPS = 0.05
"""A share of rows without a readable score from which on a cell is remarked upon."""
CRITERION_WORDS: dict[Criterion, str] = {
    "spearman": "Spearman's correlation with people",
    "yield": "the share of planned pairs that the funnel keeps",
    "novelty": "the share of words that the seed lacks",
    "cost": "the cost of a kept pair",
}


def result(store: Store, lab: Lab) -> LabResult:
    """Return what the answers that are stored say. Takes a few seconds for many cells."""
    return _scored(store, lab) if lab.spec.kind == "score" else _made(store, lab)


def value_of(cell: CellResult, criterion: Criterion) -> float | None:
    """Return the figure by which a cell is compared; a cost in dollars."""
    if cell.score is not None:
        return cell.score.spearman.value if cell.score.spearman is not None else None
    if cell.made is None:
        return None
    if criterion == "novelty":
        return cell.made.novelty
    if criterion == "cost":
        return cell.cost_nano / 1e9 / cell.made.kept if cell.made.kept else None
    return cell.made.yielded.value if cell.made.yielded is not None else None


def _scored(store: Store, lab: Lab) -> LabResult:
    cells: list[CellResult] = []
    scores: dict[str, dict[int, float]] = {}
    for cell, priced in _priced(lab):
        known = scored_rows(store, cell, lab.gold)
        cells.append(score_result(cell, lab.gold, known, priced=priced))
        scores[cell.name] = {
            row.pair_id: one.value.value
            for row, one in zip(lab.gold, known, strict=True)
            if one.value is not None and one.value.value is not None
        }
    gold = {row.pair_id: row.gold for row in lab.gold}
    return _judged(lab, cells, score_contrasts(gold, scores))


def _made(store: Store, lab: Lab) -> LabResult:
    kept = {}
    sums = {}
    for cell, _ in _priced(lab):
        made = made_pairs(store, cell, lab.seeds)
        places, drops = funnel_of(cell.recipe, made)
        kept[cell.name] = (made, places, drops)
        sums[cell.name] = seed_sums(made, places)
    # Distinct-n falls with the number of sentences: it is measured on as many in every cell.
    of = min(len(places) for _, places, _ in kept.values())
    texts = known_texts(store)
    cells = []
    for cell, priced in _priced(lab):
        made, places, drops = kept[cell.name]
        decided = store.pairs.statuses_of([one.answer.keys[-1] for one in made if one.answer.keys])
        cells.append(
            make_result(cell, made, places, drops, of=of, known_seeds=texts, decided=decided, priced=priced)
        )
    criterion = lab.spec.criterion
    return _judged(lab, cells, made_contrasts(sums, criterion))


def _priced(lab: Lab) -> list[tuple[Cell, bool]]:
    return [(cell, station.ready.price is not None) for station in lab.stations for cell in station.cells]


def _judged(lab: Lab, cells: Sequence[CellResult], contrasts: Sequence[Contrast]) -> LabResult:
    criterion = lab.spec.criterion
    values = {cell.cell.name: value_of(cell, criterion) for cell in cells}
    first = leader(values, criterion)
    if criterion == "cost" and not all(cell.priced for cell in cells):
        first = None
    supported = first is not None and stands_out(first, contrasts)
    return LabResult(
        lab=lab,
        cells=tuple(cells),
        contrasts=tuple(contrasts),
        leader=first,
        supported=supported,
        verdict=_verdict(lab, first, supported, contrasts, values),
        notes=tuple(_notes(lab, cells)),
    )


def _verdict(
    lab: Lab,
    first: str | None,
    supported: bool,
    contrasts: Sequence[Contrast],
    values: Mapping[str, float | None],
) -> str:
    """Say what the comparisons support, and no more."""
    by = CRITERION_WORDS[lab.spec.criterion]
    if first is None:
        return f"No cell leads: {by} is undefined so far."
    if not contrasts:
        return f"One cell, nothing to compare: {first}."
    if supported:
        others = "the other cell" if len(contrasts) == 1 else "every other cell"
        return f"{first} is best by {by}, and the difference to {others} is supported (p < 0.05, Holm)."
    equal = [name for name, value in values.items() if value == values[first]]
    if len(equal) > 1:
        return f"No winner: {', '.join(equal)} have the same figure, {by}."
    close = unseparated(first, contrasts)
    rest = [one.second if one.first == first else one.first for one in close]
    more = f" and {len(rest) - NAMED} more" if len(rest) > NAMED else ""
    names = ", ".join(rest[:NAMED]) + more
    return f"No winner: {first} leads by {by}, but is not separable from {names}. {_more(close, lab)}"


def _more(close: Sequence[Contrast], lab: Lab) -> str:
    unit = "gold rows" if lab.spec.kind == "score" else "seeds"
    if close[0].n < LEAST_ROWS:
        return f"With {close[0].n:,} {unit} nothing can be claimed; take {LEAST_ROWS} or more."
    reasons = {one.reason for one in close if one.reason}
    if reasons:
        return f"There is no test for all of them: {'; '.join(sorted(reasons))}."
    needs = [one.needed for one in close]
    known = [rows for rows in needs if rows is not None]
    if len(known) < len(needs):
        return "As things stand they are as good as equal: no sensible number of rows would tell all of them apart."
    return (
        f"If the differences are what they seem, about {max(known):,} {unit} would show them four times in five "
        f"(these are {close[0].n:,})."
    )


def _notes(lab: Lab, cells: Sequence[CellResult]) -> list[str]:
    """Remarks that the figures need to be read rightly."""
    rows = len(lab.gold) or len(lab.seeds)
    unit = "gold rows" if lab.spec.kind == "score" else "seeds"
    notes = []
    if rows < lab.spec.rows:
        notes.append(f"{lab.spec.rows:,} {unit} were asked for; the project has {rows:,}.")
    open_ = sum(cell.open for cell in cells)
    if open_:
        notes.append(
            f"{open_:,} questions are open; run the lab again to ask them. Figures are of what is there."
        )
    for cell in cells:
        unread = sum(cell.failed.values()) - cell.open if cell.score is not None else 0
        if cell.planned and unread / cell.planned >= GAPS:
            notes.append(
                f"{cell.cell.name}: {unread:,} of {cell.planned:,} rows have no readable score; "
                "its figures are of the rest."
            )
    if any(not cell.priced for cell in cells):
        notes.append(
            "Costs are not known where a model has no price (--price-in, --price-out, or its profile)."
        )
    return notes
