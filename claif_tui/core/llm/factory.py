"""From a profile to a client that can be opened. Each kind is imported only when it is used."""

from __future__ import annotations

from collections.abc import Mapping

from claif_tui.core.errors import UsageError
from claif_tui.core.llm.base import LLMClient
from claif_tui.core.llm.keys import find_key
from claif_tui.core.llm.profiles import Profile


def open_client(
    profile: Profile, *, streaming: bool = True, environ: Mapping[str, str] | None = None
) -> LLMClient:
    """Return the client of a resolved profile; ``await client.open()`` is still to come.

    ``streaming`` asks for answers token by token. Raises ``EndpointError`` when a key is wanted and not found.
    """
    if profile.kind == "offline":
        from claif_tui.core.llm.offline import OfflineClient

        return OfflineClient()
    if profile.kind == "local":
        from claif_tui.core.llm.local import LocalClient

        return LocalClient(profile.model or "", device=profile.device, dtype=profile.dtype)
    key = find_key(profile, environ)
    if profile.kind == "litellm":
        from claif_tui.core.llm.litellm_client import LiteLLMClient

        return LiteLLMClient(key=key, base_url=profile.base_url, streaming=streaming, refused=profile.refused)
    from claif_tui.core.llm.http_client import HttpClient

    if profile.base_url is None:
        raise UsageError(f"the endpoint profile {profile.name!r} has no base_url", "Give --base-url URL.")
    return HttpClient(
        profile.base_url,
        key=key,
        streaming=streaming,
        refused=profile.refused,
        ca_file=profile.ca_file,
        environ=environ,
    )
