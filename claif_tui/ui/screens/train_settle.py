"""Work that follows what is typed: it starts once typing rests, never twice at once, and the last wish wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.widget import Widget


class Settled:
    """Does ``work`` for a screen when ``ask`` was called and nothing more was asked for ``pause`` seconds.

    A thread cannot be stopped, so a newer wish waits for the work that is under way instead of piling up beside it.
    """

    def __init__(self, owner: Widget, work: Callable[[], Awaitable[None]], *, pause: float, name: str) -> None:
        self._owner, self._work, self._pause, self._name = owner, work, pause, name
        self._asked = 0
        self._busy = False

    def ask(self) -> None:
        """Ask for the work, soon."""
        self._asked += 1
        if not self._busy:
            self._busy = True
            self._owner.run_worker(self._go(), group=self._name, exit_on_error=False, description=self._name)

    async def _go(self) -> None:
        try:
            while True:
                asked = self._asked
                await asyncio.sleep(self._pause)
                if asked == self._asked:
                    await self._work()
                    if asked == self._asked:
                        return
        finally:
            self._busy = False
