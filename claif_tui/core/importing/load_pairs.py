"""Storing a file's pairs: small files in one transaction, large ones unseen until they are whole."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from claif_tui.core.importing.extract import Extractor, PairRow, PairRules
from claif_tui.core.importing.plan import Plan
from claif_tui.core.importing.types import Progress, ProgressFn, Tally
from claif_tui.core.models import Kind, NewPair, NewScore
from claif_tui.core.store.bulk import SMALL, BulkLoader

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

_ISSUES = 5_000
_TICK = 500
_SYSTEMS: dict[Kind, str] = {"llm": "imported", "human": "human", "nli": "nli", "zero": "imported"}

Issues = list[tuple[int, str, str]]


class PairFile:
    """The pairs of one file, counted while they are read. Equal pairs are kept: export merges their labels."""

    def __init__(self, plan: Plan, rules: PairRules, progress: ProgressFn) -> None:
        self._plan = plan
        self._rules = rules
        self._progress = progress
        self._extractor: Extractor = plan.extractor()
        self._hashes = array("q")
        self._lines = array("q")

    def __len__(self) -> int:
        """How many usable pairs were read so far."""
        return len(self._lines)

    def pairs(self) -> Iterator[NewPair]:
        """Yield every usable pair in file order; the caller gives them their source."""
        for row in self._plan.rows("importing", self._progress):
            pair = self._extractor.pair(row, self._rules)
            if pair is not None:
                self._hashes.append(hash((pair.text_a, pair.text_b, pair.hard_negative)))
                self._lines.append(pair.line)
                yield _new_pair(pair, self._plan, self._rules)

    def take_issues(self, at_least: int = 0) -> Issues:
        """Return the dropped rows so far and forget them, if there are ``at_least`` so many."""
        issues = self._extractor.issues
        if len(issues) < at_least:
            return []
        taken = [(issue.line, issue.reason, issue.detail) for issue in issues]
        issues.clear()
        return taken

    def finish(self) -> tuple[Tally, Issues]:
        """Return the counts and the equal pairs, once all rows were read."""
        duplicates = _repeats(self._hashes, self._lines)
        tally = self._extractor.tally(self._extractor.sentences - len(duplicates), len(duplicates))
        return tally, [
            (line, "duplicate", f"the same pair as in line {first}; kept") for line, first in duplicates
        ]


def store_pairs(
    store: Store,
    plan: Plan,
    rules: PairRules,
    progress: ProgressFn,
    begin: Callable[[sqlite3.Connection], int],
    finish: Callable[[sqlite3.Connection, int, Tally], None],
) -> tuple[int, Tally]:
    """Store the file's pairs under the source that ``begin`` makes; ``finish`` records what they came to.

    Returns the source's id and the counts. Whatever ends it early, nothing of the file is left.
    """
    file = PairFile(plan, rules, progress)
    stream = file.pairs()
    head = list(islice(stream, SMALL + 1))
    if len(head) <= SMALL:
        return _store_small(store, file, head, progress, begin, finish)
    source_id = store.write(begin)
    tally = Tally()

    def keep(issues: Issues) -> None:
        for start in range(0, len(issues), _ISSUES):
            some = issues[start : start + _ISSUES]
            store.write(partial(store.sources.add_issues, source_id=source_id, rows=some))

    def rows() -> Iterator[NewPair]:
        nonlocal tally
        for pair in chain(head, stream):
            keep(file.take_issues(at_least=_ISSUES))
            yield pair
        # The source is finished before its pairs are shown: a kill in between takes back both.
        tally, repeats = file.finish()
        keep(file.take_issues())
        keep(repeats)
        store.write(lambda conn: finish(conn, source_id, tally))

    def tick(stage: str, done: int) -> None:
        if stage != "rows":
            progress(Progress(f"making the {stage}", done, len(file) if stage == "search" else done, len(file)))

    try:
        BulkLoader(store, tick).load(source_id, rows())
    except BaseException:
        store.write(lambda conn: store.sources.discard(conn, source_id))
        raise
    return source_id, tally


def _store_small(
    store: Store,
    file: PairFile,
    pairs: list[NewPair],
    progress: ProgressFn,
    begin: Callable[[sqlite3.Connection], int],
    finish: Callable[[sqlite3.Connection, int, Tally], None],
) -> tuple[int, Tally]:
    tally, repeats = file.finish()
    issues = file.take_issues() + repeats

    def work(conn: sqlite3.Connection) -> int:
        source_id = begin(conn)
        for done, pair in enumerate(pairs):
            if not done % _TICK:
                progress(Progress("storing", done, len(pairs), done))
            store.pairs.add(conn, replace(pair, source_id=source_id))
        store.sources.add_issues(conn, source_id, issues)
        finish(conn, source_id, tally)
        progress(Progress("storing", len(pairs), len(pairs), len(pairs)))
        return source_id

    return store.write(work), tally


def _new_pair(pair: PairRow, plan: Plan, rules: PairRules) -> NewPair:
    score = None
    if pair.score is not None:
        score = NewScore(score=pair.score, raw=pair.score_raw, scale=rules.score_scale, reason=pair.reason)
    return NewPair(
        system=_SYSTEMS[pair.kind],
        text_a=pair.text_a,
        generated=pair.text_b,
        kind=pair.kind,
        line=pair.line,
        hard_negative=pair.hard_negative,
        rate=pair.rate,
        model=pair.model,
        gold=pair.gold,
        negative_score=pair.negative_score,
        split=plan.split.split,
        score=score,
    )


def _repeats(hashes: array[int], lines: array[int]) -> list[tuple[int, int]]:
    """Return (line, line of the first such pair) for every pair that came before."""
    import numpy as np

    if not hashes:
        return []
    keys = np.frombuffer(hashes, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
    if not len(same):
        return []
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    firsts = order[starts[np.searchsorted(starts, same, side="right") - 1]]
    where = np.frombuffer(lines, dtype=np.int64)
    return sorted(zip(where[order[same]].tolist(), where[firsts].tolist(), strict=True))
