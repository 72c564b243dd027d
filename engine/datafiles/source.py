"""Files as bytes with a place for every line, read again by place: rows stay on disk. No layout is known here."""

from __future__ import annotations

import hashlib
import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.errors import DataError

MAX_LINE = 8 << 20
"""Bytes; a longer line means that the file is not what it is taken for."""

_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_KINDS = (
    (b"PAR1", "a Parquet file", "Export it as JSON Lines: claif-tui export --format jsonl"),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it first: gunzip -k FILE"),
    (
        b"PK\x03\x04",
        "a zip archive",
        "Unpack it first: unzip FILE. A packed snapshot needs no unpacking: it is cut.",
    ),
    (b"\xff\xfe", "UTF-16 text", "Convert it: iconv -f utf-16 -t utf-8 FILE > NEW"),
    (b"\xfe\xff", "UTF-16 text", "Convert it: iconv -f utf-16 -t utf-8 FILE > NEW"),
)


class ByteFile:
    """An open file whose parts are read by offset, from any thread; ``name`` is what errors call it.

    A file replaced under its name stays readable here; one that was written over is noticed by ``check``.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.sha256 = ""
        """SHA-256 of all bytes, known once ``lines`` has come to its end."""
        self._handle = file.fileno()
        self._stamp = self._stat()
        # Examples live as long as the trainer holds them; nobody is there to close the file.
        self._close = weakref.finalize(self, file.close)

    @classmethod
    def open(cls, path: Path) -> ByteFile:
        """Open a text file; raises ``DataError`` when it is missing, no file, empty, unreadable or no text."""
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise DataError(f"{path}: is no file", "Name a data file, or the folder of a snapshot.")
            file = cls(path.open("rb", buffering=0), str(path))
            head = file.span(0, 4096)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file", "Check the path.") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
        if not head:
            raise DataError(f"{path}: is empty")
        for mark, what, hint in _KINDS:
            if head.startswith(mark):
                raise DataError(f"{path}: is {what}, expected UTF-8 text", hint)
        if b"\x00" in head:
            raise DataError(f"{path}: is no text (it holds NUL bytes)", "Expected UTF-8 text.")
        return file

    def lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (line number from 1, offset, the line's bytes without its end). Lines end at "\\n" alone."""
        digest = hashlib.sha256()
        position, start, number, tail = 0, 0, 0, b""
        while chunk := self.span(position, _CHUNK):
            digest.update(chunk)
            if position == 0 and chunk.startswith(_BOM):
                chunk, start = chunk[len(_BOM) :], len(_BOM)
                position += len(_BOM)
            position += len(chunk)
            *whole, tail = (tail + chunk).split(b"\n")
            for line in whole:
                number += 1
                yield number, start, line
                start += len(line) + 1
            if len(tail) > MAX_LINE:
                raise DataError(
                    f"{self.name}: line {number + 1} is longer than {MAX_LINE >> 20} MiB",
                    "Expected one row a line.",
                )
        if tail:
            yield number + 1, start, tail
        self.sha256 = digest.hexdigest()

    def span(self, start: int, length: int) -> bytes:
        """Return ``length`` bytes (fewer at the end) from ``start``."""
        parts = os.pread(self._handle, length, start)
        # A signal or a network file system may give less than was asked for.
        while len(parts) < length and (more := os.pread(self._handle, length - len(parts), start + len(parts))):
            parts += more
        return parts

    def check(self) -> None:
        """Raise ``DataError`` if the file was written over since it was indexed; a new time alone is no harm."""
        stamp = self._stat()
        if stamp == self._stamp:
            return
        known = self.sha256
        for _ in self.lines():
            pass
        if self.sha256 != known:
            self.sha256 = known
            raise DataError(
                f"{self.name}: was written over while it was in use",
                "Put it back as it was, and resume; data to train on belongs into a snapshot.",
            )
        self._stamp = stamp

    def _stat(self) -> tuple[int, int]:
        found = os.fstat(self._handle)
        return found.st_size, found.st_mtime_ns


def text_of(raw: bytes, name: str, line: int) -> str:
    """Return a line as text without a trailing "\\r"; raises ``DataError`` naming the byte that is not UTF-8."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: line {line}, byte {error.start + 1}: is not UTF-8",
            "Convert it: iconv -f latin1 -t utf-8 FILE > NEW",
        ) from None
    return text[:-1] if text.endswith("\r") else text
