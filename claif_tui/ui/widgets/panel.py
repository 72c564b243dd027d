"""A titled frame whose title can change at every key: only the border's own line is painted again. No content."""

from __future__ import annotations

from typing import Self

from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region


class Panel(Vertical):
    """A frame round widgets. `retitle` and `subtitle` change its texts; setting the attributes repaints it whole."""

    _painting: int | None = None
    """The line of the frame that a change of title is about, None otherwise."""
    _titles: tuple[Content | None, Content | None] = (None, None)

    def retitle(self, title: Content) -> None:
        """Write the title in the upper border; nothing happens if it looks as it did."""
        if not _alike(self._titles[0], title):
            self._titles = (title, self._titles[1])
            self._painting = 0
            try:
                self.border_title = title
            finally:
                self._painting = None

    def subtitle(self, subtitle: Content) -> None:
        """Write the subtitle in the lower border; nothing happens if it looks as it did."""
        if not _alike(self._titles[1], subtitle):
            self._titles = (self._titles[0], subtitle)
            self._painting = self.outer_size.height - 1
            try:
                self.border_subtitle = subtitle
            finally:
                self._painting = None

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Paint again: all of it, or while a title is being set the line that shows it."""
        if self._painting is not None and self.outer_size:
            line = Region(0, self._painting, self.outer_size.width, 1)
            regions = (line.translate((-self.content_offset.x, -self.content_offset.y)),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


def _alike(before: Content | None, now: Content) -> bool:
    """Whether two titles are painted alike; equality of contents looks at their text alone."""
    return before is not None and before.plain == now.plain and before.spans == now.spans
