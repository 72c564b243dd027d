"""Keys pressed faster than the disk: they wait in order, and none is lost or read as something else. No screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from textual import events
from textual.screen import Screen

Command = Callable[[], Awaitable[None]]


class KeyQueue:
    """Runs commands of one screen strictly one after another, each to its end.

    `put` is for what writes, `then` for what only moves, `open` for what opens a text field: letters typed
    after it belong into that field, not to the keys of the screen.
    """

    def __init__(self, screen: Screen[None]) -> None:
        self._screen = screen
        self._waiting: deque[Command] = deque()
        self._running = False
        self._opening = 0
        self._typed: list[events.Key] = []

    @property
    def busy(self) -> bool:
        """Whether a command runs or waits."""
        return self._running

    def put(self, command: Command) -> None:
        """Run ``command`` when all before it are done."""
        self._waiting.append(command)
        if not self._running:
            self._running = True
            self._screen.run_worker(
                self._drain(), group="keys", name="keys", description="decide", exit_on_error=False
            )

    def then(self, step: Callable[[], object]) -> None:
        """Do something quick: now if nothing waits, else in its turn."""
        if not self._running:
            step()
        else:
            self._waiting.append(partial(_quick, step))

    def open(self, step: Callable[[], object]) -> None:
        """Like ``then``, for what opens a text field; keys typed meanwhile are kept for it."""
        if not self._running:
            step()
            return
        self._opening += 1
        self._waiting.append(partial(self._opened, step))

    def catch(self, event: events.Key) -> bool:
        """Keep a key for the field that is about to open; return whether it was kept."""
        if not self._opening:
            return False
        event.stop()
        event.prevent_default()
        self._typed.append(event)
        return True

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
        finally:
            # A command that failed takes down those behind it: they were pressed on what it would have shown.
            self._running = False
            self._waiting.clear()
            self._release()

    async def _opened(self, step: Callable[[], object]) -> None:
        step()
        self._release()

    def _release(self) -> None:
        """Hand the kept keys to whatever has the focus now."""
        self._opening = 0
        typed, self._typed = self._typed, []
        app = self._screen.app
        if typed:
            app.screen.call_after_refresh(
                lambda: [app.post_message(events.Key(key.key, key.character)) for key in typed]
            )


async def _quick(step: Callable[[], object]) -> None:
    step()
