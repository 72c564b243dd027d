"""The failed calls, each with its reason and raw answer, to be looked at and asked again. No pipeline logic."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.core.models import Call
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal, WorkerErrors
from claif_tui.ui.screens.generate_text import trouble_name
from claif_tui.ui.widgets.row_list import Cell, RowList

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store
    from claif_tui.ui.screens.generate import GenerateScreen

SHOWN = 2_000
"""Failed calls that are listed; the counts cover all of them."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One failed call in the list."""

    id: int
    call: Call


class TroubleList(WorkerErrors, RowList[Trouble]):
    """Failed calls, one line each."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"trouble-list--reason"}
    DEFAULT_CSS = "TroubleList { height: 1fr; & > .trouble-list--reason { color: $text-warning; } }"

    def draw(self, row: Trouble, width: int, *, at_cursor: bool) -> Sequence[Cell]:
        """Reason, stage, rate, tries, then what the model said or what went wrong."""
        call = row.call
        rate = "   " if call.rate is None else f"{call.rate:.1f}"
        said = call.raw or call.detail or ""
        return [
            ("▸ " if at_cursor else "  ", ""),
            (f"{trouble_name(call.reason or 'unknown'):<15} ", "trouble-list--reason"),
            (f"{call.stage:<9}{rate} {call.tries:>2} ×  ", "row-list--dim"),
            (said, ""),
        ]


class TroublesModal(ClaifModal[str]):
    """Answers with ``""``, with the class to retry, or with ``*`` for all of them."""

    nothing = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "retry", "Retry this class", id="troubles.retry", tooltip="Ask all calls that failed like this one again"),
        Binding("S", "retry_all", "Retry all", id="troubles.retry-all", tooltip="Ask every failed call again"),
        Binding("y", "copy", "Copy", id="troubles.copy", tooltip="Copy the request and the raw answer"),
    ]  # fmt: skip

    def __init__(self, calls: list[Call], counts: dict[str, int]) -> None:
        super().__init__()
        self._rows = [Trouble(index, call) for index, call in enumerate(calls)]
        self._counts = counts

    def compose(self) -> ComposeResult:
        """Counts by class, the list, and all of the call under the cursor."""
        with Vertical(classes="dialog -wide-box", id="troubles-box") as box:
            total = sum(self._counts.values())
            box.border_title = safe.line(f"Troubles · {total:,} failed calls")
            counted = "   ".join(f"{trouble_name(name)} {count:,}" for name, count in self._counts.items())
            yield Static(safe.line(counted or "No call has failed.", "$text-muted"))
            yield TroubleList(id="trouble-rows", empty="No call has failed.")
            with VerticalScroll(id="trouble-detail", can_focus=False):
                yield Static("", id="trouble-text")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Show the list."""
        rows = self.query_one(TroubleList)
        rows.show(array("q", range(len(self._rows))), self._rows)
        rows.focus()

    def on_row_list_highlighted(self, message: RowList.Highlighted) -> None:
        """Show all of a call."""
        message.stop()
        self.query_one("#trouble-text", Static).update(detail(self._rows[message.row_id].call))
        self.query_one("#trouble-detail", VerticalScroll).scroll_home(animate=False)

    def action_retry(self) -> None:
        """Ask this class again."""
        row = self.query_one(TroubleList).current
        if row is not None:
            self.dismiss(row.call.reason or "*")

    def action_retry_all(self) -> None:
        """Ask everything that failed again."""
        if self._rows:
            self.dismiss("*")

    def action_copy(self) -> None:
        """Copy the call under the cursor."""
        row = self.query_one(TroubleList).current
        if row is not None:
            self.shell.copy(detail(row.call).plain, "the call")


def detail(call: Call) -> Content:
    """Return all of a failed call as text."""
    rows: list[safe.Part] = [
        safe.join((f"{trouble_name(call.reason or 'unknown')}: ", "bold $text-warning"), call.detail or ""),
        safe.join(("asked   ", "$text-muted"), safe.block(call.prompt)),
        safe.join(
            ("answer  ", "$text-muted"), safe.block(call.raw) if call.raw else ("nothing came", "$text-muted")
        ),
    ]
    if call.reasoning:
        rows.append(safe.join(("thought ", "$text-muted"), safe.block(call.reasoning)))
    ended = call.finish_reason or "no finish reason"
    rows.append(
        (f"{call.model} @ {call.profile} · {call.tries} tries · {ended} · {call.sent_at}", "$text-muted")
    )
    return safe.lines(*rows)


async def open_troubles(screen: GenerateScreen) -> None:
    """Show the failed calls and retry what the user chose."""

    def read(store: Store) -> tuple[list[Call], dict[str, int]]:
        return store.calls.failures(limit=SHOWN), store.calls.failure_counts()

    calls, counts = await screen.shell.db(read)
    chosen = await screen.shell.push_screen_wait(TroublesModal(calls, counts))
    if not chosen:
        return
    if screen.running:
        screen.shell.say("A run is going on: stop it with x first, then retry.", severity="warning")
        return
    from claif_tui.ui.screens.generate_run import start

    await start(screen, reasons=None if chosen == "*" else frozenset({chosen}), retrying=True)
