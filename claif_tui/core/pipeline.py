"""A generation run as one async stream of events: plan, generate, score. No interface, no SQL, no transport.

The terminal app and the command line are two readers of ``Generation.events``; neither owns logic. Whatever
the order in which answers arrive, the same project, recipe and seed give the same pairs.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from claif_tui.core.answers import CleanAnswer
from claif_tui.core.asking import Ended, Reply, Subject, together
from claif_tui.core.desk import Desk
from claif_tui.core.events import AnswerLanded, PairGenerated
from claif_tui.core.llm.base import Reason
from claif_tui.core.models import AnswerClass, NewPair, Stage
from claif_tui.core.planning import Imported, Planned, RunOptions, scores_asked, standing, walk
from claif_tui.core.recipes import Recipe
from claif_tui.core.run import Run, Texts, about, side, unscored
from claif_tui.core.store.items import ItemState
from claif_tui.core.store.store import Store
from claif_tui.core.systems.base import PlanItem

_WORSE: tuple[AnswerClass, ...] = ("ok", "off_label", "identical", "has_mask", "empty", "refusal")
"""A triplet is as good as the worse of its two answers."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A stored pair or triplet of an item."""

    subject: Subject
    texts: Texts
    fresh: bool


class Generation(Run[Planned | Imported]):
    """One run over the project's plan: every item ends generated and scored, or failed with its reason."""

    def __init__(self, store: Store, recipe: Recipe, options: RunOptions, desk: Desk) -> None:
        super().__init__(store, recipe, desk, options.kind)
        self._options = options
        self._scores = scores_asked(recipe, triplet=self._system.makes == "triplets")

    def _args(self) -> dict[str, object]:
        return {"limit": self._options.limit, "split": self._options.split}

    def _count(self) -> None:
        found = standing(self._store, self._recipe, self._options.split, self._options.limit)
        self._tally.planned = found.planned
        self._tally.answered = found.answered
        self._tally.failed = Counter(found.failed)

    def _items(self) -> AsyncIterator[Planned | Imported]:
        return walk(self._store, self._recipe, self._options)

    async def _settle(self, item: Planned | Imported) -> None:
        """Bring one planned item as far as it goes: generated, scored, or failed with its reason."""
        if item.failed:
            self._tally.failed[item.failed] -= 1
        try:
            if isinstance(item, Imported):
                subject, texts = about(item.pair)
                await self._score(item, subject, texts, retry=item.failed is not None)
            elif (made := await self._generate(item)) is not None:
                retry = item.failed is not None and not made.fresh
                await self._score(item, made.subject, made.texts, retry=retry, plan=item.item)
        except Ended:
            if item.failed:
                self._tally.failed[item.failed] += 1
            raise

    # -- answers -------------------------------------------------------------------------------------------

    async def _generate(self, planned: Planned) -> _Made | None:
        """Return the item's pair, made now or before; None if it failed or wants no (other) score."""
        item = planned.item
        subject = Subject(seed_id=item.seed.id, text=item.subject, title=item.title, rate=item.rate)
        replies = await together([self._ask_part(planned, subject, part) for part in range(len(item.asks))])
        for part, reply in enumerate(replies):
            if reply.value is None:
                detail = side(part, len(replies)) + reply.detail
                await self._fail(planned, subject, reply.key, "generate", reply.reason, detail)
                return None
        answers = [reply.value for reply in replies if reply.value is not None]
        worst = max((answer.answer_class for answer in answers), key=_WORSE.index)
        done = worst != "ok" or not self._scores
        pair_id, fresh = await self._store.awrite(
            lambda connection: self._record_pair(connection, planned, answers, replies, worst, done=done)
        )
        negative = answers[1].text if len(answers) > 1 else None
        made = _Made(replace(subject, pair_id=pair_id), (item.seed.text, answers[0].text, negative), fresh)
        if made.fresh:
            self._stream.put(
                PairGenerated(
                    key=replies[0].key,
                    pair_id=pair_id,
                    seed_id=item.seed.id,
                    title=item.title,
                    rate=item.rate,
                    text_a=made.texts[0],
                    text_b=made.texts[1],
                    hard_negative=made.texts[2],
                    answer_class=worst,
                )
            )
        if not done:
            return made
        self._tally.answered += 1
        if worst == "ok" and item.label is not None:
            self._tell_score(made.subject, replies[0].key, made.texts, item.label)
        return None

    async def _ask_part(self, planned: Planned, subject: Subject, part: int) -> Reply[CleanAnswer]:
        item = planned.item
        made_before = planned.settled is not None and planned.settled.pair_id is not None
        reply = await self._asking.ask(
            item.asks[part],
            subject,
            self._system.read(self._recipe, item, part),
            occurrence=planned.occurrences[part],
            retry=planned.failed is not None and not made_before,
            known=planned.known[part],
        )
        if len(item.asks) > 1:
            text = reply.value.text if reply.value is not None else reply.detail
            self._stream.put(AnswerLanded(key=reply.key, text=text))
        return reply

    def _record_pair(
        self,
        connection: sqlite3.Connection,
        planned: Planned,
        answers: Sequence[CleanAnswer],
        replies: Sequence[Reply[CleanAnswer]],
        worst: AnswerClass,
        *,
        done: bool,
    ) -> tuple[int, bool]:
        """Keep the pair and that its item has one, together (on the writer's thread)."""
        item, pairs = planned.item, self._store.pairs
        pair_id, fresh = pairs.add(
            connection,
            NewPair(
                system=self._system.stored_as,
                seed_id=item.seed.id,
                run_id=self._run_id,
                recipe_id=self._version,
                text_a=item.seed.text,
                generated=answers[0].text,
                hard_negative=answers[1].text if len(answers) > 1 else None,
                rate=item.rate,
                occurrence=planned.occurrences[0],
                masked=None if item.masked is None else item.masked.text,
                merged=item.masked is not None and item.masked.merged,
                answer_class=worst,
                model=replies[0].model or self._recipe.model,
                generate_key=replies[0].key,
                negative_key=replies[1].key if len(replies) > 1 else None,
                split=item.seed.split,
            ),
        )
        if done and item.label is not None:
            # The label is the score. How another recipe's check classed the same pair is for that one to know.
            pairs.put_label(connection, pair_id, item.label)
        state: ItemState = "unscorable" if worst != "ok" else "scored" if done else "generated"
        self._store.items.put(connection, self._scope, planned.place, state, pair_id=pair_id)
        return pair_id, fresh

    # -- scores --------------------------------------------------------------------------------------------

    async def _score(
        self,
        item: Planned | Imported,
        subject: Subject,
        texts: Texts,
        *,
        retry: bool,
        plan: PlanItem | None = None,
    ) -> None:
        """Score a pair that is there, or look whether the label that ``plan`` fixes fits its score."""
        replies = await self._ask_scores(subject, texts, retry=retry)
        if (bad := unscored(replies)) is not None:
            part, reply = bad
            detail = side(part, len(replies)) + reply.detail
            await self._fail(item, subject, reply.key, "score", reply.reason, detail)
            return
        items, scope, place = self._store.items, self._scope, item.place
        await self._keep_scores(
            subject,
            replies,
            texts,
            lambda connection: items.put(connection, scope, place, "scored", pair_id=subject.pair_id),
            plan=plan,
        )

    async def _fail(
        self,
        item: Planned | Imported,
        subject: Subject,
        key: str,
        stage: Stage,
        reason: Reason | None,
        detail: str,
    ) -> None:
        """Record why an item has no (scored) pair; end the run where every other item would fail alike."""
        why: Reason = reason or "unparsed"
        self._end_if_hopeless(why)
        items, scope, place = self._store.items, self._scope, item.place
        await self._store.awrite(
            lambda connection: items.put(
                connection, scope, place, "failed", reason=why, pair_id=subject.pair_id
            )
        )
        self._tell_failure(subject, key, stage, why, detail)
