"""A lab as a job of the app: it reads the events and keeps the latest progress, for whoever looks. No widget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from claif_tui.core.events import Finished, Progress
from claif_tui.core.lab.running import Laboratory
from claif_tui.ui.jobs import Job, JobProgress

if TYPE_CHECKING:
    from claif_tui.core.lab.models import Lab
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp

BREATH = 100
"""Events taken in one go before the event loop may do something else."""


class LabJob(Job):
    """Runs ``lab`` to its end; ``recipe`` is what its cells started from. Everything told is on disk already."""

    kind = "lab"
    title = "lab"

    def __init__(self, store: Store, lab: Lab, recipe: Recipe, file: str = "") -> None:
        """``file`` names the lab file, if the cells came from one."""
        super().__init__()
        self.file = file
        self.lab, self.recipe, self.store = lab, recipe, store
        self.latest: Progress | None = None
        self._run = Laboratory(store, lab)

    async def work(self, app: ClaifApp) -> None:
        """Read events until the run ends."""
        taken = 0
        async for event in self._run.events():
            if isinstance(event, Progress):
                self._progress(event)
            elif isinstance(event, Finished):
                self._progress(event.progress)
                failed = event.state in ("failed", "budget")
                self.report(state="failed" if failed else "done", message=event.message)
            taken += 1
            if taken % BREATH == 0:
                await asyncio.sleep(0)
        app.changed()

    def _progress(self, progress: Progress) -> None:
        self.latest = progress
        self.report(
            progress=JobProgress(
                done=progress.planned - progress.open,
                total=progress.planned,
                unit="questions",
                rate=progress.per_second,
            )
        )

    def stop(self) -> None:
        """End safely: what is in flight lands and is kept."""
        if self.state in ("queued", "running"):
            self.report(state="stopping")
            self._run.stop()
