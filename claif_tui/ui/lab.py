"""What the recipe screen says of a recipe beside its preview, as text to draw: the estimate, differences, short values.

Pure: values in, ``Content`` out. The preview itself is in ``recipe_preview``.
"""

from __future__ import annotations

from claif_tui.core.estimate import Plan
from claif_tui.core.recipe_fields import Value, format_value
from claif_tui.core.recipes import BY_NAME, Recipe, diff
from claif_tui.ui import safe
from claif_tui.ui.safe import Content


def estimate_title(estimate: Plan) -> str:
    """What the estimate is for: how many seeds, and imported triplets that have to be scored."""
    parts = [f"{estimate.seeds:,} seeds"] if estimate.seeds or not estimate.triplets else []
    parts += [f"{estimate.triplets:,} triplets"] if estimate.triplets else []
    return "Estimate · " + " + ".join(parts)


def estimate_lines(estimate: Plan, budget: str = "") -> list[str]:
    """The estimate in two or three lines: calls, tokens, and what they cost or why that is not known."""
    stages = (estimate.write.calls, estimate.generate.calls, estimate.score.calls)
    calls = "calls " + (" + ".join(f"{count:,}" for count in stages if count) or "0")
    tokens = f"tokens {span(estimate.tokens)}"
    lines = [f"{calls}    {tokens}"]
    if estimate.missing:
        lines.append(f"of them {estimate.write.calls:,} or more for {estimate.missing:,} sentences first")
    lines.append(f"cost {cost_text(estimate)}" + (f"    {budget}" if budget else ""))
    return lines


def cost_text(estimate: Plan) -> str:
    """``$2.10-2.74 (price of 2026-10-30)``, ``free``, or ``unknown`` and how to make it known."""
    if estimate.usd is None or estimate.price is None:
        return "unknown: no price for this model (set one in 9 Settings)"
    low, high = estimate.usd
    source, day = estimate.price.source, estimate.price.as_of
    if not high:
        return f"free ({source})" if source else "free"
    digits = 2 if high >= 0.1 else 4
    dated = f" (price of {day})" if day else f" ({source})" if source else ""
    return f"${low:,.{digits}f}-{high:,.{digits}f}{dated}"


def span(ends: tuple[int, int]) -> str:
    """``9.1-11.4 M``."""
    low, high = ends
    unit, size = ("M", 1e6) if high >= 1e6 else ("k", 1e3) if high >= 1e4 else ("", 1.0)
    digits = 1 if unit else 0
    return f"{low / size:,.{digits}f}-{high / size:,.{digits}f}{' ' + unit if unit else ''}"


def short(value: Value, limit: int = 60) -> str:
    """A field's value in one short line."""
    text = format_value(value).replace("\n", "⏎ ")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def diff_to_preset(recipe: Recipe, preset: str) -> tuple[Content, str]:
    """What departs from a preset: to show, and to copy."""
    rows = diff(recipe, preset)
    if not rows:
        return safe.line(f"This recipe is the preset {preset}, field by field."), f"no difference to {preset}"
    out: list[safe.Part] = []
    plain: list[str] = []
    for name, here, there in rows:
        out += [
            safe.join((name, "bold"), (f"   {BY_NAME[name].help}", "$text-muted")),
            safe.join(("  + ", "$text-success"), safe.block(format_value(here))),
            safe.join(
                ("  - ", "$text-error"), safe.block(format_value(there)), (f"   ({preset})", "$text-muted")
            ),
            "",
        ]
        plain.append(f"{name}\n  + {format_value(here)}\n  - {format_value(there)}")
    return safe.lines(*out), "\n".join(plain)
