"""Asking the model for the score of pairs as they are now: a job of the app, so that reviewing goes on meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from claif_tui.core.events import CallFailed, Finished, PairScored, Progress
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.jobs import Job, JobProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claif_tui.core.recipes import Recipe
    from claif_tui.core.scoring import Scoring
    from claif_tui.core.store.store import Store
    from claif_tui.ui.app import ClaifApp
    from claif_tui.ui.endpoints import Endpoint
    from claif_tui.ui.screens.review import ReviewScreen


class RescoreJob(Job):
    """Gives new scores to a few pairs; ``landed`` hears of each pair that has one."""

    kind = "rescore"
    title = "rescore"

    def __init__(self, scoring: Scoring, landed: Callable[[int], None]) -> None:
        super().__init__()
        self._scoring = scoring
        self._landed = landed
        self._why = ""

    async def work(self, app: ClaifApp) -> None:
        """Read the run's events; scores are on disk when they are told."""
        async for event in self._scoring.events():
            if isinstance(event, PairScored):
                self._landed(event.pair_id)
            elif isinstance(event, CallFailed):
                self._why = f"{event.reason.replace('_', ' ')}: {event.detail}"
            elif isinstance(event, Progress):
                done = event.planned - event.open
                self.report(progress=JobProgress(done=done, total=event.planned, unit="pairs"))
            elif isinstance(event, Finished):
                failed = sum(event.progress.failed.values())
                if event.state in ("failed", "budget"):
                    app.say(event.message, severity="error")
                elif failed:
                    app.say(f"{failed:,} got no score: {self._why}", severity="warning")
                self.report(message=event.message)
        app.changed()

    def stop(self) -> None:
        """End once what is in flight has landed."""
        self.report(state="stopping")
        self._scoring.stop()


def _prepare(store: Store, ids: Sequence[int]) -> tuple[Recipe, Endpoint, str]:
    """Read recipe and endpoint, and what to say of hard negatives; ``ClaifError`` where nothing would be asked."""
    from claif_tui.core.errors import RecipeError
    from claif_tui.core.planning import scores_asked
    from claif_tui.core.scoring import require_scores
    from claif_tui.ui.endpoints import endpoint_of
    from claif_tui.ui.recipe_files import read_recipe

    found = read_recipe(store, path=store.folder / "recipe.toml")
    if found.recipe is None:
        raise RecipeError(found.problem)
    recipe, left = found.recipe, ""
    require_scores(recipe)
    if scores_asked(recipe, triplet=True) == 1 and any(pair.negative_stale for pair in store.pairs.many(ids)):
        left = f" {recipe.system} asks about positives alone: = sets a hard negative's score."
    return recipe, endpoint_of(recipe, store), left


async def rescore(screen: ReviewScreen) -> None:
    """Rescore the marked pairs, or the one that is shown, and go on reviewing meanwhile."""
    marked = sorted(screen.rows.marked)
    here = screen.rows.cursor_id
    ids = marked or ([here] if here is not None else [])
    store = screen.store
    if not ids or store is None:
        screen.shell.say("There is no pair to rescore.")
        return
    if await _start(screen, store, ids) and marked:
        screen.rows.clear_marks()
        screen.frame()


async def _start(screen: ReviewScreen, store: Store, ids: Sequence[int]) -> bool:
    from claif_tui.core.scoring import Scoring
    from claif_tui.ui.endpoints import open_desk

    shell = screen.shell
    recipe, endpoint, left = await shell.db(partial(_prepare, ids=ids))
    if not endpoint.free and (len(ids) > 1 or endpoint.name not in screen.agreed):
        what = "This pair is" if len(ids) == 1 else f"{len(ids):,} pairs are"
        question = f"{what} scored again with the prompt {recipe.score_prompt} by {endpoint.name}. This may cost money."
        later = (
            "Single pairs are then rescored without asking until the app is closed." if len(ids) == 1 else ""
        )
        if not await shell.push_screen_wait(ConfirmModal("Rescore", question, yes="Rescore", detail=later)):
            return False
        screen.agreed.add(endpoint.name)
    desk = await shell.background(partial(open_desk, store, recipe, endpoint, endpoint.cap_nano))
    scoring = Scoring(store, recipe, desk, list(ids), kind="rescore", again=True)
    shell.jobs.start(RescoreJob(scoring, screen.scored))
    what = "a new score" if len(ids) == 1 else f"{len(ids):,} new scores"
    shell.say(f"Asking {endpoint.name} for {what} …{left}")
    return True
