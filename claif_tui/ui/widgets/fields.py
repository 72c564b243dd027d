"""Form fields: a label, an editor, and room under it for what is wrong. They hold text; meaning is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalGroup
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from claif_tui.ui import safe


class Picker(Widget, can_focus=True):
    """One of a few values: left and right (or space) go through them, the first letter jumps."""

    BINDINGS = [
        Binding("right,space,l,enter", "step(1)", "Next value", show=False, id="picker.next"),
        Binding("left,h", "step(-1)", "Previous value", show=False, id="picker.previous"),
    ]
    DEFAULT_CSS = """
    Picker {
        height: 1; width: 1fr; color: $foreground; text-wrap: nowrap; text-overflow: ellipsis;
        &:focus { background: $block-cursor-background; color: $block-cursor-foreground; }
        &:nocolor:focus { text-style: reverse; }
    }
    """
    value: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """The user picked another value."""

        picker: Picker
        value: str

    def __init__(self, options: Sequence[str], value: str = "") -> None:
        super().__init__()
        self.options: tuple[str, ...] = tuple(options)
        self.set_reactive(Picker.value, value)

    def render(self) -> Content:
        """The value between arrows."""
        return safe.join(("◂ ", "$text-muted"), self.value or "-", (" ▸", "$text-muted"))

    def action_step(self, by: int) -> None:
        """Go to the next or previous value."""
        if not self.options:
            return
        at = self.options.index(self.value) if self.value in self.options else -1
        self._pick(self.options[(at + by) % len(self.options)])

    def on_click(self) -> None:
        """A click goes to the next value."""
        self.action_step(1)

    def _pick(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(self, value))


class FormInput(Input):
    """A one-line editor that lets up and down move between fields."""

    BINDINGS = [
        Binding("down", "app.focus_next", "Next field", show=False, id="form.next"),
        Binding("up", "app.focus_previous", "Previous field", show=False, id="form.previous"),
    ]

    async def action_submit(self) -> None:
        """Enter goes on to the next field."""
        self.app.action_focus_next()


class Field(VerticalGroup):
    """A labelled editor. ``key`` names what it edits; ``Edited`` carries the text as it stands."""

    DEFAULT_CSS = """
    Field {
        width: 1fr; height: auto;
        & > Horizontal { height: auto; }
        .label { width: 14; color: $text-muted; height: 1; }
        &:focus-within .label { color: $text-primary; text-style: bold; }
        &.-long .label { width: 1fr; }
        .below { height: auto; padding-left: 2; display: none; }
        &.-long .below { padding-left: 0; }
        &.-problem .below, &.-note .below { display: block; }
        &.-problem .below { color: $text-error; }
        &.-note .below { color: $text-muted; }
        Input { width: 1fr; background: $surface; padding: 0; height: 1; border: none; }
        Input:focus { background: $panel; }
        Input:nocolor:focus { text-style: underline; }
        TextArea { height: auto; min-height: 1; max-height: 8; border: none; padding: 0; background: $surface; }
        TextArea:focus { background: $panel; border: none; }
    }
    """

    @dataclass
    class Edited(Message):
        """The text of a field changed by hand."""

        field: Field
        key: str
        text: str

    def __init__(
        self,
        key: str,
        label: str,
        *,
        options: Sequence[str] | None = None,
        long: bool = False,
        placeholder: str = "",
    ) -> None:
        super().__init__()
        self.key = key
        self._label = label
        self._editor: Picker | FormInput | TextArea
        if options is not None:
            self._editor = Picker(options)
        elif long:
            self._editor = TextArea(
                "", soft_wrap=True, tab_behavior="focus", compact=True, highlight_cursor_line=False
            )
            self.add_class("-long")
        else:
            self._editor = FormInput("", placeholder=placeholder, compact=True, select_on_focus=False)
        self._below = Static("", classes="below", markup=False)

    def compose(self) -> ComposeResult:
        """Label beside the editor, above it for long texts."""
        label = Static(safe.line(self._label), classes="label")
        if isinstance(self._editor, TextArea):
            yield label
            yield self._editor
        else:
            with Horizontal():
                yield label
                yield self._editor
        yield self._below

    @property
    def text(self) -> str:
        """What stands in the editor."""
        if isinstance(self._editor, TextArea):
            return self._editor.text
        return self._editor.value

    def show(self, text: str) -> None:
        """Put a text in without reporting it as an edit; the cursor stays when nothing changes."""
        if text == self.text:
            return
        with self.prevent(Input.Changed, TextArea.Changed, Picker.Changed):
            if isinstance(self._editor, TextArea):
                self._editor.load_text(text)
            else:
                self._editor.value = text

    def set_options(self, options: Sequence[str]) -> None:
        """Give a picker other values."""
        if isinstance(self._editor, Picker):
            self._editor.options = tuple(options)

    def relabel(self, label: str) -> None:
        """Change the label."""
        self._label = label
        self.query_one(".label", Static).update(safe.line(label))

    def problem(self, text: str) -> None:
        """Show what is wrong with the text; empty takes it away."""
        self.set_class(bool(text), "-problem")
        if text:
            self._below.update(safe.line(f"✗ {text}"))

    def note(self, text: str) -> None:
        """Show a remark under the field; empty takes it away."""
        self.set_class(bool(text), "-note")
        if text and not self.has_class("-problem"):
            self._below.update(safe.line(text))

    def focus_editor(self) -> None:
        """Put the cursor into the editor."""
        self._editor.focus()

    @on(Input.Changed)
    def _input(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self, self.key, event.value))

    @on(TextArea.Changed)
    def _area(self, event: TextArea.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self, self.key, event.text_area.text))

    @on(Picker.Changed)
    def _picked(self, event: Picker.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self, self.key, event.value))

    def on_click(self, event: events.Click) -> None:
        """A click on the label goes into the editor."""
        if event.widget is not self._editor:
            self._editor.focus()
