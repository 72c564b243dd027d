"""Opening, making and finding projects for the app, and which were open lately; called in threads, no widget."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from claif_tui.core.paths import config_dir

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

RECENT = 8
"""How many projects are remembered."""


def is_project(folder: Path) -> bool:
    """Whether ``folder`` holds a project."""
    return (folder / "claif.db").is_file()


def as_folder(text: str) -> Path:
    """A typed path as an absolute one: ``~`` and ``..`` resolved, so that later changes of folder do not matter."""
    return Path(text.strip()).expanduser().absolute()


def open_store(folder: Path, *, create: bool = False, demo: bool = False) -> Store:
    """Open the project in ``folder``, or make one there (with demo seeds and a recipe); raises ``ClaifError``."""
    from claif_tui.core.store.store import Store

    folder = folder.expanduser().resolve()
    if demo:
        make_demo(folder)
    store = Store.create(folder) if create and not demo else Store.open(folder)
    remember(folder)
    return store


def make_demo(folder: Path) -> None:
    """Make the demo project in ``folder`` unless it is there already."""
    if not is_project(folder):
        from claif_tui.core.demo import create_demo

        create_demo(folder)


def demo_folder() -> Path:
    """Where the demo goes when nobody says otherwise: below the folder the app was started in."""
    return Path.cwd() / "claif-demo"


def recent() -> list[Path]:
    """Projects that were open lately and still exist, newest first."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    paths = [Path(item) for item in found if isinstance(item, str)] if isinstance(found, list) else []
    return [path for path in paths if is_project(path)]


def remember(folder: Path) -> None:
    """Put ``folder`` first in the list; a list that cannot be kept is no reason to fail."""
    paths = [folder, *(path for path in recent() if path != folder)][:RECENT]
    with contextlib.suppress(OSError):
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        fresh.write_text(json.dumps([str(path) for path in paths]), encoding="utf-8")
        fresh.replace(file)


def _file() -> Path:
    return config_dir() / "recent.json"
