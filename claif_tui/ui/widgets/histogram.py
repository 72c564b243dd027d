"""Scores as small histograms, one a group (the paper's figure 2: one a mask rate): numbers in, picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from claif_tui.ui import safe

BINS = 10
"""Bins of the counts that come in: 0.0-0.1, …, 0.9-1.0."""
_BLOCKS = " ▁▂▃▄▅▆▇█"

Counts = Mapping[str, Sequence[int]]
"""By the name of a group, in the order in which they are drawn."""


def mean_score(bins: Sequence[int]) -> float | None:
    """Return the mean of binned scores, taking each at the middle of its bin; None without scores."""
    total = sum(bins)
    if not total:
        return None
    return sum(count * (index + 0.5) / len(bins) for index, count in enumerate(bins)) / total


def bars(bins: Sequence[int], height: int) -> list[str]:
    """Return ``height`` lines, top first, that show ``bins`` as columns; any count above 0 can be seen."""
    top = max(bins, default=0)
    units = [0 if not count else max(1, round(count / top * height * 8)) for count in bins]
    return [
        "".join(_BLOCKS[max(0, min(8, unit - 8 * level))] for unit in units)
        for level in range(height - 1, -1, -1)
    ]


def halved(bins: Sequence[int]) -> list[int]:
    """Return the bins in pairs, for a narrow terminal."""
    return [sum(bins[index : index + 2]) for index in range(0, len(bins), 2)]


class Histograms(Widget):
    """One histogram per group, score 0 (left) to the end of the scale (right), with a number below.

    The number is the mean on the scale 0 to ``top``; where ``counted``, how many there are.
    """

    DEFAULT_CSS = """
    Histograms { height: 1fr; width: 1fr; }
    """

    counts: reactive[Counts] = reactive(dict)
    top: reactive[float] = reactive(1.0)
    counted: reactive[bool] = reactive(False)
    without: reactive[str] = reactive("")
    """What to say instead, where there are no scores at all."""

    def render(self) -> Content:
        """Draw what fits: fewer bins when narrow, lower bars when short, fewer groups before nothing."""
        groups = [name for name, bins in self.counts.items() if any(bins)]
        width, height = self.size.width, self.size.height
        if self.without or not groups or height < 2:
            words = self.without or "No scores yet."
            return safe.line(words if height else "", "$text-muted")
        roomy = width >= len(groups) * (BINS + 2) - 2
        cells = BINS if roomy else BINS // 2
        shown = groups[: max(1, (width + 2) // (cells + 2))]
        bins = {name: list(self.counts[name]) if roomy else halved(self.counts[name]) for name in shown}
        labels = 2 if height >= 3 else 1
        drawn = [bars(bins[name], max(1, height - labels)) for name in shown]
        rows: list[safe.Part] = [("  ".join(columns), "$text-primary") for columns in zip(*drawn, strict=True)]
        if labels == 2:
            rows.append((_columns([self._number(name) for name in shown], cells), ""))
        names = [f"at {name}" if labels == 2 and name[:1].isdigit() else name for name in shown]
        rows.append((_columns(names, cells), "$text-muted"))
        return safe.lines(*rows)

    def _number(self, name: str) -> str:
        if self.counted:
            return f"n {sum(self.counts[name])}"
        mean = mean_score(self.counts[name])
        return "" if mean is None else f"ø {mean * self.top:.{1 if self.top > 1 else 2}f}"


def _columns(words: Sequence[str], cells: int) -> str:
    """Words under columns of ``cells`` that stand two apart; each may take one cell of the gap."""
    return "".join(f"{word[: cells + 1]:<{cells + 2}}" for word in words).rstrip()
