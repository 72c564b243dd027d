"""What a rating screen needs of a desk, wherever the answers go: the project, a packet file, a browser's seat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from claif_tui.core.rating.models import Desk, Shown


class RaterDesk(Protocol):
    """One rater at work on one study: ``RaterSession``, or something like it.

    Methods block for a disk flush and are called from one thread, never at the same time; that thread need not be
    the one that opened the desk. Errors are ``ClaifError``: after one of ``answer``, ``comment`` or ``undo``
    nothing was stored.
    """

    @property
    def desk(self) -> Desk:
        """The study as far as this rater may know it, with how far he or she is now."""

    def current(self) -> Shown | None:
        """Return the first item that lacks an answer, in the rater's order; None when all is done."""

    def at(self, position: int) -> Shown | None:
        """Return the item at a position (from 1) and start its time; None beyond the end."""

    def answer(self, token: str, criterion: str, value: float) -> None:
        """Put one answer on disk, and return once it is there."""

    def comment(self, token: str, text: str) -> None:
        """Put a comment on disk; an empty one takes it away."""

    def undo(self) -> Shown | None:
        """Take back one's latest answer and return its item; None if there is nothing to take back."""

    def break_due(self) -> bool:
        """Whether the rater has worked long without a pause; asking again counts from now."""

    def beat(self) -> None:
        """Say that the rater is still there; called every 30 s."""

    def close(self) -> None:
        """Leave the desk; closing twice does no harm."""
