"""Small files that are whole or not there: written beside and renamed, read with errors that say which. No torch."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import RunError
from engine.events import finite


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file by ``value`` as JSON, whole or not at all; ``RunError`` leaves the old one as it was."""
    try:
        write_bytes(path, (json.dumps(finite(dict(value)), indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise trouble(path, error) from error


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the object in a file, None if there is no file; ``RunError`` if it is not a JSON object."""
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}", "Check the permissions.") from error
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RunError(f"{file} is damaged, expected a JSON object", "Restore it from a copy.")
    return value


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside, make it durable, rename: whoever reads finds the old file or the new one."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with staged.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        with suppress(OSError):
            staged.unlink()
        raise
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def trouble(path: Path, error: OSError) -> RunError:
    """Say that ``path``, or something in it, cannot be written."""
    return RunError(f"{path} cannot be written: {error.strerror}", "Check free space, quota and permissions.")
