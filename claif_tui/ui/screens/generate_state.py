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
from claif_tui.ui.widgets.histogram import BINS
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
    rate: float | None
    text_a: str
    text_b: str
    score: float | None = None
    answer_class: str = "ok"


class Flight:
    """The state of one run as a screen wants it. ``feed`` takes events; ``version`` changes when anything did."""

    def __init__(self) -> None:
        self.version = 0
        self.landed_version = 0
        self.slots: list[Streaming | None] = [None] * SLOTS
        self.progress: Progress | None = None
        self.finished: Finished | None = None
        self.budget: BudgetReached | None = None
        self.classes: Counter[str] = Counter()
        """Landed answers that post-processing will drop, by class."""
        self.histogram: dict[float | None, list[int]] = {}
        self.generated = 0
        self.scored = 0
        self._rows: OrderedDict[int, Landed] = OrderedDict()
        self._fresh: dict[int, Landed] = {}
        self._by_key: dict[str, int] = {}
        self._free: deque[int] = deque(range(SLOTS))

    def start_histogram(self, counts: dict[float | None, list[int]]) -> None:
        """Begin with the scores that are in the project already."""
        self.histogram = {rate: list(bins) for rate, bins in counts.items()}
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
        text_a, text_b = event.text_a[:_TEXT], event.text_b[:_TEXT]
        self._land(Landed(event.pair_id, event.rate, text_a, text_b, answer_class=event.answer_class))

    def _scored(self, event: PairScored) -> None:
        self._end(event.key, f"{event.score:.2f}")
        bins = self.histogram.setdefault(event.rate, [0] * BINS)
        bins[min(BINS - 1, int(event.score * BINS))] += 1
        self.scored += 1
        self._land(Landed(event.pair_id, event.rate, event.text_a[:_TEXT], event.text_b[:_TEXT], event.score))

    def _land(self, row: Landed) -> None:
        """Put a row on top: it is the newest fact, whether the pair is new or has got its score."""
        self.landed_version += 1
        self._rows[row.id] = self._fresh[row.id] = row
        self._rows.move_to_end(row.id)
        if len(self._rows) > LANDED:
            self._rows.popitem(last=False)
        if len(self._fresh) > LANDED:
            self._fresh.pop(next(iter(self._fresh)))
