"""Writing files and folders whole or not at all. What goes in is the caller's; ``OSError`` passes untranslated."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[io.BufferedRandom]:
    """Yield a binary file beside ``path`` that takes its place when the block ends well, and vanishes otherwise.

    The data is on disk before the name changes hands; permissions are those of the file replaced, else the usual.
    """
    staged = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.part")
    # Not tempfile: it makes files that only their owner can read, and asking for the umask is a race.
    handle = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            staged.chmod(path.stat().st_mode & 0o777)
        staged.replace(path)
    except BaseException:
        with suppress(OSError):
            staged.unlink()
        raise
    sync_folder(path.parent)


@contextmanager
def replacing_folder(place: Path) -> Iterator[Path]:
    """Yield a new folder beside ``place`` that takes its place when the block ends well, and vanishes otherwise.

    What was there goes when the new one stands, and comes back if that cannot be.
    """
    staged = place.with_name(f".{place.name}.{secrets.token_hex(6)}.part")
    old = place.with_name(f".{place.name}.{secrets.token_hex(6)}.old")
    staged.mkdir(parents=True)
    try:
        yield staged
        if place.exists():
            place.rename(old)
        try:
            staged.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make the new name durable, where the file system lets a folder be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
