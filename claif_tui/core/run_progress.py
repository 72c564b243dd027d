"""What a training run has told so far, put together from its events. No files but the events, no interface."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.events import ENDS, Event, read_events
from engine.rundir import EVENTS


@dataclass(frozen=True, slots=True)
class Score:
    """A score on the development set, x100; None where it is undefined."""

    step: int
    dev: float | None
    best: bool


@dataclass(slots=True)
class Progress:
    """A run's curves and where it stands. Losses are (step, loss), None for one that was not finite."""

    device: str = ""
    rows: int = 0
    steps_per_epoch: int = 0
    total_steps: int = 0
    step: int = 0
    losses: list[tuple[int, float | None]] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    latest: dict[str, Any] = field(default_factory=dict)
    """The newest value of everything else that steps carry, e.g. lr, grad_norm, rows_per_second."""
    ended: str = ""
    """finished, stopped or failed; "" while it goes on, or if it died without a word."""
    message: str = ""
    """What a failed run says was wrong, and what to do."""
    damaged: int = 0
    """Events that lack what their kind carries, and so count for nothing else."""

    @property
    def best(self) -> Score | None:
        """The score of the checkpoint that was kept."""
        return next((score for score in reversed(self.scores) if score.best), None)

    def feed(self, event: Event) -> None:
        """Take in one event, in the order of the file."""
        try:
            self._take(event)
        except (KeyError, TypeError, ValueError):
            self.damaged += 1

    def _take(self, event: Event) -> None:
        kind = event["kind"]
        if kind in ENDS:
            self.ended = kind
            self.message = f"{event['message']} {event['hint']}".strip() if kind == "failed" else ""
        elif kind == "started":
            self._start(event)
        elif kind == "step":
            self._steps(event)
        elif kind == "eval":
            self.scores.append(Score(int(event["step"]), _number(event["dev"]), bool(event["best"])))
        elif kind == "queued":
            self.ended = ""  # what it stopped for was not its end
        elif kind == "warning":
            self.warnings.append(str(event["message"]))

    def _start(self, event: Event) -> None:
        """A resumed run goes over what came after its checkpoint again: that is taken back."""
        since = int(event["from_step"])
        self.device = str(event["device"])
        self.rows, self.steps_per_epoch = int(event["rows"]), int(event["steps_per_epoch"])
        self.total_steps = int(event["total_steps"])
        self.losses = [point for point in self.losses if point[0] <= since]
        self.scores = [score for score in self.scores if score.step <= since]
        self.step, self.ended, self.message = since, "", ""

    def _steps(self, event: Event) -> None:
        step, losses = int(event["step"]), [_number(loss) for loss in event["losses"]]
        self.losses += zip(range(step - len(losses) + 1, step + 1), losses, strict=True)
        self.step = step
        about = ("v", "seq", "t", "kind", "step", "losses")
        self.latest.update({name: value for name, value in event.items() if name not in about})


class Follower:
    """Reads a run's events as they come, by offset: survives the end of whoever follows, or of the run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress = Progress()
        self._offset = 0

    def poll(self) -> list[Event]:
        """Return what is new since the last time and take it into ``progress``.

        ``RunError`` if the file cannot be read, or was replaced by a shorter one.
        """
        news: list[Event] = []
        while True:
            events, self._offset = read_events(self.path / EVENTS, self._offset)
            if not events:
                return news
            for event in events:
                self.progress.feed(event)
            news += events


def _number(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value) if math.isfinite(value) else None
