"""What one rater sees and answers. Every query here is about one rater, and returns nothing that would unblind.

No status, condition, gold or other rater's answer is selected in this module, and the AI's score and its
explanation only where the study shows them: a test puts marks into every hidden column and looks for them.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core.errors import BusyError, SeatError, UsageError
from claif_tui.core.rating.models import SCALES, AnswerSource, Criterion, Desk, Shown
from claif_tui.core.store.connection import now
from claif_tui.core.store.process import own_mark, this_host
from claif_tui.core.store.runs import alive
from claif_tui.core.store.studies import add_event
from claif_tui.core.text import storable_text

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

MAX_COMMENT = 2000
"""Characters of a comment."""

_SHOWN = """SELECT a.token, a.position, i.role = 'practice', i.text_a, i.text_b,
    CASE WHEN s.shows_score THEN i.score END, CASE WHEN s.shows_explanation THEN i.explanation END
    FROM assignments a JOIN studies s ON s.id = a.study_id
    JOIN study_items i ON i.study_id = a.study_id AND i.n = a.item
    WHERE a.study_id = ? AND a.rater = ?"""
# The last word on an assignment and criterion (NULL: the comment).
_LAST = """SELECT r.criterion, r.value, r.comment FROM ratings r WHERE r.token = ? AND r.id =
    (SELECT max(l.id) FROM ratings l WHERE l.token = r.token AND l.criterion IS r.criterion)"""
_ANSWERED = """SELECT a.position, a.token, count(*) FROM assignments a JOIN ratings r ON r.token = a.token
    WHERE a.study_id = ? AND a.rater = ? AND r.criterion IS NOT NULL AND r.value IS NOT NULL
    AND r.id = (SELECT max(l.id) FROM ratings l WHERE l.token = r.token AND l.criterion = r.criterion)
    GROUP BY a.position"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One answer as it comes in: the assignment's token, which question, the value, seconds it took."""

    token: str
    criterion: str
    value: float
    elapsed: float | None = None


class RatingsRepo:
    """Tables ``ratings`` and ``rating_sessions``. Methods block for a disk flush: ask in a worker."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def criteria(self, study: str) -> tuple[int, tuple[Criterion, ...]]:
        """Return a study's number and its questions, and nothing else of its protocol."""
        with self._store.read() as conn:
            row = conn.execute(
                "SELECT id, json_extract(protocol, '$.criteria') FROM studies WHERE name = ?", (study,)
            ).fetchone()
        if row is None:
            raise UsageError(f"there is no study {study!r}", "Whoever runs the study knows its name.")
        return int(row[0]), tuple(Criterion(**criterion) for criterion in json.loads(row[1]))

    def raters(self, study_id: int) -> tuple[str, ...]:
        """Return the names under which people rate in a study, in the order of the plan."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT value FROM studies, json_each(protocol, '$.raters') WHERE studies.id = ?", (study_id,)
            )
            return tuple(row[0] for row in rows)

    def desk(self, study: str, rater: str) -> Desk:
        """Return what a rater may know of a study. ``UsageError`` for a name that is not in its plan."""
        study_id, criteria = self.criteria(study)
        names = self.raters(study_id)
        if rater not in names:
            close = next((name for name in names if name.casefold() == rater.casefold()), None)
            raise UsageError(
                f"{rater!r} is no rater of {study!r}",
                f"Did you mean {close}?" if close else "Raters were named when the study was frozen.",
            )
        with self._store.read() as conn:
            total, practice = conn.execute(
                "SELECT count(*), coalesce(sum(i.role = 'practice'), 0) FROM assignments a JOIN study_items i"
                " ON i.study_id = a.study_id AND i.n = a.item WHERE a.study_id = ? AND a.rater = ?",
                (study_id, rater),
            ).fetchone()
            done = sum(count >= len(criteria) for _, _, count in conn.execute(_ANSWERED, (study_id, rater)))
        return Desk(study=study, rater=rater, criteria=criteria, done=done, total=total, practice=practice)

    def positions(self, study_id: int, rater: str, questions: int) -> list[int]:
        """Return the positions that still lack an answer, ascending."""
        with self._store.read() as conn:
            done = {row[0] for row in conn.execute(_ANSWERED, (study_id, rater)) if row[2] >= questions}
            rows = conn.execute(
                "SELECT position FROM assignments WHERE study_id = ? AND rater = ? ORDER BY position",
                (study_id, rater),
            )
            return [row[0] for row in rows if row[0] not in done]

    def shown(self, study_id: int, rater: str, position: int) -> Shown | None:
        """Return what the rater sees at a position; None beyond the end."""
        with self._store.read() as conn:
            row = conn.execute(f"{_SHOWN} AND a.position = ?", (study_id, rater, position)).fetchone()
            return None if row is None else _shown(conn, row)

    def all_shown(self, study_id: int, rater: str) -> list[Shown]:
        """Return everything the rater sees, in order: for sheets and packets."""
        with self._store.read() as conn:
            rows = conn.execute(f"{_SHOWN} ORDER BY a.position", (study_id, rater)).fetchall()
            return [_shown(conn, row) for row in rows]

    def give(
        self,
        study_id: int,
        rater: str,
        given: Sequence[Given],
        *,
        source: AnswerSource,
        session: int | None = None,
    ) -> None:
        """Put answers on disk, all or none. Only one's own assignments; values must be on the question's scale."""
        at = now()

        def work(conn: sqlite3.Connection) -> None:
            criteria = _criteria(conn, study_id)
            for answer in given:
                _check(conn, study_id, rater, answer, criteria)
                elapsed = None if answer.elapsed is None else max(0, round(answer.elapsed * 1000))
                conn.execute(
                    "INSERT INTO ratings (token, criterion, value, elapsed_ms, at, source, session_id)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (answer.token, answer.criterion, answer.value, elapsed, at, source, session),
                )

        self._store.write(work)

    def comment(
        self,
        study_id: int,
        rater: str,
        token: str,
        text: str,
        *,
        source: AnswerSource,
        session: int | None = None,
    ) -> None:
        """Set the rater's comment on an assignment; an empty one takes it away."""
        text = storable_text(text.strip())[0]
        if len(text) > MAX_COMMENT:
            raise UsageError(f"the comment has {len(text):,} characters", f"At most {MAX_COMMENT:,} are kept.")

        def work(conn: sqlite3.Connection) -> None:
            _own(conn, study_id, rater, token)
            conn.execute(
                "INSERT INTO ratings (token, comment, at, source, session_id) VALUES (?, ?, ?, ?, ?)",
                (token, text, now(), source, session),
            )

        self._store.write(work)

    def undo(
        self, study_id: int, rater: str, *, source: AnswerSource, session: int | None = None
    ) -> int | None:
        """Take back the rater's latest standing answer and return its position; None if there is none."""

        def work(conn: sqlite3.Connection) -> int | None:
            row = conn.execute(
                "SELECT r.token, r.criterion, a.position FROM assignments a JOIN ratings r ON r.token = a.token"
                " WHERE a.study_id = ? AND a.rater = ? AND r.criterion IS NOT NULL AND r.value IS NOT NULL"
                " AND r.id = (SELECT max(l.id) FROM ratings l WHERE l.token = r.token"
                " AND l.criterion = r.criterion) ORDER BY r.id DESC LIMIT 1",
                (study_id, rater),
            ).fetchone()
            if row is None:
                return None
            conn.execute(
                "INSERT INTO ratings (token, criterion, at, source, session_id) VALUES (?, ?, ?, ?, ?)",
                (row[0], row[1], now(), source, session),
            )
            return int(row[2])

        return self._store.write(work)

    def open_session(
        self, study_id: int, rater: str, who: str, *, source: AnswerSource, same_person: bool = False
    ) -> int:
        """Begin to rate. ``BusyError`` while the same rater is at work elsewhere.

        ``who`` names the person behind the keyboard (login@host, or a browser's seat). If answers under this name
        came from somebody else so far, ``UsageError``; with ``same_person`` it is noted as a deviation instead.
        """

        def work(conn: sqlite3.Connection) -> int:
            rows = conn.execute(
                "SELECT id, who, host, pid, mark, heartbeat, started FROM rating_sessions"
                " WHERE study_id = ? AND rater = ? AND ended IS NULL ORDER BY id",
                (study_id, rater),
            ).fetchall()
            for _, other, host, pid, mark, beat, started in rows:
                if alive(host, pid, mark, beat):
                    raise BusyError(
                        f"{rater} is rating already: {other}, since {started[:16].replace('T', ' ')} UTC",
                        "Leave there first (esc), or rate under a name of your own.",
                    )
            conn.execute(
                "UPDATE rating_sessions SET ended = heartbeat WHERE study_id = ? AND rater = ? AND ended IS NULL",
                (study_id, rater),
            )
            seats = seats_of(conn, study_id, rater)
            if seats and who not in seats:
                if not same_person:
                    raise SeatError(
                        f"{rater} has rated as {', '.join(sorted(seats))} so far, and you are {who}",
                        "Two people must not share a name. If you are the same person, say so: --same-person",
                    )
                add_event(
                    conn,
                    study_id,
                    self._store.author,
                    "another seat",
                    f"{rater} goes on as {who}, after {', '.join(sorted(seats))}",
                    deviation=True,
                )
            at = now()
            cursor = conn.execute(
                "INSERT INTO rating_sessions (study_id, rater, who, source, host, pid, mark, started, heartbeat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (study_id, rater, who, source, this_host(), os.getpid(), own_mark(), at, at),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

        return self._store.write(work)

    def beat(self, session: int) -> None:
        """Say that the rater is still there; to be called every 30 s."""
        self._store.write(
            lambda conn: conn.execute("UPDATE rating_sessions SET heartbeat = ? WHERE id = ?", (now(), session))
        )

    def close_session(self, session: int) -> None:
        """Note that the rater left."""
        self._store.write(
            lambda conn: conn.execute(
                "UPDATE rating_sessions SET ended = ? WHERE id = ? AND ended IS NULL", (now(), session)
            )
        )


def seats_of(conn: sqlite3.Connection, study_id: int, rater: str) -> set[str]:
    """Return from where a rater's answers came so far."""
    rows = conn.execute(
        "SELECT DISTINCT s.who FROM rating_sessions s JOIN ratings r ON r.session_id = s.id"
        " WHERE s.study_id = ? AND s.rater = ?",
        (study_id, rater),
    )
    return {row[0] for row in rows}


def _shown(conn: sqlite3.Connection, row: Sequence[object]) -> Shown:
    token, position, practice, text_a, text_b, score, explanation = row
    mine: dict[str, float] = {}
    comment = ""
    for criterion, value, text in conn.execute(_LAST, (token,)):
        if criterion is None:
            comment = text or ""
        elif value is not None:
            mine[criterion] = value
    return Shown(
        token=str(token),
        position=int(str(position)),
        practice=bool(practice),
        text_a=str(text_a),
        text_b=str(text_b),
        score=None if score is None else float(str(score)),
        explanation=None if explanation is None else str(explanation),
        mine=mine,
        comment=comment,
    )


def _criteria(conn: sqlite3.Connection, study_id: int) -> dict[str, Criterion]:
    (text,) = conn.execute(
        "SELECT json_extract(protocol, '$.criteria') FROM studies WHERE id = ?", (study_id,)
    ).fetchone()
    return {criterion["name"]: Criterion(**criterion) for criterion in json.loads(text)}


def _own(conn: sqlite3.Connection, study_id: int, rater: str, token: str) -> None:
    found = conn.execute(
        "SELECT 1 FROM assignments WHERE token = ? AND study_id = ? AND rater = ?", (token, study_id, rater)
    )
    if found.fetchone() is None:
        raise UsageError(f"{token!r} is none of {rater}'s items in this study")


def _check(
    conn: sqlite3.Connection, study_id: int, rater: str, answer: Given, criteria: dict[str, Criterion]
) -> None:
    _own(conn, study_id, rater, answer.token)
    criterion = criteria.get(answer.criterion)
    if criterion is None:
        raise UsageError(
            f"{answer.criterion!r} is no question of this study", f"Questions: {', '.join(criteria)}"
        )
    if answer.value not in SCALES[criterion.scale]:
        listed = ", ".join(f"{value:g}" for value in SCALES[criterion.scale])
        raise UsageError(f"{answer.criterion} = {answer.value:g}: expected one of {listed}")
