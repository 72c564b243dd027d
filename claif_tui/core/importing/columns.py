"""Which column becomes what: as the user named them, else by the names that public data sets use."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

from claif_tui.core.errors import InputError
from claif_tui.core.importing.names import Part, meaning, unit_number
from claif_tui.core.importing.readers import Layout, Row
from claif_tui.core.importing.types import ImportOptions

_PARTS: tuple[Part, ...] = get_args(Part)
_LABELS: dict[Part, str] = {
    "text": "seed",
    "a": "first sentence",
    "b": "second sentence",
    "negative": "hard negative",
    "score": "AI score",
    "raw_score": "AI score as said",
    "negative_score": "AI score of the hard negative",
    "gold": "gold label",
    "reason": "reason",
    "kind": "kind",
    "split": "split",
    "rate": "mask rate",
    "model": "model",
}


_NUMBERS: tuple[Part, ...] = ("raw_score", "score", "gold", "negative_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Positions of the used columns: ``texts`` for seeds, ``parts`` for everything else."""

    texts: tuple[int, ...] = ()
    parts: dict[Part, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def used(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return (what it becomes, column name) of each used column, for people."""
        seeds = [("seed", names[place]) for place in self.texts]
        return (*seeds, *((_LABELS[part], names[place]) for part, place in self.parts.items()))


def resolve(where: str, layout: Layout, options: ImportOptions, sample: Sequence[Row]) -> Columns:
    """Decide which columns are used. ``sample`` are the first rows; ``where`` names the file in errors.

    Raises ``InputError`` listing the columns when one is unknown or when the choice is not clear.
    """
    if options.role == "seeds":
        return _seed_columns(where, layout, options, sample)
    return _pair_columns(where, layout, options, sample)


def _place(where: str, layout: Layout, name: str) -> int:
    names = layout.columns
    if name in names:
        return names.index(name)
    folded = [column.casefold() for column in names]
    if folded.count(name.casefold()) == 1:
        return folded.index(name.casefold())
    if name.isdigit() and 1 <= int(name) <= len(names):
        return int(name) - 1
    close = difflib.get_close_matches(name.casefold(), folded, 1, 0.5)
    nearest = f" Did you mean {names[folded.index(close[0])]!r}?" if close else ""
    raise InputError(f"{where}: no column {name!r}", f"Its columns are: {_listed(names)}.{nearest}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:30])
    return f"{shown} and {len(names) - 30} more" if len(names) > 30 else shown


def _named_parts(where: str, layout: Layout, options: ImportOptions) -> dict[Part, int]:
    """Return what the user named for pairs: ``role=column``, or bare names in the order a, b, third."""
    named: dict[Part, int] = {}
    bare: list[Part] = ["a", "b", "negative" if options.role == "triplets" else "score"]
    for name in options.columns:
        part, equals, column = name.partition("=")
        if equals and name not in layout.columns:
            if part not in _PARTS or part == "text":
                raise InputError(
                    f"{where}: --column {name}: {part!r} is nothing that a pair has",
                    "Expected one of: " + ", ".join(one for one in _PARTS if one != "text"),
                )
            named[cast("Part", part)] = _place(where, layout, column)
        elif bare:
            named[bare.pop(0)] = _place(where, layout, name)
        else:
            raise InputError(
                f"{where}: too many columns named", "Say what each is: --column a=NAME --column score=NAME …"
            )
    return named


def _by_meaning(layout: Layout) -> dict[Part, int]:
    known: dict[Part, int] = {}
    if layout.header or layout.format in ("stsb", "nli", "text", "jsonl"):
        for place, name in enumerate(layout.columns):
            part = meaning(name)
            if part is not None:
                known.setdefault(part, place)
    if layout.format == "stsb":
        known["gold"] = known.pop("score")
    return known


def _seed_columns(where: str, layout: Layout, options: ImportOptions, sample: Sequence[Row]) -> Columns:
    known = _by_meaning(layout)
    parts: dict[Part, int] = {"split": known["split"]} if "split" in known else {}
    names = layout.columns
    if options.columns:
        asked = dict.fromkeys(_place(where, layout, name) for name in options.columns)
        return Columns(texts=tuple(asked), parts=parts)
    if layout.format == "nli":
        note = "premises become seeds; name other columns with --column"
        return Columns(texts=(known["a"],), parts=parts, notes=(note,))
    if "text" in known:
        return Columns(texts=(known["text"],), parts=parts)
    if "a" in known:
        both = tuple(known[part] for part in ("a", "b") if part in known)
        note = "both sentences of a pair become seeds"
        return Columns(texts=both, parts=parts, notes=(note,) if len(both) > 1 else ())
    if len(names) == 1:
        return Columns(texts=(0,), parts=parts)
    wordy = [place for place in range(len(names)) if place not in parts.values() and _is_wordy(place, sample)]
    if len(wordy) == 1:
        note = f"column {names[wordy[0]]!r} is the only one that holds sentences"
        return Columns(texts=tuple(wordy), parts=parts, notes=(note,))
    raise InputError(
        f"{where}: it is not clear which column holds the sentences",
        f"Name one or more: --column NAME. Its columns are: {_listed(names)}.",
    )


def _is_wordy(place: int, sample: Sequence[Row]) -> bool:
    cells = [str(row.cells[place]) for row in sample if place < len(row.cells) and row.cells[place] is not None]
    return bool(cells) and sum(" " in cell.strip() for cell in cells) >= 0.5 * len(cells)


def _pair_columns(where: str, layout: Layout, options: ImportOptions, sample: Sequence[Row]) -> Columns:
    named = _named_parts(where, layout, options)
    known = _by_meaning(layout)
    if not layout.header and layout.format in ("csv", "tsv"):
        known = _by_position(layout, options, sample)
    parts: dict[Part, int] = {}
    parts.update(
        (part, place) for part, place in known.items() if part != "text" and place not in named.values()
    )
    parts.update(named)
    notes: list[str] = []
    if options.role == "gold" and "gold" not in parts and "score" in parts:
        parts["gold"] = parts.pop("score")
    for part in _NUMBERS:
        place = parts.get(part)
        if place is not None and part not in named and not _is_numeric(place, sample):
            notes.append(f"column {layout.columns[place]!r} holds no numbers: not used as a score")
            del parts[part]
    if "raw_score" in parts:
        parts["score"] = parts.pop("raw_score")
        notes.append("scores are taken as they were before smoothing (raw_score)")
    needed: list[Part] = ["a", "b"]
    needed += ["negative"] if options.role == "triplets" else ["gold"] if options.role == "gold" else []
    missing = [part for part in needed if part not in parts]
    if missing:
        what = " and ".join(f"{_LABELS[part]} ({part}=NAME)" for part in missing)
        raise InputError(
            f"{where}: no column for the {what}",
            f"Name it: --column {missing[0]}=NAME. Its columns are: {_listed(layout.columns)}.",
        )
    return Columns(parts={part: parts[part] for part in _PARTS if part in parts}, notes=tuple(notes))


def _by_position(layout: Layout, options: ImportOptions, sample: Sequence[Row]) -> dict[Part, int]:
    """Without column names: texts in the order sentence, sentence, hard negative; numbers are the score."""
    parts: dict[Part, int] = {}
    order: list[Part] = ["a", "b", "negative"] if options.role == "triplets" else ["a", "b"]
    for place in range(len(layout.columns)):
        if _is_numeric(place, sample):
            parts.setdefault("score", place)
        elif order:
            parts[order.pop(0)] = place
    return parts


def _is_numeric(place: int, sample: Sequence[Row]) -> bool:
    """Whether at least half of the cells that say something are numbers in 0..5 (or a little beyond)."""
    cells = [row.cells[place] for row in sample if place < len(row.cells)]
    said = [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
    return not said or sum(unit_number(cell, 100.0) for cell in said) >= 0.5 * len(said)
