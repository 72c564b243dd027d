"""What the first screen says about a project: where it stands and what to do next. Plain data, no widget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from claif_tui.core.recipe_schema import BY_NAME, applies
from claif_tui.core.systems.registry import system_of

if TYPE_CHECKING:
    from claif_tui.core.models import Run, Split
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.status import Status
    from claif_tui.core.store.store import Store


StepState = Literal["done", "running", "next", "later"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A project at one moment. ``recipe_problem`` is set when recipe.toml does not read."""

    folder: Path
    author: str
    seeds: dict[Split, int]
    files: int
    recipe: Recipe
    recipe_saved: bool
    recipe_problem: str
    status: Status
    runs: list[Run]
    exports: int
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the way from seeds to an export. ``go`` names the screen where it is done."""

    state: StepState
    title: str
    detail: str
    hint: str = ""
    go: str = ""


def overview(store: Store) -> Overview:
    """Read everything the first screen shows."""
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.status import status
    from claif_tui.ui.recipe_files import read_recipe

    found = read_recipe(store, path=store.folder / "recipe.toml")
    recipe = found.recipe or Recipe()
    exports = store.folder / "exports"
    return Overview(
        folder=store.folder,
        author=store.author,
        seeds=store.seeds.by_splits(),
        files=sum(1 for source in store.sources.list() if source.role == "seeds"),
        recipe=recipe,
        recipe_saved=found.disk.stamp is not None,
        recipe_problem=found.problem,
        status=status(store, recipe),
        runs=store.runs.list(20),
        exports=_exported(exports),
        notices=store.notices,
    )


def steps(view: Overview) -> list[Step]:
    """The five steps; the first one that is not done is the next, and a live run comes before everything."""
    pairs, status = view.status.pairs, view.status
    train = view.seeds.get("train", 0)
    imported = max(0, pairs.total - status.answered)
    rows = [
        ("Seeds", train > 0 or imported > 0, _seeds(view), "press 2, then i to import sentences", "seeds"),
        (
            "Recipe",
            view.recipe_saved and not view.recipe_problem,
            _recipe(view),
            "press 3 (the defaults work)",
            "recipe",
        ),
        ("Generate", status.planned > 0 and status.open == 0, _generate(view), "press 4, then g", "generate"),
        ("Review", pairs.total > 0 and pairs.pending == 0, _review(view), "press 5", "review"),
        ("Export", view.exports > 0, _export(view), "press 5, then x", "review"),
    ]
    out: list[Step] = []
    taken = False
    for title, done, detail, hint, go in rows:
        running = title == "Generate" and status.active is not None
        # A recipe that was never saved holds nobody up: the defaults are a recipe.
        waits = not done and not running and not taken and (title != "Recipe" or bool(view.recipe_problem))
        waits = waits and (title != "Review" or pairs.pending > 0) and (title != "Export" or pairs.accepted > 0)
        taken = taken or waits
        state: StepState = "running" if running else "done" if done else "next" if waits else "later"
        shown = "running: 4 shows it" if running else hint if waits else ""
        out.append(Step(state=state, title=title, detail=detail, hint=shown, go=go))
    return out


def next_step(view: Overview) -> Step | None:
    """The step that is useful now."""
    return next((step for step in steps(view) if step.state == "next"), None)


def export_command(view: Overview) -> str:
    """The command line that exports this project, to copy."""
    return f"claif-tui export -P {view.folder} --out {view.folder / 'exports' / 'pairs.jsonl'} --format jsonl"


def _exported(folder: Path) -> int:
    """Count data files: each export has its manifest, and may have its dropped rows, beside it."""
    if not folder.is_dir():
        return 0
    return sum(1 for path in folder.iterdir() if not path.name.endswith((".manifest.json", ".dropped.jsonl")))


def _seeds(view: Overview) -> str:
    if not view.seeds:
        return "none yet"
    kinds = ", ".join(f"{count:,} {split}" for split, count in view.seeds.items())
    return f"{kinds} from {view.files:,} {'file' if view.files == 1 else 'files'}"


def _recipe(view: Overview) -> str:
    if view.recipe_problem:
        return "recipe.toml does not read"
    saved = "" if view.recipe_saved else " (defaults, not saved)"
    rates = f", {len(view.recipe.rates)} rates" if applies(BY_NAME["masks.rates"], view.recipe.system) else ""
    return f"{view.recipe.preset}{rates}{saved}"


def _generate(view: Overview) -> str:
    status = view.status
    failed = sum(status.failed.values())
    text = f"{status.answered:,} of {status.planned:,} planned {system_of(view.recipe).makes}"
    return text + (f", {failed:,} failed" if failed else "")


def _review(view: Overview) -> str:
    pairs = view.status.pairs
    return f"{pairs.accepted + pairs.rejected:,} of {pairs.total:,} decided" if pairs.total else "no pairs yet"


def _export(view: Overview) -> str:
    if view.exports:
        return f"{view.exports:,} {'file' if view.exports == 1 else 'files'} in exports/"
    return f"{view.status.pairs.accepted:,} accepted to export"
