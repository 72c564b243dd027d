"""Importing one file into a project: all of it in one transaction, or nothing. No parsing and no SQL here."""

from __future__ import annotations

import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.importing.load_pairs import store_pairs
from claif_tui.core.importing.opening import check_unchanged
from claif_tui.core.importing.plan import Plan, imported_before, make_plan, nothing_usable, survey
from claif_tui.core.importing.types import ImportOptions, ImportReport, Progress, ProgressFn, Tally

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

_BATCH = 5_000


class ImportCancelled(ClaifError):
    """The import was stopped before its end; nothing of it is left."""

    exit_code = 1
    title = "Cancelled"


def import_file(
    store: Store, path: Path, options: ImportOptions, progress: ProgressFn | None = None
) -> ImportReport:
    """Import ``path`` as ``options`` say and return what became of its rows.

    Blocks; memory stays bounded whatever the file's size. ``progress`` may be called from another thread, and
    raising from it cancels. On any error, on Ctrl-C and on a kill nothing of the file is left in the project.
    Raises ``InputError`` (the file), ``UsageError`` (the options), ``StoreError`` (the project).
    """
    plan = make_plan(path, options, progress)
    if plan.split.refusal:
        raise UsageError(plan.split.refusal, plan.split.hint)
    earlier = imported_before(plan, store.sources.list())
    if earlier is not None:
        when = earlier.created.replace("T", " ")[:16]
        return _report(
            plan,
            earlier.id,
            Tally(),
            (),
            f"{path} was imported on {when} as {earlier.role} already: nothing added",
        )
    relay = _Relay(progress)
    try:
        if options.role == "seeds":
            return store.write(lambda conn: _seeds(store, conn, plan, relay))
        return _pairs(store, plan, relay)
    except BaseException:
        # Ctrl-C lands here while the writer still works: tell it, and wait until it has rolled back.
        relay.stop()
        store.write(lambda conn: None)
        if relay.error is not None:
            raise relay.error from None
        raise


class _Relay:
    """Passes progress on from the writer's thread, and ends the import between two rows when asked to.

    What the receiver raises is kept for the importing thread: the writer only ever sees a plain error.
    """

    def __init__(self, progress: ProgressFn | None) -> None:
        self._progress = progress
        self._stopped = threading.Event()
        self.error: BaseException | None = None

    def stop(self) -> None:
        self._stopped.set()

    def __call__(self, progress: Progress) -> None:
        if self._stopped.is_set():
            raise ImportCancelled("The import was cancelled; nothing was added.")
        if self._progress is not None:
            try:
                self._progress(progress)
            except BaseException as error:
                self.error = error
                raise ImportCancelled("The import was cancelled; nothing was added.") from error


def _report(
    plan: Plan, source_id: int, tally: Tally, notes: tuple[str, ...], repeated: str = ""
) -> ImportReport:
    return ImportReport(
        path=plan.facts.path,
        role=plan.options.role,
        format=plan.guess.layout.format,
        split=plan.split.split,
        source_id=source_id,
        tally=tally,
        notes=notes,
        repeated=repeated,
    )


def _seeds(store: Store, conn: sqlite3.Connection, plan: Plan, progress: ProgressFn) -> ImportReport:
    """Add a file's sentences, inside one transaction."""
    source_id = _begin(store, conn, plan=plan)
    extractor = plan.extractor()
    unique = known = 0
    batch: list[tuple[str, int]] = []

    def flush() -> None:
        nonlocal unique, known
        result = store.seeds.add_batch(conn, source_id, plan.split.split, batch)
        unique += result.unique
        issues = [(issue.line, issue.reason, issue.detail) for issue in extractor.issues]
        for line, first, first_source in result.duplicates:
            known += first_source != source_id
            where = f"line {first}" if first_source == source_id else f"import {first_source}, line {first}"
            issues.append((line, "duplicate", f"first in {where}"))
        store.sources.add_issues(conn, source_id, issues)
        extractor.issues.clear()
        batch.clear()

    for row in plan.rows("importing", progress):
        batch += extractor.texts(row)
        if len(batch) + len(extractor.issues) >= _BATCH:
            flush()
    flush()
    tally = extractor.tally(unique, extractor.sentences - unique)
    notes = [*plan.notes]
    if known:
        notes.append(f"{known:,} of the duplicates were in the project already")
    return _finish(store, conn, plan, source_id, tally, notes)


def _begin(store: Store, conn: sqlite3.Connection, *, plan: Plan) -> int:
    return store.sources.begin(
        conn,
        path=str(plan.facts.path.absolute()),
        role=plan.options.role,
        format=plan.guess.layout.format,
        split=plan.split.split,
        sha256=plan.facts.sha256,
    )


def _pairs(store: Store, plan: Plan, progress: ProgressFn) -> ImportReport:
    """Add a file's pairs. Scales are judged by all rows, so the file is read once more before."""
    rules, said = survey(plan, plan.rows("looking", progress))
    notes = [*plan.notes, *said]

    def finish(conn: sqlite3.Connection, source_id: int, tally: Tally) -> None:
        _finish(store, conn, plan, source_id, tally, notes)

    source_id, tally = store_pairs(store, plan, rules, progress, partial(_begin, store, plan=plan), finish)
    return _report(plan, source_id, tally, _all_notes(tally, notes))


def _all_notes(tally: Tally, notes: list[str]) -> tuple[str, ...]:
    if tally.replaced:
        return (*notes, f"{tally.replaced:,} NULs or lone surrogates were replaced by U+FFFD")
    return tuple(notes)


def _finish(
    store: Store, conn: sqlite3.Connection, plan: Plan, source_id: int, tally: Tally, notes: list[str]
) -> ImportReport:
    if not tally.sentences:
        raise nothing_usable(plan, tally)
    check_unchanged(plan.facts)
    report = _report(plan, source_id, tally, _all_notes(tally, notes))
    store.sources.finish(
        conn,
        source_id,
        rows=tally.rows,
        sentences=tally.sentences,
        unique=tally.unique,
        duplicates=tally.duplicates,
        empty=tally.empty,
        dropped=tally.dropped,
        notes=report.notes,
    )
    return report
