"""Freezing a snapshot from the app: which pairs, what the funnel makes of them while one chooses, then the freezing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from claif_tui.core.errors import ClaifError, UsageError
from claif_tui.core.models import Status
from claif_tui.core.snapshot import Created, SnapshotWish, create
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.screens.train_settle import Settled
from claif_tui.ui.widgets.fields import Field

if TYPE_CHECKING:
    from claif_tui.core.postprocess import Funnel
    from claif_tui.core.store.store import Store

STATUSES: dict[str, tuple[Status, ...]] = {
    "accepted": ("accepted",),
    "accepted and pending": ("accepted", "pending"),
    "all": ("accepted", "pending", "rejected"),
}
PAUSE_SECONDS = 0.3
"""How long typing has to rest before the funnel is counted."""


class FreezeModal(ClaifModal[Created | None]):
    """Gives what was frozen, or None."""

    nothing = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "freeze", "Freeze", id="freeze.freeze", tooltip="Freeze these rows under their hash"),
    ]

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._freezing = False
        self._counting = Settled(self, self._count, pause=PAUSE_SECONDS, name="count the funnel")

    def compose(self) -> ComposeResult:
        """The choices, and below them the funnel."""
        with VerticalScroll(classes="dialog", can_focus=False) as box:
            box.border_title = safe.line("Freeze a snapshot")
            yield Field("statuses", "pairs", options=tuple(STATUSES))
            yield Field("low", "score from", placeholder="0: any")
            yield Field("high", "score to", placeholder="1: any")
            yield Field("edited", "edited only", options=("no", "yes"))
            yield Static("", classes="problem", id="freeze-problem", markup=False)
            yield Static("", id="freeze-funnel")
            yield Static(
                safe.line("The recipe's post-processing (3) applies: drops, smoothing, cap, zero pairs."),
                classes="hint",
            )
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin with the accepted pairs, all of them."""
        for key, value in (("statuses", "accepted"), ("edited", "no")):
            self._field(key).show(value)
        self._field("statuses").focus_editor()
        self._counting.ask()

    def _field(self, key: str) -> Field:
        return next(field for field in self.query(Field) if field.key == key)

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        event.stop()
        self._counting.ask()

    def wish(self) -> SnapshotWish:
        """Return what is chosen; ``UsageError`` names the field that does not read."""
        low, high = (_score(key, self._field(key).text) for key in ("low", "high"))
        terms = [f"score >= {low:g}"] if low is not None else []
        terms += [f"score <= {high:g}"] if high is not None else []
        if low is not None and high is not None and low > high:
            raise UsageError(f"score from {low:g} to {high:g} holds nothing", "Swap the two.")
        return SnapshotWish(
            statuses=STATUSES[self._field("statuses").text],
            filter=" and ".join(terms),
            edited_only=self._field("edited").text == "yes",
        )

    async def _count(self) -> None:
        """Count what the funnel makes of the wish."""
        try:
            funnel = await self.shell.background(partial(_funnel, self._store, self.wish()))
        except ClaifError as error:
            self._problem(f"{error.message} {error.hint}".strip())
            self.query_one("#freeze-funnel", Static).update(Content(""))
            return
        self._problem("")
        self.query_one("#freeze-funnel", Static).update(funnel_words(funnel))

    def _problem(self, words: str) -> None:
        self.query_one("#freeze-problem", Static).update(safe.line(f"✗ {words}" if words else ""))

    def action_freeze(self) -> None:
        """Freeze, once."""
        if not self._freezing:
            self._freezing = True
            self.run_worker(
                self._freeze(), group="freeze", exit_on_error=False, description="freeze a snapshot"
            )

    async def _freeze(self) -> None:
        try:
            created = await self.shell.background(partial(_create, self._store, self.wish()))
        except ClaifError as error:
            self._problem(f"{error.message} {error.hint}".strip())
        else:
            self.dismiss(created)
        finally:
            self._freezing = False


def _score(name: str, text: str) -> float | None:
    """Return a bound of the score, None for no bound."""
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"score {'from' if name == 'low' else 'to'} is {text.strip()[:20]!r}, expected 0 to 1")
    return value


def _funnel(store: Store, wish: SnapshotWish) -> Funnel:
    from claif_tui.core.exporting import ExportWish, process
    from claif_tui.core.session import load_recipe

    asked = ExportWish(statuses=wish.statuses, preset=wish.preset, filter=wish.expression())
    with store.read():
        processed, _ = process(store, load_recipe(store.folder), asked)
        return processed.funnel


def _create(store: Store, wish: SnapshotWish) -> Created:
    from claif_tui.core.session import load_recipe

    return create(store, load_recipe(store.folder), wish)


def funnel_words(funnel: Funnel) -> Content:
    """Return how pairs become rows, rule by rule; rules that drop nothing are left out."""
    from claif_tui.core.postprocess import RULES

    rows: list[safe.Part] = [f"{'pairs looked at':<50}{funnel.pairs:>10,}"]
    rows += [
        (f"− {RULES[rule]:<48.48}{count:>10,}", "$text-muted") for rule, count in funnel.drops.items() if count
    ]
    if funnel.split:
        rows.insert(1, f"{'+ of triplets, which give two pairs each':<50}{funnel.split:>10,}")
    if funnel.zero_pairs:
        rows.append(f"{'+ zero pairs':<50}{funnel.zero_pairs:>10,}")
    if funnel.swapped:
        rows.append(f"{'  of these with swapped roles':<50}{funnel.swapped:>10,}")
    none = not funnel.rows
    rows.append((f"{'rows':<50}{funnel.rows:>10,}", "bold $text-error" if none else "bold"))
    if none:
        rows.append(("nothing is left: take pending pairs too, or press 5 and accept some", "$text-error"))
    return safe.lines(*rows)
