"""The rating app of one visitor of ``serve``, run by the server as a child process. No server, no links.

Its driver neither opens links nor delivers files, and the process ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events, messages
from textual.app import App
from textual.drivers.web_driver import WebDriver

from claif_tui.core.errors import BusyError, ClaifError, StoreError, UsageError
from claif_tui.core.text import display_text
from claif_tui.ui.rating_app import RatingApp

if TYPE_CHECKING:
    from claif_tui.core.rating.desk import RaterDesk

_PATIENCE_SECONDS = 5.0


class BrowserDriver(WebDriver):
    """Talks to the server through stdin and stdout, and takes their end for its own."""

    def __init__(self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: Any = None) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._write = partial(self._write_all, self.fileno)

    def _write_all(self, fileno: int, data: bytes) -> int:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(fileno, left) :]
            except OSError:  # the server is gone, which the input thread notices as well
                break
        return len(data)

    def start_application_mode(self) -> None:
        """Begin, with the keyboard's attention: without it, as the base class begins, the footer shows old keys."""
        super().start_application_mode()
        self._app.call_later(self._app.post_message, events.AppFocus())

    def run_input_thread(self) -> None:
        """Read keys until there are no more: then the server has let go, or was killed."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(messages.ExitApp())
            # Every answer is on disk, so an app that hangs may be cut off.
            last = threading.Timer(_PATIENCE_SECONDS, os._exit, (1,))
            last.daemon = True
            last.start()

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Open nothing: a rater's browser stays with the study."""

    def deliver_binary(self, binary: Any, **_: Any) -> None:
        """Deliver nothing."""
        binary.close()


def open_desk(told: dict[str, Any]) -> RaterDesk:
    """Sit down as the server said; errors name neither the machine nor other people's seats."""
    from claif_tui.core.rating.session import RaterSession
    from claif_tui.core.store.store import Store

    rater = told["rater"]
    store = None
    try:
        store = Store.open(Path(told["project"]))
        return RaterSession(
            store,
            told["study"],
            rater,
            source="browser",
            who=told["who"],
            same_person=told["same_person"],
        )
    except ClaifError as error:
        if store is not None:
            store.close()
        _tell(f"{rater} cannot begin: {error.message}")
        raise _in_other_words(error, rater) from None


def _in_other_words(error: ClaifError, rater: str) -> ClaifError:
    if isinstance(error, BusyError):
        return BusyError(
            f"{rater} is rating already, elsewhere", "Leave there first, then load this page anew."
        )
    if isinstance(error, UsageError):
        return UsageError(
            f"{rater} has rated from another seat so far",
            "Two people must not share a name. If it was you, ask whoever runs the study to let you go on.",
        )
    return StoreError("The study cannot be opened at this moment", "Tell whoever runs it; nothing is lost.")


def _tell(text: str) -> None:
    """Say something to whoever watches the server; textual keeps ``sys.stderr`` to itself."""
    if sys.__stderr__ is not None:
        with suppress(OSError):
            sys.__stderr__.write(display_text(text, one_line=True) + "\n")
            sys.__stderr__.flush()


def main() -> int:
    """Let one visitor rate; return an exit code."""
    told = json.loads(os.environ.pop("CLAIF_RATING"))
    app = RatingApp(partial(open_desk, told))
    app.run(mouse=False)
    if app.left.fault is not None:
        _tell(f"{told['rater']}'s session ended over a fault: {app.left.fault!r}")
    return app.return_code or 0


if __name__ == "__main__":
    raise SystemExit(main())
