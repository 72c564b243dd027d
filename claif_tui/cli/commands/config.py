"""``claif-tui config``: your settings and endpoint profiles."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, settings
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.llm.profiles import Profile

_WHOLE = {"concurrency", "rpm", "tpm"}
_DOLLARS = {"price_in", "price_out"}


@click.group("config")
def command() -> None:
    """Show or change your settings and endpoint profiles. Keys are never among them."""


@command.command("path")
@json_option
def path(as_json: bool) -> None:
    """Print where the settings file is, or would be."""
    from claif_tui.core.settings import settings_path

    place = settings_path()
    if as_json:
        output.document({"path": str(place), "exists": place.exists()})
    else:
        output.line(str(place))


@command.command("show")
@json_option
def show(as_json: bool) -> None:
    """Show every setting, where its value comes from, and the endpoint profiles."""
    from claif_tui.core.llm.keys import key_source
    from claif_tui.core.llm.profiles import price_of

    found = settings()
    lines = found.show()
    if as_json:
        profiles = {
            name: {
                **asdict(profile),
                "refused": {model: list(names) for model, names in profile.refused.items()},
            }
            for name, profile in found.profiles.items()
        }
        values = {line.key: {"value": line.value, "origin": line.origin, "where": line.where} for line in lines}
        output.document({"path": str(found.path), "settings": values, "profiles": profiles})
        return
    rows = [(line.key, _shown(line.value), line.where or line.origin, line.help) for line in lines]
    output.table(rows, head=("setting", "value", "from", "meaning"))
    output.line()
    endpoints = []
    for profile in found.profiles.values():
        price = price_of(profile)
        cost = "unknown" if price is None else f"${price.input_usd_per_m:g} / ${price.output_usd_per_m:g}"
        endpoints.append(
            (profile.name, profile.base_url or profile.kind, profile.model, key_source(profile), cost)
        )
    output.table(endpoints, head=("profile", "endpoint", "model", "key", "price in / out per M"))


@command.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--unset", is_flag=True, help="Take the setting out of the file.")
@json_option
def set_(key: str, value: str | None, unset: bool, as_json: bool) -> None:
    """Change a setting, or a profile's field as profiles.NAME.FIELD. Comments in the file stay.

    \b
    config set budget 5
    config set profiles.mine.base_url http://gpu7:8000/v1
    config set profiles.mine.model llama-3.3-70b
    """
    from claif_tui.core.settings import change, setting_of

    if unset == (value is not None):
        raise UsageError("give a value, or --unset", f"For example: config set {key} VALUE")
    if key.startswith("profiles."):
        _set_profile(key, value)
    else:
        setting_of(key)
        change(key, value)
    if as_json:
        output.document({"key": key, "value": value})
    else:
        output.line(f"{key} is unset" if value is None else f"{key} = {value}")


def _set_profile(key: str, value: str | None) -> None:
    from claif_tui.core.llm.profiles import IMPLIED, Profile
    from claif_tui.core.settings import delete_profile, save_profile

    name, _, field = key.removeprefix("profiles.").rpartition(".")
    known = [item.name for item in fields(Profile) if item.name not in ("name", "refused")]
    if value is None and key.count(".") == 1:
        delete_profile(key.removeprefix("profiles."))
        return
    if not name or field not in known:
        raise UsageError(
            f"{key!r} is no field of a profile", f"profiles.NAME.FIELD, with FIELD one of {', '.join(known)}"
        )
    profile = settings().profiles.get(name) or IMPLIED.get(name, Profile(name=name))
    if profile.kind == "openai" and not profile.base_url and field != "base_url" and field != "kind":
        raise UsageError(
            f"the profile {name!r} is new and has no base_url",
            f"First: config set profiles.{name}.base_url URL",
        )
    save_profile(_changed(profile, field, value))


def _changed(profile: Profile, field: str, value: str | None) -> Profile:
    from claif_tui.core.llm.profiles import Profile

    parsed: Any = value
    if value is None:
        parsed = getattr(Profile(name=profile.name), field)
    elif field in _WHOLE or field in _DOLLARS:
        try:
            parsed = int(value) if field in _WHOLE else float(value)
        except ValueError:
            raise UsageError(
                f"{field} is {value!r}: expected a {'whole ' if field in _WHOLE else ''}number"
            ) from None
    elif field == "keyring":
        parsed = value.strip().lower() in ("true", "yes", "on", "1")
    return replace(profile, **{field: parsed})


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return (
        "none"
        if value is None
        else {True: "true", False: "false"}.get(value, str(value))
        if isinstance(value, bool)
        else str(value)
    )
