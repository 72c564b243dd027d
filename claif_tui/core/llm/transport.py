"""How a connection to an endpoint is made: base URL rules, proxies, certificates. Nothing about requests.

Everything is worked out here, explicitly, so that the HTTP library never reads ``~/.netrc`` on its own.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from claif_tui.core.errors import EndpointError, UsageError

_PATH_TAILS = ("/chat/completions", "/completions", "/embeddings", "/models")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to connect, to the first byte of an answer, between two chunks, and for a whole answer."""

    connect: float = 15.0
    first_byte: float = 180.0
    between_chunks: float = 60.0
    total: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy for one URL; ``url`` carries no credentials, they are in ``user`` and ``password``."""

    url: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def normal_base_url(raw: str) -> str:
    """Return a base URL in one spelling: no trailing slash, no ``/chat/completions`` tail.

    Raises ``UsageError`` when it is no http(s) URL, or carries credentials or a query (they would end up in
    files and messages).
    """
    text = raw.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        shown = f"{raw!r} is not a URL ({error})" if "@" not in raw else "what is given is not a URL"
        raise UsageError(f"--base-url: {shown}", _URL_HINT) from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--base-url: {_without_credentials(parts, raw)!r} is not an http(s) URL", _URL_HINT)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "--base-url: a user name or password in the URL is refused",
            "Put the key in an environment variable and name it with --api-key-env NAME.",
        )
    if parts.query or parts.fragment:
        raise UsageError("--base-url: a query (?…) or fragment (#…) is not part of a base URL", _URL_HINT)
    path = parts.path
    for tail in _PATH_TAILS:
        if path.endswith(tail):
            path = path[: -len(tail)]
            break
    host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    return f"{parts.scheme.lower()}://{host}{f':{port}' if port else ''}{path.rstrip('/')}"


_URL_HINT = "Expected something like https://api.openai.com/v1 or http://localhost:8000/v1."


def _without_credentials(parts: SplitResult, raw: str) -> str:
    return raw.rpartition("@")[2] if parts.username is not None or "@" in raw else raw


def host_of(url: str) -> str:
    """Return ``host`` or ``host:port`` of a URL, lower case: what a profile's key is bound to."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return f"{host}:{parts.port}" if parts.port else host


def is_loopback(url: str) -> bool:
    """Whether the URL points at this machine."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy the environment names for ``url``, or None; loopback never goes through one.

    Lower-case names win over upper-case ones; ``HTTP_PROXY`` is read like curl does, ``ALL_PROXY`` last.
    Raises ``EndpointError`` for a proxy kind that is not supported (SOCKS).
    """
    env = os.environ if environ is None else environ
    scheme = urlsplit(url).scheme.lower()
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        value = env.get(name, "").strip()
        if value:
            break
    else:
        return None
    if is_loopback(url) or _bypassed(url, env.get("no_proxy") or env.get("NO_PROXY") or ""):
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError(
            f"{name}: only http:// and https:// proxies work here, not {parts.scheme}://",
            f"Set {name} to an HTTP proxy, or add the endpoint's host to NO_PROXY.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
    return Proxy(url=where, user=parts.username, password=parts.password)


def _bypassed(url: str, no_proxy: str) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for raw in no_proxy.split(","):
        entry = raw.strip().lower()
        if not entry:
            continue
        if entry == "*":
            return True
        if "/" in entry and _in_network(host, entry):
            return True
        name, _, wanted = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if wanted and wanted != str(port):
            continue
        name = name.removeprefix("*").lstrip(".")
        if host == name or host.endswith(f".{name}"):
            return True
    return False


def _in_network(host: str, entry: str) -> bool:
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False


def tls_context(ca_file: str | None, environ: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """Return the TLS settings: the system's certificates, or those of the profile or the environment.

    Order: the profile's ``ca_file``, ``SSL_CERT_FILE``/``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE``. A file that
    is named but cannot be used raises ``EndpointError``: falling back silently would hide a typo.
    """
    env = os.environ if environ is None else environ
    file, folder, said = None, None, ""
    if ca_file:
        file, said = ca_file, "ca_file"
    elif env.get("SSL_CERT_FILE") or env.get("SSL_CERT_DIR"):
        file, folder = env.get("SSL_CERT_FILE") or None, env.get("SSL_CERT_DIR") or None
        said = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
    elif env.get("REQUESTS_CA_BUNDLE"):
        bundle, said = env["REQUESTS_CA_BUNDLE"], "REQUESTS_CA_BUNDLE"
        file, folder = (None, bundle) if Path(bundle).is_dir() else (bundle, None)
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(
            f"{said}: cannot read certificates from {file or folder} ({error.strerror or error})",
            "Expected a PEM file with CA certificates.",
        ) from None
