"""The client for the ``/embeddings`` of OpenAI-compatible servers: one request, its vectors, no retries.

To the caller it is an ``LLMClient`` whose stream is one answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from claif_tui.core.llm.base import Answer, Delta, LLMError, Request
from claif_tui.core.llm.embedding_wire import BadVectorsError, Embedded, embedding_body, read_embeddings
from claif_tui.core.llm.http_endpoint import HttpEndpoint
from claif_tui.core.llm.refusals import error_fields, in_stream
from claif_tui.core.llm.wire import PATHS


class EmbeddingClient(HttpEndpoint):
    """One endpoint. ``dimension`` is that of the vectors there are already; the first answer sets it."""

    dimension: int | None = None
    _base64 = True
    _answered = False

    async def stream(self, request: Request) -> AsyncIterator[Delta | Answer]:
        """Send one request and yield its vectors. Raises ``LLMError``."""
        url = self.base_url + PATHS[request.api]
        base64 = self._base64
        try:
            async with self._post(url, embedding_body(request, base64=base64)) as response:
                if response.status != 200:
                    raise self._without_format(await self._refusal(response, url), base64)
                payload, raw = await self._json(response, url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._broken(error, url) from error
        yield self._read(payload, raw, len(request.messages), url)

    def _without_format(self, error: LLMError, base64: bool) -> LLMError:
        """Leave ``encoding_format`` out from now on if it may be what is refused: some servers only say "invalid"."""
        if base64 and error.reason == "bad_request" and not self._answered:
            self._base64 = False
            error.parameter = "encoding_format"
        return error

    def _read(self, payload: object, raw: bytes, count: int, url: str) -> Embedded:
        if isinstance(payload, dict) and "data" in payload and not payload.get("error"):
            try:
                answer = read_embeddings(payload, count, self.dimension)
            except BadVectorsError as error:
                raise LLMError("bad_vectors", f"{error} (asked {url})") from None
            self.dimension = answer.dimension
            self._answered = True
            return answer
        fields = error_fields(payload)
        if fields is not None:
            reason, message, parameter = in_stream(fields, self._key)
            raise LLMError(reason, message, parameter=parameter, status=200)
        raise LLMError(
            "not_json" if self._answered else "wrong_endpoint",
            f"the server answers JSON, but no embeddings as the OpenAI API does (asked {url})",
            partial=self._said(raw),
        )
