"""What a lost terminal and SIGTERM mean for an app: it ends as by its own key, with 128 + the signal's number."""

from __future__ import annotations

import asyncio
import select
import signal
import sys
import threading

from textual.app import App

LOOK_SECONDS = 1.0


class SignalApp(App[None]):
    """An app that ends in order when its terminal goes away or somebody says so."""

    _hung_up = False

    def heed_signals(self) -> None:
        """Begin to listen; to be called when mounted."""
        if not self.is_headless:
            self.set_interval(LOOK_SECONDS, self._heed_terminal)
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, self._leave_on_signal, number)

    async def settle(self) -> None:
        """Bring what is in hand to a safe end before the app goes; for subclasses."""

    def _heed_terminal(self) -> None:
        if not self._hung_up and terminal_gone():
            self._leave_on_signal(signal.SIGHUP)

    def _leave_on_signal(self, number: int) -> None:
        self._hung_up = self._hung_up or number == signal.SIGHUP
        if number == signal.SIGHUP and self._driver is not None:
            # The thread that writes dies with the terminal, and once its queue is full every drawing would wait.
            self._driver.write = _nowhere  # type: ignore[method-assign]
        work = self._settle_and_leave(number)
        self.run_worker(work, group="quit", exclusive=True, exit_on_error=False, description="leave")

    async def _settle_and_leave(self, number: int) -> None:
        await self.settle()
        self.exit(return_code=128 + number)


def _nowhere(data: str) -> None:
    """Write to a terminal that is gone."""


def terminal_gone() -> bool:
    """Whether the terminal that keys come from has hung up.

    The system tells only the first process of a terminal (``make run``, say), which need not pass it on.
    """
    if sys.__stdin__ is None or sys.__stdin__.closed:
        return False
    asked = select.poll()
    asked.register(sys.__stdin__.fileno(), 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in asked.poll(0))
