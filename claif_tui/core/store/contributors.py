"""Who made and who judged the pairs, summed up for a published card: models as they named themselves, and reviewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """One author of the journal: how many pairs stand accepted, rejected and edited by them."""

    author: str
    accepted: int
    rejected: int
    edited: int


def models(store: Store, recipe_ids: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return (stage, model as the endpoint named it, answers) behind the pairs of some recipe versions."""
    marks = ", ".join("?" * len(recipe_ids))
    with store.read() as conn:
        return conn.execute(
            f"""WITH made AS (SELECT id, generate_key FROM pairs WHERE recipe_id IN ({marks})),
            keys AS (SELECT 'generate' AS stage, generate_key AS key FROM made UNION
                SELECT 'score', s.key FROM made JOIN scores s ON s.pair_id = made.id)
            SELECT k.stage, coalesce(c.model_returned, c.model), count(*) FROM keys k JOIN calls c ON c.key = k.key
            WHERE c.state = 'answered' GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2""",
            tuple(recipe_ids),
        ).fetchall()


def reviewers(store: Store) -> list[Reviewer]:
    """Return who decided on pairs, as the journal stands, by name."""
    with store.read() as conn:
        counts: dict[str, list[int]] = {}
        for name, status, count in conn.execute(
            "SELECT n.name, s.status, count(*) FROM states s JOIN names n ON n.kind = 'author' AND n.id = s.author"
            " WHERE s.status IN (1, 2) GROUP BY 1, 2"
        ):
            counts.setdefault(name, [0, 0, 0])[status - 1] = count
        for name, count in conn.execute(
            "SELECT d.author, count(*) FROM edits e JOIN decisions d ON d.id = e.decision_id GROUP BY 1"
        ):
            counts.setdefault(name, [0, 0, 0])[2] = count
    return [
        Reviewer(author=name, accepted=found[0], rejected=found[1], edited=found[2])
        for name, found in sorted(counts.items())
    ]
