"""The OpenAI protocol as plain functions: request bodies, whole answers, stream chunks. No sockets, no errors
of a server's status (see ``refusals``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from claif_tui.core.llm.base import Answer, Delta, LLMError, Reason, Request, Sampling, refuse_rule

PATHS = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}

MAX_TEXT = 4_000_000
"""Characters of answer and reasoning kept from one request; a longer answer is cut and classed ``cut_off``."""

MAX_BODY = 16_000_000
"""Bytes of one whole JSON answer, or of one stream line."""

_MAX_TOKENS = 1_000_000_000


def effective_sampling(sampling: Sampling, refused: Collection[str]) -> Sampling:
    """Return the sampling parameters that are really sent to a model which refuses some of them.

    A refused ``max_tokens`` is not dropped but sent under its newer name, ``max_completion_tokens``, unless
    that one is refused as well.
    """
    return replace(
        sampling,
        temperature=None if "temperature" in refused else sampling.temperature,
        top_p=None if "top_p" in refused else sampling.top_p,
        max_tokens=None if {"max_tokens", "max_completion_tokens"} <= set(refused) else sampling.max_tokens,
        stop=() if "stop" in refused else sampling.stop,
    )


def body_of(request: Request, *, stream: bool, refused: Collection[str] = ()) -> bytes:
    """Return the JSON body of a request, without the parameters this model refuses.

    Raises ``LLMError`` for a request that only a local model can follow.
    """
    refuse_rule(request.sampling, "an API")
    sampling = effective_sampling(request.sampling, refused) if refused else request.sampling
    body: dict[str, object] = {"model": request.model}
    if request.api == "chat":
        body["messages"] = [{"role": role, "content": content} for role, content in request.messages]
    else:
        body["prompt"] = request.messages[-1][1]
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        renamed = "max_tokens" in refused
        body["max_completion_tokens" if renamed else "max_tokens"] = sampling.max_tokens
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if stream:
        body["stream"] = True
        if "stream_options" not in refused:
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode("ascii")


def load_json(raw: bytes | str) -> object:
    """Parse JSON; every way in which it can be bad raises ``ValueError``."""
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def looks_like_html(raw: bytes, content_type: str = "") -> bool:
    """Whether a body is a web page (a login wall, a proxy's error page)."""
    head = raw[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "text/html" in content_type or head.startswith((b"<!doctype", b"<html", b"<head", b"<body"))


@dataclass(slots=True)
class Collected:
    """What has arrived of one answer, chunk by chunk."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    size: int = 0
    choices: int = 0
    refusal: bool = False

    @property
    def text(self) -> str:
        """The answer so far, as it came."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "".join(self.thoughts)

    def answer(self) -> Answer:
        """Return the complete answer."""
        return Answer(
            text=self.text,
            reasoning=self.reasoning,
            finish_reason="refusal" if self.refusal else self.finish_reason,
            model=self.model,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )

    def take(self, event: Mapping[str, object], api: str, *, whole: bool = False) -> list[Delta]:
        """Add one decoded chunk (or a whole answer) and return what is new in it.

        Raises ``LLMError`` (``cut_off``) when the answer grows past ``MAX_TEXT``.
        """
        model = event.get("model")
        if isinstance(model, str) and model:
            self.model = model
        usage = event.get("usage")
        if isinstance(usage, Mapping):
            self._take_usage(usage)
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return []
        self.choices += 1
        choice = choices[0]
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self.finish_reason = finish
        if api == "completions":
            return self._add(_text(choice.get("text")), "")
        message = choice.get("message" if whole else "delta")
        if not isinstance(message, Mapping):
            return []
        refusal = _text(message.get("refusal"))
        self.refusal = self.refusal or bool(refusal)
        thought = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        return self._add(_text(message.get("content")) + refusal, thought)

    def _add(self, text: str, thought: str) -> list[Delta]:
        new: list[Delta] = []
        self.size += len(text) + len(thought)
        if thought:
            self.thoughts.append(thought)
            new.append(Delta(thought, "reasoning"))
        if text:
            self.texts.append(text)
            new.append(Delta(text))
        if self.size > MAX_TEXT:
            raise self.error("cut_off", f"the answer went past {MAX_TEXT:,} characters and was cut")
        return new

    def _take_usage(self, usage: Mapping[str, object]) -> None:
        prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        total = _count(usage.get("total_tokens"))
        if prompt:  # no prompt has no tokens: 0 stands for a server that does not count
            self.prompt_tokens = prompt
        if completion is not None:
            # Some servers bill reasoning in the total only; the larger reading is the safe one.
            rest = total - prompt if total is not None and prompt is not None else 0
            self.completion_tokens = max(completion, rest)

    def error(self, reason: Reason, detail: str, *, billed: bool = True) -> LLMError:
        """Return an error that carries what had arrived."""
        return LLMError(reason, detail, partial=self.text, reasoning=self.reasoning, billed=billed)


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
        return value
    return None


def _text(value: object) -> str:
    """Return a text field; content given as a list of typed parts is joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, Mapping))
        return "".join(part for part in parts if isinstance(part, str))
    return ""
