"""A list of any length that draws only the lines in sight: seeds, pairs, landed answers.

It knows ids, pages and a cursor. What a row is and how it looks belongs to subclasses; where rows come from
belongs to a `RowSource`. No SQL, and nothing that blocks the event loop, may go in here.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.worker import get_current_worker

from claif_tui.core.errors import ClaifError
from claif_tui.ui.widgets.line_view import LineView
from claif_tui.ui.widgets.row_source import (
    PAGE,
    Cell,
    HasId,
    LandedIds,
    RowCache,
    RowSource,
    RowT,
    index_near,
    scroll_target,
)

EDGE = 20
"""How close to the edge of the fetched rows the view may come before the next page is fetched."""


class RowList(LineView, Generic[RowT], can_focus=True):
    """A virtual list: one line per row, a cursor that keeps to its row by id.

    Subclasses write `draw` and name their cell styles in ``COMPONENT_CLASSES`` and ``DEFAULT_CSS``.
    Use `load` for a source in a database, `show` for ids and rows at hand.
    """

    ALLOW_SELECT = False
    NAVIGATION: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next", show=False),
        Binding("up,k", "move(-1)", "Previous", show=False),
        Binding("ctrl+d", "half_page(1)", "Half a page down", show=False),
        Binding("ctrl+u", "half_page(-1)", "Half a page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home", "first", "First row", show=False),
        Binding("end", "last", "Last row", show=False),
        Binding("enter", "select", "Open", show=False),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        *NAVIGATION,
        Binding("g", "first", "First row", show=False),
        Binding("G", "last", "Last row", show=False),
    ]
    BINDING_GROUP_TITLE = "List"
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--cursor", "row-list--dim"}
    DEFAULT_CSS = """
    RowList {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        & > .row-list--cursor { background: $block-cursor-blurred-background; text-style: bold; }
        & > .row-list--dim { color: $text-muted; }
        &:focus > .row-list--cursor { background: $primary 35%; text-style: bold; }
    }
    """

    @dataclass
    class Said(Message):
        """What every message of a list has: the list."""

        rows: RowList[HasId]

        @property
        def control(self) -> RowList[HasId]:
            """The list."""
            return self.rows

    @dataclass
    class Highlighted(Said):
        """The cursor stands on another row, or its row has arrived (``row`` is None until then)."""

        row_id: int
        row: HasId | None

    @dataclass
    class Selected(Said):
        """Enter or a second click on a row."""

        row_id: int

    @dataclass
    class Loaded(Said):
        """The ids are there; ``complete`` is False while only the first rows are."""

        count: int
        complete: bool

    @dataclass
    class Failed(Said):
        """The source could not be read; the list keeps what it had."""

        error: ClaifError

    @dataclass
    class _IdsLanded(Message):
        load: int
        landed: LandedIds
        rows: Sequence[HasId]

    @dataclass
    class _RowsLanded(Message):
        epoch: int
        rows: Sequence[HasId]
        asked: Sequence[int]

    def __init__(
        self,
        *,
        follow: bool = False,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - the name every widget uses
        classes: str | None = None,
    ) -> None:
        """``follow`` keeps a cursor that stands on the first row on the first row when rows land above it.

        ``empty`` is the line shown when there is no row.
        """
        super().__init__(id=id, classes=classes)
        self.follow = follow
        self.empty = empty
        self.loading_ids = False
        """True while a load of ids is under way."""
        self._source: RowSource[RowT] | None = None
        self._ids: array[int] = array("q")
        self._rows: RowCache[RowT] = RowCache()
        self._cursor = 0
        self._target: int | None = None
        self._to_top = True
        self._fallback: Callable[[], int] | None = None
        self._loads = 0
        self._epoch = 0
        self._fetching = False
        self._fetch_due = False
        self._updated: set[int] = set()

    # -- what is shown -------------------------------------------------------------------------------

    def draw(self, row: RowT, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Return the cells of one line; subclasses must. Texts are made harmless and cut afterwards."""
        raise NotImplementedError

    def load(
        self,
        source: RowSource[RowT],
        *,
        cursor_id: int | None = None,
        fallback: Callable[[], int] | None = None,
    ) -> None:
        """Show another source of the same rows, from the top or with the cursor on ``cursor_id``.

        If that row is gone, ``fallback`` (called in a thread, after ``ids``) says which index takes its place.
        What was shown stays until the first rows are there.
        """
        self._fallback = fallback
        self._source = source
        self._loads += 1
        self._epoch += 1
        self._target, self._to_top = cursor_id, cursor_id is None
        self._fetching = False
        self._start_ids(first=True, anchor=cursor_id)

    def reload(self, *, cursor_id: int | None = None) -> None:
        """Read the ids again (rows landed or left); the cursor keeps to its row, or goes to ``cursor_id``."""
        if self._source is not None:
            self._target = self._target if cursor_id is None else cursor_id
            self._start_ids(
                first=not self._ids, anchor=self.cursor_id if self._target is None else self._target
            )

    def show(
        self, ids: array[int], rows: Iterable[RowT] = (), *, source: RowSource[RowT] | None = None
    ) -> None:
        """Show these ids at once, with ``rows`` already at hand; the cursor keeps to its row.

        Rows that are not at hand, or no longer in memory, come from ``source``.
        """
        self._source = source or self._source
        self._rows.put(rows)
        self._take_ids(LandedIds(ids, None, None, True))

    def update_rows(self, rows: Iterable[RowT]) -> None:
        """Put changed rows in place of the ones in memory and redraw the lines that show them."""
        rows = list(rows)
        if self._fetching:
            self._updated.update(row.id for row in rows)
        self._redraw(self._rows.put(rows))

    def forget(self) -> None:
        """Drop all rows in memory (many changed at once) and fetch what is in sight again."""
        self._rows.clear()
        self._epoch += 1
        self._fetching = False
        self.refresh()
        self._ask_for_rows()

    # -- the cursor ----------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._ids)

    @property
    def ids(self) -> array[int]:
        """The ids in order; not to be changed."""
        return self._ids

    @property
    def cursor(self) -> int:
        """The index of the row under the cursor (0 in an empty list)."""
        return self._cursor

    @property
    def cursor_id(self) -> int | None:
        """The id under the cursor, None in an empty list."""
        return self._ids[self._cursor] if self._ids else None

    @property
    def current(self) -> RowT | None:
        """The row under the cursor, None while it is on its way."""
        return self._rows.get(self._ids[self._cursor]) if self._ids else None

    def visible_ids(self) -> list[int]:
        """The ids of the rows in sight, and of the one under the cursor."""
        top = self.scroll_offset.y
        ids = list(self._ids[top : top + self.lines_in_view])
        here = self.cursor_id
        return ids if here is None or here in ids else [here, *ids]

    def row(self, row_id: int) -> RowT | None:
        """Return a row that is in memory."""
        return self._rows.get(row_id)

    def index_of(self, row_id: int) -> int | None:
        """Return where a row stands, None if it is not in the list."""
        return index_near(self._ids, row_id, self._cursor)

    def move_to(self, index: int) -> bool:
        """Put the cursor on ``index`` (clamped) and bring it in sight; return whether it moved."""
        if not self._ids:
            return False
        index = max(0, min(index, len(self._ids) - 1))
        moved = index != self._cursor
        if moved:
            old, self._cursor = self._cursor, index
            self.refresh_line(old)
            self.refresh_line(index)
        self._bring_in_sight()
        if moved:
            self._say_highlighted()
            self._ask_for_rows()
        return moved

    def move_to_id(self, row_id: int) -> bool:
        """Put the cursor on a row by id; return False if it is not in the list."""
        index = self.index_of(row_id)
        if index is None:
            return False
        self.move_to(index)
        return True

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self.move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by pages."""
        self.move_to(self._cursor + by * max(1, self.lines_in_view - 1))

    def action_half_page(self, by: int) -> None:
        """Move the cursor by half pages."""
        self.move_to(self._cursor + by * max(1, self.lines_in_view // 2))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move_to(0)

    def action_last(self) -> None:
        """Go to the last row."""
        self.move_to(len(self._ids) - 1)

    def action_select(self) -> None:
        """Open the row under the cursor."""
        row_id = self.cursor_id
        if row_id is not None:
            self.post_message(self.Selected(self._as_base(), row_id))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked row; open it on a second click."""
        index = event.get_content_offset(self)
        if index is None or not self._ids:
            return
        row = index.y + self.scroll_offset.y
        if row < len(self._ids) and not self.move_to(row) and event.chain > 1:
            self.action_select()

    # -- ids: read in the background -----------------------------------------------------------------

    def _start_ids(self, *, first: bool, anchor: int | None) -> None:
        self.loading_ids = True
        source = self._source
        assert source is not None
        self.run_worker(
            partial(self._read_ids, source, self._loads, first, anchor),
            name="ids",
            group="row-list-ids",
            description="reading the ids of a list",
            thread=True,
            exclusive=True,
            exit_on_error=False,
        )

    def _read_ids(self, source: RowSource[RowT], load: int, first: bool, anchor: int | None) -> None:
        worker = get_current_worker()
        try:
            if first:
                rows = source.first(PAGE)
                if rows and not worker.is_cancelled:
                    few = array("q", [row.id for row in rows])
                    found = None if anchor is None else index_near(few, anchor, 0)
                    self.post_message(self._IdsLanded(load, LandedIds(few, anchor, found, False), rows))
            ids = source.ids()
        except ClaifError as error:
            if not worker.is_cancelled:
                self.post_message(self.Failed(self._as_base(), error))
            return
        index = None if anchor is None else index_near(ids, anchor, 0)
        if index is None and first and anchor is not None and self._fallback is not None and ids:
            index = min(self._fallback(), len(ids) - 1)
        if not worker.is_cancelled:
            self.post_message(self._IdsLanded(load, LandedIds(ids, anchor, index, True), ()))

    def _on_row_list_failed(self) -> None:
        self.loading_ids = False
        self.refresh()

    def _on_row_list__ids_landed(self, message: RowList._IdsLanded) -> None:
        message.stop()
        if message.load != self._loads:
            return
        if message.landed.complete:
            self.loading_ids = False
        self._rows.put(message.rows)  # type: ignore[arg-type]
        self._take_ids(message.landed)

    def _take_ids(self, landed: LandedIds) -> None:
        """Swap the ids; the cursor's row stays under the cursor and on its line of the screen."""
        before, old, top = self.cursor_id, self._cursor, self.scroll_offset.y
        jumping = self._target is not None or self._to_top
        wanted = self._target if jumping else before
        index: int | None = None
        if not jumping and self.follow and old == 0:
            index = 0
        elif wanted is not None:
            index = landed.anchor if wanted == landed.anchor_id else index_near(landed.ids, wanted, old)
            if index is None and jumping and not landed.complete:
                return  # the wanted row is further down: wait for all ids rather than show another place
        elif jumping:
            index = 0
        self._target, self._to_top = None, False
        self._ids = landed.ids
        self._cursor = max(0, min(old if index is None else index, len(landed.ids) - 1))
        self._resize_content()
        if index is not None and not jumping and index != old:
            self.scroll_to(y=max(0, top + index - old), animate=False)
        self._bring_in_sight()
        self.refresh()
        self.post_message(self.Loaded(self._as_base(), len(self._ids), landed.complete))
        if jumping or self.cursor_id != before:
            self._say_highlighted()
        self._ask_for_rows()

    def _ask_for_rows(self) -> None:
        """Fetch soon; many asks in one turn of the loop become one."""
        if not self._fetch_due and self._source is not None:
            self._fetch_due = True
            self.call_later(self._fetch)

    def _fetch(self) -> None:
        self._fetch_due = False
        if self._fetching or self._source is None or not self._ids:
            return
        top = self.scroll_offset.y
        last = len(self._ids) - 1
        near = (
            max(0, top - EDGE),
            top,
            self._cursor,
            top + self.lines_in_view - 1,
            top + self.lines_in_view + EDGE,
        )
        if all(self._rows.knows(self._ids[min(index, last)]) for index in near):
            return
        start = max(0, min(top, last) - PAGE // 2)
        wanted = list(self._ids[start : start + self.lines_in_view + PAGE])
        wanted += list(self._ids[max(0, self._cursor - EDGE) : self._cursor + EDGE])
        missing = [row_id for row_id in dict.fromkeys(wanted) if not self._rows.knows(row_id)]
        if not missing:
            return
        self._fetching = True
        self._updated.clear()
        self.run_worker(
            partial(self._read_rows, self._source, self._epoch, missing),
            name="rows",
            group="row-list-rows",
            description="reading a page of a list",
            thread=True,
            exit_on_error=False,
        )

    def _read_rows(self, source: RowSource[RowT], epoch: int, ids: Sequence[int]) -> None:
        try:
            rows = source.rows(ids)
        except ClaifError as error:
            self.post_message(self.Failed(self._as_base(), error))
            rows = ()
        self.post_message(self._RowsLanded(epoch, rows, ids))

    def _on_row_list__rows_landed(self, message: RowList._RowsLanded) -> None:
        message.stop()
        if message.epoch != self._epoch:
            return
        self._fetching = False
        # A row that was updated while its page was read is newer than the page.
        fresh: list[RowT] = [row for row in message.rows if row.id not in self._updated]  # type: ignore[misc]
        self._rows.put(fresh)
        self._rows.settle(message.asked)
        self._redraw(set(message.asked))
        if self.cursor_id in message.asked:
            self._say_highlighted()
        self._ask_for_rows()

    def on_resize(self) -> None:
        """Fit the content to the new width and keep the cursor in sight."""
        self._resize_content()
        self._bring_in_sight()
        self._ask_for_rows()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Fetch what comes into sight."""
        super().watch_scroll_y(old_value, new_value)
        self._ask_for_rows()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        index = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if index >= len(self._ids):
            if y == 0 and not self._ids:
                return self.strip([("reading …" if self.loading_ids else self.empty, "row-list--dim")], width)
            return self.strip((), width)
        row_id, at_cursor = self._ids[index], index == self._cursor
        row = self._rows.get(row_id)
        if row is None:
            mark = "(no longer there)" if self._rows.is_gone(row_id) else "…"
            return self.strip([(mark, "row-list--dim")], width, at_cursor)
        return self.strip(self.draw(row, width, at_cursor=at_cursor), width, at_cursor)

    def _as_base(self) -> RowList[HasId]:
        return self  # type: ignore[return-value]

    def _say_highlighted(self) -> None:
        row_id = self.cursor_id
        if row_id is not None:
            self.post_message(self.Highlighted(self._as_base(), row_id, self._rows.get(row_id)))

    def _resize_content(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._ids))

    def _bring_in_sight(self) -> None:
        offset = self.scroll_offset.y
        target = scroll_target(offset, self._cursor, self.lines_in_view, len(self._ids))
        if target != offset:
            self.scroll_to(y=target, animate=False)

    def _redraw(self, ids: set[int]) -> None:
        top = self.scroll_offset.y
        for index in range(top, min(top + self.lines_in_view, len(self._ids))):
            if self._ids[index] in ids:
                self.refresh_line(index)
