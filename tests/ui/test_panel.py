"""The titled frame: a new title is seen, and costs one line of painting, not the frame's whole content."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.content import Content
from textual.strip import Strip
from textual.widgets import Static

from claif_tui.ui import safe
from claif_tui.ui.widgets.panel import Panel


class Counting(Panel):
    """Counts the lines that are painted anew between its borders."""

    DEFAULT_CSS = "Counting { border: round $primary; height: 10; }"
    painted = 0

    def render_line(self, y: int) -> Strip:
        self.painted += 1
        return super().render_line(y)


class Framed(App[None]):
    """A frame alone."""

    def compose(self) -> ComposeResult:
        with Counting():
            yield Static("inside")


def seen(app: Framed) -> list[str]:
    """The lines of the terminal."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


async def test_titles_are_seen_at_once_and_paint_one_line() -> None:
    app = Framed()
    async with app.run_test(size=(40, 12)) as pilot:
        panel = app.query_one(Counting)
        panel.retitle(safe.line("first"))
        panel.subtitle(safe.line("below"))
        await pilot.pause()
        panel.painted = 0
        panel.retitle(safe.line("second [b]"))
        panel.subtitle(safe.line("beneath"))
        await pilot.pause()
        lines = seen(app)
        assert "second [b]" in lines[0] and "first" not in lines[0]
        assert "beneath" in lines[9]
        assert "inside" in lines[1]
        assert panel.painted == 0
        panel.border_title = "the slow way"
        await pilot.pause()
        assert panel.painted == 8, "what this widget is for"


async def test_a_title_in_another_colour_is_painted_and_the_same_is_not() -> None:
    app = Framed()
    async with app.run_test(size=(40, 12)) as pilot:
        panel = app.query_one(Counting)
        panel.retitle(Content.styled("● pending", "red"))
        await pilot.pause()
        panel.retitle(Content.styled("● pending", "red"))
        assert not panel._repaint_regions
        panel.retitle(Content.styled("● pending", "green"))
        assert panel._repaint_regions
