"""Decoding rules that a request may ask of a local model, and the words for endpoints that cannot follow them.

Such a rule looks at the next-token logits under several prompts; no API gives those. What it computes is in the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Messages = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Debias:
    """Dino's self-debiasing (methods 8.2): tokens that a prompt of ``against`` likes better are damped.

    ``decay`` is lambda, >= 0, and at 0 the rule is off; ``floor`` is the smallest weight, 0..1.
    """

    against: tuple[Messages, ...]
    decay: float = 100.0
    floor: float = 0.01

    def plain(self) -> dict[str, Any]:
        """The rule as JSON, in its one spelling: part of a request's address, and what the model is told."""
        against = [[list(message) for message in prompt] for prompt in self.against]
        return {"name": "debias", "lambda": self.decay, "floor": self.floor, "against": against}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """MultiCSR's contrastive decoding (methods 10.2): logits minus ``omega`` times those under ``against``.

    ``omega`` >= 0, and at 0 the rule is off. ``plausibility`` 0..1 is a guard of ours: tokens below that share of the
    likeliest one's probability are not eligible; 0 takes it away.
    """

    against: Messages
    omega: float = 0.3
    plausibility: float = 0.1

    def plain(self) -> dict[str, Any]:
        """The rule as JSON, in its one spelling: part of a request's address, and what the model is told."""
        against = [list(message) for message in self.against]
        return {
            "name": "contrast",
            "omega": self.omega,
            "plausibility": self.plausibility,
            "against": against,
        }


Rule = Debias | Contrast


def why_not(rule: Rule, endpoint: str) -> tuple[str, str]:
    """Return (message, hint) for a rule at an endpoint without logits: what is impossible, and what runs there."""
    local = "With logits: --model local:PATH-OR-NAME."
    if isinstance(rule, Debias):
        return (
            f"self-debiasing needs the model's next-token logits, and {endpoint} gives none",
            f"There, Dino runs as dino-api (the instruction alone) and dino-api+check (with a score). {local}",
        )
    return (
        f"contrastive decoding needs the model's next-token logits, and {endpoint} gives none",
        f"There, MultiCSR runs with greedy two-shot generation and its stages 2 and 3. {local}",
    )
