"""One endpoint profile as a form; what does not fit is said at the end of the form, and nothing is saved then."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from claif_tui.core.errors import ClaifError, InputError
from claif_tui.core.llm.profiles import MAX_CONCURRENCY, Kind, Profile
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.widgets.fields import Field

TEXTS: tuple[tuple[str, str, str], ...] = (
    ("name", "name", "a short name: it stands in every call, so keep it"),
    ("base_url", "base URL", "https://api.example.com/v1, or http://localhost:8000/v1"),
    ("model", "model", "gpt-4o-mini"),
    ("api_key_env", "key variable", "OPENAI_API_KEY (the name, not the key); empty: no key is sent"),
    ("key_file", "key file", "a file with the key alone, chmod 600"),
    ("ca_file", "CA file", "certificates of your own authority"),
    ("price_in", "price in", "dollars per million prompt tokens"),
    ("price_out", "price out", "dollars per million answer tokens"),
    ("concurrency", "at once", "requests in flight at most"),
    ("rpm", "per minute", "requests a minute; empty: no limit"),
    ("tpm", "tokens/min", "tokens a minute; empty: no limit"),
)


class ProfileModal(ClaifModal[Profile | None]):
    """Gives the saved profile, or None."""

    BINDINGS = [Binding("ctrl+s", "save", "Save", id="profile.save", tooltip="Save the profile")]

    def __init__(self, profile: Profile | None, known: set[str]) -> None:
        super().__init__()
        self._profile, self._known = profile, known
        self._texts = _texts(profile or Profile(name=""))

    def compose(self) -> ComposeResult:
        """One field under the other."""
        with VerticalScroll(classes="dialog reading", can_focus=False) as box:
            box.border_title = (
                "New endpoint" if self._profile is None else safe.line(f"Endpoint {self._profile.name}")
            )
            for key, label, placeholder in TEXTS:
                if key == "base_url":
                    yield Field("kind", "kind", options=("openai", "litellm", "local"))
                if key == "api_key_env":
                    yield Field("api", "api", options=("chat", "completions"))
                if key != "name" or self._profile is None:
                    yield Field(key, label, placeholder=placeholder)
            yield Static("", classes="problem", id="profile-problem", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Fill the fields."""
        for field in self.query(Field):
            field.show(safe.editable(self._texts[field.key]))
        self.query(Field).first().focus_editor()

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        self._texts[event.key] = event.text
        event.field.problem("")
        self.query_one("#profile-problem", Static).update(safe.line(""))

    def action_save(self) -> None:
        """Save, or say what is wrong."""
        self.run_worker(
            self._save(), group="save", exclusive=True, exit_on_error=False, description="save a profile"
        )

    async def _save(self) -> None:
        from claif_tui.core import settings

        try:
            profile = build(self._profile, self._texts, self._known)
            await self.shell.background(partial(settings.save_profile, profile))
        except ClaifError as error:
            text = f"✗ {error.message.removeprefix('--base-url: ')} {error.hint}".rstrip()
            self.query_one("#profile-problem", Static).update(safe.line(text))
            self.query_one("#profile-problem").scroll_visible(animate=False)
        else:
            self.dismiss(profile)


def build(old: Profile | None, texts: dict[str, str], known: set[str]) -> Profile:
    """Make a profile of the form's texts; raises ``InputError`` naming the field. The rest is checked on saving."""
    name = texts["name"].strip()
    if not name:
        raise InputError("name is empty", "Give a short name, as in vllm or lab.")
    if old is None and name in known:
        raise InputError(f"there is a profile {name!r} already", "Choose another name, or edit that one.")
    given: dict[str, Any] = {
        key: texts[key].strip() or None for key in ("base_url", "model", "api_key_env", "key_file", "ca_file")
    }
    if given["base_url"]:
        from claif_tui.core.llm.transport import normal_base_url

        given["base_url"] = normal_base_url(given["base_url"])
    elif texts["kind"] == "openai":
        raise InputError(
            "base URL is empty", "As in http://localhost:8000/v1; kinds litellm and local need none."
        )
    prices = (_number("price in", texts["price_in"]), _number("price out", texts["price_out"]))
    if (prices[0] is None) != (prices[1] is None):
        raise InputError("a price has two sides: give both, or none")
    base = old or Profile(name=name)
    dated = base.price_as_of if prices == (base.price_in, base.price_out) else date.today().isoformat()
    return replace(
        base,
        name=name,
        kind=cast(Kind, texts["kind"]),
        api="completions" if texts["api"] == "completions" else "chat",
        price_in=prices[0],
        price_out=prices[1],
        price_as_of=dated if prices[0] is not None else "",
        concurrency=_whole("at once", texts["concurrency"], MAX_CONCURRENCY) or Profile(name=name).concurrency,
        rpm=_whole("per minute", texts["rpm"]),
        tpm=_whole("tokens/min", texts["tpm"]),
        **given,
    )


def keep_key(profile: Profile, typed: str) -> None:
    """Put a key into the keyring and note that it is there; raises ``EndpointError``."""
    from claif_tui.core import settings
    from claif_tui.core.llm.keys import clean_key, store_key

    store_key(profile, clean_key(typed, "the field"))
    settings.save_profile(replace(profile, keyring=True))


def _texts(profile: Profile) -> dict[str, str]:
    texts: dict[str, str] = {"kind": profile.kind, "api": profile.api}
    for key, _, _ in TEXTS:
        value = getattr(profile, key)
        texts[key] = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return texts


def _number(name: str, text: str) -> float | None:
    text = text.strip().lstrip("$")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(f"{name} is {text[:20]!r}, expected dollars per million tokens, 0 or more")
    return value


def _whole(name: str, text: str, top: int | None = None) -> int | None:
    text = text.strip()
    if not text:
        return None
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1 or (top is not None and value > top):
        raise InputError(
            f"{name} is {text[:20]!r}, expected a whole number from 1" + (f" to {top}" if top else "")
        )
    return value
