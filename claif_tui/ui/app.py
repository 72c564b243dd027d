"""The application: modes, the open project, the line at the top, errors, quitting. No screen's content.

Only textual and thin modules are imported here, so that the first paint comes early; the store, numpy, pydantic
and aiohttp are imported in workers after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import ScreenStackError
from textual.binding import BindingType
from textual.filter import LineFilter, NoColor
from textual.notifications import SeverityLevel
from textual.reactive import reactive, var
from textual.screen import Screen

from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen, QuietScreen, WorkerErrors
from claif_tui.ui.jobs import GLYPHS, Job, Jobs
from claif_tui.ui.keymap import APP_BINDINGS, PLACES
from claif_tui.ui.palette import ActionCommands
from claif_tui.ui.signals import SignalApp
from claif_tui.ui.theme import HOUSE
from claif_tui.ui.widgets.chrome import TopState

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

R = TypeVar("R")
_NO_COLOUR = NoColor()
POLL_SECONDS = 1.0
"""How often other processes' changes are looked for."""


class ClaifApp(WorkerErrors, SignalApp):
    """The terminal app on at most one project at a time."""

    TITLE = "claif-tui"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {place.name: place.load for place in PLACES}
    DEFAULT_MODE = "project"
    COMMANDS = {ActionCommands}
    BINDINGS: ClassVar[list[BindingType]] = [*APP_BINDINGS]
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (50, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-short"), (24, "-tall")]

    revision: reactive[tuple[int, int]] = reactive((0, 0), init=False)
    """(how many projects were opened, the store's data version): changes when what is shown may be old."""
    top: reactive[TopState] = reactive(TopState())
    store: var[Store | None] = var(None, init=False)
    """The open project; None while none is open."""
    opening: var[str] = var("", init=False)
    """The folder being opened, for the first screen to show; empty when nothing is."""

    def __init__(self, project: Path | None = None, *, warm: bool = False) -> None:
        """``warm`` loads the offline model as soon as a project that uses it is open."""
        super().__init__()
        for theme in HOUSE:
            self.register_theme(theme)
        self.theme = "claif-dark"
        self.jobs = Jobs(self)
        self._wanted = project
        self._warm = warm
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="claif-db")
        self._polling = False
        self._held: list[Callable[[], None]] = []
        self._facts = TopState()

    # -- life ------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Paint first; open the project in a worker after it."""
        self.opening = str(self._wanted) if self._wanted else ""
        self.jobs.listen(self._job_changed)
        self.heed_signals()
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        self.run_worker(self._boot(), group="boot", exit_on_error=False, description="open the project")
        self.set_interval(POLL_SECONDS, self._poll)

    async def _boot(self) -> None:
        from claif_tui.ui import preferences

        (await self.background(preferences.load)).apply(self)
        if self._wanted is not None:
            await self.open_project(self._wanted)

    async def open_project(self, folder: Path, *, create: bool = False, demo: bool = False) -> bool:
        """Open or make (as a demo) the project in ``folder``; errors are shown. False if it did not open."""
        from claif_tui.core.errors import ClaifError
        from claif_tui.ui.projects import open_store

        self.opening = str(folder)
        try:
            store = await self.background(partial(open_store, folder, create=create, demo=demo))
        except ClaifError as error:
            self.show_error(error)
            return False
        finally:
            self.opening = ""
        old, self.store = self.store, store
        self.revision = (self.revision[0] + 1, 0)
        if old is not None:
            await self.background(old.close)
        for notice in store.notices:
            self.say(notice, severity="warning")
        self._poll()
        if self._warm:
            from claif_tui.ui.warming import warm

            work = warm(self, store)
            self.run_worker(work, group="warm", exit_on_error=False, description="load the offline model")
        return True

    async def on_unmount(self) -> None:
        """Close what is open."""
        if self._warm:
            from claif_tui.ui.warming import cool

            await cool()
        store, self.store = self.store, None
        if store is not None:
            await asyncio.to_thread(store.close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """With NO_COLOR, no colour at all is sent; what stands out does so by reverse, bold and underline."""
        return [_NO_COLOUR] if self.no_color else super().get_line_filters()

    # -- data --------------------------------------------------------------------------------------------

    async def background(self, work: Callable[[], R]) -> R:
        """Run blocking work (imports, files, pure computation) in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def db(self, query: Callable[[Store], R]) -> R:
        """Run a blocking query or write on the open store in a thread; only when a project is open."""
        store = self.store
        if store is None:
            raise RuntimeError("no project is open")
        return await self.background(partial(query, store))

    def _poll(self) -> None:
        if self.store is not None and not self._polling:
            self._polling = True
            self.run_worker(
                self._look(self.store), group="poll", exit_on_error=False, description="look for changes"
            )

    async def _look(self, store: Store) -> None:
        from claif_tui.core.errors import StoreError
        from claif_tui.ui.status import top_state

        try:
            version = await self.background(store.data_version)
            if self.store is store and (self.revision[0], version) != self.revision:
                self.revision = (self.revision[0], version)
                self._facts = await self.background(partial(top_state, store))
                self.top = with_jobs(self._facts, self.jobs)
        except StoreError:
            if self.store is store:
                raise
        finally:
            self._polling = False

    def changed(self) -> None:
        """Say that this app changed the project: look at once instead of at the next tick."""
        self._poll()

    def _job_changed(self, job: Job) -> None:
        self.top = with_jobs(self.top, self.jobs)

    # -- going places ------------------------------------------------------------------------------------

    async def action_go(self, name: str) -> None:
        """Show another screen; what was typed and selected on this one stays."""
        if isinstance(self.screen, ClaifScreen) and self.current_mode != name:
            await self.switch_mode(name)

    def action_help(self) -> None:
        """Explain the screen that is shown."""
        from claif_tui.ui.help import HelpModal

        if isinstance(self.screen, ClaifScreen):
            self.push_screen(HelpModal(self.screen))

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        target = self.screen.copy_target() if isinstance(self.screen, ClaifScreen) else None
        if target is None:
            self.say("Nothing to copy here.")
        else:
            self.copy(target[1], target[0])

    def copy(self, text: str, what: str) -> None:
        """Copy ``text`` (called ``what`` in the notice) and say where it went."""
        self.run_worker(self._copy(text, what), group="copy", exit_on_error=False, description="copy")

    async def _copy(self, text: str, what: str) -> None:
        from claif_tui.ui import clipboard

        self.copy_to_clipboard(text)
        tool = await clipboard.to_local_tool(text)
        if tool is not None:
            self.say(f"Copied {what} with {tool}.")
            return
        path = await self.background(partial(clipboard.to_file, text))
        kept = f" Also in {path}." if path else ""
        self.say(f"Copied {what} through the terminal (OSC 52).{kept}")

    def use_theme(self, name: str) -> None:
        """Switch the theme and remember it."""
        self.theme = name
        self.run_worker(
            self._keep_theme(name), group="theme", exit_on_error=False, description="remember the theme"
        )

    async def _keep_theme(self, name: str) -> None:
        from claif_tui.ui.preferences import remember_theme

        await self.background(partial(remember_theme, name))

    # -- rater mode --------------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether somebody rates here: until that is over nothing else is reached or shown."""
        try:
            return any(isinstance(screen, QuietScreen) for screen in self.screen_stack)
        except ScreenStackError:
            return False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None of the app's actions is live in rater mode, the palette and quitting included."""
        return not self.quiet and super().check_action(action, parameters)

    async def quietly(self, screen: QuietScreen[R]) -> R | None:
        """Show a quiet screen to its end; what the app wanted to say meanwhile is said after it. In a worker only."""
        try:
            return await self.push_screen_wait(screen)
        finally:
            held, self._held = self._held, []
            for say in held:
                say()

    # -- saying things -----------------------------------------------------------------------------------

    def say(self, message: str, *, title: str = "", severity: SeverityLevel = "information") -> None:
        """Show a short notice; data in it stays text."""
        if self.quiet:
            self._held.append(partial(self.say, message, title=title, severity=severity))
            return
        self.notify(safe.plain(message), title=safe.plain(title), severity=severity, markup=False)

    def show_error(self, error: BaseException) -> None:
        """Show an error one can read and copy; several in a row do not pile up."""
        from claif_tui.ui.dialogs import ErrorModal

        if self.quiet:
            self._held.append(partial(self.show_error, error))
        elif isinstance(self.screen, ErrorModal):
            self.say(str(error), severity="error")
        else:
            self.push_screen(ErrorModal(error))

    # -- leaving -----------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Pause or stop what runs; it goes on where it was, next time."""
        from claif_tui.ui.quitting import settle

        await settle(self)

    async def action_quit(self) -> None:
        """Leave; when a job is at work, ask what becomes of it."""
        from claif_tui.ui.quitting import ask_and_quit

        if not self.jobs.live():
            self.exit()
            return
        self.run_worker(
            ask_and_quit(self), group="quit", exclusive=True, exit_on_error=False, description="quit"
        )


def with_jobs(state: TopState, jobs: Jobs) -> TopState:
    """Return ``state`` with the running jobs in it."""
    from dataclasses import replace

    parts = []
    for job in jobs.live():
        percent = job.progress.percent
        parts.append(f"{GLYPHS[job.state]} {job.title}" + (f" {percent} %" if percent is not None else ""))
    return replace(state, jobs=" ".join(parts))


def run_app(project: Path | None = None, *, mouse: bool = True) -> int:
    """Open the app on ``project`` (None: the first screen offers to open or make one); return an exit code."""
    app = ClaifApp(project, warm=True)
    app.run(mouse=mouse)
    return app.return_code or 0
