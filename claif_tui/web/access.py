"""Who may come in: secret links, the cookies they are traded for, and which Host and Origin are ours. No I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest, digest
from secrets import token_bytes, token_hex, token_urlsafe
from urllib.parse import urlsplit

from claif_tui.core.errors import UsageError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
WILDCARDS = frozenset({"0.0.0.0", "::"})
_SEAT = re.compile(r"[0-9a-f]{16}")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a valid cookie: whose link it was, and the browser it sits in."""

    rater: str
    seat: str


class Links:
    """One secret link for each rater. Only hashes of the secrets are kept, for as long as the server runs.

    A link's secret is traded once a browser for a cookie of another value, so that neither the link nor anything
    that leads back to it lies in the browser.
    """

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._raters: dict[bytes, str] = {}

    def issue(self, rater: str) -> str:
        """Return a new secret for a rater: 43 characters of URL-safe text. It cannot be asked for again."""
        secret = token_urlsafe(32)
        self._raters[sha256(secret.encode()).digest()] = rater
        return secret

    def redeem(self, secret: str) -> str | None:
        """Return whose link holds this secret, None for nobody's."""
        wanted = sha256(secret.encode("utf-8", "replace")).digest()
        # Every one is compared, so that the time says nothing.
        found = [rater for known, rater in self._raters.items() if compare_digest(known, wanted)]
        return found[0] if found else None

    def cookie(self, rater: str) -> str:
        """Return the cookie's value for a rater; it means nothing to another server."""
        return digest(self._key, rater.encode(), "sha256").hex()

    def holder(self, cookie: str | None) -> str | None:
        """Return whose cookie this is, None for nobody's."""
        given = (cookie or "").encode("utf-8", "replace")
        found = [rater for rater in self._raters.values() if compare_digest(self.cookie(rater).encode(), given)]
        return found[0] if found else None


def seat_of(cookie: str | None) -> str:
    """Return the browser's own mark if it has one of ours, else a new one. No secret: it only tells two apart."""
    return cookie if cookie is not None and _SEAT.fullmatch(cookie) else token_hex(8)


class Names:
    """By which names this server may be called (Host), and which pages may speak to it (Origin).

    A page elsewhere that points its own name at this machine (DNS rebinding) sends that name as Host: it is none of
    ours. Ports are not compared with our own, as behind an SSH tunnel they differ; Origin must equal Host.
    """

    def __init__(self, host: str, *, here: str = "", public_url: str | None = None) -> None:
        self._names = {*LOOPBACK, host.lower()} - WILDCARDS
        self._any_number = host in WILDCARDS
        if self._any_number and here:
            self._names.add(here.lower())
        self.public = None
        if public_url is not None:
            parts = _parts(public_url)
            self.public = f"{parts.scheme}://{parts.netloc.lower()}"
            self._names.add(parts.hostname or "")

    @property
    def secure(self) -> bool:
        """Whether browsers come through TLS, as the public address says."""
        return self.public is not None and self.public.startswith("https:")

    def called(self, host: str | None) -> bool:
        """Whether a Host header names this server."""
        name = _hostname(host or "")
        if name is None:
            return False
        if name in self._names:
            return True
        if not self._any_number:
            return False
        try:  # an address in numbers is nobody's name, so nothing can be rebound to it
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def ours(self, origin: str | None, host: str | None) -> bool:
        """Whether an Origin header is that of our own pages, as they are reached under ``host``."""
        if origin is None or not self.called(host):
            return False
        return origin == self.public or origin == f"http://{(host or '').lower()}"


def _hostname(header: str) -> str | None:
    found = _HOST.fullmatch(header.lower())
    return (found[1] or found[2]) if found else None


def _parts(url: str) -> _Split:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        good = False
    if not good or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise UsageError(
            f"{url!r} is no address of a site", "Expected scheme and name only, as in https://rate.example.org"
        )
    return _Split(parts.scheme, parts.netloc, parts.hostname)


@dataclass(frozen=True, slots=True)
class _Split:
    scheme: str
    netloc: str
    hostname: str | None


def site(host: str, port: int) -> str:
    """Return the address under which a browser finds ``host`` and ``port``."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def chosen(raters: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the raters to make links for: the chosen ones, all without a choice. ``UsageError`` for others."""
    for name in wanted:
        if name not in raters:
            raise UsageError(f"{name!r} is no rater of this study", f"Raters: {', '.join(raters)}")
    return tuple(dict.fromkeys(wanted)) or tuple(raters)
