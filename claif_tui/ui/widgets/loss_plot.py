"""The plot inside a ``LossChart``, the only module that imports textual-plot: absent that, a Sparkline stands in.

No text of a run comes here: labels are numbers, and names stand in the chart's own legend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import NumericAxisFormatter

from claif_tui.ui.widgets.downsample import Drawn

LEFT = 8
"""Cells for the labels of the values."""
MARGIN = 0.03
"""Room around the curves, as a share of each axis."""


class ValueFormatter(NumericAxisFormatter):
    """Ticks of an axis of values: no more than there is room for, small ones with an exponent."""

    def __init__(self, room: Callable[[], int]) -> None:
        """``room`` says, whenever ticks are drawn, how many labels may stand above each other."""
        super().__init__()
        self._room = room

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Return as many round numbers as there is room for."""
        return self._fitting(super().get_ticks(min_, max_, max_ticks))

    def _fitting(self, ticks: list[float]) -> list[float]:
        return ticks[:: max(1, math.ceil(len(ticks) / self._room()))]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Write few digits."""
        if any(0 < abs(tick) < 1e-3 for tick in ticks):
            return [f"{tick:.2g}" for tick in ticks]
        return super().get_labels_for_ticks(ticks)


class LogFormatter(ValueFormatter):
    """Ticks of an axis whose values are decimal logarithms: 1, 2 and 5 of each decade, or numbers between them."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Return the logarithms of round numbers in the range."""
        for steps in ((1, 2, 5), (1,)):
            found = [
                decade + math.log10(step)
                for decade in range(math.floor(min_), math.ceil(max_) + 1)
                for step in steps
            ]
            inside = [tick for tick in found if min_ <= tick <= max_]
            if len(inside) <= self._room():
                break
        if len(inside) >= 2:
            return self._fitting(inside)
        return [math.log10(value) for value in super().get_ticks(10**min_, 10**max_, max_ticks) if value > 0]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Write the numbers, not their logarithms."""
        return [f"{10**tick:.3g}" for tick in ticks]


class WholeFormatter(NumericAxisFormatter):
    """Ticks of the axis of steps."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Return whole numbers only."""
        return [tick for tick in super().get_ticks(min_, max_, max_ticks) if tick.is_integer()]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Group the digits."""
        return [f"{tick:,.0f}" for tick in ticks]


class Plot(PlotWidget, can_focus=False):
    """Axes and curves. The wheel asks for a zoom; what is in sight is for whoever owns the chart to say."""

    @dataclass
    class Wheel(Message):
        """The wheel was turned: ``closer`` or not, over the step ``at``."""

        closer: bool
        at: float

    def __init__(self) -> None:
        super().__init__(allow_pan_and_zoom=False)
        self.set_reactive(PlotWidget.margin_top, 0)
        self.set_reactive(PlotWidget.margin_bottom, 1)
        self.set_reactive(PlotWidget.margin_left, LEFT)
        self.set_x_formatter(WholeFormatter())

    def draw(self, curves: Sequence[Drawn], window: tuple[float, float], *, log: bool) -> None:
        """Draw curves between two steps; with ``log`` their values are logarithms."""
        self.clear()
        # The height counts when it is drawn, not now: a chart that was hidden has none yet.
        self.set_y_formatter((LogFormatter if log else ValueFormatter)(self._rows_for_labels))
        low, high = window
        self.set_xlimits(low, high + MARGIN * max(high - low, 1.0))
        values = [value for curve in curves if len(curve.ys) for value in (curve.ys.min(), curve.ys.max())]
        if values:
            bottom, top = float(min(values)), float(max(values))
            room = MARGIN * (top - bottom) or abs(top) * 0.01 or 0.01
            self.set_ylimits(bottom - room, top + room)
        for curve in curves:
            self.plot(curve.xs, curve.ys, line_style=curve.style, hires_mode=HiResMode.BRAILLE)
        for curve in curves:
            if len(curve.xs) and (curve.letter or len(curve.xs) == 1):
                ends = (curve.xs[-1:], curve.ys[-1:])
                self.scatter(*ends, marker=curve.letter or "•", marker_style=f"bold {curve.style}")

    def _rows_for_labels(self) -> int:
        return max(2, self.size.height // 2 - 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Ask for a closer look."""
        self._wheel(event, True)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Ask for a wider look."""
        self._wheel(event, False)

    def _wheel(self, event: events.MouseEvent, closer: bool) -> None:
        event.stop()
        event.prevent_default()
        at, _ = self.get_coordinate_from_pixel(event.x - self.margin_left, 1)
        self.post_message(self.Wheel(closer, at))
