"""Opening, making and finding projects for the app, and which were open lately; called in threads, no widget."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

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
    from claif_tui.core import settings
    from claif_tui.core.errors import ClaifError

    try:
        names = settings.load().texts("recent")
    except ClaifError:  # a settings file that does not read is reported where it matters
        return []
    return [path for path in map(Path, names) if is_project(path)]


def remember(folder: Path) -> None:
    """Put ``folder`` first in the list; a list that cannot be kept is no reason to fail."""
    from claif_tui.core import settings
    from claif_tui.core.errors import ClaifError

    paths = [folder, *(path for path in recent() if path != folder)][:RECENT]
    with contextlib.suppress(ClaifError):
        settings.remember("recent", tuple(str(path) for path in paths))
