"""Endpoint profiles: a name for an endpoint, its model, its key source and limits; and which one a command means.

No files (see ``core.settings``) and no connections (see ``factory``). A profile's *name* is part of every call's
address: a moved server keeps its name, and nothing is billed twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from claif_tui.core.errors import UsageError
from claif_tui.core.llm.base import Api, Price, Sampling
from claif_tui.core.llm.prices import FREE, listed_model_host, table_price, user_price
from claif_tui.core.llm.rules import Rule, why_not
from claif_tui.core.llm.transport import host_of, is_loopback, normal_base_url
from claif_tui.core.llm.wire import effective_sampling

Kind = Literal["openai", "litellm", "offline", "local"]

LITELLM_PREFIX = "litellm:"
LOCAL_PREFIX = "local:"
OFFLINE_MODEL = "offline"
MAX_CONCURRENCY = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One endpoint. A key is looked for in ``api_key_env``, then the keyring, then ``key_file``, and is sent to
    the host of ``base_url`` only. ``refused`` names, per model, the parameters not to send; the user agreed to
    each. Prices in dollars per million tokens, read on ``price_as_of``. ``device`` and ``dtype`` are where and in which
    precision a local model is computed; like a URL they are no part of an address.
    """

    name: str
    kind: Kind = "openai"
    base_url: str | None = None
    model: str | None = None
    api: Api = "chat"
    api_key_env: str | None = None
    keyring: bool = False
    key_file: str | None = None
    ca_file: str | None = None
    concurrency: int = 64
    rpm: int | None = None
    tpm: int | None = None
    price_in: float | None = None
    price_out: float | None = None
    price_as_of: str = ""
    device: str = "auto"
    dtype: str = "auto"
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Host (and port) the key is bound to; empty where no URL is known here."""
        return host_of(self.base_url) if self.base_url else ""

    @property
    def here(self) -> bool:
        """Whether the model runs in a process of ours: it costs nothing, has no key, and refuses no parameter."""
        return self.kind in ("offline", "local")

    @property
    def wants_key(self) -> bool:
        """Whether a key source is named: then a missing key is an error, else none is sent."""
        return bool(self.api_key_env or self.keyring or self.key_file)

    @property
    def clear_text(self) -> bool:
        """Whether a key would cross a network unencrypted: worth a warning, never a refusal."""
        url = self.base_url or ""
        return self.wants_key and url.startswith("http:") and not is_loopback(url)


BUILT_IN: Mapping[str, Profile] = {
    # Two threads serve it; a longer queue would only keep scores waiting behind generations.
    "offline": Profile(name="offline", kind="offline", model=OFFLINE_MODEL, concurrency=4),
    "openai": Profile(name="openai", base_url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY"),
}
_LITELLM = Profile(name="litellm", kind="litellm")
"""What ``litellm:MODEL`` means, and what a recipe that was run so names afterwards."""


_LOCAL = Profile(name="local", kind="local", concurrency=32)
"""What ``local:PATH-OR-NAME`` means, unless the settings have a profile of this name and kind."""
IMPLIED: Mapping[str, Profile] = {_LITELLM.name: _LITELLM, _LOCAL.name: _LOCAL}
"""Profiles that a model's prefix names and that nobody needs to write down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the flags of one command ask for; None where a flag is absent."""

    profile: str | None = None
    model: str | None = None
    base_url: str | None = None
    api: Api | None = None
    api_key_env: str | None = None
    concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    price_in: float | None = None
    price_out: float | None = None


def resolve(
    profiles: Mapping[str, Profile], wish: Wish, *, default: str = "offline", today: str = ""
) -> Profile:
    """Return the profile a command means, with its model set and the flags worked in.

    ``--profile`` names one; else ``--base-url`` finds the saved one of that URL or makes one named after its
    host; else the model decides (``litellm:…``, ``local:…``, ``offline``, a profile's own model, a listed
    OpenAI model); else ``default``. ``today`` dates a price given by flags. Raises ``UsageError``.
    """
    if wish.profile is not None:
        base = named({**IMPLIED, **profiles}, wish.profile)
        if wish.base_url is not None:
            base = _moved(base, normal_base_url(wish.base_url))
    elif wish.base_url is not None:
        base = _by_url(profiles, normal_base_url(wish.base_url))
    else:
        base = _by_model(profiles, wish.model, default)
    return _worked_in(base, wish, today)


def named(profiles: Mapping[str, Profile], name: str) -> Profile:
    """Return the profile of that name; ``UsageError`` names the nearest one."""
    found = profiles.get(name)
    if found is None:
        close = difflib.get_close_matches(name, profiles, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        known = ", ".join(sorted(profiles))
        raise UsageError(
            f"there is no endpoint profile {name!r}", f"{hint}Known: {known}. --base-url URL needs no profile."
        )
    return found


def price_of(profile: Profile) -> Price | None:
    """Return what the profile's model costs: the user's own figure, nothing for a model of ours, else the listed
    price; None is unknown.
    """
    if profile.here:
        return FREE
    own = user_price(profile.price_in, profile.price_out, profile.price_as_of)
    if own is not None or profile.model is None:
        return own
    return table_price(profile.host, profile.model)


def require_logits(profile: Profile, rule: Rule) -> None:
    """Raise ``UsageError`` where the profile's model cannot follow a decoding rule; it says what runs there."""
    if profile.kind != "local":
        raise UsageError(*why_not(rule, f"the endpoint {profile.name!r}"))


def length_limit(profile: Profile, max_tokens: int | None) -> int | None:
    """Return the longest answer in tokens that is really asked for; None where the model refuses every limit."""
    return effective_sampling(Sampling(max_tokens=max_tokens), refused_by(profile)).max_tokens


def refused_by(profile: Profile) -> tuple[str, ...]:
    """Return the parameters not to send to the profile's model."""
    return profile.refused.get(profile.model or "", ())


def _moved(base: Profile, url: str) -> Profile:
    """Return the profile at another URL. Its key stays behind when the host changes."""
    if base.kind != "openai":
        raise UsageError(
            f"--base-url: the profile {base.name!r} has no URL", "Leave out --profile or --base-url."
        )
    moved = replace(base, base_url=url)
    if moved.host == base.host:
        return moved
    return replace(moved, api_key_env=None, keyring=False, key_file=None)


def _by_url(profiles: Mapping[str, Profile], url: str) -> Profile:
    for profile in profiles.values():
        if profile.base_url == url:
            return profile
    name = host_of(url)
    path = urlsplit(url).path.removesuffix("/v1")
    name = f"{name}{path}"
    if name in profiles:
        name = f"{name}:{443 if url.startswith('https') else 80}"
    return Profile(name=name, base_url=url)


def _by_model(profiles: Mapping[str, Profile], model: str | None, default: str) -> Profile:
    if model is None:
        return named(profiles, default)
    if model.startswith(LITELLM_PREFIX):
        return _LITELLM
    if model.startswith(LOCAL_PREFIX):
        return _local(profiles)
    if model == OFFLINE_MODEL:
        return profiles["offline"]
    chosen = named(profiles, default)
    if chosen.kind != "offline":
        return chosen
    for profile in profiles.values():
        if profile.model == model:
            return profile
    host = listed_model_host(model)
    for profile in profiles.values():
        if host and profile.host == host:
            return profile
    raise UsageError(
        f"unknown model {model!r}: no endpoint is chosen, and the offline model has one model only",
        "Say where it runs: --base-url URL, --profile NAME, --model local:PATH-OR-NAME or litellm:PROVIDER/MODEL.",
    )


def _local(profiles: Mapping[str, Profile]) -> Profile:
    found = profiles.get(_LOCAL.name, _LOCAL)
    if found.kind != "local":
        raise UsageError(
            f"the endpoint profile {_LOCAL.name!r} is a server, so that local:… would be ambiguous",
            "Give that profile another name, or make one of kind local and choose it with --profile.",
        )
    return found


def _worked_in(base: Profile, wish: Wish, today: str) -> Profile:
    model = wish.model or base.model
    if base.kind == "litellm" and model is not None:
        model = model.removeprefix(LITELLM_PREFIX)
        if "://" in model:  # some providers take it for the host to send their key to
            raise UsageError(
                f"the model {model!r} holds a URL", "Name the endpoint with --base-url URL instead."
            )
    if base.kind == "local" and model is not None:
        model = model.removeprefix(LOCAL_PREFIX)
    if not model:
        raise UsageError(f"no model is named for the endpoint {base.name!r}", "Give --model NAME.")
    if base.kind == "offline" and model != OFFLINE_MODEL:
        raise UsageError(f"the offline profile has no model {model!r}", "Its one model is called offline.")
    for flag, value, top in (
        ("--concurrency", wish.concurrency, MAX_CONCURRENCY),
        ("--rpm", wish.rpm, None),
        ("--tpm", wish.tpm, None),
    ):
        if value is not None and (value < 1 or (top is not None and value > top)):
            upto = f" to {top}" if top else " up"
            raise UsageError(f"{flag} is {value}: expected a whole number from 1{upto}")
    changed = replace(
        base,
        model=model,
        api=wish.api or base.api,
        api_key_env=wish.api_key_env or base.api_key_env,
        concurrency=wish.concurrency or base.concurrency,
        rpm=wish.rpm or base.rpm,
        tpm=wish.tpm or base.tpm,
    )
    if user_price(wish.price_in, wish.price_out, today) is not None:
        changed = replace(changed, price_in=wish.price_in, price_out=wish.price_out, price_as_of=today)
    return changed
