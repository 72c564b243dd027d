"""Settings: the endpoints and where their keys come from (never the keys), and how the app looks and acts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from claif_tui.core.errors import ClaifError
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.theme import OFFERED
from claif_tui.ui.widgets.fields import Field

if TYPE_CHECKING:
    from claif_tui.core.llm.profiles import Profile
    from claif_tui.core.settings import Settings, Shown

FIELDS: tuple[tuple[str, str], ...] = (
    ("theme", "theme"),
    ("author", "author"),
    ("profile", "profile"),
    ("budget", "budget $"),
    ("stream", "stream"),
    ("mouse", "mouse"),
)
"""Settings with a field here, in order; ``core.settings`` declares what they mean."""


class SettingsScreen(ClaifScreen):
    """The endpoints on the left, the rest on the right."""

    place = "settings"
    CSS_PATH = "settings.tcss"
    HELP_TEXT = (
        "An endpoint profile names a server, a model and where its key comes from: an environment variable, the "
        "system's keyring, or a file that only you can read. The key itself is never shown, and is sent to that "
        "server's host only.\n\n"
        "t sends one short request with the profile and says what came back: reachable, which parameters the model "
        "refuses, whether it reports usage.\n\n"
        "The fields on the right are saved as you change them. 3 Recipe says which profile a project uses."
    )
    BINDINGS = [
        Binding("a", "add", "Add", id="settings.add", tooltip="Add an endpoint profile"),
        Binding("e", "edit", "Edit", id="settings.edit", tooltip="Edit the profile under the cursor"),
        Binding(
            "t", "test", "Test", id="settings.test", tooltip="Send one short request and see what comes back"
        ),
        Binding(
            "s", "store_key", "Store key", id="settings.key", tooltip="Put a key into the system's keyring"
        ),
        Binding("x", "remove", "Remove", id="settings.remove", tooltip="Remove the profile; asks first"),
        Binding("m", "keys", "Keys", id="settings.keys", tooltip="Put actions on other keys"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._settings: Settings | None = None
        self._names: list[str] = []
        self._unkept: dict[str, tuple[Field, str]] = {}

    def body(self) -> ComposeResult:
        """List, card, fields."""
        with Vertical(id="left"):
            with Vertical(classes="panel", id="profiles") as panel:
                panel.border_title = "Endpoints"
                yield OptionList(id="list", markup=False, compact=True)
            with VerticalScroll(classes="panel", id="profile", can_focus=False):
                yield Static("", id="profile-text", markup=False)
        with VerticalScroll(classes="panel", id="app", can_focus=False) as panel:
            panel.border_title = "App"
            for key, label in FIELDS:
                yield Field(key, label, options=_options(key))
            yield Static("", id="where", markup=False)

    def rest(self) -> Widget | None:
        """The list of profiles."""
        return self.query_one("#list", OptionList)

    def on_mount(self) -> None:
        """The settings are there without a project."""
        super().on_mount()
        self.query_one("#list", OptionList).focus()

    async def load(self) -> None:
        """Read the settings file."""
        from claif_tui.core import settings

        self._settings = await self.shell.background(settings.load)
        self._show(self._settings)

    def _show(self, known: Settings) -> None:
        listed = self.query_one("#list", OptionList)
        at = listed.highlighted or 0
        self._names = list(known.profiles)
        listed.clear_options()
        listed.add_options([Option(_label(profile)) for profile in known.profiles.values()])
        listed.highlighted = min(at, len(self._names) - 1)
        for field in self.query(Field):
            if field.key == "profile":
                field.set_options(self._names)
            line = known.lines[field.key]
            field.show(safe.editable(_text(line)))
            field.problem("")
            field.note(f"{line.where} decides; the file does not" if line.origin == "env" else "")
        self.query_one("#where", Static).update(safe.lines("", *_where(known)))
        self._show_profile()

    # -- profiles ----------------------------------------------------------------------------------------

    @property
    def current(self) -> Profile | None:
        """The profile under the cursor."""
        at = self.query_one("#list", OptionList).highlighted
        if self._settings is None or at is None or at >= len(self._names):
            return None
        return self._settings.profiles[self._names[at]]

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self._show_profile()

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self.action_edit()

    def _show_profile(self) -> None:
        profile = self.current
        if profile is not None:
            self.query_one("#profile").border_title = safe.line(profile.name)
            self.query_one("#profile-text", Static).update(safe.lines(*_card(profile)))

    def action_add(self) -> None:
        """Add a profile."""
        self.ask(partial(self._edit, None), description="add a profile")

    def action_edit(self) -> None:
        """Edit the profile under the cursor."""
        profile = self.current
        if profile is None:
            return
        if profile.kind == "offline":
            self.shell.say("The offline model needs no settings.")
        else:
            self.ask(partial(self._edit, profile), description="edit a profile")

    async def _edit(self, profile: Profile | None) -> None:
        from claif_tui.ui.screens.profile_edit import ProfileModal

        known = set(self._names)
        saved = await self.app.push_screen_wait(ProfileModal(profile, known))
        if saved is not None:
            await self.load()
            self.query_one("#list", OptionList).highlighted = self._names.index(saved.name)
            self.shell.say(f"Saved the profile {saved.name}. t tests it.")

    def action_remove(self) -> None:
        """Remove the profile under the cursor."""
        profile = self.current
        if profile is not None:
            self.ask(partial(self._remove, profile), description="remove a profile")

    async def _remove(self, profile: Profile) -> None:
        from claif_tui.core import settings
        from claif_tui.core.llm.profiles import BUILT_IN
        from claif_tui.ui.dialogs import ConfirmModal

        built_in = profile.name in BUILT_IN
        question = (
            f"{profile.name} is built in: what you changed in it is taken back."
            if built_in
            else f"The profile {profile.name} is taken out of the settings. Answers that it paid for stay."
        )
        if await self.app.push_screen_wait(ConfirmModal("Remove?", question, yes="Remove it", no="Keep it")):
            await self.shell.background(partial(settings.delete_profile, profile.name))
            await self.load()

    def action_store_key(self) -> None:
        """Put a key into the keyring."""
        profile = self.current
        if profile is None or profile.here:
            self.shell.say("A model on this machine needs no key.")
        else:
            self.ask(partial(self._store_key, profile), description="store a key")

    async def _store_key(self, profile: Profile) -> None:
        from claif_tui.ui.dialogs import InputModal
        from claif_tui.ui.screens.profile_edit import keep_key

        hint = (
            f"It goes into the system's keyring, for {profile.host or profile.name} only, and is never shown."
        )
        typed = await self.app.push_screen_wait(InputModal(f"Key of {profile.name}", hint=hint, password=True))
        if typed:
            await self.shell.background(partial(keep_key, profile, typed))
            await self.load()
            self.shell.say(f"The keyring holds a key for {profile.name}.")

    def action_test(self) -> None:
        """Send one short request."""
        profile = self.current
        if profile is not None:
            self.ask(partial(self._test, profile), description="test an endpoint")

    async def _test(self, profile: Profile) -> None:
        from claif_tui.ui.screens.profile_test import test_profile

        if await test_profile(self, profile):
            await self.load()

    def action_keys(self) -> None:
        """Put actions on other keys."""
        self.ask(self._keys, description="keys")

    async def _keys(self) -> None:
        from claif_tui.ui.screens.keys import KeysModal

        await self.app.push_screen_wait(KeysModal())
        await self.load()

    # -- fields ------------------------------------------------------------------------------------------

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        if event.key == "theme":
            self.app.theme = event.text
        idle = not self._unkept
        self._unkept[event.key] = (event.field, event.text)
        if idle:
            self.run_worker(self._keep(), group="keep", exit_on_error=False, description="keep settings")

    async def _keep(self) -> None:
        """Write what was edited, one after the other, the newest text of each field."""
        from claif_tui.core import settings

        while self._unkept:
            key, (field, text) = next(iter(self._unkept.items()))
            try:
                await self.shell.background(partial(settings.change, key, text or None))
            except ClaifError as error:
                problem = error.message
            else:
                problem = ""
            if self._unkept[key][1] == text:
                del self._unkept[key]
                field.problem(problem)

    def copy_target(self) -> tuple[str, str] | None:
        """The base URL of the profile under the cursor."""
        profile = self.current
        return None if profile is None or not profile.base_url else ("the base URL", profile.base_url)


def _options(key: str) -> tuple[str, ...] | None:
    if key == "theme":
        return OFFERED
    if key == "profile":
        return ("offline",)
    return ("yes", "no") if key in ("stream", "mouse") else None


def _text(line: Shown) -> str:
    if isinstance(line.value, bool):
        return "yes" if line.value else "no"
    return "" if line.value is None else f"{line.value:g}" if isinstance(line.value, float) else str(line.value)


def _label(profile: Profile) -> safe.Content:
    where = "on this machine" if profile.here else profile.base_url or profile.kind
    return safe.join((f"{profile.name:<14} ", "bold"), f"{profile.model or '-'}  ", (where, "$text-muted"))


def _card(profile: Profile) -> list[safe.Part]:
    from claif_tui.core.llm.keys import key_source
    from claif_tui.core.llm.prices import describe
    from claif_tui.core.llm.profiles import price_of

    limits = [f"{profile.concurrency} at once"]
    limits += [f"{profile.rpm:,} requests a minute"] if profile.rpm else []
    limits += [f"{profile.tpm:,} tokens a minute"] if profile.tpm else []
    price = describe(price_of(profile)).replace(
        "set --price-in and --price-out, in dollars", "e sets it, in dollars"
    )
    rows: list[safe.Part] = [
        _fact("kind", "the packaged offline model" if profile.kind == "offline" else profile.kind),
        _fact("base URL", profile.base_url or "-"),
        _fact("model", profile.model or "- (the recipe names it)"),
        _fact("api", profile.api),
        _fact("key", key_source(profile)),
        _fact("price", price),
        _fact("limits", ", ".join(limits)),
    ]
    rows += [_fact("not sent", f"{', '.join(names)} (to {model})") for model, names in profile.refused.items()]
    if profile.clear_text:
        rows.append(safe.line("! The key would cross the network unencrypted: use https.", "$text-warning"))
    return rows


def _fact(name: str, value: str) -> safe.Content:
    return safe.join((f"{name:<10}", "$text-muted"), value)


def _where(known: Settings) -> list[safe.Part]:
    rows: list[safe.Part] = [safe.join(("file  ", "$text-muted"), str(known.path))]
    rows += [safe.join(("key   ", "$text-muted"), f"{action} on {key}") for action, key in known.keys.items()]
    return rows
