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


NEGATIVE = """SELECT {what} FROM scores n WHERE n.pair_id = {pair} AND n.negative IS NOT NULL
    AND (n.decision_id IS NULL OR EXISTS (SELECT 1 FROM standing d WHERE d.id = n.decision_id))
    ORDER BY n.n DESC LIMIT 1"""
"""``what`` of ``n``, the latest standing entry that scores the hard negative of ``pair``."""


def second_text(text_b: str, hard_negative: str | None) -> str:
    """What the search index holds beside the anchor: ``triplet_schema.SECOND_TEXT`` of a row at hand."""
    return text_b if hard_negative is None else f"{text_b} \ue000 {hard_negative}"


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
        "INSERT INTO scores (pair_id, n, score, raw, scale, reason, key, text, decision_id, after, negative,"
        " negative_raw, negative_key, negative_text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            score.negative,
            score.negative_raw,
            score.negative_key,
            score.negative_text,
        ),
    )


def checked(score: NewScore, generated: str, hard_negative: str | None) -> NewScore:
    """Refuse a score outside 0..1; name a scored text only where it is not the generated one."""
    for value in (score.score, score.negative):
        if value is not None and not 0.0 <= value <= 1.0:  # also not a number
            raise ValueError(f"a score must be in 0..1, not {value}")
    if score.negative is not None and hard_negative is None:
        raise ValueError("a score of a hard negative for a pair without one")
    if score.text_b is not None and score.text_b == generated:
        score = replace(score, text_b=None)
    if score.negative_text is not None and score.negative_text == hard_negative:
        score = replace(score, negative_text=None)
    return score


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
    if connection.execute("SELECT triplet FROM states WHERE pair_id = ?", (pair_id,)).fetchone()[0]:
        _refresh_negative(connection, pair_id)
    connection.execute(f"UPDATE states SET gap = {GAP} WHERE pair_id = ?", (pair_id,))


def _refresh_negative(connection: sqlite3.Connection, pair_id: int) -> None:
    """Set the score of a triplet's hard negative; if that was given to another text, the triplet is stale."""
    imported, edited = connection.execute(
        "SELECT p.negative_score, e.negative FROM pairs p LEFT JOIN edits e ON e.pair_id = p.id WHERE p.id = ?",
        (pair_id,),
    ).fetchone()
    row = connection.execute(
        NEGATIVE.format(what="n.negative, n.negative_text", pair="?"), (pair_id,)
    ).fetchone()
    score, text = row if row is not None else (imported, None)
    stale = score is not None and text != edited
    connection.execute(
        "UPDATE states SET negative = ?, stale = stale OR ? WHERE pair_id = ?", (score, int(stale), pair_id)
    )


def refresh_text(connection: sqlite3.Connection, pair_id: int) -> None:
    """Set the current texts of one pair, its search entry and its length from the last edits that stand."""
    text_a, generated, hard_negative, edited, edited_negative = connection.execute(
        "SELECT p.text_a, p.generated, p.hard_negative, e.text, e.negative"
        " FROM pairs p LEFT JOIN edits e ON e.pair_id = p.id WHERE p.id = ?",
        (pair_id,),
    ).fetchone()
    before = generated if edited is None else edited
    before_negative = hard_negative if edited_negative is None else edited_negative
    text, negative, holds = _last_edits(connection, pair_id)
    text = None if text == generated else text
    negative = None if negative == hard_negative else negative
    wanted = generated if text is None else text
    wanted_negative = hard_negative if negative is None else negative
    if (wanted, wanted_negative) != (before, before_negative):
        forget_text(connection, pair_id, text_a, second_text(before, before_negative))
        index_text(connection, pair_id, text_a, second_text(wanted, wanted_negative))
    if text is None and negative is None:
        connection.execute("DELETE FROM edits WHERE pair_id = ?", (pair_id,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO edits (pair_id, text, negative, decision_id) VALUES (?, ?, ?, ?)",
            (pair_id, text, negative, holds),
        )
    # The encoder's word was on the old text.
    connection.execute(
        "UPDATE states SET edited = ?, length = ?, encoder = CASE WHEN ? THEN encoder END WHERE pair_id = ?",
        (int(text is not None or negative is not None), word_count(wanted), int(wanted == before), pair_id),
    )
    refresh_score(connection, pair_id)


def _last_edits(connection: sqlite3.Connection, pair_id: int) -> tuple[str | None, str | None, int]:
    """The text and the hard negative that the last standing edits of each gave, and the newest such decision."""
    found: dict[str, str] = {}
    holds = 0
    rows = connection.execute(
        "SELECT id, payload FROM standing WHERE pair_id = ? AND action = 'edit' ORDER BY id DESC", (pair_id,)
    )
    for number, payload in rows:
        said = json.loads(payload)
        new = {side: str(said[side]) for side in ("text", "negative") if side in said and side not in found}
        if new:
            found |= new
            holds = holds or int(number)
        if len(found) == 2:
            break
    return found.get("text"), found.get("negative"), holds
