"""One reader per file layout: lines or batches in, rows of cells out. What the cells mean is not known here."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from claif_tui.core.errors import InputError, MissingExtraError
from claif_tui.core.importing.opening import MAX_LINE, FileFacts, open_lines
from claif_tui.core.importing.types import Format

if TYPE_CHECKING:
    import pyarrow.parquet

STSB_COLUMNS = ("genre", "file", "year", "id", "score", "sentence1", "sentence2")
_PARQUET_BATCH = 4096
_DECODE = json.JSONDecoder().decode


class Row(NamedTuple):
    """One record: the line it starts at, its cells, and the reason (see ``REASONS``) why it cannot be used."""

    line: int
    cells: Sequence[object]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is cut into cells. ``columns`` are its names, or "1", "2", … when it has none.

    ``header`` says that the first row names them; ``quoting`` that double quotes group cells.
    """

    format: Format
    columns: tuple[str, ...]
    delimiter: str = ""
    quoting: bool = False
    header: bool = False


def read_rows(facts: FileFacts, layout: Layout) -> Iterator[Row]:
    """Yield every record of the file after its header, in order and in bounded memory.

    Blank lines come as rows without cells. Raises ``InputError`` naming the line where the file cannot be cut
    into records at all.
    """
    if layout.format == "parquet":
        return _parquet_rows(facts, layout)
    if layout.format == "jsonl":
        return _jsonl_rows(facts, layout)
    if layout.format == "text":
        return (Row(line, (text,) if text.strip() else ()) for line, text in open_lines(facts))
    cut = _quoted_rows if layout.quoting else _plain_rows
    return _checked(cut(facts, layout), layout)


def _checked(rows: Iterator[Row], layout: Layout) -> Iterator[Row]:
    """Mark rows whose width does not fit; STS-B lines may carry a source and a licence after the sentences."""
    width = len(layout.columns)
    exact = layout.format != "stsb"
    for row in rows:
        found = len(row.cells)
        if not found or found == width:
            yield row
        elif found < width:
            yield Row(row.line, row.cells, "missing_column")
        elif exact and any(row.cells[width:]):
            yield Row(row.line, row.cells, "too_many_columns")
        else:
            yield row


def _plain_rows(facts: FileFacts, layout: Layout) -> Iterator[Row]:
    skip = layout.header
    for line, text in open_lines(facts):
        if skip:
            skip = False
        elif text.strip():
            yield Row(line, text.split(layout.delimiter))
        else:
            yield Row(line, ())


class _Lines:
    """Feeds the csv reader and remembers the lines of the record that it is in."""

    def __init__(self, facts: FileFacts) -> None:
        self._lines = open_lines(facts)
        self.record: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        _, text = next(self._lines)
        self.record.append(text + "\n")
        return self.record[-1]


def _quoted_rows(facts: FileFacts, layout: Layout) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE)
    lines = _Lines(facts)
    # A lone carriage return inside a cell is text here, but an error for the csv module.
    reader = csv.reader((line.replace("\r", "\ue00d") for line in lines), delimiter=layout.delimiter)
    start, skip = 1, layout.header
    while True:
        lines.record.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _csv_refusal(facts, start, str(error)) from None
        if cells is None:
            return
        record, start = start, reader.line_num + 1
        if len(lines.record) > 1 and _unclosed(lines.record, layout.delimiter):
            raise _csv_refusal(facts, record, "the file ends before its closing quote")
        if skip:
            skip = False
            continue
        if any("\r" in text for text in lines.record):
            cells = [cell.replace("\ue00d", "\r") for cell in cells]
        yield Row(record, cells if any(cell.strip() for cell in cells) else ())


def _unclosed(record: list[str], delimiter: str) -> bool:
    try:
        for _ in csv.reader(record, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def _csv_refusal(facts: FileFacts, line: int, why: str) -> InputError:
    if "field larger" in why:
        why = "a cell is larger than 8 MiB, so a quote is probably never closed"
    return InputError(
        f"{facts.path}: the record at line {line} cannot be read as CSV ({why})",
        'A cell that holds a quote must be quoted and its quotes doubled: "say ""hi""". '
        "For files without quoting: --format tsv or --format text",
    )


def json_object(text: str) -> dict[str, object] | str | None:
    """Return the object or the string that one JSON line holds, or None."""
    try:
        value = _DECODE(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | str) else None


def _jsonl_rows(facts: FileFacts, layout: Layout) -> Iterator[Row]:
    columns = layout.columns
    for line, text in open_lines(facts):
        value = json_object(text)
        if isinstance(value, dict):
            yield Row(line, [value.get(name) for name in columns])
        elif isinstance(value, str) and len(columns) == 1:
            yield Row(line, (value,))
        elif text.strip():
            yield Row(line, (text,), "not_json")
        else:
            yield Row(line, ())


def open_parquet(facts: FileFacts) -> pyarrow.parquet.ParquetFile:
    """Open a Parquet file; raises ``MissingExtraError`` without pyarrow and ``InputError`` on a broken file."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(
            f"{facts.path}: reading Parquet needs an extra", "pip install 'claif-tui[parquet]'"
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(facts.path)
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{facts.path}: is a broken Parquet file ({first})") from None


def _parquet_rows(facts: FileFacts, layout: Layout) -> Iterator[Row]:
    file = open_parquet(facts)
    import pyarrow

    line = 0
    try:
        for batch in file.iter_batches(batch_size=_PARQUET_BATCH, columns=list(layout.columns)):
            # By position: names may repeat nested fields in another order.
            columns: list[list[Any]] = [batch.column(name).to_pylist() for name in layout.columns]
            for cells in zip(*columns, strict=True):
                line += 1
                yield Row(line, cells)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{facts.path}: breaks off after row {line} ({str(error).splitlines()[0]})") from None
    finally:
        file.close()
