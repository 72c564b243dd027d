"""How good the AI's scores are, as text for people: the tables of ``review scores``. What they hold is core's."""

from __future__ import annotations

from claif_tui.cli import output
from claif_tui.core.quality import Bin, Quality, Rate
from claif_tui.core.quality_words import STEPS, mean, number, percent, sentences


def tell(found: Quality) -> None:
    """Write the sentences, then the three tables, each as far as there is something in it."""
    rows = sentences(found)
    if found.unencoded and found.encoder is None:
        rows.append(("encoder", "cosines not known yet: v, then e, in Review works them out"))
    output.table(rows)
    if found.bins:
        facts = (
            "AI score",
            "pairs",
            "mean",
            "encoder",
            "gold",
            "re-scored",
            "decided",
            "accepted, %",
            "changed",
        )
        output.line()
        output.table([_bin(one) for one in found.bins], head=facts, right=range(1, 9))
    if found.rates:
        output.line()
        by_rate = ("mask rate", "pairs", "mean", "± 95 %", "change", "")
        output.table([_rate(one) for one in found.rates], head=by_rate, right=range(1, 5))
    if found.heaping.common:
        output.line()
        common = [(number(value), f"{count:,}", f"{100 * count / found.scored:.1f} %")
                  for value, count in found.heaping.common]  # fmt: skip
        output.table(common, head=("commonest", "pairs", "share"), right=(1, 2))


def _bin(one: Bin) -> tuple[str, ...]:
    keep = one.keep
    return (
        f"{one.low:.1f}-{one.high:.1f}",
        f"{one.score.n:,}",
        mean(one.score),
        mean(one.encoder),
        mean(one.gold),
        mean(one.rescored),
        f"{one.decided:,}",
        "" if keep is None else percent(keep),
        f"{one.changed:,}" if one.decided else "",
    )


def _rate(one: Rate) -> tuple[str, ...]:
    margin, change = one.score.margin, one.change
    return (
        number(one.rate),
        f"{one.score.n:,}",
        mean(one.score),
        "" if margin is None else f"{margin:.3f}",
        "" if change is None else f"{change.value:+.3f}",
        STEPS[one.step],
    )
