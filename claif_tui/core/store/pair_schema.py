"""The tables behind Review, as migration 1 makes them. SQL text only.

``pairs``, ``scores`` and ``decisions`` are written once and never changed; ``states``, ``edits`` and the search
index follow from them. ``states`` is a narrow copy of all that filters and sorts need: scanning a million rows of it
takes under a tenth of a second, which no index could promise for every filter. Long texts stay out of it.
"""

from __future__ import annotations

TABLES: tuple[str, ...] = (
    # Words that many pairs share: system, model, author, flag. A flag's id is its bit in states.flags.
    """CREATE TABLE names (
        kind TEXT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (kind, id), UNIQUE (kind, name)) STRICT, WITHOUT ROWID""",
    "INSERT INTO names VALUES ('flag', 0, 'rescore')",
    # kind, class, split, status and scale are positions in the lists of codes.py. created: ms since 1970.
    """CREATE TABLE pairs (
        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, system INTEGER NOT NULL, seed_id INTEGER,
        source_id INTEGER, line INTEGER, run_id INTEGER, recipe_id TEXT, text_a TEXT NOT NULL,
        generated TEXT NOT NULL, hard_negative TEXT, rate REAL, occurrence INTEGER NOT NULL, masked TEXT,
        merged INTEGER NOT NULL, class INTEGER NOT NULL, model INTEGER, generate_key TEXT, gold REAL,
        negative_score REAL, length INTEGER NOT NULL, split INTEGER NOT NULL, created INTEGER NOT NULL) STRICT""",
    # Versions of a recipe share answers: one answer may stand for another seed or rate in each of them.
    """CREATE UNIQUE INDEX pairs_made ON pairs(generate_key, coalesce(seed_id, 0), coalesce(rate, -1))
        WHERE generate_key IS NOT NULL""",
    "CREATE INDEX pairs_seed ON pairs(seed_id, rate, occurrence) WHERE seed_id IS NOT NULL",
    # Every score a pair was given. text: the text that was scored, NULL for the generated one.
    # after: the last decision before it, so that a later wish for a rescore is told from an older one.
    """CREATE TABLE scores (
        pair_id INTEGER NOT NULL, n INTEGER NOT NULL, score REAL NOT NULL, raw TEXT, scale INTEGER, reason TEXT,
        key TEXT, text TEXT, decision_id INTEGER, after INTEGER NOT NULL,
        PRIMARY KEY (pair_id, n)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE states (
        pair_id INTEGER PRIMARY KEY, status INTEGER NOT NULL, score REAL, rate REAL, length INTEGER NOT NULL,
        stale INTEGER NOT NULL, flags INTEGER NOT NULL, system INTEGER NOT NULL, model INTEGER,
        class INTEGER NOT NULL, kind INTEGER NOT NULL, source_id INTEGER, split INTEGER NOT NULL,
        edited INTEGER NOT NULL, author INTEGER, decision_id INTEGER, score_n INTEGER, gold REAL, encoder REAL,
        gap REAL) STRICT""",
    # How many pairs stand in each status: asked for several times a second while pairs land.
    "CREATE TABLE tallies (status INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT",
    "INSERT INTO tallies VALUES (0, 0), (1, 0), (2, 0)",
    "CREATE TABLE edits (pair_id INTEGER PRIMARY KEY, text TEXT NOT NULL, decision_id INTEGER NOT NULL) STRICT",
    # Append-only. A bulk decision names its pairs in idset; undo and redo name the row they take back.
    # kept: an undo or redo that would have changed what somebody else decided upon; it changed nothing.
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, author TEXT NOT NULL, action TEXT NOT NULL, pair_id INTEGER,
        count INTEGER NOT NULL, undoes INTEGER, kept INTEGER NOT NULL DEFAULT 0,
        payload TEXT NOT NULL DEFAULT '{}', idset BLOB) STRICT""",
    "CREATE INDEX decisions_pair ON decisions(pair_id, id) WHERE pair_id IS NOT NULL",
    "CREATE INDEX decisions_bulk ON decisions(id) WHERE idset IS NOT NULL",
    "CREATE INDEX decisions_author ON decisions(author, id)",
    "CREATE INDEX decisions_undoes ON decisions(undoes) WHERE undoes IS NOT NULL",
    """CREATE VIEW standing AS SELECT d.* FROM decisions d
        WHERE d.action NOT IN ('undo', 'redo') AND NOT EXISTS (
        SELECT 1 FROM decisions u WHERE u.undoes = d.id AND u.kept = 0 AND NOT EXISTS (
        SELECT 1 FROM decisions r WHERE r.undoes = u.id AND r.kept = 0))""",
    # Where a reviewer was, by what was asked for; ids holds a sample, so that it stays the same sample.
    """CREATE TABLE places (
        author TEXT NOT NULL, query TEXT NOT NULL, pair_id INTEGER, ids BLOB, at TEXT NOT NULL,
        PRIMARY KEY (author, query)) STRICT, WITHOUT ROWID""",
    # A bulk load under way: its rows are in pairs and scores, but in nobody's sight until states has them (shown).
    """CREATE TABLE loads (
        source_id INTEGER PRIMARY KEY, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,
        searched_id INTEGER NOT NULL, shown INTEGER NOT NULL DEFAULT 0,
        host TEXT NOT NULL, pid INTEGER NOT NULL, mark TEXT NOT NULL) STRICT""",
)

TALLY_TRIGGERS: dict[str, str] = {
    "states_added": """CREATE TRIGGER states_added AFTER INSERT ON states BEGIN
        UPDATE tallies SET n = n + 1 WHERE status = new.status; END""",
    "states_decided": """CREATE TRIGGER states_decided AFTER UPDATE OF status ON states
        WHEN old.status <> new.status BEGIN
        UPDATE tallies SET n = n - 1 WHERE status = old.status;
        UPDATE tallies SET n = n + 1 WHERE status = new.status; END""",
}
"""They keep ``tallies``. Set aside within the transaction of a bulk change, which counts once at its end."""

RECOUNT = "UPDATE tallies SET n = (SELECT count(*) FROM states s WHERE s.status = tallies.status)"

STATE_INDEXES: dict[str, str] = {
    "states_status": "CREATE INDEX states_status ON states(status)",
    "states_score": "CREATE INDEX states_score ON states(score)",
    "states_rate": "CREATE INDEX states_rate ON states(rate, score)",
    "states_length": "CREATE INDEX states_length ON states(length)",
    "states_gap": "CREATE INDEX states_gap ON states(gap) WHERE gap IS NOT NULL",
    "states_marked": "CREATE INDEX states_marked ON states(flags) WHERE flags <> 0",
}
"""Dropped before a large load and made again after it."""

# No column sizes: nothing is ever ordered by rank. No content: the texts are in pairs and edits.
SEARCH = (
    "CREATE VIRTUAL TABLE pairs_fts USING fts5(text_a, text_b, content='', columnsize=0, tokenize='unicode61')"
)

STATEMENTS: tuple[str, ...] = (*TABLES, *TALLY_TRIGGERS.values(), *STATE_INDEXES.values(), SEARCH)
