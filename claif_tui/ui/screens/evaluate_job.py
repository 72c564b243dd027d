"""An evaluation as a job of the app: ``claif-tui evaluate`` in a process of its own, how far it is, stopping it.

No widget. What the process scores it keeps in the project itself, part by part; the app only looks.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from claif_tui.core.engine_child import PYTHON, EngineFailure, environment
from claif_tui.core.evaluating import EvaluationWish
from claif_tui.core.provenance import is_api
from claif_tui.ui.jobs import Job, JobProgress

if TYPE_CHECKING:
    from claif_tui.ui.app import ClaifApp

COMMAND = (*PYTHON, "claif_tui", "evaluate")
TICK_SECONDS = 0.25
_PART = re.compile(r": (?P<what>[^:\n]+) \((?P<number>\d+) of (?P<total>\d+)\)$", re.MULTILINE)
"""How the command says that a part begins."""
_FETCHED = re.compile(r": (?P<done>[\d,]+) of (?P<total>[\d,]+) (?P<what>[^\n]*calls/s[^\n]*)$", re.MULTILINE)
"""How it says, some times a minute, how far the vectors of an API are."""
PATIENCE_SECONDS = 60.0
"""How long a process that is to end may wait for what an API was asked; then it gives that up, paid or not."""


class EvaluateJob(Job):
    """Scores one model. Quitting may leave the process at work: its result stands in the project all the same."""

    kind = "evaluate"
    can_detach = True

    def __init__(
        self, project: Path, model: str, wish: EvaluationWish, title: str, more: Sequence[str] = ()
    ) -> None:
        """``more`` are arguments for an API's model."""
        super().__init__()
        self.title = f"evaluate {title}"
        self.stage = "starting"
        self._api = is_api(model)
        self._words = [*more, *words(project, model, wish)]
        self._stop = self._leave = False

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return time.monotonic() - self.started

    async def work(self, app: ClaifApp) -> None:
        """Follow the process to its end, saying some times a second how far it is."""
        # Files, not pipes: a process that is left at work can go on writing when the app is gone.
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as said:
            child = await app.background(lambda: _start([*COMMAND, *self._words], answer, said, self._api))
            again = 0.0
            try:
                while child.poll() is None and not self._leave:
                    if self._stop and time.monotonic() >= again:
                        child.terminate()  # again and again does no harm, but to what an API was asked and paid for
                        again = time.monotonic() + (PATIENCE_SECONDS if self._api else 0.0)
                    self._say(_text(said))
                    await asyncio.sleep(TICK_SECONDS)
            finally:
                if child.poll() is None and not self._leave:
                    child.terminate()
            if self._leave:
                self.report(state="done")
            elif self._stop:
                self.report(
                    state="done",
                    message=f"The evaluation was stopped; what was {'fetched and ' * self._api}scored is kept.",
                )
            else:
                self.report(state="done", message=summary(_answer(child.returncode, answer, said)))

    def stop(self) -> None:
        """Ask the process to end; parts that are scored stay."""
        self._stop = True
        self.report(state="stopping")

    async def detach(self) -> bool:
        """Let the process go on without the app."""
        self._leave = True
        self.report(state="done")
        return True

    def _say(self, said: str) -> None:
        fetched = list(_FETCHED.finditer(said))
        found = list(_PART.finditer(said))
        if fetched and not found:
            parts = fetched[-1]["what"].split(" · ")
            self.stage = " · ".join(part for part in parts if "calls/s" not in part and "in flight" not in part)
            done, total = (int(fetched[-1][name].replace(",", "")) for name in ("done", "total"))
            self.report(progress=JobProgress(done=done, total=total, unit="sentences"))
            return
        done, total = 0, 0
        if found:
            done, total = int(found[-1]["number"]) - 1, int(found[-1]["total"])
            self.stage = _short(found[-1]["what"])
        # One part alone has no percentage: 0 % until its end would say nothing.
        self.report(progress=JobProgress(done=done, total=total if total > 1 else None, unit="parts"))


def words(project: Path, model: str, wish: EvaluationWish) -> list[str]:
    """Return the arguments of the command; what the wish leaves open is not named."""
    found = ["-P", str(project), "--json", "--data", str(wish.data), "--tasks", wish.tasks, "--mode", wish.mode]
    if wish.precision != EvaluationWish(data=wish.data).precision:
        found += ["--precision", wish.precision]
    for name in ("pooling", "max_seq_length", "whitening", "whitening_dim", "name", "backbone", "supervision"):
        value = getattr(wish, name)
        if value is not None:
            found += [f"--{name.replace('_', '-')}", str(value)]
    return [*found, "--", model]


def summary(result: dict[str, Any]) -> str:
    """One line on what came of an evaluation, from the document that the command answers with."""
    found = []
    for kind, name in (("sts", "STS"), ("transfer", "transfer")):
        average = result.get(f"avg_{kind}_paper")
        if isinstance(average, int | float):
            found.append(f"{name} average {average:.2f}")
    ranked = (result.get("tasks") or {}).get("rerank", {}).get("map")
    if isinstance(ranked, int | float):
        found.append(f"reranking MAP {ranked:.2f}")
    if not found:
        count = len(result.get("tasks", ()))
        found = [f"{count} task{'' if count == 1 else 's'} scored"]
    missing = (result.get("api") or {}).get("incomplete") or {}
    if missing:
        found.append(f"not scored for want of vectors: {', '.join(missing)}")
    return f"{result.get('name')}: {', '.join(found)}."


def _start(command: list[str], answer: IO[bytes], said: IO[bytes], keys: bool) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=environment(keys=keys),
        stdin=subprocess.DEVNULL,
        stdout=answer,
        stderr=said,
        start_new_session=True,
    )


def _answer(code: int, answer: IO[bytes], said: IO[bytes]) -> dict[str, Any]:
    """Return the result; raises what the command told as its error."""
    found = None
    with suppress(ValueError):
        found = json.loads(_text(answer))
    if isinstance(found, dict):
        error = found.get("error")
        if error is None and (code == 0 or "tasks" in found):
            return found
        if isinstance(error, dict):
            title, message, hint = (str(error.get(name, "")) for name in ("title", "message", "hint"))
            raise EngineFailure(title, message, hint, code)
    last = _text(said).strip()
    raise EngineFailure("Evaluate", f"the evaluation ended with code {code}", last[-2000:], 1)


def _text(file: IO[bytes]) -> str:
    """Read a file from its start; its position, which the process shares, stays where it writes."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode("utf-8", "replace")


def _short(tasks: str) -> str:
    names = tasks.split(", ")
    return tasks if len(names) < 3 else f"{names[0]} … {names[-1]}"
