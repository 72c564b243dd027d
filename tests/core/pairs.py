"""Pairs for tests of what comes after generation: real ``Pair`` values with sensible defaults."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from claif_tui.core.models import Pair

_PLAIN = Pair(
    id=0,
    kind="llm",
    system="claif",
    seed_id=0,
    source_id=None,
    run_id=1,
    recipe_id="r",
    text_a="",
    text_b="",
    generated="",
    hard_negative=None,
    generated_negative=None,
    rate=0.0,
    occurrence=0,
    masked=None,
    merged=False,
    answer_class="ok",
    model="m",
    score=0.5,
    score_raw="0.5",
    score_scale="0-1",
    reason=None,
    gold=None,
    negative_score=None,
    encoder=None,
    stale=False,
    flags=(),
    status="accepted",
    author=None,
    split="train",
    generate_key=None,
    negative_key=None,
    score_key=None,
    created="",
)


def pair(number: int, text_a: str, text_b: str, score: float | None = 0.5, **other: object) -> Pair:
    """Return one generated pair; its key depends on its texts and rate, not on ``number``."""
    made = replace(_PLAIN, id=number, text_a=text_a, text_b=text_b, generated=text_b, score=score)
    made = replace(made, **other)  # type: ignore[arg-type]  # any field of Pair, checked by the dataclass
    if made.generate_key is None and made.seed_id is not None:
        text = f"{made.text_a}|{made.generated}|{made.rate}|{made.occurrence}"
        made = replace(made, generate_key=hashlib.sha256(text.encode()).hexdigest()[:40])
    return made


def claif_like(seeds: int, rates: int = 9) -> list[Pair]:
    """Return ``seeds * rates`` scored pairs, some of them identical, masked or repeated."""
    made = []
    for seed in range(seeds):
        for step in range(rates):
            text = f"answer {seed * 31 % 17} {step} of {seed}"
            if (seed + step) % 11 == 0:
                text = f"seed {seed} ."
            elif (seed + step) % 13 == 0:
                text += " <mask>"
            elif (seed + step) % 7 == 0:
                text = f"answer again of {seed}"
            made.append(
                pair(
                    seed * rates + step,
                    f"seed {seed} .",
                    text,
                    round(1 - step / 10, 1),
                    seed_id=seed,
                    rate=step / 10,
                )
            )
    return made


def by_seed(pairs: Iterable[Pair]) -> list[Pair]:
    """Order pairs as a caller must: by seed, in whatever order otherwise."""
    return sorted(pairs, key=lambda item: -1 if item.seed_id is None else item.seed_id)
