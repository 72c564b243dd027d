"""What the Train screen knows of runs: reading them, in threads, into plain data that is drawn. No widget.

All facts come from ``core.runs``; nothing here starts, stops or ends a run.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from claif_tui.core.errors import ClaifError
from claif_tui.core.overlap import noted, short, warnings
from claif_tui.core.run_progress import Follower, Score
from claif_tui.core.runs import LIVE as LIVE
from claif_tui.core.runs import RESUMABLE as RESUMABLE
from claif_tui.core.runs import RunRow, list_runs, log_tail, told
from claif_tui.ui.widgets.downsample import Floats
from engine.rundir import OVERLAP

if TYPE_CHECKING:
    from engine.events import Event

LOG_LINES = 500
"""Lines of the log that are kept."""
PACES = 9
"""Throughputs that an estimate is made of."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log: seconds since 1970 (None if unknown), the words, a style."""

    t: float | None
    text: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything about one run that is drawn. Curves are (steps, values), nan for a value that was not finite."""

    step: int = 0
    total: int = 0
    steps_per_epoch: int = 0
    rows: int = 0
    device: str = ""
    loss: float | None = None
    best_loss: tuple[int, float] | None = None
    dev: Score | None = None
    best: Score | None = None
    latest: dict[str, Any] = field(default_factory=dict)
    rows_per_second: float | None = None
    ended: str = ""
    message: str = ""
    losses: tuple[Floats, Floats]
    scores: tuple[Floats, Floats]
    rates: tuple[Floats, Floats]
    log: tuple[LogLine, ...] = ()
    said: str = ""
    """The end of what the process wrote on stderr."""
    problem: str = ""
    """Why the run's events cannot be read."""
    overlap: str = ""
    """What of its training sentences stands in test sets, in a few words."""

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at the present rate; dev scores are not in it."""
        if not self.rows_per_second or not self.steps_per_epoch or not self.total:
            return None
        return (self.total - self.step) * self.rows / self.steps_per_epoch / self.rows_per_second


class Watch:
    """Follows one run; ``look`` is called in a thread, never twice at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._restart()

    def _restart(self) -> None:
        self._follower = Follower(self.path)
        self._losses, self._scores, self._rates = _Series(), _Series(), _Series()
        self._best_loss: tuple[int, float] | None = None
        self._paces: deque[float] = deque(maxlen=PACES)
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._said, self._failure = "", ""
        self._told = False
        self._noted = 0
        self._overlap = ""

    def look(self) -> View | None:
        """Return how the run stands if it told anything since the last look, else None."""
        try:
            with told():
                news = self._follower.poll()
        except ClaifError as error:
            # A run that was replaced by another of its name is followed anew at the next look.
            self._restart()
            return self._view(problem=f"{error.message} {error.hint}".strip())
        said = log_tail(self.path)
        for event in news:
            self._take(event)
        if not self._look_at_note() and not news and self._told and said == self._said:
            return None
        self._told, self._said = True, said
        self._sync()
        return self._view()

    def _look_at_note(self) -> bool:
        """Read what was found about evaluation sets if somebody left it since; whether there is news."""
        try:
            stamp = (self.path / OVERLAP).stat().st_mtime_ns
        except OSError:
            return False
        if stamp == self._noted:
            return False
        self._noted = stamp
        found = noted(self.path)
        self._overlap = "" if found is None else short(found)
        lines = (
            [LogLine(stamp / 1e9, f"! {words}", "$text-warning") for words in warnings(found)] if found else []
        )
        # Where it belongs among what was told before, when all of it is read at once.
        ordered = sorted([*self._log, *lines], key=lambda line: line.t or 0.0)
        self._log = deque(ordered, maxlen=LOG_LINES)
        return True

    def _take(self, event: Event) -> None:
        kind, step = event.get("kind"), event.get("step")
        if kind == "started" and isinstance(event.get("from_step"), int):
            since = event["from_step"]
            for series in (self._losses, self._scores, self._rates):
                series.cut(since)
            if self._best_loss is not None and self._best_loss[0] > since:
                self._best_loss = None
            self._paces.clear()
        elif kind == "step":
            rate, pace = event.get("lr"), event.get("rows_per_second")
            if isinstance(step, int) and isinstance(rate, int | float):
                self._rates.add(step, float(rate))
            if isinstance(pace, int | float) and pace > 0:
                self._paces.append(float(pace))
        elif kind == "failed":
            self._failure = failure_words(event)
        line = log_line(event)
        if line is not None:
            self._log.append(line)

    def _sync(self) -> None:
        """Take over the curves that the follower has put together, which takes back what a resume does again."""
        progress = self._follower.progress
        for step, loss in progress.losses[len(self._losses) :]:
            self._losses.add(step, loss)
            if loss is not None and (self._best_loss is None or loss < self._best_loss[1]):
                self._best_loss = (step, loss)
        for score in progress.scores[len(self._scores) :]:
            self._scores.add(score.step, score.dev)

    def _view(self, problem: str = "") -> View:
        progress = self._follower.progress
        return View(
            step=progress.step,
            total=progress.total_steps,
            steps_per_epoch=progress.steps_per_epoch,
            rows=progress.rows,
            device=progress.device,
            loss=progress.losses[-1][1] if progress.losses else None,
            best_loss=self._best_loss,
            dev=progress.scores[-1] if progress.scores else None,
            best=progress.best,
            latest=dict(progress.latest),
            rows_per_second=median(self._paces) if self._paces else None,
            ended=progress.ended,
            message=self._failure if progress.ended == "failed" else "",
            losses=self._losses.arrays(),
            scores=self._scores.arrays(),
            rates=self._rates.arrays(),
            log=tuple(self._log),
            said=self._said,
            problem=problem,
            overlap=self._overlap,
        )


class _Series:
    """A curve that grows; a resumed run takes back its end."""

    def __init__(self) -> None:
        self._steps, self._values = array("d"), array("d")

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, value: float | None) -> None:
        self._steps.append(step)
        self._values.append(float("nan") if value is None else value)

    def cut(self, since: int) -> None:
        """Leave out everything after the step ``since``."""
        while self._steps and self._steps[-1] > since:
            self._steps.pop()
            self._values.pop()

    def arrays(self) -> tuple[Floats, Floats]:
        return np.array(self._steps), np.array(self._values)


def failure_words(event: Event) -> str:
    """Return what a failed run says was wrong, and what to do."""
    return f"{str(event.get('message', '')).rstrip('.')}. {event.get('hint', '')}".strip()


def log_line(event: Event) -> LogLine | None:
    """Return what an event says as a line of the log; steps and heartbeats say nothing there."""
    moment, step = event.get("t"), event.get("step")
    t = float(moment) if isinstance(moment, int | float) else None
    at = f"step {step:,}" if isinstance(step, int) else "step ?"
    match event.get("kind"):
        case "started":
            again = event.get("from_step")
            words = f"goes on after step {again:,}" if isinstance(again, int) and again else "started"
            return LogLine(t, f"{words} on {event.get('device', '?')}")
        case "eval":
            dev = event.get("dev")
            score = f"{dev:.2f}" if isinstance(dev, int | float) else f"undefined: {event.get('reason', '?')}"
            best = event.get("best") is True
            return LogLine(t, f"{at}  dev {score}{' (best)' if best else ''}", "$text-success" if best else "")
        case "checkpoint":
            return LogLine(t, f"{at}  saved checkpoints/{event.get('name', '?')}", "$text-muted")
        case "warning":
            return LogLine(t, f"! {event.get('message', '')}", "$text-warning")
        case "stopped":
            return LogLine(t, f"{at}  stopped and saved", "$text-warning")
        case "queued":
            return LogLine(t, str(event.get("message", "")), "$text-warning")
        case "finished":
            why = event.get("reason")
            return LogLine(t, f"{at}  finished{f': {why}' if why else ''}", "$text-success")
        case "failed":
            return LogLine(t, f"✗ {event.get('type', 'error')}: {failure_words(event)}", "$text-error")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look brought: the list of runs if it was read, and the views that changed, by name."""

    rows: list[RunRow] | None
    views: dict[str, View]


def look(project: Path, watches: dict[str, Watch], *, listing: bool) -> Looked:
    """Read what is new; in a thread."""
    rows = list_runs(project) if listing else None
    views = {name: view for name, watch in watches.items() if (view := watch.look()) is not None}
    return Looked(rows=rows, views=views)
