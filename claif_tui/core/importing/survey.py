"""What the numbers of a whole file say about their scale, and whether they were smoothed before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from claif_tui.core.errors import InputError
from claif_tui.core.importing.columns import Columns
from claif_tui.core.importing.extract import PairRules, as_number
from claif_tui.core.importing.names import Part
from claif_tui.core.importing.readers import Layout, Row
from claif_tui.core.importing.types import ImportOptions
from claif_tui.core.models import Kind, Scale, Source

SMOOTHED_NOTE = "labels were smoothed before: export does not smooth them again"
"""Stands among the notes of a source whose labels are so."""

_STRAY = 0.01
"""Share of labels that may lie outside a scale that the others are on ("80%" read as 80 by other tools)."""
_ENOUGH = 50
_EDGES = (0.0, 0.1, 0.9)
_KIND: dict[str, Kind] = {"pairs": "llm", "triplets": "nli", "gold": "human"}


@dataclass(slots=True)
class _Range:
    """The numbers of one kind of column. ``unsmooth`` counts what smoothing cannot have left."""

    count: int = 0
    above_one: int = 0
    outside: int = 0
    outside_line: int = 0
    top: float = 0.0
    unsmooth: int = 0
    edges: int = 0

    def add(self, number: float, line: int) -> None:
        self.count += 1
        self.top = max(self.top, number)
        if not 0.0 <= number <= 5.0:
            self.outside += 1
            self.outside_line = self.outside_line or line
        elif number > 1.0:
            self.above_one += 1
        if number != 0.0 and not 0.1 - 1e-9 <= number <= 0.9 + 1e-9:
            self.unsmooth += 1
        elif any(abs(number - edge) < 1e-9 for edge in _EDGES):
            self.edges += 1

    @property
    def smoothed(self) -> bool:
        """Whether all lie in {0} and 0.1..0.9, as smoothing with 0.2 leaves them, and enough of them say so."""
        return self.count > 0 and not self.unsmooth and (self.edges > 0 or self.count >= _ENOUGH)


class Survey:
    """Collects the numbers of all rows, then decides how they are read."""

    def __init__(self, columns: Columns) -> None:
        self._scores = _Range()
        self._gold = _Range()
        into: dict[Part, _Range] = {"score": self._scores, "negative_score": self._scores, "gold": self._gold}
        self._places = [(columns.parts[part], found) for part, found in into.items() if part in columns.parts]

    @staticmethod
    def needed(columns: Columns, options: ImportOptions) -> bool:
        """Whether there are any numbers to look at, and anything to find out from them."""
        if options.score_scale is not None and options.smoothed is not None:
            return False
        return bool({"score", "negative_score", "gold"} & set(columns.parts))

    def add(self, row: Row) -> None:
        """Look at one row."""
        if row.problem or not row.cells:
            return
        for place, into in self._places:
            number = as_number(row.cells[place])
            if number is not None:
                into.add(number, row.line)

    def rules(self, where: str, layout: Layout, options: ImportOptions) -> tuple[PairRules, list[str]]:
        """Return how to read the numbers and what to say about it.

        Raises ``InputError`` when the labels are on no known scale.
        """
        notes: list[str] = []
        five = layout.format == "stsb"
        gold_scale: Scale = "0-5" if five else self._scale(where, self._gold, options, "gold labels", notes)
        scale = self._scale(where, self._scores, options, "scores", notes)
        smoothed = options.smoothed
        if smoothed is None:
            smoothed = scale == "0-1" and self._scores.smoothed
            if smoothed:
                notes.append(
                    "all labels are 0 or within 0.1-0.9, so probably smoothed; --smoothed no denies it"
                )
        if smoothed:
            notes.append(SMOOTHED_NOTE)
        return (
            PairRules(
                kind=_KIND[options.role],
                needs_negative=options.role == "triplets",
                score_scale=scale,
                gold_scale=gold_scale,
                smoothed=smoothed,
            ),
            notes,
        )

    def _scale(self, where: str, found: _Range, options: ImportOptions, what: str, notes: list[str]) -> Scale:
        if not found.count:
            return options.score_scale or "0-1"
        scale, why = options.score_scale, "as named"
        if scale is None:
            allowed = _STRAY * found.count
            why = f"guessed from all {found.count:,}; the largest is {found.top:g}"
            if found.above_one + found.outside <= allowed:
                scale = "0-1"
            elif found.outside <= allowed:
                scale = "0-5"
            else:
                raise InputError(
                    f"{where}: line {found.outside_line}: {what} are on no known scale "
                    f"({found.outside:,} of {found.count:,} lie outside 0-5)",
                    "Name it: --score-scale 0-1 or 0-5; rows outside it are then dropped and counted.",
                )
        notes.append(f"{what} are on {scale} ({why})" + (", stored divided by 5" if scale == "0-5" else ""))
        return scale


def smoothed_sources(sources: Iterable[Source]) -> frozenset[int]:
    """Return the ids of the imports whose labels were smoothed before they came here."""
    return frozenset(source.id for source in sources if SMOOTHED_NOTE in source.notes)
