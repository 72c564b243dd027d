"""What a server's refusal means: status, headers and error body turned into one classed ``LLMError``."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from claif_tui.core.llm.base import LLMError, Reason
from claif_tui.core.llm.secret import Secret
from claif_tui.core.llm.transport import host_of
from claif_tui.core.llm.wire import load_json, looks_like_html

MAX_RETRY_AFTER = 3600.0
"""Seconds: a server that asks for a longer wait is asked again after this."""

PARAMETERS = (
    *("max_completion_tokens", "max_tokens", "temperature", "top_p", "stop", "stream_options", "stream"),
    "encoding_format",
)
"""Request parameters a server may refuse; longer names first, so that they are recognised first."""

_BILLED_STATUS = frozenset({408, 502, 504, *range(520, 528)})
"""A gateway gave up on a server that was already working: what it computed may be billed."""

_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
_LENGTH = re.compile(
    r"context.{0,10}(length|window|size)|maximum.{0,12}tokens|too many tokens|prompt is too long|"
    r"too long for the model|input.{0,20}too long",
    re.I,
)
_NO_MODEL = re.compile(
    r"model.{0,120}?(not exist|not found|no such|unknown|is not available|not a valid|not supported by any)|"
    r"(unknown|invalid|no such|not a valid) model|try pulling it",
    re.I | re.S,
)
_OTHER_API = re.compile(r"(not a chat model|this is a chat model|only supported in v1/responses)", re.I)
_DETAIL = 400


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return how many seconds a server asks us to wait, from ``retry-after-ms`` or ``Retry-After``, or None.

    ``Retry-After`` is seconds or an HTTP date; nonsense counts as absent; at most ``MAX_RETRY_AFTER``.
    """
    for name, scale in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        raw = (headers.get(name) or "").strip()
        if not raw:
            continue
        seconds = _seconds(raw, scale, time.time() if now is None else now)
        if seconds is not None:
            return min(seconds, MAX_RETRY_AFTER)
    return None


def _seconds(raw: str, scale: float, now: float) -> float | None:
    if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", raw):
        return float(raw) * scale
    try:
        return max(0.0, parsedate_to_datetime(raw).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def refused_parameter(message: str, param: object) -> str | None:
    """Return the request parameter a server refused, out of its ``param`` field or its words."""
    if isinstance(param, str):
        for name in PARAMETERS:
            if param == name or param.endswith(f".{name}") or param.startswith(f"{name}."):
                return name
    quoted = re.findall(r"['\"`]([a-z_]+)['\"`]", message)
    for name in quoted:  # the refused one is named first, its replacement after it
        if name in PARAMETERS:
            return str(name)
    for name in PARAMETERS:
        # "stop" and "stream" are also plain English words.
        if name not in ("stop", "stream") and re.search(rf"\b{name}\b", message):
            return name
    return None


def error_fields(payload: object) -> tuple[str, str, object] | None:
    """Return (message, code, param) of an error object in any of the usual shapes, or None if there is none.

    Known: ``{"error": {"message", "code", "type", "param"}}``, ``{"error": "text"}``, vLLM's
    ``{"object": "error", "message"}`` and FastAPI's ``{"detail": …}``.
    """
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    if not isinstance(payload, Mapping):
        return None
    error = payload.get("error")
    if isinstance(error, str) and error:
        return error, "", None
    if isinstance(error, Mapping):
        return _fields(error)
    if payload.get("object") == "error" or ("message" in payload and "choices" not in payload):
        return _fields(payload)
    detail = payload.get("detail")
    if isinstance(detail, str):
        return detail, "", None
    if isinstance(detail, list) and detail and isinstance(detail[0], Mapping):
        where = detail[0].get("loc")
        param = str(where[-1]) if isinstance(where, list) and where else None
        return f"{detail[0].get('msg', 'invalid')} ({param})" if param else str(detail[0].get("msg")), "", param
    return None


def _fields(error: Mapping[str, object]) -> tuple[str, str, object]:
    code = error.get("code")
    words = [str(code)] if isinstance(code, str | int) and not isinstance(code, bool) else []
    kind = error.get("type")
    if isinstance(kind, str):
        words.append(kind)
    return str(error.get("message") or kind or code or "no message"), " ".join(words), error.get("param")


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, url: str, key: Secret | None) -> LLMError:
    """Return the error for an answer with a status other than 200. The key never appears in it."""
    html = looks_like_html(body, headers.get("Content-Type", ""))
    try:
        fields = None if html else error_fields(load_json(body))
    except ValueError:
        fields = None
    message, code, param = fields or (_plain(body, html), "", None)
    if key is not None:
        message = key.scrub(message)
    message = message.strip()[:_DETAIL]  # after the key is masked: a piece of it would not be found
    wait = retry_after(headers)
    if 300 <= status < 400:
        return _error("wrong_endpoint", _redirect(headers, url), status)
    reason, parameter = _reason(status, message, code, param, spoke=fields is not None)
    detail = f"{status} {message}".strip()
    if reason == "wrong_endpoint":
        detail = f"{detail} (asked {url})"
    return _error(reason, detail, status, retry_after=wait, parameter=parameter)


def in_stream(fields: tuple[str, str, object], key: Secret | None) -> tuple[Reason, str, str | None]:
    """Return (reason, detail, parameter) for an error object inside an answer with status 200."""
    message, code, param = fields
    numbers = [int(word) for word in code.split() if word.isdigit()]
    status = numbers[0] if numbers and 400 <= numbers[0] < 600 else 0
    if status:
        reason, parameter = _reason(status, message, code, param, spoke=True)
    elif any(word in code for word in _QUOTA):
        reason, parameter = "quota", None
    elif "rate_limit" in code:
        reason, parameter = "rate_limited", None
    elif "invalid_request" in code or "BadRequest" in code:
        reason, parameter = _reason(400, message, code, param, spoke=True)
    else:
        reason, parameter = "server_error", None
    return reason, (key.scrub(message) if key else message)[:_DETAIL], parameter


def _error(
    reason: Reason,
    detail: str,
    status: int,
    *,
    retry_after: float | None = None,
    parameter: str | None = None,
) -> LLMError:
    return LLMError(
        reason,
        detail,
        retry_after=retry_after,
        parameter=parameter,
        status=status,
        billed=status in _BILLED_STATUS,
    )


def _reason(status: int, message: str, code: str, param: object, *, spoke: bool) -> tuple[Reason, str | None]:
    """Class a refusal; ``spoke`` says whether the body was an error object, not just some text."""
    if any(word in code for word in _QUOTA) or status == 402:
        return "quota", None
    if "model_not_found" in code:
        return "model_not_found", None
    if status in (401, 403, 407):
        return "auth", None
    if _OTHER_API.search(message):
        return "wrong_endpoint", None
    if status == 404:
        return ("model_not_found" if spoke and _NO_MODEL.search(message) else "wrong_endpoint"), None
    if status in (405, 410, 426, 501):
        return "wrong_endpoint", None
    if status in (425, 429):
        return "rate_limited", None
    if status == 408:
        return "timeout", None
    if status >= 500:
        return "server_error", None
    if "content_filter" in code or "content_policy" in code:
        return "refused", None
    if status == 413 or "context_length" in code or _LENGTH.search(message):
        return "context_length", None
    parameter = refused_parameter(message, param)
    if parameter is None and _NO_MODEL.search(message):
        return "model_not_found", None
    return "bad_request", parameter


def _redirect(headers: Mapping[str, str], url: str) -> str:
    target = headers.get("Location", "")
    where = host_of(target) if "://" in target else host_of(url)
    same = "the same host" if where == host_of(url) else where or "nowhere"
    return f"the server redirects to {same}; nothing was sent there (asked {url})"


def _plain(body: bytes, html: bool) -> str:
    if html:
        title = re.search(rb"<title[^>]*>(.*?)</title", body[:20_000], re.I | re.S)
        words = title.group(1).decode("utf-8", "replace").strip() if title else ""
        return f"a web page{f' titled {words!r}' if words else ''} instead of JSON"
    return body.decode("utf-8", "replace")
