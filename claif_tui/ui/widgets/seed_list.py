"""The list of seeds, and the list of rows an import left out: one line each. No data access of their own."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from claif_tui.core.models import Seed, Split
from claif_tui.ui import safe
from claif_tui.ui.base import WorkerErrors
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell, fit

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


@dataclass(frozen=True, slots=True)
class SeedSource:
    """Seeds of a project, of one split or of all."""

    store: Store
    split: Split | None = None

    def first(self, limit: int) -> Sequence[Seed]:
        """The first seeds."""
        return self.store.seeds.page(0, limit, self.split)

    def ids(self) -> array[int]:
        """All ids in import order."""
        return self.store.seeds.ids(self.split)

    def rows(self, ids: Sequence[int]) -> Sequence[Seed]:
        """A page of seeds."""
        return self.store.seeds.many(ids)


class SeedList(WorkerErrors, RowList[Seed]):
    """Seeds: how often they occurred, their split unless it is train, the text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"seed-list--note", "seed-list--held-out"}
    DEFAULT_CSS = """
    SeedList {
        & > .seed-list--note { color: $text-muted; }
        & > .seed-list--held-out { color: $text-warning; }
    }
    """

    def draw(self, row: Seed, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Cells of one line."""
        number = f"{row.id:>9,} "
        count = f"×{row.count:<5,}" if row.count > 1 else " " * 6
        split = "" if row.split == "train" else f"{row.split} "
        room = width - len(number) - len(count) - len(split)
        return (
            (number, "seed-list--note"),
            (count, "seed-list--note"),
            (split, "seed-list--held-out"),
            (fit(safe.clip(row.text, 4 * width), room), ""),
        )


@dataclass(frozen=True, slots=True)
class IssueRow:
    """One row that was left out or merged."""

    id: int
    line: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class IssueSource:
    """The rows one import left out; ids are places in the list, from 0."""

    store: Store
    source_id: int
    count: int

    def first(self, limit: int) -> Sequence[IssueRow]:
        """The first rows."""
        return self._page(0, limit)

    def ids(self) -> array[int]:
        """All places."""
        return array("q", range(self.count))

    def rows(self, ids: Sequence[int]) -> Sequence[IssueRow]:
        """The rows at these places, read in one piece."""
        wanted = set(ids)
        low = min(wanted)
        return [row for row in self._page(low, max(wanted) - low + 1) if row.id in wanted]

    def _page(self, offset: int, limit: int) -> list[IssueRow]:
        found = self.store.sources.issues(self.source_id, limit, offset)
        return [IssueRow(offset + place, *row) for place, row in enumerate(found)]


class IssueList(WorkerErrors, RowList[IssueRow]):
    """Rows that were left out: line, reason, a piece of the text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"issue-list--line", "issue-list--reason"}
    DEFAULT_CSS = """
    IssueList {
        & > .issue-list--line { color: $text-muted; }
        & > .issue-list--reason { color: $text-warning; }
    }
    """

    def draw(self, row: IssueRow, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Cells of one line."""
        return (
            (f"line {row.line:>9,} ", "issue-list--line"),
            (f"{row.reason:<18} ", "issue-list--reason"),
            (row.detail, ""),
        )
