"""A path field that completes: the shared prefix of what is there, taken with the right arrow. No validation."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.suggester import Suggester

from claif_tui.core.text import display_text

MOST = 2_000
"""Entries of a folder that are looked at; a larger folder completes from those."""


class PathSuggester(Suggester):
    """Suggests the first entry that goes on from what is typed; ``folders`` leaves files out."""

    def __init__(self, *, folders: bool = False) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._folders = folders

    async def get_suggestion(self, value: str) -> str | None:
        """Complete ``value``, or nothing."""
        return await asyncio.to_thread(complete, value, folders=self._folders)


def complete(value: str, *, folders: bool = False) -> str | None:
    """Return ``value`` completed to the first matching entry (folders end in a slash), or None."""
    if not value or "\x00" in value:
        return None
    head, _, start = value.rpartition("/")
    folder = Path(f"{head}/" if head or value.startswith("/") else ".").expanduser()
    if head == "~" or value == "~":
        folder = Path.home()
    try:
        with os.scandir(folder) as entries:
            found = []
            for count, entry in enumerate(entries):
                if count >= MOST:
                    break
                if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                    is_folder = entry.is_dir()
                    if is_folder or not folders:
                        found.append(entry.name + ("/" if is_folder else ""))
    except OSError:
        return None
    safe = sorted(name for name in found if display_text(name) == name)
    if not safe:
        return None
    prefix = f"{head}/" if head or value.startswith("/") else ""
    return prefix + safe[0]
