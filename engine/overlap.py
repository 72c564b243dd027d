"""`python -m engine.overlap DIR`: which training sentences stand in which evaluation sets. Trains nothing, no torch.

Settings come on stdin as JSON, as a run has them; the answer is one JSON document. With ``--kept`` the rows that do
not overlap are written as the rows of a snapshot. What two sentences have in common is in ``engine.duplicates``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from engine.columns import training_rows
from engine.config import TrainConfig, from_json
from engine.data import Examples
from engine.datafiles.records import word_split
from engine.datafiles.snapshots import find_snapshot
from engine.datafiles.sniffing import choose_layout
from engine.duplicates import VERSION, normal, words
from engine.errors import DataError, EngineError
from engine.overlap_sets import Evaluations, EvaluationSet
from engine.selection import dev_place
from engine.tasks import STS, TASKS, TRANSFER, select

Rule = Literal["exact", "near"]
RULES: tuple[Rule, ...] = ("exact", "near")

GROUPS: dict[str, tuple[str, ...]] = {
    "STS12-16": STS[:5],
    "sts": STS,
    "transfer": TRANSFER,
    "all": tuple(TASKS),
}
"""Tasks whose test splits are counted as one."""

_TEXTS = ("sentence1", "sentence2", "hard_negative")
_CHUNK = 4096
_REMEMBERED = 1 << 16
_EXAMPLES = 3
_SHOWN = 300
_NEARLY, _EXACTLY = 1, 2


class Match(NamedTuple):
    """What a training sentence has in common with the sets, as bits over them; a set is in one of the two at most.

    ``mark`` stands for its normal form in this process; ``same`` is the number of the evaluation sentence that it is
    (-1: none), ``similar`` those that it nearly is, with the similarity.
    """

    mark: int
    exact: int
    near: int
    same: int
    similar: tuple[tuple[int, float], ...]


class Matcher:
    """Compares one training sentence after the other with all evaluation sentences."""

    def __init__(self, evaluations: Evaluations) -> None:
        self._evaluations = evaluations
        # One original has many pairs, which stand beside each other.
        self.match: Callable[[str], Match | None] = lru_cache(_REMEMBERED)(self._match)

    def _match(self, text: str) -> Match | None:
        """Return None for a text without letters and digits: it is the same as nothing."""
        bag = words(text)
        key = normal(bag)
        if not key:
            return None
        known = self._evaluations
        same = known.same(key)
        similar = tuple(known.similar(bag, same))
        exact = known.members[same] if same >= 0 else 0
        near = 0
        for number, _ in similar:
            near |= known.members[number]
        return Match(hash(key), exact, near & ~exact, same, similar)

    def masks(self, texts: Iterable[str]) -> tuple[int, int]:
        """Return the sets in which a row has a sentence, exactly, and those in which it only nearly has one."""
        exact = near = 0
        for text in texts:
            if (found := self.match(text)) is not None:
                exact |= found.exact
                near |= found.near
        return exact, near & ~exact


class Tally:
    """Counts what the rows of the training data have in common with the sets. Some 40 bytes of each row are kept."""

    def __init__(self, evaluations: Evaluations, matcher: Matcher) -> None:
        self._evaluations, self._matcher = evaluations, matcher
        self._marks = array("q")
        self._matched: dict[int, tuple[int, int]] = {}
        self._rows = array("Q"), array("Q")
        self._seen = bytearray(len(evaluations.texts))
        self._pairs: dict[tuple[int, int], int] = {}
        self._wordless = 0
        self._examples: list[dict[Rule, list[dict[str, Any]]]] = [
            {"exact": [], "near": []} for _ in evaluations.sets
        ]
        self._wanted = (1 << len(evaluations.sets)) - 1, (1 << len(evaluations.sets)) - 1

    def add(self, texts: Sequence[str]) -> None:
        """Count a row."""
        found = [self._matcher.match(text) for text in texts]
        for text, match in zip(texts, found, strict=True):
            if match is None:
                self._wordless += 1
            else:
                self._sentence(text, match)
        for rows, mask in zip(self._rows, self._matcher.masks(texts), strict=True):
            rows.append(mask)
        for other in found[1:]:
            if found[0] is not None and other is not None:
                self._pair(found[0], other)

    def _sentence(self, text: str, match: Match) -> None:
        self._marks.append(match.mark)
        if (not match.exact and not match.near) or match.mark in self._matched:
            return
        self._matched[match.mark] = match.exact, match.near
        for number, share in match.similar:
            self._seen[number] = max(self._seen[number], _NEARLY)
            self._show("near", text, number, share, match.near)
        if match.same >= 0:
            self._seen[match.same] = _EXACTLY
            self._show("exact", text, match.same, 1.0, match.exact)

    def _show(self, rule: Rule, text: str, number: int, share: float, of: int) -> None:
        """Keep an example for every set that lacks some."""
        kind = RULES.index(rule)
        wanted = self._wanted[kind] & of & self._evaluations.members[number]
        if not wanted:
            return
        one = {
            "rule": rule,
            "training": text[:_SHOWN],
            "evaluation": self._evaluations.texts[number][:_SHOWN],
            "similarity": round(share, 4),
        }
        left = list(self._wanted)
        for place in _bits(wanted):
            self._examples[place][rule].append(one)
            if len(self._examples[place][rule]) == _EXAMPLES:
                left[kind] &= ~(1 << place)
        self._wanted = left[0], left[1]

    def _pair(self, first: Match, second: Match) -> None:
        """Keep which pairs of evaluation sentences a row holds, in either order."""
        if first.same < 0 and not first.similar:
            return
        partners = self._evaluations.partners
        theirs = {second.same, *(number for number, _ in second.similar)}
        for number in (first.same, *(number for number, _ in first.similar)):
            for other in partners.get(number, frozenset()) & theirs:
                how = _EXACTLY if (number, other) == (first.same, second.same) else _NEARLY
                pair = _pair(number, other)
                self._pairs[pair] = max(self._pairs.get(pair, 0), how)

    def document(self) -> dict[str, Any]:
        """{rows, sentences, wordless, sets: [...], groups: {...}}; of each figure the exact and the near count."""
        marks = np.frombuffer(self._marks, dtype=np.int64)
        sets = self._evaluations.sets
        return {
            "rows": len(self._rows[0]),
            "sentences": len(np.unique(marks)),
            "wordless": self._wordless,
            "sets": [self._set(place, one) for place, one in enumerate(sets)],
            "groups": {
                name: self._training(
                    mask_of(
                        one.split == "test" and one.task in tasks and one.state == "complete" for one in sets
                    )
                )
                for name, tasks in GROUPS.items()
            },
        }

    def _set(self, place: int, one: EvaluationSet) -> dict[str, Any]:
        facts: dict[str, Any] = {"task": one.task, "split": one.split, "kind": one.kind, "state": one.state}
        if one.state != "complete":
            return {**facts, "problem": one.problem}
        numbers = {*one.first, *one.second} - {-1}
        sentences = Counter(self._seen[number] for number in numbers)
        pairs = list(one.pairs())
        sides = Counter(min(self._seen[a], self._seen[b]) for a, b in pairs)
        same = Counter(self._pairs.get(_pair(a, b), 0) for a, b in pairs)
        return {
            **facts,
            **self._training(1 << place),
            "seen": {"of": len(numbers), **_counts(sentences)},
            "both_sides": {"of": len(pairs), **_counts(sides)} if pairs else None,
            "same_pair": {"of": len(pairs), **_counts(same)} if pairs else None,
            "examples": [example for rule in RULES for example in self._examples[place][rule]],
        }

    def _training(self, mask: int) -> dict[str, Any]:
        """Count the training sentences, each once, and the rows that stand in one of the sets of ``mask``."""
        kinds = Counter(
            _EXACTLY if exact & mask else _NEARLY if near & mask else 0
            for exact, near in self._matched.values()
        )
        exact, near = (np.frombuffer(rows, dtype=np.uint64) & np.uint64(mask) != 0 for rows in self._rows)
        return {
            "sentences": _counts(kinds),
            "rows": {"exact": int(exact.sum()), "near": int((near & ~exact).sum())},
        }


def mask_of(chosen: Iterable[bool]) -> int:
    """Return the sets that are chosen, in their order, as bits."""
    return sum(1 << place for place, wanted in enumerate(chosen) if wanted)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a <= b else (b, a)


def _counts(kinds: Counter[int]) -> dict[str, int]:
    return {"exact": kinds[_EXACTLY], "near": kinds[_NEARLY]}


def trained_splits(config: TrainConfig, examples: Examples) -> frozenset[str]:
    """The splits whose rows a run would train on; all of them where none is for training, as of a dev file."""
    there = set(examples.report.splits)
    if "train" in there or not there:
        return frozenset({"train"})
    return frozenset({"test"}) if config.allow_test and "test" in there else frozenset(there)


def rows_of(examples: Examples) -> Iterator[dict[str, Any]]:
    """Yield all rows by their columns; in bounded memory."""
    for start in range(0, len(examples), _CHUNK):
        batch = examples.batch(range(start, min(start + _CHUNK, len(examples))))
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(batch, values, strict=True))


def texts_of(row: dict[str, Any]) -> list[str]:
    """The sentences of a row."""
    return [row[name] for name in _TEXTS if name in row]


class Removal(NamedTuple):
    """Which rows are left out: those with a sentence in the test split of a task, by ``rule``; near means exact too."""

    rule: Rule
    tasks: tuple[str, ...]


class Kept:
    """Writes rows as a snapshot has them, but those that overlap, and counts what it does."""

    def __init__(self, file: BinaryIO, evaluations: Evaluations, matcher: Matcher, removal: Removal) -> None:
        self._file, self._sets, self._matcher, self._removal = file, evaluations.sets, matcher, removal
        self._mask = mask_of(one.split == "test" and one.task in removal.tasks for one in self._sets)
        self._digest = hashlib.sha256()
        self._bytes = self._removed = self._triplets = 0
        self._splits, self._kinds, self._by_set = Counter[str](), Counter[str](), Counter[int]()

    def hits(self, texts: Iterable[str]) -> int:
        """Return the sets for which a row is to be left out."""
        exact, near = self._matcher.masks(texts)
        return (exact | near if self._removal.rule == "near" else exact) & self._mask

    def add(self, line: bytes, texts: Sequence[str], split: str, kind: str | None, *, trained: bool) -> None:
        """Write a row unless it is trained on and overlaps."""
        if trained and (hit := self.hits(texts)):
            self._removed += 1
            self._by_set.update(_bits(hit))
            return
        self._file.write(line)
        self._digest.update(line)
        self._bytes += len(line)
        self._triplets += len(texts) == len(_TEXTS)
        self._splits[split] += 1
        if kind is not None:
            self._kinds[kind] += 1

    def facts(self) -> dict[str, Any]:
        """What a snapshot's manifest states about its rows, and what was removed; a row may count for several sets."""
        return {
            "rows": self._splits.total(),
            "bytes": self._bytes,
            "sha256": self._digest.hexdigest(),
            "splits": {split: self._splits[split] for split in ("train", "dev", "test") if self._splits[split]},
            "kinds": dict(sorted(self._kinds.items())),
            "triplets": self._triplets,
            "removed": {
                "rows": self._removed,
                "rule": self._removal.rule,
                "tasks": list(self._removal.tasks),
                "by_task": {self._sets[place].task: count for place, count in sorted(self._by_set.items())},
                "definition": VERSION,
            },
        }


def write_kept(
    config: TrainConfig, examples: Examples, trained: frozenset[str], kept: Kept
) -> dict[str, Any] | None:
    """Write the rows that are kept; returns the manifest that they had before, None if they were no snapshot's.

    A snapshot's rows are copied byte by byte.
    """
    snapshot = find_snapshot(Path(config.data)) if examples.report.snapshot else None
    if snapshot is None:
        for row in rows_of(examples):
            split = row["split"]
            facts = {name: value for name, value in row.items() if value is not None}
            made = json.dumps(facts, ensure_ascii=False).encode() + b"\n"
            kept.add(made, texts_of(row), split, row.get("kind"), trained=split in trained)
        return None
    layout, _ = choose_layout(snapshot.file, "jsonl")
    for _, start, length, record in layout.rows(snapshot.file):
        if record is not None:
            split = word_split(record.split) or "train"
            line = snapshot.file.span(start, length) + b"\n"
            texts = [text for text in record[: record.sentences] if isinstance(text, str)]
            kept.add(line, texts, split, record.kind, trained=split in trained)
    return snapshot.manifest


def overlap(
    config: TrainConfig, root: Path, removal: Removal | None = None, file: BinaryIO | None = None
) -> dict[str, Any]:
    """Compare the rows that a run would train on with everything that ``root`` holds; see ``Tally.document``.

    With ``removal`` the rows that stay are written to ``file`` and are those that are counted; ``kept`` says how many
    went, ``manifest`` is that of the snapshot they came from, ``dev_place`` see ``engine.selection``. Raises
    ``EngineError`` for data that cannot be read, and where nothing would stay.
    """
    examples = training_rows(config)
    evaluations = Evaluations(root)
    matcher = Matcher(evaluations)
    tally = Tally(evaluations, matcher)
    trained = trained_splits(config, examples)
    kept = None if removal is None or file is None else Kept(file, evaluations, matcher, removal)
    for row in rows_of(examples):
        texts = texts_of(row)
        if row["split"] in trained and not (kept is not None and kept.hits(texts)):
            tally.add(texts)
    report = examples.report
    document: dict[str, Any] = {
        "v": VERSION,
        "data": {"file": Path(report.path).name, "format": report.format, "sha256": report.sha256},
        **tally.document(),
    }
    if kept is not None:
        if not document["rows"]:
            raise DataError(
                f"no row of {report.path} would be left to train on",
                "Leave out fewer: exact instead of near, or only for the evaluation sets that matter.",
            )
        document["manifest"] = write_kept(config, examples, trained, kept)
        document["kept"] = kept.facts()
        document["dev_place"] = dev_place(config)
    return document


def main() -> int:
    """Answer; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine.overlap")
    parser.add_argument("root", type=Path, help="folder of the evaluation data (SentEval)")
    parser.add_argument("--kept", type=Path, help="file to write the rows to that do not overlap")
    parser.add_argument("--rule", choices=RULES, default="exact", help="which rows do")
    parser.add_argument("--tasks", default="all", help="with the test splits of which tasks")
    args = parser.parse_args()
    try:
        config = from_json(sys.stdin.buffer.read(), "the settings")
        if args.kept is None:
            document = overlap(config, args.root)
        else:
            with args.kept.open("xb") as file:
                document = overlap(config, args.root, Removal(args.rule, select(args.tasks)), file)
    except EngineError as error:
        sys.stderr.write(f"{error.line}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"{args.kept} cannot be written: {error.strerror}\n")
        return 1
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
