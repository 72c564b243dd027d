"""Try on three seeds or triplets: what the recipe really gives, before any run. A run reuses the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from claif_tui.core.models import NANO, Pair, Seed
from claif_tui.core.planning import triplet_place, which_seeds, writes
from claif_tui.core.recipes import Recipe, requests_id
from claif_tui.core.session import require_decoding
from claif_tui.core.systems.registry import system_of
from claif_tui.ui import lab, safe
from claif_tui.ui.base import ClaifModal, ClaifScreen
from claif_tui.ui.dialogs import ConfirmModal
from claif_tui.ui.recipe_preview import PARTS
from claif_tui.ui.screens.generate_deck import deck_of

if TYPE_CHECKING:
    from claif_tui.core.answers import CleanAnswer
    from claif_tui.core.store.store import Store
    from claif_tui.core.trying import Trial
    from claif_tui.ui.endpoints import Endpoint

SEEDS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line to come: what it is called, and where its outcome is told."""

    place: tuple[int, int, int]
    title: str


async def try_on_seeds(screen: ClaifScreen, recipe: Recipe, index: int, budget: float | None) -> None:
    """Ask first if it costs, then show the answers as they land."""
    from claif_tui.ui.endpoints import endpoint_of

    shell, store = screen.shell, screen.store
    if store is None:
        shell.say("No project is open: press 1 to open or make one.", severity="warning")
        return
    endpoint = await shell.background(partial(endpoint_of, recipe, store))
    await shell.background(partial(require_decoding, recipe, endpoint.profile))
    seeds, triplets = await shell.db(partial(_subjects, recipe=recipe, index=index))
    if not seeds and not triplets:
        if writes(recipe):
            shell.say(
                "No sentences are written yet: press 4, then g, to have them written.", severity="warning"
            )
        else:
            what = "seeds" if "seeds" in system_of(recipe).reads else "triplets"
            shell.say(f"No {what} yet: press 2, then i, to import some.", severity="warning")
        return
    if not endpoint.free:
        question, detail = _question(recipe, endpoint, seeds, triplets)
        what = "seeds" if seeds else "triplets"
        modal = ConfirmModal(
            f"Try on {SEEDS} {what}?", question, yes="Ask the model", no="Not now", detail=detail
        )
        if not await screen.app.push_screen_wait(modal):
            return
    cap = endpoint.cap_nano if budget is None else round(budget * NANO)
    await screen.app.push_screen_wait(TryModal(store, recipe, endpoint, seeds, triplets, cap))
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
        self,
        store: Store,
        recipe: Recipe,
        endpoint: Endpoint,
        seeds: Sequence[Seed],
        triplets: Sequence[Pair],
        cap_nano: int | None,
    ) -> None:
        super().__init__()
        self._store, self._recipe, self._endpoint = store, recipe, endpoint
        self._seeds, self._triplets, self._cap = seeds, triplets, cap_nano
        self._deck = deck_of(recipe)
        self._rows: list[tuple[str, list[Row]]] = [(seed.text, []) for seed in seeds]
        place = {seed.id: index for index, seed in enumerate(seeds)}
        for item in system_of(recipe).plan(recipe, seeds):
            self._rows[place[item.seed.id]][1].append(Row(item.place, item.title))
        self._rows += [(pair.text_a, [Row(triplet_place(pair.id), "triplet")]) for pair in triplets]
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
            async for trial in try_recipe(self._store, self._recipe, desk, self._seeds, self._triplets):
                self._trials[trial.place] = trial
                self._state = f"{len(self._trials)} of {sum(len(rows) for _, rows in self._rows)}"
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
        out: list[safe.Part] = []
        width = max((len(row.title) for _, rows in self._rows for row in rows), default=4)
        for anchor, rows in self._rows:
            out.append(safe.line(anchor, "bold"))
            if self._deck.scored and not self._deck.triplets:
                head = "rate" if self._deck.item_width == 4 else "label"
                out.append((f"  {head:<{width}} score", "$text-muted"))
            for row in rows:
                out += self._lines(row, width)
            out.append("")
        return safe.lines(*out)

    def _lines(self, row: Row, width: int) -> list[safe.Content]:
        """The line of an item; of a triplet one for each side."""
        trial = self._trials.get(row.place)
        if trial is None:
            return [safe.join((f"  {row.title:<{width}}  …", "$text-muted"))]
        if trial.negative is None and not self._deck.triplets:
            return [self._line(f"{row.title:<{width}}", trial.answer, trial.score, trial)]
        wide = max(len(name) for name in PARTS)
        return [
            self._line(f"{PARTS[0]:<{wide}}", trial.answer, trial.score, trial),
            self._line(f"{PARTS[1]:<{wide}}", trial.negative, trial.negative_score, None),
        ]

    def _line(
        self, label: str, answer: CleanAnswer | None, score: float | None, trial: Trial | None
    ) -> safe.Content:
        """``trial`` adds what went wrong and why it scored so."""
        top = self._deck.top
        digits = 1 if top > 1 else 2
        shown = "" if not self._deck.scored else "    -" if score is None else f" {score * top:4.{digits}f}"
        text = answer.text if answer is not None else ""
        parts: list[safe.Part] = [(f"  {label}", "$text-muted"), (shown, "bold"), f"  {text}"]
        if trial is not None and trial.failure:
            parts.append((f"  ✗ {trial.failure}", "$text-error"))
        elif answer is not None and answer.answer_class != "ok":
            parts.append((f"  ! {answer.answer_class}", "$text-warning"))
        if trial is not None and trial.reason:
            parts.append((f"  {trial.reason}", "$text-muted"))
        return safe.join(*parts)

    def action_copy(self) -> None:
        """Copy what is shown."""
        self.shell.copy(self._content().plain, "the answers")

    def action_scroll(self, rows: int) -> None:
        """Scroll by rows."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


def _subjects(store: Store, *, recipe: Recipe, index: int) -> tuple[list[Seed], list[Pair]]:
    """The seeds and imported triplets from place ``index`` on that the recipe's system reads."""
    reads = system_of(recipe).reads
    seeds: list[Seed] = []
    if "seeds" in reads:
        which = which_seeds(recipe)
        found = (store.seeds.at(index + place, "train", written=which) for place in range(SEEDS))
        seeds = [seed for seed in found if seed is not None]
    triplets: list[Pair] = []
    if "triplets" in reads and (count := store.triplets.count()):
        start = index % count
        triplets = store.pairs.many(store.triplets.first(start + SEEDS)[start:])
    return seeds, triplets


def _question(
    recipe: Recipe, endpoint: Endpoint, seeds: Sequence[Seed], triplets: Sequence[Pair]
) -> tuple[str, str]:
    from claif_tui.core.estimate import estimate

    plan = estimate(
        recipe,
        seeds,
        len(seeds),
        sum(seed.count for seed in seeds),
        endpoint.price,
        triplets=triplets,
        count=len(triplets),
    )
    asked, scored = plan.generate.calls, plan.score.calls
    if asked and scored:
        what = f"{asked:,} requests and {'as many' if asked == scored else f'{scored:,}'} for scores"
    else:
        what = f"{asked:,} requests" if asked else f"{scored:,} requests for scores"
    question = f"{what} go to {endpoint.name}: {lab.cost_text(plan)}."
    return question, "The answers are kept: a run of the same recipe does not ask for them again."
