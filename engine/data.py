"""Training examples from snapshots and the public file formats (methods 0.5), in bounded memory. No model, no loss.

Rows stay on disk; some 40 bytes of each are kept. The same file gives the same examples everywhere, and
everything that was left out, guessed or found odd is in the report. Labels come out on 0-1, never smoothed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.datafiles.labels import TOPS, Floats, Scale, ScaleGuess, find_scale, look_smoothed, outside
from engine.datafiles.records import SPLITS, Record
from engine.datafiles.snapshots import Snapshot, find_snapshot
from engine.datafiles.sniffing import FORMATS, Format, choose_layout
from engine.datafiles.snli import find_snli, scan_snli
from engine.datafiles.source import ByteFile
from engine.datafiles.splits import STSB_TEST_ROWS, named_split, refusal
from engine.datafiles.table import Store, Table, records, scan
from engine.errors import DataError

__all__ = ["FORMATS", "Examples", "Format", "Report", "read", "shuffled", "split_dev"]

Kind = Literal["pairs", "triplets", "sentences"]
Indices = NDArray[np.int64]

_KINDS: tuple[Kind, ...] = ("sentences", "pairs", "triplets")

SCORE_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a file was read. ``dropped`` counts rows by reason; ``guesses`` and ``warnings`` are sentences for people.

    ``smoothing`` is the epsilon that a snapshot states for its labels (0: none), None where nothing is stated.
    """

    path: str
    format: str
    rows: int
    dropped: dict[str, int]
    splits: dict[str, int]
    guesses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sha256: str = ""
    snapshot: str | None = None
    smoothing: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for a run's files."""
        return asdict(self)


class Examples:
    """A sequence of rows that stay on disk. Indices run from 0 to ``len(examples) - 1``.

    ``kind`` says how many sentences a row has: 1 "sentences", 2 "pairs", 3 "triplets". ``columns`` are those
    that every row has, of: sentence1, sentence2, hard_negative, score, negative_score (both on 0-1) or label (a number
    of ``engine.datafiles.nli``), split, and for snapshots and exports kind and pair_id. ``fingerprint`` is 16 hex
    digits over the content: equal for equal rows of equal files, wherever they lie.
    """

    def __init__(
        self,
        store: Store,
        places: Indices,
        numbers: dict[str, Floats],
        splits: NDArray[np.uint8],
        columns: tuple[str, ...],
        kind: Kind,
        fingerprint: str,
        report: Report,
    ) -> None:
        self._store = store
        self._places = places
        self._numbers = numbers
        self._splits = splits
        self.columns = columns
        self.kind = kind
        self.fingerprint = fingerprint
        self.report = report

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one row by its columns."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return {name: values[0] for name, values in self.batch([index % len(self)]).items()}

    def batch(self, indices: Sequence[int] | Indices) -> dict[str, list[Any]]:
        """Return rows as lists by column, in the order of ``indices``; may be called from any thread.

        Raises ``DataError`` if the file below was written over since it was opened.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        rows = records(self._store, self._places[chosen])
        found: dict[str, list[Any]] = {}
        for name in self.columns:
            if name in self._numbers:
                found[name] = self._numbers[name][chosen].tolist()
            elif name == "split":
                found[name] = [SPLITS[code] for code in self._splits[chosen].tolist()]
            else:
                place = Record._fields.index(name)
                found[name] = [row[place] for row in rows]
        return found

    def numbers(self, name: Literal["score", "negative_score", "label"]) -> Floats:
        """Return all values of a score column, on 0-1, or class numbers; raises ``KeyError`` if there is none."""
        return self._numbers[name]

    def of_split(self, split: Literal["train", "dev", "test"]) -> Examples:
        """Return the rows of one split, perhaps none."""
        return self.subset(np.flatnonzero(self._splits == SPLITS.index(split)))

    def subset(self, indices: Indices) -> Examples:
        """Return these rows in this order, as examples of their own with a fingerprint of their own."""
        splits = self._splits[indices]
        digest = hashlib.sha256(self.fingerprint.encode() + np.ascontiguousarray(indices, "<i8").tobytes())
        return Examples(
            self._store,
            self._places[indices],
            {name: values[indices] for name, values in self._numbers.items()},
            splits,
            self.columns,
            self.kind,
            digest.hexdigest()[:16],
            replace(self.report, rows=len(indices), splits=_split_counts(splits)),
        )


def read(
    path: Path | str,
    *,
    format: Format = "auto",  # noqa: A002  (the word users type)
    score_scale: Scale | None = None,
    allow_test: bool = False,
    labelled: bool = False,
) -> Examples:
    """Open a training or dev file: one pass that checks every row, then rows by index.

    ``path`` may be a snapshot (its folder, its examples.jsonl, or packed), a JSON Lines, CSV, TSV, STS-B or text
    file, or SNLI files (their folder or one of them; ``engine.datafiles.snli`` says how they become triplets).
    With ``labelled`` rows have an NLI label each, of SNLI files, or in a column that ``engine.datafiles.nli`` names;
    otherwise scores are on ``score_scale`` ("0-1" or "0-5"; by default what all of them say) and come out on 0-1.
    Held-out test data is refused unless ``allow_test``: a file by its name or STS-B's 1,379 rows; rows that name
    a test split are left out and counted. Raises ``DataError`` naming file, line and column.
    """
    path = Path(path)
    if format not in FORMATS:
        raise DataError(f"there is no format {format!r}", f"Known: {', '.join(FORMATS)}.")
    snapshot = find_snapshot(path) if format in ("auto", "snapshot") else None
    if snapshot is not None:
        return _read_snapshot(snapshot, allow_test)
    if format == "snapshot":
        raise DataError(f"{path}: is no snapshot", "Expected a folder with examples.jsonl and manifest.json.")
    snli = find_snli(path, allow_test=allow_test) if format in ("auto", "snli") else None
    if snli is not None:
        return _read_snli(*snli, allow_test, labelled)
    if format == "snli":
        raise DataError(f"{path}: no s1, s2 and labels files of one split are there")
    return _read_file(path, format, score_scale, allow_test, labelled)


def shuffled(count: int, seed: int, epoch: int) -> Indices:
    """Return the order of the rows in one epoch: the same for the same arguments, another in every epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def split_dev(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples]:
    """Split into (train, dev), all rows with one first sentence on one side; dev has at least ``share`` of the rows.

    An original's pairs differ little, so that a split by rows would select on what was trained on (design 3). Scored
    rows are stratified by score (methods 8.5): of the originals with equally scored pairs, each side gets its share.
    Which originals go to dev depends on texts, scores and the seed, not on the order of the rows. ``share`` is in 0..1.
    Raises ``DataError`` when there are not two different first sentences.
    """
    if not 0.0 < share < 1.0:
        raise DataError(f"a dev share of {share:g} is not possible", "Expected a number between 0 and 1.")
    salt = seed.to_bytes(16, "big", signed=True)
    keys = np.empty(len(examples), dtype=np.uint64)
    for start in range(0, len(examples), 4096):
        rows = np.arange(start, min(start + 4096, len(examples)))
        for place, text in zip(rows.tolist(), examples.batch(rows)["sentence1"], strict=True):
            digest = hashlib.blake2b(text.encode(), digest_size=8, salt=salt).digest()
            keys[place] = int.from_bytes(digest, "big")
    originals, own = np.unique(keys, return_inverse=True)
    if len(originals) < 2:
        raise DataError(
            f"{examples.report.path}: has {len(originals)} different first sentences: no dev split can be made",
            "Name a dev file instead: --dev FILE",
        )
    strata = _score_bins(examples)
    counts = np.zeros((len(originals), SCORE_BINS), dtype=np.int32)
    np.add.at(counts, (own, strata), 1)
    # Originals whose rows have like scores stand together, in the order of their keys; every so many-th is taken.
    order = np.lexsort((np.arange(len(originals)), *counts.T))
    steps = np.floor(np.arange(len(originals) + 1) * share + 1e-9)
    dev = np.zeros(len(originals), dtype=bool)
    dev[order[steps[1:] > steps[:-1]]] = True
    sizes = counts.sum(axis=1)
    missing = share * len(keys) - sizes[dev].sum()
    for place in np.flatnonzero(~dev)[:-1]:
        if missing <= 0:
            break
        dev[place] = True
        missing -= sizes[place]
    return examples.subset(np.flatnonzero(~dev[own])), examples.subset(np.flatnonzero(dev[own]))


def _score_bins(examples: Examples) -> Indices:
    """Return the tenth of the scale that each row's score lies in; rows without scores all lie in one."""
    if "score" not in examples.columns:
        return np.zeros(len(examples), dtype=np.int64)
    scores = examples.numbers("score")
    return np.clip((np.nan_to_num(scores) * SCORE_BINS + 1e-9).astype(np.int64), 0, SCORE_BINS - 1)


def _read_snapshot(snapshot: Snapshot, allow_test: bool) -> Examples:
    layout, _ = choose_layout(snapshot.file, "jsonl")
    table = scan(snapshot.file, layout, split="train", allow_test=allow_test)
    snapshot.verify()
    report = _report(snapshot.name, "snapshot", snapshot.file.sha256)
    report = replace(report, snapshot=snapshot.id, smoothing=snapshot.smoothing)
    return _examples(table, report, ScaleGuess("0-1", "", False), allow_test)


def _read_snli(folder: Path, split: str, allow_test: bool, labelled: bool) -> Examples:
    where = str(folder / f"s1.{split}")
    if split == "test" and not allow_test:
        raise refusal(where, "its name says 'test'")
    table, digest = scan_snli(folder, split, labelled=labelled)
    rows = (
        "each line is a pair with its label"
        if labelled
        else "the k-th entailment of a premise goes with its k-th contradiction"
    )
    why = f"split {split} (the files' names); {rows}"
    return _examples(table, _report(where, "snli", digest, why), None, allow_test)


def _read_file(
    path: Path, asked: Format, score_scale: Scale | None, allow_test: bool, labelled: bool
) -> Examples:
    named = named_split(path)
    split, why = named or ("train", "nothing says otherwise")
    file = ByteFile.open(path)
    if split == "test" and not allow_test:
        raise refusal(str(path), why)
    layout, reason = choose_layout(file, asked, labelled=labelled)
    table = scan(file, layout, split=split, allow_test=allow_test, labelled=labelled)
    if layout.name == "stsb" and len(table.lines) == STSB_TEST_ROWS and not allow_test:
        raise refusal(str(path), f"{STSB_TEST_ROWS:,} rows in STS-B's layout are its test split")
    guesses = [f"split {split} ({why})"] if named else []
    if asked == "auto":
        guesses.insert(0, f"format {layout.name} ({reason})")
    fixed = score_scale or layout.fixed_scale
    scale = None if fixed is None else ScaleGuess("0-5" if fixed == "0-5" else "0-1", "", False)
    return _examples(table, _report(str(path), layout.name, file.sha256, *guesses), scale, allow_test)


def _report(path: str, form: str, sha256: str, *guesses: str) -> Report:
    return Report(path=path, format=form, rows=0, dropped={}, splits={}, guesses=guesses, sha256=sha256)


def _split_counts(codes: NDArray[np.uint8]) -> dict[str, int]:
    return {name: int(n) for name, n in zip(SPLITS, np.bincount(codes, minlength=3), strict=True) if n}


def _examples(table: Table, report: Report, scale: ScaleGuess | None, allow_test: bool) -> Examples:
    """Put scores on 0-1, drop rows whose score is missing or out of range, and finish the report."""
    kind = _KINDS[max(table.sentences, 1) - 1]
    guesses, warnings = list(report.guesses), []
    dropped = table.dropped
    keep = np.ones(len(table.lines), dtype=np.bool_)
    numbers = {"score": table.scores, "negative_score": table.negative_scores}
    numbers = {name: values for name, values in numbers.items() if not np.isnan(values).all()}
    labels = {"label": numbers["score"]} if table.labelled and "score" in numbers else {}
    if table.labelled:
        numbers, scale = {}, None
    if numbers and scale is None:
        every = np.concatenate(list(numbers.values()))
        scale = find_scale(report.path, every, np.tile(table.lines, len(numbers)))
        guesses.append(f"scores on {scale.scale} ({scale.why})")
    if numbers and scale is not None:
        beyond = np.logical_or.reduce([outside(values, scale.scale) for values in numbers.values()])
        missing = np.isnan(table.scores) & ~beyond if "score" in numbers else np.zeros_like(keep)
        dropped[f"score outside {scale.scale}"] = int(beyond.sum())
        dropped["no score"] = int(missing.sum())
        keep = ~(beyond | missing)
        numbers = {name: values[keep] / TOPS[scale.scale] for name, values in numbers.items()}
    if "negative_score" in numbers and np.isnan(numbers["negative_score"]).any():
        del numbers["negative_score"]
        warnings.append("some rows have no score of the hard negative: those scores are not used")
    if report.smoothing is None and kind == "pairs" and "score" in numbers and look_smoothed(numbers["score"]):
        warnings.append("labels look smoothed: all are 0 or within 0.1-0.9; they are trained on as they are")
    if table.blanks:
        warnings.append(f"{table.blanks:,} empty sentences are read as one blank")
    report = replace(
        report,
        rows=int(keep.sum()),
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
        splits=_split_counts(table.splits[keep]),
        guesses=tuple(guesses),
        warnings=tuple(warnings),
    )
    if not report.rows:
        raise _nothing_left(report)
    named = ("sentence1", "sentence2", "hard_negative")[: max(table.sentences, 1)]
    numbers |= labels
    columns = (*named, *numbers, "split", *(("kind", "pair_id") if table.identified else ()))
    layout = "jsonl" if report.format == "snapshot" else report.format
    read_as = "labels" if labels else None if scale is None else scale.scale
    facts = [report.sha256, layout, read_as, allow_test, report.rows]
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    places = np.flatnonzero(keep)
    return Examples(table.store, places, numbers, table.splits[keep], columns, kind, fingerprint, report)


def _nothing_left(report: Report) -> DataError:
    if set(report.dropped) == {"of a test split"}:
        return refusal(report.path, "so say all of its rows")
    why = ", ".join(f"{reason}: {count:,}" for reason, count in report.dropped.items()) or "it is empty"
    return DataError(
        f"{report.path}: no usable row is there ({why})", "Look at its first lines; name its format."
    )
