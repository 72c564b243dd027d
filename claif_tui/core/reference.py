"""The papers' rows, read from the packaged tables. Only reading: what is compared with them is the leaderboard's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from claif_tui.core.paths import asset
from engine.tasks import RERANK, STS, TRANSFER

Kind = Literal["sts", "transfer", "rerank"]
Scorer = Literal["bi-encoder", "cross-encoder"]
"""How a pair becomes a similarity: cosine of two vectors, or both sentences in one input."""

TASKS: Mapping[Kind, tuple[str, ...]] = {"sts": STS, "transfer": TRANSFER, "rerank": (RERANK,)}
SUPERVISION: Mapping[str, str] = {
    "none": "text without labels",
    "ai": "an LLM's texts or scores",
    "human": "labels by people",
    "human+ai": "labels by people and an LLM's scores or texts",
}
"""What a model was trained with, beyond the pre-training of its backbone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a leaderboard; figures x100 by task, None where there is none.

    ``average`` is that of the papers: of figures rounded to two decimals, or as printed. ``backbone``, ``supervision``
    and ``scorer`` are None where they are not known; ``exact`` is the average in full precision, of our own rows only.
    ``apart`` says in words what sets a row apart from all that lack it.
    """

    id: str
    system: str
    backbone: str | None
    supervision: str | None
    scorer: str | None
    values: Mapping[str, float | None]
    average: float | None
    source: str
    exact: float | None = None
    notes: tuple[str, ...] = ()
    ours: bool = False
    apart: str = ""


@cache
def reference_rows(kind: Kind) -> tuple[Row, ...]:
    """Return the papers' rows of a kind, table by table; of reranking there are none."""
    found: list[Row] = []
    for file in sorted(asset("reference").glob("*.json")):
        table = json.loads(file.read_text("utf-8"))
        if table["kind"] != kind:
            continue
        found += [
            Row(
                id=row["id"],
                system=row["system"],
                backbone=row["backbone"],
                supervision=row["supervision"],
                scorer=table["scorer"],
                values={task: row["values"][task] for task in TASKS[kind]},
                average=row["average"],
                source=table["source"],
                notes=(*row["notes"], *table["notes"]),
            )
            for row in table["rows"]
        ]
    return tuple(found)
