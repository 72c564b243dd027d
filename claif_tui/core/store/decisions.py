"""The journal of what people decided: append-only, with authors; undo and redo are rows of it like any other.

``states`` follows from it (see ``verdicts`` and ``states``), and ``rebuild`` can prove that.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

from claif_tui.core.errors import InputError
from claif_tui.core.models import STATUSES, Action, Decision, NewScore, PairQuery, Today
from claif_tui.core.store import queries
from claif_tui.core.store.connection import now
from claif_tui.core.store.idset import IdSet
from claif_tui.core.store.rebuild import differences
from claif_tui.core.store.states import (
    append_score,
    next_score_number,
    refresh_score,
    refresh_text,
)
from claif_tui.core.store.verdicts import VERDICTS, apply_verdict, ids_of, lift_verdict
from claif_tui.core.store.wishes import RESCORE_BIT, mark, unmark
from claif_tui.core.text import squash, storable_text

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

_COLUMNS = "id, at, author, action, pair_id, count, undoes, payload"
_Row = tuple[int, str, str, str, int | None, int, int | None, str]
JournalAction = Literal["accept", "reject", "pend", "edit", "set-score", "rescore", "undo", "redo"]

# An undo of d that was not itself taken back by a redo.
_TAKEN_BACK = """EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id AND NOT EXISTS (
    SELECT 1 FROM decisions r WHERE r.undoes = u.id AND r.kept = 0))"""


class DecisionsRepo:
    """Table ``decisions``. Every method that decides returns once its row is on disk.

    ``author`` defaults to the store's. A ``Decision`` with id 0 was not recorded, because it would change nothing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, pairs: Sequence[int] | PairQuery, action: Action, author: str | None = None) -> Decision:
        """Accept, reject or set back pairs: one journal row, however many they are, undone as one.

        One named pair is always recorded. Of several, only those whose status changes are touched; the payload's
        ``unchanged`` counts the rest. Raises ``InputError`` for an unknown pair, ``FilterError`` for a bad filter.
        """
        who = author or self._store.author

        def work(conn: sqlite3.Connection) -> Decision:
            status = VERDICTS[action]
            if not isinstance(pairs, PairQuery) and len(pairs) == 1:
                ids, before = IdSet.single(pairs[0]), _known(conn, pairs[0])
                payload: dict[str, object] = {"from": STATUSES[before]}
            else:
                ids, payload = _changing(conn, pairs, status)
                if isinstance(pairs, PairQuery):
                    payload |= {"filter": pairs.filter, "search": pairs.search}
            decision = _append(conn, who, action, ids, payload)
            if decision.id:
                apply_verdict(conn, ids, action, who, decision.id)
            return decision

        return self._store.write(work)

    def edit(
        self, pair_id: int, text: str | None = None, author: str | None = None, *, negative: str | None = None
    ) -> Decision:
        """Change the second sentence of a pair, the hard negative of a triplet, or both; None leaves one as it is.

        Its scores become stale unless the texts are those that were scored. The payload holds ``text`` and
        ``before``, ``negative`` and ``negative_before``: of each side that changes. ``InputError`` for an empty text
        and for a hard negative of a pair that has none.
        """
        who = author or self._store.author
        wanted, wanted_negative = (
            None if new is None else squash(storable_text(new)[0]) for new in (text, negative)
        )
        if "" in (wanted, wanted_negative):
            raise InputError("An edited sentence cannot be empty", "Reject the pair instead.")

        def work(conn: sqlite3.Connection) -> Decision:
            _known(conn, pair_id)
            before, before_negative = conn.execute(
                "SELECT coalesce(e.text, p.generated), coalesce(e.negative, p.hard_negative)"
                " FROM pairs p LEFT JOIN edits e ON e.pair_id = p.id WHERE p.id = ?",
                (pair_id,),
            ).fetchone()
            if wanted_negative is not None:
                _check_triplet(pair_id, before_negative)
            payload: dict[str, object] = {}
            if wanted not in (None, before):
                payload |= {"text": wanted, "before": before}
            if wanted_negative not in (None, before_negative):
                payload |= {"negative": wanted_negative, "negative_before": before_negative}
            if not payload:
                return _nothing(who, "edit", {"unchanged": 1})
            decision = _append(conn, who, "edit", IdSet.single(pair_id), payload)
            refresh_text(conn, pair_id)
            return decision

        return self._store.write(work)

    def set_score(
        self, pair_id: int, value: float, author: str | None = None, *, negative: float | None = None
    ) -> Decision:
        """Give a pair a score (0..1) by hand, for its current text, and a triplet's hard negative one as well."""
        who = author or self._store.author
        for score in (value, negative):
            if score is not None and not 0.0 <= score <= 1.0:
                raise InputError(f"A score lies between 0 and 1, not {score:g}", "For example 0.75.")

        def work(conn: sqlite3.Connection) -> Decision:
            _known(conn, pair_id)
            before, before_negative, text, negative_text, generated_negative = conn.execute(
                "SELECT s.score, s.negative, e.text, e.negative, p.hard_negative FROM states s"
                " JOIN pairs p ON p.id = s.pair_id LEFT JOIN edits e ON e.pair_id = s.pair_id WHERE s.pair_id = ?",
                (pair_id,),
            ).fetchone()
            payload: dict[str, object] = {"score": value, "before": before}
            if negative is not None:
                _check_triplet(pair_id, generated_negative)
                payload |= {"negative": negative, "negative_before": before_negative}
            decision = _append(conn, who, "set-score", IdSet.single(pair_id), payload)
            number = next_score_number(conn, pair_id)
            score = NewScore(
                score=value,
                text_b=text,
                negative=negative,
                negative_text=None if negative is None else negative_text,
            )
            append_score(conn, pair_id, score, n=number, after=decision.id, decision_id=decision.id)
            refresh_score(conn, pair_id)
            return decision

        return self._store.write(work)

    def rescore(self, pairs: Sequence[int] | PairQuery, author: str | None = None) -> Decision:
        """Ask for a new score of pairs; they carry the flag ``rescore`` until it has come (``to_rescore``)."""
        who = author or self._store.author

        def work(conn: sqlite3.Connection) -> Decision:
            if isinstance(pairs, PairQuery):
                unmarked = (f"s.flags & {RESCORE_BIT} = 0", ())
                ids = IdSet.of(queries.all_ids(conn, pairs, None if pairs.sample else unmarked))
            else:
                for pair_id in pairs:
                    _known(conn, pair_id)
                ids = IdSet.single(pairs[0]) if len(pairs) == 1 else IdSet.of(pairs)
            decision = _append(conn, who, "rescore", ids, {})
            if decision.id:
                mark(conn, ids, decision.id)
            return decision

        return self._store.write(work)

    def undo(self, author: str | None = None) -> Decision | None:
        """Take back the author's last decision that still stands; None if there is none.

        Pairs on which somebody decided since keep what they have: the payload's ``skipped`` counts them.
        """
        who = author or self._store.author

        def work(conn: sqlite3.Connection) -> Decision | None:
            row = conn.execute(
                f"SELECT {_COLUMNS} FROM decisions d WHERE author = ? AND action NOT IN ('undo', 'redo')"
                f" AND NOT {_TAKEN_BACK} ORDER BY id DESC LIMIT 1",
                (who,),
            ).fetchone()
            return None if row is None else self._turn(conn, who, "undo", _decision(row), row[0])

        return self._store.write(work)

    def redo(self, author: str | None = None) -> Decision | None:
        """Put back what the author undid last and has not decided over since; None if there is nothing.

        It takes its old place: what somebody decided later stays on top.
        """
        who = author or self._store.author

        def work(conn: sqlite3.Connection) -> Decision | None:
            row = conn.execute(
                "SELECT u.id, u.undoes FROM decisions u WHERE u.author = ?1 AND u.action = 'undo' AND u.kept = 0"
                " AND NOT EXISTS (SELECT 1 FROM decisions r WHERE r.undoes = u.id) AND u.id > coalesce((SELECT max(id)"
                " FROM decisions WHERE author = ?1 AND action NOT IN ('undo', 'redo')), 0) ORDER BY u.id DESC LIMIT 1",
                (who,),
            ).fetchone()
            if row is None:
                return None
            found = conn.execute(f"SELECT {_COLUMNS} FROM decisions WHERE id = ?", (row[1],)).fetchone()
            return self._turn(conn, who, "redo", _decision(found), row[0])

        return self._store.write(work)

    @staticmethod
    def _turn(
        conn: sqlite3.Connection, author: str, way: Literal["undo", "redo"], target: Decision, undoes: int
    ) -> Decision:
        """Record that ``target`` is taken back or put back, then let the states follow."""
        ids = ids_of(conn, target.id)
        payload: dict[str, object] = {"action": target.action, "of": target.id}
        # Whoever judged a text must not find another text under that judgement.
        kept = target.action == "edit" and _decided_later_by_another(conn, target)
        decision = _append(conn, author, way, ids, payload, undoes=undoes, kept=kept, turning=target)
        done = 0 if kept else _follow(conn, way, target, ids)
        if target.action in VERDICTS or kept:
            payload["skipped"] = len(ids) - done
        return _finish(conn, decision, done, payload)

    def list(
        self, pair_id: int | None = None, author: str | None = None, limit: int = 200, before: int | None = None
    ) -> list[Decision]:
        """Return journal rows, newest first; with ``pair_id`` those about that pair, bulk ones and undos included."""
        with self._store.read() as conn:
            if pair_id is not None:
                return _about(conn, pair_id, limit)
            rows = conn.execute(
                f"SELECT {_COLUMNS} FROM decisions WHERE (?1 IS NULL OR author = ?1) AND (?2 IS NULL OR id < ?2)"
                " ORDER BY id DESC LIMIT ?3",
                (author, before, limit),
            ).fetchall()
        return [_decision(row) for row in rows]

    def ids(self, decision_id: int) -> array[int]:
        """The pairs that a journal row is about."""
        with self._store.read() as conn:
            return ids_of(conn, decision_id).ids()

    def last_at(self) -> str | None:
        """When the last decision was saved (ISO 8601, UTC); None for an empty journal."""
        with self._store.read() as conn:
            row = conn.execute("SELECT at FROM decisions ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def today(self, author: str | None = None) -> Today:
        """What the author decided since local midnight and did not take back."""
        start = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        since = start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT action, count, idset IS NOT NULL FROM standing WHERE author = ? AND at >= ?"
                " AND action IN ('accept', 'reject')"
                " AND id > coalesce((SELECT max(id) FROM decisions WHERE at < ?), 0)",
                (author or self._store.author, since, since),
            ).fetchall()
        return Today(
            accepted=sum(action == "accept" and not bulk for action, _, bulk in rows),
            rejected=sum(action == "reject" and not bulk for action, _, bulk in rows),
            bulk=sum(count for _, count, bulk in rows if bulk),
        )

    def verify(self) -> int:
        """Work out all states from the journal and the scores alone; return for how many pairs that differs (0)."""
        return self._store.write(differences)

    def rebuild(self) -> int:
        """Like ``verify``, and put right what differs."""
        return self._store.write(lambda conn: differences(conn, mend=True))

    def times(self, author: str | None = None, limit: int = 500) -> Sequence[str]:
        """When the author decided on single pairs, newest first (ISO 8601, UTC)."""
        with self._store.read() as conn:
            rows = conn.execute(
                "SELECT at FROM decisions WHERE author = ? AND idset IS NULL AND action IN ('accept', 'reject', 'pend')"
                " ORDER BY id DESC LIMIT ?",
                (author or self._store.author, limit),
            ).fetchall()
        return [row[0] for row in rows]


def _known(conn: sqlite3.Connection, pair_id: int) -> int:
    """The status of a pair; ``InputError`` if there is no such pair."""
    row = conn.execute("SELECT status FROM states WHERE pair_id = ?", (pair_id,)).fetchone()
    if row is None:
        raise InputError(
            f"There is no pair {pair_id}", "claif-tui review list shows the pairs and their numbers."
        )
    return int(row[0])


def _check_triplet(pair_id: int, hard_negative: str | None) -> None:
    if hard_negative is None:
        raise InputError(
            f"Pair {pair_id} has no hard negative",
            "It is a pair of two sentences. Triplets are found by: triplet = yes.",
        )


def _changing(
    conn: sqlite3.Connection, pairs: Sequence[int] | PairQuery, status: int
) -> tuple[IdSet, dict[str, object]]:
    """The pairs whose status is not ``status`` yet, and what became of the others."""
    if isinstance(pairs, PairQuery):
        if pairs.sample is None:
            found = queries.all_ids(conn, _unsorted(pairs), ("s.status <> ?", (status,)))
            return IdSet.of(found), {"unchanged": queries.count(conn, pairs) - len(found)}
        pairs = queries.all_ids(conn, pairs)
    wanted = sorted(set(pairs))
    statuses: dict[int, int] = {}
    for start in range(0, len(wanted), 500):
        chunk = wanted[start : start + 500]
        marks = ",".join("?" * len(chunk))
        statuses |= dict(conn.execute(f"SELECT pair_id, status FROM states WHERE pair_id IN ({marks})", chunk))
    for pair_id in wanted:
        if pair_id not in statuses:
            _known(conn, pair_id)
    changing = [pair_id for pair_id in wanted if statuses[pair_id] != status]
    return IdSet.of(changing), {"unchanged": len(wanted) - len(changing)}


def _unsorted(query: PairQuery) -> PairQuery:
    return PairQuery(filter=query.filter, search=query.search, sort="oldest")


def _append(
    conn: sqlite3.Connection,
    author: str,
    action: JournalAction,
    ids: IdSet,
    payload: dict[str, object],
    *,
    undoes: int | None = None,
    kept: bool = False,
    turning: Decision | None = None,
) -> Decision:
    """Write one journal row. An undo or redo (``turning``) names its pairs through the row it turns."""
    count = len(ids)
    if count == 0 and turning is None:
        return _nothing(author, action, payload)
    pair_id = turning.pair_id if turning is not None else (ids.starts[0] if count == 1 else None)
    blob = ids.encode() if count > 1 and turning is None else None
    at, text = now(), json.dumps(payload, ensure_ascii=False)
    cursor = conn.execute(
        "INSERT INTO decisions (at, author, action, pair_id, count, undoes, kept, payload, idset)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (at, author, action, pair_id, count, undoes, int(kept), text, blob),
    )
    number = int(cursor.lastrowid or 0)
    return _decision((number, at, author, action, pair_id, count, undoes, text))


def _nothing(author: str, action: JournalAction, payload: dict[str, object]) -> Decision:
    return _decision((0, now(), author, action, None, 0, None, json.dumps(payload)))


def _finish(conn: sqlite3.Connection, decision: Decision, count: int, payload: dict[str, object]) -> Decision:
    """Complete the row of an undo or redo, in the transaction that wrote it, with what it came to."""
    text = json.dumps(payload, ensure_ascii=False)
    conn.execute("UPDATE decisions SET count = ?, payload = ? WHERE id = ?", (count, text, decision.id))
    row = (
        decision.id,
        decision.at,
        decision.author,
        decision.action,
        decision.pair_id,
        count,
        decision.undoes,
        text,
    )
    return _decision(row)


def _follow(conn: sqlite3.Connection, way: Literal["undo", "redo"], target: Decision, ids: IdSet) -> int:
    """Let the states follow the journal after ``target`` was turned; return how many pairs that concerned."""
    match target.action:
        case "edit":
            for pair_id, _ in ids.runs():
                refresh_text(conn, pair_id)
        case "set-score":
            for pair_id, _ in ids.runs():
                refresh_score(conn, pair_id)
        case "rescore":
            return unmark(conn, ids) if way == "undo" else mark(conn, ids, target.id)
        case _:
            if way == "undo":
                return lift_verdict(conn, ids, target.id)
            return apply_verdict(conn, ids, target.action, target.author, target.id)
    return len(ids)


def _decided_later_by_another(conn: sqlite3.Connection, target: Decision) -> bool:
    """Whether another author has a standing decision on the target's pair that came after it."""
    later = conn.execute(
        "SELECT 1 FROM standing WHERE pair_id = ? AND id > ? AND author <> ? LIMIT 1",
        (target.pair_id, target.id, target.author),
    ).fetchone()
    if later is not None:
        return True
    bulk = conn.execute(
        "SELECT idset FROM standing WHERE idset IS NOT NULL AND id > ? AND author <> ?",
        (target.id, target.author),
    )
    return any(target.pair_id in IdSet.decode(blob) for (blob,) in bulk)


def _about(conn: sqlite3.Connection, pair_id: int, limit: int) -> list[Decision]:
    """Journal rows about one pair, newest first."""
    rows: list[_Row] = conn.execute(
        f"SELECT {_COLUMNS} FROM decisions WHERE pair_id = ? ORDER BY id DESC LIMIT ?", (pair_id, limit)
    ).fetchall()
    for number, blob in conn.execute("SELECT id, idset FROM decisions WHERE idset IS NOT NULL"):
        if pair_id in IdSet.decode(blob):
            turned = "SELECT id FROM decisions WHERE undoes = ?1"
            rows += conn.execute(
                f"SELECT {_COLUMNS} FROM decisions WHERE id = ?1 OR id IN ({turned}) OR undoes IN ({turned})",
                (number,),
            ).fetchall()
    return [_decision(row) for row in sorted(set(rows), reverse=True)[:limit]]


def _decision(row: _Row) -> Decision:
    return Decision(
        id=row[0],
        at=row[1],
        author=row[2],
        action=cast(JournalAction, row[3]),
        pair_id=row[4],
        count=row[5],
        undoes=row[6],
        payload=json.loads(row[7]),
    )
