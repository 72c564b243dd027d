"""What the pipeline and a language model say to each other; no transport, no money, no retries.

A client turns one request into a stream of deltas that ends in exactly one ``Answer``, or raises ``LLMError``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from claif_tui.core.llm.rules import Rule, why_not
from claif_tui.core.models import Scale, Stage

Api = Literal["chat", "completions"]

Reason = Literal[
    "auth",  # 401, 403: stops the run at once
    "model_not_found",  # 404 on the model: stops the run at once
    "quota",  # 402 or "insufficient quota": stops the run at once
    "wrong_endpoint",  # not an OpenAI-compatible server (HTML, 404 on the path, other JSON): stops the run
    "bad_request",  # 400, 422: the request as such is refused; `parameter` names the refused parameter if known
    "rate_limited",  # 429: waited for, does not use up a try
    "server_error",  # 5xx
    "timeout",
    "connection",  # could not connect, or the connection broke before the first byte of an answer
    "broken_stream",  # the stream ended without its end marker, or with garbage
    "cut_off",  # no finish reason, or finish_reason "length"
    "empty",
    "refused",  # content filter, or the answer is a refusal
    "not_json",  # HTML or other text where JSON should be
    "bad_vectors",  # embeddings of which the number, order, dimension or values cannot be right
    "wrong_form",  # not in the form that was asked for
    "unparsed",  # a score answer without a readable score, after its re-asks
    "context_length",
    "budget",  # never sent: the cap does not allow it
    "cancelled",
]

RETRYABLE: frozenset[Reason] = frozenset(
    {"rate_limited", "server_error", "timeout", "connection", "broken_stream", "not_json"}
)
FATAL: frozenset[Reason] = frozenset({"auth", "model_not_found", "quota", "wrong_endpoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is wanted, for providers that do not read prompts (the offline model).

    fill: ``text`` holds ``<mask>`` runs; paraphrase: ``text`` is the sentence; score: ``text`` and ``other``,
    ``reason_first`` if the number belongs at the end of the answer, ``scale`` that of the number; sentences: ``text``
    holds topics, one a line, and ``count`` sentences are wanted.
    """

    op: Literal["fill", "paraphrase", "score", "sentences", "free"]
    text: str
    other: str = ""
    reason_first: bool = False
    scale: Scale = "0-1"
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters; None means "do not send it".

    ``top_k``, ``min_tokens`` (until then the end of text cannot come) and ``rule`` are for local models only.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = 256
    stop: tuple[str, ...] = ()
    top_k: int | None = None
    min_tokens: int | None = None
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, addressed by ``key`` (hex). ``messages`` are (role, content); completions: one user message;
    embeddings: one a text.

    ``seed`` is a 63-bit number derived from the key; only providers that are ours use it.
    """

    key: str
    stage: Stage
    model: str
    api: Api | Literal["embeddings"]
    messages: tuple[tuple[str, str], ...]
    sampling: Sampling
    task: Task
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streaming answer; ``kind`` keeps reasoning apart from the answer."""

    text: str
    kind: Literal["answer", "reasoning"] = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. ``text`` is the raw answer without reasoning; ``finish_reason`` None means cut off."""

    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def problem(answer: Answer) -> Reason | None:
    """Return why a complete answer is of no use as it is, or None; judged by how it ended, not by its words."""
    if answer.finish_reason in ("content_filter", "refusal"):
        return "refused"
    if answer.finish_reason is None or answer.finish_reason == "length":
        return "cut_off"
    return None if answer.text.strip() else "empty"


class LLMError(Exception):
    """A request that gave no usable answer, classed by ``reason``.

    ``partial`` is the text that had arrived; ``sent`` is False when the server certainly saw nothing;
    ``retry_after`` is in seconds; ``parameter`` names a refused request parameter.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        retry_after: float | None = None,
        partial: str = "",
        reasoning: str = "",
        sent: bool = True,
        billed: bool = True,
        parameter: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.partial = partial
        self.reasoning = reasoning
        self.sent = sent
        self.billed = billed
        """False when the server refused before computing (4xx, 5xx status): nothing is owed."""
        self.parameter = parameter
        self.status = status


def refuse_rule(sampling: Sampling, endpoint: str) -> None:
    """Raise ``LLMError`` for what only a local model follows, so that no answer comes that ignored it."""
    if sampling.rule is not None:
        raise LLMError("bad_request", " ".join(why_not(sampling.rule, endpoint)), sent=False, billed=False)
    for name in ("top_k", "min_tokens"):
        if getattr(sampling, name) is not None:
            detail = f"{name} is for local models (--model local:PATH-OR-NAME), and {endpoint} is none"
            raise LLMError("bad_request", detail, sent=False, billed=False)


class LLMClient(Protocol):
    """A way to reach one endpoint profile. Safe for many concurrent ``stream`` calls on one event loop."""

    async def open(self) -> None:
        """Connect or start what is needed; raises ``EndpointError`` or ``MissingExtraError``."""

    async def close(self) -> None:
        """Release everything; idempotent; leaves no orphan process."""

    def stream(self, request: Request) -> AsyncIterator[Delta | Answer]:
        """Yield deltas, then exactly one Answer; raise ``LLMError`` otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million tokens, and the day the price was read; a missing Price means unknown."""

    input_usd_per_m: float
    output_usd_per_m: float
    as_of: str
    source: str = field(default="")
