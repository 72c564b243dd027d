"""The way to one OpenAI-compatible server, straight on aiohttp: connections, bodies, and what a failure means.

What is asked and how an answer reads stands in its two subclasses (``http_client``, ``embedding_client``). No retries.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from claif_tui.core.llm.base import LLMError, Reason
from claif_tui.core.llm.refusals import refusal
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.transport import (
    Proxy,
    Timeouts,
    host_of,
    normal_base_url,
    proxy_for,
    tls_context,
)
from claif_tui.core.llm.wire import MAX_BODY, load_json, looks_like_html

MAX_CONNECTIONS = 512
ERROR_BODY = 64_000
"""Bytes of a refusal that are read, and characters of an answer that are kept of one that cannot be read."""


class HttpEndpoint:
    """One endpoint. The key goes into the Authorization header of requests to ``base_url`` and nowhere else;
    redirects are not followed.
    """

    accept = "application/json"

    def __init__(
        self,
        base_url: str,
        *,
        key: Secret | None = None,
        ca_file: str | None = None,
        timeouts: Timeouts | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.base_url = normal_base_url(base_url)
        self.timeouts = timeouts or Timeouts()
        self._key = key or None
        self._ca_file = ca_file
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._proxy: Proxy | None = None
        self._headers: dict[str, str] = {}
        self._proxy_headers: dict[str, str] | None = None

    async def open(self) -> None:
        """Set up the connection pool; nothing is sent yet. Raises ``EndpointError`` for a bad CA or proxy."""
        if self._session is not None:
            return
        if self.base_url.startswith("https:"):
            self._tls = await asyncio.to_thread(tls_context, self._ca_file, self._environ)
        self._proxy = proxy_for(self.base_url, self._environ)
        headers = {
            "Content-Type": "application/json",
            "Accept": self.accept,
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
        return f"{type(self).__name__}({self.base_url!r})"

    @asynccontextmanager
    async def _post(self, url: str, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; the block reads the answer, whatever its status. Breaking off closes the connection."""
        if self._session is None:
            raise RuntimeError("open() comes first")
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
            yield response

    async def _refusal(self, response: aiohttp.ClientResponse, url: str) -> LLMError:
        """Return the error for an answer with a status other than 200."""
        try:
            async with asyncio.timeout(self.timeouts.between_chunks):
                body = await response.content.read(ERROR_BODY)
        except (aiohttp.ClientError, TimeoutError, OSError):
            body = b""
        return refusal(response.status, response.headers, body, url=url, key=self._key)

    async def _json(self, response: aiohttp.ClientResponse, url: str) -> tuple[object, bytes]:
        """Return a whole answer, decoded and as it came; raises ``LLMError`` for one that is too big or no JSON."""
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
            return load_json(raw), raw
        except ValueError as error:
            kind = "a web page" if looks_like_html(raw, response.headers.get("Content-Type", "")) else "text"
            detail = f"{kind} where JSON should be ({error}; asked {url})"
            raise LLMError("not_json", detail, partial=self._said(raw)) from None

    def _said(self, raw: bytes, limit: int = ERROR_BODY) -> str:
        """Return what the server sent as text, the key masked before anything is cut off."""
        return self._scrub(raw.decode("utf-8", "replace"))[:limit]

    def _scrub(self, text: str) -> str:
        return self._key.scrub(text) if self._key else text

    def _broken(self, error: Exception, url: str, *, begun: bool = False) -> LLMError:
        """Return the classed error for a failure of the connection itself, in plain words.

        ``begun``: part of the answer was there.
        """
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
            return LLMError("timeout", f"{where} went silent before the answer was complete")
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return _unsent("wrong_endpoint", f"{url} is not a usable URL")
        if isinstance(error, aiohttp.ClientResponseError):
            said = self._scrub(error.message or "garbage")
            return LLMError("not_json", f"{where} does not speak HTTP ({said})")
        if begun or isinstance(error, aiohttp.ClientPayloadError):
            return LLMError("broken_stream", f"{where} broke the connection in mid-answer")
        return LLMError("connection", f"{where} closed the connection before an answer ({_cause(error)})")


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
