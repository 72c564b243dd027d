"""How the next token is chosen: decoding rules as pure functions of logits. No model, no tokenizer, no I/O.

Rules act on raw next-token logits; temperature, top-k and top-p then act on what the rule left, in this order. All
randomness is one number a token that depends on the request's seed and the token's position alone (`uniform`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST = -math.inf
LAMBDA, FLOOR = 100.0, 0.01
"""Dino's own (methods 8.2)."""
OMEGA, PLAUSIBILITY = 0.3, 0.1
"""Ours: MultiCSR states neither (methods 10.2)."""


@dataclass(frozen=True, slots=True)
class Debias:
    """Dino's self-debiasing: `decay` is lambda >= 0, `floor` the smallest weight, 0..1 (methods 8.2)."""

    decay: float = LAMBDA
    floor: float = FLOOR

    @property
    def idle(self) -> bool:
        """Whether the rule changes nothing, so that the other prompts need not be computed."""
        return self.decay == 0


@dataclass(frozen=True, slots=True)
class Contrast:
    """MultiCSR's contrastive decoding with `omega` >= 0; `plausibility` 0..1 is the guard, which is ours (0: none)."""

    omega: float = OMEGA
    plausibility: float = PLAUSIBILITY

    @property
    def idle(self) -> bool:
        """Whether the rule changes nothing, so that the other prompt need not be computed."""
        return self.omega == 0


@dataclass(frozen=True, slots=True)
class Choice:
    """All that decides a next token beside the logits. Temperature 0 is the likeliest token; top_k 0 is off."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    rule: Debias | Contrast | None = None


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) for the token at `position` (from 0) of the request with `seed`; equal on every machine."""
    digest = hashlib.sha256(f"{seed}|{position}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 12) / 2**52


def self_debiased(logits: Tensor, counter: Sequence[Tensor], rule: Debias) -> Tensor:
    """Logits of p' ∝ p·w, with w = max(e^(-lambda·Δ), floor) and Δ = max(max_k p_k - p, 0) for each token.

    `logits` [..., V] stand under the label's own instruction, each of `counter` under another's. Where lambda is 0, or
    there is no counter-instruction, they come back bit for bit. Source: Dino's logits processor (methods 8.2).
    """
    if not counter:
        return logits
    own = torch.softmax(logits, -1)
    liked = torch.stack([torch.softmax(other, -1) for other in counter]).amax(0)
    excess = (liked - own).clamp(min=0)
    lowest = math.log(rule.floor) if rule.floor > 0 else LOWEST
    return logits + (-rule.decay * excess).clamp(min=lowest)


def contrasted(logits: Tensor, opposite: Tensor, rule: Contrast) -> Tensor:
    """Logits l - omega·l̂ [..., V], l under the wanted instruction and l̂ under the opposite one (methods 10.2).

    The guard, which is ours and not MultiCSR's: only tokens whose probability under the wanted instruction is at least
    `plausibility` times the largest stay eligible. It guards the difference: at omega 0 there is none, and the logits
    come back bit for bit. A token that the wanted instruction rules out stays out.
    """
    if rule.omega == 0:
        return logits
    lowest = torch.where(opposite == LOWEST, math.inf, opposite).amin(-1, keepdim=True)
    mixed = logits - rule.omega * torch.where(opposite == LOWEST, lowest, opposite)
    if rule.plausibility > 0:
        likely = logits >= logits.amax(-1, keepdim=True) + math.log(rule.plausibility)
        mixed = torch.where(likely, mixed, LOWEST)
    return mixed


def without(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """Logits in which `tokens` cannot come next: the end of text, before an answer may end."""
    if not tokens:
        return logits
    changed = logits.clone()
    changed[..., list(tokens)] = LOWEST
    return changed


def probabilities(logits: Tensor, choice: Choice) -> Tensor:
    """The distribution [..., V] to draw from: temperature, then top-k, then top-p over what top-k left.

    Ties with the k-th token are kept. Top-p keeps the smallest set of likeliest tokens that holds at least that mass.
    """
    if choice.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / choice.temperature
    if 0 < choice.top_k < logits.shape[-1]:
        least = logits.topk(choice.top_k, -1).values[..., -1:]
        logits = torch.where(logits < least, LOWEST, logits)
    if choice.top_p < 1:
        ordered, order = logits.sort(stable=True, dim=-1, descending=True)
        mass = torch.softmax(ordered, -1)
        beyond = mass.cumsum(-1) - mass >= choice.top_p
        beyond[..., 0] = False
        drop = torch.zeros_like(beyond).scatter(-1, order, beyond)
        logits = torch.where(drop, LOWEST, logits)
    return torch.softmax(logits, -1)


def distribution(contexts: Sequence[Tensor], choice: Choice) -> Tensor:
    """What the next token is drawn from, given logits [..., V] under each prompt, the wanted one first."""
    logits, others = contexts[0], contexts[1:]
    if isinstance(choice.rule, Debias):
        logits = self_debiased(logits, others, choice.rule)
    elif isinstance(choice.rule, Contrast) and others:
        logits = contrasted(logits, others[0], choice.rule)
    return probabilities(logits, choice)


def draw(chances: Tensor, uniforms: Sequence[float]) -> list[int]:
    """One token a row of [N, V]: the first at which the sum of chances, in vocabulary order, passes the row's number.

    In vocabulary order, as rounding in the logits could swap two almost equal tokens of an order by likelihood.
    """
    sums = chances.double().cumsum(-1)
    marks = torch.tensor(uniforms, dtype=torch.float64, device=sums.device).unsqueeze(-1) * sums[..., -1:]
    found = torch.searchsorted(sums, marks, right=True).squeeze(-1)
    return [int(token) for token in found.clamp(max=sums.shape[-1] - 1)]
