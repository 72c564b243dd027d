"""What the recipe screen shows beside the form, as text to draw: masks, the exact request, the estimate, diffs.

Pure: recipe and sentence in, ``Content`` out. What is sent is asked of the system module, never rebuilt here.
"""

from __future__ import annotations

import json

from claif_tui.core.estimate import Plan
from claif_tui.core.llm.base import Sampling
from claif_tui.core.masking import MASK, Masked, mask_sentence, rate_text
from claif_tui.core.models import Seed
from claif_tui.core.recipe_fields import Value, format_value
from claif_tui.core.recipes import BY_NAME, Recipe, diff
from claif_tui.core.systems import claif
from claif_tui.ui import safe
from claif_tui.ui.safe import Content

EXAMPLE = "three men are playing chess ."
"""Shown while a project has no seeds yet; it says so."""


def masked_rows(recipe: Recipe, sentence: str) -> list[Masked]:
    """Mask ``sentence`` at every rate of the recipe."""
    return [mask_sentence(sentence, rate, recipe.seed, merge=recipe.merge) for rate in recipe.rates]


def preview(recipe: Recipe, sentence: str, chosen: int, width: int) -> Content:
    """The sentence, its masked forms (``chosen`` marked), and below them the exact requests at that rate."""
    rows = masked_rows(recipe, sentence)
    chosen = min(chosen, len(rows) - 1)
    out: list[safe.Part] = [safe.line(sentence, "bold"), ""]
    for index, row in enumerate(rows):
        here = index == chosen
        note = "paraphrase" if not row.k else "merged" if row.joined else ""
        label = f"{'▸' if here else ' '} {rate_text(row.rate):<4} "
        out.append(
            safe.join(
                (label, "bold $primary" if here else "$text-muted"),
                mark_masks(row.text),
                (f"  {note}" if note else "", "$text-muted"),
            )
        )
    picked = rows[chosen]
    ask = claif.generation_ask(recipe, sentence, picked)
    out += ["", _rule(f"request at {rate_text(picked.rate)} · {recipe.api}", width)]
    out += _messages(ask.messages)
    out.append(safe.line(sampling_line(ask.sampling), "$text-muted"))
    score = claif.score_ask(recipe, sentence, "‹the generated sentence›")
    out += ["", _rule(f"scoring · {recipe.score_prompt}", width)]
    out += _messages(score.messages)
    out.append(safe.line(sampling_line(score.sampling), "$text-muted"))
    return safe.lines(*out)


def request_text(recipe: Recipe, sentence: str, chosen: int) -> str:
    """The request that is shown, as plain text to copy."""
    rows = masked_rows(recipe, sentence)
    ask = claif.generation_ask(recipe, sentence, rows[min(chosen, len(rows) - 1)])
    return "\n".join([*(f"{role}: {text}" for role, text in ask.messages), sampling_line(ask.sampling)])


def mark_masks(text: str) -> Content:
    """A masked sentence with its masks standing out (without colour too: bold)."""
    parts = safe.plain(text).split(MASK)
    out: list[safe.Part] = [parts[0]]
    for part in parts[1:]:
        out += [(MASK, "bold $warning"), part]
    return safe.join(*out)


def sampling_line(sampling: Sampling) -> str:
    """The sampling parameters as they are sent; what is not sent is not named."""
    parts = []
    for name in ("temperature", "top_p", "max_tokens"):
        value = getattr(sampling, name)
        if value is not None:
            parts.append(f"{name} {value}")
    if sampling.stop:
        parts.append("stop " + " ".join(json.dumps(stop) for stop in sampling.stop))
    return " · ".join(parts)


def estimate_lines(estimate: Plan, budget: str = "") -> list[str]:
    """The estimate in two or three lines: calls, tokens, and what they cost or why that is not known."""
    calls = f"calls {estimate.generate.calls:,} + {estimate.score.calls:,}"
    tokens = f"tokens {span(estimate.tokens)}"
    lines = [f"{calls}    {tokens}"]
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


def seed_title(seed: Seed | None, index: int, count: int) -> str:
    """The preview's title: which seed of how many."""
    if seed is None:
        return "Preview · example sentence"
    return f"Preview · seed {index + 1:,} of {count:,}"


def _messages(messages: tuple[tuple[str, str], ...]) -> list[Content]:
    return [safe.join((f"{role}: ", "bold $primary"), safe.block(text)) for role, text in messages]


def _rule(title: str, width: int) -> Content:
    return safe.line(f"─ {title} " + "─" * max(0, width - len(title) - 3), "$text-muted")
