"""An import as a job of the app: the core's import in a thread, its progress, and stopping it. No widget."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.importing.run import ImportCancelled, import_file
from claif_tui.core.importing.types import ImportOptions, ImportReport, Progress
from claif_tui.ui.jobs import Job, JobProgress

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp

TICK_SECONDS = 0.2


class ImportJob(Job):
    """Imports one file. All of it lands or nothing: stopping leaves the project as it was."""

    kind = "import"

    def __init__(self, store: Store, path: Path, options: ImportOptions) -> None:
        super().__init__()
        self.title = f"import {path.name}"
        self.stage = "checking"
        self.report_of: ImportReport | None = None
        self._store, self._path, self._options = store, path, options
        self._latest: Progress | None = None
        self._stage_began = time.monotonic()
        self._stop = False

    async def work(self, app: ClaifApp) -> None:
        """Import, saying several times a second how far it is."""
        task = asyncio.ensure_future(
            app.background(partial(import_file, self._store, self._path, self._options, self._note))
        )
        while not task.done():
            await asyncio.wait({task}, timeout=TICK_SECONDS)
            self._say()
        try:
            self.report_of = task.result()
        except ImportCancelled as cancelled:
            self.report(state="done", message=cancelled.message)
        else:
            self.report(state="done", message=summary(self.report_of))
        app.changed()

    def stop(self) -> None:
        """Ask the import to end without leaving anything."""
        self._stop = True
        self.report(state="stopping")

    def _note(self, progress: Progress) -> None:
        """Called in the importing thread."""
        if self._stop:
            raise ImportCancelled("The import was cancelled; nothing was added.")
        self._latest = progress

    def _say(self) -> None:
        latest = self._latest
        if latest is None:
            return
        if latest.stage != self.stage:
            self.stage, self._stage_began = latest.stage, time.monotonic()
        spent = time.monotonic() - self._stage_began
        rate = latest.done / spent if spent > 0.5 and latest.done else None
        unit = "bytes" if latest.stage == "checking" else "rows"
        self.report(progress=JobProgress(done=latest.done, total=latest.total, unit=unit, rate=rate))


def summary(report: ImportReport) -> str:
    """One line on what came of an import."""
    if report.repeated:
        return report.repeated
    tally = report.tally
    what = "sentences" if report.role == "seeds" else "pairs"
    parts = [f"{tally.unique:,} new {what} from {tally.rows:,} rows of {report.path.name}"]
    if tally.duplicates:
        parts.append(f"{tally.duplicates:,} duplicates")
    if tally.empty:
        parts.append(f"{tally.empty:,} empty")
    parts += [f"{count:,} {reason}" for reason, count in tally.dropped.items()]
    return ", ".join(parts) + "."
