"""The ``/embeddings`` protocol as plain functions: the request's body, and vectors out of an answer. No sockets.

A vector is its little-endian float32 bytes, as the store keeps it. What cannot be right is told in words, never mended.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from claif_tui.core.llm.base import Answer, Request, Sampling, Task

BYTES_A_NUMBER = 4
MAX_DIMENSION = 65_536


class BadVectorsError(ValueError):
    """An answer whose vectors cannot be those of the texts; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(Answer):
    """The vectors of a request's texts, in their order, all of one dimension."""

    vectors: tuple[bytes, ...] = ()

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return len(self.vectors[0]) // BYTES_A_NUMBER


def embedding_request(key: str, model: str, texts: Sequence[str]) -> Request:
    """Return the request for the vectors of ``texts``. An answer has no tokens of its own."""
    return Request(
        key=key,
        stage="embed",
        model=model,
        api="embeddings",
        messages=tuple(("input", text) for text in texts),
        sampling=Sampling(max_tokens=0),
        task=Task(op="free", text=""),
    )


def embedding_body(request: Request, *, base64: bool) -> bytes:
    """Return the JSON body; ``base64`` asks for vectors as bytes, half the size of written numbers."""
    body: dict[str, object] = {"model": request.model, "input": [text for _, text in request.messages]}
    if base64:
        body["encoding_format"] = "base64"
    return json.dumps(body).encode("ascii")


def read_embeddings(payload: Mapping[str, object], count: int, dimension: int | None) -> Embedded:
    """Return the vectors of an answer to ``count`` texts, ordered by ``index`` as the protocol defines it.

    ``dimension`` is that of vectors had before, None: any. ``BadVectorsError``: another number of vectors, indexes that
    are not each text's once, another dimension, something that is not a list of finite numbers.
    """
    data = payload.get("data")
    if not isinstance(data, list) or len(data) != count:
        found = len(data) if isinstance(data, list) else "no list of"
        raise BadVectorsError(f"{found} vectors for {count} texts")
    places: dict[int, bytes] = {}
    for position, item in enumerate(data):
        if not isinstance(item, Mapping):
            raise BadVectorsError(f"item {position} is no object")
        # Some servers leave numbers out that are 0, or all indexes.
        index = item.get("index", position)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count or index in places:
            raise BadVectorsError(
                f"item {position} has the index {index!r}: expected each of 0 to {count - 1} once"
            )
        vector = _vector(item.get("embedding"), position)
        expected = dimension or len(next(iter(places.values()), vector)) // BYTES_A_NUMBER
        if len(vector) != expected * BYTES_A_NUMBER:
            have = len(vector) // BYTES_A_NUMBER
            raise BadVectorsError(f"item {position} has {have} dimensions where others have {expected}")
        places[index] = vector
    model, tokens = payload.get("model"), _tokens(payload.get("usage"))
    return Embedded(
        text="",
        finish_reason="stop",
        model=model if isinstance(model, str) and model else None,
        prompt_tokens=tokens,
        completion_tokens=None if tokens is None else 0,
        vectors=tuple(places[index] for index in range(count)),
    )


def _vector(value: object, position: int) -> bytes:
    import numpy as np

    if isinstance(value, str):
        try:
            raw = b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise BadVectorsError(f"item {position} is text that is not base64") from None
        if len(raw) % BYTES_A_NUMBER:
            raise BadVectorsError(f"item {position} has {len(raw)} bytes, which are no whole float32 numbers")
    elif isinstance(value, list) and all(type(number) in (float, int) for number in value):
        with np.errstate(over="ignore"):
            try:
                raw = np.array(value, dtype="<f4").tobytes()
            except OverflowError:
                raise BadVectorsError(f"item {position} holds a number that is too large") from None
    else:
        raise BadVectorsError(f"item {position} is neither a list of numbers nor base64")
    if not 0 < len(raw) <= MAX_DIMENSION * BYTES_A_NUMBER:
        raise BadVectorsError(f"item {position} has {len(raw) // BYTES_A_NUMBER} dimensions")
    numbers = np.frombuffer(raw, dtype="<f4")
    if not np.isfinite(numbers).all():
        raise BadVectorsError(f"item {position} holds a number that is not finite")
    if not numbers.any():
        raise BadVectorsError(f"item {position} is all zeros")
    return raw


def _tokens(usage: object) -> int | None:
    if not isinstance(usage, Mapping):
        return None
    for name in ("prompt_tokens", "total_tokens"):
        value = usage.get(name)
        # No text has no tokens: 0 stands for a server that does not count.
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1_000_000_000:
            return value
    return None
