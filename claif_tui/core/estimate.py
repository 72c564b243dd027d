"""What a run would ask and cost, as a range, before anything is sent. No requests, no cap.

Token counts are estimated from a sample of real seeds: a tokenizer per vendor would be exact for one model and
wrong for the next, so the range is wide enough for common English tokenizers (3.2 to 4.8 bytes a token).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claif_tui.core import prompts
from claif_tui.core.llm.base import Price
from claif_tui.core.models import NANO, Seed
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems import claif

SAMPLE = 100
"""Seeds that are really rendered for an estimate."""
_BYTES_A_TOKEN = (4.8, 3.2)
_SCORE_TOKENS = {"paper": (2, 12), "score-and-reason": (25, 80), "reason-then-score": (30, 120)}
_MESSAGE_TOKENS = 4
"""What chat formats add to each message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Low and high end of an estimate."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(low=self.low + other.low, high=self.high + other.high)

    def times(self, factor: float) -> Range:
        """Scale both ends."""
        return Range(low=self.low * factor, high=self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Planned calls and their tokens; ``usd`` is None when the price is unknown. ``price`` carries its date."""

    seeds: int
    generate_calls: int
    score_calls: int
    prompt_tokens: Range
    completion_tokens: Range
    usd: Range | None
    price: Price | None

    @property
    def calls(self) -> int:
        """Generation and scoring calls together; re-asks and retries come on top."""
        return self.generate_calls + self.score_calls

    @property
    def tokens(self) -> Range:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


def estimate(
    recipe: Recipe, sample: Sequence[Seed], unique: int, occurrences: int, price: Price | None
) -> Estimate:
    """Estimate a run over ``unique`` seeds (``occurrences`` with repeats) from ``sample`` of them.

    A sample of nothing gives zeros. Money in dollars.
    """
    calls = claif.planned_pairs(recipe, unique, occurrences)
    prompt = completion = Range(low=0, high=0)
    sampled = 0
    for item in claif.plan(recipe, sample):
        sampled += 1
        original = item.seed.text
        asked = _tokens(item.ask.messages)
        # A generated sentence is about as long as its original.
        scored = _tokens(claif.score_ask(recipe, original, original).messages)
        prompt += asked + scored
        length = len(original.encode("utf-8", "surrogatepass"))
        low, high = _SCORE_TOKENS[recipe.score_prompt]
        completion += Range(
            low=0.6 * length / _BYTES_A_TOKEN[0] + low, high=1.6 * length / _BYTES_A_TOKEN[1] + high
        )
    if sampled:
        prompt, completion = prompt.times(calls / sampled), completion.times(calls / sampled)
    usd = None
    if price is not None:
        usd = Range(low=_usd(price, prompt.low, completion.low), high=_usd(price, prompt.high, completion.high))
    return Estimate(
        seeds=unique,
        generate_calls=calls,
        score_calls=calls,
        prompt_tokens=prompt,
        completion_tokens=completion,
        usd=usd,
        price=price,
    )


def _tokens(messages: prompts.Messages) -> Range:
    size = sum(len(content.encode("utf-8", "surrogatepass")) for _, content in messages)
    overhead = _MESSAGE_TOKENS * len(messages)
    return Range(low=size / _BYTES_A_TOKEN[0] + overhead, high=size / _BYTES_A_TOKEN[1] + overhead)


def _usd(price: Price, prompt: float, completion: float) -> float:
    return (prompt * price.input_usd_per_m + completion * price.output_usd_per_m) / 1e6


def usd_to_nano(usd: float) -> int:
    """Return dollars as whole nano-dollars."""
    return round(usd * NANO)


def nano_to_usd(nano: int) -> float:
    """Return nano-dollars as dollars."""
    return nano / NANO
