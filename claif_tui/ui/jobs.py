"""Long work that outlives screens: what runs, how far it is, and how it is asked to pause or stop.

A job is owned by the app, never by a screen; screens only look. What a job does stands in its subclass
(``work``); it must commit what matters before it reports it, so that losing the app loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from claif_tui.ui.app import ClaifApp

JobState = Literal["queued", "running", "pausing", "paused", "stopping", "done", "failed"]
LIVE: frozenset[JobState] = frozenset({"queued", "running", "pausing", "paused", "stopping"})
BUSY: frozenset[JobState] = frozenset({"queued", "running", "pausing", "stopping"})

GLYPHS: dict[JobState, str] = {
    "queued": "·",
    "running": "▶",
    "pausing": "‖",
    "paused": "‖",
    "stopping": "■",
    "done": "✓",
    "failed": "✗",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a job is. ``total`` None means unknown; ``rate`` is items per second over the last seconds."""

    done: int = 0
    total: int | None = None
    unit: str = ""
    rate: float | None = None

    @property
    def percent(self) -> int | None:
        """Whole percent, 0-100, never 100 before the end; None while the total is unknown."""
        if not self.total:
            return None
        return 100 if self.done >= self.total else min(99, int(100 * self.done / self.total))

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the present rate; None when that cannot be said."""
        if not self.total or not self.rate or self.rate <= 0:
            return None
        return max(0.0, (self.total - self.done) / self.rate)


class Job:
    """One piece of long work. Subclasses implement ``work`` and what pausing and stopping mean for them."""

    kind: str = "job"
    title: str = "Working"
    can_pause: bool = False
    can_detach: bool = False

    def __init__(self) -> None:
        self.state: JobState = "queued"
        self.progress = JobProgress()
        self.message = ""
        self.error: BaseException | None = None
        self.started = time.monotonic()
        self._jobs: Jobs | None = None

    async def work(self, app: ClaifApp) -> None:
        """Do the work on the app's event loop; blocking parts go to threads or children."""
        raise NotImplementedError

    def pause(self) -> None:
        """Ask for a safe pause; the job sets its state to paused when it has paused."""

    def resume(self) -> None:
        """Go on after a pause."""

    def stop(self) -> None:
        """Ask for an early, safe end."""

    async def detach(self) -> bool:
        """Go on in a process of its own, so that the app can leave; False when that cannot be done."""
        return False

    def report(
        self,
        *,
        state: JobState | None = None,
        progress: JobProgress | None = None,
        message: str | None = None,
    ) -> None:
        """Say how things stand; listeners hear of it at once, on the event loop."""
        if state is not None:
            self.state = state
        if progress is not None:
            self.progress = progress
        if message is not None:
            self.message = message
        if self._jobs is not None:
            self._jobs.changed(self)


class Jobs:
    """The app's jobs, newest last; finished ones stay lookable until the app ends."""

    def __init__(self, app: ClaifApp) -> None:
        self._app = app
        self._jobs: list[Job] = []
        self._listeners: list[Callable[[Job], None]] = []

    def start(self, job: Job) -> Job:
        """Start ``job`` now, on the app."""
        job._jobs = self
        self._jobs.append(job)
        self._app.run_worker(
            self._run(job),
            group=f"job-{len(self._jobs)}",
            exit_on_error=False,
            name=job.kind,
            description=job.title,
        )
        return job

    def listen(self, listener: Callable[[Job], None]) -> Callable[[], None]:
        """Call ``listener`` at every change of a job; returns how to stop listening."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def changed(self, job: Job) -> None:
        """Tell the listeners (called by ``Job.report``)."""
        for listener in tuple(self._listeners):
            listener(job)

    def all(self) -> list[Job]:
        """Every job of this session, oldest first."""
        return list(self._jobs)

    def live(self, kind: str | None = None) -> list[Job]:
        """Jobs that have not ended, paused ones included."""
        return [job for job in self._jobs if job.state in LIVE and kind in (None, job.kind)]

    def busy(self) -> list[Job]:
        """Jobs that are at work now: the ones that quitting has to ask about."""
        return [job for job in self._jobs if job.state in BUSY]

    def latest(self, kind: str) -> Job | None:
        """The newest job of a kind, ended or not."""
        return next((job for job in reversed(self._jobs) if job.kind == kind), None)

    async def _run(self, job: Job) -> None:
        job.report(state="running")
        try:
            await job.work(self._app)
        except BaseException as error:
            job.error = error
            job.report(state="failed", message=str(error))
            raise
        if job.state in BUSY:
            job.report(state="done")
