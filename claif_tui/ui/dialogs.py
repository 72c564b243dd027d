"""The questions and notices every screen uses: confirm, choose, an error one can copy, a text one can read."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Footer, Input, Static

from claif_tui.core.errors import ClaifError
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal


class ConfirmModal(ClaifModal[bool]):
    """Yes or no, for money and bulk actions. The safe answer has the focus."""

    nothing = False
    BINDINGS = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes"),
        Binding("n", "answer(False)", "No", id="confirm.no"),
        Binding("left,right", "app.focus_next", "Other button", show=False, id="confirm.other"),
    ]

    def __init__(
        self, title: str, question: str, *, yes: str = "Yes", no: str = "No", detail: str = ""
    ) -> None:
        super().__init__()
        self._title, self._question, self._yes, self._no, self._detail = title, question, yes, no, detail

    def compose(self) -> ComposeResult:
        """The question, then the two answers with their keys."""
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line(self._title)
            yield Static(safe.block(self._question), classes="question")
            if self._detail:
                yield Static(safe.block(self._detail), classes="hint")
            with Horizontal(classes="buttons"):
                yield Button(safe.line(f"n  {self._no}"), id="no", compact=True)
                yield Button(safe.line(f"y  {self._yes}"), id="yes", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Put the focus on the answer that changes nothing."""
        self.query_one("#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by button."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer by key."""
        self.dismiss(yes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer of ``ChooseModal``: its key, its name, and what it means."""

    key: str
    value: str
    label: str
    meaning: str = ""


class ChooseModal(ClaifModal[str]):
    """One of a few answers, each with its own key; walking away gives ``""``."""

    nothing = ""
    BINDINGS = [
        Binding("down,j", "app.focus_next", "Next", show=False, id="choose.next"),
        Binding("up,k", "app.focus_previous", "Previous", show=False, id="choose.previous"),
    ]

    def __init__(self, title: str, question: str, choices: list[Choice]) -> None:
        super().__init__()
        self._title, self._question, self._choices = title, question, choices
        for choice in choices:
            self._bindings.bind(choice.key, f"choose('{choice.value}')", choice.label)

    def compose(self) -> ComposeResult:
        """The question and one button per answer."""
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line(self._title)
            yield Static(safe.block(self._question), classes="question")
            for choice in self._choices:
                label = safe.join(
                    (f"{choice.key}  {choice.label}", "bold"), f"   {choice.meaning}" if choice.meaning else ""
                )
                yield Button(label, name=choice.value, classes="choice", compact=True)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Focus the first answer."""
        self.query(Button).first().focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by button."""
        self.dismiss(event.button.name or "")

    def action_choose(self, value: str) -> None:
        """Answer by key."""
        self.dismiss(value)


class TextModal(ClaifModal[None]):
    """A text to read and to copy: an error, a diff, a raw answer, dropped rows."""

    BINDINGS = [
        Binding("y", "copy", "Copy", id="text.copy"),
        Binding("q,enter", "walk_away", "Close", show=False, id="text.close"),
        Binding("j", "scroll(1)", "Down", show=False, id="text.down"),
        Binding("k", "scroll(-1)", "Up", show=False, id="text.up"),
        Binding("ctrl+d", "scroll(10)", "Page down", show=False, id="text.pagedown"),
        Binding("ctrl+u", "scroll(-10)", "Page up", show=False, id="text.pageup"),
    ]

    def __init__(
        self, title: str, content: Content, *, plain: str, what: str = "the text", wide: bool = False
    ) -> None:
        super().__init__()
        self._title, self._content, self._plain, self._what = title, content, plain, what
        self._wide = wide

    def compose(self) -> ComposeResult:
        """The text in a box that scrolls."""
        with VerticalScroll(classes="dialog reading", can_focus=True) as box:
            box.set_class(self._wide, "-wide-box")
            box.border_title = safe.line(self._title)
            yield Static(self._content)
        yield Footer(show_command_palette=False)

    def action_copy(self) -> None:
        """Copy the whole text."""
        self.shell.copy(self._plain, self._what)

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


class ErrorModal(TextModal):
    """What went wrong, where, and what to do; nothing in it is a traceback unless the fault is ours."""

    def __init__(self, error: BaseException) -> None:
        title, content, plain = describe(error)
        super().__init__(f"✗ {title}", content, plain=plain, what="the error")
        self.add_class("error")


class InputModal(ClaifModal[str]):
    """One line of text; enter accepts when ``check`` finds nothing wrong, escape gives ``""``."""

    nothing = ""

    def __init__(
        self, title: str, *, value: str = "", placeholder: str = "", hint: str = "", password: bool = False
    ) -> None:
        super().__init__()
        self._title, self._value, self._placeholder, self._hint = title, value, placeholder, hint
        self._password = password

    def compose(self) -> ComposeResult:
        """A field, its hint, and room for what is wrong with it."""
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line(self._title)
            yield Input(
                safe.plain(self._value), placeholder=safe.plain(self._placeholder), password=self._password
            )
            yield Static(safe.block(self._hint), classes="hint")
            yield Static("", classes="problem", markup=False)
        yield Footer(show_command_palette=False)

    def check(self, value: str) -> str:
        """Say what is wrong with ``value``; empty when nothing is."""
        return ""

    def on_input_changed(self) -> None:
        """A complaint goes away as soon as the text changes."""
        self.query_one(".problem", Static).update(Content(""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept, or say why not."""
        event.stop()
        problem = self.check(event.value)
        if problem:
            self.query_one(".problem", Static).update(safe.line(f"✗ {problem}", "$text-error"))
        else:
            self.dismiss(event.value)


def describe(error: BaseException) -> tuple[str, Content, str]:
    """Return (title, what to show, what to copy) for an error."""
    if isinstance(error, ClaifError):
        rows: list[safe.Part] = [safe.block(error.message)]
        if error.hint:
            rows += ["", safe.join(("What to do: ", "bold"), safe.block(error.hint))]
        plain = f"{error.title}: {error.message}" + (f"\n{error.hint}" if error.hint else "")
        return error.title, safe.lines(*rows), plain
    trace = "".join(traceback.format_exception(error))
    shown = safe.lines(
        ("This is a fault of claif-tui, not yours. What was decided or paid for is on disk.", "bold"),
        "",
        safe.block(f"{type(error).__name__}: {error}", limit=2_000),
        "",
        ("y copies the details for a bug report.", "$text-muted"),
    )
    return "Unexpected error", shown, trace
