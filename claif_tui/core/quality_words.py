"""The figures of ``quality`` in sentences, the same for the screen and the command line. No screen, no keys."""

from __future__ import annotations

from claif_tui.core.quality import Against, Mean, Quality, Step
from engine.stats import Interval

STEPS: dict[Step, str] = {"": "", "falls": "falls", "level": "does not fall", "rises": "rises"}
"""A mean score against that of the rate below, in words."""


def sentences(found: Quality) -> list[tuple[str, str]]:
    """Return what was found as (what the AI's scores are held against, figures); nothing of what is unknown."""
    rows = [("pairs", _pairs(found))]
    rows += [("people", people(found))] if found.keep is not None else []
    for name, against in (("encoder", found.encoder), ("gold", found.gold), ("re-scored", found.rescored)):
        rows += [(name, _agreement(against))] if against is not None else []
    if found.hand is not None:
        rows.append(("by hand", by_hand(found.hand)))
    rows.append(("rates", rates(found)))
    rows.append(("heaping", heaping(found)))
    return rows


def _pairs(found: Quality) -> str:
    without = f", {found.unscored:,} more without a score" if found.unscored else ""
    return f"{found.scored:,} {'pair' if found.scored == 1 else 'pairs'} scored by the AI{without}"


def people(found: Quality) -> str:
    """Say which share of the decided pairs was kept, and whom that speaks for."""
    keep, decided = found.keep, found.accepted + found.rejected
    if keep is None:
        return "nothing decided yet"
    share = f"accepted {percent(keep)} of {decided:,} decided"
    changed = f", {found.changed / decided:.0%} after a change".replace("%", " %") if found.changed else ""
    return f"{share}{changed}{'' if found.random else '; what people chose to look at, no random sample'}"


def _agreement(against: Against) -> str:
    rho = against.spearman
    if rho.value is None:
        ranks = f"no correlation ({rho.reason})"
    else:
        interval = against.interval
        bounds = "" if interval is None else f" [{interval.low:.2f} to {interval.high:.2f}]"
        ranks = f"Spearman {rho.value:.2f}{bounds}"
    return f"{ranks} over {against.n:,}; apart {against.distance:.2f}, AI {_bias(against.bias)}"


def by_hand(against: Against) -> str:
    """Say how far from the AI's scores those are that people set in Review."""
    scores = f"{against.n:,} {'score' if against.n == 1 else 'scores'}"
    return f"{scores} set by people instead; apart {against.distance:.2f}, AI {_bias(against.bias)}"


def _bias(bias: float) -> str:
    shown = f"{abs(bias):.2f}"
    if shown == "0.00":
        return "neither higher nor lower"
    return f"{shown} {'higher' if bias > 0 else 'lower'} on average"


def rates(found: Quality) -> str:
    """Say whether the mean score falls from each mask rate to the next."""
    if len(found.rates) < 2:
        return "fewer than two mask rates: nothing to compare"
    rho = found.by_rate.value
    ranks = "" if rho is None else f"; Spearman with the rate {rho:.2f}"
    held = [f"{one.rate:g}" for one in found.rates if one.step in ("level", "rises")]
    if not held:
        return f"the mean score falls at each of {len(found.rates)} rates{ranks}"
    return f"the mean score does not fall at {', '.join(held)}{ranks}"


def heaping(found: Quality) -> str:
    """Say how scores heap."""
    heap, total = found.heaping, found.scored
    if not total:
        return "no scores"
    marks = ", ".join(f"{value:.1f}: {count / total:.1%}" for value, count in heap.marks)
    values = f"{heap.distinct:,} different {'value' if heap.distinct == 1 else 'values'}"
    return f"{marks}; tenths: {heap.tenths / total:.1%}; {values}".replace("%", " %")


def percent(interval: Interval) -> str:
    """Write a share with its interval, in percent."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}-{100 * interval.high:.1f}]"


def mean(found: Mean | None) -> str:
    """Write a mean with two decimals; nothing where there is none."""
    return "" if found is None else f"{found.value:.2f}"
