"""Where an endpoint's key comes from: environment, keyring, or a private file. It is never written elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claif_tui.core.errors import EndpointError, UsageError
from claif_tui.core.llm.profiles import Profile
from claif_tui.core.llm.secret import Secret

_SERVICE = "claif-tui"
_LONGEST = 8192


def find_key(profile: Profile, environ: Mapping[str, str] | None = None) -> Secret | None:
    """Return the profile's key, or None when it names no source.

    Order: environment, keyring, file. Raises ``EndpointError`` when sources are named and none holds a key.
    """
    env = os.environ if environ is None else environ
    tried: list[str] = []
    if profile.api_key_env:
        value = env.get(profile.api_key_env, "")
        if value.strip():
            return clean_key(value, f"${profile.api_key_env}")
        tried.append(f"${profile.api_key_env} is not set")
    if profile.keyring:
        stored = _keyring_get(profile)
        if stored:
            return clean_key(stored, "the keyring")
        tried.append("the keyring holds none")
    if profile.key_file:
        return _from_file(Path(profile.key_file).expanduser())
    if not tried:
        return None
    first = profile.api_key_env
    hint = (
        f"export {first}=… , or name another variable with --api-key-env." if first else "Store it in Settings."
    )
    raise EndpointError(f"no key for the endpoint {profile.name!r}: {', '.join(tried)}", hint)


def key_source(profile: Profile, environ: Mapping[str, str] | None = None) -> str:
    """Return in words where the key comes from, without looking into keyring or file."""
    env = os.environ if environ is None else environ
    if profile.api_key_env:
        here = "set" if env.get(profile.api_key_env, "").strip() else "not set"
        return f"${profile.api_key_env} ({here})"
    if profile.keyring:
        return "keyring"
    return f"file {profile.key_file}" if profile.key_file else "none (no key is sent)"


def clean_key(raw: str, where: str) -> Secret:
    """Return a key without surrounding blanks; ``EndpointError`` (which does not quote it) if it cannot be one."""
    text = raw.strip()
    if not text or len(text) > _LONGEST or not all("!" <= char <= "~" for char in text):
        raise EndpointError(
            f"{where} does not hold a usable key: expected one line of plain ASCII without blanks",
            "Copy the key again; quotes, line breaks or a whole header line are the usual cause.",
        )
    return Secret(text)


def store_key(profile: Profile, key: Secret) -> None:
    """Put a key into the system's keyring and read it back; ``EndpointError`` if it did not stay there."""
    keyring = _keyring()
    try:
        keyring.set_password(_SERVICE, _account(profile), key.reveal())
        kept = keyring.get_password(_SERVICE, _account(profile)) == key.reveal()
    except keyring.errors.KeyringError as error:
        raise _no_keyring(type(error).__name__) from None
    if not kept:
        raise _no_keyring("it did not keep the key")


def forget_key(profile: Profile) -> None:
    """Take the profile's key out of the keyring; nothing happens if there is none."""
    keyring = _keyring()
    try:
        keyring.delete_password(_SERVICE, _account(profile))
    except keyring.errors.PasswordDeleteError:
        return
    except keyring.errors.KeyringError as error:
        raise _no_keyring(type(error).__name__) from None


def _account(profile: Profile) -> str:
    """Name the keyring entry after the host too, so that a profile that moves does not take its key along."""
    return f"{profile.name}@{profile.host or profile.kind}"


def _keyring_get(profile: Profile) -> str | None:
    keyring = _keyring()
    try:
        found: str | None = keyring.get_password(_SERVICE, _account(profile))
    except keyring.errors.KeyringError as error:
        raise _no_keyring(type(error).__name__) from None
    return found


def _keyring() -> Any:  # keyring has no complete type information
    import keyring
    import keyring.errors

    return keyring


def _no_keyring(why: str) -> EndpointError:
    return EndpointError(
        f"this machine has no keyring that works here ({why})",
        "Use an environment variable (api_key_env), or key_file with a file that only you can read (chmod 600).",
    )


def _from_file(path: Path) -> Secret:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise UsageError(f"key_file: {path} is not a file")
        if stat.S_IMODE(info.st_mode) & 0o077:
            mode = f"{stat.S_IMODE(info.st_mode):o}"
            raise UsageError(f"key_file: others can read {path} (mode {mode})", f"chmod 600 {path}")
        if info.st_size > _LONGEST:
            raise UsageError(f"key_file: {path} is too large for a key ({info.st_size:,} bytes)")
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"key_file: cannot read {path} ({error.strerror})", "Expected a file with the key alone."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"key_file: {path} is not text", "Expected a file with the key alone.") from None
    return clean_key(text, str(path))
