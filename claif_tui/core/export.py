"""Writing training rows to files, whole or not at all, with a manifest beside them. Which rows: postprocess.

The same rows give the same bytes: no times, no host, no folder is written. Labels are JSON numbers or floats on 0..1.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import ClaifError, InputError, MissingExtraError, UsageError
from claif_tui.core.postprocess import RULES, Dropped, Example, Funnel, PostOptions

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe

ExportFormat = Literal["jsonl", "csv", "parquet", "dino", "sentence-transformers"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
SUFFIXES: dict[ExportFormat, str] = {
    "jsonl": ".jsonl",
    "csv": ".csv",
    "parquet": ".parquet",
    "dino": ".jsonl",
    "sentence-transformers": ".jsonl",
}
COLUMNS = (
    "sentence1",
    "sentence2",
    "hard_negative",
    "score",
    "raw_score",
    "negative_score",
    "kind",
    "split",
    "pair_id",
)
"""The columns of CSV and Parquet, and the keys of JSONL (there, what is empty is left out)."""

MANIFEST_VERSION = 1
_BATCH = 50_000
_TEXTS = {"sentence1", "sentence2", "hard_negative"}
# A cell that begins so is run as a formula by spreadsheets; quotes before it are counted in, to be undone exactly.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_LINE_MARKS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\u0085\u2028\u2029"}


class ExportError(ClaifError):
    """An export could not be written; what was there before is as it was."""

    exit_code = 1
    title = "Export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What was written: how many rows, the SHA-256 of the file, and the files beside it."""

    rows: int
    sha256: str
    path: Path
    manifest: Path
    dropped: Path | None


def manifest_of(
    funnel: Funnel,
    options: PostOptions,
    *,
    recipe: Recipe | None = None,
    preset: str | None = None,
    made_with: Mapping[str, int] | None = None,
    stand_in: bool = False,
) -> dict[str, object]:
    """Return what an export or snapshot states about how it came about; ``preset`` names what ``options`` follow.

    ``recipe`` is the one whose post-processing applied; ``made_with`` says how many of the kept pairs each recipe
    version made (its id), ``stand_in`` whether any of them has a text or score by the offline model.
    """
    from claif_tui import __version__
    from claif_tui.core.recipe_file import dump
    from claif_tui.core.recipes import recipe_id

    post = asdict(options)
    post["statuses"] = None if options.statuses is None else sorted(options.statuses)
    post["smoothed_sources"] = sorted(options.smoothed_sources)
    return {
        "manifest_version": MANIFEST_VERSION,
        "made_by": f"claif-tui {__version__}",
        "recipe": None if recipe is None else {"id": recipe_id(recipe), "toml": dump(recipe)},
        "preset": preset,
        "made_with": dict(made_with or {}),
        "stand_in": stand_in,
        "smoothing": {"epsilon": options.smoothing, "applied": options.smoothing > 0},
        "post_processing": post,
        "funnel": funnel.to_dict(),
        "rules": {rule: RULES[rule] for rule in funnel.drops},
    }


def write_export(
    rows: Iterable[Example],
    out: Path,
    format: ExportFormat,  # noqa: A002  (the word users type)
    manifest: Mapping[str, object],
    dropped: Iterable[Dropped] | None = None,
) -> ExportResult:
    """Write ``rows`` to ``out`` in bounded memory, with ``OUT.manifest.json`` and ``OUT.dropped.jsonl`` beside it.

    The three appear together at the end, or not at all. Raises ``MissingExtraError`` for Parquet without pyarrow,
    ``UsageError`` and ``InputError`` for rows or names that do not fit the format, ``ExportError`` for the disk.
    """
    _check_place(out, format)
    beside = out.with_name(f"{out.name}.manifest.json")
    losses = None if dropped is None else out.with_name(f"{out.name}.dropped.jsonl")
    writer = _writer(out, format)
    facts: dict[str, object] = {**manifest, "format": format, "file": out.name}
    try:
        with ExitStack() as stack:
            # Left in reverse order: the data takes its place last, when all that speaks of it is there.
            data = stack.enter_context(replacing(out))
            count = writer(rows, data)
            digest = _digest(data)
            facts |= {"rows": count, "sha256": digest}
            if dropped is not None and losses is not None:
                lost = stack.enter_context(replacing(losses))
                lost_count = _write_lines((_dropped_row(item) for item in dropped), lost)
                facts["dropped"] = {"file": losses.name, "rows": lost_count, "sha256": _digest(lost)}
            about = stack.enter_context(replacing(beside))
            about.write(json.dumps(facts, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace"))
            about.write(b"\n")
    except OSError as error:
        raise _disk_error(error, out) from error
    return ExportResult(rows=count, sha256=digest, path=out, manifest=beside, dropped=losses)


def write_rows(rows: Iterable[Example], file: io.BufferedRandom) -> tuple[int, str]:
    """Write rows as JSON Lines, as snapshots hold them; return how many, and the SHA-256 of the file."""
    count = _write_lines(_present_columns(rows), file)
    return count, _digest(file)


def neutral_cell(text: str) -> str:
    """Return a CSV cell that no spreadsheet runs: a text that begins like a formula gets a quote before it."""
    return f"'{text}" if _FORMULA.match(text) else text


def restore_cell(text: str) -> str:
    """Undo ``neutral_cell``, exactly."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _check_place(out: Path, form: ExportFormat) -> None:
    if out.is_dir():
        raise UsageError(f"{out} is a folder", f"Name a file in it: {out / f'dataset{SUFFIXES[form]}'}")
    if not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist", "Make it first, or name another file.")
    if form == "sentence-transformers" and out.suffix.lower() == ".csv":
        raise UsageError(
            f"{out.name}: sentence-transformers columns are written as .jsonl or .parquet",
            "A CSV file would carry quotes before texts that look like formulas into training.",
        )


def _writer(out: Path, form: ExportFormat) -> Callable[[Iterable[Example], io.BufferedRandom], int]:
    if form == "csv":
        return _write_csv
    if form == "parquet" or (form == "sentence-transformers" and out.suffix.lower() == ".parquet"):
        _require_pyarrow()
        shaped = _sentence_transformers if form == "sentence-transformers" else _all_columns
        return lambda rows, file: _write_parquet(shaped(rows), file)
    shape = {"dino": _dino, "sentence-transformers": _sentence_transformers}.get(form, _present_columns)
    return lambda rows, file: _write_lines(shape(rows), file)


def _all_columns(rows: Iterable[Example]) -> Iterator[dict[str, object]]:
    for row in rows:
        yield {name: getattr(row, name) for name in COLUMNS}


def _present_columns(rows: Iterable[Example]) -> Iterator[dict[str, object]]:
    for row in _all_columns(rows):
        yield {name: value for name, value in row.items() if value is not None}


def _dino(rows: Iterable[Example]) -> Iterator[dict[str, object]]:
    for row in rows:
        if row.hard_negative is not None:
            raise InputError(
                f"pair {row.pair_id} has three sentences, and text_a/text_b/label holds two",
                "Leave triplets out, or export as jsonl, csv or parquet.",
            )
        yield {"text_a": row.sentence1, "text_b": row.sentence2, "label": _scored(row)}


def _sentence_transformers(rows: Iterable[Example]) -> Iterator[dict[str, object]]:
    """Yield pairs with scores or triplets; the library wants one shape in a file, so the first row decides."""
    triplets: bool | None = None
    for row in rows:
        if triplets is None:
            triplets = row.hard_negative is not None
        if triplets != (row.hard_negative is not None):
            raise InputError(
                f"pair {row.pair_id} has {'two' if triplets else 'three'} sentences, those before it "
                f"{'three' if triplets else 'two'}: sentence-transformers wants one kind in a file",
                "Export scored pairs and triplets into two files, or use jsonl.",
            )
        if triplets:
            yield {"anchor": row.sentence1, "positive": row.sentence2, "negative": row.hard_negative}
        else:
            yield {"sentence1": row.sentence1, "sentence2": row.sentence2, "score": _scored(row)}


def _scored(row: Example) -> float:
    if row.score is None:
        raise InputError(f"pair {row.pair_id} has no score", "Score it, or leave it out.")
    return row.score


def _dropped_row(item: Dropped) -> dict[str, object]:
    pair = item.pair
    return {
        "rule": item.rule,
        "reason": RULES[item.rule],
        "sentence1": pair.text_a,
        "sentence2": pair.text_b,
        **({} if pair.hard_negative is None else {"hard_negative": pair.hard_negative}),
        "score": pair.score,
        "rate": pair.rate,
        "status": pair.status,
        "pair_id": item.pair_id,
    }


def _write_lines(rows: Iterable[Mapping[str, object]], file: io.BufferedRandom) -> int:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    count = 0
    for row in rows:
        # Some readers end a line at U+2028 and its like, which JSON allows as they are.
        line = encode(row).translate(_LINE_MARKS)
        file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        count += 1
    return count


def _write_csv(rows: Iterable[Example], file: io.BufferedRandom) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        count = 0
        for row in _all_columns(rows):
            writer.writerow(
                neutral_cell(value) if name in _TEXTS and isinstance(value, str) else value
                for name, value in row.items()
            )
            count += 1
    finally:
        text.detach()
    return count


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401  (is it there?)
    except ImportError:
        raise MissingExtraError("writing Parquet needs an extra", "pip install 'claif-tui[parquet]'") from None


def _write_parquet(rows: Iterator[dict[str, object]], file: io.BufferedRandom) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(rows, None)
    names = COLUMNS if first is None else tuple(first)
    numbers = {"score", "raw_score", "negative_score"}
    schema: Any = pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in names])
    count = 0
    stream = iter(()) if first is None else chain([first], rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(stream, _BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _digest(file: io.BufferedRandom) -> str:
    file.flush()
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0, io.SEEK_END)
    return digest


def _disk_error(error: OSError, out: Path) -> ExportError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ExportError(
            f"the disk is full: {out} was not written", "Make room, or write elsewhere with --out."
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return ExportError(f"{out.parent} cannot be written to", "Choose another place with --out.")
    return ExportError(f"cannot write {out}: {error.strerror or error}", "What was there before is as it was.")
