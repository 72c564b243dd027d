"""One visitor's child process: textual-serve's service, without its shell, its downloads and its open links.

The child has the rating screen and nothing else; what it needs to know comes in its environment, and none of that is
secret. It ends when its stdin does, so a server that is killed leaves nobody behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

CHILD = "claif_tui.ui.browser"
"""The module that a child runs; it imports the screens, so nobody here imports it."""
PATIENCE_SECONDS = 5.0
"""How long a child may take to leave by itself."""
SMALLEST, LARGEST = (20, 5), (400, 150)
"""Columns and lines that a browser may ask for."""

_ROOT = str(Path(__file__).resolve().parents[2])
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("CLAIF_TUI_HOME", "CLAIF_TUI_AUTHOR"),
)
_PASSED_ON_AS_WELL = ("LC_", "XDG_", "COVERAGE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a child sits down: the project's folder, the study, under which name, in which browser.

    ``same_person``: a name may go on from another seat than before; it is noted as a deviation.
    """

    project: Path
    study: str
    rater: str
    who: str
    same_person: bool = False


class Child(AppService):
    """The process behind one browser window."""

    def __init__(
        self,
        seat: Seat,
        *,
        write: Callable[[bytes], Awaitable[None]],
        close: Callable[[], Awaitable[object]],
    ) -> None:
        async def closed() -> None:
            await close()

        super().__init__(
            "", write_bytes=write, write_str=_nothing, close=closed, download_manager=DownloadManager()
        )
        self._seat = seat

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            CHILD,
            stdin=PIPE,
            stdout=PIPE,
            env={**self._build_environment(width, height), **_told(self._seat)},
            start_new_session=True,  # Ctrl-C is for the server, which ends its children in order
        )
        # The base class reads a piped stderr and prints it on stdout, which is not its to write on.
        process.stderr = asyncio.StreamReader()
        process.stderr.feed_eof()
        self._process, self._stdin = process, process.stdin
        return process

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        """Take only what a program needs to run, so that no key of an endpoint comes along."""
        columns, lines = within(width, height)
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_AS_WELL)
        }
        given = super()._build_environment(columns, lines)
        driven = {name: given[name] for name in ("TEXTUAL_FPS", "TEXTUAL_COLOR_SYSTEM", "COLUMNS", "ROWS")}
        paths = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH", ""))))
        return {**passed, **driven, "PYTHONPATH": paths, "TEXTUAL_DRIVER": f"{CHILD}:BrowserDriver"}

    async def run(self) -> None:
        """Hand on what the child writes until it ends; then the window is told."""
        try:
            await super().run()
        finally:
            await self.remote_close()

    async def on_data(self, payload: bytes) -> None:
        """Hand output on; to a window that has gone there is nothing to say, and the child must not wait for it."""
        with suppress(ConnectionError):
            await super().on_data(payload)

    async def on_meta(self, data: bytes) -> None:
        """Listen to the child's end alone: no links are opened and no files delivered."""
        if json.loads(data).get("type") == "exit":
            await self.remote_close()

    async def on_packed(self, payload: bytes) -> None:
        """Drop it: only files come this way."""

    async def stop(self) -> None:
        """Ask the child to leave, and see that it does."""
        process = self._process
        if process is None:
            return
        await self.send_meta({"type": "quit"})
        self.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._task is not None:
            await self._task


def within(width: int, height: int) -> tuple[int, int]:
    """Return a size of the terminal that a child can bear."""
    (low_w, low_h), (high_w, high_h) = SMALLEST, LARGEST
    return min(max(width, low_w), high_w), min(max(height, low_h), high_h)


def _told(seat: Seat) -> dict[str, str]:
    told = {"project": str(seat.project.resolve()), "study": seat.study, "rater": seat.rater, "who": seat.who}
    return {"CLAIF_RATING": json.dumps({**told, "same_person": seat.same_person})}


async def _nothing(_: str) -> None:
    """Send no text message of the base class: they open links and files."""
