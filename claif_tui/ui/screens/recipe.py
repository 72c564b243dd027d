"""Recipe: edit on the left; what would be sent and what it would cost on the right, at every key, for every system."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from claif_tui.core.recipe_presets import ABOUT
from claif_tui.core.recipes import Recipe, presets_of
from claif_tui.core.systems.registry import SYSTEMS, system_of
from claif_tui.ui import lab, recipe_preview, safe
from claif_tui.ui.base import ClaifScreen
from claif_tui.ui.recipe_draft import RecipeDraft
from claif_tui.ui.recipe_files import FileState, RecipeOnDisk, read_recipe, write_recipe
from claif_tui.ui.recipe_form import HEAD, VARIANTS
from claif_tui.ui.recipe_preview import Subject, needs_triplets
from claif_tui.ui.screens.recipe_facts import Outlook, in_view, outlook, subject_of
from claif_tui.ui.screens.recipe_knobs import Knobs, drawn
from claif_tui.ui.widgets.fields import Field

if TYPE_CHECKING:
    from claif_tui.core.store.store import Store

REST_SECONDS = 0.1
"""How long typing has to rest before the estimate is made anew."""
RIPPLES = frozenset({"system", "preset", "model.api", "score.prompt", "model.profile", *VARIANTS})
"""Fields whose change changes what other fields show, or which there are."""


class PreviewPanel(VerticalScroll):
    """Holds the preview, and tells of its size: the screen's own size says little of it."""

    @dataclass
    class Resized(Message):
        """There is more or less room."""

    def on_resize(self, _: events.Resize) -> None:
        """Tell."""
        self.post_message(self.Resized())


class RecipeScreen(ClaifScreen):
    """Every knob, with its consequences beside it."""

    place = "recipe"
    CSS_PATH = "recipe.tcss"
    HELP_TEXT = (
        "The recipe decides what is asked of the model for each sentence, and how its answers are used. "
        "Everything on the right follows while you type: what the system plans for your own seeds or triplets, and "
        "the exact request. system chooses one of the papers' methods; the form then shows its knobs alone.\n\n"
        "tab goes to a field and through the fields, esc leaves them; then ◂ ▸ step through the seeds and ▴ ▾ "
        "choose the item whose request is shown. A field that does not read says so, and its last good value stays.\n\n"
        "ctrl+s writes recipe.toml; a version is named by the hash of its content. t asks the model about three "
        "seeds before any run; L compares prompts on labelled pairs, or mask rates on your seeds."
    )
    BINDINGS = [
        # First, so that a narrow footer keeps it in sight while a field has the focus.
        Binding("ctrl+s", "save", "Save", id="recipe.save", tooltip="Write recipe.toml and keep the version"),
        Binding(
            "t", "try_seeds", "Try on 3 seeds", id="recipe.try", tooltip="Ask about three seeds, before a run"
        ),
        Binding(
            "L", "lab", "Prompt lab", id="recipe.lab", tooltip="Compare prompts or mask rates on the same rows"
        ),
        Binding("v", "versions", "Versions", id="recipe.versions", tooltip="Earlier versions of the recipe"),
        Binding("d", "diff", "Diff to preset", id="recipe.diff", tooltip="What departs from the preset"),
        Binding("right,greater_than_sign", "seed(1)", "Next seed", show=False, id="recipe.next"),
        Binding("left,less_than_sign", "seed(-1)", "Previous seed", show=False, id="recipe.previous"),
        Binding("ctrl+d,pagedown", "scroll(8)", "Scroll the preview", show=False, id="recipe.pagedown"),
        Binding("ctrl+u,pageup", "scroll(-8)", "Scroll it back", show=False, id="recipe.pageup"),
        Binding("down,j", "entry(1)", "Next item", show=False, id="recipe.rate.next"),
        Binding("up,k", "entry(-1)", "Previous item", show=False, id="recipe.rate.previous"),
        Binding("e,enter", "edit", "Edit", show=False, id="recipe.edit", tooltip="Go into the form"),
        Binding("r", "revert", "Revert", show=False, id="recipe.revert", tooltip="Back to what is on disk"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.draft = RecipeDraft()
        self._disk = RecipeOnDisk()
        self._subject = Subject()
        self._entry = 3
        self._project = -1
        self._outlook = Outlook()
        self._preview = recipe_preview.look(self.draft.recipe, self._subject)

    # -- structure ---------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """Form, preview, estimate."""
        with VerticalScroll(classes="panel", id="form", can_focus=False):
            yield Static("", id="banner", markup=False)
            for row in HEAD:
                yield drawn(row)
            yield Static("", id="about", markup=False)
            yield Knobs(self.draft.recipe)
        with Vertical(id="side"):
            with PreviewPanel(classes="panel", id="preview", can_focus=False):
                yield Static("", id="preview-text", markup=False)
            with Vertical(classes="panel", id="estimate") as panel:
                panel.border_title = "Estimate"
                yield Static("", id="estimate-text", markup=False)

    def on_mount(self) -> None:
        """Show the defaults until a project is there, and watch the file."""
        super().on_mount()
        self.set_interval(1.0, self._look_at_file)
        self._field("system").set_options(tuple(SYSTEMS))
        self._fill()

    # -- data --------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the recipe of a newly opened project, count seeds, fetch the seed in view."""
        if self.store is None:
            return
        fresh = self._project != self.shell.revision[0]
        if fresh:
            self._project = self.shell.revision[0]
            self._subject = Subject()
            await self._read_file()
        await self._fetch_subject()

    async def _fetch_subject(self) -> None:
        """Count and fetch what the recipe's system works on, and show what follows from it."""
        work = partial(subject_of, recipe=self.draft.recipe, at=self._subject.at)
        self._subject = await self.shell.db(work)
        self._show_preview()
        self._start_estimate()

    async def _read_file(self) -> None:
        assert self.store is not None
        state = await self.shell.db(partial(read_recipe, path=self.store.folder / "recipe.toml"))
        await self._take(state)

    async def _take(self, state: FileState) -> None:
        self._disk = state.disk
        banner = self.query_one("#banner", Static)
        banner.set_class(bool(state.problem), "-on")
        banner.update(safe.line(f"✗ {state.problem}" if state.problem else ""))
        if state.recipe is not None:
            self.draft.load(state.recipe, state.budget)
            await self._lay_out()

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
        await self._fetch_subject()
        self.shell.say("recipe.toml was changed elsewhere; this is its new content.")

    # -- showing -----------------------------------------------------------------------------------------

    async def _lay_out(self) -> None:
        """Make the fields that the draft's system uses, and put the draft into them; the focus stays where it was."""
        focused = next((field.key for field in self.query(Field) if field.has_focus_within), "")
        with self.app.batch_update():
            if await self.query_one(Knobs).lay_out(self.draft.recipe):
                self._entry = 3 if self.draft.recipe.system == "claif" else 0
                back = next((field for field in self.query(Field) if field.key == focused), None)
                if back is not None:
                    back.focus_editor()
            self._fill()

    def _field(self, key: str) -> Field:
        return next(field for field in self.query(Field) if field.key == key)

    def _fill(self) -> None:
        """Put the draft into the form."""
        self._field("preset").set_options(presets_of(self.draft.recipe.system))
        for field in self.query(Field):
            if field.key not in self.draft.problems:
                field.show(safe.editable(self.draft.text_of(field.key)))
                field.problem("")
            field.note(self._note(field.key))
        self._show_title()
        self._show_about()

    def _note(self, key: str) -> str:
        trouble = self._outlook.trouble if key == "model.profile" else ""
        return f"! {trouble}" if trouble else self.draft.note(key)

    def _show_about(self) -> None:
        """What the preset is, and what keeps it from running here."""
        recipe, outlook = self.draft.recipe, self._outlook
        rows: list[safe.Part] = [(ABOUT[recipe.preset], "$text-muted")]
        if outlook.refusal:
            rows.append(safe.block(f"! {outlook.refusal}", "$text-warning"))
        if outlook.lack:
            rows.append(safe.block(f"! {outlook.lack} Here: press 2, then i.", "$text-warning"))
        elif self.store is not None and needs_triplets(system_of(recipe)) and not self._subject.triplets:
            words = "! Without imported triplets this is CLAIF alone: press 2, then i, to import NLI triplets."
            rows.append(safe.block(words, "$text-warning"))
        if self.draft.waiting:
            kept = ", ".join(self.draft.waiting)
            rows.append(
                (f"Unsaved edits to {kept} are kept: choose it again to have them back.", "$text-muted")
            )
        self.query_one("#about", Static).update(safe.lines(*rows))

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
        self._preview = recipe_preview.look(self.draft.recipe, self._subject)
        width = max(20, panel.scrollable_content_region.width - 2)
        self.query_one("#preview-text", Static).update(recipe_preview.drawn(self._preview, self._entry, width))
        panel.border_title = safe.line(recipe_preview.title_of(self._preview))
        panel.border_subtitle = safe.line(recipe_preview.keys_of(self._preview))
        self._show_estimate()

    def _show_estimate(self) -> None:
        box, text = self.query_one("#estimate"), self.query_one("#estimate-text", Static)
        plan = self._outlook.plan
        if plan is None:
            box.border_title = "Estimate"
            text.update(safe.line("Nothing to ask about yet: press 2, then i, to import.", "$text-muted"))
            self.query_one("#form").border_subtitle = ""
            return
        budget = "" if self.draft.budget is None else f"of ${self.draft.budget:,.2f} budget"
        lines = lab.estimate_lines(plan, budget)
        text.update(safe.block("\n".join(lines)))
        box.border_title = safe.line(lab.estimate_title(plan))
        roomy = self.has_class("-wide") and self.has_class("-tall")
        brief = "" if roomy else f"{plan.calls:,} calls · {lab.cost_text(plan)}"
        self.query_one("#form").border_subtitle = safe.line(brief)

    def _start_estimate(self) -> None:
        if self.store is None:
            self._show_estimate()
            return
        self.run_worker(
            self._estimate_now(), group="estimate", exclusive=True, exit_on_error=False, description="estimate"
        )

    async def _estimate_now(self) -> None:
        # A newer edit cancels this one here, before a large project is counted for nothing.
        await asyncio.sleep(REST_SECONDS)
        self._outlook = await self.shell.db(partial(outlook, recipe=self.draft.recipe))
        self._field("model.profile").note(self._note("model.profile"))
        self._show_about()
        self._show_estimate()

    # -- editing -----------------------------------------------------------------------------------------

    @on(Field.Edited)
    async def _edited(self, event: Field.Edited) -> None:
        if event.key not in self.draft.problems and event.text == self.draft.text_of(event.key):
            return  # a new field tells of what it was filled with
        problem = self.draft.edit(event.key, event.text)
        event.field.problem(problem)
        event.field.note(self._note(event.key))
        if not problem and event.key in RIPPLES:
            await self._lay_out()
        if event.key == "system" and self.store is not None:
            self.run_worker(
                self._fetch_subject(),
                group="subject",
                exclusive=True,
                exit_on_error=False,
                description="fetch what the system reads",
            )
        self._show_title()
        if not problem:
            self._show_preview()
            self._start_estimate()

    @on(PreviewPanel.Resized)
    def _resized(self) -> None:
        """Lines in the preview follow its width."""
        self._show_preview()

    def action_edit(self) -> None:
        """Go into the form."""
        self.query(Field).first().focus_editor()

    def action_entry(self, by: int) -> None:
        """Choose the planned item, or part of one, whose request is shown."""
        last = len(self._preview.entries) - 1
        self._entry = max(0, min(min(self._entry, last) + by, last))
        self._show_preview()

    def action_scroll(self, rows: int) -> None:
        """Scroll the preview."""
        self.query_one("#preview", VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_seed(self, by: int) -> None:
        """Step through the seeds or the triplets."""
        subject = self._subject
        steps = max(
            subject.seeds if self._preview.planned else 0, subject.triplets if self._preview.scored else 0
        )
        if self.store is None or not steps:
            return
        self._subject = replace(subject, at=(subject.at + by) % steps)
        self.run_worker(
            self._fetch_seed(), group="seed", exclusive=True, exit_on_error=False, description="fetch a seed"
        )

    async def _fetch_seed(self) -> None:
        wanted = self._subject
        found = await self.shell.db(partial(in_view, subject=wanted, at=wanted.at))
        if self._subject.at == wanted.at:
            self._subject = found
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
        edited = self.draft.dirty or self.draft.waiting
        if edited and not await self.app.push_screen_wait(question):
            return
        await self._read_file()
        await self._fetch_subject()

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
            await self._use(chosen)

    async def _use(self, recipe: Recipe) -> None:
        self.draft.use(recipe)
        await self._lay_out()
        await self._fetch_subject()
        self.shell.say(f"Version {self.draft.version} is in the form; ctrl+s makes it the project's recipe.")

    def action_try_seeds(self) -> None:
        """Ask about three seeds before any run."""
        self.ask(self._try, description="try on three seeds")

    async def _try(self) -> None:
        from claif_tui.ui.screens.trying import try_on_seeds

        if self.draft.problems:
            self.shell.say(f"Mend first: {', '.join(sorted(self.draft.problems))}.", severity="error")
            return
        subject = self._subject
        at = subject.at % subject.seeds if subject.seeds else subject.at
        await try_on_seeds(self, self.draft.recipe, at, self.draft.budget)

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
            await self._lay_out()
            await self._fetch_subject()
            await self._save()

    def copy_target(self) -> tuple[str, str] | None:
        """The request that is shown."""
        return "the request", recipe_preview.request_text(self._preview, self._entry)
