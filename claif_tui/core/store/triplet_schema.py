"""What migration 3 adds so that a hard negative is made, scored, edited, filtered and found as a positive is. SQL only.

A score entry speaks of both sides, an edit may be of either. Pairs that were there before keep all they have.
"""

from __future__ import annotations

SECOND_TEXT = (
    "coalesce(e.text, p.generated) || coalesce(' \ue000 ' || coalesce(e.negative, p.hard_negative), '')"
)
"""What the search index holds beside the anchor of pair ``p`` with edit ``e``; ``states.second_text`` in Python.

The sign between the sentences counts as a word, so that no phrase reaches from one into the other.
"""

FIRST_SECOND_TEXT = "generated || coalesce(' \ue000 ' || hard_negative, '')"
"""The same of a row of ``pairs`` that nobody has edited yet."""

STATEMENTS: tuple[str, ...] = (
    # The call that made the hard negative; the pair's generate_key names the one that made the positive.
    "ALTER TABLE pairs ADD COLUMN negative_key TEXT",
    # One positive may stand beside the hard negatives of several recipes.
    "DROP INDEX pairs_made",
    """CREATE UNIQUE INDEX pairs_made
        ON pairs(generate_key, coalesce(seed_id, 0), coalesce(rate, -1), coalesce(negative_key, ''))
        WHERE generate_key IS NOT NULL""",
    # negative_text: the hard negative that was scored, NULL for the generated one, as text is for the positive.
    "ALTER TABLE scores ADD COLUMN negative REAL",
    "ALTER TABLE scores ADD COLUMN negative_raw TEXT",
    "ALTER TABLE scores ADD COLUMN negative_key TEXT",
    "ALTER TABLE scores ADD COLUMN negative_text TEXT",
    # negative: the latest score of the hard negative, else the one it was imported with.
    "ALTER TABLE states ADD COLUMN triplet INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE states ADD COLUMN negative REAL",
    # Made anew because either text may be missing now. decision_id: the newest edit that holds.
    "ALTER TABLE edits RENAME TO edits_before",
    "CREATE TABLE edits (pair_id INTEGER PRIMARY KEY, text TEXT, decision_id INTEGER NOT NULL, negative TEXT) STRICT",
    "INSERT INTO edits SELECT pair_id, text, decision_id, NULL FROM edits_before",
    "DROP TABLE edits_before",
    # One reading of the wide table; what comes after is about triplets alone.
    """CREATE TEMP TABLE with_negative AS
        SELECT id FROM pairs WHERE hard_negative IS NOT NULL OR negative_score IS NOT NULL""",
    """UPDATE states SET (triplet, negative) =
        (SELECT p.hard_negative IS NOT NULL, p.negative_score FROM pairs p WHERE p.id = states.pair_id)
        WHERE pair_id IN (SELECT id FROM with_negative)""",
    # Only what is in the index can be taken out of it: shown pairs, and what a load under way has put in.
    """DELETE FROM with_negative WHERE NOT EXISTS (SELECT 1 FROM states s WHERE s.pair_id = id)
        AND NOT EXISTS (SELECT 1 FROM pairs p JOIN loads l ON l.source_id = p.source_id
        WHERE p.id = with_negative.id AND p.id <= l.searched_id)""",
    """INSERT INTO pairs_fts (pairs_fts, rowid, text_a, text_b)
        SELECT 'delete', p.id, p.text_a, coalesce(e.text, p.generated)
        FROM with_negative w JOIN pairs p ON p.id = w.id LEFT JOIN edits e ON e.pair_id = p.id""",
    f"""INSERT INTO pairs_fts (rowid, text_a, text_b) SELECT p.id, p.text_a, {SECOND_TEXT}
        FROM with_negative w JOIN pairs p ON p.id = w.id LEFT JOIN edits e ON e.pair_id = p.id""",
    "DROP TABLE with_negative",
)
