"""The virtual list through the keyboard: only what is in sight is fetched, and the cursor keeps to its row."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from claif_tui.core.errors import StoreError
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell, fit

HOSTILE = "[MASK] [/foo] [@click=app.quit]x \x1b]52;c;aGk=\x07 \x9b31m \u202e \ud800 \n\t end"


@dataclass(frozen=True, slots=True)
class Line:
    id: int
    text: str


@dataclass
class Lines:
    """A source over generated lines; ``asked`` records every page that was fetched."""

    numbers: array[int]
    hostile: bool = False
    broken: bool = False
    gate: threading.Event | None = None
    asked: list[int] = field(default_factory=list)

    def first(self, limit: int) -> Sequence[Line]:
        return [Line(i, HOSTILE if self.hostile else f"line {i}") for i in self.numbers[:limit]]

    def ids(self) -> array[int]:
        if self.gate is not None:
            self.gate.wait(20)
        if self.broken:
            raise StoreError("claif.db is locked", "close the other program")
        return array("q", self.numbers)

    def rows(self, ids: Sequence[int]) -> Sequence[Line]:
        self.asked.append(len(ids))
        return [Line(i, HOSTILE if self.hostile else f"line {i}") for i in reversed(ids) if i >= 0]


class Plain(RowList[Line]):
    def draw(self, row: Line, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        return (("▸ " if at_cursor else "  ", ""), (row.text, "row-list--dim"))


class ListApp(App[None]):
    def __init__(self, source: Lines, *, follow: bool = False) -> None:
        super().__init__()
        self.source = source
        self.rows = Plain(follow=follow, empty="Nothing here.")
        self.opened: list[int] = []
        self.highlighted: list[int] = []
        self.errors: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.rows

    def on_mount(self) -> None:
        self.rows.focus()
        self.rows.load(self.source)

    def on_row_list_selected(self, message: RowList.Selected) -> None:
        self.opened.append(message.row_id)

    def on_row_list_highlighted(self, message: RowList.Highlighted) -> None:
        self.highlighted.append(message.row_id)

    def on_row_list_failed(self, message: RowList.Failed) -> None:
        self.errors.append(message.error.message)


async def settle(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def shown(rows: RowList[Line]) -> list[str]:
    return [rows.render_line(y).text.rstrip() for y in range(rows.size.height)]


async def test_a_million_rows_draw_only_what_is_in_sight() -> None:
    app = ListApp(Lines(array("q", range(1_000_000))))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        assert app.rows.count == 1_000_000
        assert shown(app.rows)[:3] == ["▸ line 0", "  line 1", "  line 2"]
        await pilot.press("G")
        await settle(pilot)
        assert shown(app.rows)[-1] == "▸ line 999999"
        assert sum(app.source.asked) < 2_000


async def test_keys_move_page_and_open() -> None:
    app = ListApp(Lines(array("q", range(500))))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("j", "down", "j", "k")
        assert app.rows.cursor == 2
        await pilot.press("ctrl+d", "pagedown", "ctrl+u")
        assert app.rows.cursor == 11
        await pilot.press("enter")
        await pilot.press("end", "k", "home", "k", "g")
        await settle(pilot)
        assert app.rows.cursor == 0
        assert app.opened == [11]
        assert app.highlighted[-1] == 0


async def test_the_cursor_keeps_to_its_row_and_line_when_rows_land_above() -> None:
    source = Lines(array("q", range(1000, 0, -1)))
    app = ListApp(source)
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        for _ in range(30):
            await pilot.press("j")
        await settle(pilot)
        before = shown(app.rows)
        assert app.rows.cursor_id == 970
        source.numbers = array("q", range(1300, 0, -1))
        app.rows.reload()
        await settle(pilot)
        assert app.rows.cursor_id == 970
        assert app.rows.cursor == 330
        assert shown(app.rows) == before


async def test_a_following_list_stays_on_top_until_the_cursor_leaves_it() -> None:
    app = ListApp(Lines(array("q", [3, 2, 1])), follow=True)
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        app.rows.show(array("q", [5, 4, 3, 2, 1]), [Line(5, "five"), Line(4, "four")])
        await pilot.pause()
        assert app.rows.cursor_id == 5
        assert shown(app.rows)[0] == "▸ five"
        await pilot.press("j")
        app.rows.show(array("q", [6, 5, 4, 3, 2, 1]), [Line(6, "six")])
        assert app.rows.cursor_id == 4


async def test_a_row_that_left_hands_the_cursor_to_its_place() -> None:
    app = ListApp(Lines(array("q", range(10))))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        await pilot.press("j", "j", "j")
        app.rows.show(array("q", [0, 1, 2, 4, 5]))
        assert (app.rows.cursor, app.rows.cursor_id) == (3, 4)
        app.rows.show(array("q"))
        assert app.rows.cursor_id is None
        await pilot.press("j", "enter", "G")
        await pilot.pause()
        assert shown(app.rows)[0] == "Nothing here."


async def test_the_first_rows_show_while_the_ids_are_read() -> None:
    gate = threading.Event()
    app = ListApp(Lines(array("q", range(5000)), gate=gate))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        while not app.rows.count:
            await pilot.pause()
        assert app.rows.count == 200
        await pilot.press("j", "j")
        assert shown(app.rows)[2] == "▸ line 2"
        gate.set()
        await settle(pilot)
        assert (app.rows.count, app.rows.cursor_id) == (5000, 2)


async def test_a_load_can_open_deep_in_the_list() -> None:
    app = ListApp(Lines(array("q", range(5000))))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        app.rows.load(app.source, cursor_id=4321)
        await settle(pilot)
        assert app.rows.cursor_id == 4321
        assert "▸ line 4321" in shown(app.rows)


async def test_an_updated_row_wins_over_the_page_being_read() -> None:
    app = ListApp(Lines(array("q", range(10))))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        app.rows.forget()
        app.rows._fetch()
        app.rows.update_rows([Line(1, "changed by a key")])
        await settle(pilot)
        assert shown(app.rows)[1] == "  changed by a key"
        assert shown(app.rows)[2] == "  line 2"


async def test_hostile_rows_come_out_harmless_at_every_width() -> None:
    app = ListApp(Lines(array("q", range(50)), hostile=True))
    async with app.run_test(size=(90, 10), notifications=True) as pilot:
        await settle(pilot)
        line = app.rows.render_line(1).text
        assert "[MASK] [/foo] [@click=app.quit]x" in line
        for width in (90, 33, 7):
            await pilot.resize_terminal(width, 6)
            await settle(pilot)
            for y in range(6):
                strip = app.rows.render_line(y)
                assert strip.cell_length == app.rows.scrollable_content_region.width
                assert not set(strip.text) & set("\x1b\x07\x9b\u202e\n\t\ud800")


async def test_a_source_that_fails_says_so_and_keeps_what_is_shown() -> None:
    app = ListApp(Lines(array("q", range(300))))
    async with app.run_test(size=(40, 10), notifications=True) as pilot:
        await settle(pilot)
        app.source.broken = True
        app.rows.reload()
        await settle(pilot)
        assert app.errors == ["claif.db is locked"]
        assert app.rows.count == 300
        assert not app.rows.loading_ids


@pytest.mark.parametrize(
    ("text", "width", "out"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 4, "abc…"),
        ("日本語", 4, "日 …"),
        ("日本語", 6, "日本語"),
        ("abc", 0, ""),
    ],
)
def test_fit_counts_cells(text: str, width: int, out: str) -> None:
    assert fit(text, width) == out
