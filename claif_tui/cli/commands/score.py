"""``claif-tui score``: score pairs that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import endpoint_options, json_option, open_project, project_option, yes_option

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

MISSING = "kind != human and (score = none and (class = ok or edited = yes) or stale = yes or flag = rescore)"
"""What needs a score: none yet, one for another text, or a reviewer's wish. Human labels are not a model's to give,
and no money goes into a pair that every export drops (an identical one, a mask left) unless a person mended it.
"""
MISSING_NEGATIVE = "kind != human and class = ok and triplet = yes and negative = none"
"""What needs one too where the hard negative of a triplet is scored."""

_LEFT = "{system} does not take them (--filter scores them all the same)."


@click.command("score")
@click.option("--rescore", is_flag=True, help="Ask anew, also for pairs that have a score.")
@click.option(
    "--filter", "expression", default="", metavar="EXPR", help="Only these pairs, e.g. 'source ~ nli.csv'."
)
@endpoint_options
@click.option(
    "--without", multiple=True, metavar="PARAM", help="Don't send this parameter to the model; remembered."
)
@yes_option
@json_option
@project_option
def command(**flags: Any) -> int:
    """Score pairs that have no score, a stale one, or that a reviewer wants judged again.

    With --rescore all pairs, or those of --filter. Without --filter, only pairs of the kind that the recipe's system
    takes. Scores given before are kept in each pair's history.
    """
    from claif_tui.cli import running
    from claif_tui.core.planning import scores_asked
    from claif_tui.core.scoring import Scoring, require_scores, taken
    from claif_tui.core.session import open_desk
    from claif_tui.core.status import status

    with open_project(flags["project"]) as store:
        ready = running.prepared(store, flags)
        require_scores(ready.recipe)
        ids = _chosen(
            store, flags["expression"], flags["rescore"], scores_asked(ready.recipe, triplet=True) == 2
        )
        left = 0
        if not flags["expression"]:
            ids, left = taken(store, ready.recipe, ids)
        if left:
            diagnostics.note(f"{left:,} pairs are left as they are: {_LEFT.format(system=ready.recipe.system)}")
        if not ids:
            diagnostics.note(
                "Every other pair has its score." if left else "Every pair that this names has its score."
            )
            if flags["as_json"]:
                extra: dict[str, object] = {"chosen": 0, "scored": 0, "left": left}
                output.document({**status(store, ready.recipe).to_dict(), **extra})
            return 0
        running.agree(ready.costs, [f"{len(ids):,} pairs are scored by {ready.recipe.model}"], flags["yes"])
        running.save_changes(store, ready)
        desk = open_desk(store, ready, streaming=False)
        ended = running.run(lambda: Scoring(store, ready.recipe, desk, ids, again=flags["rescore"]), "score")
        progress = ended.finished.progress
        extra = {
            "chosen": len(ids),
            "scored": progress.answered,
            "unscored": progress.failed,
            "left": left,
        }
        return running.show_status(store, ended, flags["as_json"], extra)


def _chosen(store: Store, expression: str, rescore: bool, both: bool) -> Any:
    from claif_tui.core.models import PairQuery

    parts = [f"({expression})"] if expression else []
    missing = f"({MISSING} or {MISSING_NEGATIVE})" if both else f"({MISSING})"
    parts += ["kind != human"] if rescore else [missing]
    return store.pairs.ids(PairQuery(filter=" and ".join(parts), sort="oldest"))
