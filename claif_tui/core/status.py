"""Where a project stands: what is planned, answered, failed, decided and spent. One definition for every reader."""

from __future__ import annotations

from dataclasses import dataclass

from claif_tui.core.models import NANO, Counts, Run
from claif_tui.core.planning import standing
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``planned`` pairs end ``answered`` or ``failed`` (by reason); the rest is open. Money in nano-dollars.

    ``limit``: how many seeds (and imported triplets) the plan covers, None for all.
    """

    planned: int
    limit: int | None
    answered: int
    failed: dict[str, int]
    pairs: Counts
    spent_nano: int
    reserved_nano: int
    cap_nano: int | None
    unpriced: bool
    """Some requests were sent at an unknown price: more was spent than is counted."""
    active: Run | None
    last_run: Run | None

    @property
    def open(self) -> int:
        """Planned pairs without an outcome."""
        return max(0, self.planned - self.answered - sum(self.failed.values()))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON shape that the command line promises."""
        return {
            "planned": self.planned,
            "answered": self.answered,
            "failed": self.failed,
            "pairs": {
                "pending": self.pairs.pending,
                "accepted": self.pairs.accepted,
                "rejected": self.pairs.rejected,
            },
            "spent_usd": self.spent_nano / NANO,
            "spent_complete": not self.unpriced,
            "cap_usd": None if self.cap_nano is None else self.cap_nano / NANO,
        }


def status(store: Store, recipe: Recipe) -> Status:
    """Return the project's status under ``recipe``.

    The plan is that of the last generation run: a run over the first 200 seeds plans for 200. Before any run
    it covers all training seeds, and the imported triplets where the system scores them. A retry changes no plan.
    """
    scope = requests_id(recipe)
    last = store.runs.last("generate", "retry")
    planning = store.runs.last("generate")
    wished = None if planning is None else planning.args.get("limit")
    limit = wished if isinstance(wished, int) else None
    found = standing(store, recipe, limit=limit)
    money = store.ledger.get(scope)
    return Status(
        planned=found.planned,
        limit=limit,
        answered=found.answered,
        failed=found.failed,
        pairs=store.pairs.counts(),
        spent_nano=money.spent_nano,
        reserved_nano=money.reserved_nano,
        cap_nano=money.cap_nano,
        unpriced=store.runs.unpriced(recipe.profile, recipe.model),
        active=store.runs.active(),
        last_run=last,
    )
