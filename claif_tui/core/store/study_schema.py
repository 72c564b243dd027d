"""The tables of human evaluation, as migration 2 makes them. SQL text only.

A study, its items and its assignments are written once, when it is frozen; only explanations may be added.
``ratings`` is append-only: the latest row of an assignment and criterion counts, one without a value takes back.
"""

from __future__ import annotations

STATEMENTS: tuple[str, ...] = (
    # shows_score and shows_explanation stand beside the protocol, so that the raters' query can obey them.
    """CREATE TABLE studies (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, created TEXT NOT NULL,
        author TEXT NOT NULL, protocol TEXT NOT NULL, left_out TEXT NOT NULL,
        shows_score INTEGER NOT NULL, shows_explanation INTEGER NOT NULL) STRICT""",
    # Texts and score are copies: a study stays what it was when its pairs are edited. gold: JSON.
    """CREATE TABLE study_items (
        study_id INTEGER NOT NULL REFERENCES studies(id), n INTEGER NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('sample', 'practice', 'gold')), pair_id INTEGER,
        text_a TEXT NOT NULL, text_b TEXT NOT NULL, score REAL, explanation TEXT, explanation_key TEXT,
        rate REAL, system TEXT, model TEXT, recipe_id TEXT, status TEXT, gold TEXT NOT NULL DEFAULT '[]',
        PRIMARY KEY (study_id, n)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE assignments (
        token TEXT PRIMARY KEY, study_id INTEGER NOT NULL, rater TEXT NOT NULL, position INTEGER NOT NULL,
        item INTEGER NOT NULL, occurrence INTEGER NOT NULL,
        UNIQUE (study_id, rater, position), UNIQUE (study_id, rater, item, occurrence),
        FOREIGN KEY (study_id, item) REFERENCES study_items(study_id, n)) STRICT, WITHOUT ROWID""",
    # criterion NULL: a comment. value NULL with a criterion: taken back.
    """CREATE TABLE ratings (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL REFERENCES assignments(token), criterion TEXT,
        value REAL, comment TEXT, elapsed_ms INTEGER, at TEXT NOT NULL, source TEXT NOT NULL,
        session_id INTEGER REFERENCES rating_sessions(id)) STRICT""",
    "CREATE INDEX ratings_token ON ratings(token, criterion, id)",
    """CREATE TABLE rating_sessions (
        id INTEGER PRIMARY KEY, study_id INTEGER NOT NULL REFERENCES studies(id), rater TEXT NOT NULL,
        who TEXT NOT NULL, source TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, mark TEXT NOT NULL,
        started TEXT NOT NULL, heartbeat TEXT NOT NULL, ended TEXT) STRICT""",
    "CREATE INDEX rating_sessions_rater ON rating_sessions(study_id, rater, id)",
    """CREATE TABLE study_events (
        id INTEGER PRIMARY KEY, study_id INTEGER NOT NULL REFERENCES studies(id), at TEXT NOT NULL,
        author TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, deviation INTEGER NOT NULL) STRICT""",
    "CREATE INDEX study_events_study ON study_events(study_id, id)",
)
