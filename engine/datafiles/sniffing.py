"""Which layout a file has, from its name and first lines or as the user named it, and why. Nothing is read whole."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from engine.datafiles import nli
from engine.datafiles.layouts import (
    JsonLayout,
    Layout,
    SeparatedLayout,
    StsbLayout,
    TextLayout,
    failed,
    named_columns,
    unnamed_columns,
)
from engine.datafiles.records import NAMES, Malformed, is_known
from engine.datafiles.source import ByteFile, text_of
from engine.errors import DataError

Format = Literal["auto", "snapshot", "jsonl", "csv", "tsv", "text", "stsb", "snli"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SAMPLE = 20


def choose_layout(file: ByteFile, asked: Format, *, labelled: bool = False) -> tuple[Layout, str]:
    """Return the layout of an open file and the reason in words; raises ``DataError`` if it cannot be the asked one.

    With ``labelled`` a record's score is its NLI label, as written.
    """
    sample = _first_lines(file)
    if not sample:
        raise DataError(f"{file.name}: holds nothing but blank lines")
    if asked == "auto":
        return _guess(file, sample, labelled)
    if asked == "text":
        return TextLayout(), "as named"
    if asked == "stsb":
        return StsbLayout(), "as named"
    if asked == "jsonl":
        _refuse_list(file, sample)
        return _json(labelled), "as named"
    if asked in ("csv", "tsv"):
        return _separated(file, asked, sample, "as named", labelled)
    raise DataError(f"{file.name}: is no {asked}", "Leave the format away to have it guessed.")


def _first_lines(file: ByteFile) -> list[tuple[int, str]]:
    lines = ((line, text_of(raw, file.name, line)) for line, _, raw in file.lines())
    return list(islice((item for item in lines if item[1].strip()), _SAMPLE))


def _guess(file: ByteFile, sample: list[tuple[int, str]], labelled: bool) -> tuple[Layout, str]:
    first, suffix = sample[0][1].lstrip(), Path(file.name).suffix.lower()
    _refuse_list(file, sample)
    if first.startswith("{"):
        return _json(labelled), "its first line is a JSON object"
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json(labelled), f"its name ends in {suffix}"
    if all(_like_stsb(text) for _, text in sample):
        return StsbLayout(), "seven columns between tabs, the fifth a score of 0-5: STS-B"
    if suffix in (".tsv", ".tab") or sum(is_known(cell) for cell in first.split("\t")) > 1:
        return _separated(file, "tsv", sample, "columns between tabs", labelled)
    if suffix == ".csv" or sum(is_known(cell) for cell in first.split(",")) > 1:
        return _separated(file, "csv", sample, "columns between commas", labelled)
    return TextLayout(), "no other layout fits: one sentence a line"


def _json(labelled: bool) -> JsonLayout:
    return JsonLayout(scores=nli.NAMES) if labelled else JsonLayout()


def _refuse_list(file: ByteFile, sample: list[tuple[int, str]]) -> None:
    if sample[0][1].lstrip().startswith("[") and Path(file.name).suffix.lower() in (".json", ".jsonl"):
        raise DataError(
            f"{file.name}: is one JSON list, expected one object a line",
            "Convert it: jq -c '.[]' FILE > NEW.jsonl",
        )


def _like_stsb(text: str) -> bool:
    cells = text.split("\t")
    try:
        return len(cells) >= 7 and 0.0 <= float(cells[4]) <= 5.0
    except ValueError:
        return False


def _separated(
    file: ByteFile, name: Literal["csv", "tsv"], sample: list[tuple[int, str]], why: str, labelled: bool
) -> tuple[SeparatedLayout, str]:
    line = sample[0][0]
    first = _cells(name, [text for _, text in sample])
    try:
        if any(is_known(cell) for cell in first):
            scores = nli.NAMES if labelled else NAMES["score"]
            layout = named_columns(name, [cell.strip() for cell in first], scores)
            unused = [name for place, name in enumerate(layout.columns) if place not in layout.places]
            told = f"{why}, named by its first row"
            return layout, f"{told}; not used: {', '.join(unused)}" if unused else told
        layout = unnamed_columns(name, first, labelled=labelled)
    except Malformed as error:
        raise failed(file, line, error) from None
    told = f"{why}, {len(first)} without names"
    return layout, f"{told}: the fourth is taken for the hard negative" if len(first) == 4 else told


def _cells(name: str, texts: Sequence[str]) -> list[str]:
    if name == "tsv":
        return texts[0].split("\t")
    try:
        return next(csv.reader(text.replace("\r", " ") + "\n" for text in texts))
    except csv.Error:
        return texts[0].split(",")
