"""The entry point: the one module that knows both the command line and the app."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run ``claif-tui`` with the process's arguments and exit with its code."""
    from claif_tui.cli.main import run

    sys.exit(run(sys.argv[1:], open_app))


def open_app(project: Path | None) -> int:
    """Open the terminal app; it is imported only here."""
    from claif_tui.core.settings import load, settings_path
    from claif_tui.ui.app import run_app

    mouse = load().flag("mouse") if settings_path().exists() else True
    return run_app(project, mouse=mouse)


if __name__ == "__main__":
    main()
