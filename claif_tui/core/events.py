"""What a run tells its readers: the pipeline's one stream of small facts. No logic, no formatting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from claif_tui.core.llm.base import Reason
from claif_tui.core.models import AnswerClass, Stage

Unit = Literal["pairs", "triplets", "sentences"]
EndState = Literal["finished", "paused", "stopped", "budget", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """A request is about to be sent (or sent again: ``attempt`` counts re-asks of the same item)."""

    key: str
    stage: Stage
    seed_id: int
    title: str = ""
    """The item in short words: the mask rate ("0.3"), "label 0.5", "triplet"; "" where there is nothing to say."""
    rate: float | None = None
    text: str
    """What is asked about: the masked sentence, or the pair being scored."""
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenArrived:
    """A piece of a streaming answer."""

    key: str
    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLanded:
    """One of two answers that belong together is here; what becomes of both is told once the other is."""

    key: str
    text: str
    """The answer as read, or why it is unusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairGenerated:
    """A pair or triplet is on disk; its score, if it gets one, follows as ``PairScored``."""

    key: str
    pair_id: int
    seed_id: int
    title: str = ""
    rate: float | None = None
    text_a: str
    text_b: str
    hard_negative: str | None = None
    answer_class: AnswerClass


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScored:
    """A pair's score (0..1) is on disk, or the label that stands for one; of a triplet perhaps both sides' scores."""

    key: str
    pair_id: int
    seed_id: int
    title: str = ""
    rate: float | None = None
    text_a: str
    text_b: str
    score: float
    hard_negative: str | None = None
    negative_score: float | None = None
    answer_class: AnswerClass = "ok"
    """"off_label" where the score does not fit the label that the pair keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed:
    """A try failed. ``final`` False means that it will be tried or asked again."""

    key: str
    stage: Stage
    seed_id: int
    title: str = ""
    rate: float | None = None
    reason: Reason
    detail: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached:
    """The next request does not fit under the cap and nothing in flight can make room. Money in nano-dollars."""

    spent_nano: int
    reserved_nano: int
    cap_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the run stands. Items are planned pairs or triplets; a planned item ends answered or failed.

    ``unit`` is what the recipe's system makes; with "sentences" the items are sentences that the
    model is to write before triplets are made of them.
    ``per_second`` counts calls over the last seconds; ``eta_seconds`` is None while unknown.
    """

    planned: int
    answered: int
    failed: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    per_second: float = 0.0
    eta_seconds: float | None = None
    in_flight: int = 0
    limit: int = 0
    held_by_cap: bool = False
    """Fewer calls than ``limit`` go out at once, since the cap is small: see ``llm.budget.Exposure``."""
    rate_limited: int = 0
    troubles: dict[str, int] = field(default_factory=dict)
    """Failed tries by reason, those that were tried again included."""
    spent_nano: int = 0
    reserved_nano: int = 0
    cap_nano: int | None = None
    paused: bool = False
    unit: Unit = "pairs"

    @property
    def open(self) -> int:
        """Planned items without an outcome yet."""
        return max(0, self.planned - self.answered - sum(self.failed.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of every run. ``message`` says what happened and how to go on."""

    state: EndState
    message: str
    progress: Progress


Event = (
    CallStarted
    | TokenArrived
    | AnswerLanded
    | PairGenerated
    | PairScored
    | CallFailed
    | BudgetReached
    | Progress
    | Finished
)
