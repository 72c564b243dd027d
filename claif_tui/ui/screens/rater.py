"""Rater mode: one item at a time, keyboard only, nothing else in sight. All it knows comes from a ``RaterDesk``.

No store, no project, no key of the app: a rater must not be able to reach what would unblind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Input, Static

from claif_tui.core.errors import ClaifError
from claif_tui.ui import safe
from claif_tui.ui.base import QuietScreen
from claif_tui.ui.screens import rater_text
from claif_tui.ui.screens.rater_scale import AT_ONCE, TYPED, read, stepped, typed
from claif_tui.ui.widgets.panel import Panel

if TYPE_CHECKING:
    from claif_tui.core.rating.desk import RaterDesk
    from claif_tui.core.rating.models import Criterion, ScaleKind, Shown

R = TypeVar("R")
View = Literal["opening", "trouble", "item", "comment", "guidelines", "help", "finished"]
BEAT_SECONDS = 30.0
COMMENT_LIMIT = 2000
"""Characters of a comment; the store takes no more."""
_EDITING = ("enter", "backspace", "left", "right")
_PAGES: dict[View, tuple[str, ...]] = {
    "opening": ("leave",),
    "trouble": ("leave", "again"),
    "item": ("leave", "undo", "comment", "guidelines", "why", "help", "scroll"),
    "comment": ("back",),
    "guidelines": ("back", "go_on", "scroll"),
    "help": ("back", "scroll"),
    "finished": ("leave", "undo", "guidelines", "help"),
}
"""The actions that are live on each page, answering and quitting aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How a rater left: with ``quit`` the whole program is to end; ``fault`` is an error that is not the rater's."""

    quit: bool = False
    fault: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """A key, and the item that was in sight when it was pressed."""

    what: Literal["key", "undo", "comment", "save", "guidelines", "go_on", "leave", "quit", "again"]
    text: str = ""
    token: str = ""


class CommentField(Input):
    """One line for a comment: letters are text in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Save", id="rater.comment.save", tooltip="Save the comment"),
    ]


def _keys(action: str, keys: str) -> list[BindingType]:
    return [Binding("full_stop" if key == "." else key, f"{action}('{key}')", show=False) for key in keys]


class RaterScreen(QuietScreen[Left]):
    """The screen of one rater. ``open_desk`` is called in the thread that all of the desk's work is done in."""

    CSS_PATH = "rater.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "choose('y')", "Yes", id="rater.yes", tooltip="Answer yes"),
        Binding("n", "choose('n')", "No", id="rater.no", tooltip="Answer no"),
        Binding("1", "level('1')", "Answer", key_display="1-5", tooltip="Answer by the number"),
        *_keys("level", "2345"),
        Binding("0", "digit('0')", "Score", key_display="0-9", tooltip="Type the score; 10 or 1.0 is 1.0"),
        *_keys("digit", "123456789."),
        Binding("enter", "digit('enter')", "Take it", tooltip="Save the typed score"),
        Binding("backspace", "digit('backspace')", "Take a digit away", show=False),
        Binding("left", "digit('left')", "Lower", show=False, tooltip="A tenth lower"),
        Binding("right", "digit('right')", "Higher", show=False, tooltip="A tenth higher"),
        Binding("r", "again", "Try again", id="rater.again"),
        Binding(
            "w", "why", "Why", id="rater.why", tooltip="The guideline of the question, the whole explanation"
        ),
        Binding(
            "u", "undo", "Undo", id="rater.undo", tooltip="Take the latest answer back, of earlier items too"
        ),
        Binding("c", "comment", "Comment", id="rater.comment", tooltip="Say something about the item"),
        Binding(
            "G", "guidelines", "Guidelines", id="rater.guidelines", tooltip="What is asked, and how to judge"
        ),
        Binding("enter,space", "go_on", "Go on", key_display="enter", id="rater.go_on", tooltip="To the item"),
        Binding("escape", "leave", "Leave", id="rater.leave", tooltip="Leave; every answer is saved"),
        Binding("escape", "back", "Back", id="rater.back", tooltip="Back to the item"),
        Binding("question_mark,f1", "help", "Help", key_display="?", id="rater.help", tooltip="The keys"),
        Binding("down,pagedown", "scroll(1)", "Down", show=False, tooltip="Scroll a long text down"),
        Binding("up,pageup", "scroll(-1)", "Up", show=False, tooltip="Scroll it up"),
        Binding(
            "ctrl+q,ctrl+c",
            "quit_safely",
            "Quit",
            show=False,
            priority=True,
            tooltip="Leave and end the program",
        ),
    ]

    def __init__(self, open_desk: Callable[[], RaterDesk]) -> None:
        super().__init__()
        self._open_desk = open_desk
        self._desk: RaterDesk | None = None
        self._shown: Shown | None = None
        self._in_sight = ""
        self._view: View = "opening"
        self._page = Content("Opening …")
        self._said = Content("")
        self._typed = ""
        self._why = False
        self._busy = False
        self._begun = False
        self._fault: BaseException | None = None
        self._wishes: asyncio.Queue[_Wish] = asyncio.Queue()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="claif-rater")

    def compose(self) -> ComposeResult:
        """The item with its questions, a line of news with the progress, and the keys."""
        with Container(id="body"):
            with Panel(classes="panel", id="rater"):
                with VerticalScroll(id="page", can_focus=False):
                    yield Static("", id="text", markup=False)
                    for name in ("original", "generated", "score", "comment"):
                        with Horizontal(classes="row", id=name):
                            yield Static(name, classes="label", markup=False)
                            yield Static("", classes="value", markup=False)
                yield Static("", id="questions", markup=False)
                yield CommentField(id="comment-field", compact=True, max_length=COMMENT_LIMIT, disabled=True)
            with Horizontal(id="below"):
                yield Static("", id="said", markup=False)
                yield Static("", id="bar", markup=False)
        yield Static("Too small.\n\nRating needs\n50 x 15 cells.", id="too-small", markup=False)
        yield Footer(show_command_palette=False)

    # -- life ------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Open the desk and do what keys wish, one after the other."""
        self._show()
        self.run_worker(self._work(), group="desk", exit_on_error=False, description="rate")
        self.set_interval(BEAT_SECONDS, self._beat)

    async def on_unmount(self) -> None:
        """Leave the desk, however the screen came to its end."""
        with suppress(
            ClaifError
        ):  # what was answered is on disk; a desk that nobody closed is seen to be empty
            await self._close()
        self._pool.shutdown(wait=False)

    async def _ask(self, work: Callable[[], R]) -> R:
        """Run a desk's work in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _work(self) -> None:
        await self._guarded(self._open)
        while True:
            wish = await self._wishes.get()
            if wish.what in ("leave", "quit"):
                fault = self._fault
                try:
                    await self._close()
                except ClaifError as error:
                    fault = fault or error
                self.dismiss(Left(quit=wish.what == "quit", fault=fault))
                return
            await self._guarded(partial(self._do, wish))

    async def _guarded(self, work: Callable[[], object]) -> None:
        """Do something at the desk; what goes wrong is said, and the item stays."""
        self._busy = True
        try:
            await work()  # type: ignore[misc]
        except ClaifError as error:
            self._say_error(error)
        except Exception as error:  # noqa: BLE001 - a rater gets words; whoever opened the screen gets the error
            self._fault = error
            self._trouble(f"This is a fault of claif-tui ({type(error).__name__}), not yours.", "")
        finally:
            self._busy = not self._wishes.empty()
            self._show()

    def _say_error(self, error: ClaifError) -> None:
        if self._desk is None:
            self._trouble(error.message, error.hint)
        else:
            self._said = safe.line(f"✗ Not saved: {error.message} {error.hint}".rstrip(), "bold $text-error")

    def _trouble(self, message: str, hint: str) -> None:
        self._view, self._page = "trouble", rater_text.closed(message, hint)

    async def _close(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            await self._ask(desk.close)

    def _beat(self) -> None:
        if self._desk is not None:
            self.run_worker(
                self._say_beat(self._desk), group="beat", exit_on_error=False, description="still here"
            )

    async def _say_beat(self, desk: RaterDesk) -> None:
        try:
            await self._ask(desk.beat)
        except ClaifError as error:
            self._said = safe.line(f"! {error.message}", "$text-warning")
            self._show()

    # -- work at the desk --------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._desk = await self._ask(self._open_desk)
        await self._next()
        self._begun = self._shown is None or bool(self._desk.desk.done or self._shown.mine)
        if not self._begun:
            self._read_guidelines(self._desk)

    async def _next(self) -> None:
        """Show the first item that lacks an answer, or the last page."""
        if self._desk is None:
            return
        try:
            shown = await self._ask(self._desk.current)
            due = await self._ask(self._desk.break_due)
        except ClaifError as error:
            self._trouble(f"The next item cannot be read: {error.message}", error.hint)
            return
        self._settle(shown)
        if due:
            self._said = rater_text.take_a_break()

    def _settle(self, shown: Shown | None) -> None:
        """Let this item be the one that is asked about."""
        self._typed = ""
        self._shown = shown
        self._view = "item" if shown else "finished"

    async def _do(self, wish: _Wish) -> None:
        desk, shown = self._desk, self._shown
        if desk is None:
            if wish.what == "again":
                await self._open()
            return
        self._said = Content("")
        if wish.what == "again":
            await self._next()
        elif wish.what == "undo":
            back = await self._ask(desk.undo)
            if back is None:
                self._said = safe.line("There is no answer to take back.", "$text-muted")
            else:
                self._settle(back)
                self._said = safe.line("Your latest answer is taken back.", "$text-primary")
        elif wish.what == "guidelines":
            self._read_guidelines(desk)
        elif wish.what == "go_on":
            if not self._begun:  # reading the guidelines is no time spent on the first item
                self._begun = True
                await self._next()
            else:
                self._view = "item" if shown else "finished"
        elif shown is None or wish.token != shown.token:
            return  # pressed before this item was in sight
        elif wish.what == "comment":
            self._begin_comment(shown)
        elif wish.what == "save":
            await self._ask(partial(desk.comment, shown.token, wish.text))
            self._shown = replace(shown, comment=wish.text.strip())
            self._view = "item"
            self._said = safe.line("✓ comment saved", "$text-success")
        else:
            await self._key(desk, shown, wish.text)

    async def _key(self, desk: RaterDesk, shown: Shown, key: str) -> None:
        asked = rater_text.open_question(desk.desk, shown)
        if asked is None:
            return
        if key in AT_ONCE[asked.scale]:
            await self._answer(desk, shown, asked, AT_ONCE[asked.scale][key])
        elif asked.scale != "tenths":
            return
        elif key == "enter":
            value = read(self._typed)
            if value is None:
                self._said = safe.line("Type a score first, 0.0 to 1.0.", "$text-warning")
            else:
                await self._answer(desk, shown, asked, value)
        elif key == "backspace":
            self._typed = self._typed[:-1]
        elif key in TYPED:
            self._typed = typed(self._typed, key)
        elif key in ("left", "right"):
            self._typed = stepped(self._typed, 1 if key == "right" else -1)

    async def _answer(self, desk: RaterDesk, shown: Shown, asked: Criterion, value: float) -> None:
        """Put an answer on disk, then ask the next question; if it fails, it was not given."""
        await self._ask(partial(desk.answer, shown.token, asked.name, value))
        self._typed = ""
        self._shown = replace(shown, mine={**shown.mine, asked.name: value})
        self._said = safe.line("✓ saved", "$text-success")
        if rater_text.open_question(desk.desk, self._shown) is None:
            await self._next()

    def _read_guidelines(self, desk: RaterDesk) -> None:
        self._view, self._page = "guidelines", rater_text.guidelines(desk.desk)

    def _begin_comment(self, shown: Shown) -> None:
        self._view = "comment"
        field = self.query_one(CommentField)
        field.disabled = False
        field.value = safe.plain(shown.comment)
        field.focus()

    # -- showing -----------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Draw what is so now."""
        if not self.is_mounted or not self.is_attached:
            return
        desk = self._desk.desk if self._desk is not None else None
        shown = self._shown
        pages: dict[View, bool] = {name: name == self._view for name in _PAGES}
        item = pages["item"] or pages["comment"]
        self.set_class(item, "-item")
        self.set_class(pages["comment"], "-comment")
        if not pages["comment"] and not self.query_one(CommentField).disabled:
            self.query_one(CommentField).disabled = True
            self.set_focus(None)
        if desk is not None:
            self.query_one("#rater", Panel).retitle(rater_text.title(desk, shown))
            self.query_one("#bar", Static).update(rater_text.bar(desk))
            if pages["finished"]:
                self._page = rater_text.finished(desk)
            if item and shown is not None:
                self._row("original", safe.block(shown.text_a))
                self._row("generated", safe.block(shown.text_b))
                self._row("score", rater_text.score(shown, whole=self._why))
                self._row("comment", safe.line("" if pages["comment"] else shown.comment, "$text-muted"))
                asked = rater_text.questions(desk, shown, self._typed, guideline=self._why)
                self.query_one("#questions", Static).update(asked)
        self.query_one("#text", Static).update(self._page if not item else "")
        self.query_one("#said", Static).update(self._said)
        token = shown.token if item and shown is not None else ""
        if token != self._in_sight:
            self._in_sight = ""
            self.query_one("#page").scroll_home(animate=False)
            self.call_after_refresh(self._saw, token)
        self.refresh_bindings()

    def _row(self, name: str, text: Content) -> None:
        row = self.query_one(f"#{name}")
        row.set_class(bool(text.plain), "-there")
        row.query_one(".value", Static).update(text)

    def _saw(self, token: str) -> None:
        self._in_sight = token

    # -- keys --------------------------------------------------------------------------------------------

    @property
    def _scale(self) -> ScaleKind | None:
        """The scale of the question that is asked now."""
        if self._desk is None or self._shown is None or self._view != "item":
            return None
        asked = rater_text.open_question(self._desk.desk, self._shown)
        return None if asked is None else asked.scale

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key is live where it means something; one pressed during a save waits for its turn."""
        if action == "quit_safely":
            return True
        if action in ("choose", "level", "digit"):
            if self._view != "item" or self.has_class("-thin") or self.has_class("-flat"):
                return False  # the item is not in sight
            return (
                self._busy or {"choose": "yesno", "level": "ordinal", "digit": "tenths"}[action] == self._scale
            )
        if action == "go_on" and self._view == "guidelines":
            return True
        return action in _PAGES[self._view]

    def _wish(self, wish: _Wish) -> None:
        self._busy = True
        self._wishes.put_nowait(wish)

    def action_choose(self, key: str) -> None:
        """Answer with one key."""
        self._wish(_Wish(what="key", text=key, token=self._in_sight))

    action_level = action_choose
    action_digit = action_choose

    def action_undo(self) -> None:
        """Take the latest answer back."""
        self._wish(_Wish(what="undo"))

    def action_comment(self) -> None:
        """Say something about the item."""
        self._wish(_Wish(what="comment", token=self._in_sight))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Save the comment; an empty one takes it away."""
        event.stop()
        self._wish(_Wish(what="save", text=event.value, token=self._shown.token if self._shown else ""))

    def action_guidelines(self) -> None:
        """Show what is asked, and how to judge."""
        self._wish(_Wish(what="guidelines"))

    def action_go_on(self) -> None:
        """Go to the item."""
        self._wish(_Wish(what="go_on"))

    def action_back(self) -> None:
        """Go back to the item; what was typed as a comment is not kept."""
        self._wish(_Wish(what="go_on"))

    def action_again(self) -> None:
        """Try again what did not work."""
        self._wish(_Wish(what="again"))

    def action_why(self) -> None:
        """Show or hide the guideline of the question and the whole explanation."""
        self._why = not self._why
        self._show()

    def action_help(self) -> None:
        """Explain the keys that are live now."""
        from claif_tui.ui.help import key_rows

        rows, _ = key_rows(self)
        self._page = rater_text.help_rows(rows)
        self._view = "help"
        self._show()

    def action_scroll(self, pages: int) -> None:
        """Scroll a long text."""
        page = self.query_one("#page", VerticalScroll)
        page.scroll_relative(y=pages * max(1, page.size.height // 2), animate=False)

    def action_leave(self) -> None:
        """Leave, once everything is on disk."""
        self._wish(_Wish(what="leave"))

    def action_quit_safely(self) -> None:
        """Leave, and end the program."""
        self._wish(_Wish(what="quit"))

    def on_resize(self, event: events.Resize) -> None:
        """Say anew which keys are live: on a screen too small for the item none answers."""
        self.refresh_bindings()
