"""What the deciding keys of Review do: write, wait until it is on disk, show, go on. No layout, no SQL."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from claif_tui.core.models import Action, Decision, Pair, PairQuery, Status
from claif_tui.ui.dialogs import ConfirmModal, InputModal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.review import ReviewScreen
    from claif_tui.ui.screens.review_source import Glance
    from claif_tui.ui.widgets.pair_sides import SideName

DONE = {"accept": "accepted", "reject": "rejected", "pend": "pending again"}
BULK_STATUS = {"accept": "Accept", "reject": "Reject", "pend": "Set back"}


async def decide(screen: ReviewScreen, action: Action) -> None:
    """Decide on the shown pair; when that is on disk, show it and go to the next."""
    row_id = screen.rows.cursor_id
    if row_id is None or screen.store is None:
        screen.shell.say("There is no pair to decide on.")
        return

    def work(store: Store) -> list[Pair]:
        store.decisions.decide([row_id], action, store.author)
        return store.pairs.many([row_id])

    before = screen.current
    pairs = await screen.shell.db(work)
    screen.rows.update_rows(pairs)
    if before is not None and pairs:
        screen.seen = moved(screen.seen, before.status, pairs[0].status)
    if screen.sampled:
        await screen.count()
    # The app's poll brings the rest within a second; asking for it at every key would cost more than the key.
    if screen.rows.move_to(screen.rows.cursor + 1):
        screen.show_at_once()
    else:
        screen.show_card()
        await _at_the_end(screen)


def moved(seen: Glance | None, before: Status, after: Status) -> Glance | None:
    """Return the frame's figures after one decision, until they are read from disk again."""
    if seen is None:
        return None
    counts, today = seen.counts, seen.today
    if before != after:
        fewer, more = getattr(counts, before) - 1, getattr(counts, after) + 1
        counts = replace(counts, **{before: fewer, after: more})
    if after == "accepted":
        today = replace(today, accepted=today.accepted + 1)
    elif after == "rejected":
        today = replace(today, rejected=today.rejected + 1)
    return replace(seen, counts=counts, today=today)


async def _at_the_end(screen: ReviewScreen) -> None:
    """Say what is left elsewhere."""
    queue = screen.queue
    if queue is None:
        return
    here, left = await screen.shell.background(lambda: (queue.counts(), queue.elsewhere()))
    parts = ["That was the last pair of the sample." if screen.sampled else "That was the end of this list."]
    if here.pending:
        parts.append(f"{here.pending:,} in it are still pending (g goes to the top).")
    if left.pending:
        leave = "esc leaves the sample" if screen.sampled else "f shows others"
        parts.append(f"{left.pending:,} are pending elsewhere: {leave}.")
    if not here.pending and not left.pending:
        parts.append("All pairs are decided: x exports.")
    screen.shell.say(" ".join(parts))


async def take_back(screen: ReviewScreen, what: Literal["undo", "redo"]) -> None:
    """Undo or redo my own last decision, wherever it was made, and show what it was about."""
    if screen.store is None:
        return

    def work(store: Store) -> tuple[Decision | None, list[Pair]]:
        journal = store.decisions
        done = journal.undo(store.author) if what == "undo" else journal.redo(store.author)
        one = None if done is None else done.pair_id
        return done, [] if one is None else store.pairs.many([one])

    done, pairs = await screen.shell.db(work)
    if done is None:
        screen.shell.say(f"Nothing of yours to {what}.")
        return
    screen.shell.changed()
    skipped = done.payload.get("skipped")
    left = (
        f" {skipped:,} changed by others since were left alone." if isinstance(skipped, int) and skipped else ""
    )
    if pairs:
        pair = pairs[0]
        screen.rows.update_rows(pairs)
        if not screen.rows.move_to_id(pair.id):
            screen.rows.reload(cursor_id=pair.id)
        screen.show_card()
        screen.shell.say(f"{what.capitalize()}: pair {pair.id:,} is {pair.status}.{left}")
    else:
        screen.rows.forget()
        screen.rows.reload()
        screen.shell.say(f"{what.capitalize()}: {done.count:,} pairs changed back at once.{left}")
    await screen.count()


async def bulk(screen: ReviewScreen, action: Action) -> None:
    """Decide all marked pairs, or the whole list, as one step; asks, and says how many."""
    rows = screen.rows
    if not rows.count or screen.store is None:
        screen.shell.say("There is nothing in the list.")
        return
    marked = sorted(rows.marked)
    what: Sequence[int] | PairQuery
    if marked:
        what, number, words = marked, len(marked), "marked pairs"
    elif screen.sampled:
        what, number, words = list(rows.ids), rows.count, "pairs of the sample"
    else:
        what, words = screen.query_shown, "pairs that match"
        number = await screen.shell.db(lambda store: store.pairs.count(screen.query_shown))
    verb = BULK_STATUS[action]
    detail = screen.describe_query() if not marked else ""
    question = (
        f"{verb} {number:,} {words}? Pairs decided before are decided anew; u takes all of it back at once."
    )
    if not await screen.shell.push_screen_wait(
        ConfirmModal(f"{verb} {number:,}", question, yes=f"{verb} {number:,}", detail=detail)
    ):
        return
    screen.working(f"{verb.lower()}ing {number:,} …")
    try:
        done = await screen.shell.db(lambda store: store.decisions.decide(what, action, store.author))
    finally:
        screen.working("")
    rows.clear_marks()
    rows.forget()
    rows.reload()
    screen.shell.changed()
    screen.shell.say(f"{done.count:,} pairs {DONE[action]}. u takes it back.")


async def save_edit(screen: ReviewScreen, pair: Pair, side: SideName, text: str) -> None:
    """Put an edited sentence on disk; the score turns stale with it. An unchanged one changes nothing."""
    if text.strip() and text != (pair.text_b if side == "text" else pair.hard_negative):

        def work(store: Store) -> list[Pair]:
            if side == "text":
                store.decisions.edit(pair.id, text, store.author)
            else:
                store.decisions.edit(pair.id, author=store.author, negative=text)
            return store.pairs.many([pair.id])

        screen.rows.update_rows(await screen.shell.db(work))
        screen.shell.changed()
    elif not text.strip():
        screen.shell.say("An empty sentence is no pair: r rejects it.", severity="warning")
        return
    screen.card.end_edit()
    screen.show_card()


class ScoreModal(InputModal):
    """A score between 0 and 1; of a triplet perhaps a second one, for the hard negative."""

    def __init__(self, title: str, *, value: str, hint: str, most: int) -> None:
        super().__init__(title, value=value, hint=hint)
        self._most = most

    def check(self, value: str) -> str:
        """Say what is wrong with it."""
        if parse_scores(value, self._most):
            return ""
        both = ", or two with a blank between them" if self._most > 1 else ""
        return f"A score is a number from 0 to 1, such as 0.75{both}."


def parse_scores(value: str, most: int) -> tuple[float, ...]:
    """Return the scores typed by hand, one to ``most``; none if they are none."""
    try:
        scores = tuple(float(word.replace(",", ".")) for word in value.split())
    except ValueError:
        return ()
    return scores if len(scores) <= most and all(0.0 <= score <= 1.0 for score in scores) else ()


async def set_score(screen: ReviewScreen) -> None:
    """Ask for a score and put it on disk in the name of the user."""
    pair = screen.current
    if pair is None:
        return
    most = 1 if pair.hard_negative is None else 2
    known = () if pair.score is None else (pair.score, pair.negative_score)[:most]
    before = " ".join(f"{score:g}" for score in known if score is not None)
    hint = (
        "0 completely different, 1 the same. It replaces the model's score; the model's stays in the lineage."
    )
    if most > 1:
        hint = f"The positive's, then a blank and the hard negative's: 0.9 0.1. {hint}"
    typed = await screen.shell.push_screen_wait(
        ScoreModal(f"Score of pair {pair.id:,}", value=before, hint=hint, most=most)
    )
    scores = parse_scores(typed, most)
    if scores:
        screen.keys.put(partial(_write_scores, screen, pair.id, scores))


async def _write_scores(screen: ReviewScreen, pair_id: int, scores: tuple[float, ...]) -> None:
    def work(store: Store) -> list[Pair]:
        negative = scores[1] if len(scores) > 1 else None
        store.decisions.set_score(pair_id, scores[0], store.author, negative=negative)
        return store.pairs.many([pair_id])

    screen.rows.update_rows(await screen.shell.db(work))
    screen.shell.changed()
    screen.show_card()
