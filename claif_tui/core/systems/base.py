"""What a system is: which texts it asks for, and how answers become pairs or triplets. Plain data and the protocol.

No system's own words and no I/O. A system is one module beside this one and one entry in ``registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from claif_tui.core.addressing import request_identity
from claif_tui.core.answers import CleanAnswer
from claif_tui.core.llm.base import Reason, Request, Sampling, Task
from claif_tui.core.masking import Masked
from claif_tui.core.models import AnswerClass, Pair, Scale, Seed, Stage
from claif_tui.core.recipes import Recipe
from claif_tui.core.scores import ParsedScore

T = TypeVar("T")
Makes = Literal["pairs", "triplets"]
Reads = Literal["seeds", "triplets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """What readers get: the stored or fresh raw answer."""

    text: str
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An answer as read: the value, or why it is unusable."""

    value: T | None
    reason: Reason | None = None
    detail: str = ""


Reader = Callable[[RawAnswer], Reading[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be asked, before it has an address: everything of a request but its key."""

    stage: Stage
    messages: tuple[tuple[str, str], ...]
    sampling: Sampling
    task: Task
    identity: bytes
    """What equal requests share (32 bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One planned pair or triplet: its seed and the questions that make it.

    ``asks`` is one question (the second sentence), or two (the positive, then the hard negative). ``slot`` 0..1000 and
    ``copy`` tell the items of one seed apart; ``title`` does so in words ("0.3", "label 0.5"). ``rate`` and ``masked``
    are of systems that mask; ``label`` 0..1 of those whose pairs need no score.
    """

    seed: Seed
    slot: int
    copy: int
    asks: tuple[Ask, ...]
    title: str
    rate: float | None = None
    masked: Masked | None = None
    label: float | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """(seed, slot, copy): where the item's outcome is kept."""
        return self.seed.id, self.slot, self.copy

    @property
    def subject(self) -> str:
        """What the item is about, in one line: the masked sentence, or the seed."""
        return self.seed.text if self.masked is None else self.masked.text


class System(Protocol):
    """One system of the family. Pure: recipe and texts in, questions and readings out; nothing is sent or stored."""

    @property
    def name(self) -> str:
        """The recipe's ``system``."""

    @property
    def stored_as(self) -> str:
        """The ``system`` of the pairs it generates."""

    @property
    def makes(self) -> Makes:
        """What an item becomes."""

    @property
    def reads(self) -> frozenset[Reads]:
        """What it works on: the seeds (it generates), imported triplets (it scores them), or both."""

    def plan(self, recipe: Recipe, seeds: Iterable[Seed]) -> Iterator[PlanItem]:
        """Yield the planned items in plan order; nothing for a system that only reads triplets."""

    def planned(self, recipe: Recipe, unique: int, occurrences: int) -> int:
        """Return how many items are planned for ``unique`` seeds that stood ``occurrences`` times in the sources."""

    def read(self, recipe: Recipe, item: PlanItem, part: int) -> Reader[CleanAnswer]:
        """Return the reader of the answer to ``item.asks[part]``."""

    def score_asks(
        self, recipe: Recipe, anchor: str, positive: str, hard_negative: str | None = None
    ) -> tuple[Ask, ...]:
        """Return what is asked for the scores: nothing, the positive's question, or that and the hard negative's."""

    def read_score(self, recipe: Recipe) -> Reader[ParsedScore]:
        """Return the reader of those answers; values are on 0..1 whatever was asked for."""

    def scale(self, recipe: Recipe) -> Scale:
        """Return the scale that the scoring prompt asks for."""

    def verdict(self, recipe: Recipe, item: PlanItem, score: float) -> AnswerClass:
        """Return the class of an item whose label is fixed, after a look at its ``score``."""

    def takes(self, pair: Pair) -> bool:
        """Whether a pair of the project belongs to this system's data set."""


def make_ask(
    recipe: Recipe,
    stage: Stage,
    messages: tuple[tuple[str, str], ...],
    sampling: Sampling,
    task: Task,
    seed: int,
) -> Ask:
    """Return a question with its identity. ``seed`` is the recipe's, or 0 where sampling draws nothing."""
    identity = request_identity(recipe.profile, recipe.model, recipe.api, messages, sampling, seed)
    return Ask(stage=stage, messages=messages, sampling=sampling, task=task, identity=identity)


def request(recipe: Recipe, ask: Ask, key: str, seed: int) -> Request:
    """Return the request for ``ask`` under its content address ``key``."""
    return Request(
        key=key,
        stage=ask.stage,
        model=recipe.model,
        api=recipe.api,
        messages=ask.messages,
        sampling=ask.sampling,
        task=ask.task,
        seed=seed,
    )
