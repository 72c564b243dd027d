"""The verdict of pairs: set in bulk, taken back in bulk, worked out anew from the journal. Inside a transaction.

What holds for a pair is the newest decision on it that still stands, whoever made it. So an undo uncovers what lay
below and never touches what somebody put on top.
"""

from __future__ import annotations

import sqlite3

from claif_tui.core.store.codes import code_of
from claif_tui.core.store.idset import IdSet
from claif_tui.core.store.pair_schema import RECOUNT, STATE_INDEXES, TALLY_TRIGGERS

VERDICTS: dict[str, int] = {"accept": 1, "reject": 2, "pend": 0}
"""Status by action."""

_IN = "('accept', 'reject', 'pend')"
_MANY = 50_000
"""From so many pairs on it is quicker to make the status index anew than to keep it."""


def apply_verdict(conn: sqlite3.Connection, ids: IdSet, action: str, author: str, decision_id: int) -> int:
    """Lay a decision on its pairs, below newer ones; return for how many it is now the one that holds."""
    values = (VERDICTS[action], code_of(conn, "author", author), decision_id)
    return _update(
        conn,
        ids,
        "UPDATE states SET status = ?, author = ?, decision_id = ?"
        " WHERE pair_id BETWEEN ? AND ? AND (decision_id IS NULL OR decision_id < ?)",
        values,
        (decision_id,),
    )


def lift_verdict(conn: sqlite3.Connection, ids: IdSet, decision_id: int) -> int:
    """Take a decision away from where it holds and uncover what stands below; return for how many pairs it held."""
    lifted = _update(
        conn,
        ids,
        "UPDATE states SET status = 0, author = NULL, decision_id = NULL"
        " WHERE pair_id BETWEEN ? AND ? AND decision_id = ?",
        (),
        (decision_id,),
    )
    if lifted:
        restore_verdicts(conn, ids, below=decision_id)
    return lifted


def restore_verdicts(conn: sqlite3.Connection, ids: IdSet, below: int) -> None:
    """Give the pairs of ``ids`` without a verdict the newest standing one with an id under ``below``.

    A pair of no verdict has no standing decision but those just uncovered, so nothing else is touched.
    """
    first, last = ids.starts[0], ids.starts[-1] + ids.lengths[-1] - 1
    singles = conn.execute(
        f"SELECT pair_id, max(id), action, author FROM standing WHERE pair_id BETWEEN ? AND ? AND action IN {_IN}"
        " AND id < ? GROUP BY pair_id",
        (first, last, below),
    ).fetchall()
    codes = {author: code_of(conn, "author", author) for author in {row[3] for row in singles}}
    conn.executemany(
        "UPDATE states SET status = ?, author = ?, decision_id = ? WHERE pair_id = ? AND decision_id IS NULL",
        [(VERDICTS[action], codes[author], number, pair_id) for pair_id, number, action, author in singles],
    )
    bulk = conn.execute(
        f"SELECT id, action, author FROM standing WHERE idset IS NOT NULL AND action IN {_IN} AND id < ?",
        (below,),
    ).fetchall()
    for number, action, author in bulk:
        common = ids_of(conn, number).common(ids)
        if len(common):
            apply_verdict(conn, common, action, author, number)


def ids_of(conn: sqlite3.Connection, decision_id: int) -> IdSet:
    """The pairs that a journal row is about."""
    pair_id, blob = conn.execute("SELECT pair_id, idset FROM decisions WHERE id = ?", (decision_id,)).fetchone()
    if blob is not None:
        return IdSet.decode(blob)
    return IdSet.single(pair_id) if pair_id is not None else IdSet.of(())


def _update(
    conn: sqlite3.Connection, ids: IdSet, sql: str, before: tuple[object, ...], after: tuple[object, ...]
) -> int:
    """Run ``sql`` for each run of ids (its first and last id between ``before`` and ``after``); return the rows."""
    runs = ((*before, first, last, *after) for first, last in ids.runs())
    if len(ids) <= _MANY:
        return conn.executemany(sql, runs).rowcount
    conn.execute("DROP INDEX IF EXISTS states_status")
    conn.execute("DROP TRIGGER states_decided")
    changed = conn.executemany(sql, runs).rowcount
    conn.execute(STATE_INDEXES["states_status"])
    conn.execute(RECOUNT)
    conn.execute(TALLY_TRIGGERS["states_decided"])
    return changed
