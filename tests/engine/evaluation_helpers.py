"""Deterministic encoders and small copies of evaluation files, for the tests of the evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.tasks import TASKS


@cache
def _word(word: str, width: int) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


def hash_encoder(width: int = 16) -> Callable[[list[str]], NDArray[np.float32]]:
    """Sums of random word vectors: the same on every machine, and no worse than chance on any task."""

    def encode(texts: list[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), width), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row] += _word(word, width)
        return vectors

    return encode


def shrink(monkeypatch: pytest.MonkeyPatch, task: str, *parts: tuple[str, int]) -> None:
    """Let ``task`` be complete with these parts alone."""
    monkeypatch.setitem(TASKS, task, replace(TASKS[task], parts=parts))


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
