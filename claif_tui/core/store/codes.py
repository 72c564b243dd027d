"""The small numbers under which the database keeps words: fixed lists, and the table of names that grows."""

from __future__ import annotations

import sqlite3

from claif_tui.core.errors import InputError
from claif_tui.core.models import AnswerClass, Kind, Scale, Split

# Append only: a position is what stands in the database.
KINDS: tuple[Kind, ...] = ("llm", "human", "zero", "nli")
CLASSES: tuple[AnswerClass, ...] = ("ok", "empty", "has_mask", "identical", "refusal", "off_label")
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
SCALES: tuple[Scale, ...] = ("0-1", "0-5")

RESCORE = "rescore"
"""The flag of pairs that wait for a new score; its bit is 0."""
MAX_FLAGS = 62


def code_of(connection: sqlite3.Connection, kind: str, name: str) -> int:
    """Return the number of ``name`` among the names of ``kind``, giving it one if it is new (in a writer)."""
    row = connection.execute("SELECT id FROM names WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    if row is not None:
        return int(row[0])
    (highest,) = connection.execute("SELECT max(id) FROM names WHERE kind = ?", (kind,)).fetchone()
    code = 0 if highest is None else int(highest) + 1
    if kind == "flag" and code >= MAX_FLAGS:
        raise InputError(f"A project can have {MAX_FLAGS} different flags, no more", "Reuse one of them.")
    connection.execute("INSERT INTO names (kind, id, name) VALUES (?, ?, ?)", (kind, code, name))
    return code


def names_of(connection: sqlite3.Connection, kind: str) -> dict[int, str]:
    """Return all names of ``kind`` (system, model, author, flag) by number."""
    return dict(connection.execute("SELECT id, name FROM names WHERE kind = ?", (kind,)))
