"""A scrolling view that draws line by line from cells: harmless text, component styles, exact widths. No data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from claif_tui.core.text import display_text
from claif_tui.ui.widgets.row_source import Cell, fit


class LineView(ScrollView):
    """Draws lines of cells. A cell's text is made harmless and cut here, whatever it comes from."""

    CURSOR: ClassVar[str] = "row-list--cursor"
    """The component class of the line under the cursor."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._cell_styles: dict[tuple[str, bool], Style] = {}

    @property
    def lines_in_view(self) -> int:
        """How many lines can be seen, at least one."""
        return max(1, self.scrollable_content_region.height)

    def notify_style_update(self) -> None:
        """Forget styles that came from the old theme."""
        super().notify_style_update()
        self._cell_styles.clear()

    def watch_has_focus(self, value: bool) -> None:
        """Draw the cursor in its focused or blurred style."""
        self._cell_styles.clear()
        super().watch_has_focus(value)

    def strip(self, cells: Sequence[Cell], width: int, at_cursor: bool = False) -> Strip:
        """Return one line of exactly ``width`` cells."""
        segments: list[Segment] = []
        used = 0
        for text, name in cells:
            if used >= width:
                break
            safe = display_text(text[: 4 * width + 400], one_line=True)
            size = cell_len(safe)
            if used + size > width:
                safe, size = fit(safe, width - used), width - used
            segments.append(Segment(safe, self._cell_style(name, at_cursor)))
            used += size
        if used < width:
            segments.append(Segment(" " * (width - used), self._cell_style("", at_cursor)))
        return Strip(segments, width)

    def _cell_style(self, name: str, at_cursor: bool) -> Style:
        key = (name, at_cursor)
        style = self._cell_styles.get(key)
        if style is None:
            style = self.get_component_rich_style(self.CURSOR) if at_cursor else self.rich_style
            if name:
                style = style + self.get_component_rich_style(name, partial=True)
            self._cell_styles[key] = style
        return style
