"""The presets of every system: where a recipe's values come from unless they are given. Values only.

A preset fixes its system. Sources: methods 3.2 (CLAIF), 8 (Dino), 10.1 (SynCSE), 10.2 and 10.3 (MultiCSR), 5 and 6
(CLAIF-scaled, CLHAIF); ``ABOUT`` says each in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from claif_tui.core.answers import DEFAULT_REFUSALS, PARAPHRASE_FAILURES

SystemName = Literal["claif", "dino", "syncse", "syncse-scratch", "multicsr", "clhaif", "claif-scaled"]
Preset = Literal[
    "claif",
    "official-code",
    "paper-literal",
    "dino-api",
    "dino-local",
    "dino-api+check",
    "syncse-partial",
    "syncse-naive",
    "syncse-scratch",
    "multicsr",
    "multicsr-local",
    "clhaif",
    "clhaif-negatives",
    "claif-scaled",
]
SYSTEM_NAMES: tuple[SystemName, ...] = get_args(SystemName)
PRESET_NAMES: tuple[Preset, ...] = get_args(Preset)

_CLAIF: Mapping[str, object] = {
    "keep_duplicates": False,
    "score_prompt": "paper",
    "fill_temperature": 0.7,
    "score_temperature": 0.0,
    "smoothing": 0.2,
    "cap": 2,
    "zero_pool": "generated",
}
_DINO: Mapping[str, object] = {
    "fill_temperature": 1.0,
    "score_temperature": 0.0,
    "top_p": 0.9,
    "max_tokens": 40,
    "smoothing": 0.2,
    "cap": 2,
    "zero_pairs": 2,
    "zero_pool": "generated",
}
_SYNCSE: Mapping[str, object] = {
    "fill_temperature": 1.0,
    "top_p": 1.0,
    "max_tokens": 256,
    "refusals": (*DEFAULT_REFUSALS, *PARAPHRASE_FAILURES),
}
_MULTICSR: Mapping[str, object] = {"fill_temperature": 0.0, "score_temperature": 0.0, "top_p": 1.0}
_CLHAIF: Mapping[str, object] = {"score_prompt": "paper", "score_temperature": 0.0}

PRESETS: Mapping[Preset, Mapping[str, object]] = {
    "claif": {"system": "claif", **_CLAIF},
    "official-code": {
        "system": "claif",
        **_CLAIF,
        "keep_duplicates": True,
        "score_prompt": "score-and-reason",
        "score_temperature": 0.7,
    },
    "paper-literal": {
        "system": "claif",
        **_CLAIF,
        "score_temperature": 0.7,
        "smoothing": 0.0,
        "cap": 0,
        "zero_pool": "originals",
    },
    "dino-api": {"system": "dino", **_DINO, "dino_variant": "api"},
    "dino-local": {"system": "dino", **_DINO, "dino_variant": "local", "api": "completions"},
    "dino-api+check": {"system": "dino", **_DINO, "dino_variant": "api+check"},
    "syncse-partial": {"system": "syncse", **_SYNCSE, "syncse_prompts": "pools"},
    "syncse-naive": {"system": "syncse", **_SYNCSE, "syncse_prompts": "naive"},
    "syncse-scratch": {"system": "syncse-scratch", **_SYNCSE, "syncse_prompts": "pools"},
    "multicsr": {"system": "multicsr", **_MULTICSR, "decoding": "two-shot"},
    "multicsr-local": {"system": "multicsr", **_MULTICSR, "decoding": "contrastive"},
    "clhaif": {"system": "clhaif", **_CLHAIF, "score_negatives": False},
    "clhaif-negatives": {"system": "clhaif", **_CLHAIF, "score_negatives": True},
    "claif-scaled": {"system": "claif-scaled", **_CLAIF, "score_negatives": True},
}
"""What each preset fixes, by attribute of ``Recipe``; every other knob keeps its value."""

ABOUT: Mapping[Preset, str] = {
    "claif": "CLAIF, the correct reading of paper and code: smoothing 0.2, cap 2, scores at temperature 0",
    "official-code": "CLAIF as its released code runs: repeats kept, score and reason asked for, temperature 0.7",
    "paper-literal": "CLAIF as the paper's text alone says: no smoothing, no cap, zero pairs from originals",
    "dino-api": "Dino by instruction alone, as its code does on an API",
    "dino-local": "Dino with self-debiasing; needs a local model's logits",
    "dino-api+check": "dino-api, then a score that must fit the label: an extension of ours, not Dino",
    "syncse-partial": "SynCSE: instruction pools with exemplars, over your sentences",
    "syncse-naive": "SynCSE's ablation: one fixed prompt, no exemplars",
    "syncse-scratch": "SynCSE from nothing: sentences by genre and topic first, then as syncse-partial",
    "multicsr": "MultiCSR as its released script: greedy two-shot generation, then scores and filter",
    "multicsr-local": "MultiCSR with contrastive decoding (needs a local model's logits), then scores and filter",
    "clhaif": "CLHAIF: imported NLI triplets, the positive scored by the model",
    "clhaif-negatives": "CLHAIF with the hard negative scored too: an extension of ours",
    "claif-scaled": "CLAIF-scaled: CLAIF's pairs and scored pairs of imported NLI triplets",
}


def first_preset(system: str) -> Preset:
    """Return the preset that stands for ``system`` when none is named."""
    return next(name for name, values in PRESETS.items() if values["system"] == system)
