"""What a run tells while it goes: one JSON object a line, appended by the run, followed by offset by anyone. No torch.

What is made of the events (curves, states, words) is not here.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from engine.errors import RunError

VERSION = 1
BEAT_SECONDS = 30.0
"""How often a run shows that it is alive, whatever else it tells."""

Kind = Literal[
    "started", "step", "eval", "checkpoint", "warning", "queued", "stopped", "finished", "failed", "heartbeat"
]
Event = dict[str, Any]

CARRIES: Mapping[Kind, tuple[str, ...]] = {
    # config: digest of the settings; from_step: 0, or the step that a resumed run goes on after.
    "started": ("config", "device", "rows", "steps_per_epoch", "total_steps", "from_step"),
    # losses: one for each step since the last event of this kind, the newest (that of ``step``) last.
    "step": ("step", "losses"),
    # dev: the score that selects, x100, or None; best: whether it is the best so far.
    "eval": ("step", "dev", "best"),
    # name: the folder below checkpoints/.
    "checkpoint": ("step", "name"),
    "warning": ("message",),
    # job: that went back into the queue of its cluster and will go on with the run; message: why.
    "queued": ("job", "message"),
    "stopped": ("step",),
    "finished": ("step",),
    # type and message: of the error; hint: what to do, if that is known.
    "failed": ("type", "message", "hint"),
    "heartbeat": (),
}
"""What an event of each kind holds beside ``v``, ``seq``, ``t`` (seconds since 1970) and ``kind``; it may hold more."""

ENDS: frozenset[str] = frozenset({"stopped", "finished", "failed"})
"""The kinds that end a run; nothing follows them until it is resumed."""

_ON_DISK: frozenset[str] = ENDS | {"checkpoint", "queued"}
_TAIL = 1 << 16
_BLOCK = 1 << 22


class EventWriter:
    """Appends events to a file that only this process writes; safe to use from several threads.

    Goes on after what is there: a torn last line is cut, numbers continue. A line is written whole or not at
    all; ``RunError`` says so when the disk is full. A number that is not finite becomes null.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._failure(error) from error
        try:
            size = os.fstat(self._file).st_size
            self._end, events = _last(self._file, size)
            if self._end < size:
                os.ftruncate(self._file, self._end)
        except OSError as error:
            os.close(self._file)
            raise self._failure(error) from error
        self._seq = int(events[-1]["seq"]) if events else 0
        self._torn = False
        self._ended = False
        self._closed = False

    @property
    def next_seq(self) -> int:
        """The number that the next event will have; the first has 1."""
        return self._seq + 1

    def write(self, kind: Kind, **fields: Any) -> None:
        """Append one event. ``ValueError`` if it lacks what its kind carries, or if the run has ended."""
        missing = [name for name in CARRIES[kind] if name not in fields]
        if missing:
            raise ValueError(f"a {kind} event carries {', '.join(missing)}")
        with self._lock:
            if self._ended or self._closed:
                raise ValueError(f"a {kind} event after the end")
            self._write(kind, fields)
            self._ended = kind in ENDS

    def beat(self) -> None:
        """Append a heartbeat, unless the run has ended."""
        with self._lock:
            if not self._ended and not self._closed:
                self._write("heartbeat", {})

    def close(self) -> None:
        """Close the file; for a run that ends without a last word, as a killed one does."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        event = {"v": VERSION, "seq": self._seq + 1, "t": round(time.time(), 3), "kind": kind, **fields}
        try:
            line = json.dumps(event, allow_nan=False)
        except ValueError:
            line = json.dumps(finite(event), allow_nan=False)
        try:
            self._append(line.encode("ascii") + b"\n")
            if kind in _ON_DISK:
                os.fsync(self._file)
        except OSError as error:
            raise self._failure(error) from error

    def _append(self, line: bytes) -> None:
        if self._torn:  # what there is of a line that could not be written whole: readers wait for its end
            os.ftruncate(self._file, self._end)
        self._torn = True
        left = memoryview(line)
        while left:
            left = left[os.write(self._file, left) :]
        self._torn = False
        self._end += len(line)
        self._seq += 1

    def _failure(self, error: OSError) -> RunError:
        return RunError(
            f"{self._path} cannot be written: {error.strerror}",
            "Check free space, quota and permissions; then resume the run.",
        )


class Heartbeat:
    """A thread that shows every ``seconds`` that the run is alive, while the block it guards goes on."""

    def __init__(self, writer: EventWriter, seconds: float = BEAT_SECONDS) -> None:
        self._writer = writer
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            # On a full disk the run's own next event raises the same where somebody sees it.
            with suppress(RunError):
                self._writer.beat()


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Return the events from byte ``offset`` on, and the offset to go on from; ([], offset) when there are none yet.

    Takes whole lines only, some megabytes at a time: read again until nothing comes. A line that is damaged
    comes as a ``warning`` without number. ``RunError`` if the file cannot be read, or is shorter than ``offset``.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < offset:
                raise RunError(
                    f"{path} has {size:,} bytes, but {offset:,} were read before: it was replaced",
                    "Follow the run anew.",
                )
            file.seek(offset)
            block = file.read(_BLOCK)
            while b"\n" not in block and (more := file.read(_BLOCK)):
                block += more
    except FileNotFoundError:
        return [], offset
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}", "Check the permissions.") from error
    whole = block[: block.rfind(b"\n") + 1]
    events = []
    for line in whole.split(b"\n")[:-1]:
        events.append(_parsed(line) or _damaged(path, offset))
        offset += len(line) + 1
    return events, offset


def all_events(path: Path) -> Iterator[Event]:
    """Yield every event that the file holds now."""
    offset = 0
    while True:
        events, offset = read_events(path, offset)
        if not events:
            return
        yield from events


def last_event(path: Path) -> Event | None:
    """Return the last whole event without reading the rest of the file; None if there is none."""
    ends = ends_of(path)
    return ends[-1] if ends else None


def ends_of(path: Path) -> list[Event]:
    """Return the first event and those of the file's last 64 kB or more, so that at least the last is there.

    For a look at many runs; damaged lines are left out.
    """
    try:
        with path.open("rb") as file:
            first = _parsed(file.readline())
            found = _last(file.fileno(), os.fstat(file.fileno()).st_size)[1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}", "Check the permissions.") from error
    return [first, *found] if first is not None and found and found[0]["seq"] > first["seq"] else found


def _last(file: int, size: int) -> tuple[int, list[Event]]:
    """Return where the last whole line ends, and the events at the end of the file: one at least, if it has any."""
    window = _TAIL
    while True:
        start = max(0, size - window)
        tail = _read(file, start, size - start)
        end = tail.rfind(b"\n") + 1
        # The first piece may lack its beginning; such a piece is no JSON object.
        events = [event for line in tail[:end].split(b"\n") if (event := _parsed(line)) is not None]
        if events or start == 0:
            return start + end, events
        window *= 4


def _read(file: int, start: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(file, length, start)):
        parts.append(part)
        start += len(part)
        length -= len(part)
    return b"".join(parts)


def _parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(event, dict) and isinstance(event.get("kind"), str) and isinstance(event.get("seq"), int):
        return event
    return None


def _damaged(path: Path, offset: int) -> Event:
    message = f"{path.name}: the line at byte {offset:,} is damaged and was passed over"
    return {"v": VERSION, "seq": None, "t": None, "kind": "warning", "message": message}


def finite(value: Any) -> Any:
    """Return ``value`` with null for every number in it that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
