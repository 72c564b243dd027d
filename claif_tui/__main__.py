"""The entry point: the one module that knows both the command line and the app."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.rating.desk import RaterDesk


def main() -> None:
    """Run ``claif-tui`` with the process's arguments and exit with its code."""
    _replace_closed_streams()
    from claif_tui.cli.main import run

    sys.exit(run(sys.argv[1:], open_app, open_rating))


def _replace_closed_streams() -> None:
    """Let streams that the caller closed (``>&-``) lead nowhere, so that no file of ours gets their numbers."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (extra := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(extra)
        sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def open_app(project: Path | None) -> int:
    """Open the terminal app; it is imported only here."""
    from claif_tui.ui.app import run_app

    return run_app(project, mouse=wants_mouse())


def open_rating(open_desk: Callable[[], RaterDesk]) -> int:
    """Open rater mode alone."""
    from claif_tui.ui.rating_app import run_rating

    return run_rating(open_desk)


def wants_mouse() -> bool:
    """Whether the app may listen to the mouse: the one setting that is needed before the first paint.

    Read without the settings' full checks, which would cost a third of a second; they follow in the app.
    """
    import tomllib

    from claif_tui.core.paths import config_dir

    said = os.environ.get("CLAIF_TUI_MOUSE", "").strip().lower()
    if said:
        return said not in {"false", "no", "off", "0"}
    try:
        return tomllib.loads((config_dir() / "config.toml").read_text("utf-8-sig")).get("mouse") is not False
    except (OSError, ValueError):
        return True


if __name__ == "__main__":
    main()
