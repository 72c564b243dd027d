"""Pairs that wait for a new score because a person asked for one. Runs inside a writer's transaction.

A wish is a journal row; it is fulfilled by the first score that comes after it, and gone if the row is undone.
"""

from __future__ import annotations

import sqlite3

from claif_tui.core.store.idset import IdSet

RESCORE_BIT = 1
"""In ``states.flags``: the pair waits for a new score."""


def is_wanted(conn: sqlite3.Connection, pair_id: int, after: int) -> bool:
    """Whether a wish for the pair stands that is younger than decision ``after``."""
    return any(
        blob is None or pair_id in IdSet.decode(blob)
        for (blob,) in conn.execute(
            "SELECT idset FROM standing WHERE pair_id = ?1 AND action = 'rescore' AND id > ?2 UNION ALL"
            " SELECT idset FROM standing WHERE idset IS NOT NULL AND action = 'rescore' AND id > ?2",
            (pair_id, after),
        )
    )


def mark(conn: sqlite3.Connection, ids: IdSet, decision_id: int) -> int:
    """Mark those pairs of a wish that got no score since; return how many."""
    return conn.executemany(
        f"UPDATE states SET flags = flags | {RESCORE_BIT} WHERE pair_id BETWEEN ? AND ? AND ? > coalesce("
        "(SELECT c.after FROM scores c WHERE c.pair_id = states.pair_id AND c.n = states.score_n), 0)",
        ((first, last, decision_id) for first, last in ids.runs()),
    ).rowcount


def unmark(conn: sqlite3.Connection, ids: IdSet) -> int:
    """Clear the mark of a wish that was taken back, but where another wish stands; return how many had it."""
    sql = (
        f"UPDATE states SET flags = flags & ~{RESCORE_BIT}"
        f" WHERE pair_id BETWEEN ? AND ? AND flags & {RESCORE_BIT} <> 0"
    )
    cleared = conn.executemany(sql, ids.runs()).rowcount
    mark_standing(conn, ids)
    return cleared


def mark_standing(conn: sqlite3.Connection, ids: IdSet) -> None:
    """Mark the pairs of ``ids`` for which a wish stands that is not fulfilled."""
    rows = conn.execute("SELECT id, pair_id, idset FROM standing WHERE action = 'rescore'").fetchall()
    for decision_id, pair_id, blob in rows:
        wished = IdSet.single(pair_id) if blob is None else IdSet.decode(blob)
        mark(conn, wished.common(ids), decision_id)
