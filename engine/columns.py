"""What each objective asks of the data's columns, so that a run can be planned before anything is loaded. No torch."""

from __future__ import annotations

from engine.config import IN_BATCH, TrainConfig
from engine.data import Examples, read
from engine.errors import ConfigError, DataError

SCORED = ("mse", "cross", "soft-infonce")
"""Objectives that learn from a score."""
LABELLED = ("softmax-nli",)
"""Objectives that learn from a pair's NLI label."""
NEGATIVES = IN_BATCH
"""Objectives that can use hard negatives."""


_UNLIKE = 0.5


def training_rows(config: TrainConfig) -> Examples:
    """The rows of ``data`` as the objective reads them: with their NLI labels where it learns from these."""
    return read(config.data, allow_test=config.allow_test, labelled=config.objective in LABELLED)


def learnt(config: TrainConfig) -> tuple[str, ...]:
    """The columns of numbers that the objective learns from."""
    if config.objective in LABELLED:
        return ("label",)
    if config.objective not in SCORED:
        return ()
    return ("score", "negative_score") if config.smooth == "smooth_negative" else ("score",)


def columns(config: TrainConfig, examples: Examples) -> tuple[str, ...]:
    """The text columns that are encoded, the anchor first; ``DataError`` names a column that the data lack."""
    there = examples.columns
    wanted = ["sentence1"] if config.twins else ["sentence1", "sentence2"]
    needed = [*wanted, *learnt(config)]
    if config.smooth == "smooth_negative" and "negative_score" not in there:
        raise DataError(
            f"{examples.report.path}: has no negative_score in every row, which smooth = smooth_negative puts on the "
            "hard negatives",
            "Have the hard negatives scored too (the recipe's preset clhaif-negatives), or set smooth to "
            "smooth_positive.",
        )
    if missing := [name for name in needed if name not in there]:
        raise DataError(
            f"{examples.report.path}: its rows have no {' and no '.join(missing)}, which objective "
            f"{config.objective} learns from (they have {', '.join(there)})",
            _FIT.get(missing[0], "Choose a system that fits the data, or other data."),
        )
    negatives = config.objective in NEGATIVES and not config.twins and "hard_negative" in there
    if config.hard_negative_weight and not negatives:
        raise ConfigError(
            f"hard_negative_weight is {config.hard_negative_weight:g}, but {examples.report.path} has no hard "
            "negative in every row",
            "Set it to 0, or name data of triplets.",
        )
    if config.objective in NEGATIVES and not config.twins and not negatives:
        _refuse_scored_pairs(config, examples)
    return (*wanted, *(["hard_negative"] if negatives else []))


def _refuse_scored_pairs(config: TrainConfig, examples: Examples) -> None:
    """Raise ``DataError`` where pairs that their score says are unlike would be pulled together."""
    if config.objective in SCORED or "score" not in examples.columns:
        return
    unlike = int((examples.numbers("score") < _UNLIKE).sum())
    if unlike:
        raise DataError(
            f"{examples.report.path}: {unlike:,} of its {len(examples):,} pairs score below {_UNLIKE:g}, and objective "
            f"{config.objective} takes every second sentence for one of the same meaning",
            "Choose a system that learns from scores (claif, dino), or data of triplets.",
        )


def unused(config: TrainConfig, examples: Examples) -> list[str]:
    """The columns with content that this objective passes over."""
    used = {*columns(config, examples), *learnt(config)}
    known = ("sentence2", "hard_negative", "score")
    return [name for name in known if name in examples.columns and name not in used]


def in_batch(config: TrainConfig) -> bool:
    """Whether the objective contrasts a row with the rest of its batch."""
    return config.objective in IN_BATCH


_FIT = {
    "label": "Name SNLI's or MultiNLI's own files, or a CSV with the columns sentence1, sentence2, label (entailment, "
    "neutral or contradiction)."
}
"""What data do, by the column that others lack."""
