"""The scores at each mask rate as small histograms (the paper's figure 2): numbers in, picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from claif_tui.ui import safe

BINS = 10
"""Bins of the counts that come in: 0.0-0.1, …, 0.9-1.0."""
_BLOCKS = " ▁▂▃▄▅▆▇█"

Counts = Mapping[float | None, Sequence[int]]


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


class RateHistogram(Widget):
    """One histogram per mask rate, score 0 (left) to 1 (right), with the mean as a number below."""

    DEFAULT_CSS = """
    RateHistogram { height: 1fr; width: 1fr; }
    """

    counts: reactive[Counts] = reactive(dict)

    def render(self) -> Content:
        """Draw what fits: fewer bins when narrow, lower bars when short, fewer rates before nothing."""
        rates = sorted(rate for rate in self.counts if rate is not None and any(self.counts[rate]))
        width, height = self.size.width, self.size.height
        if not rates or height < 2:
            return safe.line("No scores yet." if height else "", "$text-muted")
        roomy = width >= len(rates) * (BINS + 2) - 2
        cells = BINS if roomy else BINS // 2
        shown = rates[: max(1, (width + 2) // (cells + 2))]
        bins = {rate: list(self.counts[rate]) if roomy else halved(self.counts[rate]) for rate in shown}
        labels = 2 if height >= 3 else 1
        drawn = [bars(bins[rate], max(1, height - labels)) for rate in shown]
        rows: list[safe.Part] = [("  ".join(columns), "$text-primary") for columns in zip(*drawn, strict=True)]
        means = [mean_score(self.counts[rate]) for rate in shown]
        if labels == 2:
            rows.append(("  ".join(f"{'' if m is None else f'ø {m:.2f}':<{cells}}" for m in means), ""))
            rows.append(("  ".join(f"{f'at {rate:.1f}':<{cells}}" for rate in shown), "$text-muted"))
        else:
            rows.append(("  ".join(f"{rate:<{cells}.1f}" for rate in shown), "$text-muted"))
        return safe.lines(*rows)
