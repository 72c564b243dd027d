"""What a virtual list is fed with: the protocol of a source, the rows kept in memory, and text cut to cells."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from rich.cells import cell_len, set_cell_size

PAGE = 200
"""Rows fetched at once around what is in sight."""
KEPT = 4_000
"""Rows kept in memory; the least recently fetched go first."""

Cell = tuple[str, str]
"""A piece of a line: its text, and the component class that styles it ("" for the plain style)."""


class HasId(Protocol):
    """Any row with an integer identity."""

    @property
    def id(self) -> int:
        """The identity by which the cursor follows a row."""


RowT = TypeVar("RowT", bound=HasId)
RowT_co = TypeVar("RowT_co", bound=HasId, covariant=True)


class RowSource(Protocol[RowT_co]):
    """Where rows come from. All three are called in worker threads and may block."""

    def first(self, limit: int) -> Sequence[RowT_co]:
        """Return the first rows quickly, to be shown while ``ids`` still works; may be empty."""

    def ids(self) -> array[int]:
        """Return the ids of all rows in their order."""

    def rows(self, ids: Sequence[int]) -> Sequence[RowT_co]:
        """Return the rows with these ids, in any order; vanished ones are left out."""


@dataclass(frozen=True, slots=True)
class LandedIds:
    """What a load brought: the ids, and where the wanted row (by id) stands in them."""

    ids: array[int]
    anchor_id: int | None
    anchor: int | None
    complete: bool


class RowCache(Generic[RowT]):
    """The rows in memory, and the ids that a source no longer knows."""

    def __init__(self) -> None:
        self._rows: OrderedDict[int, RowT] = OrderedDict()
        self._gone: set[int] = set()

    def get(self, row_id: int) -> RowT | None:
        """A row that is in memory."""
        return self._rows.get(row_id)

    def put(self, rows: Iterable[RowT]) -> set[int]:
        """Keep rows, replacing what was kept of them; return the ids of those that look different now."""
        changed = set()
        for row in rows:
            if self._rows.get(row.id) != row:
                changed.add(row.id)
                self._rows[row.id] = row
            self._rows.move_to_end(row.id)
            self._gone.discard(row.id)
        while len(self._rows) > KEPT:
            self._rows.popitem(last=False)
        return changed

    def settle(self, asked: Iterable[int]) -> None:
        """Note that what was asked for and did not come is gone."""
        self._gone.update(row_id for row_id in asked if row_id not in self._rows)

    def is_gone(self, row_id: int) -> bool:
        """Whether the source no longer knows the row."""
        return row_id in self._gone

    def knows(self, row_id: int) -> bool:
        """Whether there is nothing to fetch for this id."""
        return row_id in self._rows or row_id in self._gone

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._gone.clear()


def index_near(ids: array[int], row_id: int, near: int) -> int | None:
    """Return where ``row_id`` stands in ``ids``, looking around ``near`` first (all of 1.2 M take 10 ms)."""
    for index in range(max(0, near - 2), min(len(ids), near + 3)):
        if ids[index] == row_id:
            return index
    try:
        return ids.index(row_id)
    except ValueError:
        return None


def fit(text: str, width: int) -> str:
    """Return ``text`` as exactly ``width`` cells: padded, or cut with an ellipsis."""
    if width <= 0:
        return ""
    text = text[: 4 * width + 8]
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def scroll_target(offset: int, cursor: int, height: int, count: int) -> int:
    """Return the first line to show so that the cursor is in sight, two lines from an edge where possible."""
    margin = min(2, (height - 1) // 2)
    if cursor < offset + margin:
        wanted = cursor - margin
    elif cursor > offset + height - 1 - margin:
        wanted = cursor - height + 1 + margin
    else:
        return offset
    return max(0, min(wanted, max(0, count - height)))
