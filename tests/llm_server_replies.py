"""The bytes the loopback LLM server sends: good answers and every fault, streamed or whole."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal, Protocol

from tests.llm_server_answers import HOSTILE, count, is_score, pieces, score

Ending = Literal["ok", "reset", "abort", "hang", "endless"]
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>please log in</body></html>"


class ServerOptions(Protocol):
    usage: bool
    streams: bool


@dataclass
class Reply:
    """One HTTP answer: its parts are written one by one, then the connection is kept or ended."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    chunked: bool = False
    ending: Ending = "ok"
    lie: int = 0
    """Bytes promised in Content-Length and never sent."""
    delay: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @classmethod
    def json(cls, body: bytes, status: int = 200) -> Reply:
        return cls(status=status, headers={"Content-Type": "application/json"}, parts=[body])

    @classmethod
    def error(cls, status: int, message: str, *, code: str | None = None, param: str | None = None) -> Reply:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": param, "code": code}
        return cls.json(json.dumps({"error": error}).encode(), status)

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} X"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {sum(map(len, self.parts)) + self.lie}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def framed(self) -> list[bytes]:
        if not self.chunked:
            return self.parts
        framed = [b"%x\r\n%s\r\n" % (len(part), part) for part in self.parts]
        return [*framed, b"0\r\n\r\n"] if self.ending == "ok" else framed


def reply_for(
    body: Mapping[str, object],
    chat: bool,
    prompt: str,
    plain: str,
    fault: Mapping[str, object] | None,
    options: ServerOptions,
) -> Reply:
    """Return what is sent for a request, with ``fault`` worked in."""
    kind = str(fault["kind"]) if fault else ""
    prompt_tokens = count(prompt) + 4
    refused = refusal(kind, fault or {})
    if refused is not None:
        return refused
    text, thought, finish = _text(kind, prompt, plain, body)
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    tokens = pieces(text)
    produced = len(tokens) + count(thought)
    if isinstance(limit, int) and len(tokens) > limit and kind not in ("big", "endless"):
        tokens, finish, produced = tokens[:limit], "length", limit
    maker = _Maker(body, chat, finish, prompt_tokens, produced, options.usage and kind != "no_usage")
    if body.get("stream") and options.streams and kind != "ignore_stream":
        reply = maker.stream(tokens, thought, kind)
    else:
        reply = maker.whole("".join(tokens), thought, kind)
    reply.prompt_tokens = prompt_tokens
    return reply


def refusal(kind: str, fault: Mapping[str, object]) -> Reply | None:
    """Return the answers that never get as far as a completion."""
    wait = str(fault.get("retry_after", "0"))
    match kind:
        case "429" | "429_date" | "429_ms":
            reply = Reply.error(429, "Rate limit reached", code="rate_limit_exceeded")
            date = formatdate(time.time() + float(wait), usegmt=True) if kind == "429_date" else ""
            name, value = {
                "429": ("Retry-After", wait),
                "429_date": ("Retry-After", date),
                "429_ms": ("retry-after-ms", wait),
            }[kind]
            if wait != "none":
                reply.headers[name] = value
            return reply
        case "429_quota":
            return Reply.error(429, "You exceeded your current quota", code="insufficient_quota")
        case "404_model":
            return Reply.error(404, "The model `x` does not exist", code="model_not_found")
        case "400_length":
            return Reply.error(
                400, "This model's maximum context length is 64 tokens.", code="context_length_exceeded"
            )
        case "400" | "401" | "402" | "403" | "404" | "500" | "503":
            return Reply.error(int(kind), f"injected {kind}")
        case "502_html":
            return Reply(502, {"Content-Type": "text/html"}, [HTML])
        case "html":
            return Reply(200, {"Content-Type": "text/html"}, [HTML])
        case "not_openai":
            return Reply.json(b'{"hello": "world"}')
        case "redirect":
            return Reply(307, {"Location": str(fault.get("location", "http://other.invalid/v1"))}, [b""])
        case "reset":
            return Reply(ending="reset")
        case "hang":
            return Reply(ending="hang")
        case "reset_after_headers":
            return Reply(chunked=True, headers={"Content-Type": "text/event-stream"}, ending="abort")
    return None


def _text(kind: str, prompt: str, plain: str, body: Mapping[str, object]) -> tuple[str, str, str | None]:
    """Return (text, reasoning field, finish reason)."""
    text, thought, finish = plain, "", "stop"
    match kind:
        case "refusal":
            text = "I'm sorry, but I can't help with that request."
        case "empty":
            text = ""
        case "unparsable":
            text = "They are quite similar, I would say."
        case "preamble":
            text = (
                f"Sure! Here is a new sentence:\n\n{plain}" if not is_score(prompt) else f"Sure! Score: {plain}"
            )
        case "think":
            text = f"<think>The user wants one sentence, maybe 0.3 or 0.9.\nLet me see.</think>\n\n{plain}"
        case "reasoning":
            thought = f"First I thought about 0.{score(prompt) * 10:.0f} words."
        case "big":
            text = ("lorem ipsum dolor " * 60_000)[:1_000_000]
        case "hostile":
            text = f"{HOSTILE} {plain}"
        case "content_filter":
            text, finish = "", "content_filter"
    stops = body.get("stop")
    for stop in stops if isinstance(stops, list) else [stops]:
        if isinstance(stop, str) and stop and stop in text:
            text = text[: text.index(stop)]
    return text, thought, None if kind == "no_finish" else "length" if kind == "length" else finish


@dataclass
class _Maker:
    """Builds OpenAI objects for one answer."""

    body: Mapping[str, object]
    chat: bool
    finish: str | None
    prompt_tokens: int
    produced: int
    with_usage: bool

    def _frame(self, choices: list[object], *, whole: bool = False, usage: bool = False) -> dict[str, object]:
        kind = "chat.completion" if self.chat else "text_completion"
        frame: dict[str, object] = {
            "id": "r-1",
            "object": kind if whole or not self.chat else f"{kind}.chunk",
            "model": f"{self.body.get('model')}-0101",
            "choices": choices,
        }
        if usage:
            frame["usage"] = {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.produced,
                "total_tokens": self.prompt_tokens + self.produced,
            }
        return frame

    def whole(self, text: str, thought: str, kind: str) -> Reply:
        if self.chat:
            message: dict[str, object] = {"role": "assistant", "content": text}
            if thought:
                message["reasoning_content"] = thought
            choice: dict[str, object] = {"index": 0, "message": message, "finish_reason": self.finish}
        else:
            choice = {"index": 0, "text": text, "finish_reason": self.finish}
        choices: list[object] = [] if kind == "empty_choices" else [choice]
        body = json.dumps(self._frame(choices, whole=True, usage=self.with_usage)).encode()
        reply = Reply.json(body)
        reply.completion_tokens = self.produced
        match kind:
            case "garbage":
                reply.parts = [body[: len(body) // 2] + b"]]}}oops"]
            case "cut" | "cut_clean" | "hang_mid":
                reply.parts, reply.lie = [body[: len(body) // 2]], len(body) - len(body) // 2
                reply.ending = "hang" if kind == "hang_mid" else "abort"
            case "error_in_stream":
                reply.parts = [json.dumps({"error": {"message": "engine crashed", "code": 500}}).encode()]
            case "endless":
                reply = Reply(200, {"Content-Type": "application/json"}, [b" " * 65_536], True, "endless")
        return reply

    def stream(self, tokens: list[str], thought: str, kind: str) -> Reply:
        events = [self._delta({"role": "assistant", "content": ""})] if self.chat else []
        events += [self._delta({"reasoning_content": piece}) for piece in pieces(thought)]
        events += [self._delta({"content": token}) for token in tokens]
        keep = len(events) - (len(tokens) + 1) // 2
        reply = Reply(200, {"Content-Type": "text/event-stream"}, chunked=True)
        reply.completion_tokens = self.produced
        half = len(tokens) // 2
        match kind:
            case "cut" | "cut_clean" | "hang_mid":
                events, reply.completion_tokens = events[:keep], half
                reply.ending = {"cut": "abort", "cut_clean": "ok", "hang_mid": "hang"}[kind]  # type: ignore[assignment]
            case "garbage":
                events, reply.completion_tokens = [*events[:keep], b"data: {]oops\n\n"], half
            case "error_in_stream":
                failed = json.dumps(
                    {"error": {"message": "engine crashed", "type": "server_error", "code": 500}}
                )
                events, reply.completion_tokens = [*events[:keep], b"data: %s\n\n" % failed.encode()], half
            case "endless":
                events, reply.ending = [self._delta({"content": "la " * 2000})] * 4, "endless"
            case "empty_choices":
                events = [self._event(self._frame([], usage=self.with_usage)), b"data: [DONE]\n\n"]
            case _:
                if self.finish is not None:
                    events.append(self._delta({}, self.finish))
                options = self.body.get("stream_options")
                if self.with_usage and isinstance(options, Mapping) and options.get("include_usage"):
                    events.append(self._event(self._frame([], usage=True)))
                if kind != "no_done":
                    events.append(b"data: [DONE]\n\n")
        reply.parts = events
        return reply

    def _delta(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice: dict[str, object] = {"index": 0, "finish_reason": finish}
        if self.chat:
            choice["delta"] = delta
        else:
            choice["text"] = delta.get("content", "")
        return self._event(self._frame([choice]))

    @staticmethod
    def _event(frame: Mapping[str, object]) -> bytes:
        return b"data: %s\n\n" % json.dumps(frame).encode()
