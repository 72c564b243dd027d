"""The fields of the recipe's form as widgets: they are made anew when another system or variant uses other knobs."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalGroup
from textual.widgets import Static

from claif_tui.core.recipes import Recipe
from claif_tui.ui.recipe_form import Form, Row, form_of, spec_of
from claif_tui.ui.widgets.fields import Field


class Knobs(VerticalGroup):
    """Settings, prompts, and what happens after the answers, of one recipe's system."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(id="knobs")
        self._form = form_of(recipe)

    @property
    def form(self) -> Form:
        """What is laid out now."""
        return self._form

    def compose(self) -> ComposeResult:
        """One line a row."""
        for row in (*self._form.settings, *self._form.prompts):
            yield drawn(row)
        if self._form.post:
            yield Static("After the answers (export)", classes="group")
        for row in self._form.post:
            yield drawn(row)

    async def lay_out(self, recipe: Recipe) -> bool:
        """Make the fields that ``recipe`` uses; says whether others stood there before."""
        form = form_of(recipe)
        if form == self._form:
            return False
        self._form = form
        await self.recompose()
        return True


def drawn(row: Row) -> Horizontal | Field:
    """Return the widget of a row."""
    if row[0].width == "long":
        return Field(row[0].key, row[0].label, long=True)
    return Horizontal(*(Field(knob.key, knob.label, options=_options(knob.key)) for knob in row), classes="row")


def _options(key: str) -> tuple[str, ...] | None:
    spec = spec_of(key)
    if spec is None:
        return None
    if spec.kind == "choice":
        return spec.choices
    return ("yes", "no") if spec.kind == "bool" else None
