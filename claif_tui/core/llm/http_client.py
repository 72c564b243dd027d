"""The client for OpenAI-compatible servers, straight on aiohttp: one request, one stream of deltas, no retries.

It speaks HTTP itself because the hot path has to stay under 1.5 ms of CPU a request (docs/performance.md).
Retries, pace and money live in ``caller``; what a refusal means in ``refusals``.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Collection, Mapping
from typing import NoReturn

import aiohttp

from claif_tui.core.llm.base import Answer, Delta, LLMError, Reason, Request
from claif_tui.core.llm.refusals import error_fields, in_stream, refusal
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.sse import EventLines
from claif_tui.core.llm.transport import (
    Proxy,
    Timeouts,
    host_of,
    normal_base_url,
    proxy_for,
    tls_context,
)
from claif_tui.core.llm.wire import MAX_BODY, PATHS, Collected, body_of, load_json, looks_like_html

MAX_CONNECTIONS = 512
_ERROR_BODY = 64_000


class HttpClient:
    """One endpoint. Many ``stream`` calls may run at once on the event loop that called ``open``.

    ``refused`` names, per model, the parameters not to send (see ``wire.effective_sampling``). The key goes
    into the Authorization header of requests to ``base_url`` and nowhere else; redirects are not followed.
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
        self.base_url = normal_base_url(base_url)
        self.streaming = streaming
        self.timeouts = timeouts or Timeouts()
        self._key = key or None
        self._refused = {model: set(names) for model, names in (refused or {}).items()}
        self._ca_file = ca_file
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._proxy: Proxy | None = None
        self._headers: dict[str, str] = {}
        self._proxy_headers: dict[str, str] | None = None
        self._answered = False

    async def open(self) -> None:
        """Set up the connection pool; nothing is sent yet. Raises ``EndpointError`` for a bad CA or proxy."""
        if self._session is not None:
            return
        if self.base_url.startswith("https:"):
            self._tls = await asyncio.to_thread(tls_context, self._ca_file, self._environ)
        self._proxy = proxy_for(self.base_url, self._environ)
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json" if self.streaming else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "claif-tui",
        }
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        self._headers = headers
        if self._proxy is not None and self._proxy.user is not None:
            login = f"{self._proxy.user}:{self._proxy.password or ''}".encode()
            credentials = {"Proxy-Authorization": f"Basic {b64encode(login).decode('ascii')}"}
            if self._tls is None:
                self._headers.update(credentials)
            else:  # for the proxy's CONNECT alone, not for the server behind it
                self._proxy_headers = credentials
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS,
                ssl=self._tls or True,
                ttl_dns_cache=300,
                # Shorter than uvicorn's 5 s, so that a kept connection is not used while the server closes it.
                keepalive_timeout=4.0,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.timeouts.connect),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close every connection; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def __repr__(self) -> str:
        return f"HttpClient({self.base_url!r})"

    async def stream(self, request: Request) -> AsyncIterator[Delta | Answer]:
        """Send one request and yield its deltas, then its answer. Raises ``LLMError``.

        Breaking off closes the connection, so that the server stops computing.
        """
        if self._session is None:
            raise RuntimeError("open() comes before stream()")
        refused = self._refused.get(request.model, ())
        body = body_of(request, stream=self.streaming, refused=refused)
        url = self.base_url + PATHS[request.api]
        collected = Collected()
        try:
            async with asyncio.timeout(self.timeouts.connect + self.timeouts.first_byte):
                response = await self._session.post(
                    url,
                    data=body,
                    headers=self._headers,
                    allow_redirects=False,
                    proxy=self._proxy.url if self._proxy else None,
                    proxy_headers=self._proxy_headers,
                )
            async with response:
                if response.status != 200:
                    await self._refuse(response, url, request.model)
                if "text/event-stream" in response.headers.get("Content-Type", ""):
                    async for item in self._events(response, request, collected):
                        yield item
                else:
                    yield await self._whole(response, request, collected, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._broken(error, collected, url) from error

    async def _refuse(self, response: aiohttp.ClientResponse, url: str, model: str) -> NoReturn:
        try:
            async with asyncio.timeout(self.timeouts.between_chunks):
                body = await response.content.read(_ERROR_BODY)
        except (aiohttp.ClientError, TimeoutError, OSError):
            body = b""
        error = refusal(response.status, response.headers, body, url=url, key=self._key)
        if error.parameter == "stream_options":
            # Only our token count depends on it, not the answer: remembered without asking.
            self._refused.setdefault(model, set()).add("stream_options")
        raise error

    async def _whole(
        self, response: aiohttp.ClientResponse, request: Request, collected: Collected, url: str
    ) -> Answer:
        chunks: list[bytes] = []
        size = 0
        async with asyncio.timeout(self.timeouts.first_byte):
            while chunk := await response.content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY:
                    response.close()
                    raise LLMError("cut_off", f"the answer went past {MAX_BODY:,} bytes and was dropped")
        raw = b"".join(chunks)
        try:
            payload = load_json(raw)
        except ValueError as error:
            kind = "a web page" if looks_like_html(raw, response.headers.get("Content-Type", "")) else "text"
            detail = f"{kind} where JSON should be ({error}; asked {url})"
            raise LLMError("not_json", detail, partial=self._said(raw)) from None
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

    def _said(self, raw: bytes, limit: int = _ERROR_BODY) -> str:
        """Return what the server sent as text, the key masked before anything is cut off."""
        return self._scrub(raw.decode("utf-8", "replace"))[:limit]

    def _scrub(self, text: str) -> str:
        return self._key.scrub(text) if self._key else text

    def _broken(self, error: Exception, collected: Collected, url: str) -> LLMError:
        """Return the classed error for a failure of the connection itself, in plain words."""
        where = host_of(url)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            problem = f"{where}: its certificate is not trusted ({_cause(error.certificate_error)})"
            return _unsent("wrong_endpoint", f"{problem}; set ca_file or SSL_CERT_FILE to your CA")
        if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError):
            return _unsent("wrong_endpoint", f"{where}: no TLS connection ({_cause(error)}); is it http://?")
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            proxy = self._proxy.url if self._proxy else "the proxy"
            return _unsent("connection", f"cannot reach the proxy {proxy} ({_cause(error)})")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return _unsent(
                "auth" if error.status == 407 else "connection", f"the proxy refused: {error.status}"
            )
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return _unsent("connection", f"no such host: {where}; check the base URL and your network")
        if isinstance(error, aiohttp.ClientConnectorError):
            return _unsent("connection", f"cannot connect to {where} ({_cause(error)}); is the server running?")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return _unsent("connection", f"{where} did not accept a connection in {self.timeouts.connect:g} s")
        if isinstance(error, TimeoutError):
            return collected.error("timeout", f"{where} went silent before the answer was complete")
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return _unsent("wrong_endpoint", f"{url} is not a usable URL")
        if isinstance(error, aiohttp.ClientResponseError):
            said = self._scrub(error.message or "garbage")
            return collected.error("not_json", f"{where} does not speak HTTP ({said})")
        if collected.choices or isinstance(error, aiohttp.ClientPayloadError):
            return collected.error("broken_stream", f"{where} broke the connection in mid-answer")
        return collected.error(
            "connection", f"{where} closed the connection before an answer ({_cause(error)})"
        )


def _unsent(reason: Reason, detail: str) -> LLMError:
    return LLMError(reason, detail, sent=False, billed=False)


def _cause(error: BaseException) -> str:
    """Return the short reason of a socket or TLS error, without class names and addresses."""
    inner = getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return str(inner.verify_message)
    if isinstance(inner, ssl.SSLError):
        return str(inner.reason or inner.strerror or "TLS error").replace("_", " ").lower()
    if isinstance(inner, ConnectionRefusedError):
        return "connection refused"
    if isinstance(inner, ConnectionResetError):
        return "connection reset"
    if isinstance(inner, OSError) and inner.strerror:
        return str(inner.strerror).lower()
    return str(inner) or type(inner).__name__
