"""The layouts of the public files (methods 0.5): bytes of one row to a ``Record``, the same at opening and later."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.datafiles.records import NAMES, Malformed, Places, Record, find_places
from engine.datafiles.source import ByteFile, text_of
from engine.errors import DataError

_DECODE = json.JSONDecoder().decode
_CR = str.maketrans({"\r": " "})
# Our own CSV has a quote before texts that a spreadsheet would run as a formula.
_FORMULA = re.compile(r"'+[=+\-@\t\r]")


class Span(NamedTuple):
    """Where a row stands: its first line (from 1), offset and bytes; ``record`` None for a blank line."""

    line: int
    start: int
    length: int
    record: Record | None


class Layout(Protocol):
    """How a file is cut into rows. ``fixed_scale`` is set where the format itself says the scale of its scores."""

    name: str
    fixed_scale: str | None

    def rows(self, file: ByteFile) -> Iterator[Span]:
        """Yield every row in order; raises ``DataError`` naming line and column for one that cannot be read."""
        ...

    def decode(self, text: str) -> Record:
        """Return the row that stands in ``text``; raises ``Malformed``."""
        ...


def failed(file: ByteFile, line: int, error: Malformed) -> DataError:
    """Return the error for a row that is not what its layout says."""
    column = f", column {error.column}" if error.column else ""
    return DataError(f"{file.name}: line {line}{column}: {error.why}", error.hint)


def _line_rows(file: ByteFile, layout: Layout, skip_header: bool = False) -> Iterator[Span]:
    for line, start, raw in file.lines():
        text = text_of(raw, file.name, line)
        if not text.strip():
            yield Span(line, start, len(raw), None)
        elif skip_header:
            skip_header = False
        else:
            try:
                yield Span(line, start, len(raw), layout.decode(text))
            except Malformed as error:
                raise failed(file, line, error) from None


def text_cell(value: object, column: str) -> str:
    """Return a sentence, stripped; a lone surrogate, which no tokenizer takes, becomes U+FFFD."""
    if not isinstance(value, str):
        raise Malformed(f"expected text, found {_shown(value)}", column)
    if not value.isascii():
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value.strip()


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"


@dataclass(slots=True)
class TextLayout:
    """One sentence a line (Wiki-1M)."""

    name: str = "text"
    fixed_scale: str | None = None

    def rows(self, file: ByteFile) -> Iterator[Span]:
        """Yield every line."""
        return _line_rows(file, self)

    def decode(self, text: str) -> Record:
        """Return the line's sentence."""
        return Record(text.strip())


@dataclass(slots=True)
class StsbLayout:
    """STS-B: genre, file, year, id, score (0-5), two sentences, perhaps more; tabs, no quoting, no header."""

    name: str = "stsb"
    fixed_scale: str | None = "0-5"

    def rows(self, file: ByteFile) -> Iterator[Span]:
        """Yield every line."""
        return _line_rows(file, self)

    def decode(self, text: str) -> Record:
        """Return the line's pair."""
        cells = text.split("\t")
        if len(cells) < 7:
            raise Malformed(f"{len(cells)} columns between tabs, expected 7", "", "STS-B has no quoting.")
        return Record(cells[5].strip(), cells[6].strip(), None, cells[4])


@dataclass(slots=True)
class JsonLayout:
    """One object a line: snapshots, CLAIF and Dino pairs, and whatever uses names that ``records.NAMES`` knows.

    ``scores`` are the names of the field that a row's score is read from.
    """

    name: str = "jsonl"
    fixed_scale: str | None = None
    scores: Sequence[str] = NAMES["score"]
    _places: dict[tuple[str, ...], tuple[str | None, ...]] = field(default_factory=dict)

    def rows(self, file: ByteFile) -> Iterator[Span]:
        """Yield every line."""
        return _line_rows(file, self)

    def decode(self, text: str) -> Record:
        """Return the object's row."""
        try:
            value = _DECODE(text)
        except json.JSONDecodeError as error:
            raise Malformed(
                f"is not JSON ({error.msg} at character {error.pos + 1})",
                "",
                "Expected one object a line. A last line that breaks off means that the file is cut.",
            ) from None
        except RecursionError:
            raise Malformed("is nested too deeply") from None
        if not isinstance(value, dict):
            raise Malformed(f"expected an object, found {_shown(value)}", "", "Expected one object a line.")
        keys = tuple(value)
        names = self._places.get(keys)
        if names is None:
            names = tuple(None if place is None else keys[place] for place in find_places(keys, self.scores))
            if len(self._places) < 1000:
                self._places[keys] = names
        a, b, negative, score, negative_score, kind, split, pair_id = names
        return Record(
            text_cell(value[a], str(a)),
            None if b is None or (c := value[b]) is None else text_cell(c, b),
            None if negative is None or (c := value[negative]) is None else text_cell(c, negative),
            None if score is None else value[score],
            None if negative_score is None else value[negative_score],
            None if kind is None else _word(value[kind]),
            None if split is None else _word(value[split]),
            None if pair_id is None else _word(value[pair_id]),
        )


def _word(value: object) -> str | None:
    return None if value is None else str(value)


@dataclass(slots=True)
class SeparatedLayout:
    """CSV (commas, quotes) or TSV (tabs, no quotes). ``places`` says which cell is what, ``width`` how many there are.

    ``blank``: an empty sentence is read as one blank, as the SimCSE family does with its NLI files.
    ``unit_columns`` must hold numbers in 0-1: columns that have no name, so that their content must prove them.
    """

    name: str
    places: Places
    columns: Sequence[str]
    header: bool
    blank: bool = False
    neutralised: bool = False
    unit_columns: tuple[int, ...] = ()
    fixed_scale: str | None = None

    def rows(self, file: ByteFile) -> Iterator[Span]:
        """Yield every record; a quoted cell may go over several lines."""
        return _csv_rows(file, self) if self.name == "csv" else _line_rows(file, self, self.header)

    def decode(self, text: str) -> Record:
        """Return the record that stands in ``text``."""
        if self.name == "tsv":
            return self.record(text.split("\t"))
        return self.record(next(csv.reader((text.replace("\r\n", "\n").translate(_CR),))))

    def record(self, cells: Sequence[str]) -> Record:
        """Return the row that these cells make."""
        if len(cells) != len(self.columns):
            raise Malformed(
                f"{len(cells)} columns, expected {len(self.columns)}",
                "",
                "A cell that holds a comma or a quote must be quoted, its quotes doubled."
                if self.name == "csv"
                else "TSV files have no quoting here: a tab always ends a cell.",
            )
        for place in self.unit_columns:
            self._check_unit(cells[place], place)
        a, b, negative, score, negative_score, kind, split, pair_id = self.places
        return Record(
            self._text(cells, a) or "",
            self._text(cells, b),
            self._text(cells, negative),
            None if score is None else cells[score],
            None if negative_score is None else cells[negative_score],
            None if kind is None else cells[kind] or None,
            None if split is None else cells[split] or None,
            None if pair_id is None else cells[pair_id] or None,
        )

    def _text(self, cells: Sequence[str], place: int | None) -> str | None:
        if place is None:
            return None
        cell = cells[place]
        if self.neutralised:
            if _FORMULA.match(cell):
                cell = cell[1:]
            if not cell and place == self.places[2]:
                return None
        return cell.strip() or (" " if self.blank else "")

    def _check_unit(self, cell: str, place: int) -> None:
        try:
            good = 0.0 <= float(cell) <= 1.0
        except ValueError:
            good = False
        if not good:
            raise Malformed(
                f"expected a score in 0-1, found {cell[:40]!r}",
                str(place + 1),
                "Five columns without names are premise, entailment, contradiction and two scores; "
                "for another order or scale give the file a row of column names.",
            )


class _Feed:
    """Feeds lines to the csv reader and knows which bytes it has taken since ``begin``."""

    def __init__(self, file: ByteFile) -> None:
        self._file = file
        self._lines = file.lines()
        self.begin()

    def begin(self) -> None:
        self.line, self.start, self.end = 0, 0, 0
        self.texts: list[str] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line, start, raw = next(self._lines)
        if not self.texts:
            self.line, self.start = line, start
        self.end = start + len(raw)
        self.texts.append(text_of(raw, self._file.name, line).translate(_CR) + "\n")
        return self.texts[-1]


def _csv_rows(file: ByteFile, layout: SeparatedLayout) -> Iterator[Span]:
    feed = _Feed(file)
    reader = csv.reader(feed)
    skip = layout.header
    while True:
        feed.begin()
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if len(feed.texts) > 1 or '"' in feed.texts[0]:
                _refuse_open_quote(feed.texts)
            if skip and cells:
                skip = False
                continue
            record = layout.record(cells) if any(cells) else None
        except csv.Error as error:
            why = "a quote is probably never closed" if "field larger" in str(error) else str(error)
            raise failed(file, feed.line, Malformed(f"cannot be read as CSV ({why})")) from None
        except Malformed as error:
            raise failed(file, feed.line, error) from None
        yield Span(feed.line, feed.start, feed.end - feed.start, record)


def _refuse_open_quote(texts: list[str]) -> None:
    """Raise ``Malformed`` when a record only ended because the file did, inside a quote."""
    try:
        for _ in csv.reader(texts, strict=True):
            pass
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise Malformed(
                "a quote is opened and never closed",
                "",
                'A cell that holds a quote must be quoted and its quotes doubled: "say ""hi""".',
            ) from None


def named_columns(name: str, columns: Sequence[str], scores: Sequence[str] = NAMES["score"]) -> SeparatedLayout:
    """Return the layout of a CSV or TSV whose first row names its columns (``find_places``); raises ``Malformed``."""
    places = find_places(columns, scores)
    own = {"pair_id", "kind"} <= set(columns)
    return SeparatedLayout(
        name,
        places,
        columns,
        header=True,
        blank=places[2] is not None and not own,
        neutralised=own and name == "csv",
    )


def unnamed_columns(name: str, first: Sequence[str], *, labelled: bool = False) -> SeparatedLayout:
    """Return the layout of a CSV or TSV without column names, by the number of its columns; raises ``Malformed``.

    2: a pair. 3: a triplet, or a pair and its score; if ``labelled`` a pair and its label. 4: SynCSE, the third unused.
    5: CLHAIF (methods 6.1).
    """
    width = len(first)
    scored = width == 3 and (labelled or _is_number(first[2]))
    known: dict[int, Places] = {
        1: (0, None, None, None),
        2: (0, 1, None, None),
        3: (0, 1, None, 2) if scored else (0, 1, 2, None),
        4: (0, 1, 3, None),
        5: (0, 1, 2, 3, 4),
    }
    if width not in known:
        raise Malformed(
            f"{width} columns without names", "", "Give the file a first row such as sent0,sent1,hard_neg."
        )
    places = known[width] + (None,) * (8 - len(known[width]))
    return SeparatedLayout(
        name,
        places,
        [str(place + 1) for place in range(width)],
        header=False,
        blank=places[2] is not None,
        unit_columns=(3, 4) if width == 5 else (),
        fixed_scale="0-1" if width == 5 else None,
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
