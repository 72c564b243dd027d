"""From a path to clean lines of text: existence, kind, encoding, line ends. No format is known here."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from claif_tui.core.errors import InputError, UsageError
from claif_tui.core.importing.types import Progress, ProgressFn

MAX_LINE = 8 << 20
"""Bytes. Read at once at most; a longer line means that the file is not what it is taken for."""

HEAD = 256 << 10
_CHUNK = 1 << 20
_MAGIC = (
    (b"\x1f\x8b", "compressed with gzip", "Unpack it first: gunzip -k FILE"),
    (b"PK\x03\x04", "a zip archive or an office document", "Unpack it, or save the sheet as CSV (UTF-8)."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it first: unxz -k FILE"),
    (b"BZh", "compressed with bzip2", "Unpack it first: bunzip2 -k FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it first: unzstd FILE"),
    (b"SQLite format 3", "a SQLite database", "Import a text, CSV, TSV, JSONL or Parquet file."),
    (b"%PDF", "a PDF document", "Import a text, CSV, TSV, JSONL or Parquet file."),
    (b"\x89PNG", "a picture", "Import a text, CSV, TSV, JSONL or Parquet file."),
    (b"\x7fELF", "a program", "Import a text, CSV, TSV, JSONL or Parquet file."),
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODINGS = "Examples: utf-8, utf-16, latin-1, cp1252, gb18030."
_CONTROLS = bytes(code for code in range(32) if code not in (9, 10, 12, 13, 27))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What one pass over a file found. ``lines`` is 0 for Parquet; ``newline`` is "\\n", on old files "\\r"."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str
    encoding: str
    newline: str
    lines: int
    notes: tuple[str, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether this is a Parquet file, which has no lines."""
        return self.encoding == "parquet"


def examine(path: Path, encoding: str | None = None, progress: ProgressFn | None = None) -> FileFacts:
    """Read ``path`` once, in bounded memory, and return its facts.

    Raises ``InputError`` when it is missing, a folder, empty, unreadable, binary, in no known encoding, or has
    a line longer than ``MAX_LINE``; ``UsageError`` when ``encoding`` is unknown.
    """
    if encoding is not None:
        encoding = _known_codec(encoding)
    try:
        info = path.stat()
        _refuse_kind(path, info)
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            if head.startswith(b"PAR1"):
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                return FileFacts(
                    path=path,
                    size=info.st_size,
                    mtime_ns=info.st_mtime_ns,
                    sha256=sha256,
                    encoding="parquet",
                    newline="\n",
                    lines=0,
                )
            return _examine_text(path, info, file, head, encoding, progress)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", _nearby(path)) from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it", "Check with: ls -l FILE") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def open_lines(facts: FileFacts) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end).

    Lines end at "\\n" or "\\r\\n" only: U+2028, form feeds and lone "\\r" stay inside a line.
    """
    errors = "surrogatepass" if facts.encoding.startswith("utf") else "strict"
    end = facts.newline
    try:
        with facts.path.open(encoding=facts.encoding, errors=errors, newline=end) as text:
            for number, line in enumerate(text, 1):
                bare = line[:-1] if line.endswith(end) else line
                yield number, bare[:-1] if bare.endswith("\r") else bare
    except UnicodeError:
        raise InputError(f"{facts.path}: changed while it was read", "Import it again.") from None
    except OSError as error:
        raise InputError(f"{facts.path}: cannot be read ({error.strerror or error})") from None


def check_unchanged(facts: FileFacts) -> None:
    """Raise ``InputError`` when the file is no longer the one that was examined."""
    try:
        info = facts.path.stat()
    except OSError:
        info = None
    if info is None or (info.st_size, info.st_mtime_ns) != (facts.size, facts.mtime_ns):
        raise InputError(f"{facts.path}: changed while it was read; nothing was imported", "Import it again.")


def _known_codec(name: str) -> str:
    try:
        info = codecs.lookup(name)
    except LookupError:
        raise UsageError(
            f"unknown encoding {name!r}", "Examples: utf-8, utf-16, latin-1, cp1252, gb18030."
        ) from None
    if not info._is_text_encoding:
        raise UsageError(
            f"{name!r} is not a text encoding", "Examples: utf-8, utf-16, latin-1, cp1252, gb18030."
        )
    return "utf-8-sig" if info.name == "utf-8" else info.name


def _nearby(path: Path) -> str:
    """Return a hint that names the most similar file of the same folder."""
    import difflib

    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"The folder {path.parent} does not exist either."
    close = difflib.get_close_matches(path.name, names, 1, 0.6)
    return f"Did you mean {path.parent / close[0]}?" if close else "Check the name and the folder."


def _refuse_kind(path: Path, info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        raise InputError(f"{path}: is a folder, expected a file", "Name the files in it, e.g. FOLDER/*.txt")
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{path}: is not a regular file", "It is read twice: write the data to a file first.")
    if info.st_size == 0:
        raise InputError(f"{path}: is empty", "Expected one row per line; is this the right file?")


def _refuse_binary(path: Path, head: bytes) -> None:
    for magic, what, hint in _MAGIC:
        if head.startswith(magic):
            raise InputError(f"{path}: is {what}, expected text", hint)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    share = controls / len(head)
    if share > 0.3 or (share > 0.02 and not _is_utf8(head)):
        raise InputError(
            f"{path}: is a binary file, expected text", "Import a text, CSV, TSV, JSONL or Parquet file."
        )


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(head, len(head) < HEAD)
    except UnicodeDecodeError:
        return False
    return True


def _sniff_encoding(head: bytes) -> tuple[str | None, str]:
    """Return the encoding that a mark or the zero bytes of ``head`` show, and what to say about it."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, "" if name == "utf-8-sig" else f"read as {name.upper()}, by its byte order mark"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if len(head) >= 8 and max(even, odd) > 0.3 * half and min(even, odd) < 0.05 * half:
        name = "utf-16-le" if odd > even else "utf-16-be"
        return name, f"read as {name.upper()}, by its zero bytes: it has no byte order mark"
    return None, ""


def _examine_text(
    path: Path,
    info: os.stat_result,
    file: BinaryIO,
    head: bytes,
    encoding: str | None,
    progress: ProgressFn | None,
) -> FileFacts:
    note = ""
    if encoding is None:
        encoding, note = _sniff_encoding(head)
    if encoding is None or not encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        _refuse_binary(path, head)
    scan = _Scan(path, encoding)
    done = 0
    while chunk := file.read(_CHUNK):
        done += len(chunk)
        scan.feed(chunk)
        if progress is not None:
            progress(Progress("checking", done, info.st_size, scan.lines))
    scan.feed(b"", final=True)
    chosen, verdict = scan.verdict(file)
    newline = "\r" if scan.lines == 1 and scan.returns > 1 else "\n"
    notes = [text for text in (note, verdict) if text]
    if newline == "\r":
        notes.append("its lines end in a carriage return alone, as on old Macs")
    lines = scan.returns + 1 if newline == "\r" else scan.lines
    return FileFacts(
        path=path,
        size=info.st_size,
        mtime_ns=info.st_mtime_ns,
        sha256=scan.digest.hexdigest(),
        encoding=chosen,
        newline=newline,
        lines=lines,
        notes=tuple(notes),
    )


class _Scan:
    """Counts lines and judges bytes, one block of whole lines at a time."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self.path = path
        self.encoding = encoding
        self.digest = hashlib.sha256()
        self.lines = 0
        self.returns = 0
        self._tail = b""
        self._open = False  # whether the last line seen has no line end yet
        self._valid = 0  # characters beyond ASCII that are good UTF-8
        self._broken = 0  # bytes that are not
        self._broken_line = 0
        self._run = 0  # bytes since the last line end
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding not in (None, "utf-8-sig"):
            errors = "surrogatepass" if str(encoding).startswith("utf") else "strict"
            self._decoder = codecs.getincrementaldecoder(str(encoding))(errors)

    def feed(self, chunk: bytes, final: bool = False) -> None:
        self.digest.update(chunk)
        self._measure(chunk)
        if self._decoder is not None:
            try:
                self._count(self._decoder.decode(chunk, final))
            except UnicodeDecodeError as error:
                raise self._refusal(str(self.encoding), error.reason) from None
            return
        block = self._tail + chunk
        cut = len(block) if final else block.rfind(b"\n") + 1
        self._tail = block[cut:]
        block = block[:cut]
        try:
            text = block.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            text = block.decode("utf-8", "surrogateescape")
            escaped = [place for place, char in enumerate(text) if "\udc80" <= char <= "\udcff"]
            self._broken_line = self._broken_line or self.lines + text.count("\n", 0, escaped[0]) + 1
            self._broken += len(escaped)
            self._valid += sum(char > "\x7f" for char in text) - len(escaped)
        else:
            self._valid += len(block) - len(text)
        # A byte order mark is no line: a file of it alone has none.
        self._count(text if self.lines else text.removeprefix("\ufeff"))

    def _measure(self, chunk: bytes) -> None:
        first = chunk.find(b"\n")
        self._run = self._run + len(chunk) if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1
        if self._run > MAX_LINE:
            raise InputError(
                f"{self.path}: line {self.lines + 1} is longer than {MAX_LINE >> 20} MiB",
                "Expected one row per line; is this the right file?",
            )

    def _count(self, text: str) -> None:
        if text:
            self.lines += text.count("\n") - self._open
            self.returns += text.count("\r")
            self._open = not text.endswith("\n")
            self.lines += self._open

    def _refusal(self, encoding: str, why: str) -> InputError:
        line = max(1, self.lines)
        return InputError(
            f"{self.path}: line {line} or the ones after it cannot be read as {encoding} ({why})",
            "Name the right encoding, e.g. --encoding utf-8",
        )

    def verdict(self, file: BinaryIO) -> tuple[str, str]:
        """Return the encoding to read with and what to say about it."""
        if self._decoder is not None:
            return str(self.encoding), ""
        if not self._broken:
            return "utf-8-sig", ""
        if self._valid > self._broken or self.encoding is not None:
            raise InputError(
                f"{self.path}: line {self._broken_line} is not valid UTF-8, although the rest is"
                if self._valid > self._broken
                else f"{self.path}: line {self._broken_line} is not valid UTF-8",
                "Mend that line, or name the encoding, e.g. --encoding latin-1",
            )
        name = "cp1252" if _decodes(file, "cp1252") else "latin-1"
        shown = "Windows-1252 (latin-1)" if name == "cp1252" else "latin-1"
        return name, f"not UTF-8 (from line {self._broken_line}): read as {shown}; --encoding names another"


def _decodes(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    try:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True
