"""Try on three seeds: what the recipe really gives, seen before any run. The answers are kept, so a run reuses them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from claif_tui.core.models import NANO, Seed
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.systems.base import PlanItem
from claif_tui.core.systems.registry import system_of
from claif_tui.ui import lab, safe
from claif_tui.ui.base import ClaifModal, ClaifScreen
from claif_tui.ui.dialogs import ConfirmModal

if TYPE_CHECKING:
    from claif_tui.core.estimate import Plan
    from claif_tui.core.store.store import Store
    from claif_tui.core.trying import Trial
    from claif_tui.ui.endpoints import Endpoint

SEEDS = 3


async def try_on_seeds(screen: ClaifScreen, recipe: Recipe, index: int, budget: float | None) -> None:
    """Ask first if it costs, then show the answers as they land."""
    from claif_tui.ui.endpoints import endpoint_of

    shell, store = screen.shell, screen.store
    if store is None:
        shell.say("No project is open: press 1 to open or make one.", severity="warning")
        return
    seeds = await shell.db(partial(_seeds, index=index))
    if not seeds:
        shell.say("No seeds yet: press 2, then i, to import some.", severity="warning")
        return
    endpoint = await shell.background(partial(endpoint_of, recipe, store))
    if not endpoint.free:
        question, detail = _question(recipe, endpoint, seeds)
        modal = ConfirmModal("Try on 3 seeds?", question, yes="Ask the model", no="Not now", detail=detail)
        if not await screen.app.push_screen_wait(modal):
            return
    cap = endpoint.cap_nano if budget is None else round(budget * NANO)
    await screen.app.push_screen_wait(TryModal(store, recipe, endpoint, seeds, cap))
    shell.changed()


class TryModal(ClaifModal[None]):
    """The answers and scores of a few seeds; closing it stops what has not been asked yet."""

    BINDINGS = [
        Binding("q", "walk_away", "Close", show=False, id="try.close"),
        Binding("y", "copy", "Copy", id="try.copy", tooltip="Copy what is shown"),
        Binding("j", "scroll(1)", "Down", show=False, id="try.down"),
        Binding("k", "scroll(-1)", "Up", show=False, id="try.up"),
        Binding("ctrl+d", "scroll(10)", "Page down", show=False, id="try.pagedown"),
        Binding("ctrl+u", "scroll(-10)", "Page up", show=False, id="try.pageup"),
    ]

    def __init__(
        self, store: Store, recipe: Recipe, endpoint: Endpoint, seeds: Sequence[Seed], cap_nano: int | None
    ) -> None:
        super().__init__()
        self._store, self._recipe, self._endpoint = store, recipe, endpoint
        self._seeds, self._cap = seeds, cap_nano
        self._items = list(system_of(recipe).plan(recipe, seeds))
        self._trials: dict[tuple[int, int, int], Trial] = {}
        self._state = "asking …"

    def compose(self) -> ComposeResult:
        """One block per seed."""
        with VerticalScroll(classes="dialog reading -wide-box", can_focus=True) as box:
            box.border_title = safe.line(f"Try · {self._endpoint.name}")
            yield Static(self._content(), id="try-text", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Start asking."""
        self.run_worker(self._ask(), group="try", exit_on_error=False, description="try on seeds")

    async def _ask(self) -> None:
        from claif_tui.core.trying import try_recipe
        from claif_tui.ui.endpoints import open_desk

        before = await self.shell.background(self._spent)
        desk = await self.shell.background(
            partial(open_desk, self._store, self._recipe, self._endpoint, self._cap)
        )
        self._state = "failed"
        try:
            async for trial in try_recipe(self._store, self._recipe, desk, self._seeds):
                self._trials[trial.place] = trial
                self._state = f"{len(self._trials)} of {len(self._items)}"
                self._show()
            spent = await self.shell.background(self._spent) - before
            self._state = "done" if self._endpoint.free else f"done · ${spent / NANO:,.5f}"
        finally:
            self._show()

    def _spent(self) -> int:
        return self._store.ledger.get(requests_id(self._recipe)).spent_nano

    def _show(self) -> None:
        if self.is_attached:
            self.query_one("#try-text", Static).update(self._content())
            self.query_one(VerticalScroll).border_subtitle = safe.line(self._state)

    def _content(self) -> safe.Content:
        rows: list[safe.Part] = []
        for seed in self._seeds:
            rows += [safe.line(seed.text, "bold"), ("  rate score", "$text-muted")]
            rows += [self._row(item) for item in self._items if item.seed.id == seed.id]
            rows.append("")
        return safe.lines(*rows)

    def _row(self, item: PlanItem) -> safe.Content:
        trial = self._trials.get(item.place)
        label = f"  {item.title:<5}"
        if trial is None:
            return safe.join((label, "$text-muted"), ("  …", "$text-muted"))
        score = "    -" if trial.score is None else f" {trial.score:4.2f}"
        text = trial.answer.text if trial.answer is not None else ""
        parts: list[safe.Part] = [(label, "$text-muted"), (score, "bold"), f"  {text}"]
        if trial.failure:
            parts.append((f"  ✗ {trial.failure}", "$text-error"))
        elif trial.answer is not None and trial.answer.answer_class != "ok":
            parts.append((f"  ! {trial.answer.answer_class}", "$text-warning"))
        if trial.reason:
            parts.append((f"  {trial.reason}", "$text-muted"))
        return safe.join(*parts)

    def action_copy(self) -> None:
        """Copy what is shown."""
        self.shell.copy(self._content().plain, "the answers")

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


def _seeds(store: Store, *, index: int) -> list[Seed]:
    first = store.seeds.at(index, "train")
    return [] if first is None else store.seeds.page(first.id - 1, SEEDS, "train")


def _scores(plan: Plan) -> str:
    return (
        "as many for scores" if plan.score.calls == plan.generate.calls else f"{plan.score.calls:,} for scores"
    )


def _question(recipe: Recipe, endpoint: Endpoint, seeds: Sequence[Seed]) -> tuple[str, str]:
    from claif_tui.core.estimate import estimate

    plan = estimate(recipe, seeds, len(seeds), sum(seed.count for seed in seeds), endpoint.price)
    question = (
        f"{plan.generate.calls:,} requests and {_scores(plan)} go to {endpoint.name}: {lab.cost_text(plan)}."
    )
    return question, "The answers are kept: a run of the same recipe does not ask for them again."
