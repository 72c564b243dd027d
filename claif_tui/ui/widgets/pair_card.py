"""The card of one pair or triplet: its texts with their word diff, score, reason, where it comes from; edited in place.

It shows what it is given and says what was typed; it decides nothing and reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static, TextArea

from claif_tui.core.models import Pair
from claif_tui.core.text import display_text
from claif_tui.ui import safe
from claif_tui.ui.widgets.pair_list import STATUS_LOOK, status_words
from claif_tui.ui.widgets.pair_sides import (
    TEXT_LIMIT,
    SideName,
    columns,
    field,
    score_rows,
    side_rows,
    sides_of,
)


def status_line(pair: Pair) -> Content:
    """Return glyph + word + colour of everything the pair is: ``✓ accepted  ! stale``."""
    parts: list[safe.Part] = []
    for word in status_words(pair):
        glyph, style = STATUS_LOOK[word]
        parts.append((f"{glyph} {word}", style))
    parts += [(f"⚑ {flag}", "$text-warning") for flag in pair.flags]
    return safe.join(*parts, separator="  ")


def origin_lines(pair: Pair) -> list[Content]:
    """Return where the pair comes from in one or two lines; ``l`` shows all of it."""
    first = [pair.system]
    if pair.rate is not None:
        first.append(f"rate {pair.rate:.1f}")
    if pair.masked:
        first.append(pair.masked + (" (merged)" if pair.merged else ""))
    second = [part for part in (pair.model, f"recipe {pair.recipe_id}" if pair.recipe_id else "") if part]
    if pair.source_id is not None:
        second.append(f"source {pair.source_id}")
    if pair.split != "train":
        second.append(f"split {pair.split}")
    return [safe.line(" · ".join(parts), "$text-muted", limit=TEXT_LIMIT) for parts in (first, second) if parts]


COLUMNS_FROM = 100
"""From this width of the terminal on the three texts of a triplet stand beside each other."""


class EditArea(TextArea):
    """The text of one side while it is edited: enter saves, escape cancels, everything else is text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "save", "Save", id="edit.save", tooltip="Save the edit; the score turns stale", priority=True),
        Binding("escape", "cancel", "Cancel", id="edit.cancel", tooltip="Leave the text as it was", priority=True),
    ]  # fmt: skip

    @dataclass
    class Saved(Message):
        """Enter was pressed; ``changed`` is False when the text is as it was (as it was shown)."""

        text: str
        changed: bool

    _shown = ""
    """The text as it was shown at the start: the stored one, made harmless."""

    @dataclass
    class Cancelled(Message):
        """Escape was pressed."""

    def start(self, text: str) -> None:
        """Show ``text`` with the cursor at its end."""
        self._shown = text
        self.load_text(text)
        self.move_cursor(self.document.end)

    @property
    def changed(self) -> bool:
        """Whether something was typed that made a difference."""
        return self.text != self._shown

    def action_save(self) -> None:
        """Say that the text is to be saved, once what was typed before it is in: a priority key overtakes letters."""
        self.call_later(lambda: self.post_message(self.Saved(self.text, self.changed)))

    def action_cancel(self) -> None:
        """Say that nothing is to change."""
        self.post_message(self.Cancelled())


class PairCard(VerticalScroll):
    """One pair. `show` displays it, `edit` opens one of its texts for typing."""

    can_focus = False
    DEFAULT_CSS = """
    PairCard {
        height: 1fr; width: 1fr;
        & > Static { width: 1fr; height: auto; }
        & > #card-top { min-height: 100%; }
        & > #card-rest { display: none; }
        &.-editing > #card-top { min-height: 1; }
        &.-editing > #card-rest { display: block; }
        & > #card-edit { height: auto; display: none; }
        & #card-edit-label { width: 11; height: 1; color: $text-primary; }
        & EditArea { width: 1fr; height: auto; min-height: 1; max-height: 8; }
        & EditArea { border: none; padding: 0; background: $panel; }
        & EditArea:focus { border: none; }
        &.-editing > #card-edit { display: block; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - the name every widget uses
        super().__init__(id=id)
        self.pair: Pair | None = None
        self.side: SideName = "text"
        """Which text is open for typing, or was last."""
        self._words = ""
        self._lines: dict[str, int] = {}

    def compose(self) -> ComposeResult:
        """What stands above the editor, the editor, and what stands below it."""
        yield Static("", id="card-top")
        with Horizontal(id="card-edit"):
            yield Static("edit ✎", id="card-edit-label")
            yield EditArea("", id="card-area", soft_wrap=True, tab_behavior="focus", show_line_numbers=False)
        yield Static("", id="card-rest")

    @property
    def editing(self) -> bool:
        """Whether the text is open for typing."""
        return self.has_class("-editing")

    def show(self, pair: Pair | None, words: str = "") -> None:
        """Show a pair, or ``words`` while there is none."""
        if pair is not self.pair:
            self.scroll_home(animate=False)
        self.pair, self._words = pair, words
        self._draw()

    def edit(self, side: SideName = "text") -> None:
        """Open the current text of one side for typing."""
        if self.pair is None:
            return
        text = self.pair.text_b if side == "text" else self.pair.hard_negative
        self.side = side
        area = self.query_one(EditArea)
        area.start(display_text(text or ""))
        self.query_one("#card-edit-label", Static).update(self._edit_label())
        self.add_class("-editing")
        area.focus()
        self._draw()

    def _edit_label(self) -> str:
        if self.pair is None or self.pair.hard_negative is None:
            return "edit ✎"
        return "positive ✎" if self.side == "text" else "negative ✎"

    def end_edit(self) -> None:
        """Close the editor."""
        self.remove_class("-editing")
        self.screen.set_focus(None)
        self._draw()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """The diff follows what is typed."""
        event.stop()
        if self.editing:
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap again; a text that was hidden while being typed gets its cursor back."""
        self._draw()
        if self.editing:
            self.call_after_refresh(self.query_one(EditArea).focus)

    def _draw(self) -> None:
        """Write the texts; a layout, which would paint the whole screen, only where heights change."""
        top, rest = self.query_one("#card-top", Static), self.query_one("#card-rest", Static)
        region = self.scrollable_content_region
        width = region.width or self.size.width
        pair = self.pair
        if pair is None:
            self._put(top, safe.block(self._words, "$text-muted"), region.height)
            return
        typed = self._typed()
        anchor, sides = sides_of(pair, typed)
        stale = pair.stale or any(side.stale for side in sides)
        beside = len(sides) > 1 and self.app.size.width >= COLUMNS_FROM and not self.editing
        if beside:
            above = columns(anchor, sides, width)
        else:
            above = [field("seed" if len(sides) == 1 else "anchor", anchor, width)]
            above += [row for side in sides if not self.editing for row in side_rows(side, side.label, width)]
        scores = [*score_rows(pair, sides, width, beside=beside), *self._about(pair, stale, width)]
        below = [*([Content("")] if scores else []), *scores, Content(""), *self._origin(pair, width)]
        if not self.editing:
            self._put(top, safe.lines(*above, *below), region.height)
            return
        # The side being typed stands where it is read: after those before it, its diff under the field.
        at = next((index for index, side in enumerate(sides) if side.name == self.side), 0)
        above += [row for side in sides[:at] for row in side_rows(side, side.label, width)]
        others = [row for side in sides[at + 1 :] for row in side_rows(side, side.label, width)]
        self._put(top, safe.lines(*above), 0)
        self._put(rest, safe.lines(*side_rows(sides[at], "", width), *others, *below), 0)

    def _typed(self) -> dict[SideName, str]:
        """The text that is being typed, by its side; empty while it is as it was."""
        area = self.query_one(EditArea)
        return {self.side: area.text} if self.editing and area.changed else {}

    def _put(self, where: Static, content: Content, room: int) -> None:
        """Update a text; without a layout if it fitted into ``room`` lines before and does so now."""
        lines = content.plain.count("\n") + 1
        fits = lines <= room and self._lines.get(where.id or "", 0) <= room
        self._lines[where.id or ""] = lines
        where.update(content, layout=not fits)

    @staticmethod
    def _about(pair: Pair, stale: bool, width: int) -> list[Content]:
        """What there is to say of the scores and of the answer."""
        rows: list[Content] = []
        if stale:
            sets = "one" if pair.hard_negative is None else "both"
            hint = f"it was given to another text: s asks again, = sets {sets}"
            rows.append(field("", safe.line(hint, "$text-muted"), width))
        if pair.reason:
            rows.append(field("reason", safe.block(pair.reason, limit=TEXT_LIMIT), width))
        if pair.answer_class != "ok":
            rows.append(
                field("class", safe.line(f"! {pair.answer_class.replace('_', ' ')}", "$text-warning"), width)
            )
            if not pair.edited:
                off = pair.answer_class == "off_label"
                why = "its score contradicts the label it was made for" if off else "no score was asked for"
                keys = "e" if pair.hard_negative is None else "e or E"
                hint = f"{why}, and exports drop it; {keys} mends it"
                rows.append(field("", safe.line(hint, "$text-muted"), width))
        return rows

    @staticmethod
    def _origin(pair: Pair, width: int) -> list[Content]:
        """A rule that names the keys for more, and where the pair comes from."""
        rule = " where it comes from "
        keys = " l more" if pair.hard_negative is None else " e positive · E negative · l more"
        line = f"──{rule}{'─' * max(0, width - len(rule) - len(keys) - 3)}{keys}"
        return [
            safe.line(line, "$text-muted"),
            *(
                row.truncate(width, ellipsis=True) if index else row
                for index, row in enumerate(origin_lines(pair))
            ),
        ]
