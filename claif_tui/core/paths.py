"""Where packaged files and per-user files live; the only place that knows."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def assets_dir() -> Path:
    """Return the folder of packaged assets: inside the wheel, else at the top of the checkout."""
    packaged = Path(__file__).resolve().parent.parent / "assets"
    return packaged if packaged.is_dir() else packaged.parent.parent / "assets"


def asset(name: str) -> Path:
    """Return the path of one packaged file, e.g. ``asset("demo/seeds.txt")``; it must exist."""
    path = assets_dir() / name
    if not path.exists():
        raise FileNotFoundError(f"packaged file missing: {name}")
    return path


def config_dir() -> Path:
    """Return the per-user settings folder (``CLAIF_TUI_HOME`` overrides it, for tests and portable use)."""
    import os

    override = os.environ.get("CLAIF_TUI_HOME")
    if override:
        return Path(override)
    from platformdirs import user_config_path

    return user_config_path("claif-tui")


def data_dir() -> Path:
    """Return the per-user folder of what is kept across projects (``CLAIF_TUI_HOME`` overrides it as well)."""
    import os

    override = os.environ.get("CLAIF_TUI_HOME")
    if override:
        return Path(override)
    from platformdirs import user_data_path

    return user_data_path("claif-tui")
