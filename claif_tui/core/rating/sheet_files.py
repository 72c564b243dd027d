"""Rating sheets as files: CSV that no spreadsheet runs, JSON, and both read back. What the cells mean: ``sheets``."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.importing.opening import examine, open_lines

SheetFormat = Literal["csv", "json"]
DELIMITERS: dict[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t"}
MAX_CELL = 1 << 20
"""Characters. Sentences and comments are far below; a longer cell means that a quote is never closed."""

# Where a cell may begin: at the start, and after each mark at which a spreadsheet of another locale would cut. What
# follows is run as a formula; quotes before it are counted in, so that one more can be taken away exactly.
_RUNS = re.compile(r"(^|[;,\t\r\n])(?='*[=+\-@\t\r])")
_HELD = re.compile(r"(^|[;,\t\r\n])'(?='*[=+\-@\t\r])")
_SEP = re.compile(r'^"?sep=(.)"?$', re.IGNORECASE)
_LONE_RETURN = "\ue00d"


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One row: where it stands in its file ("line 4"), and its cells by column."""

    place: str
    cells: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetFile:
    """A sheet as read. ``blank`` counts rows without any text; ``notes`` say how it was read, if that is unusual."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    blank: int
    notes: tuple[str, ...]


def neutral(text: str) -> str:
    """Return a cell that no spreadsheet runs, at whatever mark it cuts: a quote stands before what looks like one."""
    return _RUNS.sub(r"\1'", text)


def restored(text: str) -> str:
    """Undo ``neutral``, exactly."""
    return _HELD.sub(r"\1", text)


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, object]], delimiter: str) -> bytes:
    """Return a CSV file as spreadsheets read it: a byte order mark, CRLF, texts made harmless."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=DELIMITERS[delimiter], lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(neutral(_text(row[column])) for column in columns)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "backslashreplace")


def json_bytes(about: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return a JSON file: one object, ``about`` with the rows in it."""
    text = json.dumps({**about, "rows": list(rows)}, ensure_ascii=False, indent=1)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_sheet_file(path: Path) -> SheetFile:
    """Read a sheet as CSV (commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252) or as JSON.

    Raises ``InputError`` that names file and line where it is neither, and ``UsageError`` for a packet.
    """
    facts = examine(path)
    if facts.binary:
        raise InputError(f"{path}: is a Parquet file, expected a rating sheet", "Save the sheet as CSV UTF-8.")
    lines = [text for _, text in open_lines(facts)]
    if not "".join(lines).strip():
        raise InputError(f"{path}: is empty", "Expected the columns sample_id, text_a, text_b, …")
    if next(line for line in lines if line.strip()).lstrip()[0] in "{[":
        return _json_sheet(path, "\n".join(lines))
    return _csv_sheet(path, lines, facts.notes)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _csv_sheet(path: Path, lines: list[str], notes: tuple[str, ...]) -> SheetFile:
    skip = 0
    while not lines[skip].strip() or _SEP.match(lines[skip].strip()):
        skip += 1
        if skip == len(lines):
            raise InputError(f"{path}: has no header", "Expected the columns sample_id, text_a, text_b, …")
    head = lines[skip]
    delimiter = max(DELIMITERS.values(), key=lambda mark: _known(head, mark))
    columns = tuple(cell.strip().casefold() for cell in _split(head, delimiter))
    if "sample_id" not in columns:
        raise InputError(
            f"{path}: line {skip + 1} has no column sample_id",
            "Expected a sheet of claif-tui rate export --sheet.",
        )
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: line {skip + 1} names the column {twice} twice", "Leave one of them.")
    csv.field_size_limit(MAX_CELL)
    body = iter([line.replace("\r", _LONE_RETURN) + "\n" for line in lines[skip + 1 :]])
    reader = csv.reader(body, delimiter=delimiter, strict=True)
    rows: list[SheetRow] = []
    blank, start = 0, skip + 2
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{path}: the row at line {start} cannot be read as CSV ({error})",
                'A cell that holds a quote must be quoted and its quotes doubled: "say ""hi""".',
            ) from None
        if cells is None:
            break
        place, start = start, skip + 2 + reader.line_num
        cells = [cell.replace(_LONE_RETURN, "\r") for cell in cells]
        if not any(cell.strip() for cell in cells):
            blank += 1
            continue
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise InputError(
                f"{path}: line {place} has {len(cells)} cells and the header {len(columns)}",
                "A cell that holds the separator must be quoted.",
            )
        padded = [*cells, *[""] * len(columns)]
        rows.append(SheetRow(place=f"line {place}", cells=dict(zip(columns, padded, strict=False))))
    return SheetFile(path=path, columns=columns, rows=tuple(rows), blank=blank, notes=notes)


def _known(head: str, delimiter: str) -> int:
    cells = [cell.strip().casefold() for cell in _split(head, delimiter)]
    return len(cells) if "sample_id" in cells else 0


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.removesuffix("\r")], delimiter=delimiter), [])
    except csv.Error:
        return []


def _json_sheet(path: Path, text: str) -> SheetFile:
    first = text.lstrip().partition("\n")[0]
    if '"claif-tui packet"' in first:
        raise UsageError(f"{path} is a packet, not a sheet", f"Merge it: claif-tui rate merge {path}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{path}: {where}is no valid JSON", "Was it edited by hand, or cut off?") from None
    listed = found.get("rows") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise InputError(
            f'{path}: expected an object with "rows", or a list of rows',
            "Expected a sheet of claif-tui rate export --sheet --format json.",
        )
    columns: dict[str, None] = {}
    rows: list[SheetRow] = []
    for number, row in enumerate(listed, 1):
        cells: dict[str, str] = {}
        for name, value in row.items():
            if isinstance(value, dict | list):
                raise InputError(f"{path}: row {number}, column {name}: expected a text or a number")
            cells[name.strip().casefold()] = str(value).lower() if isinstance(value, bool) else _text(value)
        columns |= dict.fromkeys(cells)
        # Written without the quotes of ``neutral``, so what is restored later must have them.
        rows.append(
            SheetRow(place=f"row {number}", cells={name: neutral(cell) for name, cell in cells.items()})
        )
    if "sample_id" not in columns:
        raise InputError(
            f"{path}: no row has a sample_id", "Expected a sheet of claif-tui rate export --sheet."
        )
    return SheetFile(path=path, columns=tuple(columns), rows=tuple(rows), blank=0, notes=())
