"""A model by its name as what an evaluation calls: sentences to vectors, or pairs to scores. No data, no figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from engine import backbone
from engine.encoder import Encoder, load, load_cross

if TYPE_CHECKING:
    from engine.evaluate.sts import Encode, ScorePairs
    from engine.evaluating import ModelOptions


def device() -> torch.device:
    """Where models are run: the accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_cross(spec: str) -> bool:
    """Whether a model is a sequence classifier rather than a sentence encoder."""
    source = backbone.resolve(spec)
    if backbone.read_json(source, "modules.json") is not None:
        return False
    config = backbone.read_json(source, "config.json") or {}
    return any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())


def pair_scorer(spec: str, options: ModelOptions) -> ScorePairs:
    """Load a cross-encoder as what scores pairs."""
    cross = load_cross(spec, max_seq_length=options.max_seq_length, allow_pickle=options.allow_pickle)
    cross.to(device())

    def score(first: list[str], second: list[str]) -> NDArray[np.float32]:
        return cross.predict(first, second, precision=options.precision)

    return score


def load_encoder(spec: str, options: ModelOptions) -> Encoder:
    """Load a sentence encoder onto the device it is run on."""
    encoder: Encoder = load(
        spec,
        pooling=options.pooling,
        max_seq_length=options.max_seq_length,
        allow_pickle=options.allow_pickle,
        own_pooler=options.own_pooler,
    ).to(device())
    return encoder


def sentence_encoder(spec: str, options: ModelOptions) -> Encode:
    """Load a sentence encoder as what turns sentences into vectors."""
    encoder = load_encoder(spec, options)
    if options.whiten_own:
        encoder.normalise = False  # unit length would hide the variances; it comes last again

    def encode(texts: list[str]) -> NDArray[np.float32]:
        return encoder.encode(texts, precision=options.precision)

    return encode
