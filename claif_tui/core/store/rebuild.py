"""The states of all pairs worked out from the truth alone: scores and journal. A proof, and a repair if it fails."""

from __future__ import annotations

import sqlite3

from claif_tui.core.store.idset import IdSet
from claif_tui.core.store.pair_schema import RECOUNT
from claif_tui.core.store.states import GAP, NEGATIVE, refresh_text
from claif_tui.core.store.verdicts import restore_verdicts
from claif_tui.core.store.wishes import RESCORE_BIT, mark_standing

_DERIVED = "status, author, decision_id, score, score_n, stale, edited, length, negative"
_WISH = f"flags & {RESCORE_BIT}"


def differences(conn: sqlite3.Connection, mend: bool = False) -> int:
    """Return for how many pairs the states differ from what the journal says; keep what it says if ``mend``."""
    conn.execute("SAVEPOINT rebuild")
    try:
        conn.execute(f"CREATE TEMP TABLE was AS SELECT pair_id, {_DERIVED}, {_WISH} AS wish FROM states")
        conn.execute("CREATE TEMP TABLE wording AS SELECT pair_id, text, negative FROM edits")
        _rebuild(conn)
        changed = " OR ".join(f"s.{column.strip()} IS NOT w.{column.strip()}" for column in _DERIVED.split(","))
        (different,) = conn.execute(
            f"SELECT count(*) FROM states s JOIN was w USING (pair_id) WHERE {changed} OR s.{_WISH} <> w.wish"
            " OR (SELECT text, negative FROM edits WHERE pair_id = s.pair_id)"
            " IS NOT (SELECT text, negative FROM wording WHERE pair_id = s.pair_id)"
        ).fetchone()
        miscounted = conn.execute(
            "SELECT 1 FROM tallies t WHERE n <> (SELECT count(*) FROM states s WHERE s.status = t.status)"
        ).fetchone()
        if miscounted is not None:
            different += 1
            conn.execute(RECOUNT)
        if mend:
            conn.execute("DROP TABLE was")
            conn.execute("DROP TABLE wording")
        else:
            conn.execute("ROLLBACK TO rebuild")
    finally:
        conn.execute("RELEASE rebuild")
    return int(different)


def _rebuild(conn: sqlite3.Connection) -> None:
    row = conn.execute("SELECT min(pair_id), max(pair_id) FROM states").fetchone()
    if row[0] is None:
        return
    everything = IdSet.run(row[0], row[1])
    conn.execute("UPDATE states SET status = 0, author = NULL, decision_id = NULL")
    restore_verdicts(conn, everything, below=1 << 62)
    touched = "SELECT pair_id FROM edits UNION SELECT pair_id FROM decisions WHERE action = 'edit'"
    for (pair_id,) in conn.execute(touched).fetchall():
        refresh_text(conn, pair_id)
    last = (
        "(SELECT {} FROM scores c WHERE c.pair_id = states.pair_id"
        " AND (c.decision_id IS NULL OR c.decision_id IN (SELECT id FROM standing)) ORDER BY c.n DESC LIMIT 1)"
    )
    wording = "(SELECT text FROM edits WHERE pair_id = states.pair_id)"
    conn.execute(
        f"UPDATE states SET score_n = {last.format('c.n')}, score = {last.format('c.score')},"
        f" stale = coalesce({last.format(f'c.text IS NOT {wording}')}, 0)"
    )
    _rebuild_negatives(conn)
    conn.execute(f"UPDATE states SET gap = {GAP}, flags = flags & ~{RESCORE_BIT}")
    mark_standing(conn, everything)


def _rebuild_negatives(conn: sqlite3.Connection) -> None:
    """The scores of hard negatives, and what they make stale. Pairs are not looked at."""
    imported = "SELECT negative_score FROM pairs WHERE id = states.pair_id"
    wording = "SELECT negative FROM edits WHERE pair_id = states.pair_id"
    scored = NEGATIVE.format(what="n.negative", pair="states.pair_id")
    moved = NEGATIVE.format(what=f"n.negative_text IS NOT ({wording})", pair="states.pair_id")
    conn.execute(
        f"UPDATE states SET negative = coalesce(({scored}), ({imported})), stale = stale OR"
        f" coalesce(({moved}), ({imported}) IS NOT NULL AND ({wording}) IS NOT NULL) WHERE triplet"
    )
