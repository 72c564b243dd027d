"""Fetching one file over HTTP: resumed where it broke off, held against a hash, whole or not at all.

What is in it is ``data_unpack``'s.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from claif_tui import __version__
from claif_tui.core.atomic import replacing, sync_folder
from claif_tui.core.errors import BusyError, ClaifError, InputError

Progress = Callable[[int, int | None, str], None]
"""Bytes there, bytes in all if the server says so, and the name of the file."""

TIMEOUT_SECONDS = 60.0
_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FetchError(ClaifError):
    """The file is not there, or not whole; what was fetched of it is kept where that helps."""

    exit_code = 1
    title = "Download"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that was fetched: its hash and size, and at which byte an earlier try was taken up (0: none was)."""

    sha256: str
    bytes: int
    resumed_at: int


def fetch(
    url: str, place: Path, *, sha256: str | None, limit: int, progress: Progress | None = None
) -> Fetched:
    """Fetch ``url`` to ``place``, which appears whole or not at all; blocks.

    What breaks off stays in ``PLACE.part`` and is taken up again with If-Range, so that a file which changed
    meanwhile is begun anew. One that does not have ``sha256`` is kept aside as ``PLACE.refused``. Raises
    ``FetchError`` for the network and the disk, ``InputError`` for another content, ``BusyError`` for a rival.
    """
    part = place.with_name(f"{place.name}.part")
    try:
        with part.open("ab", buffering=0) as file:
            _own(file, part)
            resumed_at, total = _fill(url, file, part, limit, progress)
            size = file.tell()
        if total is not None and size != total:
            raise _broken(place.name, size, total, "the connection ended early")
        found = digest(part)
        if sha256 is not None and found != sha256:
            raise refuse(part, place, found, sha256)
        part.replace(place)
        _notes(part).unlink(missing_ok=True)
        sync_folder(place.parent)
    except OSError as error:
        raise disk_error(place, error) from error
    return Fetched(sha256=found, bytes=size, resumed_at=resumed_at)


def refuse(found_at: Path, place: Path, found: str, expected: str) -> InputError:
    """Keep a file with another content aside; returns the error that says so."""
    aside = place.with_name(f"{place.name}.refused")
    found_at.replace(aside)
    _notes(found_at).unlink(missing_ok=True)
    return InputError(
        f"{place.name} has the SHA-256 {found}, expected {expected}: nothing of it was unpacked",
        f"It is kept as {aside}. The source has changed, or somebody on the way changed it: look before you use it.",
    )


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_error(place: Path, error: OSError) -> FetchError:
    """Say what the disk would not do."""
    if error.errno in _FULL:
        return FetchError(
            f"{place}: the disk is full", "Make room, then run the same command again: it goes on from there."
        )
    return FetchError(
        f"{place} cannot be written: {error.strerror or error}", "Check the folder's permissions."
    )


def _own(file: io.FileIO, part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(
            f"{part} is being fetched by another process", "Wait until that one has ended."
        ) from None


def _fill(
    url: str, file: io.FileIO, part: Path, limit: int, progress: Progress | None
) -> tuple[int, int | None]:
    """Bring the partial file to its end; return where an earlier try was taken up, and the size that was promised."""
    name = part.name.removesuffix(".part")
    start, validator = file.seek(0, io.SEEK_END), _validator(part, url)
    if validator is None:
        start = 0
    with _answer(url, start, validator, name) as answer:
        start, total = _begin(answer, start)
        if max(total or 0, start) > limit:
            raise FetchError(
                f"{name}: the server says {total:,} bytes, {limit:,} at most expected",
                "This is not the file that is meant; check the address or --base-url.",
            )
        file.truncate(start)
        done = file.seek(start)
        if total is not None and (room := shutil.disk_usage(part.parent).free) < total - start:
            raise FetchError(
                f"{name} needs {total - start:,} bytes more, and {room:,} are free in {part.parent}",
                "Make room, or choose another place with --out.",
            )
        _remember(part, url, answer.headers)
        while True:
            if progress is not None:
                progress(done, total, name)
            try:
                chunk = answer.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _broken(name, done, total, _words(error)) from error
            if not chunk:
                return start, total
            if done + len(chunk) > limit:
                raise FetchError(
                    f"{name}: more than {limit:,} bytes came", "This is not the file that is meant."
                )
            written = 0
            while written < len(chunk):  # an unbuffered file may take a part
                written += file.write(chunk[written:])
            done += len(chunk)


class _SafeRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        """Follow, but never from an encrypted connection to a plain one, nor to what is not HTTP."""
        if not newurl.startswith(("http:", "https:")):
            raise FetchError(
                f"{req.full_url} leads to an address that is not HTTP", "Name a mirror with --base-url."
            )
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise FetchError(
                f"{req.full_url} leads to an unencrypted address", "Name a mirror with --base-url."
            )
        # http.client's message is an email message.
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _answer(url: str, start: int, validator: str | None, name: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": f"claif-tui/{__version__}", "Accept-Encoding": "identity"}
    if start and validator is not None:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        found: http.client.HTTPResponse = build_opener(_SafeRedirects).open(
            Request(url, headers=headers), timeout=TIMEOUT_SECONDS
        )
    except HTTPError as error:
        if error.code == 416 and start:  # nothing is left to send, or the file has become shorter
            return _answer(url, 0, None, name)
        raise FetchError(
            f"{name}: {url} answers {error.code} {error.reason}",
            "The source may have moved: name a mirror with --base-url.",
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no address at all
        raise FetchError(
            f"{name}: {url} cannot be reached: {_words(error)}",
            "Check the connection and HTTPS_PROXY; a mirror can be named with --base-url.",
        ) from error
    return found


def _begin(answer: http.client.HTTPResponse, start: int) -> tuple[int, int | None]:
    """Return at which byte the answer begins, and how large the whole is; a server may ignore the wish for a part."""
    if answer.status == 206:
        told = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if told is None or int(told[1]) != start:
            raise FetchError(
                "the server sent another part than asked for", "Delete the .part file, then run it again."
            )
        return start, None if told[2] == "*" else int(told[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _validator(part: Path, url: str) -> str | None:
    """Return what tells this version of the file from others, if the partial file is of this address."""
    try:
        notes = json.loads(_notes(part).read_bytes())
    except (OSError, ValueError):
        return None
    found = notes.get("validator") if isinstance(notes, dict) and notes.get("url") == url else None
    return found if isinstance(found, str) else None


def _remember(part: Path, url: str, headers: Message) -> None:
    tag = headers.get("ETag", "")
    validator = (
        tag if tag.startswith('"') else headers.get("Last-Modified")
    )  # a weak tag says nothing about bytes
    with replacing(_notes(part)) as file:
        file.write(json.dumps({"url": url, "validator": validator}).encode())


def _broken(name: str, done: int, total: int | None, reason: str) -> FetchError:
    whole = "" if total is None else f" of {total:,}"
    return FetchError(
        f"{name}: broke off at {done:,}{whole} bytes: {reason}",
        "Run the same command again: it goes on from there.",
    )


def _words(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return f"nothing came for {TIMEOUT_SECONDS:.0f} s"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
