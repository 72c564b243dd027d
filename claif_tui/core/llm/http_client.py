"""The client for OpenAI-compatible servers: one request, one stream of deltas, no retries.

It speaks HTTP itself because the hot path has to stay under 1.5 ms of CPU a request (docs/performance.md).
Retries, pace and money live in ``caller``; what a refusal means in ``refusals``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping

import aiohttp

from claif_tui.core.llm.base import Answer, Delta, LLMError, Request
from claif_tui.core.llm.http_endpoint import HttpEndpoint
from claif_tui.core.llm.refusals import error_fields, in_stream
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.sse import EventLines
from claif_tui.core.llm.transport import Timeouts
from claif_tui.core.llm.wire import MAX_BODY, PATHS, Collected, body_of, load_json


class HttpClient(HttpEndpoint):
    """One endpoint. Many ``stream`` calls may run at once on the event loop that called ``open``.

    ``refused`` names, per model, the parameters not to send (see ``wire.effective_sampling``).
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: Secret | None = None,
        streaming: bool = True,
        refused: Mapping[str, Collection[str]] | None = None,
        ca_file: str | None = None,
        timeouts: Timeouts | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(base_url, key=key, ca_file=ca_file, timeouts=timeouts, environ=environ)
        self.streaming = streaming
        self.accept = "text/event-stream, application/json" if streaming else "application/json"
        self._refused = {model: set(names) for model, names in (refused or {}).items()}
        self._answered = False

    async def stream(self, request: Request) -> AsyncIterator[Delta | Answer]:
        """Send one request and yield its deltas, then its answer. Raises ``LLMError``.

        Breaking off closes the connection, so that the server stops computing.
        """
        refused = self._refused.get(request.model, ())
        body = body_of(request, stream=self.streaming, refused=refused)
        url = self.base_url + PATHS[request.api]
        collected = Collected()
        try:
            async with self._post(url, body) as response:
                if response.status != 200:
                    raise await self._refused_by(response, url, request.model)
                if "text/event-stream" in response.headers.get("Content-Type", ""):
                    async for item in self._events(response, request, collected):
                        yield item
                else:
                    yield await self._whole(response, request, collected, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = self._broken(error, url, begun=bool(collected.choices))
            failure.partial, failure.reasoning = collected.text, collected.reasoning
            raise failure from error

    async def _refused_by(self, response: aiohttp.ClientResponse, url: str, model: str) -> LLMError:
        error = await self._refusal(response, url)
        if error.parameter == "stream_options":
            # Only our token count depends on it, not the answer: remembered without asking.
            self._refused.setdefault(model, set()).add("stream_options")
        return error

    async def _whole(
        self, response: aiohttp.ClientResponse, request: Request, collected: Collected, url: str
    ) -> Answer:
        payload, raw = await self._json(response, url)
        if isinstance(payload, dict) and "choices" in payload and not payload.get("error"):
            collected.take(payload, request.api, whole=True)
            if not collected.choices:
                raise LLMError("empty", "the answer holds no choices", partial=self._said(raw))
            self._answered = True
            return collected.answer()
        fields = error_fields(payload)
        if fields is not None:
            reason, message, parameter = in_stream(fields, self._key)
            raise LLMError(reason, message, parameter=parameter, status=200)
        # After good answers this is a hiccup; before any, it is some other kind of server.
        raise LLMError(
            "not_json" if self._answered else "wrong_endpoint",
            f"the server answers JSON, but not as the OpenAI API does (asked {url})",
            partial=self._said(raw),
        )

    async def _events(
        self, response: aiohttp.ClientResponse, request: Request, collected: Collected
    ) -> AsyncIterator[Delta | Answer]:
        lines = EventLines(MAX_BODY)
        clock = asyncio.get_running_loop().time
        end = clock() + self.timeouts.total
        done = False
        while not done:
            async with asyncio.timeout(min(self.timeouts.between_chunks, end - clock())):
                chunk = await response.content.readany()
            try:
                payloads = lines.feed(chunk) if chunk else lines.finish()
            except OverflowError:
                response.close()
                raise collected.error("cut_off", f"a line of the stream went past {MAX_BODY:,} bytes") from None
            for payload in payloads:
                if payload == b"[DONE]":
                    done = True
                    break
                for delta in self._decode(payload, lines, request, collected):
                    yield delta
            if not chunk:
                break
        yield self._end(done, lines, collected)

    def _decode(self, payload: bytes, lines: EventLines, request: Request, collected: Collected) -> list[Delta]:
        try:
            event = load_json(payload)
        except ValueError:
            raise collected.error("broken_stream", "a piece of the stream is not JSON") from None
        if isinstance(event, dict):
            if (event.get("error") or "choices" not in event or lines.named_error) and (
                fields := error_fields(event)
            ):
                reason, message, parameter = in_stream(fields, self._key)
                failure = collected.error(reason, message)
                failure.parameter = parameter
                raise failure
            return collected.take(event, request.api)
        raise collected.error("broken_stream", "a piece of the stream is not an object")

    def _end(self, done: bool, lines: EventLines, collected: Collected) -> Answer:
        """Return the answer of a stream that has ended, or raise for one that ended too early.

        A finish reason without ``[DONE]`` is complete (many servers leave the mark out); ``[DONE]`` without
        a finish reason is an answer that was cut; neither is a broken stream.
        """
        if collected.choices and (done or collected.finish_reason is not None):
            self._answered = True
            return collected.answer()
        if not collected.choices and lines.foreign:
            raise LLMError("not_json", "text where a stream should be", partial=self._said(lines.foreign, 400))
        if not collected.choices and done:
            raise collected.error("empty", "the answer holds no choices")
        raise collected.error("broken_stream", "the stream ended before the answer did")
