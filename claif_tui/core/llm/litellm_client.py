"""The client behind ``litellm:MODEL``: imports litellm on first use, in a thread, and does not believe all it says.

For a stream that was cut litellm reports ``finish_reason="stop"`` and usage from its own tokenizer; only what the
provider really sent is passed on. Nothing else may import litellm.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from claif_tui.core.errors import EndpointError, MissingExtraError
from claif_tui.core.llm.base import Answer, Delta, LLMError, Price, Reason, Request, refuse_rule
from claif_tui.core.llm.refusals import in_stream, retry_after
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.transport import Timeouts
from claif_tui.core.llm.wire import Collected, effective_sampling

BANNED = frozenset({"1.82.7", "1.82.8"})
"""Releases that carried malicious code."""

_SURE: dict[str, Reason] = {
    "MidStreamFallbackError": "broken_stream",
    "APIConnectionError": "connection",
    "Timeout": "timeout",
    "ContextWindowExceededError": "context_length",
    "ContentPolicyViolationError": "refused",
}


def check_version() -> str:
    """Return litellm's version without importing it; raises ``MissingExtraError`` or, for a banned one,
    ``EndpointError``.
    """
    try:
        found = version("litellm")
    except PackageNotFoundError:
        raise MissingExtraError(
            "models named litellm:… need litellm", "pip install 'claif-tui[litellm]'"
        ) from None
    if found in BANNED:
        raise EndpointError(
            f"litellm {found} is a release that carried malicious code; it is not loaded",
            "pip install --upgrade 'claif-tui[litellm]', and change every key this machine holds.",
        )
    return found


def load() -> Any:
    """Import litellm (seconds) without its price download and without reading a stray ``.env``."""
    check_version()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


def listed_price(model: str) -> Price | None:
    """Return the price litellm's packaged list gives for a model, or None; loads litellm, so call it in a thread."""
    litellm = load()
    entry = litellm.model_cost.get(model) or litellm.model_cost.get(model.rpartition("/")[2])
    if not isinstance(entry, Mapping):
        return None
    costs = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not all(isinstance(cost, int | float) and cost >= 0 for cost in costs):
        return None
    dollars = [round(float(cost or 0) * 1_000_000, 6) for cost in costs]
    return Price(
        input_usd_per_m=dollars[0],
        output_usd_per_m=dollars[1],
        as_of="",
        source=f"litellm {version('litellm')}",
    )


class LiteLLMClient:
    """Any provider litellm knows. Keys come from the profile or, as litellm does it, the provider's variable."""

    def __init__(
        self,
        *,
        key: Secret | None = None,
        base_url: str | None = None,
        streaming: bool = True,
        refused: Mapping[str, Collection[str]] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._key = key
        self._base_url = base_url
        self._streaming = streaming
        self._refused = refused or {}
        self._timeouts = timeouts or Timeouts()
        self._litellm: Any = None

    async def open(self) -> None:
        """Import litellm in a thread."""
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(load)

    async def close(self) -> None:
        """Close litellm's pooled connections; may be called twice."""
        litellm, self._litellm = self._litellm, None
        closer = getattr(litellm, "close_litellm_async_clients", None)
        if closer is not None:
            await closer()
            # They are shared and cached: closed ones would be handed out again.
            litellm.in_memory_llm_clients_cache.flush_cache()

    async def stream(self, request: Request) -> AsyncIterator[Delta | Answer]:
        """Send one request; see ``base.LLMClient``."""
        if self._litellm is None:
            raise RuntimeError("open() comes before stream()")
        collected = Collected()
        ask, arguments = self._arguments(request)
        try:
            async with asyncio.timeout(self._timeouts.total):
                response = await ask(**arguments)
            if not arguments["stream"]:
                collected.take(_plain(response), request.api, whole=True)
            else:
                async for chunk in response:
                    for delta in collected.take(_plain(chunk), request.api):
                        yield delta
                self._distrust(response, collected)
        except (LLMError, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 (litellm raises its own classes and whatever a provider's code does)
            raise self._classed(error, collected) from None
        yield collected.answer()

    def _arguments(self, request: Request) -> tuple[Any, dict[str, Any]]:
        refuse_rule(request.sampling, "an API")
        sampling = effective_sampling(request.sampling, self._refused.get(request.model, ()))
        arguments: dict[str, Any] = {
            "model": request.model,
            # Its text-completion stream keeps no trace of what the provider sent: asked for whole.
            "stream": self._streaming and request.api == "chat",
            "num_retries": 0,
            "max_retries": 0,
            "timeout": self._timeouts.first_byte,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop) or None,
            "api_base": self._base_url,
            "api_key": self._key.reveal() if self._key else None,
        }
        if arguments["stream"]:
            arguments["stream_options"] = {"include_usage": True}
        if request.api == "completions":
            arguments["prompt"] = request.messages[-1][1]
            ask = self._litellm.atext_completion
        else:
            arguments["messages"] = [{"role": role, "content": text} for role, text in request.messages]
            ask = self._litellm.acompletion
        return ask, {name: value for name, value in arguments.items() if value is not None}

    def _distrust(self, response: Any, collected: Collected) -> None:
        """Keep a finish reason and usage only where the provider sent them."""
        names = ("received_finish_reason", "intermittent_finish_reason")
        if not any(getattr(response, name, None) for name in names):
            raise collected.error("broken_stream", "the stream ended before the answer did")
        if not any(getattr(chunk, "usage", None) for chunk in getattr(response, "chunks", ())):
            collected.prompt_tokens = collected.completion_tokens = None

    def _classed(self, error: Exception, collected: Collected) -> LLMError:
        message = str(error)
        if self._key is not None:
            message = self._key.scrub(message)
        status = getattr(error, "status_code", None)
        number = status if isinstance(status, int) else 0
        reason, detail, parameter = in_stream((message, str(number), None), self._key)
        if isinstance(error, TimeoutError):
            reason = "timeout"
        reason = _SURE.get(type(error).__name__, reason)
        headers = getattr(getattr(error, "response", None), "headers", None)
        failure = collected.error(reason, detail, billed=not 400 <= number < 500 and reason != "connection")
        failure.parameter = parameter
        failure.status = number or None
        failure.retry_after = retry_after(headers) if isinstance(headers, Mapping) else None
        return failure


def _plain(chunk: Any) -> Mapping[str, object]:
    """Return one of litellm's objects as the JSON it stands for."""
    plain: Mapping[str, object] = chunk.model_dump(exclude_none=True)
    return plain
