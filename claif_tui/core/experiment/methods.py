"""Which systems an experiment may name: one entry each, with the recipe, the training and the sources that it takes.

What a preset fixes is in the recipe and in ``engine.presets``; adding a system here is adding an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Reads = Literal["seeds", "triplets", "labels"]
Makes = Literal["pairs", "triplets", "sentences", "labels"]

OBJECTIVE_TAKES: Mapping[str, Makes] = {
    "mse": "pairs",
    "cross": "pairs",
    "infonce": "triplets",
    "soft-infonce": "triplets",
    "masked-infonce": "triplets",
    "softmax-nli": "labels",
}
"""What each training objective reads; with ``twins`` infonce reads sentences."""
NEEDS_SCORES = ("mse", "cross", "soft-infonce")
"""Objectives that need a score in every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One system. ``preset`` is the recipe's; without one no model is asked, and training reads the source itself.
    Without ``train`` nothing is trained.

    ``train_roberta`` replaces ``train`` where the backbone is a RoBERTa. ``paper`` is how the papers' rows call it.
    """

    about: str
    preset: str = ""
    reads: frozenset[Reads] = frozenset()
    makes: Makes = "pairs"
    train: str = ""
    train_roberta: str = ""
    evaluate: Mapping[str, object] = field(default_factory=dict)
    paper: tuple[str, ...] = ()


_SEEDS: frozenset[Reads] = frozenset({"seeds"})
_TRIPLETS: frozenset[Reads] = frozenset({"triplets"})


def _syncse(preset: str, about: str, paper: str, reads: frozenset[Reads] = _SEEDS) -> Method:
    return Method(about=about, preset=preset, reads=reads, makes="triplets", train="syncse", paper=(paper,))


def _dino(preset: str, about: str) -> Method:
    papers: tuple[str, ...] = ("Dino (GPT-2-XL)",) if preset == "dino-local" else ("Dino (GPT-3)",)
    papers = () if preset == "dino-api+check" else papers  # an extension, and so no paper's
    return Method(about=about, preset=preset, reads=_SEEDS, train="dino", paper=papers)


METHODS: Mapping[str, Method] = {
    "average": Method(about="the backbone as it is, mean of the last layer", evaluate={"pooling": "mean"}),
    "whitening": Method(
        about="the backbone, whitened with the sentences of [seeds_from]",
        evaluate={"pooling": "avg_first_last", "whitening": "seeds"},
        paper=("whitening",),
    ),
    "simcse-unsup": Method(
        about="SimCSE without labels, on the sentences of [seeds_from]",
        reads=_SEEDS,
        makes="sentences",
        train="simcse-unsup-bert",
        train_roberta="simcse-unsup-roberta",
        paper=("SimCSE",),
    ),
    "promptbert-unsup": Method(
        about="PromptBERT without labels, on the sentences of [seeds_from]",
        reads=_SEEDS,
        makes="sentences",
        train="promptbert-unsup",
        paper=("PromptBERT", "PromptRoBERTa"),
    ),
    "simcse-sup": Method(
        about="SimCSE on human NLI triplets",
        reads=_TRIPLETS,
        makes="triplets",
        train="simcse-sup",
        paper=("SimCSE, supervised",),
    ),
    "promptbert-sup": Method(
        about="PromptBERT on human NLI triplets",
        reads=_TRIPLETS,
        makes="triplets",
        train="promptbert-sup",
        paper=("PromptBERT, supervised", "PromptRoBERTa, supervised"),
    ),
    "sbert": Method(
        about="SBERT: a classifier of human NLI labels, cosine at test",
        reads=frozenset({"labels"}),
        makes="labels",
        train="sbert",
        paper=("SBERT", "SRoBERTa"),
    ),
    "claif": Method(
        about="CLAIF: pairs made from masked seeds and scored",
        preset="claif",
        reads=_SEEDS,
        train="claif",
        paper=("CLAIF",),
    ),
    "claif-cross": Method(
        about="CLAIF's cross-encoder, on the same pairs",
        preset="claif",
        reads=_SEEDS,
        train="claif-cross",
        paper=("CLAIF cross-encoder",),
    ),
    "claif-scaled": Method(
        about="CLAIF-scaled: CLAIF's pairs and scored NLI pairs",
        preset="claif-scaled",
        reads=frozenset({"seeds", "triplets"}),
        train="claif-scaled",
        paper=("CLAIF-scaled",),
    ),
    "clhaif": Method(
        about="CLHAIF on SimCSE: human NLI triplets with an LLM's score",
        preset="clhaif",
        reads=_TRIPLETS,
        makes="triplets",
        train="clhaif",
        paper=("SimCSE + CLHAIF",),
    ),
    "clhaif-prompt": Method(
        about="CLHAIF on PromptBERT, on the same triplets",
        preset="clhaif",
        reads=_TRIPLETS,
        makes="triplets",
        train="clhaif-prompt",
        paper=("PromptBERT + CLHAIF", "PromptRoBERTa + CLHAIF"),
    ),
    "dino-local": _dino("dino-local", "Dino with self-debiasing, on a local model"),
    "dino-api": _dino("dino-api", "Dino by instruction alone"),
    "dino-api+check": _dino("dino-api+check", "Dino by instruction, checked with a score (an extension)"),
    "syncse-partial": _syncse("syncse-partial", "SynCSE: triplets made from seeds", "SynCSE-partial"),
    "syncse-naive": Method(
        about="SynCSE without exemplars (its ablation)",
        preset="syncse-naive",
        reads=_SEEDS,
        makes="triplets",
        train="syncse",
    ),
    "syncse-scratch": _syncse(
        "syncse-scratch", "SynCSE from genres and topics alone", "SynCSE-scratch", frozenset()
    ),
    "multicsr": Method(
        about="MultiCSR: triplets made, scored and filtered",
        preset="multicsr",
        reads=_SEEDS,
        makes="triplets",
        train="multicsr",
        paper=("MultiCSR",),
    ),
    "multicsr-score0": Method(
        about="MultiCSR's scores and filter over human NLI triplets",
        preset="multicsr",
        reads=_TRIPLETS,
        makes="triplets",
        train="multicsr",
    ),
    "multicsr-local": Method(
        about="MultiCSR with contrastive decoding, on a local model",
        preset="multicsr-local",
        reads=_SEEDS,
        makes="triplets",
        train="multicsr",
        paper=("MultiCSR",),
    ),
}
"""Every system by the name that ``system`` takes in a file."""

BASELINE = "average"
"""What cost per STS point is counted from."""
