"""The encoder in numpy: weights mapped from safetensors, and one BERT layer after another. No sampling, no torch.

Answers must not depend on what else is being computed. So a sentence is always computed alone (or in a batch made by
its own request), and the process that serves requests runs BLAS on one thread.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WIDTH, HEADS, LAYERS, FROZEN = 384, 12, 6, 3
PADDING = np.float32(-10_000)

PACKAGED_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm2": "output.LayerNorm",
}
"""Our short name of a part of a layer -> its name below `encoder.layer.N.` in the packaged encoder."""

_DTYPES = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I64": np.int64}


def read_safetensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """Map a safetensors file; arrays are read-only views, read from disk when first used."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(mapped[:8], "little")
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, entry in json.loads(mapped[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        flat = np.frombuffer(mapped, dtype, (end - begin) // dtype.itemsize, 8 + size + begin)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """x -> x @ weight + bias; weight (inputs, outputs)."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """(..., inputs) -> (..., outputs)."""
        y: Floats = x @ self.weight
        y += self.bias
        return y


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """Layer normalisation over the last axis."""

    scale: Floats
    shift: Floats

    def __call__(self, x: Floats) -> Floats:
        """The same shape, mean 0 and variance 1 before scale and shift."""
        centred: Floats = x - x.mean(-1, keepdims=True)
        variance = np.einsum("...i,...i->...", centred, centred)[..., None] / np.float32(x.shape[-1])
        centred /= np.sqrt(variance + np.float32(1e-12))
        centred *= self.scale
        centred += self.shift
        return centred


def gelu(x: Floats) -> Floats:
    """x * Phi(x), with erf to 1.5e-7 (Abramowitz and Stegun 7.1.26); numpy has no erf."""
    z = np.abs(x)
    z *= np.float32(0.7071067811865476)
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = t * np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient)
        tail *= t
    z *= z
    tail *= np.exp(-z)
    tail *= np.float32(0.5)
    # tail is now 1 - Phi(|x|); below 0 Phi is the tail itself.
    result: Floats = x * np.where(x < 0, tail, 1 - tail)
    return result


def softmax(x: Floats) -> Floats:
    """Softmax over the last axis."""
    y: Floats = np.exp(x - x.max(-1, keepdims=True))
    y /= y.sum(-1, keepdims=True)
    return y


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One BERT layer (normalisation after each residual)."""

    qkv: Linear
    o: Linear
    norm1: Norm
    up: Linear
    down: Linear
    norm2: Norm

    def __call__(self, x: Floats, padding: Floats | None, rows: NDArray[np.intp] | None = None) -> Floats:
        """(batch, length, 384) -> (batch, length or len(rows), 384); `rows`: only these positions (the last layer)."""
        batch, length, _ = x.shape
        parts = self.qkv(x.reshape(-1, WIDTH)).reshape(batch, length, 3, HEADS, -1)
        q, k, v = np.ascontiguousarray(parts.transpose(2, 0, 3, 1, 4))
        if rows is not None:
            q, x = np.ascontiguousarray(q[:, :, rows]), x[:, rows]
        scores = q @ k.swapaxes(-1, -2)
        scores *= np.float32((WIDTH // HEADS) ** -0.5)
        if padding is not None:
            scores += padding[:, None, None, :]
        seen = (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(-1, WIDTH)
        y = self.norm1(x.reshape(-1, WIDTH) + self.o(seen))
        y = self.norm2(y + self.down(gelu(self.up(y))))
        return y.reshape(batch, -1, WIDTH)


def _floats(array: NDArray[np.generic]) -> Floats:
    return np.asarray(array, np.float32)


def linear(weights: Mapping[str, NDArray[np.generic]], *names: str) -> Linear:
    """One linear map from the named parts (`X.weight`, `X.bias`), side by side."""
    weight = np.concatenate([_floats(weights[f"{n}.weight"]) for n in names])
    bias = np.concatenate([_floats(weights[f"{n}.bias"]) for n in names])
    return Linear(weight=np.ascontiguousarray(weight.T), bias=bias)


def norm(weights: Mapping[str, NDArray[np.generic]], name: str) -> Norm:
    """A normalisation from `name.weight` and `name.bias`."""
    return Norm(scale=_floats(weights[f"{name}.weight"]), shift=_floats(weights[f"{name}.bias"]))


def layer(weights: Mapping[str, NDArray[np.generic]], prefix: str, names: Mapping[str, str]) -> Layer:
    """A layer whose parts stand at `prefix` + names[short name]."""
    full = {short: prefix + long for short, long in names.items()}
    return Layer(
        qkv=linear(weights, full["q"], full["k"], full["v"]),
        o=linear(weights, full["o"]),
        norm1=norm(weights, full["norm1"]),
        up=linear(weights, full["up"]),
        down=linear(weights, full["down"]),
        norm2=norm(weights, full["norm2"]),
    )


class Encoder:
    """The packaged encoder: piece ids to layer states and sentence vectors."""

    def __init__(self, path: Path) -> None:
        weights = read_safetensors(path)
        self.table = _floats(weights["embeddings.word_embeddings.weight"])
        """Word embeddings (30522, 384), a view of the mapped file."""
        self._places = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = norm(weights, "embeddings.LayerNorm")
        self.layers = [layer(weights, f"encoder.layer.{n}.", PACKAGED_NAMES) for n in range(LAYERS)]

    def embed(self, ids: NDArray[np.int64]) -> Floats:
        """(batch, length) ids, at most 512 long -> (batch, length, 384) input states."""
        return self._norm(self.table[ids] + self._places[: ids.shape[1]])

    def vectors(self, batch: Sequence[Sequence[int]]) -> Floats:
        """Unit sentence vectors (n, 384) of piece-id lists with specials: mean over all pieces of the top layer."""
        lengths = np.array([len(ids) for ids in batch])
        longest = int(lengths.max())
        ids = np.zeros((len(batch), longest), np.int64)
        for row, own in enumerate(batch):
            ids[row, : len(own)] = own
        there = np.arange(longest) < lengths[:, None]
        padding = None if bool(there.all()) else np.where(there, np.float32(0), PADDING).astype(np.float32)
        x = self.embed(ids)
        for one in self.layers:
            x = one(x, padding)
        sums: Floats = np.einsum("btd,bt->bd", x, there.astype(np.float32))
        sums /= np.maximum(np.linalg.norm(sums, axis=-1, keepdims=True), np.float32(1e-8))
        return sums


class MaskedModel:
    """The masked language model: the encoder's frozen bottom, our top layers, the heads for words and gap lengths."""

    def __init__(self, encoder: Encoder, weights: Mapping[str, NDArray[np.generic]]) -> None:
        self._encoder = encoder
        own = {short: short for short in PACKAGED_NAMES}
        self._top = [layer(weights, f"layers.{n}.", own) for n in range(FROZEN, LAYERS)]
        self._dense, self._norm = linear(weights, "dense"), norm(weights, "norm")
        self._gap = linear(weights, "gap")
        self.bias = _floats(weights["bias"])
        self.counts = np.asarray(weights["counts"], np.uint8)
        """How often each piece was a whole word of the training text, capped at 255."""

    def states(self, batch: NDArray[np.int64], rows: Sequence[int]) -> Floats:
        """(batch, length) ids of equal length -> top states (batch, len(rows), 384) at the given positions."""
        x = self._encoder.embed(batch)
        for one in self._encoder.layers[:FROZEN]:
            x = one(x, None)
        for one in self._top[:-1]:
            x = one(x, None)
        return self._top[-1](x, None, np.asarray(rows, np.intp))

    def gap_logits(self, states: Floats) -> Floats:
        """(n, 384) -> (n, 3): does a gap hold one, two, or three and more words?"""
        return self._gap(states)

    def query(self, states: Floats) -> Floats:
        """(n, 384) -> (n, 384), to be multiplied with word embeddings; add `bias` for logits."""
        return self._norm(gelu(self._dense(states)))
