"""What raters answered elsewhere, on its way in: whose items they are, and one transaction for all of it.

Files are read and checked in ``core/rating``; nothing here goes out to a rater.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from claif_tui.core.errors import UsageError
from claif_tui.core.rating.models import AnswerSource
from claif_tui.core.store.connection import now
from claif_tui.core.store.ratings import seats_of
from claif_tui.core.store.studies import add_event

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

Differing = Literal["refuse", "keep", "replace"]
"""What happens when the project holds another answer: nothing is taken, the project's stays, or the file's counts."""
Version = tuple[float | str | None, str]
"""An answer (or a comment) and when it was given; the time is empty where the file does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose an item is: its study and rater, and where it stands in that rater's order."""

    study_id: int
    study: str
    rater: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The last word of a file on one question of one item; ``criterion`` None: the comment.

    ``value`` None: not answered, or taken back. ``at`` is empty where the file does not know it. ``earlier`` are
    the versions that the rater had given before and replaced by this one. ``place`` says where it stands.
    """

    token: str
    criterion: str | None
    value: float | str | None
    at: str = ""
    elapsed: float | None = None
    who: str = ""
    place: str = ""
    earlier: frozenset[Version] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one file says for one rater. ``mark`` is the packet's own number; empty for sheets."""

    study_id: int
    rater: str
    source: AnswerSource
    file: str
    cells: tuple[Cell, ...]
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An answer in a file that is not the project's."""

    cell: Cell
    stands: float | str
    source: str
    at: str


@dataclass(slots=True, kw_only=True)
class Taken:
    """What became of a batch: cells counted by fate. ``missing`` of ``total`` answers are given nowhere yet."""

    batch: Batch
    new: int = 0
    changed: int = 0
    same: int = 0
    comments: int = 0
    missing: int = 0
    total: int = 0
    differing: list[Difference] = field(default_factory=list)


class _Undone(Exception):
    """Leaves a transaction without a trace, with what it would have done."""

    def __init__(self, taken: list[Taken]) -> None:
        super().__init__()
        self.taken = taken


class ReturnedRepo:
    """Writes to ``ratings``, ``rating_sessions`` and ``study_events``. Methods block for a disk flush."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def owners(self, tokens: Iterable[str]) -> dict[str, Owner]:
        """Return whose items these are; what is none of this project's is left out."""
        found: dict[str, Owner] = {}
        with self._store.read() as conn:
            for token in tokens:
                row = conn.execute(
                    "SELECT s.id, s.name, a.rater, a.position FROM assignments a JOIN studies s"
                    " ON s.id = a.study_id WHERE a.token = ?",
                    (token,),
                ).fetchone()
                if row is not None:
                    found[token] = Owner(study_id=row[0], study=row[1], rater=row[2], position=row[3])
        return found

    def take(
        self,
        batches: Sequence[Batch],
        *,
        differing: Differing = "refuse",
        same_person: bool = False,
        dry_run: bool = False,
    ) -> list[Taken]:
        """Put everything on disk or nothing, and return what became of each batch.

        Nothing is stored with ``dry_run``, nor where answers differ and that is refused: the caller sees it from
        ``differing``. ``UsageError`` if a packet comes from another seat than the rater's answers so far, unless
        ``same_person``; then it is noted as a deviation.
        """

        def work(conn: sqlite3.Connection) -> list[Taken]:
            done = [self._take(conn, batch, differing, same_person) for batch in batches]
            if dry_run or (differing == "refuse" and any(taken.differing for taken in done)):
                raise _Undone(done)
            return done

        try:
            return self._store.write(work)
        except _Undone as undone:
            return undone.taken

    def _take(self, conn: sqlite3.Connection, batch: Batch, differing: Differing, same_person: bool) -> Taken:
        taken = Taken(batch=batch)
        chosen: list[Cell] = []
        for cell in batch.cells:
            fate, difference = _fate(conn, cell)
            if difference is not None:
                taken.differing.append(difference)
                if differing == "replace":
                    chosen.append(cell)
            elif fate == "same":
                taken.same += cell.criterion is not None
            elif fate != "nothing":
                chosen.append(cell)
                if cell.criterion is None:
                    taken.comments += 1
                elif fate == "new":
                    taken.new += 1
                else:
                    taken.changed += 1
        self._check_seats(conn, batch, same_person)
        sessions = _sessions(conn, batch)
        at = now()
        conn.executemany(
            "INSERT INTO ratings (token, criterion, value, comment, elapsed_ms, at, source, session_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    cell.token,
                    cell.criterion,
                    None if cell.criterion is None else cell.value,
                    (cell.value or "") if cell.criterion is None else None,
                    None if cell.elapsed is None else max(0, round(cell.elapsed * 1000)),
                    cell.at or at,
                    batch.source,
                    sessions.get(cell.who),
                )
                for cell in chosen
            ],
        )
        self._note(conn, taken, differing)
        taken.total, taken.missing = _missing(conn, batch)
        return taken

    def _check_seats(self, conn: sqlite3.Connection, batch: Batch, same_person: bool) -> None:
        """Two people must not share a name: the rule of ``RatingsRepo.open_session``, for what comes in a file."""
        known = seats_of(conn, batch.study_id, batch.rater)
        seats = sorted({cell.who for cell in batch.cells if cell.who})
        strange = [who for who in seats if who not in (known or seats[:1])]
        if not strange:
            return
        before = ", ".join(sorted(known) or seats[:1])
        if not same_person:
            raise UsageError(
                f"{batch.file}: {batch.rater} has rated as {before} so far, and this comes from"
                f" {', '.join(strange)}",
                "Two people must not share a name. If it is the same person, say so: --same-person",
            )
        self._event(
            conn, batch, "another seat", f"{batch.rater} goes on as {', '.join(strange)}, after {before}", True
        )

    def _note(self, conn: sqlite3.Connection, taken: Taken, differing: Differing) -> None:
        batch, what = taken.batch, taken.batch.source
        count = taken.new + taken.changed + taken.comments
        if count:
            said = f"{batch.rater}: {taken.new} new, {taken.changed} changed, {taken.comments} comments"
            self._event(conn, batch, f"{what} read", f"{said}, from {batch.file}", False)
        if taken.differing:
            answers = (
                "1 answer differs" if len(taken.differing) == 1 else f"{len(taken.differing)} answers differ"
            )
            verdict = "the file's count" if differing == "replace" else "the project's count"
            said = f"{batch.rater}: {answers} between the project and {batch.file}; {verdict}"
            self._event(conn, batch, f"{what} differs", said, True)

    def _event(self, conn: sqlite3.Connection, batch: Batch, kind: str, detail: str, deviation: bool) -> None:
        """Note an event, once however often the same file comes."""
        known = conn.execute(
            "SELECT 1 FROM study_events WHERE study_id = ? AND kind = ? AND detail = ?",
            (batch.study_id, kind, detail),
        )
        if known.fetchone() is None:
            add_event(conn, batch.study_id, self._store.author, kind, detail, deviation=deviation)


def _fate(conn: sqlite3.Connection, cell: Cell) -> tuple[str, Difference | None]:
    """Return new, changed, same or nothing; or how the project's answer differs from one it knows nothing of."""
    rows = conn.execute(
        "SELECT value, comment, at, source FROM ratings WHERE token = ? AND criterion IS ? ORDER BY id",
        (cell.token, cell.criterion),
    ).fetchall()
    history = [((comment or None) if cell.criterion is None else value, at) for value, comment, at, _ in rows]
    if cell.at and (cell.value, cell.at) in history:
        return "same", None
    stands, at = history[-1] if history else (None, "")
    if stands is None:
        return ("nothing" if cell.value is None else "new"), None
    if stands == cell.value:
        return "same", None
    if {(stands, at), (stands, "")} & cell.earlier:
        return "changed", None
    if cell.value is None:
        return "nothing", None
    return "", Difference(cell=cell, stands=stands, source=rows[-1][3], at=at)


def _sessions(conn: sqlite3.Connection, batch: Batch) -> dict[str, int]:
    """Return the session of each seat in a packet, made on its first merge; a sheet has none."""
    sessions: dict[str, int] = {}
    for who in sorted({cell.who for cell in batch.cells if cell.who}):
        times = sorted(cell.at for cell in batch.cells if cell.who == who)
        row = conn.execute(
            "SELECT id FROM rating_sessions WHERE study_id = ? AND rater = ? AND who = ? AND source = ?"
            " AND mark = ?",
            (batch.study_id, batch.rater, who, batch.source, batch.mark),
        ).fetchone()
        if row is None:
            cursor = conn.execute(
                "INSERT INTO rating_sessions (study_id, rater, who, source, host, pid, mark, started, heartbeat,"
                " ended) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
                (
                    batch.study_id,
                    batch.rater,
                    who,
                    batch.source,
                    who.rpartition("@")[2],
                    batch.mark,
                    times[0],
                    times[-1],
                    times[-1],
                ),
            )
            assert cursor.lastrowid is not None
            sessions[who] = cursor.lastrowid
        else:
            sessions[who] = row[0]
            conn.execute(
                "UPDATE rating_sessions SET heartbeat = ?, ended = ? WHERE id = ?",
                (times[-1], times[-1], row[0]),
            )
    return sessions


def _missing(conn: sqlite3.Connection, batch: Batch) -> tuple[int, int]:
    """Return how many answers a rater owes in all, and how many of them stand nowhere yet."""
    (total,) = conn.execute(
        "SELECT count(*) * json_array_length(s.protocol, '$.criteria') FROM assignments a"
        " JOIN studies s ON s.id = a.study_id WHERE a.study_id = ? AND a.rater = ?",
        (batch.study_id, batch.rater),
    ).fetchone()
    (given,) = conn.execute(
        "SELECT count(*) FROM assignments a JOIN ratings r ON r.token = a.token"
        " WHERE a.study_id = ? AND a.rater = ? AND r.criterion IS NOT NULL AND r.value IS NOT NULL"
        " AND r.id = (SELECT max(l.id) FROM ratings l WHERE l.token = r.token AND l.criterion = r.criterion)",
        (batch.study_id, batch.rater),
    ).fetchone()
    return int(total), int(total) - int(given)
