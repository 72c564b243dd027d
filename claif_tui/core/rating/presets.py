"""The protocols that a study starts from: the paper's, and a stricter one. No sampling, no storage.

Source: methods 12 (CLAIF, section 4.7: 100 samples, 4 raters with 25 each, two yes/no questions, an explanation
beside each score). The preset ``rigorous`` is ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from claif_tui.core.errors import UsageError
from claif_tui.core.rating.models import Criterion, Exclusion, Protocol

PresetName = Literal["paper", "rigorous"]
PRESETS: dict[PresetName, str] = {
    "paper": "100 pairs, 4 raters with 25 each, two yes/no questions, score and explanation shown",
    "rigorous": "100 pairs, 3 raters on each, fluency 1-5, blind re-scoring, practice, gold and repeats",
}

MIN_GOLD = 0.75
"""Share of gold items that a rater must pass in the preset ``rigorous``."""

_FLUENT = Criterion(
    name="fluent",
    question="Is the generated sentence fluent?",
    guideline=(
        "Yes: a careful writer of the language could have written it. Small slips of punctuation or capitals do not"
        " matter. No: it is broken, cut off, or reads like a machine's word list. Whether it is true or alike does"
        " not matter here."
    ),
    scale="yesno",
)
_CONSISTENT = Criterion(
    name="consistent",
    question="Is the score consistent with the real similarity?",
    guideline=(
        "The score runs from 0 (the meanings have nothing in common) to 1 (they mean the same). Yes: you could"
        " defend it to a colleague. No: it is clearly too high or too low."
    ),
    scale="yesno",
)
_FLUENCY = Criterion(
    name="fluency",
    question="How fluent is the generated sentence?",
    guideline=(
        "5: flawless. 4: natural, with a small slip. 3: understandable, but no native speaker would write it. 2: hard"
        " to follow. 1: not a sentence. Whether it is true or alike to the other does not matter here."
    ),
    scale="ordinal",
)
_CONSISTENCY = Criterion(
    name="similarity",
    question="How similar in meaning are the two sentences?",
    guideline=(
        "1.0: they mean the same. 0.8: they differ in details that hardly matter. 0.6: the same in the main, some"
        " important thing differs or is missing. 0.4: different statements with shared details. 0.2: only the topic"
        " is shared. 0.0: nothing is shared. Values between are for cases between."
    ),
    scale="tenths",
    blind=True,
)


def protocol_of(preset: str, name: str, raters: tuple[str, ...] = ()) -> Protocol:
    """Return the protocol of a preset; without ``raters`` they are R1, R2, …. Raises ``UsageError`` for no preset."""
    common = Protocol(
        name=name,
        preset=preset,
        seed=42,
        population="",
        with_zero=False,
        with_rejected=False,
        sample=100,
        stratify=(),
        criteria=(_FLUENT, _CONSISTENT),
        raters=raters or ("R1", "R2", "R3", "R4"),
        per_item=1,
        practice=0,
        gold=0,
        repeats=0,
        order="plan",
        shows_score=True,
        shows_explanation=True,
    )
    if preset == "paper":
        return common
    if preset == "rigorous":
        return replace(
            common,
            raters=raters or ("R1", "R2", "R3"),
            criteria=(_FLUENCY, _CONSISTENCY),
            stratify=("score", "rate"),
            per_item=max(3, len(raters)) if len(raters) <= 3 else 3,
            practice=5,
            gold=8,
            repeats=8,
            order="shuffled",
            shows_score=False,
            shows_explanation=False,
            exclusion=Exclusion(min_gold=MIN_GOLD),
        )
    raise UsageError(f"there is no preset {preset!r}", f"Presets: {', '.join(PRESETS)}.")
