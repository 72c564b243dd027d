"""The offline model as one object: loads the files, answers fill, paraphrase, score and similarity. No protocol."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from engine.offline.files import own_weights, packaged_encoder
from engine.offline.fill import Filler
from engine.offline.model import Encoder, MaskedModel, read_safetensors
from engine.offline.score import Calibration, Scorer
from engine.offline.text import Pieces

NAME = "claif-offline"
NOTE = "a small local model for trying the workflow and for teaching, not a GPT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A loaded model. `version` is the first 12 hex digits of a hash over weights and configuration."""

    version: str
    pieces: Pieces
    encoder: Encoder
    masked: MaskedModel
    filler: Filler
    scorer: Scorer


def load(assets: Path) -> Engine:
    """Load the packaged encoder and the weights below `assets`; raises `MissingPart`."""
    folder, packaged = own_weights(assets), packaged_encoder()
    config = (folder / "config.json").read_bytes()
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes())
    digest.update(config)
    line = json.loads(config)["calibration"]
    pieces = Pieces(packaged / "tokenizer.json")
    encoder = Encoder(packaged / "model.safetensors")
    masked = MaskedModel(encoder, read_safetensors(folder / "model.safetensors"))
    calibration = Calibration(cosines=tuple(line["cosine"]), scores=tuple(line["score"]))
    return Engine(
        version=digest.hexdigest()[:12],
        pieces=pieces,
        encoder=encoder,
        masked=masked,
        filler=Filler(masked, encoder, pieces),
        scorer=Scorer(encoder, pieces, calibration),
    )
