"""Explanations for the items of a study: asked for like scores, kept with their call. No reports, no raters.

What a rater sees beside an explanation stays the stored score. The score that an explanation itself comes with is in
its call, and is compared here, so that nobody takes the one for the other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claif_tui.core import answers, scores
from claif_tui.core.addressing import call_key
from claif_tui.core.asking import Reply, Subject
from claif_tui.core.desk import Desk
from claif_tui.core.errors import UsageError
from claif_tui.core.llm import budget
from claif_tui.core.llm.base import Price, Reason
from claif_tui.core.models import Call, Pair
from claif_tui.core.rating.models import Item, Study
from claif_tui.core.recipes import Recipe
from claif_tui.core.run import Run
from claif_tui.core.scores import ParsedScore
from claif_tui.core.systems import base, claif
from claif_tui.core.systems.base import RawAnswer, Reading

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

FAR = 0.1
"""An explanation whose own score is further from the stored one than this speaks of another judgement."""
EVENT = "explanations"
_LEAST_WORDS = 2
_SENTENCE = re.compile(r".*[.!?][\"'”’)]*", re.DOTALL)
_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done for a study, by item: ask for, take from the pair's own score call, and what is left alone.

    ``own`` holds (item, explanation, key of the score call). ``there`` items have an explanation; ``rated`` lack one
    and stay so, because somebody judged them without.
    """

    study: Study
    ask: tuple[Item, ...]
    own: tuple[tuple[Item, str, str], ...]
    there: int
    rated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """An item whose explanation came with a ``said`` score further than ``FAR`` from the ``stored`` one, both 0..1."""

    item: int
    stored: float
    said: float


def work(store: Store, name: str | None = None) -> Work:
    """Return what a study lacks. ``UsageError`` for no such study, and for one that shows no explanations. Blocks."""
    data = store.studies.data(name)
    study = data.study
    if not study.protocol.shows_explanation:
        raise UsageError(
            f"study {study.name!r} shows its raters no explanations",
            "That is part of its frozen plan. The preset paper shows them: claif-tui rate new --preset paper",
        )
    rated = {answer.item for answer in data.answers}
    lacking = [item for item in data.items if not (item.explanation or "").strip()]
    left = [item for item in lacking if item.n not in rated]
    pairs = {pair.id: pair for pair in store.pairs.many([item.pair_id for item in left if item.pair_id])}
    own = {item.n: found for item in left if (found := _own(item, pairs.get(item.pair_id or 0))) is not None}
    return Work(
        study=study,
        ask=tuple(item for item in left if item.n not in own),
        own=tuple((item, *own[item.n]) for item in left if item.n in own),
        there=len(data.items) - len(lacking),
        rated=len(lacking) - len(left),
    )


def use_own(store: Store, found: Work) -> None:
    """Keep the reasons that the pairs' own score calls gave. Blocks."""
    if not found.own:
        return
    store.studies.add_event(found.study.id, EVENT, f"{len(found.own):,} taken from the pairs' own score calls")
    for item, text, key in found.own:
        store.studies.set_explanation(found.study.id, item.n, text, key)


def estimate(store: Store, recipe: Recipe, items: Sequence[Item], price: Price | None) -> budget.Estimate:
    """Return what asking for these items would take; what is answered already takes nothing. Blocks."""
    asks = [claif.explain_ask(recipe, item.text_a, item.text_b) for item in items]
    keys = [call_key(ask.identity, 0, 0) for ask in asks]
    known = store.calls.known(keys)
    new = {
        key: base.request(recipe, ask, key, 0)
        for key, ask in zip(keys, asks, strict=True)
        if key not in known or known[key].state != "answered"
    }
    return budget.estimate(new.values(), len(new), price)


def read_explanation(raw: RawAnswer) -> Reading[ParsedScore]:
    """Read a score with its reason. An answer without words is unusable; one cut off ends with its last sentence."""
    if raw.finish_reason is None:
        return Reading(None, "cut_off", "the answer has no finish reason")
    if raw.finish_reason == "content_filter":
        return Reading(None, "refused", "stopped by the endpoint's content filter")
    visible = answers.split_reasoning(raw.text)[0]
    parsed = _parsed(visible)
    if parsed.value is None:
        return Reading(None, "unparsed" if visible.strip() else "empty", parsed.why_invalid)
    if raw.finish_reason == "length":
        whole = _SENTENCE.match(parsed.reason)
        parsed = ParsedScore(value=parsed.value, said=parsed.said, reason=whole.group() if whole else "")
    if len(parsed.reason.split()) < _LEAST_WORDS:
        return Reading(None, "unparsed", "the answer gives a score and no reason")
    return Reading(parsed)


class Explaining(Run[Item]):
    """One run that gives a study's items their explanations. It may go beside a run of generation.

    The recipe is the project's: its account and its cap hold, and its scoring prompt does not matter.
    """

    def __init__(self, store: Store, recipe: Recipe, desk: Desk, found: Work) -> None:
        super().__init__(store, recipe, desk, "explain")
        self._found = found
        self._told_of_ratings = False
        self.late = 0
        """Items that somebody rated while they were asked about: they keep what they had."""

    def _args(self) -> dict[str, object]:
        return {"study": self._found.study.name, "items": len(self._found.ask)}

    def _count(self) -> None:
        self._tally.planned = len(self._found.ask)

    async def _items(self) -> AsyncIterator[Item]:
        if self._found.ask:
            await asyncio.to_thread(self._begin)
        for item in self._found.ask:
            yield item

    async def _settle(self, item: Item) -> None:
        subject = Subject(
            seed_id=0, rate=item.rate, text=f"{item.text_a} ⟷ {item.text_b}", pair_id=item.pair_id
        )
        reply = await self._asking.ask(
            claif.explain_ask(self._recipe, item.text_a, item.text_b),
            subject,
            read_explanation,
            reasks=self._recipe.reasks,
            retry=True,
        )
        if reply.value is None:
            reason: Reason = reply.reason or "unparsed"
            self._end_if_hopeless(reason)
            self._tell_failure(subject, reply.key, "explain", reason, reply.detail)
            return
        await asyncio.to_thread(self._keep, item, reply)
        self._tally.answered += 1

    def _begin(self) -> None:
        """Note what is done, and whether ratings had begun, before anything is done."""
        study, count = self._found.study.id, len(self._found.ask)
        self._told_of_ratings = self._store.studies.begun(study)
        self._store.studies.add_event(study, EVENT, f"asked of {self._recipe.model} for {count:,} items")

    def _keep(self, item: Item, reply: Reply[ParsedScore]) -> None:
        study = self._found.study.id
        assert reply.value is not None
        if not self._told_of_ratings and self._store.studies.begun(study):
            self._told_of_ratings = True
            self._store.studies.add_event(study, EVENT, "some came after the first rating")
        try:
            self._store.studies.set_explanation(study, item.n, reply.value.reason, reply.key)
        except UsageError:
            self.late += 1


def apart(store: Store, study: Study) -> tuple[Apart, ...]:
    """Return the sampled items whose explanation came with another score than the one that raters see. Blocks.

    Explanations from before the freeze are the reasons of the stored scores themselves and are never among them.
    """
    keys = store.studies.explanation_keys(study.id)
    calls = store.calls.known(list(keys.values()))
    found = []
    for item in store.studies.items(study.id):
        call = calls.get(keys.get(item.n, ""))
        if item.role != "sample" or item.score is None or call is None or call.raw is None:
            continue
        said = _said(call, item.score)
        if said is not None and abs(said - item.score) > FAR + _TINY:
            found.append(Apart(item=item.n, stored=item.score, said=said))
    return tuple(found)


def _said(call: Call, stored: float) -> float | None:
    """Return the score of an explanation's call, 0..1. A score call may have asked for the reason first."""
    raw = answers.split_reasoning(call.raw or "")[0]
    said = [_parsed(raw).value]
    if call.stage == "score":
        said.append(scores.parse_score(raw, mode="last").value)
    return min((value for value in said if value is not None), key=lambda v: abs(v - stored), default=None)


def _parsed(answer: str) -> ParsedScore:
    """Read score and reason; a model that gives the reason first, though asked for the score first, is understood."""
    parsed = scores.parse_score(answer)
    if len(parsed.reason.split()) >= _LEAST_WORDS:
        return parsed
    turned = scores.parse_score(answer, mode="last")
    return turned if turned.value is not None and turned.value == parsed.value else parsed


def _own(item: Item, pair: Pair | None) -> tuple[str, str] | None:
    """Return the reason, and its call, that came with the very score of an item, if the pair still has it."""
    if pair is None or pair.score_key is None or pair.stale:
        return None
    same = (pair.text_a, pair.text_b, pair.score) == (item.text_a, item.text_b, item.score)
    words = len((pair.reason or "").split())
    return (pair.reason or "", pair.score_key) if same and words >= _LEAST_WORDS else None
