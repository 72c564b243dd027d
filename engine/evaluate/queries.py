"""Queries with documents that answer them and such that do not: reading of the reranking files. No figures, no models.

One JSON object a line: query (text), positives and negatives (lists of texts); the singular names, which public
reranking sets use, mean the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.evaluate.files import read_lines, tidy
from engine.evaluate.pairs import fingerprint

FOLDER = "rerank"
_SUFFIXES = (".jsonl", ".ndjson")
_NAMES = {"positives": ("positives", "positive"), "negatives": ("negatives", "negative")}
_FORM = 'As in {"query": "…", "positives": ["…"], "negatives": ["…", "…"]}, one object a line.'


@dataclass(frozen=True, slots=True)
class Query:
    """A query (text) with the documents that belong to it and those that do not, at least one of each."""

    text: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries by file, in the order of its lines; ``left_out`` counts lines that no figure can be made of."""

    files: Mapping[str, tuple[Query, ...]]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def every(self) -> list[Query]:
        """All queries, file by file."""
        return [query for queries in self.files.values() for query in queries]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the queries and documents, as they are compared."""
        return fingerprint(
            [name, json.dumps([query.text, query.positives, query.negatives], ensure_ascii=False)]
            for name, queries in self.files.items()
            for query in queries
        )


def read_queries(root: Path) -> Queries:
    """Read a file, or all JSON Lines files of a folder's ``rerank``, or of the folder itself where it has none.

    Queries without positives or without negatives rank nothing: they are left out and counted. DataError names file and
    line of one that is malformed; another where no query is left.
    """
    files: dict[str, tuple[Query, ...]] = {}
    left_out: Counter[str] = Counter()
    for path in _paths(root):
        queries = []
        for number, line in enumerate(read_lines(path), 1):
            if not line.strip():
                left_out["blank line"] += 1
                continue
            query = _query(path, number, line)
            if not query.positives:
                left_out["query without positives"] += 1
            elif not query.negatives:
                left_out["query without negatives"] += 1
            else:
                queries.append(query)
        if queries:
            files[path.stem] = tuple(queries)
    if not files:
        why = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.items()) or "it is empty"
        raise DataError(f"{root}: no query with positives and negatives is there ({why}).", _FORM)
    return Queries(files, dict(left_out))


def _paths(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    for folder in (root / FOLDER, root):
        if found := sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file()):
            return found
    raise DataError(
        f"{root}: no .jsonl file of queries is there, nor below {FOLDER}/.",
        f"Name the file itself, or its folder. {_FORM}",
    )


def _query(path: Path, number: int, line: str) -> Query:
    where = f"{path}, line {number}"
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{where}: is not JSON.", _FORM) from None
    if not isinstance(values, dict):
        raise DataError(f"{where}: {type(values).__name__}, an object expected.", _FORM)
    text = values.get("query")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: query is {_shown(text)}, a text expected.", _FORM)
    return Query(
        tidy(_whole(text)), _documents(where, values, "positives"), _documents(where, values, "negatives")
    )


def _documents(where: str, values: dict[str, Any], name: str) -> tuple[str, ...]:
    found = [values[one] for one in _NAMES[name] if one in values]
    if not found:
        raise DataError(f"{where}: has no {name}.", _FORM)
    texts = found[0]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: {name} is {_shown(texts)}, a list of texts expected.", _FORM)
    return tuple(tidy(_whole(text)) for text in texts)


def _whole(text: str) -> str:
    """The text with lone surrogates, which no tokenizer takes, as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _shown(value: object) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"
