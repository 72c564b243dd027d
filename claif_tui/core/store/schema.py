"""The tables of a project, as migration 1 makes them. SQL text only.

``calls`` and ``decisions`` are the truth and are never rewritten; ``ledger`` and ``states`` follow from them.
Status is 0 pending, 1 accepted, 2 rejected. Money is in whole nano-dollars. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from claif_tui.core.store import pair_schema

_GROUND = (
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL, role TEXT NOT NULL, format TEXT NOT NULL,
        split TEXT NOT NULL, sha256 TEXT NOT NULL, created TEXT NOT NULL, author TEXT NOT NULL,
        finished INTEGER NOT NULL DEFAULT 0,
        rows INTEGER NOT NULL DEFAULT 0, sentences INTEGER NOT NULL DEFAULT 0, uniq INTEGER NOT NULL DEFAULT 0,
        duplicates INTEGER NOT NULL DEFAULT 0, empty INTEGER NOT NULL DEFAULT 0,
        dropped TEXT NOT NULL DEFAULT '{}', notes TEXT NOT NULL DEFAULT '[]') STRICT""",
    """CREATE TABLE import_issues (
        id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources(id),
        line INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL) STRICT""",
    "CREATE INDEX import_issues_source ON import_issues(source_id, line)",
    # Ids run in import order, which is the order of every plan.
    """CREATE TABLE seeds (
        id INTEGER PRIMARY KEY, hash BLOB NOT NULL, text TEXT NOT NULL, split TEXT NOT NULL,
        source_id INTEGER NOT NULL REFERENCES sources(id), line INTEGER NOT NULL,
        count INTEGER NOT NULL DEFAULT 1, UNIQUE (split, hash)) STRICT""",
    "CREATE INDEX seeds_split ON seeds(split)",
    """CREATE TABLE recipes (
        id TEXT PRIMARY KEY, json TEXT NOT NULL, created TEXT NOT NULL, author TEXT NOT NULL) STRICT""",
    """CREATE TABLE endpoints (
        name TEXT PRIMARY KEY, base_url TEXT NOT NULL, model TEXT NOT NULL, api TEXT NOT NULL) STRICT""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, recipe_id TEXT, profile TEXT NOT NULL, model TEXT NOT NULL,
        args TEXT NOT NULL, state TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
        pid_started TEXT NOT NULL, heartbeat TEXT NOT NULL, started TEXT NOT NULL, ended TEXT,
        totals TEXT NOT NULL DEFAULT '{}',
        message TEXT NOT NULL DEFAULT '', request TEXT) STRICT""",
    "CREATE INDEX runs_open ON runs(state) WHERE state IN ('running', 'paused')",
    # The outcome of each planned pair; without a row it is open. rate is in thousandths.
    """CREATE TABLE items (
        scope TEXT NOT NULL, seed_id INTEGER NOT NULL, rate INTEGER NOT NULL, copy INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('generated', 'scored', 'unscorable', 'failed')), reason TEXT,
        pair_id INTEGER, PRIMARY KEY (scope, seed_id, rate, copy)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX items_state ON items(scope, state, reason)",
)

_CALLS = (
    """CREATE TABLE calls (
        key TEXT PRIMARY KEY, stage TEXT NOT NULL, recipe_id TEXT, run_id INTEGER, seed_id INTEGER,
        pair_id INTEGER, rate REAL, occurrence INTEGER NOT NULL, attempt INTEGER NOT NULL,
        profile TEXT NOT NULL, model TEXT NOT NULL, model_returned TEXT, api TEXT NOT NULL,
        prompt TEXT NOT NULL, params TEXT NOT NULL, state TEXT NOT NULL,
        reason TEXT, detail TEXT, raw TEXT, reasoning TEXT, finish_reason TEXT, prompt_tokens INTEGER,
        completion_tokens INTEGER, reserved_nano INTEGER NOT NULL, cost_nano INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 1, latency_ms INTEGER, sent_at TEXT NOT NULL,
        answered_at TEXT) STRICT""",
    # Sums by recipe and the counts on the screen come from this index alone; the rows are large.
    """CREATE INDEX calls_totals
        ON calls(recipe_id, stage, state, prompt_tokens, completion_tokens, cost_nano)""",
    "CREATE INDEX calls_unanswered ON calls(state, recipe_id, reason) WHERE state <> 'answered'",
    "CREATE INDEX calls_pair ON calls(pair_id) WHERE pair_id IS NOT NULL",
    """CREATE TABLE lost_tries (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL REFERENCES calls(key), tries INTEGER NOT NULL,
        reason TEXT NOT NULL, detail TEXT NOT NULL, raw TEXT, cost_nano INTEGER NOT NULL,
        at TEXT NOT NULL) STRICT""",
    "CREATE INDEX lost_tries_key ON lost_tries(key)",
    # recipe_id is '' for calls that belong to no recipe.
    """CREATE TABLE ledger (
        recipe_id TEXT PRIMARY KEY, cap_nano INTEGER, spent_nano INTEGER NOT NULL DEFAULT 0,
        reserved_nano INTEGER NOT NULL DEFAULT 0) STRICT""",
)

STATEMENTS: tuple[str, ...] = (*_GROUND, *_CALLS, *pair_schema.STATEMENTS)
"""Everything in migration 1, in order."""
