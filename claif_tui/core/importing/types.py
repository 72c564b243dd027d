"""What an import is asked to do, what it would do and what it did; plain data, no reading and no storing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from claif_tui.core.models import Scale, Split

Role = Literal["seeds", "pairs", "triplets", "gold"]
Format = Literal["text", "csv", "tsv", "jsonl", "parquet", "stsb", "nli"]

ROLES: tuple[Role, ...] = ("seeds", "pairs", "triplets", "gold")
FORMATS: tuple[Format, ...] = ("text", "csv", "tsv", "jsonl", "parquet", "stsb", "nli")

MAX_SENTENCE = 10_000
"""Characters; whatever is longer is a document, and is dropped by name instead of being sent to a model."""

REASONS: dict[str, str] = {
    "empty": "nothing but blanks where a sentence should be",
    "duplicate": "the same text came before",
    "missing_column": "fewer columns than the file's layout has",
    "too_many_columns": "more columns than the file's layout has, so its texts cannot be told apart",
    "not_json": "not one JSON object in one line",
    "not_text": "something other than text where a sentence should be",
    "too_long": f"longer than {MAX_SENTENCE:,} characters",
    "bad_score": "a score that is not a number",
    "score_out_of_range": "a score outside its scale",
    "held_out_dev": "the file says that this row belongs to a dev split",
    "held_out_test": "the file says that this row belongs to a test split",
    "other_split": "the file says that this row belongs to another split",
    "zero_pair": "a random pair with score 0, which export makes anew",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How files are to be read. ``columns`` holds names, or ``role=name`` for pairs; None means "guess".

    ``split`` puts the rows there; test data needs ``allow_test`` as well. ``smoothed`` says whether labels were
    smoothed before (guessed from all of them when None). ``header`` says whether the first row
    names the columns.
    """

    role: Role = "seeds"
    format: Format | None = None
    columns: tuple[str, ...] = ()
    split: Split | None = None
    allow_test: bool = False
    score_scale: Scale | None = None
    smoothed: bool | None = None
    encoding: str | None = None
    header: bool | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """One row that was merged or dropped: where, why, and a piece of it."""

    line: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was counted. ``sentences`` = ``unique`` + ``duplicates``; for pairs these count pairs instead.

    ``empty`` and ``dropped`` (reason → rows) are apart from them; ``replaced`` counts NULs and lone surrogates.
    """

    rows: int = 0
    sentences: int = 0
    unique: int = 0
    duplicates: int = 0
    empty: int = 0
    replaced: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an import would do, before anything is written.

    ``used`` names what each used column becomes; ``rows`` are the first rows as (line, cells). ``tally`` counts
    the rows looked at: all of them when ``exact``, else ``share`` (0..1) of the file. ``refusal`` says why the
    import would be refused as asked, and ``refusal_hint`` how to go on.
    """

    path: Path
    role: Role
    format: Format
    format_reason: str
    encoding: str
    columns: tuple[str, ...]
    used: tuple[tuple[str, str], ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    tally: Tally
    issues: tuple[Issue, ...]
    exact: bool
    share: float
    split: Split
    split_reason: str
    refusal: str
    refusal_hint: str
    notes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What one import did. ``repeated`` names the earlier import when the same file had come before."""

    path: Path
    role: Role
    format: Format
    split: Split
    source_id: int
    tally: Tally
    notes: tuple[str, ...] = ()
    repeated: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is: bytes of the file read, of how many, and rows so far. ``stage`` is for people."""

    stage: str
    done: int
    total: int
    rows: int


ProgressFn = Callable[[Progress], None]
"""Called a few times a second; raising from it cancels the import and leaves nothing behind."""
