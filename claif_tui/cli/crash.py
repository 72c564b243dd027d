"""The report that an unexpected error leaves behind: what a maintainer needs, and nothing that is secret."""

from __future__ import annotations

import os
import platform
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from claif_tui import __version__
from claif_tui.core.paths import config_dir

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"(?i)(bearer\s+|sk-|key-)[\w\-.]{8,}|//[^/\s:@]+:[^/\s@]+@")
_SHORTEST = 6


def write_report(error: BaseException) -> Path | None:
    """Write the report into the settings folder, readable by its owner only; None where that fails."""
    folder = config_dir() / "reports"
    path = folder / f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(report_text(error))
    except OSError:
        return None
    return path


def report_text(error: BaseException) -> str:
    """Return versions, the command's words and flags without their values, and the stack without its variables."""
    words = [word.partition("=")[0] for word in sys.argv[1:] if word.startswith("-") or word.isalpha()]
    stack = "".join(traceback.format_exception(error))
    return scrub(
        f"claif-tui {__version__}\nPython {platform.python_version()} on {platform.platform()}\n"
        f"command: {' '.join(words)}\n\n{stack}"
    )


def scrub(text: str) -> str:
    """Mask everything that may be a secret: values of telling variables, and what looks like a key."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return _SECRET_TEXT.sub("***", text).encode("utf-8", "backslashreplace").decode("utf-8")
