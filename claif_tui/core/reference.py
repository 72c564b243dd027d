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
Standing = Literal["ours", "demo", "paper", "reference"]
STANDING: Mapping[Standing, str] = {
    "ours": "a result of this project",
    "demo": "a result of this project, on data made with the offline model: it is not compared",
    "paper": "printed in a paper",
    "reference": "printed in a paper, and no system that this program runs",
}
"""What a row is."""
REFERENCE_ONLY = "Reference only: the paper's figures; this program does not run the system."
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
    ``apart`` says in words what sets a row apart from all that lack it; a ``demo`` is compared with nothing.
    ``runs``: this program can run the system.
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
    demo: bool = False
    runs: bool = True

    @property
    def standing(self) -> Standing:
        """What the row is: ours, a demo of ours, a paper's, or a paper's that stands here for reference alone."""
        if self.ours:
            return "demo" if self.demo else "ours"
        return "paper" if self.runs else "reference"


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
                notes=(*row["notes"], *table["notes"], *(() if row.get("runs", True) else (REFERENCE_ONLY,))),
                runs=row.get("runs", True),
            )
            for row in table["rows"]
        ]
    return tuple(found)
