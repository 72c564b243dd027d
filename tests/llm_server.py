"""A real HTTP server that speaks the OpenAI protocol, for tests: ``python -m tests.llm_server --port 0``.

It prints its port, answers deterministically (see ``llm_server_answers``), injects faults by rule (see
``llm_server_faults``) and writes one JSON line per request to ``--log`` before any byte of the answer leaves.
It ends when its standard input closes. ``POST /control`` replaces the faults and settings.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import ssl
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.llm_server_answers import answer
from tests.llm_server_embeddings import embeddings_reply
from tests.llm_server_faults import FaultPlan
from tests.llm_server_gold import gold_answer
from tests.llm_server_replies import Reply, reply_for


@dataclass
class Options:
    """How the server behaves when no fault is injected."""

    latency: float = 0.0
    """Seconds before the first byte."""
    jitter: float = 0.0
    """Up to so many seconds more, by chance: answers come out of order."""
    tokens_per_s: float = 0.0
    """Speed of a stream; 0 sends it at once."""
    key: str = ""
    """When set, every other key (and none) gets 401."""
    models: list[str] = field(default_factory=list)
    """When set, other models get 404."""
    refuse: list[str] = field(default_factory=list)
    """Body fields answered with 400, as newer models do with temperature or max_tokens."""
    usage: bool = True
    streams: bool = True
    max_in_flight: int = 0
    """When set, requests above it get 429."""
    dimension: int = 8
    """Of the vectors at ``/embeddings``."""
    base64: bool = True
    """Whether ``encoding_format`` is heeded there; if not, vectors come as numbers."""
    max_batch: int = 0
    """When set, more texts in one request get 422."""
    max_text: int = 0
    """When set, a request with a longer text gets 400."""
    returned: str = ""
    """The model as answered there."""
    gold: str = ""
    """When set, a file of labels: known pairs are scored by it (see ``llm_server_gold``)."""


class Server:
    """State shared by all connections."""

    def __init__(self, options: Options, faults: list[dict[str, object]], log: IO[str] | None) -> None:
        self.options = options
        self.faults = FaultPlan(faults)
        self.log = log
        self.requests = 0
        self.in_flight = 0
        self.peak = 0

    def control(self, body: bytes) -> bytes:
        """Replace faults and options; return the counts."""
        if body:
            wish = json.loads(body)
            if "faults" in wish:
                self.faults = FaultPlan(wish["faults"])
            for name, value in wish.get("options", {}).items():
                if not hasattr(self.options, name):
                    raise ValueError(f"unknown option {name!r}")
                setattr(self.options, name, value)
        counts = {"requests": self.requests, "in_flight": self.in_flight, "peak": self.peak}
        return json.dumps(counts).encode()

    def plan(self, path: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        """Decide what to send for one request and log it."""
        self.requests += 1
        try:
            body = json.loads(raw)
        except ValueError:
            return Reply.error(400, "body is not JSON")
        chat = path.endswith("/chat/completions")
        prompt = _prompt(body, chat)
        sha = hashlib.sha256(raw).hexdigest()
        reply = self._refused(headers, body)
        fault: dict[str, object] | None = None
        if reply is None:
            fault = self.faults.pick(sha, prompt)
            if path.endswith("/embeddings"):
                reply = embeddings_reply(body, fault, self.options)
            else:
                reply = reply_for(body, chat, prompt, self._answer(prompt, body), fault, self.options)
        if self.log is not None:
            self._write(path, headers, body, prompt, sha, fault, reply)
        return reply

    def _answer(self, prompt: str, body: Mapping[str, object]) -> str:
        known = gold_answer(self.options.gold, prompt, str(body.get("model"))) if self.options.gold else None
        return answer(prompt) if known is None else known

    def _refused(self, headers: Mapping[str, str], body: Mapping[str, object]) -> Reply | None:
        options = self.options
        if options.key and headers.get("authorization") != f"Bearer {options.key}":
            said = headers.get("authorization", "").removeprefix("Bearer ") or "none"
            return Reply.error(401, f"Incorrect API key provided: {said}.", code="invalid_api_key")
        if options.models and body.get("model") not in options.models:
            return Reply.error(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
        for name in options.refuse:
            if name in body:
                return Reply.error(
                    400,
                    f"Unsupported parameter: '{name}' is not supported with this model.",
                    code="unsupported_parameter",
                    param=name,
                )
        if options.max_in_flight and self.in_flight > options.max_in_flight:
            return Reply.error(429, "Too many requests", code="rate_limit_exceeded")
        return None

    def _write(
        self,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, object],
        prompt: str,
        sha: str,
        fault: dict[str, object] | None,
        reply: Reply,
    ) -> None:
        assert self.log is not None
        line = {
            "t": time.time(),
            "n": self.requests,
            "path": path,
            "sha": sha,
            "model": body.get("model"),
            "stream": bool(body.get("stream")),
            "params": {k: v for k, v in body.items() if k not in ("messages", "prompt", "model")},
            "prompt": prompt,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "status": reply.status,
            "fault": fault.get("kind") if fault else None,
            "auth": headers.get("authorization"),
            "proxy_auth": headers.get("proxy-authorization"),
        }
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


def _prompt(body: Mapping[str, object], chat: bool) -> str:
    if isinstance(texts := body.get("input"), list):
        return "\n".join(texts)
    if not chat:
        return str(body.get("prompt", ""))
    messages = body.get("messages")
    assert isinstance(messages, list)
    return "\n".join(str(message["content"]) for message in messages)


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection; requests on it are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.task is None:
            self._next()

    def _next(self) -> None:
        head, mark, rest = self.buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, *_ = first.split(" ")
        self.task = asyncio.get_running_loop().create_task(self._serve(method, path, headers, rest[:length]))

    async def _serve(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        server = self.server
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        try:
            await self._send(self._route(method, path, headers, body))
        finally:
            server.in_flight -= 1
            self.task = None
        if self.buffer:
            self._next()

    def _route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if path == "/control":
            return Reply.json(self.server.control(body))
        if path.startswith("http://"):  # asked as a proxy
            path = "/" + path.split("/", 3)[3]
        if path == "/v1/models":
            names = self.server.options.models or ["test-model"]
            return Reply.json(json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())
        if method == "POST" and path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            try:
                reply = self.server.plan(path, headers, body)
            except Exception:  # noqa: BLE001 (a fault in a rule must fail the test, not hang it)
                traceback.print_exc()
                return Reply.error(500, "the test server itself failed")
            options = self.server.options
            reply.delay = options.latency + random.random() * options.jitter
            return reply
        return Reply.error(404, f"Invalid URL ({method} {path})")

    async def _send(self, reply: Reply) -> None:
        transport = self.transport
        assert transport is not None
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.ending == "reset":
            transport.abort()
            return
        if reply.ending == "hang" and not reply.parts:
            await asyncio.Event().wait()
        speed = self.server.options.tokens_per_s
        if not speed and reply.ending == "ok":
            transport.write(reply.head() + b"".join(reply.framed()))
            return
        transport.write(reply.head())
        for part in reply.framed():
            transport.write(part)
            if speed:
                await asyncio.sleep(1 / speed)
        while reply.ending == "endless" and not transport.is_closing():
            for part in reply.framed():
                transport.write(part)
            await asyncio.sleep(0)
        if reply.ending == "hang":
            await asyncio.Event().wait()
        elif reply.ending == "abort":
            await asyncio.sleep(0)
            transport.close()


async def serve(server: Server, port: int, cert: Path | None) -> None:
    """Print the port, then serve until standard input closes; ``cert`` is a PEM with certificate and key."""
    loop = asyncio.get_running_loop()
    tls = None
    if cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(cert)
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", port, ssl=tls)
    print(listener.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    listener.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", default="[]", help="JSON, or a file with it")
    parser.add_argument("--options", default="{}", help="JSON with fields of Options")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--cert", type=Path, help="PEM with certificate and key: serve https")
    args = parser.parse_args()
    faults = args.faults if args.faults.lstrip().startswith("[") else Path(args.faults).read_text()
    log = args.log.open("a", encoding="utf-8") if args.log else None
    asyncio.run(
        serve(Server(Options(**json.loads(args.options)), json.loads(faults), log), args.port, args.cert)
    )


if __name__ == "__main__":
    main()
