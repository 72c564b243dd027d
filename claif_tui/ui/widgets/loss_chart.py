"""A chart of curves over steps: what is in sight, log scale, a legend in words. Data comes from outside, as arrays.

Last and best values stand in the legend as text, so that nothing hangs on the picture.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Sparkline, Static

from claif_tui.ui import safe
from claif_tui.ui.widgets.downsample import Drawn, Floats, lttb, running_mean

Window = tuple[float, float]
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Curve:
    """The values of one run by step; nan where there is none. ``letter`` marks it in the plot and in the legend."""

    name: str
    xs: Floats
    ys: Floats
    letter: str = ""


class LossChart(Vertical):
    """Draws curves with axes where textual-plot is installed, else the first of them as a sparkline."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"loss-chart--{index}" for index in range(COLOURS)}
    DEFAULT_CSS = """
    LossChart {
        height: 1fr; width: 1fr;
        & > .legend { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > PlotWidget { height: 1fr; }
        & > Sparkline { height: 1fr; margin: 0 1; }
        & > .nothing { height: 1fr; color: $text-muted; content-align: center middle; }
        & > .loss-chart--0 { color: $text-primary; }
        & > .loss-chart--1 { color: $text-warning; }
        & > .loss-chart--2 { color: $text-success; }
        & > .loss-chart--3 { color: $text-error; }
        & > .loss-chart--4 { color: $text-secondary; }
        & > .loss-chart--5 { color: $text-muted; }
        & PlotWidget > .plot--axis { color: $border; }
        & PlotWidget > .plot--tick { color: $text-muted; text-style: none; }
    }
    """

    def __init__(
        self,
        *,
        best: Literal["low", "high", ""],
        digits: str = ".4f",
        empty: str = "",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._best, self._digits, self._empty = best, digits, empty
        self._curves: tuple[Curve, ...] = ()
        self._window: Window | None = None
        self._log = False
        self._smooth = 1
        self._plot: Widget | None = None

    def compose(self) -> ComposeResult:
        """Legend, then a picture or a word that there is none yet."""
        yield Static("", classes="legend")
        yield Static(safe.line(self._empty), classes="nothing")
        if has_plot():
            from claif_tui.ui.widgets.loss_plot import Plot

            self._plot = Plot()
        else:
            self._plot = Sparkline([])
        yield self._plot

    def on_mount(self) -> None:
        """Nothing is there yet."""
        self._draw()
        self.watch(self.app, "theme", self._draw, init=False)

    def show(self, curves: Sequence[Curve], *, window: Window | None, log: bool, smooth: int = 1) -> None:
        """Show curves between two steps (None: all of them); a log scale leaves out what is not above 0.

        ``smooth`` draws means of so many values; the legend keeps to the values themselves.
        """
        self._curves, self._window, self._log, self._smooth = tuple(curves), window, log, smooth
        self._draw()

    @property
    def legend(self) -> Content:
        """What the chart says in words, one run after the other."""
        return safe.join(*map(self._words, self._curves), separator="   ")

    def _words(self, curve: Curve) -> Content:
        finite = np.isfinite(curve.ys)
        head: list[safe.Part] = [(f"{curve.letter} ", "bold")] if curve.letter else []
        head.append((f"{curve.name} ", "$text-muted"))
        if not finite.any():
            return safe.join(*head, "–")
        xs, ys = curve.xs[finite], curve.ys[finite]
        head.append(f"{format(ys[-1], self._digits)}" if np.isfinite(curve.ys[-1]) else "not finite")
        if self._best:
            at = int(ys.argmin() if self._best == "low" else ys.argmax())
            head.append((f" · best {format(ys[at], self._digits)} @ {xs[at]:,.0f}", "$text-muted"))
        return safe.join(*head)

    def _draw(self) -> None:
        if self._plot is None:
            return
        drawn = self._drawn()
        there = any(len(curve.xs) for curve in drawn)
        self.query_one(".legend", Static).update(self.legend)
        self.query_one(".nothing").display = not there
        self._plot.display = there
        if not there:
            return
        if isinstance(self._plot, Sparkline):
            self._plot.data = next(curve.ys for curve in drawn if len(curve.ys)).tolist()
            return
        from claif_tui.ui.widgets.loss_plot import Plot

        assert isinstance(self._plot, Plot)
        ends = [end for curve in drawn if len(curve.xs) for end in (curve.xs[0], curve.xs[-1])]
        self._plot.draw(drawn, self._window or (float(min(ends)), float(max(ends))), log=self._log)

    def _drawn(self) -> list[Drawn]:
        found = []
        for index, curve in enumerate(self._curves):
            means = curve.ys if self._smooth == 1 else running_mean(curve.ys, self._smooth)
            keep = np.isfinite(means)
            if self._log:
                keep &= np.nan_to_num(means, nan=-1.0) > 0
            if self._window is not None:
                keep &= (curve.xs >= self._window[0]) & (curve.xs <= self._window[1])
            xs, ys = curve.xs[keep], means[keep]
            xs, ys = lttb(xs, np.log10(ys) if self._log else ys)
            style = str(self.get_component_rich_style(f"loss-chart--{index % COLOURS}", partial=True))
            found.append(Drawn(xs, ys, style, curve.letter))
        return found


def has_plot() -> bool:
    """Whether textual-plot is installed."""
    return importlib.util.find_spec("textual_plot") is not None
