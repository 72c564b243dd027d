"""What layout a file has, guessed from its name and its first lines or as the user named it, and why."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile

from claif_tui.core.errors import InputError
from claif_tui.core.importing.names import looks_like_names, meaning, unit_number
from claif_tui.core.importing.opening import HEAD, FileFacts, open_lines
from claif_tui.core.importing.readers import STSB_COLUMNS, Layout, json_object, open_parquet
from claif_tui.core.importing.types import Format, ImportOptions

OWN_COLUMNS = {"pair_id", "kind"}
"""Our own exports have these columns; other people's files hardly have both."""

_SAMPLE_LINES = 1000
_NLI = ("sent0", "sent1", "hard_neg")
_NLI_SCORED = (*_NLI, "positive_score", "negative_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A layout, the reason for it in words, and remarks a person should see before importing."""

    layout: Layout
    why: str
    notes: tuple[str, ...] = ()


def guess_layout(facts: FileFacts, options: ImportOptions) -> Guess:
    """Return the layout of an examined file.

    Raises ``InputError`` when the named format cannot be the file's, or when no format fits.
    """
    if facts.binary or options.format == "parquet":
        return _parquet(facts, options)
    sample = _sample(facts)
    if options.format is not None:
        return _named(facts, options, options.format, sample)
    suffix = facts.path.suffix.lower()
    if sample and sample[0].lstrip().startswith("["):
        _refuse_json_array(facts, sample[0])
    if sample and isinstance(json_object(sample[0]), dict):
        return _jsonl(sample, "its first line is a JSON object")
    if suffix in {".jsonl", ".ndjson", ".json"}:
        return _jsonl(sample, f"its name ends in {suffix}")
    if _is_stsb(sample):
        return _stsb("seven columns between tabs, the fifth a score of 0-5, no header: STS-B")
    if suffix in {".tsv", ".tab"} or _tabs(sample):
        why = (
            f"its name ends in {suffix}"
            if suffix in {".tsv", ".tab"}
            else "the same number of tabs in every line"
        )
        return _separated(facts, options, "tsv", sample, why)
    return _commas_or_text(facts, options, sample, suffix)


def _sample(facts: FileFacts) -> list[str]:
    lines: list[str] = []
    size = 0
    for _, text in open_lines(facts):
        size += len(text)
        if size > HEAD and lines:
            break
        if text.strip():
            lines.append(text)
        if len(lines) == _SAMPLE_LINES:
            break
    return lines


def _named(facts: FileFacts, options: ImportOptions, name: Format, sample: list[str]) -> Guess:
    why = "as named"
    if name == "text":
        return Guess(layout=Layout(format="text", columns=("text",)), why=why)
    if name == "jsonl":
        _refuse_json_array(facts, sample[0] if sample else "")
        if sample and all(json_object(line) is None for line in sample):
            raise InputError(
                f"{facts.path}: line 1 is not JSON, expected one object per line",
                "Name another --format, or none.",
            )
        return _jsonl(sample, why)
    if name == "stsb":
        if not any(line.count("\t") >= 6 for line in sample):
            raise InputError(
                f"{facts.path}: no line has the seven tab-separated columns of STS-B",
                "Leave --format away to have it guessed.",
            )
        return _stsb(why)
    return _separated(facts, options, name, sample, why)


def _refuse_json_array(facts: FileFacts, first: str) -> None:
    if first.lstrip().startswith("[") and facts.path.suffix.lower() in {".json", ".jsonl", ".ndjson"}:
        raise InputError(
            f"{facts.path}: is one JSON list, expected one object per line (JSON Lines)",
            f"Convert it: jq -c '.[]' {facts.path.name} > {facts.path.stem}.jsonl",
        )


def _parquet(facts: FileFacts, options: ImportOptions) -> Guess:
    if not facts.binary:
        raise InputError(f"{facts.path}: is not a Parquet file", "Leave --format away to have it guessed.")
    if options.format not in (None, "parquet"):
        raise InputError(f"{facts.path}: is a Parquet file, not {options.format}", "Leave --format away.")
    with open_parquet(facts) as file:
        columns = tuple(file.schema_arrow.names)
    return Guess(
        layout=Layout(format="parquet", columns=columns, header=True), why="it begins as Parquet files do"
    )


def _jsonl(sample: list[str], why: str) -> Guess:
    columns: dict[str, None] = {}
    for line in sample:
        value = json_object(line)
        if isinstance(value, dict):
            columns.update(dict.fromkeys(value))
    return Guess(
        layout=Layout(format="jsonl", columns=tuple(columns) or ("text",), header=bool(columns)), why=why
    )


def _stsb(why: str) -> Guess:
    return Guess(layout=Layout(format="stsb", columns=STSB_COLUMNS, delimiter="\t"), why=why)


def _is_stsb(sample: list[str]) -> bool:
    rows = [line.split("\t") for line in sample]
    good = sum(len(row) >= 7 and unit_number(row[4], 5.0) and not unit_number(row[5], 5.0) for row in rows)
    return bool(rows) and good >= 0.95 * len(rows)


def _tabs(sample: list[str]) -> bool:
    widths = Counter(line.count("\t") for line in sample)
    common, times = widths.most_common(1)[0] if widths else (0, 0)
    return common > 0 and times >= 0.95 * len(sample)


def _commas_or_text(facts: FileFacts, options: ImportOptions, sample: list[str], suffix: str) -> Guess:
    first = _cut(sample[:1], ",", True)
    named = bool(first) and sum(meaning(cell) is not None for cell in first[0]) >= 2
    if suffix == ".csv" or named:
        why = "its name ends in .csv" if suffix == ".csv" else "its first line names known columns"
        guess = _separated(facts, options, "csv", sample, why)
        if guess.layout.header or options.columns or _regular(sample, guess.layout):
            return guess
        layout = Layout(format="text", columns=("text",))
        return Guess(
            layout=layout, why="a .csv whose lines have differing numbers of commas and no header: plain text"
        )
    why = (
        "one sentence per line"
        if suffix in {".txt", ".text", ""}
        else "no other format fits: one sentence per line"
    )
    return Guess(layout=Layout(format="text", columns=("text",)), why=why)


def _regular(sample: list[str], layout: Layout) -> bool:
    widths = Counter(len(row) for row in _cut(sample, layout.delimiter, layout.quoting))
    return widths.most_common(1)[0][1] >= 0.95 * sum(widths.values()) if widths else True


def _cut(lines: list[str], delimiter: str, quoting: bool) -> list[tuple[str, ...]]:
    if not quoting:
        return [tuple(line.split(delimiter)) for line in lines]
    try:
        return [
            tuple(row)
            for row in csv.reader((line.replace("\r", " ") + "\n" for line in lines), delimiter=delimiter)
        ]
    except csv.Error:
        return []


def _separated(facts: FileFacts, options: ImportOptions, name: Format, sample: list[str], why: str) -> Guess:
    """Lay out a CSV, TSV or NLI file: delimiter, quoting, header."""
    notes: list[str] = []
    if name == "tsv":
        delimiter = "\t"
        quoting = _quoted_tabs(sample)
        if not quoting and any('"' in line for line in sample):
            notes.append("double quotes are ordinary characters in this file (no quoting)")
    else:
        delimiter, quoting = _csv_delimiter(sample), True
        if delimiter != ",":
            what = "tabs" if delimiter == "\t" else f"{delimiter!r}"
            notes.append(f"its columns are separated by {what}")
    rows = _cut(sample, delimiter, quoting)
    if not rows:
        rows = [tuple(sample[0].split(delimiter))] if sample else [()]
    header = options.header
    if header is None:
        regular = len({len(row) for row in rows}) == 1
        header = looks_like_names(rows[0], regular) or bool(
            _asked(options) & {cell.strip() for cell in rows[0]}
        )
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    columns = _header_names(rows[0]) if header else tuple(str(place) for place in range(1, width + 1))
    if name != "tsv":
        scored = not header and _is_scored_nli(rows)
        if name == "nli" or scored or _is_nli_header(columns):
            name = "nli"
            columns, why = _nli(facts, options, columns, scored=scored, named=header, width=width, why=why)
    layout = Layout(format=name, columns=columns, delimiter=delimiter, quoting=quoting, header=header)
    notes.append("its first row names the columns" if header else "it has no row of column names")
    return Guess(layout=layout, why=why, notes=tuple(notes))


def _asked(options: ImportOptions) -> set[str]:
    asked = set(options.columns)
    return {name for name in asked | {name.partition("=")[2] for name in asked} if name and not name.isdigit()}


def _header_names(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Name every column once: empty and repeated names become their position."""
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = cell.strip().lstrip("\ufeff")
        names.append(name if name and name not in names else str(place))
    return tuple(names)


def _csv_delimiter(sample: list[str]) -> str:
    """Return the separator with the most regular columns: a comma unless another is clearly it."""
    for delimiter in (",", "\t", ";"):
        widths = Counter(len(row) for row in _cut(sample[:200], delimiter, True))
        if widths and max(widths) > 1 and widths.most_common(1)[0][0] > 1:
            return delimiter
    return ","


def _quoted_tabs(sample: list[str]) -> bool:
    """Whether a TSV quotes its cells: every cell that opens with a quote also closes with one, and some do."""
    opened = [cell for line in sample for cell in line.split("\t") if cell.startswith('"')]
    return bool(opened) and all(
        len(cell) > 1 and cell.endswith('"') and cell.count('"') % 2 == 0 for cell in opened
    )


def _is_nli_header(columns: tuple[str, ...]) -> bool:
    parts = {meaning(column) for column in columns}
    return {"a", "b", "negative"} <= parts and not set(columns) >= OWN_COLUMNS


def _is_scored_nli(rows: list[tuple[str, ...]]) -> bool:
    fives = list(takewhile(lambda row: len(row) == 5, rows))
    return len(fives) == len(rows) and all(unit_number(row[3]) and unit_number(row[4]) for row in fives)


def _nli(
    facts: FileFacts,
    options: ImportOptions,
    columns: tuple[str, ...],
    *,
    scored: bool,
    named: bool,
    width: int,
    why: str,
) -> tuple[tuple[str, ...], str]:
    if named:
        if not _is_nli_header(columns) and not options.columns:
            raise InputError(
                f"{facts.path}: no premise, entailment and contradiction among {', '.join(columns)}",
                "Expected sent0, sent1, hard_neg; or name them: --column a=… --column b=… --column negative=…",
            )
        return columns, f"{why}; its columns name triplets"
    if scored:
        return _NLI_SCORED, f"{why}; five columns without names, the last two scores in 0-1"
    if width == 3:
        return _NLI, f"{why}; three columns without names"
    raise InputError(
        f"{facts.path}: {width} columns without names are not an NLI file",
        "Expected premise, entailment, contradiction, and perhaps two scores in 0-1 as columns 4 and 5.",
    )
