"""One person at one desk: which item is next, the answer on disk before the next shows, undo, leave and return.

Everything here goes through ``store.ratings``, which returns nothing that would unblind. No widgets, no reports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from claif_tui.core.rating.models import AnswerSource, Desk, Shown
from claif_tui.core.store.process import this_host
from claif_tui.core.store.ratings import Given

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

BREAK_SECONDS = 20 * 60.0
"""After so much rating without a pause, a break is worth a hint."""
AWAY_SECONDS = 300.0
"""A longer look at one item is an absence: it counts as this much."""


class RaterSession:
    """A rater at work on one study. A context manager; methods block for a disk flush, so ask in a worker.

    Raises ``UsageError`` for an unknown study or rater and ``BusyError`` if the rater is at work elsewhere.
    ``who`` is the person's seat; without it the login name at this host.
    """

    def __init__(
        self,
        store: Store,
        study: str,
        rater: str,
        *,
        source: AnswerSource = "app",
        who: str | None = None,
        same_person: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ratings = store.ratings
        self._rater = rater
        self._study_name = study
        self._source = source
        self._clock = clock
        desk = self._ratings.desk(study, rater)
        self._study, self._criteria = self._ratings.criteria(study)
        self._session = self._ratings.open_session(
            self._study, rater, who or seat_of(store.author), source=source, same_person=same_person
        )
        self.desk: Desk = desk
        """The study as far as this rater may know it, with how far he or she is."""
        self._since = clock()
        self._worked_since = self._since

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def current(self) -> Shown | None:
        """Return the first item that lacks an answer, in the rater's order; None when all is done."""
        left = self._ratings.positions(self._study, self._rater, len(self._criteria))
        return self.at(left[0]) if left else None

    def at(self, position: int) -> Shown | None:
        """Return the item at a position and start its time; None beyond the end."""
        self._since = self._clock()
        return self._ratings.shown(self._study, self._rater, position)

    def answer(self, token: str, criterion: str, value: float) -> None:
        """Put one answer on disk. The time since the item (or its last question) showed is kept with it."""
        elapsed = min(self._clock() - self._since, AWAY_SECONDS)
        given = Given(token=token, criterion=criterion, value=value, elapsed=elapsed)
        self._ratings.give(self._study, self._rater, [given], source=self._source, session=self._session)
        self._since = self._clock()
        self.refresh()

    def comment(self, token: str, text: str) -> None:
        """Put a comment on disk; an empty one takes it away."""
        self._ratings.comment(self._study, self._rater, token, text, source=self._source, session=self._session)

    def undo(self) -> Shown | None:
        """Take back one's latest answer and return its item; None if there is nothing to take back."""
        position = self._ratings.undo(self._study, self._rater, source=self._source, session=self._session)
        self.refresh()
        return None if position is None else self.at(position)

    def refresh(self) -> None:
        """Count anew how far the rater is."""
        self.desk = self._ratings.desk(self._study_name, self._rater)

    def break_due(self) -> bool:
        """Whether the rater has worked long without a pause; asking again counts from now."""
        if self._clock() - self._worked_since < BREAK_SECONDS:
            return False
        self._worked_since = self._clock()
        return True

    def beat(self) -> None:
        """Say that the rater is still there; every 30 s."""
        self._ratings.beat(self._session)

    def close(self) -> None:
        """Leave the desk. What was answered is on disk already."""
        self._ratings.close_session(self._session)


def seat_of(author: str) -> str:
    """Return the seat of a person at this host."""
    return f"{author}@{this_host()}"
