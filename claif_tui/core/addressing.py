"""The content address of a request: what makes two requests "the same", so that nothing is paid for twice.

Design 3: profile name (not its URL), model, API form, messages, parameters, occurrence and attempt. Nothing else.
"""

from __future__ import annotations

import hashlib
import json

from claif_tui.core.llm.base import Sampling

Messages = tuple[tuple[str, str], ...]


def sampling_json(sampling: Sampling) -> str:
    """Return the sampling parameters in their one canonical spelling; what only local models follow where it is set."""
    local = {
        "top_k": sampling.top_k,
        "min_tokens": sampling.min_tokens,
        "rule": None if sampling.rule is None else sampling.rule.plain(),
    }
    return json.dumps(
        {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop),
            **{name: value for name, value in local.items() if value is not None},
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def messages_json(messages: Messages) -> str:
    """Return the messages in their one canonical spelling, as the store keeps them."""
    return json.dumps([list(message) for message in messages], ensure_ascii=False, separators=(",", ":"))


def request_identity(
    profile: str, model: str, api: str, messages: Messages, sampling: Sampling, seed: int
) -> bytes:
    """Return the 32-byte identity that requests share which ask the same of the same model.

    ``seed`` is the recipe's: another seed is another sample, and must not be answered from the first one's.
    """
    parts = (profile, model, api, str(seed), messages_json(messages), sampling_json(sampling))
    digest = hashlib.sha256(b"claif call 1")
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()


def call_key(identity: bytes, occurrence: int, attempt: int) -> str:
    """Return the 40-hex-digit key of one call: the ``occurrence``-th equal request, asked ``attempt`` times before."""
    return hashlib.sha256(identity + f"|{occurrence}|{attempt}".encode()).hexdigest()[:40]


def call_seed(key: str) -> int:
    """Return a 63-bit sampling seed for providers that take one: a function of the key alone."""
    return int(key[:16], 16) >> 1
