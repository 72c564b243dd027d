"""Before an ``api:`` model is evaluated: what it would cost, and the question. The command fetches and scores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from claif_tui.ui.dialogs import ConfirmModal

if TYPE_CHECKING:
    from claif_tui.core.embeddings import EmbeddingPlan
    from claif_tui.ui.base import ClaifScreen
    from claif_tui.ui.screens.evaluate_wish import Asked


async def ask_first(screen: ClaifScreen, asked: Asked) -> bool:
    """Show what fetching takes and ask if it may cost money; whether to go on. Raises ``ClaifError``."""
    from claif_tui.core.embedding_words import plan_words

    screen.shell.say("Reading which sentences the tasks need …")
    planned = await screen.shell.background(partial(_plan, asked))
    lines = plan_words(planned)
    if not planned.costs:
        screen.shell.say(". ".join(lines[:2]))
        return True
    question = f"{len(planned.missing):,} sentences are sent to {planned.profile.name}. This may cost money."
    # Flags are for the command line; here the dialog has the fields.
    detail = "\n".join(lines).replace(" (--budget USD)", "").replace(" (--price-in USD_PER_M)", "")
    modal = ConfirmModal("Evaluate", question, yes="Fetch", detail=detail)
    agreed = await screen.shell.push_screen_wait(modal)
    return agreed is True


def _plan(asked: Asked) -> EmbeddingPlan:
    from claif_tui.core import settings
    from claif_tui.core.embeddings import EmbeddingWish, needed, plan
    from claif_tui.core.llm.keys import find_key
    from claif_tui.core.llm.profiles import Wish
    from claif_tui.core.paths import data_dir
    from claif_tui.core.store.embeddings import EmbeddingStore

    wish = EmbeddingWish(endpoint=Wish(profile=asked.endpoint), budget=asked.budget)
    with EmbeddingStore.open(data_dir()) as store:
        planned = plan(store, settings.load(), asked.model, needed(asked.wish.data, asked.wish.tasks), wish)
    if planned.missing:
        find_key(planned.profile)  # a missing one is said before anything starts
    return planned
