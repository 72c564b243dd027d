"""The rows that one import left out or merged, each with its line and its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Footer

from claif_tui.core.models import Source
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal, ClaifScreen
from claif_tui.ui.dialogs import Choice, ChooseModal
from claif_tui.ui.widgets.seed_list import IssueList, IssueSource

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store


def left_out(source: Source) -> int:
    """How many rows an import left out or merged."""
    return source.duplicates + source.empty + sum(source.dropped.values())


class LeftOutModal(ClaifModal[None]):
    """A list of any length."""

    BINDINGS = [
        Binding("y", "copy", "Copy", id="left-out.copy"),
        Binding("q", "walk_away", "Close", show=False, id="left-out.close"),
    ]

    def __init__(self, store: Store, source: Source) -> None:
        super().__init__()
        self._store, self._source = store, source

    def compose(self) -> ComposeResult:
        """The list in a box."""
        with Vertical(classes="dialog reading tall") as box:
            box.border_title = safe.line(
                f"{left_out(self._source):,} rows left out or merged · {self._source.name}"
            )
            yield IssueList(empty="Nothing was left out.")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Read the rows."""
        rows = self.query_one(IssueList)
        rows.load(IssueSource(self._store, self._source.id, left_out(self._source)))
        rows.focus()

    def action_copy(self) -> None:
        """Copy the row under the cursor."""
        row = self.query_one(IssueList).current
        if row is not None:
            self.shell.copy(f"{self._source.path}:{row.line}: {row.reason}: {row.detail}", f"line {row.line:,}")


async def show_left_out(screen: ClaifScreen, store: Store, sources: list[Source]) -> None:
    """Show what an import left out; ask which one when several did."""
    with_rows = [source for source in reversed(sources) if left_out(source)]
    if not with_rows:
        screen.shell.say("No import left a row out.")
        return
    chosen = with_rows[0]
    if len(with_rows) > 1:
        choices = [
            Choice(
                key=str(place),
                value=str(source.id),
                label=source.name,
                meaning=f"{left_out(source):,} rows",
            )
            for place, source in enumerate(with_rows[:9], 1)
        ]
        answer = await screen.app.push_screen_wait(ChooseModal("Left out", "Which import?", choices))
        if not answer:
            return
        chosen = next(source for source in with_rows if str(source.id) == answer)
    await screen.app.push_screen_wait(LeftOutModal(store, chosen))
