"""The figures of ``quality`` in sentences, the same for the screen and the command line. No screen, no keys."""

from __future__ import annotations

from claif_tui.core.quality import Against, Mean, Quality, Step
from engine.stats import Interval

STEPS: dict[Step, str] = {"": "", "falls": "falls", "level": "no clear fall", "rises": "rises"}
"""A mean score against that of the rate below, in words."""


def sentences(found: Quality) -> list[tuple[str, str]]:
    """Return what was found as (what the AI's scores are held against, figures); nothing of what is unknown.

    ``apart`` is the mean distance, ``AI`` how much higher or lower the AI scores on average.
    """
    rows = [("pairs", _pairs(found))]
    if not found.scored:
        return rows
    rows += [("people", people(found))] if found.keep is not None else []
    for name, against in (("encoder", found.encoder), ("gold", found.gold), ("re-scored", found.rescored)):
        rows += [(name, _agreement(against))] if against is not None else []
    rows += [("by hand", _by_hand(found.hand))] if found.hand is not None else []
    return [*rows, ("rates", _rates(found)), ("heaping", _heaping(found))]


def _pairs(found: Quality) -> str:
    without = f", {found.unscored:,} more without a score" if found.unscored else ""
    return f"{found.scored:,} {'pair' if found.scored == 1 else 'pairs'} scored by the AI{without}"


def people(found: Quality) -> str:
    """Say which share of the decided pairs was kept, and whether that speaks for the others."""
    keep, decided = found.keep, found.accepted + found.rejected
    if keep is None:
        return "nothing decided yet"
    changed = f", {100 * found.changed / decided:.0f} % changed" if found.changed else ""
    return f"kept {percent(keep)} of {decided:,}{changed}{'' if found.random else '; not at random'}"


def _agreement(against: Against) -> str:
    rho = against.spearman
    if rho.value is None:
        ranks = f"no Spearman ({rho.reason})"
    else:
        interval = against.interval
        bounds = "" if interval is None else f" [{interval.low:.2f} to {interval.high:.2f}]"
        ranks = f"Spearman {rho.value:.2f}{bounds}"
    return f"{ranks}, n {against.n:,}; {_apart(against)}"


def _by_hand(against: Against) -> str:
    return f"{against.n:,} set by people instead; {_apart(against)}"


def _apart(against: Against) -> str:
    bias = f"{against.bias:+.2f}"
    return f"apart {against.distance:.2f}, AI {'±0.00' if bias in ('-0.00', '+0.00') else bias}"


def _rates(found: Quality) -> str:
    if len(found.rates) < 2:
        return "fewer than two mask rates: nothing to compare"
    rho = found.by_rate.value
    ranks = "" if rho is None else f"; Spearman with the rate {rho:.2f}"
    held = [number(one.rate) for one in found.rates if one.step in ("level", "rises")]
    if not held:
        return f"mean falls from each to the next{ranks}"
    shown = ", ".join(held[:6]) + (f" and {len(held) - 6:,} more" if len(held) > 6 else "")
    return f"mean does not clearly fall at {shown}{ranks}"


def _heaping(found: Quality) -> str:
    heap, total = found.heaping, found.scored
    marks = ", ".join(f"{value:.1f} {100 * count / total:.1f} %" for value, count in heap.marks)
    values = f"{heap.distinct:,} {'value' if heap.distinct == 1 else 'values'}"
    return f"{marks}; tenths {100 * heap.tenths / total:.1f} %; {values}"


def number(value: float) -> str:
    """Write a score or a rate: one decimal where that is all of it."""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.4g}"


def percent(interval: Interval) -> str:
    """Write a share with its interval, in percent."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}-{100 * interval.high:.1f}]"


def mean(found: Mean | None) -> str:
    """Write a mean with two decimals; nothing where there is none."""
    return "" if found is None else f"{found.value:.2f}"
