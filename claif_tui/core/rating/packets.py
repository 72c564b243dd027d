"""Rating from a packet, without a project: the desk of ``RaterDesk``, with answers appended to the packet itself."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from claif_tui.core.errors import BusyError, InputError, StoreError, UsageError
from claif_tui.core.rating.models import SCALES, Desk, Shown
from claif_tui.core.rating.packet_files import Record, chained, line_of, read_packet
from claif_tui.core.rating.session import AWAY_SECONDS, BREAK_SECONDS
from claif_tui.core.store.connection import now
from claif_tui.core.store.ratings import MAX_COMMENT
from claif_tui.core.text import storable_text


class PacketSession:
    """A rater at work on a packet. ``InputError`` for one that is damaged, ``BusyError`` while it is open elsewhere.

    ``who`` is the person's seat; ``UsageError`` if another one answered so far, unless ``same_person``.
    """

    def __init__(
        self,
        path: Path,
        who: str,
        *,
        same_person: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        read_packet(path)
        try:
            self._file: int | None = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}), and answers are kept in it",
                "Copy it to where you may write.",
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise BusyError(f"{path} is open elsewhere", "Leave there first (esc).") from None
        self._packet = read_packet(path)
        before = sorted({record.who for record in self._packet.records})
        if before and who not in before and not same_person:
            self.close()
            raise UsageError(
                f"{path} was answered by {', '.join(before)} so far, and you are {who}",
                "Two people must not share a name. If you are the same person, say so: --same-person",
            )
        if self._packet.torn:  # half a record: it was never confirmed
            os.ftruncate(self._file, self._packet.good)
        self._who, self._clock, self._size = who, clock, self._packet.good
        self._hash = self._packet.last_hash
        self._given: list[Record] = list(self._packet.records)
        self._since = self._worked_since = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def desk(self) -> Desk:
        """The study as far as this rater may know it, with how far he or she is now."""
        items = [self._now(item) for item in self._packet.items]
        return Desk(
            study=self._packet.head["study"],
            rater=self._packet.head["rater"],
            criteria=self._packet.criteria,
            done=sum(len(item.mine) >= len(self._packet.criteria) for item in items),
            total=len(items),
            practice=sum(item.practice for item in items),
        )

    def current(self) -> Shown | None:
        """Return the first item that lacks an answer; None when all is done."""
        for item in self._packet.items:
            if len(self._now(item).mine) < len(self._packet.criteria):
                return self.at(item.position)
        return None

    def at(self, position: int) -> Shown | None:
        """Return the item at a position (from 1) and start its time; None beyond the end."""
        self._since = self._clock()
        return next((self._now(item) for item in self._packet.items if item.position == position), None)

    def answer(self, token: str, criterion: str, value: float) -> None:
        """Put one answer on disk, and return once it is there."""
        found = next((one for one in self._packet.criteria if one.name == criterion), None)
        if found is None or value not in SCALES[found.scale]:
            raise UsageError(f"{criterion} = {value:g} is no answer to this study's questions")
        self._put(token, criterion, value, min(self._clock() - self._since, AWAY_SECONDS))
        self._since = self._clock()

    def comment(self, token: str, text: str) -> None:
        """Put a comment on disk; an empty one takes it away."""
        text = storable_text(text.strip())[0]
        if len(text) > MAX_COMMENT:
            raise UsageError(f"the comment has {len(text):,} characters", f"At most {MAX_COMMENT:,} are kept.")
        self._put(token, None, text or None, None)

    def undo(self) -> Shown | None:
        """Take back one's latest answer and return its item; None if there is nothing to take back."""
        last = {(one.token, one.criterion): one for one in self._given if one.criterion is not None}
        standing = [one for one in last.values() if one.value is not None]
        if not standing:
            return None
        latest = max(standing, key=lambda one: one.line)
        self._put(latest.token, latest.criterion, None, None)
        item = next(item for item in self._packet.items if item.token == latest.token)
        return self.at(item.position)

    def break_due(self) -> bool:
        """Whether the rater has worked long without a pause; asking again counts from now."""
        if self._clock() - self._worked_since < BREAK_SECONDS:
            return False
        self._worked_since = self._clock()
        return True

    def beat(self) -> None:
        """Nothing: the lock on the file says that somebody is there."""

    def close(self) -> None:
        """Leave the desk; closing twice does no harm."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _now(self, item: Shown) -> Shown:
        mine, comment = dict(item.mine), item.comment
        for record in self._given:
            if record.token != item.token:
                continue
            if record.criterion is None:
                comment = str(record.value or "")
            elif record.value is None:
                mine.pop(record.criterion, None)
            else:
                mine[record.criterion] = float(record.value)
        return replace(item, mine=mine, comment=comment)

    def _put(self, token: str, criterion: str | None, value: float | str | None, elapsed: float | None) -> None:
        if self._file is None:
            raise StoreError(f"{self._packet.path} is closed")
        if all(item.token != token for item in self._packet.items):
            raise UsageError(f"{token!r} is none of the packet's items")
        body: dict[str, Any] = {
            "token": token, "criterion": criterion, "value": value, "elapsed": elapsed, "at": now(), "who": self._who
        }  # fmt: skip
        linked = chained(body, self._hash)
        line = line_of(linked)
        try:
            there = os.fstat(self._file)
            if there.st_size != self._size or there.st_ino != self._packet.path.stat().st_ino:
                raise StoreError(f"{self._packet.path} was changed or moved meanwhile", "Open it again.")
            if os.write(self._file, line) != len(line):
                raise OSError(28, "the disk is full")
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise StoreError(f"{self._packet.path}: the answer was not kept ({error.strerror})") from None
        self._size += len(line)
        self._hash = linked["hash"]
        number = len(self._packet.bodies) + len(self._given) + 1
        self._given.append(Record(**body, line=number))
