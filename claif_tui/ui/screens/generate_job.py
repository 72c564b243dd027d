"""A generation run as a job of the app: it reads the pipeline's events into a `Flight`. No widget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from claif_tui.core.events import Event, Finished, Progress
from claif_tui.ui.jobs import Job, JobProgress
from claif_tui.ui.screens.generate_deck import Deck
from claif_tui.ui.screens.generate_state import Flight

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp

BREATH = 100
"""Events taken in one go before the event loop may do something else."""


class Steered(Protocol):
    """A run that can be read and steered: ``claif_tui.core.pipeline.Generation``, or a scripted one in a test."""

    def events(self) -> AsyncIterator[Event]:
        """What happens; ends with ``Finished``."""

    def pause(self) -> None:
        """Start nothing new."""

    def resume(self) -> None:
        """Go on."""

    def stop(self) -> None:
        """End once what is in flight has landed."""


class GenerateJob(Job):
    """Runs ``run`` to its end and keeps the picture of it in ``flight``, for as many screens as look."""

    kind = "generate"
    can_pause = True
    can_detach = True

    def __init__(
        self, run: Steered, store: Store | None, title: str = "generate", deck: Deck | None = None
    ) -> None:
        super().__init__()
        self.title = title
        self.store = store
        self.flight = Flight(deck)
        self._run = run
        self._over = asyncio.Event()

    async def work(self, app: ClaifApp) -> None:
        """Read events until the run ends; everything they tell is on disk already."""
        try:
            await self._read()
        finally:
            self._over.set()
        app.changed()

    async def _read(self) -> None:
        taken = 0
        async for event in self._run.events():
            self.flight.feed(event)
            if isinstance(event, Progress):
                self._progress(event)
            elif isinstance(event, Finished):
                self._progress(event.progress)
                self._ended(event)
            taken += 1
            if taken % BREATH == 0:
                await asyncio.sleep(0)

    def _progress(self, progress: Progress) -> None:
        state = self.state
        if progress.paused and state == "pausing" and not progress.in_flight:
            state = "paused"
        self.report(
            state=state,
            progress=JobProgress(
                done=progress.planned - progress.open,
                total=progress.planned,
                unit=self.flight.unit,
                rate=progress.per_second,
            ),
        )

    def _ended(self, event: Finished) -> None:
        failed = event.state in ("failed", "budget")
        self.report(state="failed" if failed else "done", message=event.message)

    def pause(self) -> None:
        """Start nothing new; what is in flight lands first."""
        if self.state == "running":
            self._run.pause()
            self.report(state="pausing")

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state in ("pausing", "paused"):
            self._run.resume()
            self.report(state="running")

    def stop(self) -> None:
        """End safely: what is in flight lands and is kept."""
        if self.state in ("running", "pausing", "paused"):
            self.report(state="stopping")
            self._run.stop()

    async def detach(self) -> bool:
        """Let what is in flight land, then let a process of its own go on with what is open."""
        from claif_tui.ui.detaching import hand_over

        if self.store is None:
            return False
        self.stop()
        await self._over.wait()
        return await hand_over(self.store.folder)
