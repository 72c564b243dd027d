"""From a row of cells to sentences or pairs: every row is used, or dropped with a reason. No files, no store.

Preview and import go through the same code, so they cannot disagree.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claif_tui.core.export import restore_cell
from claif_tui.core.importing.columns import Columns
from claif_tui.core.importing.names import Part
from claif_tui.core.importing.readers import Row
from claif_tui.core.importing.splits import word_split
from claif_tui.core.importing.types import MAX_SENTENCE, Issue, Tally
from claif_tui.core.models import Kind, Scale, Split
from claif_tui.core.text import storable_text

_SCORES: tuple[Part, ...] = ("score", "negative_score", "gold")
_KINDS: dict[str, Kind] = {"llm": "llm", "human": "human", "nli": "nli"}


class PairRow(NamedTuple):
    """One pair as a file has it, scores on 0..1; ``score_raw`` is the cell as written."""

    line: int
    text_a: str
    text_b: str
    hard_negative: str | None
    score: float | None
    score_raw: str | None
    negative_score: float | None
    gold: float | None
    reason: str | None
    kind: Kind
    rate: float | None
    model: str | None


class _Numbers(NamedTuple):
    score: float | None
    score_raw: str | None
    negative_score: float | None
    gold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRules:
    """How the cells of pairs are to be read: scales, and whether labels were smoothed before."""

    kind: Kind
    needs_negative: bool = False
    score_scale: Scale = "0-1"
    gold_scale: Scale = "0-1"
    smoothed: bool = False


@dataclass(slots=True)
class Extractor:
    """Turns rows into texts or pairs and counts what it drops; ``issues`` is to be drained by the caller."""

    columns: Columns
    split: Split
    marked_split: bool = False
    """Whether rows of another split than ``split`` are dropped because the user named it."""
    neutralised: bool = False
    """Whether a quote before ``= + - @`` was put there by our own export."""
    issues: list[Issue] = field(default_factory=list)
    rows: int = 0
    sentences: int = 0
    empty: int = 0
    replaced: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def tally(self, unique: int, duplicates: int) -> Tally:
        """Return the counts so far, with those that only the caller knows."""
        return Tally(
            rows=self.rows,
            sentences=self.sentences,
            unique=unique,
            duplicates=duplicates,
            empty=self.empty,
            replaced=self.replaced,
            dropped=dict(sorted(self.dropped.items())),
        )

    def texts(self, row: Row) -> list[tuple[str, int]]:
        """Return the (sentence, line) of a row's seed columns."""
        if not self._usable(row):
            return []
        found: list[tuple[str, int]] = []
        for place in self.columns.texts:
            text = self._text(row, place)
            if text is not None:
                found.append((text, row.line))
        self.sentences += len(found)
        return found

    def pair(self, row: Row, rules: PairRules) -> PairRow | None:
        """Return a row's pair, or None when a text is missing or a score cannot be what it should be."""
        if not self._usable(row):
            return None
        cells, parts = row.cells, self.columns.parts
        text_a = self._text(row, parts["a"])
        if text_a is None:
            return None
        text_b = self._text(row, parts["b"])
        if text_b is None:
            return None
        negative = None
        if "negative" in parts and (rules.needs_negative or not is_missing(cells[parts["negative"]])):
            negative = self._text(row, parts["negative"])
            if negative is None:
                return None
        numbers = self._numbers(row, rules)
        if numbers is None:
            return None
        said = cells[parts["kind"]] if "kind" in parts else None
        if said == "zero":
            self._drop(row, "zero_pair", text_a)
            return None
        self.sentences += 1
        return PairRow(
            row.line,
            text_a,
            text_b,
            negative,
            *numbers,
            self._optional(cells, "reason"),
            _KINDS.get(str(said), rules.kind),
            as_number(cells[parts["rate"]]) if "rate" in parts else None,
            self._optional(cells, "model"),
        )

    def _usable(self, row: Row) -> bool:
        self.rows += 1
        if row.problem:
            self._drop(row, row.problem, " | ".join(str(cell) for cell in row.cells))
            return False
        if not row.cells:
            self.empty += 1
            self.issues.append(Issue(row.line, "empty", ""))
            return False
        place = self.columns.parts.get("split")
        marked = word_split(row.cells[place]) if place is not None else None
        if marked is not None and marked != self.split:
            held_out = marked != "train" and not self.marked_split
            self._drop(row, f"held_out_{marked}" if held_out else "other_split", str(row.cells[0]))
            return False
        return True

    def _drop(self, row: Row, reason: str, detail: str) -> None:
        self.dropped[reason] += 1
        self.issues.append(Issue(row.line, reason, storable_text(detail[:200])[0]))

    def _text(self, row: Row, place: int) -> str | None:
        cell = row.cells[place]
        if cell is None:
            cell = ""
        if not isinstance(cell, str):
            self._drop(row, "not_text", str(cell))
            return None
        if self.neutralised:
            cell = restore_cell(cell)
        text = cell.strip()
        replaced = 0
        if not text.isascii() or "\x00" in text:
            text, replaced = storable_text(text)
        if not text:
            self.empty += 1
            self.issues.append(Issue(row.line, "empty", ""))
            return None
        if len(text) > MAX_SENTENCE:
            self._drop(row, "too_long", text)
            return None
        self.replaced += replaced
        return text

    def _optional(self, cells: Sequence[object], part: Part) -> str | None:
        place = self.columns.parts.get(part)
        if place is None or cells[place] is None:
            return None
        text, replaced = storable_text(str(cells[place]).strip())
        self.replaced += replaced
        return text or None

    def _numbers(self, row: Row, rules: PairRules) -> _Numbers | None:
        """Return the row's scores on 0..1; None when one of them is no such number and the row is dropped."""
        found: list[float | None] = [None, None, None]
        raw = None
        for slot, part in enumerate(_SCORES):
            place = self.columns.parts.get(part)
            if place is None or is_missing(cell := row.cells[place]):
                continue
            number = as_number(cell)
            if number is None:
                self._drop(row, "bad_score", str(cell))
                return None
            scale = rules.gold_scale if part == "gold" else rules.score_scale
            top = 5.0 if scale == "0-5" else 1.0
            if not 0.0 <= number <= top:
                self._drop(row, "score_out_of_range", str(cell))
                return None
            found[slot] = number / top
            if slot == 0:
                raw = str(cell).strip()
        return _Numbers(found[0], raw, found[1], found[2])


def is_missing(cell: object) -> bool:
    """Whether a score cell says nothing: null, blank, or a float that is not a number."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (
        isinstance(cell, str) and cell.strip().casefold() in {"", "null", "none", "nan", "na", "n/a"}
    )


def as_number(cell: object) -> float | None:
    """Return a finite number, also when it is written as text (official label files do that), or None."""
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, bool) or not isinstance(cell, int | str):
        return None
    if isinstance(cell, str) and "_" in cell:  # Python reads "1_0" as ten
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
