"""A model of known skill for the loopback LLM server: it scores pairs as people do, give or take a known noise.

The file that ``Options.gold`` names holds ``{"gold": [[sentence1, sentence2, label 0..1], …], "noise": {WORDS: sd},
"other": sd}``: a prompt that contains WORDS is answered with that noise, every other prompt with ``other``. The noise
is a function of prompt and model, so another model name is another draw.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

from tests.llm_server_answers import number

_BETWEEN = re.compile(r"['\"] and ['\"]|['\"]\s+Sentence 2: ['\"]")
_BEFORE = re.compile(r"(?:two sentences|Sentence 1:) ['\"]")
_AFTER = re.compile(r"['\"](?:, please give|\s+Give the|\s+First)")


@cache
def _known(path: str) -> tuple[dict[tuple[str, str], float], dict[str, float], float]:
    data: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    return {(a, b): label for a, b, label in data["gold"]}, data["noise"], data["other"]


def pair_of(prompt: str, known: dict[tuple[str, str], float]) -> tuple[str, str] | None:
    """Return the pair that a built-in scoring prompt is about, whatever quotes the sentences hold."""
    for before in _BEFORE.finditer(prompt):
        for between in _BETWEEN.finditer(prompt, before.end()):
            for after in _AFTER.finditer(prompt, between.end()):
                pair = prompt[before.end() : between.start()], prompt[between.end() : after.start()]
                if pair in known:
                    return pair
    return None


def gold_answer(path: str, prompt: str, model: str) -> str | None:
    """Return a score in 0..1 (two decimals) in words that fit the prompt; None where the pair is not known."""
    gold, noise, other = _known(path)
    pair = pair_of(prompt, gold)
    if pair is None:
        return None
    spread = next((sd for mark, sd in noise.items() if mark in prompt), other)
    draw = (number("noise", model, prompt) % (2**52) + 0.5) / 2**52
    value = f"{min(1.0, max(0.0, gold[pair] + spread * NormalDist().inv_cdf(draw))):.2f}"
    if "First say" in prompt or "First the difference" in prompt:
        return f"They differ in a few words.\nSimilarity score: {value}"
    return f"{value}. They share some words." if "reason" in prompt else value
