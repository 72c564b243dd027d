"""The user's own settings: declared once in ``SETTINGS``, read with their provenance, written back with comments kept.

One file, ``config.toml`` in ``paths.config_dir()``: settings, ``[keys]`` and ``[profiles.NAME]``. No keys or other
secrets: a profile only names where its key is. Projects keep nothing here.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.llm.profiles import BUILT_IN, Profile, named
from claif_tui.core.paths import config_dir

if TYPE_CHECKING:
    from pydantic import ValidationError

Value = str | bool | float | tuple[str, ...] | None
SettingKind = Literal["text", "flag", "dollars", "list"]
Origin = Literal["default", "file", "env", "flag"]

FILE = "config.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting. ``env`` is the variable that overrides the file; ``shown`` is False for what is no choice."""

    key: str
    kind: SettingKind
    default: Value
    help: str
    shown: bool = True

    @property
    def env(self) -> str:
        """The environment variable that overrides the file."""
        return f"CLAIF_TUI_{self.key.upper()}"

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        words = {"text": "text", "flag": "true or false", "dollars": "dollars, 0 or more, or empty for none"}
        return words.get(self.kind, "a list of texts")


SETTINGS: tuple[Setting, ...] = (
    Setting(
        key="profile", kind="text", default="offline", help="endpoint profile used when a command names none"
    ),
    Setting(
        key="author", kind="text", default="", help="name in the decisions journal; empty: your login name"
    ),
    Setting(key="theme", kind="text", default="claif-dark", help="colours of the app"),
    Setting(key="mouse", kind="flag", default=True, help="whether the app listens to the mouse"),
    Setting(key="stream", kind="flag", default=True, help="show answers token by token in the app"),
    Setting(key="budget", kind="dollars", default=None, help="budget of a run that names none, in dollars"),
    Setting(
        key="evaluation_data",
        kind="text",
        default="",
        help="folder of the evaluation data; training data are compared with its test sets",
    ),
    Setting(key="recent", kind="list", default=(), help="projects opened last", shown=False),
)
_BY_KEY = {setting.key: setting for setting in SETTINGS}
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One line of ``config show``: the value, where it comes from (``where`` names the file, variable or flag)."""

    key: str
    value: Value
    origin: Origin
    where: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings as they hold now, the key map (action to key) and the profiles, built-in ones included."""

    path: Path
    lines: Mapping[str, Shown]
    keys: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: dict(BUILT_IN))

    def text(self, key: str) -> str:
        """A text setting."""
        value = self.lines[key].value
        return value if isinstance(value, str) else ""

    def flag(self, key: str) -> bool:
        """A yes-or-no setting."""
        return self.lines[key].value is True

    def dollars(self, key: str) -> float | None:
        """A dollar setting; None where none is set."""
        value = self.lines[key].value
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list setting."""
        value = self.lines[key].value
        return value if isinstance(value, tuple) else ()

    def show(self) -> list[Shown]:
        """Return every setting with its provenance, in the declared order."""
        return [self.lines[setting.key] for setting in SETTINGS if setting.shown]


def settings_path() -> Path:
    """Return where the settings file is or would be."""
    return config_dir() / FILE


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Value] | None = None,
) -> Settings:
    """Read the settings: flags over environment over file over defaults. A missing file is no error.

    Raises ``InputError`` naming the file, the field, what was expected and, for an unknown key, the nearest one.
    """
    path = settings_path() if path is None else path
    env = os.environ if environ is None else environ
    document = _read(path)
    plain, keys, profiles = _checked(document, path) if document else ({}, {}, dict(BUILT_IN))
    lines = {}
    for setting in SETTINGS:
        value, origin, where = setting.default, "default", ""
        if setting.key in plain:
            value, origin, where = plain[setting.key], "file", str(path)
        if env.get(setting.env, "").strip():
            value, origin, where = parse(setting, env[setting.env], f"${setting.env}"), "env", f"${setting.env}"
        if flags and flags.get(setting.key) is not None:
            value, origin, where = flags[setting.key], "flag", f"--{setting.key}"
        lines[setting.key] = Shown(
            key=setting.key, value=value, origin=_origin(origin), where=where, help=setting.help
        )
    return Settings(path=path, lines=lines, keys=keys, profiles=profiles)


def _origin(name: str) -> Origin:
    return "file" if name == "file" else "env" if name == "env" else "flag" if name == "flag" else "default"


def setting_of(key: str) -> Setting:
    """Return the declared setting; ``UsageError`` names the nearest key."""
    found = _BY_KEY.get(key)
    if found is None:
        raise UsageError(f"there is no setting {key!r}", _nearest(key, _BY_KEY))
    return found


def parse(setting: Setting, text: str, where: str = "") -> Value:
    """Turn what a user typed into a value; ``UsageError`` says what was expected."""
    raw = text.strip()
    if setting.kind == "text":
        return raw
    if setting.kind == "list":
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if setting.kind == "flag" and raw.lower() in _TRUE | _FALSE:
        return raw.lower() in _TRUE
    if setting.kind == "dollars":
        if not raw:
            return None
        try:
            value = float(raw.removeprefix("$"))
        except ValueError:
            value = -1.0
        if 0 <= value < 1e9:
            return value
    raise UsageError(f"{where or setting.key} is {text!r}: expected {setting.expected}")


def change(key: str, text: str | None, path: Path | None = None) -> None:
    """Set one setting in the file, or take it out (None). The rest of the file, comments included, stays."""
    setting = setting_of(key)
    value = None if text is None else parse(setting, text)
    remember(key, value, path)


def remember(key: str, value: Value, path: Path | None = None) -> None:
    """Write one value; None takes the setting out of the file."""

    def work(document: Any) -> None:
        document.pop(key, None)
        if value is not None:
            document[key] = list(value) if isinstance(value, tuple) else value

    setting_of(key)
    _edit(work, path)


def bind_key(action: str, key: str | None, path: Path | None = None) -> None:
    """Put an action on another key, or back on its own (None)."""

    def work(document: Any) -> None:
        table = document.setdefault("keys", {})
        table.pop(action, None)
        if key is not None:
            table[action] = key

    _edit(work, path)


def save_profile(profile: Profile, path: Path | None = None) -> None:
    """Write a profile: what differs from the built-in one of that name, or from the defaults.

    The offline profile cannot be changed. Raises ``InputError`` for a value or name that does not fit.
    """
    base = BUILT_IN.get(profile.name, Profile(name=profile.name))
    table: dict[str, Any] = {}
    for item in fields(Profile):
        value = getattr(profile, item.name)
        if item.name == "name" or value == getattr(base, item.name) or value is None:
            continue
        table[item.name] = (
            {model: list(names) for model, names in value.items()} if item.name == "refused" else value
        )
    _edit(lambda document: document.setdefault("profiles", {}).update({profile.name: table}), path)


def delete_profile(name: str, path: Path | None = None) -> None:
    """Take a saved profile out of the file; a built-in one falls back to what it was."""
    settings = load(path)
    named(settings.profiles, name)
    _edit(lambda document: document.get("profiles", {}).pop(name, None), path)


def remember_refused(
    profile: Profile, model: str, parameters: Iterable[str], path: Path | None = None
) -> Profile:
    """Keep, after the user agreed, which parameters not to send to a model; returns the profile as it is now."""
    known = dict(profile.refused)
    known[model] = tuple(sorted({*known.get(model, ()), *parameters}))
    settings = load(path)
    stored = settings.profiles.get(profile.name, profile)
    save_profile(replace(stored, refused={**stored.refused, model: known[model]}), path)
    return replace(profile, refused=known)


def _read(path: Path) -> Any:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: expected the settings file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text", "Save it as UTF-8, or move it away.") from None
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from None
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise InputError(
            f"{path} is not valid TOML: {error}", "Mend that line, or move the file away."
        ) from None


def _checked(document: Any, path: Path) -> tuple[dict[str, Value], dict[str, str], dict[str, Profile]]:
    """Validate a whole settings document."""
    from pydantic import ValidationError

    data = document.unwrap()
    try:
        checked = _schema().model_validate(data)
    except ValidationError as error:
        raise _field_error(error, path) from None
    given = checked.model_fields_set
    plain: dict[str, Value] = {}
    for setting in SETTINGS:
        if setting.key in given:
            value = getattr(checked, setting.key)
            plain[setting.key] = tuple(value) if isinstance(value, list) else value
    profiles = dict(BUILT_IN)
    for name, table in getattr(checked, "profiles").items():  # noqa: B009 (the model is made at run time)
        profiles[name] = replace(BUILT_IN.get(name, Profile(name=name)), **table.given())
    for name, profile in profiles.items():
        if profile.kind == "openai" and not profile.base_url:
            raise InputError(f"{path}: profiles.{name}: base_url is missing", 'Add base_url = "https://…/v1".')
    return plain, dict(getattr(checked, "keys")), profiles  # noqa: B009


def _schema() -> Any:
    """Make the file's model out of ``SETTINGS``, so that a setting is declared once."""
    from typing import Annotated

    from pydantic import ConfigDict, Field, StringConstraints, create_model

    from claif_tui.core.llm.profile_schema import NAME, Dollars, ProfileFile

    types: dict[SettingKind, Any] = {"text": str, "flag": bool, "dollars": Dollars | None, "list": list[str]}
    shape: dict[str, Any] = {item.key: (types[item.kind], item.default) for item in SETTINGS}
    name = Annotated[str, StringConstraints(pattern=NAME)]
    shape["keys"] = (dict[str, str], Field(default_factory=dict))
    shape["profiles"] = (dict[name, ProfileFile], Field(default_factory=dict))
    return create_model("SettingsFile", __config__=ConfigDict(extra="forbid", strict=True), **shape)


def _field_error(error: ValidationError, path: Path) -> InputError:
    """Return the first problem of a file: file, field, what was expected, and what stands there."""
    from claif_tui.core.llm.profile_schema import ProfileFile

    first = error.errors(include_url=False)[0]
    where = [str(part) for part in first["loc"] if part != "[key]"]
    name = ".".join(where)
    if first["type"] == "extra_forbidden":
        inside = len(where) > 1
        known = list(ProfileFile.model_fields) if inside else [*_BY_KEY, "keys", "profiles"]
        return InputError(f"{path}: unknown key {name!r}", _nearest(where[-1], known))
    setting = _BY_KEY.get(name)
    expected = f"expected {setting.expected}" if setting else first["msg"].removeprefix("Value error, ")
    value = first["input"]
    # Somebody may have pasted a key where its variable's name belongs, or credentials into a URL.
    secret = "key" in name or (isinstance(value, str) and "@" in value)
    said = f" is {value!r}" if isinstance(value, str | int | float) and not secret else ""
    return InputError(
        f"{path}: {name}{said}: {expected[0].lower()}{expected[1:]}", "Mend it, or take the line out."
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    options = list(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(options)}."


def _edit(work: Callable[[Any], object], path: Path | None) -> None:
    """Change the file and write it whole, readable by its owner only; a result that is not valid is refused."""
    import tomlkit

    path = settings_path() if path is None else path
    document = _read(path)
    if document is None:
        document = tomlkit.document()
    work(document)
    text = tomlkit.dumps(document)
    _checked(tomlkit.parse(text), path)
    target = path.resolve()  # a link into somebody's dotfiles stays a link
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise InputError(
            f"cannot write {target} ({error.strerror})", "Set CLAIF_TUI_HOME to a folder of yours."
        ) from None
