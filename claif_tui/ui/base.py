"""What every screen shares: the frame, loading in a worker, errors that cannot get lost, one way to confirm.

No screen's own content, and no data access beyond the app's store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Footer, Input, Static, TextArea
from textual.worker import Worker, WorkerError, WorkerState

from claif_tui.ui.widgets.chrome import TabLine, TopLine

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp

T = TypeVar("T")


class WorkerErrors:
    """Turns a failed worker into an error the user can read and copy.

    ``Worker.StateChanged`` does not bubble, so whatever starts workers (each screen, the app) mixes this in.
    """

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show the error of a worker of this node."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            event.stop()
            app = cast("ClaifApp", event.worker.node.app)
            app.show_error(event.worker.error)


class ClaifScreen(WorkerErrors, Screen[None]):
    """One of the nine screens. A subclass gives ``place``, ``HELP_TEXT``, ``body()``, mostly ``load()``."""

    place: str = ""
    """The name of its place in ``keymap.PLACES``."""
    HELP_TEXT: ClassVar[str] = ""
    """Two to six plain sentences for the help panel; the keys are added from the bindings."""
    AUTO_FOCUS = ""
    BINDINGS = [
        Binding(
            "escape",
            "leave_field",
            "Leave field",
            id="field.leave",
            tooltip="Stop typing, so that letters are keys again",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._seen: tuple[int, int] | None = None
        self._loading = False
        self._again = False

    @property
    def shell(self) -> ClaifApp:
        """The app, with its type."""
        return cast("ClaifApp", self.app)

    @property
    def store(self) -> Store | None:
        """The open project, or None while none is open."""
        return self.shell.store

    def compose(self) -> ComposeResult:
        """The frame around ``body``: top line, tabs, footer, and a notice for a terminal that is too small."""
        yield TopLine()
        yield TabLine(self.place)
        with Container(id="body"):
            yield from self.body()
        yield Static("Too small.\n\nclaif-tui needs\n50 x 15 cells.", id="too-small", markup=False)
        yield Footer(show_command_palette=False)

    def body(self) -> ComposeResult:
        """What the screen shows between the tabs and the footer: structure only, no data."""
        yield from ()

    async def load(self) -> None:
        """Fetch what the screen shows (through ``self.shell.db``) and show it.

        Called when the screen is shown, when another project is opened, and when any process changed the
        project's data; never twice at the same time.
        """

    def copy_target(self) -> tuple[str, str] | None:
        """What ``y`` copies, as (what it is, the text); None when there is nothing under the cursor."""
        return None

    def on_mount(self) -> None:
        """Follow the app's data version."""
        self.watch(self.app, "revision", self._revised, init=False)

    def on_screen_resume(self) -> None:
        """Load when first shown, or when the data changed while another screen was shown."""
        if self._seen != self.shell.revision:
            self.reload()

    def _revised(self) -> None:
        if self.is_current or self.app.screen_stack[0] is self:
            self.reload()

    def reload(self) -> None:
        """Load soon; calls while a load is running fold into one more load."""
        if self._loading:
            self._again = True
            return
        self._loading = True
        self.run_worker(
            self._load(), group="load", exit_on_error=False, description=f"load {self.place}", name="load"
        )

    async def _load(self) -> None:
        try:
            while True:
                self._again = False
                self._seen = self.shell.revision
                await self.load()
                if not self._again:
                    return
        finally:
            self._loading = False

    async def loaded(self) -> None:
        """Wait for what opens the project and reads this screen, for a key pressed before; in a worker only."""
        for group in ("boot", "load"):
            for worker in [work for work in self.app.workers if work.group == group]:
                if worker.node in (self.app, self):
                    with suppress(WorkerError):  # shown already by whoever started it
                        await worker.wait()

    @property
    def typing(self) -> bool:
        """Whether a form field has the focus (then letters are text, not keys)."""
        focused = self.focused
        return isinstance(focused, (Input, TextArea)) or (focused is not None and "Field" in _family(focused))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leaving a field is offered in a field only."""
        return self.typing if action == "leave_field" else True

    def rest(self) -> Widget | None:
        """What has the focus when no field has: the list of the screen, or nothing."""
        return None

    def action_leave_field(self) -> None:
        """Take the focus out of a field."""
        self.set_focus(self.rest())

    def ask(self, action: Callable[[], Awaitable[None]], *, description: str) -> None:
        """Run an action that may push modals and wait for them (it needs a worker)."""
        self.run_worker(_awaited(action), group="ask", exit_on_error=False, description=description)


def _family(widget: Widget) -> set[str]:
    """The class names of a widget's ancestors."""
    return {type(node).__name__ for node in widget.ancestors}


async def _awaited(action: Callable[[], Awaitable[None]]) -> None:
    await action()


class QuietScreen(WorkerErrors, Screen[T], inherit_bindings=False):
    """A screen beside which nothing of the app is in reach or in sight until it ends: no key, no notice, no palette.

    It brings all of its keys along; the app refuses its own while one is on the stack (``ClaifApp.quiet``).
    """

    ALLOW_SELECT = False
    AUTO_FOCUS = ""


class ClaifModal(WorkerErrors, ModalScreen[T]):
    """A short question or a closer look on top of a screen; ``escape`` closes it with ``nothing``."""

    nothing: T | None = None
    """What the caller gets when the user walks away."""
    BINDINGS = [
        Binding("escape", "walk_away", "Close", id="modal.close", tooltip="Close without doing anything")
    ]

    @property
    def shell(self) -> ClaifApp:
        """The app, with its type."""
        return cast("ClaifApp", self.app)

    def action_walk_away(self) -> None:
        """Close with ``nothing``."""
        self.dismiss(self.nothing)

    def on_click(self, event: events.Click) -> None:
        """A click beside the box closes it, as people expect."""
        if event.widget is self:
            self.action_walk_away()
