"""What the loopback LLM server answers at ``/embeddings``: vectors that depend on the text alone, and its faults."""

from __future__ import annotations

import hashlib
import json
import struct
from base64 import b64encode
from collections.abc import Mapping
from typing import Protocol

from tests.llm_server_answers import count
from tests.llm_server_replies import Reply, refusal


class EmbeddingOptions(Protocol):
    usage: bool
    dimension: int
    base64: bool
    max_batch: int
    max_text: int
    returned: str


def vector(text: str, dimension: int) -> list[float]:
    """Return the vector of a text, exact in float32."""
    numbers: list[float] = []
    for place in range(dimension):
        digest = hashlib.sha256(f"{place} {text}".encode()).digest()
        numbers.append((int.from_bytes(digest[:3], "big") - 2**23) / 2**23)
    return numbers


def embeddings_reply(
    body: Mapping[str, object], fault: Mapping[str, object] | None, options: EmbeddingOptions
) -> Reply:
    """Return what is sent for a request, with ``fault`` worked in."""
    kind = str(fault["kind"]) if fault else ""
    refused = refusal(kind, fault or {})
    if refused is not None:
        return refused
    texts = body["input"]
    assert isinstance(texts, list)
    if options.max_batch and len(texts) > options.max_batch:
        return Reply.error(422, f"batch size {len(texts)} > maximum allowed batch size {options.max_batch}")
    if "" in texts or not texts:
        return Reply.error(400, "'input' cannot be an empty string")
    if options.max_text and any(len(text) > options.max_text for text in texts):
        return Reply.error(
            400, "This model's maximum context length is 64 tokens.", code="context_length_exceeded"
        )
    dimension = options.dimension + (kind == "dimension")
    data = [
        {"object": "embedding", "index": place, "embedding": vector(text, dimension)}
        for place, text in enumerate(texts)
    ]
    match kind:
        case "few":
            data.pop()
        case "shuffled":
            data.reverse()
        case "same_index":
            data[-1]["index"] = 0
        case "nan":
            data[0]["embedding"] = [float("nan")] * dimension
        case "no_index":
            for item in data:
                del item["index"]
    if options.base64 and body.get("encoding_format") == "base64":
        for item in data:
            item["embedding"] = b64encode(struct.pack(f"<{dimension}f", *item["embedding"])).decode()  # type: ignore[misc]
    tokens = sum(count(text) for text in texts)
    answer: dict[str, object] = {
        "object": "list",
        "model": options.returned or f"{body['model']}-v2",
        "data": data,
    }
    if options.usage and kind != "no_usage":
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    raw = json.dumps(answer).encode()
    reply = Reply.json(raw)
    reply.prompt_tokens = tokens
    if kind == "cut":
        reply.parts, reply.lie, reply.ending = [raw[: len(raw) // 2]], len(raw) - len(raw) // 2, "abort"
    elif kind == "garbage":
        reply.parts = [raw[: len(raw) // 2] + b"]]}}oops"]
    return reply
