"""How one pair stands, worked out anew from its scores and its decisions. Runs inside a writer's transaction.

Three things are decided independently: the verdict (accept, reject, pend), the text and the score. Each is what the
last word on it says that still stands, so undoing one never disturbs the others.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

from claif_tui.core.models import NewScore
from claif_tui.core.store.codes import SCALES
from claif_tui.core.store.wishes import RESCORE_BIT, is_wanted

GAP = "abs(score - min(max(encoder, 0.0), 1.0))"
"""How far score and encoder are apart (SQL; NULL if one is missing)."""


def word_count(text: str) -> int:
    """The length of a text, as the field length has it."""
    return len(text.split())


def index_text(connection: sqlite3.Connection, pair_id: int, text_a: str, text_b: str) -> None:
    """Make a pair's texts searchable."""
    connection.execute(
        "INSERT INTO pairs_fts (rowid, text_a, text_b) VALUES (?, ?, ?)", (pair_id, text_a, text_b)
    )


def forget_text(connection: sqlite3.Connection, pair_id: int, text_a: str, text_b: str) -> None:
    """Take a pair's texts out of the search; they must be exactly those that were put in."""
    connection.execute(
        "INSERT INTO pairs_fts (pairs_fts, rowid, text_a, text_b) VALUES ('delete', ?, ?, ?)",
        (pair_id, text_a, text_b),
    )


def last_decision(connection: sqlite3.Connection) -> int:
    """The number of the newest journal row; 0 for an empty journal."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM decisions").fetchone()[0])


def append_score(
    connection: sqlite3.Connection,
    pair_id: int,
    score: NewScore,
    *,
    n: int,
    after: int,
    decision_id: int | None = None,
) -> None:
    """Add one row to a pair's scores; ``n`` is its number, ``after`` the newest decision at this moment."""
    connection.execute(
        "INSERT INTO scores (pair_id, n, score, raw, scale, reason, key, text, decision_id, after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            pair_id,
            n,
            score.score,
            score.raw,
            None if score.scale is None else SCALES.index(score.scale),
            score.reason,
            score.key,
            score.text_b,
            decision_id,
            after,
        ),
    )


def checked(score: NewScore, generated: str) -> NewScore:
    """Refuse a score outside 0..1; name the scored text only where it is not the generated one."""
    if not 0.0 <= score.score <= 1.0:  # also not a number
        raise ValueError(f"a score must be in 0..1, not {score.score}")
    return score if score.text_b != generated else replace(score, text_b=None)


def next_score_number(connection: sqlite3.Connection, pair_id: int) -> int:
    """The number that the pair's next score gets."""
    row = connection.execute("SELECT max(n) FROM scores WHERE pair_id = ?", (pair_id,)).fetchone()
    return 0 if row[0] is None else int(row[0]) + 1


def refresh_score(connection: sqlite3.Connection, pair_id: int) -> None:
    """Set score, staleness, gap and the wish for a rescore of one pair from what stands."""
    row = connection.execute(
        "SELECT c.n, c.score, c.text IS NOT (SELECT text FROM edits WHERE pair_id = c.pair_id), c.after"
        " FROM scores c WHERE c.pair_id = ?"
        " AND (c.decision_id IS NULL OR EXISTS (SELECT 1 FROM standing d WHERE d.id = c.decision_id))"
        " ORDER BY c.n DESC LIMIT 1",
        (pair_id,),
    ).fetchone()
    number, score, stale, after = row if row is not None else (None, None, 0, 0)
    wish = RESCORE_BIT if is_wanted(connection, pair_id, after) else 0
    connection.execute(
        "UPDATE states SET score_n = ?, score = ?, stale = ?, flags = (flags & ~?) | ? WHERE pair_id = ?",
        (number, score, stale, RESCORE_BIT, wish, pair_id),
    )
    connection.execute(f"UPDATE states SET gap = {GAP} WHERE pair_id = ?", (pair_id,))


def refresh_text(connection: sqlite3.Connection, pair_id: int) -> None:
    """Set the current text of one pair, its search entry and its length from the last edit that stands."""
    text_a, generated, indexed = connection.execute(
        "SELECT p.text_a, p.generated, e.text FROM pairs p LEFT JOIN edits e ON e.pair_id = p.id WHERE p.id = ?",
        (pair_id,),
    ).fetchone()
    row = connection.execute(
        "SELECT id, payload FROM standing WHERE pair_id = ? AND action = 'edit' ORDER BY id DESC LIMIT 1",
        (pair_id,),
    ).fetchone()
    wanted = str(json.loads(row[1])["text"]) if row is not None else generated
    before = generated if indexed is None else indexed
    if wanted != before:
        forget_text(connection, pair_id, text_a, before)
        index_text(connection, pair_id, text_a, wanted)
    if wanted == generated:
        connection.execute("DELETE FROM edits WHERE pair_id = ?", (pair_id,))
    else:
        connection.execute("INSERT OR REPLACE INTO edits VALUES (?, ?, ?)", (pair_id, wanted, row[0]))
    # The encoder's word was on the old text.
    connection.execute(
        "UPDATE states SET edited = ?, length = ?, encoder = CASE WHEN ? THEN encoder END WHERE pair_id = ?",
        (int(wanted != generated), word_count(wanted), int(wanted == before), pair_id),
    )
    refresh_score(connection, pair_id)
