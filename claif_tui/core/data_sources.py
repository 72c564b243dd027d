"""The table of public data sources, read from ``assets/data/sources.json``: addresses, terms, known hashes, folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import quote

from claif_tui.core.errors import UsageError
from claif_tui.core.paths import asset
from engine.tasks import STS, TRANSFER

GROUPS = ("sts", "transfer", "nli")
SETS: Mapping[str, tuple[str, ...]] = {
    "sts": (*STS, "STSBenchmark dev", "SICKRelatedness trial"),
    "transfer": TRANSFER,
    "nli": (),
}
"""The evaluation sets of a group, by the names of ``data check``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One file to fetch. ``sha256`` is None where none was ever published; ``limit`` in bytes, packed or unpacked."""

    name: str
    url: str
    about: str
    form: Literal["tar", "zip", "file"]
    sha256: str | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An archive, and which of its folders are wanted."""

    archive: Archive
    folders: tuple[str, ...]


def wanted(groups: Sequence[str], base_url: str | None = None) -> list[Wanted]:
    """Return what makes up the groups, each archive once; ``base_url`` is a mirror that holds them by their names."""
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url is {base_url!r}: expected http:// or https://")
    table = _table()
    folders: dict[str, list[str]] = {}
    for group in groups:
        for name, below in table["groups"][group]["archives"].items():
            folders.setdefault(name, []).extend(one for one in below if one not in folders.get(name, ()))
    found = []
    for name, below in folders.items():
        facts = table["archives"][name]
        url = f"{base_url.rstrip('/')}/{quote(name)}" if base_url else facts["url"]
        found.append(Wanted(archive=Archive(**{**facts, "name": name, "url": url}), folders=tuple(below)))
    return found


def terms(groups: Sequence[str]) -> dict[str, str]:
    """Return under which terms the sets of the groups stand, as far as they are known."""
    return {name: words for group in groups for name, words in _table()["groups"][group]["terms"].items()}


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asset("data/sources.json").read_text("utf-8"))
    return found
