"""The card of one pair: both texts with their word diff, score, reason, where it comes from; edited in place.

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
from claif_tui.ui.widgets.pair_text import diffed

LABEL = 11
"""Cells of the label column."""
_TEXT_LIMIT = 4_000
"""Characters of one sentence that the card lays out; the rest is counted."""


def status_line(pair: Pair) -> Content:
    """Return glyph + word + colour of everything the pair is: ``✓ accepted  ! stale``."""
    parts: list[safe.Part] = []
    for word in status_words(pair):
        glyph, style = STATUS_LOOK[word]
        parts.append((f"{glyph} {word}", style))
    parts += [(f"⚑ {flag}", "$text-warning") for flag in pair.flags]
    return safe.join(*parts, separator="  ")


def field(
    label: str, value: Content, width: int, style: str = "$text-muted", *, label_width: int = LABEL
) -> Content:
    """Return a label and its value, the value wrapped beside the label."""
    rows = value.wrap(max(10, width - label_width)) or [Content("")]
    first = safe.join((f"{label:<{label_width}}", style), rows[0].rstrip())
    return safe.lines(first, *(safe.join(" " * label_width, row.rstrip()) for row in rows[1:]))


def score_bar(score: float | None, cells: int = 10) -> str:
    """Return a score as a bar."""
    full = 0 if score is None else round(max(0.0, min(1.0, score)) * cells)
    return "█" * full + "░" * (cells - full)


def score_line(pair: Pair, *, stale: bool) -> Content:
    """Return score, bar, encoder cosine and their distance; what is missing is said."""
    if pair.score is None:
        parts: list[safe.Part] = [("not scored", "$text-muted")]
        if stale:
            parts.append(("  ! stale", "$text-warning"))
    else:
        style = "$text-muted strike" if stale else "bold"
        parts = [
            (f"{pair.score:.2f}", style),
            "  ",
            (score_bar(pair.score), "$text-muted" if stale else "$text-primary"),
        ]
        if stale:
            parts.append(("  ! stale", "$text-warning"))
    if pair.encoder is not None:
        parts.append((f"   encoder {pair.encoder:.2f}", ""))
        if pair.score is not None:
            parts.append((f"  Δ {pair.score - pair.encoder:+.2f}", "$text-muted"))
    if pair.gold is not None:
        parts.append((f"   gold {pair.gold:.2f}", ""))
    return safe.join(*parts)


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
    return [
        safe.line(" · ".join(parts), "$text-muted", limit=_TEXT_LIMIT) for parts in (first, second) if parts
    ]


class EditArea(TextArea):
    """The generated text while it is edited: enter saves, escape cancels, everything else is text."""

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
    """One pair. `show` displays it, `edit` opens its generated text for typing."""

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

    def edit(self) -> None:
        """Open the current text for typing."""
        if self.pair is None:
            return
        area = self.query_one(EditArea)
        area.start(display_text(self.pair.text_b))
        self.add_class("-editing")
        area.focus()
        self._draw()

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
        area = self.query_one(EditArea)
        text_b = area.text if self.editing and area.changed else pair.text_b
        old, new = diffed(pair.text_a[:_TEXT_LIMIT], text_b[:_TEXT_LIMIT])
        seed = field("seed", old, width)
        below = self._rest(pair, text_b, new, width)
        if self.editing:
            self._put(top, seed, 0)
            self._put(rest, safe.lines(*below), 0)
        else:
            new_label = "edited" if pair.edited else "generated"
            self._put(top, safe.lines(seed, field(new_label, new, width), *below), region.height)

    def _put(self, where: Static, content: Content, room: int) -> None:
        """Update a text; without a layout if it fitted into ``room`` lines before and does so now."""
        lines = content.plain.count("\n") + 1
        fits = lines <= room and self._lines.get(where.id or "", 0) <= room
        self._lines[where.id or ""] = lines
        where.update(content, layout=not fits)

    def _rest(self, pair: Pair, text_b: str, new: Content, width: int) -> list[Content]:
        rows: list[Content] = []
        if self.editing:
            rows.append(field("", new, width))
        if pair.edited or text_b != pair.text_b:
            rows.append(field("was", safe.block(pair.generated, "$text-muted", limit=_TEXT_LIMIT), width))
        if pair.hard_negative:
            rows.append(field("negative", safe.block(pair.hard_negative, limit=_TEXT_LIMIT), width))
        stale = pair.stale or (self.editing and text_b != pair.text_b and pair.score is not None)
        rows += [Content(""), field("score", score_line(pair, stale=stale), width)]
        if stale:
            hint = "it was given to another text: s asks again, = sets one"
            rows.append(field("", safe.line(hint, "$text-muted"), width))
        if pair.reason:
            rows.append(field("reason", safe.block(pair.reason, limit=_TEXT_LIMIT), width))
        if pair.answer_class != "ok":
            rows.append(
                field("class", safe.line(f"! {pair.answer_class.replace('_', ' ')}", "$text-warning"), width)
            )
            if not pair.edited:
                hint = "no score was asked for, and exports drop it; e mends it"
                rows.append(field("", safe.line(hint, "$text-muted"), width))
        rule = " where it comes from "
        rows += [
            Content(""),
            safe.line(f"──{rule}{'─' * max(0, width - len(rule) - 10)} l more", "$text-muted"),
        ]
        rows += [
            row.truncate(width, ellipsis=True) if index else row for index, row in enumerate(origin_lines(pair))
        ]
        return rows
