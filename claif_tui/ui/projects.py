"""Opening, making and finding projects for the app; called in threads, knows no widget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


def is_project(folder: Path) -> bool:
    """Whether ``folder`` holds a project."""
    return (folder / "claif.db").is_file()


def open_store(folder: Path, *, create: bool = False, demo: bool = False) -> Store:
    """Open the project in ``folder``, or make one there; raises ``ClaifError``."""
    from claif_tui.core.store.store import Store

    folder = folder.expanduser().resolve()
    if not create:
        return Store.open(folder)
    return Store.create(folder)
