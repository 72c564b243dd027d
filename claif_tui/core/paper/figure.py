"""Figure 2 as SVG: the scores at each mask rate as small histograms. Greys and lines only, so it prints in black."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

BINS = 10
_COLUMNS, _WIDTH, _HEIGHT = 3, 220, 120
_LEFT, _TOP, _GAP_X, _GAP_Y, _BELOW = 56, 42, 34, 58, 52
_FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The scores at one mask rate (None: pairs that have none): counts of ``BINS`` equal bins of 0..1, n, mean."""

    rate: float | None
    counts: tuple[int, ...]
    n: int
    mean: float

    @property
    def title(self) -> str:
        """What stands above it."""
        rate = "no mask rate" if self.rate is None else f"mask rate {self.rate:g}"
        return f"{rate} (n = {self.n:,}, mean {self.mean:.2f})"


def svg(panels: Sequence[Panel], about: str, mark: str = "") -> str:
    """Draw the panels in rows of three, all with one scale: the share of the pairs at that rate, in percent.

    ``about`` is for those who cannot see it; ``mark`` is a line below the picture.
    """
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // _COLUMNS)
    width = _LEFT + columns * (_WIDTH + _GAP_X)
    height = _TOP + lines * (_HEIGHT + _GAP_Y) + _BELOW - _GAP_Y + 20
    top = max(max(panel.counts) / panel.n for panel in panels)
    top = next(step for step in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if top <= step + 1e-9)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' role='img'>",
        "<title>Similarity scores at each mask rate</title>",
        f"<desc>{escape(about)}</desc>",
        f"<rect width='{width}' height='{height}' fill='white'/>",
    ]
    for number, panel in enumerate(panels):
        x = _LEFT + number % _COLUMNS * (_WIDTH + _GAP_X)
        y = _TOP + number // _COLUMNS * (_HEIGHT + _GAP_Y)
        lowest = number + _COLUMNS >= len(panels)
        parts += _panel(panel, x, y, top, first=number % _COLUMNS == 0, lowest=lowest)
    parts += [_text(width / 2, height - 4, mark, 11)] if mark else []
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, x: int, y: int, top: float, *, first: bool, lowest: bool) -> list[str]:
    bottom, step = y + _HEIGHT, _WIDTH / BINS
    found = [_text(x + _WIDTH / 2, y - 10, panel.title, 11)]
    for share in (top / 2, top):
        at = bottom - share / top * _HEIGHT
        found.append(f"<path d='M{x} {at:.1f}H{x + _WIDTH}' stroke='#ccc' stroke-width='0.7'/>")
    for share in (0.0, top / 2, top) if first else ():
        found.append(_text(x - 6, bottom - share / top * _HEIGHT + 4, f"{share * 100:g}", 11, "end"))
    for index, count in enumerate(panel.counts):
        if count:
            tall = count / panel.n / top * _HEIGHT
            found.append(
                f"<rect x='{x + index * step + 1:.1f}' y='{bottom - tall:.1f}' width='{step - 2:.1f}' "
                f"height='{tall:.1f}' fill='#777' stroke='black' stroke-width='0.7'/>"
            )
    mean = x + panel.mean * _WIDTH
    found += [
        f"<path d='M{mean:.1f} {y}V{bottom}' stroke='white' stroke-width='3.4'/>",
        f"<path d='M{mean:.1f} {y}V{bottom}' stroke='black' stroke-width='1.4' stroke-dasharray='4 3'/>",
        f"<path d='M{x} {y}V{bottom}H{x + _WIDTH}' fill='none' stroke='black'/>",
    ]
    for score in (0.0, 0.5, 1.0):
        at = x + score * _WIDTH
        found.append(f"<path d='M{at:.1f} {bottom}v4' stroke='black'/>")
        found.append(_text(at, bottom + 16, f"{score:g}", 11))
    if lowest:
        found.append(_text(x + _WIDTH / 2, bottom + 32, "score (dashed: mean)", 11))
    if first:
        found.append(
            f"<text {_FONT} font-size='11' text-anchor='middle' "
            f"transform='translate({x - 36} {y + _HEIGHT / 2:.1f}) rotate(-90)'>% of pairs</text>"
        )
    return found


def _text(x: float, y: float, text: str, size: int, anchor: str = "middle") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {_FONT} font-size='{size}' text-anchor='{anchor}'>{escape(text)}</text>"
    )
