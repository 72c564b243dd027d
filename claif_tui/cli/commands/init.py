"""``claif-tui init``: make a project folder."""

from __future__ import annotations

from pathlib import Path

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, project_folder, settings


@click.command("init")
@click.argument("project", type=click.Path(path_type=Path), required=False)
@click.option("--demo", is_flag=True, help="Put sixty demo sentences in it.")
@json_option
def command(project: Path | None, demo: bool, as_json: bool) -> None:
    """Make a project folder, empty or with a demo in it.

    A folder that is a project already is left alone.
    """
    from claif_tui.core.demo import create_demo
    from claif_tui.core.recipes import Recipe
    from claif_tui.core.session import RECIPE_FILE, save_recipe
    from claif_tui.core.store.store import Store

    folder = project_folder(project)
    with Store.create(folder, author=settings().text("author") or None) as store:
        if not (folder / RECIPE_FILE).exists():
            save_recipe(folder, Recipe())
        if demo:
            store.close()
            create_demo(folder)
    with Store.open(folder) as store:
        seeds = store.seeds.count()
    if as_json:
        output.document({"project": str(folder.absolute()), "seeds": seeds})
        return
    output.line(f"Made the project {folder} ({seeds:,} seeds).")
    if demo:
        output.line(f"Open it: claif-tui {_open_word(folder)}")
    else:
        output.line(f"Next: claif-tui import -P {folder} FILE, then claif-tui {_open_word(folder)}")


def _open_word(folder: Path) -> str:
    """Return how to name the folder so that it is not taken for a command."""
    from claif_tui.cli.main import COMMANDS

    return f"./{folder}" if str(folder) in COMMANDS else str(folder)
