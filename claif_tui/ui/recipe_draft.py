"""The recipe being edited: the last valid state, and what is wrong with each field that does not read. No widgets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from claif_tui.core import prompts
from claif_tui.core.errors import RecipeError
from claif_tui.core.recipe_fields import format_value
from claif_tui.core.recipes import Recipe, find_field, get_field, recipe_id, set_field

BUDGET = "budget"
"""A field of the form that is no part of the recipe: the cap in dollars, kept in the project's ledger."""
MATERIAL = "syncse.material"
NO_CAP = ("", "none", "off", "-")


@dataclass(slots=True)
class RecipeDraft:
    """``recipe`` is always valid: a field that does not read keeps its last good value there."""

    recipe: Recipe = field(default_factory=Recipe)
    saved: Recipe = field(default_factory=Recipe)
    budget: float | None = None
    saved_budget: float | None = None
    problems: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Recipe] = field(default_factory=dict)
    """By system: the recipe as it stood when another system was chosen; choosing it again brings it back."""

    @property
    def dirty(self) -> bool:
        """Whether there is something to save."""
        return self.recipe != self.saved or self.budget != self.saved_budget

    @property
    def version(self) -> str:
        """The short name of the version as it stands."""
        return recipe_id(self.recipe)[:4]

    @property
    def waiting(self) -> tuple[str, ...]:
        """Systems that were left with unsaved edits."""
        return tuple(
            system
            for system, recipe in self.kept.items()
            if system != self.recipe.system and recipe != self._afresh(system, like=recipe)
        )

    def name_of(self, key: str) -> str:
        """The recipe field behind a field of the form: the prompts follow the API form and the scoring prompt."""
        if key == "prompts.score":
            return f"prompts.{self.recipe.api}.{self.recipe.score_prompt}"
        if key in ("prompts.fill", "prompts.paraphrase"):
            return f"prompts.{self.recipe.api}.{key.removeprefix('prompts.')}"
        return key

    def text_of(self, key: str) -> str:
        """What the form shows for ``key``."""
        if key == BUDGET:
            return "" if self.budget is None else f"{self.budget:g}"
        value = get_field(self.recipe, self.name_of(key))
        if isinstance(value, bool):
            return "yes" if value else "no"
        text = format_value(value)
        return text.replace(",", "") if key == "masks.rates" else text

    def edit(self, key: str, text: str) -> str:
        """Take the text of a field; return what is wrong with it (then the last good value stays)."""
        try:
            if key == BUDGET:
                self.budget = _budget(text)
            elif key == "system":
                self._choose(text)
            else:
                self.recipe = set_field(self.recipe, self.name_of(key), text)
        except RecipeError as error:
            self.problems[key] = _brief(error, self.name_of(key))
            return self.problems[key]
        self.problems.pop(key, None)
        return ""

    def _choose(self, system: str) -> None:
        """Change the system: as it was left before, or its first preset. Who is asked and the seed come along."""
        if system == self.recipe.system:
            return
        self.kept[self.recipe.system] = self.recipe
        before = self.kept.get(system)
        fresh = set_field(self.recipe, "system", system)
        self.recipe = fresh if before is None else _shared(before, self.recipe)
        self.problems.clear()

    def _afresh(self, system: str, *, like: Recipe) -> Recipe:
        """What a system starts with here: what is saved of it, or its first preset."""
        start = self.saved if self.saved.system == system else set_field(self.saved, "system", system)
        return _shared(start, like)

    def note(self, key: str) -> str:
        """What can be said of a prompt as it stands: placeholders that are there, braces that are only text."""
        if key == MATERIAL:
            return "" if self.recipe.material else "empty: the material that comes along"
        if not key.startswith("prompts."):
            return ""
        spec = find_field(self.name_of(key), self.recipe.api)
        if spec.template is None or key in self.problems:
            return ""
        check = prompts.check_template(spec.template, self.text_of(key))
        present = "✓ " + " ".join(f"{{{name}}}" for name in check.present) + " present"
        return "; ".join([present, *check.notes])

    def load(self, recipe: Recipe, budget: float | None) -> None:
        """Start over from what is on disk."""
        self.recipe = self.saved = recipe
        self.budget = self.saved_budget = budget
        self.problems.clear()
        self.kept.clear()

    def use(self, recipe: Recipe) -> None:
        """Put another recipe into the form, unsaved."""
        self.recipe = recipe
        self.problems.clear()

    def mark_saved(self) -> None:
        """What stands here is on disk now."""
        self.saved, self.saved_budget = self.recipe, self.budget


def _shared(recipe: Recipe, other: Recipe) -> Recipe:
    """The recipe with what every system shares as in ``other``: the seed and who is asked."""
    return replace(recipe, seed=other.seed, profile=other.profile, model=other.model, api=other.api)


def _brief(error: RecipeError, name: str) -> str:
    """The error at the field, which need not be named again."""
    message = error.message.removeprefix(f"{name} ").removeprefix(f"{name}: ")
    return f"{message}. {error.hint}" if error.hint else message


def _budget(text: str) -> float | None:
    text = text.strip().lstrip("$").lower()
    if text in NO_CAP:
        return None
    try:
        value = float(text)
    except ValueError:
        raise RecipeError(f"is {text[:20]!r}, expected dollars, as in 5 or 0.50, or nothing") from None
    if not 0 <= value < 1e9:
        raise RecipeError("expected dollars from 0 to 1,000,000,000")
    return value
