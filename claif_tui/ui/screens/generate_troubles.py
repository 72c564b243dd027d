"""The planned pairs that failed, each with its reason and raw answer, to be looked at and asked again."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.core.models import Call
from claif_tui.core.troubles import Trouble, call_of, trouble
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal, WorkerErrors
from claif_tui.ui.screens.generate_text import trouble_name
from claif_tui.ui.widgets.row_list import RowList
from claif_tui.ui.widgets.row_source import Cell

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.store.items import Item
    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.generate import GenerateScreen


@dataclass(frozen=True, slots=True)
class TroubleRow:
    """One failed pair in the list."""

    id: int
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class TroubleSource:
    """The failed items of a recipe, their texts read by the page."""

    store: Store
    recipe: Recipe
    items: list[Item]

    def first(self, limit: int) -> Sequence[TroubleRow]:
        """Nothing: the ids are here already."""
        return ()

    def ids(self) -> array[int]:
        """The places of the items."""
        return array("q", range(len(self.items)))

    def rows(self, ids: Sequence[int]) -> Sequence[TroubleRow]:
        """Items with their texts."""
        found = [(place, trouble(self.store, self.recipe, self.items[place])) for place in ids]
        return [TroubleRow(place, one) for place, one in found if one is not None]


class TroubleList(WorkerErrors, RowList[TroubleRow]):
    """Failed pairs, one line each."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"trouble-list--reason"}
    DEFAULT_CSS = "TroubleList { height: 1fr; & > .trouble-list--reason { color: $text-warning; } }"

    def draw(self, row: TroubleRow, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Reason, stage and rate, then what was asked."""
        one = row.trouble
        return [
            ("▸ " if at_cursor else "  ", ""),
            (f"{trouble_name(one.reason):<15} ", "trouble-list--reason"),
            (f"{one.stage:<9}{one.title}  ", "row-list--dim"),
            (one.asked, ""),
        ]


class TroublesModal(ClaifModal[str]):
    """Answers with ``""``, with the class to retry, or with ``*`` for all of them."""

    nothing = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "retry", "Retry this class", id="troubles.retry", tooltip="Ask all that failed like this again"),
        Binding("S", "retry_all", "Retry all", id="troubles.retry-all", tooltip="Ask everything that failed again"),
        Binding("y", "copy", "Copy", id="troubles.copy", tooltip="Copy the request and the raw answer"),
    ]  # fmt: skip

    def __init__(self, source: TroubleSource, counts: dict[str, int]) -> None:
        super().__init__()
        self._source, self._counts = source, counts

    def compose(self) -> ComposeResult:
        """Counts by class, the list, and all of the call under the cursor."""
        with Vertical(classes="dialog -wide-box", id="troubles-box") as box:
            box.border_title = safe.line(f"Troubles · {sum(self._counts.values()):,} planned pairs failed")
            counted = "   ".join(f"{trouble_name(name)} {count:,}" for name, count in self._counts.items())
            yield Static(safe.line(counted or "Nothing has failed.", "$text-muted"))
            yield TroubleList(id="trouble-rows", empty="Nothing has failed.")
            with VerticalScroll(id="trouble-detail", can_focus=False):
                yield Static("", id="trouble-text")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Show the list."""
        rows = self.query_one(TroubleList)
        rows.load(self._source)
        rows.focus()

    def on_row_list_highlighted(self, message: RowList.Highlighted) -> None:
        """Fetch and show all of a call."""
        message.stop()
        row = message.row
        if isinstance(row, TroubleRow):
            self.run_worker(
                self._show(row.trouble),
                group="detail",
                exclusive=True,
                exit_on_error=False,
                description="read a call",
            )

    async def _show(self, one: Trouble) -> None:
        source = self._source
        call = await self.shell.background(partial(call_of, source.store, source.recipe, one))
        self.query_one("#trouble-text", Static).update(detail(one, call))
        self.query_one("#trouble-detail", VerticalScroll).scroll_home(animate=False)

    def action_retry(self) -> None:
        """Ask this class again."""
        row = self.query_one(TroubleList).current
        if row is not None:
            self.dismiss(row.trouble.reason)

    def action_retry_all(self) -> None:
        """Ask everything that failed again."""
        if self._counts:
            self.dismiss("*")

    def action_copy(self) -> None:
        """Copy the call under the cursor."""
        shown = self.query_one("#trouble-text", Static).content
        if isinstance(shown, Content):
            self.shell.copy(shown.plain, "the call")


def detail(one: Trouble, call: Call | None) -> Content:
    """Return all of a failed pair as text: why, what was asked, what came."""
    rows: list[safe.Part] = [
        safe.join(
            (trouble_name(one.reason), "bold $text-warning"), f": {call.detail}" if call and call.detail else ""
        ),
        safe.join((f"{'seed':<8}", "$text-muted"), safe.block(one.anchor)),
    ]
    if call is None:
        rows.append(("No answer is stored: the request was never sent.", "$text-muted"))
        return safe.lines(*rows)
    said: safe.Part = safe.block(call.raw) if call.raw else ("nothing came", "$text-muted")
    rows.append(safe.join((f"{'answer':<8}", "$text-muted"), said))
    if call.reasoning:
        rows.append(safe.join((f"{'thought':<8}", "$text-muted"), safe.block(call.reasoning)))
    ended = call.finish_reason or "no finish reason"
    tries = "1 try" if call.tries == 1 else f"{call.tries} tries"
    asked = f", asked {call.attempt + 1} times" if call.attempt else ""
    rows.append((f"{call.model} @ {call.profile} · {tries}{asked} · {ended} · {call.sent_at}", "$text-muted"))
    rows.append(safe.join((f"{'asked':<8}", "$text-muted"), safe.block(call.prompt)))
    return safe.lines(*rows)


def _read(store: Store) -> tuple[TroubleSource, dict[str, int]]:
    from claif_tui.core.recipes import Recipe, requests_id
    from claif_tui.ui.recipe_files import read_recipe

    recipe = read_recipe(store, path=store.folder / "recipe.toml").recipe or Recipe()
    scope = requests_id(recipe)
    return TroubleSource(store, recipe, store.items.failed(scope)), store.items.counts(scope).failed


async def open_troubles(screen: GenerateScreen) -> None:
    """Show what failed and retry what the user chose."""
    source, counts = await screen.shell.db(_read)
    chosen = await screen.shell.push_screen_wait(TroublesModal(source, counts))
    if not chosen:
        return
    if screen.running:
        screen.shell.say("A run is going on: stop it with x first, then retry.", severity="warning")
        return
    from claif_tui.ui.screens.generate_run import start

    await start(screen, reasons=None if chosen == "*" else frozenset({chosen}), retrying=True)
