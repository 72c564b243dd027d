"""The questions by which Review narrows and orders its list: filter, search, sort, sample. No SQL."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Static

from claif_tui.core.errors import ClaifError, FilterError
from claif_tui.core.models import Facets, PairQuery, Sort
from claif_tui.ui import safe
from claif_tui.ui.base import ClaifModal
from claif_tui.ui.dialogs import Choice, ChooseModal

if TYPE_CHECKING:
    from claif_tui.ui.screens.review import ReviewScreen

EXAMPLES = (
    "status = pending and score < 0.3",
    "score >= 0.2 and score <= 0.8",
    "rate = 0.8 or stale = yes",
    'model ~ "mini" and not status = rejected',
    "triplet = yes and negative > 0.3",
)
WAIT_SECONDS = 0.15
"""Typing has to rest this long before matches are counted."""


class NarrowModal(ClaifModal[PairQuery | None]):
    """One line that narrows the list, checked and counted while it is typed."""

    nothing = None

    def __init__(self, query: PairQuery, title: str, placeholder: str, hint: Content) -> None:
        super().__init__()
        self.query_before = query
        self._title, self._placeholder, self._hint = title, placeholder, hint
        self._asked = 0

    def value(self) -> str:
        """What the field starts with."""
        raise NotImplementedError

    def narrowed(self, text: str) -> PairQuery:
        """The query that ``text`` means; raises ``FilterError``."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The field, what it matches, and help."""
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line(self._title)
            yield Input(safe.plain(self.value()), placeholder=self._placeholder, compact=True)
            yield Static("", classes="problem")
            yield Static("", id="matches")
            yield Static(self._hint, classes="examples")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Count what the present text matches."""
        self.query_one(Input).focus()
        self._check(self.query_one(Input).value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check at once, count when typing rests."""
        event.stop()
        self._check(event.value)

    def _check(self, text: str) -> None:
        self._asked += 1
        problem = self.query_one(".problem", Static)
        try:
            query = self.narrowed(text)
        except FilterError as error:
            problem.update(_complaint(error))
            self.query_one("#matches", Static).update("")
            return
        problem.update("")
        self.set_timer(WAIT_SECONDS, partial(self._count_soon, self._asked, query))

    def _count_soon(self, asked: int, query: PairQuery) -> None:
        if asked == self._asked:
            self.run_worker(
                self._count(asked, query),
                group="count",
                exclusive=True,
                exit_on_error=False,
                description="count",
            )

    async def _count(self, asked: int, query: PairQuery) -> None:
        try:
            number = await self.shell.db(lambda store: store.pairs.count(query))
        except ClaifError as error:
            if asked == self._asked:
                self.query_one(".problem", Static).update(_complaint(error))
            return
        if asked == self._asked:
            words = f"{number:,} {'pair matches' if number == 1 else 'pairs match'}"
            self.query_one("#matches", Static).update(safe.line(words, "bold" if number else "$text-warning"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Use it if it stands."""
        event.stop()
        try:
            self.dismiss(self.narrowed(event.value))
        except FilterError as error:
            self.query_one(".problem", Static).update(_complaint(error))


class FilterModal(NarrowModal):
    """An expression of the filter language."""

    def __init__(self, query: PairQuery, facets: Facets) -> None:
        rows: list[safe.Part] = [("such as", "$text-muted")]
        rows += [(f"  {example}", "") for example in EXAMPLES]
        for name, values in (("model", facets.models), ("system", facets.systems), ("flag", facets.flags)):
            if values:
                rows.append((f"{name}: {' '.join(values[:8])}", "$text-muted"))
        rows.append(("empty shows all pairs", "$text-muted"))
        super().__init__(query, "Filter", "status = pending and score < 0.3", safe.lines(*rows))

    def value(self) -> str:
        """The present filter."""
        return self.query_before.filter

    def narrowed(self, text: str) -> PairQuery:
        """The query with this filter."""
        from claif_tui.core.store.filters import parse

        parse(text)
        return replace(self.query_before, filter=text.strip(), sample=None)


class SearchModal(NarrowModal):
    """Words to be found in any of the sentences."""

    def __init__(self, query: PairQuery) -> None:
        hint = safe.lines("", ("All words must occur, in whichever of the sentences.", "$text-muted"),
                          ('"in quotes" finds a phrase; empty ends the search.', "$text-muted"))  # fmt: skip
        super().__init__(query, "Search", "words", hint)

    def value(self) -> str:
        """The present search."""
        return self.query_before.search

    def narrowed(self, text: str) -> PairQuery:
        """The query with this search; the filter stays."""
        return replace(self.query_before, search=text.strip(), sample=None)


def _complaint(error: ClaifError) -> Content:
    """The message as it is: it points at the place with a caret, so its line breaks matter."""
    rows: list[safe.Part] = [safe.block(error.message, "$text-error")]
    if error.hint:
        rows.append((error.hint, "$text-muted"))
    return safe.lines(*rows)


async def ask_filter(screen: ReviewScreen) -> None:
    """Ask for a filter and use it; the cursor stays on its pair if that still matches."""
    facets = await screen.shell.db(lambda store: store.pairs.facets())
    await _use(screen, FilterModal(screen.query_shown, facets))


async def ask_search(screen: ReviewScreen) -> None:
    """Ask for words and use them."""
    await _use(screen, SearchModal(screen.query_shown))


async def _use(screen: ReviewScreen, modal: NarrowModal) -> None:
    query = await screen.shell.push_screen_wait(modal)
    if query is not None and query != screen.query_shown:
        await screen.open_query(query)


_SORTS: tuple[tuple[str, Sort, bool, str, str], ...] = (
    ("n", "newest", False, "Newest", "as they landed, the last on top"),
    ("b", "oldest", False, "Oldest", "from the beginning"),
    ("s", "score", False, "Score, low first", ""),
    ("S", "score", True, "Score, high first", ""),
    ("r", "rate", False, "Mask rate, low first", ""),
    ("R", "rate", True, "Mask rate, high first", ""),
    ("l", "length", False, "Length, short first", ""),
    ("L", "length", True, "Length, long first", ""),
    ("d", "disagreement", True, "Disagreement", "where score and encoder are furthest apart"),
)


async def ask_sort(screen: ReviewScreen) -> None:
    """Ask for an order and use it."""
    choices = [
        Choice(key=key, value=str(index), label=label, meaning=meaning)
        for index, (key, _, _, label, meaning) in enumerate(_SORTS)
    ]
    now = screen.query_shown
    answer = await screen.shell.push_screen_wait(ChooseModal("Sort", f"Now: {now.sort}.", choices))
    if not answer:
        return
    _, sort, descending, _, _ = _SORTS[int(answer)]
    if sort == "disagreement":
        from claif_tui.ui.screens.review_encoder import encode

        await encode(screen.shell, "the list is sorted anew when it is done")
    here = screen.rows.cursor_id
    await screen.open_query(replace(now, sort=sort, descending=descending, sample=None), cursor_id=here)


class SampleModal(ClaifModal[tuple[int, int, float] | None]):
    """How large a random sample, which seed, and how well the keep rate has to be known: (size, seed, ± share)."""

    nothing = None
    FIELDS = (
        ("size", "pairs in the sample", "200"),
        ("seed", "seed of the draw", "42"),
        ("margin", "stop at ± %", "3"),
    )

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """Three numbers."""
        with Vertical(classes="dialog") as box:
            box.border_title = safe.line("Random sample")
            yield Static(safe.block(f"Drawn from: {self._what}"), classes="hint")
            for name, label, value in self.FIELDS:
                with Horizontal(classes="row"):
                    yield Static(label)
                    yield Input(value, id=f"sample-{name}", compact=True)
            yield Static("", classes="problem")
            hint = "enter draws it; the same seed draws the same. You can stop when the keep rate is known that well."
            yield Static(hint, classes="hint")
        yield Footer(show_command_palette=False, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept three numbers that make sense, or say which one does not."""
        event.stop()
        raw = {name: self.query_one(f"#sample-{name}", Input).value.strip() for name, _, _ in self.FIELDS}
        problem = sample_problem(raw)
        if problem:
            self.query_one(".problem", Static).update(safe.line(f"✗ {problem}", "$text-error"))
        else:
            self.dismiss((int(raw["size"]), int(raw["seed"]), float(raw["margin"]) / 100))


def sample_problem(raw: dict[str, str]) -> str:
    """Say what is wrong with the three numbers as typed; empty when nothing is."""
    if not raw["size"].isdecimal() or not 1 <= int(raw["size"]) <= 100_000:
        return "The size is a whole number from 1 to 100,000."
    if not raw["seed"].isdecimal() or int(raw["seed"]) >= 2**31:
        return "The seed is a whole number from 0 on."
    try:
        fits = 0.1 <= float(raw["margin"]) <= 50
    except ValueError:
        fits = False
    return "" if fits else "The margin is a number of percent from 0.1 to 50."


async def ask_sample(screen: ReviewScreen) -> None:
    """Ask for a sample, draw it, and review it as a queue."""
    from claif_tui.core.review import sample_query
    from claif_tui.ui.screens.review_source import query_words

    base = replace(screen.query_shown, sample=None)
    answer = await screen.shell.push_screen_wait(SampleModal(query_words(base)))
    if answer is not None:
        size, seed, screen.precision = answer
        await screen.open_query(sample_query(base, seed, size))
