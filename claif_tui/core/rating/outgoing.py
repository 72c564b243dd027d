"""Files that go out to raters: where they lie, and that none of them replaces one that may hold answers."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from pathlib import Path

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import ClaifError, InputError, UsageError


class HandOutError(ClaifError):
    """A sheet or packet could not be written; what was there before is as it was."""

    exit_code = 1
    title = "Export"


def chosen_raters(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the raters that are meant: ``all``, or none named, is everybody. ``UsageError`` for a stranger."""
    if not wanted or ("all" in wanted and "all" not in names):
        return tuple(names)
    for rater in wanted:
        if rater not in names:
            raise UsageError(f"{rater!r} is no rater of this study", f"Raters: {', '.join(names)}")
    return tuple(dict.fromkeys(wanted))


def places(out: Path, study: str, raters: Sequence[str], suffix: str) -> dict[str, Path]:
    """Return where each rater's file goes: into a folder, or to ``out`` itself if it names a file.

    Raises ``UsageError`` for a file where there are several raters, and for a folder that cannot be.
    """
    if not out.is_dir() and out.suffix:
        if len(raters) > 1:
            raise UsageError(
                f"{out} is one file, and there are {len(raters)} raters",
                "Name a folder, or one rater: --rater NAME",
            )
        if not out.parent.is_dir():
            raise UsageError(f"the folder {out.parent} does not exist", "Make it first, or name another file.")
        return {raters[0]: out}
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be a folder ({error.strerror or error})", "Name another place with --out."
        ) from None
    found: dict[str, Path] = {}
    taken: set[str] = set()
    for rater in raters:
        stem = f"{file_word(study)}-{file_word(rater)}"
        name = next(
            word
            for word in (stem, *(f"{stem}-{n}" for n in range(2, len(raters) + 2)))
            if word.casefold() not in taken
        )
        taken.add(name.casefold())
        found[rater] = out / f"{name}{suffix}"
    return found


def file_word(name: str) -> str:
    """Return a name as a part of a file's name: letters, digits, dots, underscores and hyphens."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"


def write_all(files: dict[Path, bytes], *, force: bool) -> None:
    """Write files, each whole or not at all. ``UsageError`` before any is written if one would be replaced."""
    for path, data in files.items():
        if not force and path.exists() and not _holds(path, data):
            raise UsageError(
                f"{path} exists already, and somebody may have answered in it; nothing was written",
                "Name another place with --out, or replace it with --force.",
            )
    for path, data in files.items():
        try:
            with replacing(path) as file:
                file.write(data)
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise HandOutError(
                f"cannot write {path}: {'the disk is full' if full else error.strerror or error}",
                "Choose another place with --out.",
            ) from None


def read_whole(path: Path, limit: int) -> bytes:
    """Return a file's bytes. ``InputError`` if it is missing, a folder, empty, unreadable or over ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", "Check the name and the folder.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not data:
        raise InputError(f"{path}: is empty", "Was it sent whole? Ask for it again.")
    if len(data) > limit:
        raise InputError(f"{path}: is larger than {limit >> 20} MiB", "Is this the right file?")
    return data


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == data
    except OSError:
        return False
