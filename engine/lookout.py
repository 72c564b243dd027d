"""What becomes of a run of several processes when one of them ends too early: the run fails, and says which and why.

A process that waits for others inside torch can be told nothing, so a thread looks out in each: for words that another
one left in the store before it went, and for whether it is still there. No tensors here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress

from engine import process
from engine.distributed import Team
from engine.errors import EngineError, RunError

LOOK_SECONDS = 0.5
SPEAK_SECONDS = 3.0
"""How long a process that fails leaves the first one to say the same, and that one itself to say what it knows."""
_WORDS = "failed/"


class Lookout:
    """Watches the other processes of a run from ``start`` to ``stop``.

    ``lost`` is called with what was found, in a thread, at most once, and ends the process.
    """

    def __init__(self, team: Team, lost: Callable[[EngineError], None]) -> None:
        self.team, self._lost = team, lost
        self._marks = {rank: process.start_mark(pid) for rank, pid in enumerate(team.pids)}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no longer: from here on others may go."""
        self._over.set()

    def found(self) -> EngineError | None:
        """What is known of processes that failed or are gone, the first one of them."""
        for rank in self._others():
            with suppress(RuntimeError):  # the store may be gone with the process that kept it
                if self.team.store.check([f"{_WORDS}{rank}"]):
                    return self._told(rank)
        for rank in self._others():
            mark = process.start_mark(self.team.pids[rank])
            if mark is None or mark != self._marks[rank]:
                return RunError(
                    f"process {rank + 1} of {self.team.size} is gone (number {self.team.pids[rank]})",
                    "It was killed, or the system's memory was full: stderr.log may say more. Then resume.",
                )
        return None

    def explain(self) -> EngineError | None:
        """Why torch could not reach another process; None if they are all there, and the error is this one's own."""
        for _ in range(int(SPEAK_SECONDS / LOOK_SECONDS)):
            if (why := self.found()) is not None:
                return why
            self._over.wait(LOOK_SECONDS)
        return None

    def tell(self, error: EngineError, told_to_end: Callable[[], bool]) -> None:
        """Leave words for the first process, and let it speak before this one goes, if it is not ended anyhow."""
        with suppress(RuntimeError):
            words = json.dumps([error.message, error.hint])
            self.team.store.set(f"{_WORDS}{self.team.rank}", words)
        for _ in range(int(3 * SPEAK_SECONDS / LOOK_SECONDS)):
            if told_to_end() or self._over.wait(LOOK_SECONDS):
                return

    def _told(self, rank: int) -> EngineError:
        message, hint = json.loads(self.team.store.get(f"{_WORDS}{rank}"))
        return RunError(f"process {rank + 1} of {self.team.size}: {message}", hint)

    def _others(self) -> list[int]:
        return [rank for rank in range(self.team.size) if rank != self.team.rank]

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            why = self.found()
            # If it fails of the same, this process is about to say so itself.
            if why is not None and not self._over.wait(SPEAK_SECONDS):
                self._lost(why)
                return
