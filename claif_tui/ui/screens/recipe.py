"""Recipe, the mask lab: edit on the left; what would be sent and what it would cost on the right, at every key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from claif_tui.core.models import Seed
from claif_tui.core.recipes import BY_NAME, Recipe
from claif_tui.ui import lab, safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.recipe_draft import BUDGET, RecipeDraft
from claif_tui.ui.recipe_files import FileState, RecipeOnDisk, read_recipe, write_recipe
from claif_tui.ui.widgets.fields import Field

if TYPE_CHECKING:
    from claif_tui.core.estimate import Plan
    from claif_tui.core.store.store import Store

Row = tuple[tuple[str, str], ...]

ROWS: tuple[Row, ...] = (
    (("system", "system"), ("preset", "preset")),
    (("masks.rates", "mask rates"),),
    (("masks.merge", "merge runs"), ("seed", "seed")),
    (("post.zero_pairs", "zero pairs"), ("model.api", "api")),
    (("model.profile", "profile"), ("model.name", "model")),
    (("model.temperature", "temperature"), ("model.top_p", "top-p")),
    (("model.score_temperature", "score temp."), ("model.max_tokens", "max tokens")),
    (("score.prompt", "score prompt"), ("score.reasks", "re-asks")),
    ((BUDGET, "budget $"), ("seeds.keep_duplicates", "keep repeats")),
)
PROMPTS: Row = (
    ("prompts.fill", "Prompt: fill"),
    ("prompts.paraphrase", "Prompt: paraphrase (rate 0.0)"),
    ("prompts.score", "Prompt: score"),
    ("prompts.system", "Prompt: system line (chat)"),
)
POST: tuple[Row, ...] = (
    (("post.smoothing", "smoothing ε"), ("post.cap", "cap")),
    (("post.deduplicate", "deduplicate"), ("post.conflicts", "conflicts")),
    (("post.drop_identical", "drop same"), ("post.drop_mask", "drop <mask>")),
    (("post.drop_refusals", "drop refusals"), ("post.zero_pool", "zero pool")),
)
REFUSALS = ("answers.refusals", "Refusal patterns")
RIPPLES = frozenset({"preset", "model.api", "score.prompt", "model.profile"})
"""Fields whose change changes what other fields show."""


class RecipeScreen(ClaifScreen):
    """Every knob, with its consequences beside it."""

    place = "recipe"
    CSS_PATH = "recipe.tcss"
    HELP_TEXT = (
        "The recipe decides which words are masked, what is asked of the model, and how its answers are used. "
        "Everything on the right follows while you type: your own seeds, masked, and the exact request.\n\n"
        "tab goes to a field and through the fields, esc leaves them; then ◂ ▸ step through the seeds and ▴ ▾ "
        "choose the rate whose request is shown. A field that does not read says so, and its last good value stays.\n\n"
        "ctrl+s writes recipe.toml; a version is named by the hash of its content. t asks the model about three "
        "seeds before any run; L compares prompts on labelled pairs, or mask rates on your seeds."
    )
    BINDINGS = [
        Binding(
            "t", "try_seeds", "Try on 3 seeds", id="recipe.try", tooltip="Ask about three seeds, before a run"
        ),
        Binding(
            "L", "lab", "Prompt lab", id="recipe.lab", tooltip="Compare prompts or mask rates on the same rows"
        ),
        Binding("v", "versions", "Versions", id="recipe.versions", tooltip="Earlier versions of the recipe"),
        Binding("d", "diff", "Diff to preset", id="recipe.diff", tooltip="What departs from the preset"),
        Binding("ctrl+s", "save", "Save", id="recipe.save", tooltip="Write recipe.toml and keep the version"),
        Binding("right,greater_than_sign", "seed(1)", "Next seed", show=False, id="recipe.next"),
        Binding("left,less_than_sign", "seed(-1)", "Previous seed", show=False, id="recipe.previous"),
        Binding("ctrl+d,pagedown", "scroll(8)", "Scroll the preview", show=False, id="recipe.pagedown"),
        Binding("ctrl+u,pageup", "scroll(-8)", "Scroll it back", show=False, id="recipe.pageup"),
        Binding("down,j", "rate(1)", "Next rate", show=False, id="recipe.rate.next"),
        Binding("up,k", "rate(-1)", "Previous rate", show=False, id="recipe.rate.previous"),
        Binding("e,enter", "edit", "Edit", show=False, id="recipe.edit", tooltip="Go into the form"),
        Binding("r", "revert", "Revert", show=False, id="recipe.revert", tooltip="Back to what is on disk"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.draft = RecipeDraft()
        self._disk = RecipeOnDisk()
        self._seed: Seed | None = None
        self._seed_index = 0
        self._counts = (0, 0)
        self._sample: Sequence[Seed] = ()
        self._rate = 3
        self._project = -1
        self._estimate: Plan | None = None

    # -- structure ---------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """Form, preview, estimate."""
        with VerticalScroll(classes="panel", id="form", can_focus=False):
            yield Static("", id="banner", markup=False)
            for row in ROWS:
                yield self._row(row)
            for key, label in PROMPTS:
                yield Field(key, label, long=True)
            yield Static("After the answers (export)", classes="group")
            for row in POST:
                yield self._row(row)
            yield Field(*REFUSALS, long=True)
        with Vertical(id="side"):
            with VerticalScroll(classes="panel", id="preview", can_focus=False):
                yield Static("", id="preview-text", markup=False)
            with Vertical(classes="panel", id="estimate") as panel:
                panel.border_title = "Estimate"
                yield Static("", id="estimate-text", markup=False)

    def _row(self, row: Row) -> Horizontal:
        return Horizontal(*(Field(key, label, options=_options(key)) for key, label in row), classes="row")

    def on_mount(self) -> None:
        """Show the defaults until a project is there, and watch the file."""
        super().on_mount()
        self.set_interval(1.0, self._look_at_file)
        self._fill()

    # -- data --------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the recipe of a newly opened project, count seeds, fetch the seed in view."""
        if self.store is None:
            return
        fresh = self._project != self.shell.revision[0]
        if fresh:
            self._project = self.shell.revision[0]
            self._seed_index = 0
            await self._read_file()
        seeds = await self.shell.db(partial(_seed_facts, index=self._seed_index))
        self._counts, self._sample, self._seed = seeds
        self._show_preview()
        self._start_estimate()

    async def _read_file(self) -> None:
        assert self.store is not None
        state = await self.shell.db(partial(read_recipe, path=self.store.folder / "recipe.toml"))
        self._take(state)

    def _take(self, state: FileState) -> None:
        self._disk = state.disk
        banner = self.query_one("#banner", Static)
        banner.set_class(bool(state.problem), "-on")
        banner.update(safe.line(f"✗ {state.problem}" if state.problem else ""))
        if state.recipe is not None:
            self.draft.load(state.recipe, state.budget)
            self._fill()

    def _look_at_file(self) -> None:
        if self.store is not None and self.is_current and self._project == self.shell.revision[0]:
            self.run_worker(
                self._follow_file(self.store),
                group="file",
                exit_on_error=False,
                description="watch recipe.toml",
            )

    async def _follow_file(self, store: Store) -> None:
        now = await self.shell.background(partial(RecipeOnDisk.of, store.folder / "recipe.toml"))
        if now == self._disk or self.store is not store:
            return
        if self.draft.dirty:
            self._disk = RecipeOnDisk(stamp=now.stamp, foreign=True)
            self.shell.say(
                "recipe.toml was changed elsewhere: r loads it, ctrl+s asks before overwriting it.",
                severity="warning",
            )
            return
        await self._read_file()
        self._show_preview()
        self._start_estimate()
        self.shell.say("recipe.toml was changed elsewhere; this is its new content.")

    # -- showing -----------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Put the draft into the form."""
        for field in self.query(Field):
            if field.key not in self.draft.problems:
                field.show(safe.editable(self.draft.text_of(field.key)))
                field.problem("")
            field.note(self.draft.note(field.key))
        self._show_title()

    def _show_title(self) -> None:
        parts = [f"Recipe {self.draft.version}", self.draft.recipe.preset]
        if self.draft.problems:
            parts.append(f"✗ {len(self.draft.problems)} to mend")
        elif self.store is not None:
            on_disk = "✓ saved" if self._disk.stamp else "defaults, not saved yet"
            parts.append("● unsaved" if self.draft.dirty else on_disk)
        self.query_one("#form").border_title = safe.line(" · ".join(parts))

    def _show_preview(self) -> None:
        panel = self.query_one("#preview", VerticalScroll)
        sentence = self._seed.text if self._seed is not None else lab.EXAMPLE
        width = max(20, panel.scrollable_content_region.width - 2)
        self.query_one("#preview-text", Static).update(
            lab.preview(self.draft.recipe, sentence, self._rate, width)
        )
        panel.border_title = safe.line(lab.seed_title(self._seed, self._seed_index, self._counts[0]))
        panel.border_subtitle = safe.line("◂ seed ▸  ▴ rate ▾")
        self._show_estimate()

    def _show_estimate(self) -> None:
        box, text = self.query_one("#estimate"), self.query_one("#estimate-text", Static)
        if not self._counts[0]:
            text.update(safe.line("No seeds yet: press 2, then i, to import some.", "$text-muted"))
            self.query_one("#form").border_subtitle = ""
            return
        if self._estimate is None:
            return
        budget = "" if self.draft.budget is None else f"of ${self.draft.budget:,.2f} budget"
        lines = lab.estimate_lines(self._estimate, budget)
        text.update(safe.block("\n".join(lines)))
        box.border_title = safe.line(f"Estimate · {self._estimate.seeds:,} seeds")
        roomy = self.has_class("-wide") and self.has_class("-tall")
        brief = "" if roomy else f"{self._estimate.calls:,} calls · {lab.cost_text(self._estimate)}"
        self.query_one("#form").border_subtitle = safe.line(brief)

    def _start_estimate(self) -> None:
        if self._counts[0]:
            self.run_worker(
                self._estimate_now(),
                group="estimate",
                exclusive=True,
                exit_on_error=False,
                description="estimate",
            )
        else:
            self._show_estimate()

    async def _estimate_now(self) -> None:
        recipe, (unique, occurrences) = self.draft.recipe, self._counts
        work = partial(_estimate, recipe=recipe, sample=self._sample, unique=unique, occurrences=occurrences)
        self._estimate, trouble = await self.shell.db(work)
        for field in self.query(Field):
            if field.key == "model.profile":
                field.note(f"! {trouble}" if trouble else "")
        self._show_estimate()

    # -- editing -----------------------------------------------------------------------------------------

    @on(Field.Edited)
    def _edited(self, event: Field.Edited) -> None:
        problem = self.draft.edit(event.key, event.text)
        event.field.problem(problem)
        event.field.note(self.draft.note(event.key))
        if not problem and event.key in RIPPLES:
            self._fill()
        self._show_title()
        if not problem:
            self._show_preview()
            self._start_estimate()

    def on_resize(self, _: events.Resize) -> None:
        """Lines in the preview follow its width."""
        self.call_after_refresh(self._show_preview)

    def action_edit(self) -> None:
        """Go into the form."""
        self.query(Field).first().focus_editor()

    def action_rate(self, by: int) -> None:
        """Choose the rate whose request is shown."""
        self._rate = max(0, min(self._rate + by, len(self.draft.recipe.rates) - 1))
        self._show_preview()

    def action_scroll(self, rows: int) -> None:
        """Scroll the preview."""
        self.query_one("#preview", VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_seed(self, by: int) -> None:
        """Step through the seeds."""
        if self.store is None or not self._counts[0]:
            return
        self._seed_index = (self._seed_index + by) % self._counts[0]
        self.run_worker(
            self._fetch_seed(), group="seed", exclusive=True, exit_on_error=False, description="fetch a seed"
        )

    async def _fetch_seed(self) -> None:
        index = self._seed_index
        seed = await self.shell.db(lambda store: store.seeds.at(index, "train"))
        if index == self._seed_index:
            self._seed = seed
            self._show_preview()

    # -- actions -----------------------------------------------------------------------------------------

    def action_save(self) -> None:
        """Write recipe.toml and keep the version."""
        self.ask(self._save, description="save the recipe")

    async def _save(self) -> None:
        from claif_tui.ui.dialogs import ConfirmModal

        if self.store is None:
            self.shell.say("No project is open: press 1 to open or make one.", severity="warning")
            return
        if self.draft.problems:
            self.shell.say(f"Mend first: {', '.join(sorted(self.draft.problems))}.", severity="error")
            return
        if self._disk.foreign and not await self.app.push_screen_wait(
            ConfirmModal(
                "Overwrite?",
                "recipe.toml was changed elsewhere since you began to edit.",
                yes="Overwrite it",
                no="Keep it",
            )
        ):
            return
        state = await self.shell.db(
            partial(
                write_recipe,
                path=self.store.folder / "recipe.toml",
                recipe=self.draft.recipe,
                budget=self.draft.budget,
            )
        )
        self._disk = state.disk
        self.draft.mark_saved()
        self._take_problem_away()
        self._show_title()
        self.shell.say(f"Saved version {self.draft.version} to recipe.toml.")
        self.shell.changed()

    def _take_problem_away(self) -> None:
        banner = self.query_one("#banner", Static)
        banner.remove_class("-on")
        banner.update("")

    def action_revert(self) -> None:
        """Load what is on disk; asks when something would be lost."""
        self.ask(self._revert, description="revert the recipe")

    async def _revert(self) -> None:
        from claif_tui.ui.dialogs import ConfirmModal

        if self.store is None:
            return
        question = ConfirmModal(
            "Revert?", "What you edited here is not saved.", yes="Load the file", no="Keep editing"
        )
        if self.draft.dirty and not await self.app.push_screen_wait(question):
            return
        await self._read_file()
        self._show_preview()
        self._start_estimate()

    def action_diff(self) -> None:
        """Show what departs from the preset."""
        from claif_tui.ui.dialogs import TextModal

        preset = self.draft.recipe.preset
        content, plain = lab.diff_to_preset(self.draft.recipe, preset)
        self.app.push_screen(
            TextModal(f"Differences to preset {preset}", content, plain=plain, what="the differences")
        )

    def action_versions(self) -> None:
        """Choose an earlier version."""
        self.ask(self._versions, description="recipe versions")

    async def _versions(self) -> None:
        from claif_tui.ui.screens.versions import VersionsModal, list_versions

        if self.store is None:
            self.shell.say("Versions are kept in a project: press 1 to open or make one.")
            return
        versions = await self.shell.db(list_versions)
        if not versions:
            self.shell.say("No version yet: ctrl+s saves the first.")
            return
        chosen = await self.app.push_screen_wait(VersionsModal(versions, self.draft.recipe))
        if chosen is not None:
            self._use(chosen)

    def _use(self, recipe: Recipe) -> None:
        self.draft.use(recipe)
        self._fill()
        self._show_preview()
        self._start_estimate()
        self.shell.say(f"Version {self.draft.version} is in the form; ctrl+s makes it the project's recipe.")

    def action_try_seeds(self) -> None:
        """Ask about three seeds before any run."""
        self.ask(self._try, description="try on three seeds")

    async def _try(self) -> None:
        from claif_tui.ui.screens.trying import try_on_seeds

        if self.draft.problems:
            self.shell.say(f"Mend first: {', '.join(sorted(self.draft.problems))}.", severity="error")
            return
        await try_on_seeds(self, self.draft.recipe, self._seed_index, self.draft.budget)

    def action_lab(self) -> None:
        """Compare prompts or mask rates on the same rows."""
        self.ask(self._lab, description="the prompt lab")

    async def _lab(self) -> None:
        from claif_tui.core.lab.cells import adopted
        from claif_tui.ui.screens.lab import LabModal

        if self.store is None:
            self.shell.say("No project is open: press 1 to open or make one.", severity="warning")
            return
        if self.draft.problems:
            self.shell.say(f"Mend first: {', '.join(sorted(self.draft.problems))}.", severity="error")
            return
        cell = await self.app.push_screen_wait(LabModal(self.store, self.draft.recipe))
        if cell is not None:
            self.draft.use(adopted(self.draft.recipe, cell))
            self._fill()
            self._show_preview()
            self._start_estimate()
            await self._save()

    def copy_target(self) -> tuple[str, str] | None:
        """The request that is shown."""
        sentence = self._seed.text if self._seed is not None else lab.EXAMPLE
        return "the request", lab.request_text(self.draft.recipe, sentence, self._rate)


def _options(key: str) -> tuple[str, ...] | None:
    spec = BY_NAME.get(key)
    if spec is None:
        return None
    if spec.kind == "choice":
        return spec.choices
    return ("yes", "no") if spec.kind == "bool" else None


def _estimate(
    store: Store, *, recipe: Recipe, sample: Sequence[Seed], unique: int, occurrences: int
) -> tuple[Plan, str]:
    """The estimate, and what is wrong with the endpoint that the recipe names."""
    from claif_tui.core.errors import ClaifError
    from claif_tui.core.estimate import estimate
    from claif_tui.ui.endpoints import endpoint_of

    price, trouble = None, ""
    try:
        price = endpoint_of(recipe, store).price
    except ClaifError as error:
        trouble = error.message
    return estimate(recipe, sample, unique, occurrences, price), trouble


def _seed_facts(store: Store, *, index: int) -> tuple[tuple[int, int], Sequence[Seed], Seed | None]:
    """(distinct train seeds, their occurrences), a sample for the estimate, and the seed in view."""
    from claif_tui.core.estimate import SAMPLE

    unique = store.seeds.count("train")
    occurrences = sum(s.sentences for s in store.sources.list() if s.role == "seeds" and s.split == "train")
    sample = list(store.seeds.iter(limit=SAMPLE))
    return (unique, max(unique, occurrences)), sample, store.seeds.at(index, "train")
