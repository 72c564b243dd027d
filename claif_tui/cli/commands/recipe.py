"""``claif-tui recipe``: what is asked of the model, and what is made of its answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import (
    endpoint_options,
    json_option,
    open_project,
    project_folder,
    project_option,
    yes_option,
)
from claif_tui.core.errors import InputError, RecipeError, UsageError
from claif_tui.core.recipe_presets import PRESET_NAMES

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.session import Ready
    from claif_tui.core.store.store import Store
    from claif_tui.core.trying import Trial

_SHOWN = 500
"""Characters of a field that are shown: a prompt whole, SynCSE's material not."""


@click.group("recipe")
def command() -> None:
    """Show, change, check, compare or try the recipe: masks, prompts, model, scoring, post-processing."""


@command.command("show")
@click.option(
    "--preset", type=click.Choice(PRESET_NAMES), help="Show a preset instead of the project's recipe."
)
@click.option("--version", "version", metavar="ID", help="Show a stored version of the recipe.")
@click.option("--toml", is_flag=True, help="Print it as recipe.toml, with every field explained.")
@json_option
@project_option
def show(preset: str | None, version: str | None, toml: bool, as_json: bool, project: Path | None) -> None:
    """Show every field of the recipe and its version."""
    from claif_tui.core.recipe_fields import brief
    from claif_tui.core.recipe_file import dump
    from claif_tui.core.recipe_presets import ABOUT
    from claif_tui.core.recipes import preset_recipe, recipe_id, to_values

    recipe = preset_recipe(preset) if preset else _version(project, version) if version else _recipe(project)
    values = to_values(recipe)
    if as_json:
        output.document({"id": recipe_id(recipe), "about": ABOUT[recipe.preset], "fields": values})
    elif toml:
        output.raw(dump(recipe))
    else:
        output.line(f"recipe {recipe_id(recipe)}")
        output.line(f"preset {recipe.preset}: {ABOUT[recipe.preset]}")
        output.table([(name, brief(value, _SHOWN)) for name, value in values.items()])


@command.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="FIELD=VALUE...")
@json_option
@project_option
def set_(assignments: tuple[str, ...], as_json: bool, project: Path | None) -> None:
    """Change fields: recipe set rates=0.0,0.5 seed=7. Setting preset sets all that the preset fixes.

    A text field may come from a file: syncse.material=@FILE. Write @@ for a text that begins with @.
    """
    from claif_tui.core.recipe_fields import brief
    from claif_tui.core.recipes import changes, get_field, recipe_id, set_field
    from claif_tui.core.session import save_recipe
    from claif_tui.core.systems.material import require_material

    old = _recipe(project)
    new = old
    for field, text in _pairs(assignments):
        new = set_field(new, field, _text(field, text, new.api))
    changed = changes(old, new)
    require_material(new)
    save_recipe(project_folder(project), new)
    if as_json:
        output.document({"id": recipe_id(new), "changed": changed})
        return
    for name, value in changed.items():
        output.line(f"{name}: {brief(get_field(old, name), _SHOWN)} -> {brief(value, _SHOWN)}")
    output.line(f"recipe {recipe_id(new)}" if changed else f"recipe {recipe_id(new)}: nothing changed")


@command.command("validate")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@json_option
@project_option
def validate(file: Path | None, as_json: bool, project: Path | None) -> None:
    """Check recipe.toml, or FILE; errors name the line and the field."""
    from claif_tui.core.recipe_file import load
    from claif_tui.core.recipes import recipe_id
    from claif_tui.core.session import RECIPE_FILE
    from claif_tui.core.systems.material import require_material

    path = file or project_folder(project) / RECIPE_FILE
    recipe = load(path)
    require_material(recipe)
    if as_json:
        output.document({"path": str(path), "valid": True, "id": recipe_id(recipe)})
    else:
        output.line(f"{path} is valid: recipe {recipe_id(recipe)}")


@command.command("diff")
@click.argument("other", required=False, metavar="[PRESET|VERSION]")
@json_option
@project_option
def diff(other: str | None, as_json: bool, project: Path | None) -> None:
    """Compare the recipe with its preset, another preset, or a stored version."""
    from claif_tui.core.recipe_fields import brief
    from claif_tui.core.recipes import PRESET_NAMES, changes, get_field, preset_recipe

    recipe = _recipe(project)
    name = other or recipe.preset
    base = preset_recipe(name) if name in PRESET_NAMES else _version(project, name)
    changed = changes(base, recipe)
    changed.pop("preset", None)
    if as_json:
        rows = [
            {"field": field, "value": value, "other": get_field(base, field)}
            for field, value in changed.items()
        ]
        output.document({"other": name, "differences": rows})
    elif not changed:
        output.line(f"No difference to {name}.")
    else:
        output.table(
            [(field, brief(value), brief(get_field(base, field))) for field, value in changed.items()],
            head=("field", "this recipe", name),
        )


@command.command("material")
@json_option
@project_option
def material(as_json: bool, project: Path | None) -> None:
    """Print SynCSE's instructions, exemplars, genres and topics as TOML, to edit.

    Put an edited file in force with: recipe set syncse.material=@FILE
    """
    from dataclasses import asdict

    from claif_tui.core.systems.material import material_text, parse

    text = material_text(_recipe(project))
    if as_json:
        output.document(asdict(parse(text)))
    else:
        output.raw(text)


@command.command("try")
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="How many seeds to try on."
)
@endpoint_options
@click.option(
    "--without", multiple=True, metavar="PARAM", help="Don't send this parameter to the model; remembered."
)
@yes_option
@json_option
@project_option
def try_(**flags: Any) -> int:
    """Ask the recipe's questions about a few seeds and show the answers. No pairs are made; answers are kept."""
    from claif_tui.cli import running
    from claif_tui.core.session import plan_of, require_run

    with open_project(flags["project"]) as store:
        ready = running.prepared(store, flags)
        require_run(store, ready.recipe, ready.profile)
        count = flags["seeds"]
        running.agree(ready.costs, running.describe(ready, plan_of(store, ready, count)), flags["yes"])
        trials = asyncio.run(_try(store, ready, count))
    failed = sum(bool(trial.failure) for trial in trials)
    if flags["as_json"]:
        output.document({"trials": [_trial_document(trial) for trial in trials], "failed": failed})
    else:
        _show_trials(trials)
    return 1 if failed else 0


async def _try(store: Store, ready: Ready, count: int) -> list[Trial]:
    from claif_tui.core.planning import seeds_of
    from claif_tui.core.session import open_desk
    from claif_tui.core.trying import trials_of, try_recipe

    seeds = list(seeds_of(store, ready.recipe, limit=count))
    triplets = store.pairs.many(store.triplets.first(count))
    desk = open_desk(store, ready, streaming=False)
    found: list[Trial] = []
    total = trials_of(ready.recipe, seeds, triplets) or count
    with diagnostics.Bar("try") as bar:
        async for trial in try_recipe(store, ready.recipe, desk, seeds, triplets, write=count):
            found.append(trial)
            bar.update(len(found), total)
    return sorted(found, key=lambda trial: (trial.seed is None, abs(trial.place[0]), trial.place))


def _trial_document(trial: Trial) -> dict[str, object]:
    return {
        "seed": trial.anchor,
        "title": trial.title,
        "rate": trial.rate,
        "masked": trial.masked,
        "answer": None if trial.answer is None else trial.answer.text,
        "class": None if trial.answer is None else trial.answer.answer_class,
        "hard_negative": None if trial.negative is None else trial.negative.text,
        "score": trial.score,
        "negative_score": trial.negative_score,
        "reason": trial.reason,
        "failure": trial.failure or None,
    }


def _show_trials(trials: list[Trial]) -> None:
    last = None
    width = max((len(trial.title) for trial in trials), default=0)
    for trial in trials:
        anchor = trial.place[0] or trial.place
        if anchor != last:
            last = anchor
            output.line(f"{_of(trial)}: {trial.anchor}")
        parts = [(trial.title, trial.score, trial.answer.text if trial.answer is not None else "")]
        if trial.negative is not None:
            parts.append(("", trial.negative_score, trial.negative.text))
        for title, value, text in parts:
            score = "  -  " if value is None else f"{value:.2f} "
            why = (trial.failure or _remark(trial)) if title else ""
            output.line(f"  {title:<{width}}  {score} {text}{f'  ! {why}' if why else ''}")


def _remark(trial: Trial) -> str:
    """Say what post-processing will drop an answer for."""
    found = next((one for one in (trial.answer, trial.negative) if one and one.answer_class != "ok"), None)
    if found is None:
        return ""
    name = found.answer_class.replace("_", " ")
    return f"{name}: {trial.reason}" if found.answer_class == "off_label" else name


def _of(trial: Trial) -> str:
    if trial.seed is None:
        return trial.title
    return f"seed {trial.seed.id}" if trial.seed.id > 0 else "written"


def _recipe(project: Path | None) -> Recipe:
    from claif_tui.core.session import load_recipe
    from claif_tui.core.store.project import database_in

    folder = project_folder(project)
    database_in(folder)  # a folder that is no project is an error, not a default recipe
    return load_recipe(folder)


def _version(project: Path | None, version: str) -> Recipe:
    from claif_tui.core.recipes import from_json

    with open_project(project) as store:
        versions = store.recipes.list()
        matches = [known for known, _, _ in versions if known.startswith(version)]
        text = store.recipes.get(matches[0]) if len(matches) == 1 else None
    if text is None:
        known = ", ".join(identity for identity, _, _ in versions) or "none: a run stores one"
        raise RecipeError(f"there is no preset and no stored version {version!r}", f"Stored versions: {known}.")
    return from_json(text)


def _text(name: str, value: str, api: str) -> str:
    """Return the value of a text field, out of the file that @FILE names; other fields' values as they are."""
    from claif_tui.core.recipes import find_field

    if not value.startswith("@") or find_field(name, api).kind not in ("text", "material"):
        return value
    if value.startswith("@@"):
        return value[1:]
    path = Path(value[1:]).expanduser()
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{name}: cannot read {path}: {why}", "Name a text file after @, or write @@ for a text with an @."
        ) from error


def _pairs(assignments: tuple[str, ...]) -> list[tuple[str, str]]:
    """Read FIELD=VALUE words, and a single FIELD VALUE."""
    if len(assignments) == 2 and "=" not in assignments[0]:
        return [(assignments[0], assignments[1])]
    found = []
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"{assignment!r} sets nothing", "Write FIELD=VALUE, e.g. rates=0.0,0.5")
        found.append((name.strip(), value))
    return found
