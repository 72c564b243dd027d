"""Sums for a report over the whole project: what was asked of which model and paid, mean scores, rows to show.

Reads only. What a published card needs of the same tables is in ``contributors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Calls of one stage to one model, as asked for and as it named itself (None: no answer named one).

    Tokens are those that the endpoint reported; ``unmetered`` answers came without. Money in nano-dollars, over all
    tries, lost ones included. ``first`` and ``last`` are ISO times in UTC.
    """

    stage: str
    profile: str
    asked: str
    model: str | None
    answered: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    unmetered: int
    cost_nano: int
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The originals for which one model made a scored pair at each of its ``rates`` mask rates: (seed id, text)."""

    model: str
    rates: int
    seeds: tuple[tuple[int, str], ...]


def spending(store: Store) -> list[Spending]:
    """Return what was asked and paid, by stage and model. Looks at every call: seconds for a million."""
    with store.read() as conn:
        rows = conn.execute(
            """SELECT stage, profile, model, model_returned, sum(state = 'answered'), sum(state = 'failed'),
            coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
            sum(state = 'answered' AND (prompt_tokens IS NULL OR completion_tokens IS NULL)), sum(cost_nano),
            min(sent_at), max(coalesce(answered_at, sent_at)) FROM calls GROUP BY 1, 2, 3, 4
            ORDER BY min(sent_at), 1, 2, 3, 4"""
        ).fetchall()
    names = tuple(Spending.__dataclass_fields__)
    return [Spending(**dict(zip(names, row, strict=True))) for row in rows]


def mean_scores(store: Store) -> dict[float | None, tuple[int, float]]:
    """Return how many scores (0..1) there are at each mask rate, and their mean."""
    with store.read() as conn:
        rows = conn.execute(
            "SELECT rate, count(*), avg(score) FROM states WHERE score IS NOT NULL GROUP BY rate"
        ).fetchall()
    return {rate: (count, mean) for rate, count, mean in rows}


def complete_seeds(store: Store) -> Complete | None:
    """Return the originals that a model went through whole; of several models, those of the one with the most."""
    with store.read() as conn:
        rows = conn.execute(
            """SELECT n.name, t.rates, t.seed_id, e.text FROM (
                SELECT p.model AS model, p.seed_id AS seed_id, count(DISTINCT p.rate) AS rates
                FROM pairs p JOIN states s ON s.pair_id = p.id
                WHERE p.seed_id IS NOT NULL AND p.rate IS NOT NULL AND s.score IS NOT NULL AND s.stale = 0
                GROUP BY 1, 2) t
            JOIN seeds e ON e.id = t.seed_id JOIN names n ON n.kind = 'model' AND n.id = t.model"""
        ).fetchall()
    groups: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for model, rates, seed_id, text in rows:
        groups.setdefault((model, rates), []).append((seed_id, text))
    if not groups:
        return None
    (model, rates), seeds = max(groups.items(), key=lambda one: (len(one[1]), one[0][1], one[0][0]))
    return Complete(model=model, rates=rates, seeds=tuple(seeds))


def explained_pairs(store: Store, limit: int) -> list[int]:
    """Return pairs whose score came with a reason of several words, drawn by the hash of their request."""
    with store.read() as conn:
        rows = conn.execute(
            """SELECT p.id FROM states s JOIN pairs p ON p.id = s.pair_id
            JOIN scores c ON c.pair_id = s.pair_id AND c.n = s.score_n
            WHERE s.stale = 0 AND instr(trim(coalesce(c.reason, '')), ' ') > 0
            ORDER BY p.generate_key IS NULL, p.generate_key, p.id LIMIT ?""",
            (limit,),
        ).fetchall()
    return [row[0] for row in rows]
