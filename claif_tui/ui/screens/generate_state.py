"""What the flight deck knows of a run: events in, a small picture out. No widget, no clock, no I/O.

Every method is cheap, because it runs once per event, up to thousands a second; the screen looks at the result
ten times a second. Memory is bounded whatever the length of the run.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from claif_tui.core.events import (
    AnswerLanded,
    BudgetReached,
    CallFailed,
    CallStarted,
    Event,
    Finished,
    PairGenerated,
    PairScored,
    Progress,
    TokenArrived,
)
from claif_tui.core.masking import rate_text
from claif_tui.core.post_rules import curated
from claif_tui.ui.screens.generate_deck import BINS, SIDES, Deck, Groups, group_of
from claif_tui.ui.widgets.stream_view import Streaming

SLOTS = 8
"""Streaming answers that are followed; the others land without having been shown."""
LANDED = 2_000
"""Landed pairs that the live list keeps; all of them are in Review."""
_TEXT = 4_000
"""Characters of one streaming answer that are kept for the screen."""


@dataclass(frozen=True, slots=True)
class Landed:
    """One landed pair in the live list; ``id`` is the pair's."""

    id: int
    item: str
    """The mask rate, or the label; "" where there is nothing to say."""
    text_a: str
    text_b: str
    score: float | None = None
    answer_class: str = "ok"
    hard_negative: str | None = None
    negative: float | None = None
    """The hard negative's score."""


class Flight:
    """The state of one run as a screen wants it. ``feed`` takes events; ``version`` changes when anything did."""

    def __init__(self, deck: Deck | None = None) -> None:
        self.deck = deck or Deck()
        self.version = 0
        self.landed_version = 0
        self.slots: list[Streaming | None] = [None] * SLOTS
        self.progress: Progress | None = None
        self.finished: Finished | None = None
        self.budget: BudgetReached | None = None
        self.classes: Counter[str] = Counter()
        """Landed answers that post-processing will drop, by class, or by the rule of the system's filter."""
        self.swapped = 0
        """Triplets whose roles change places, since the hard negative scored higher."""
        self.histogram: Groups = {}
        self.generated = 0
        self.scored = 0
        self._rows: OrderedDict[int, Landed] = OrderedDict()
        self._fresh: dict[int, Landed] = {}
        self._by_key: dict[str, int] = {}
        self._free: deque[int] = deque(range(SLOTS))

    @property
    def unit(self) -> str:
        """What the run makes now: sentences in its first phase, then pairs or triplets."""
        writing = self.progress is not None and self.progress.unit == "sentences"
        return "sentences" if writing else self.deck.unit

    def start_histogram(self, counts: Groups) -> None:
        """Begin with the scores that are in the project already."""
        self.histogram = {group: list(bins) for group, bins in counts.items()}
        self.version += 1

    def feed(self, event: Event) -> None:
        """Take one event."""
        self.version += 1
        if isinstance(event, TokenArrived):
            self._token(event)
        elif isinstance(event, CallStarted):
            self._call(event)
        elif isinstance(event, AnswerLanded):
            self._end(event.key, event.text)
        elif isinstance(event, PairGenerated):
            self._generated(event)
        elif isinstance(event, PairScored):
            self._scored(event)
        elif isinstance(event, CallFailed):
            self._end(event.key, event.reason.replace("_", " "))
        elif isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, BudgetReached):
            self.budget = event
        else:
            self.finished, self.progress = event, event.progress
            self.slots = [slot if slot is not None and slot.done else None for slot in self.slots]
            self._by_key.clear()
            self._free = deque(range(SLOTS))

    def streams(self) -> list[Streaming]:
        """The answers being followed, each in its own line for as long as it lasts."""
        return [slot for slot in self.slots if slot is not None]

    def landed_ids(self) -> array[int]:
        """The pairs of this run that the list keeps, the newest fact first."""
        return array("q", reversed(self._rows))

    def take_fresh(self) -> list[Landed]:
        """Rows that came or changed since the last call."""
        fresh, self._fresh = list(self._fresh.values()), {}
        return fresh

    def _call(self, event: CallStarted) -> None:
        stream = Streaming(event.key, event.stage, event.title, event.text)
        if self._free:  # the line that ended longest ago makes room
            index = self._free.popleft()
            self.slots[index] = stream
            self._by_key[event.key] = index

    def _token(self, event: TokenArrived) -> None:
        index = self._by_key.get(event.key)
        stream = None if index is None else self.slots[index]
        if stream is None:
            return
        if stream.thinking != event.reasoning:
            stream.thinking, stream.text = event.reasoning, ""
        stream.text = (stream.text + event.text)[-_TEXT:]

    def _end(self, key: str, text: str) -> None:
        index = self._by_key.pop(key, None)
        stream = None if index is None else self.slots[index]
        if index is not None and stream is not None:
            stream.text, stream.done, stream.thinking = text[-_TEXT:], True, False
            self._free.append(index)

    def _generated(self, event: PairGenerated) -> None:
        self._end(event.key, event.text_b)
        self.generated += 1
        if event.answer_class != "ok":
            self.classes[event.answer_class.replace("_", " ")] += 1
        self._land(_landed(event, None, event.answer_class))

    def _scored(self, event: PairScored) -> None:
        self._end(event.key, f"{event.score * self.deck.top:.{1 if self.deck.top > 1 else 2}f}")
        triplet = event.hard_negative is not None
        self._count(group_of(event.title, event.rate, triplet=triplet), event.score)
        self.scored += 1
        if event.answer_class != "ok":
            self.classes[event.answer_class.replace("_", " ")] += 1
        if event.negative_score is not None:
            self._count(SIDES[1], event.negative_score)
            if self.deck.curation is not None:
                swapped, rule = curated(event.score, event.negative_score, self.deck.curation)
                self.swapped += swapped
                if rule is not None:
                    self.classes[rule.replace("_", " ")] += 1
        self._land(_landed(event, event.score, event.answer_class, event.negative_score))

    def _count(self, group: str, score: float) -> None:
        bins = self.histogram.setdefault(group, [0] * BINS)
        bins[min(BINS - 1, int(score * BINS))] += 1

    def _land(self, row: Landed) -> None:
        """Put a row on top: it is the newest fact, whether the pair is new or has got its score."""
        self.landed_version += 1
        self._rows[row.id] = self._fresh[row.id] = row
        self._rows.move_to_end(row.id)
        if len(self._rows) > LANDED:
            self._rows.popitem(last=False)
        if len(self._fresh) > LANDED:
            self._fresh.pop(next(iter(self._fresh)))


def _landed(
    event: PairGenerated | PairScored, score: float | None, answer_class: str, negative: float | None = None
) -> Landed:
    item = rate_text(event.rate) if event.rate is not None else "" if event.hard_negative else event.title
    other = event.hard_negative
    return Landed(
        event.pair_id,
        item,
        event.text_a[:_TEXT],
        event.text_b[:_TEXT],
        score,
        answer_class,
        None if other is None else other[:_TEXT],
        negative,
    )
