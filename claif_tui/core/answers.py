"""From a model's raw answer to one clean sentence and its class. No network, no scores."""

from __future__ import annotations

DEFAULT_REFUSALS = (
    r"\bas an? (?:large )?(?:ai|language)(?: language)? (?:model|assistant)\b",
    r"^(?:i(?:['’]?m| am) )?(?:very |really |so )?(?:sorry|afraid),?(?: but)? (?:that )?i "
    r"(?:can(?:no|['’]?)t|can not|am unable|am not able|won['’]?t|will not|must decline)\b",
    r"^i (?:can(?:no|['’]?)t|can not|am unable to|am not able to|won['’]?t|will not) "
    r"(?:assist|comply|fulfil|provide|generate|create|write|rewrite|paraphrase|replace|"
    r"complete (?:this|that|your))",
    r"^(?:please|could you)(?: please)? (?:provide|share|give me|specify) (?:the|a|me|more)\b",
    r"\bthere (?:is|are) no <?masks?>? ?(?:token|in|to)",
    r"\b(?:content|usage|safety) polic(?:y|ies)\b",
)
"""Patterns (any case) of refusals and of requests for more input; narrow, as first-person seeds are common."""
