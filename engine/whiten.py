"""BERT-whitening of an encoder (Su et al. 2021): statistics of a corpus, and a model folder that whitens by itself.

The arithmetic is in ``evaluate.baselines``; whitening a task with its own sentences is done where tasks are scored.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import data, heads
from engine.checkpoint import save_sentence_transformer
from engine.data import Examples
from engine.encoder import Encoder
from engine.errors import ConfigError, DataError
from engine.evaluate.baselines import Moments, Whitening, merge, moments, whitening
from engine.evaluating import ModelOptions, is_cross, resolve
from engine.loading import load_encoder

CHUNK = 16_384
"""Sentences encoded at once: their vectors need not be in memory for the whole corpus."""
_TEXTS = ("sentence1", "sentence2", "hard_negative")


def whiten(model: str, corpus: Path, k: int | None, out: Path, options: ModelOptions) -> dict[str, Any]:
    """Write to ``out`` a model whose vectors are whitened with the statistics of a corpus; return what it rests on.

    The corpus is any file that training reads; every sentence of it counts, as often as it stands there. ``k`` axes of
    largest variance are kept (None: all). Vectors come out at length 1.
    """
    spec = resolve(model)
    if spec.startswith("vectors:") or is_cross(spec):
        raise ConfigError(f"{spec} is no sentence encoder, so there is nothing to whiten", "Name an encoder.")
    encoder = load_encoder(spec, options)
    if encoder.prompt is not None or encoder.head is not None:
        raise ConfigError(
            f"{spec} has a trained head or templates; whitening follows a plain pooling",
            "Choose another with --pooling, as in avg_first_last.",
        )
    check_width(k, encoder.dimension)
    examples = data.read(corpus)
    counts = _sentences(examples)
    # What a folder has as its last step would hide the variances; the whitened vectors are brought to length 1 anyway.
    encoder.normalise = False
    _attach(encoder, _fitted(_statistics(encoder, counts, options.precision), k))
    facts = {
        "corpus": corpus.name,
        "fingerprint": examples.fingerprint,
        "sentences": sum(counts.values()),
        "different": len(counts),
        "dropped": examples.report.dropped,
        "dimension": encoder.dimension,
        "pooling": encoder.pooling,
    }
    save_sentence_transformer(encoder, out, _card(spec, facts))
    return {"model": model, "out": str(out), **facts}


def check_width(k: int | None, dimension: int) -> None:
    """ConfigError unless ``k`` (None: all) of ``dimension`` axes can be kept."""
    if k is not None and not 1 <= k <= dimension:
        raise ConfigError(f"whitening_dim: {k} is outside 1..{dimension}, the length of the vectors.")


def _sentences(examples: Examples) -> Counter[str]:
    found: Counter[str] = Counter()
    columns = [name for name in _TEXTS if name in examples.columns]
    for start in range(0, len(examples), CHUNK):
        rows = examples.batch(range(start, min(start + CHUNK, len(examples))))
        for name in columns:
            found.update(rows[name])
    return found


def _statistics(encoder: Encoder, counts: Counter[str], precision: str) -> Moments:
    texts = list(counts)
    whole: Moments | None = None
    for start in range(0, len(texts), CHUNK):
        part = texts[start : start + CHUNK]
        times = np.array([counts[text] for text in part], dtype=np.int64)
        found = moments(encoder.encode(part, precision=precision), times)
        whole = found if whole is None else merge(whole, found)
    if whole is None:
        raise DataError("the corpus of the whitening holds no sentence")
    return whole


def _fitted(statistics: Moments, k: int | None) -> Whitening:
    try:
        return whitening(statistics, k)
    except ValueError as problem:
        raise DataError(
            f"the corpus of the whitening does not do: {problem}", "Name one of thousands of sentences."
        ) from problem


def _attach(encoder: Encoder, change: Whitening) -> None:
    """Let an encoder whiten: a Dense module without activation, then unit length."""
    weight, bias = change.dense
    head = heads.dense(weight.shape[1], weight.shape[0], tanh=False)
    with torch.no_grad():
        head[0].weight.copy_(torch.from_numpy(weight))
        head[0].bias.copy_(torch.from_numpy(bias))
    encoder.head = head.to(encoder.device).eval()
    encoder.normalise, encoder.dimension = True, weight.shape[0]


def _card(spec: str, facts: dict[str, Any]) -> str:
    name = Path(spec).name
    return (
        "## Whitening\n\n"
        f"{name}, not trained further: its vectors ({facts['pooling']}) are whitened (Su et al. 2021) to "
        f"{facts['dimension']} dimensions with the statistics of {facts['sentences']:,} sentences of "
        f"`{facts['corpus']}` (fingerprint {facts['fingerprint']}), no labels used. The Dense module holds them.\n"
    )
