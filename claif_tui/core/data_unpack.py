"""Taking the wanted files out of fetched archives: plain files below known folders, and nothing an archive invents."""

from __future__ import annotations

import csv
import filecmp
import re
import secrets
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from claif_tui.core.data_fetch import disk_error
from claif_tui.core.data_sources import Wanted
from claif_tui.core.errors import InputError

TRIPLETS = ("sent0", "sent1", "hard_neg")
_SNLI = re.compile(r"(?:.*/)?snli_1\.0_(train|dev|test)\.txt")
_SNLI_HEAD = ("gold_label", "sentence1_binary_parse", "sentence2_binary_parse")
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_NAME = re.compile(r"[\w+@, -][\w.+@, -]*")
_MANY_FILES = 10_000
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error),
    *(EOFError, UnicodeDecodeError, NotImplementedError, RuntimeError),  # the last: a zip file with a password
)
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """Which files an archive gave (below the data folder), how many others it holds, and what is to be said of it."""

    files: tuple[str, ...]
    left: int
    notes: tuple[str, ...] = ()


def unpack(path: Path, wanted: Wanted, out: Path) -> Unpacked:
    """Put the wanted files of an archive below ``out``, all or none; blocks.

    A file that is there already with the same content stays. Raises ``InputError`` for an archive that is broken,
    too large, holds links where files are wanted, names a place outside, or would replace something else;
    ``FetchError`` for the disk.
    """
    staged = out / f".{secrets.token_hex(6)}.part"
    try:
        staged.mkdir()
        try:
            with _told(path):
                found = _FORMS[wanted.archive.form](path, wanted, staged)
            _settle(staged, out, found.files)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise disk_error(out, error) from error
    return found


def _tar(path: Path, wanted: Wanted, staged: Path) -> Unpacked:
    room, files, left = _Room(path, wanted.archive.limit), [], 0
    with tarfile.open(path) as archive:
        for member in archive:
            name = _place(path, member.name, wanted.folders)
            if name is None or member.isdir():
                left += not member.isdir()
                continue
            if not member.isreg():
                raise _refused(path, f"{member.name} is no plain file")
            source = archive.extractfile(member)
            if source is None:
                raise _refused(path, f"{member.name} cannot be read")
            with source:
                room.copy(source, staged / name)
            files.append(name)
    if not files:
        raise _refused(path, f"it holds nothing of {', '.join(wanted.folders)}")
    return Unpacked(files=tuple(files), left=left)


def _zip(path: Path, wanted: Wanted, staged: Path) -> Unpacked:
    """SNLI's own archive, turned into SentEval's three files a split, by the tokens of its parses."""
    room, files, notes, left = _Room(path, wanted.archive.limit), [], [], 0
    (folder,) = wanted.folders
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _place(path, info.filename, ())
            match = _SNLI.fullmatch(info.filename)
            if match is None or info.filename.startswith("__MACOSX/"):
                left += not info.is_dir()
                continue
            with archive.open(info) as source:
                rows, without = _snli(path, source, staged / folder, match[1], room)
            files += [f"{folder}/{part}.{match[1]}" for part in ("labels", "s1", "s2")]
            notes.append(f"SNLI {match[1]}: {rows:,} pairs; {without:,} without a gold label left out")
    if len(files) != 9:
        raise _refused(path, "it does not hold snli_1.0_train.txt, snli_1.0_dev.txt and snli_1.0_test.txt")
    return Unpacked(files=tuple(files), left=left, notes=tuple(notes))


def _snli(path: Path, source: IO[bytes], folder: Path, split: str, room: _Room) -> tuple[int, int]:
    folder.mkdir(parents=True, exist_ok=True)
    lines = room.lines(source)
    head = next(lines, "").split("\t")
    if missing := [name for name in _SNLI_HEAD if name not in head]:
        raise _refused(path, f"snli_1.0_{split}.txt has no column {missing[0]}")
    places = [head.index(name) for name in _SNLI_HEAD]
    rows = without = 0
    with (
        (folder / f"labels.{split}").open("w", encoding="utf-8", newline="\n") as labels,
        (folder / f"s1.{split}").open("w", encoding="utf-8", newline="\n") as first,
        (folder / f"s2.{split}").open("w", encoding="utf-8", newline="\n") as second,
    ):
        for number, line in enumerate(lines, 2):
            cells = line.split("\t")
            if len(cells) <= max(places):
                raise _refused(path, f"snli_1.0_{split}.txt, line {number}: {len(cells)} columns")
            label, *parses = (cells[place] for place in places)
            if label == "-":
                without += 1
                continue
            labels.write(f"{label}\n")
            for file, parse in zip((first, second), parses, strict=True):
                words = (_BRACKETS.get(word, word) for word in parse.split() if word not in ("(", ")"))
                file.write(f"{' '.join(words)}\n")
            rows += 1
    return rows, without


def _file(path: Path, wanted: Wanted, staged: Path) -> Unpacked:
    """A file that is used as it is, once its columns are those of NLI triplets."""
    (folder,) = wanted.folders
    name = f"{folder}/{wanted.archive.name}"
    with path.open("rb") as source:
        _Room(path, wanted.archive.limit).copy(source, staged / name)
    try:
        with (staged / name).open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            head = next(rows, [])
            if tuple(head) != TRIPLETS:
                raise _refused(
                    path, f"its columns are {', '.join(head)[:80]!r}, expected {', '.join(TRIPLETS)}"
                )
            count = sum(1 for _ in rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise _refused(path, f"it is no CSV file: {error}") from None
    return Unpacked(files=(name,), left=0, notes=(f"{name}: {count:,} triplets",))


_FORMS = {"tar": _tar, "zip": _zip, "file": _file}


class _Room:
    """What an archive may still unpack to, in bytes and files; whatever its headers claim."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit, self._bytes, self._files = path, limit, limit, _MANY_FILES

    def copy(self, source: IO[bytes], place: Path) -> None:
        self._files -= 1
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            file = place.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise _refused(self._path, f"it holds {place.name} twice") from None
        with file:
            while chunk := source.read(_CHUNK):
                self._take(len(chunk))
                file.write(chunk)

    def lines(self, source: IO[bytes]) -> Iterator[str]:
        while line := source.readline(_CHUNK):
            self._take(len(line))
            yield line.decode("utf-8").removesuffix("\n").removesuffix("\r")

    def _take(self, count: int) -> None:
        self._bytes -= count
        if self._bytes < 0 or self._files < 0:
            raise _refused(
                self._path, f"it unpacks to more than {self._limit:,} bytes or {_MANY_FILES:,} files"
            )


def _place(path: Path, name: str, folders: Sequence[str]) -> str | None:
    """Return where a member belongs below the data folder, None if it is not wanted; refuse a place outside."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name[:3]:
        raise _refused(path, f"{name!r} points outside of the folder")
    for folder in folders:
        wanted = PurePosixPath(folder).parts
        for start in range(len(parts) - len(wanted)):
            below = parts[start + len(wanted) :]
            if parts[start : start + len(wanted)] == wanted and all(map(_NAME.fullmatch, below)):
                return "/".join((*wanted, *below))
    return None


def _settle(staged: Path, out: Path, files: Sequence[str]) -> None:
    """Move the files to their places once none of them would replace another content."""
    fresh = []
    for name in files:
        target = out / name
        if not target.exists():
            fresh.append(name)
        elif not target.is_file() or not filecmp.cmp(staged / name, target, shallow=False):
            raise InputError(
                f"{target} is there already with another content; nothing was unpacked",
                "Move it away, or choose another folder with --out.",
            )
    for name in fresh:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).rename(out / name)


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path} is not the archive that is meant: {why}", "Delete it, then fetch it again.")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _refused(path, f"it cannot be read ({error})") from error
