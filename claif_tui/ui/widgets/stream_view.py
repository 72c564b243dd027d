"""The answers as they stream in: the newest few, one line each, drawn from a ring that a run fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from claif_tui.core.text import display_text
from claif_tui.ui.widgets.row_source import fit


@dataclass(slots=True)
class Streaming:
    """One answer under way: what is asked about, what has come so far, whether it is thought or scored."""

    key: str
    stage: str
    title: str
    asked: str
    text: str = ""
    thinking: bool = False
    done: bool = False


def tail(text: str, width: int) -> str:
    """Return the end of ``text`` that fits into ``width`` cells."""
    text = text[-max(1, width) :]
    while text and cell_len(text) > width:
        text = text[1:]
    return text


class StreamView(Widget):
    """The newest streaming answers. `show` replaces them; only lines that changed are drawn again."""

    COMPONENT_CLASSES = {"stream-view--dim", "stream-view--cursor", "stream-view--done"}
    DEFAULT_CSS = """
    StreamView {
        height: 1fr; width: 1fr;
        & > .stream-view--dim { color: $text-muted; }
        & > .stream-view--cursor { color: $primary; }
        & > .stream-view--done { color: $text-success; }
    }
    """

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.empty = empty
        self._lines: list[tuple[str, str, str, str]] = []

    def show(self, streams: Sequence[Streaming]) -> None:
        """Show these answers in their order; where there is no room for all, ended ones make way."""
        height = max(1, self.size.height)
        if len(streams) > height:
            live = [stream for stream in streams if not stream.done]
            kept = {id(stream) for stream in [*live, *(stream for stream in streams if stream.done)][:height]}
            streams = [stream for stream in streams if id(stream) in kept]
        lines = [self._line(stream) for stream in streams]
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def _line(self, stream: Streaming) -> tuple[str, str, str, str]:
        """Return (label, what is asked, answer so far, end mark)."""
        rate = stream.title if stream.title[:1].isdigit() else ""
        if stream.stage == "score":
            label = f"{rate} score".strip()
        else:
            label = f"{rate} fill" if rate else stream.title or stream.stage
        label = fit(label, 9)
        end = " ✓" if stream.done else "▌"
        text = "thinking … " + stream.text if stream.thinking else stream.text
        return label, stream.asked, text, end

    def render_line(self, y: int) -> Strip:
        """Draw one answer: its label, then the answer; while nothing has come, what was asked, dimmed."""
        width = self.size.width
        plain = self.rich_style
        dim = self.get_component_rich_style("stream-view--dim")
        if y >= len(self._lines):
            text = self.empty if y == 0 and not self._lines else ""
            return Strip([Segment(fit(text, width), dim)], width)
        label, asked, text, end = self._lines[y]
        mark = self.get_component_rich_style(
            "stream-view--done" if end.endswith("✓") else "stream-view--cursor"
        )
        head = f"{label:<10}"
        room = max(0, width - len(head) - len(end))
        shown = tail(display_text(text[-4_000:], one_line=True).lstrip(), room)
        segments = [Segment(head, dim), Segment(shown, plain), Segment(end, mark)]
        left = room - cell_len(shown)
        if left > 12 and asked:
            segments.append(Segment(fit("  ← " + display_text(asked[:2_000], one_line=True), left), dim))
        else:
            segments.append(Segment(" " * left, plain))
        return Strip(segments).adjust_cell_length(width, plain)
