"""``claif-tui generate``: run the recipe over the seeds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import (
    endpoint_options,
    json_option,
    open_project,
    project_option,
    yes_option,
)
from claif_tui.core.errors import UsageError
from claif_tui.core.recipe_presets import PRESET_NAMES, PRESETS, SYSTEM_NAMES

if TYPE_CHECKING:
    from claif_tui.core.estimate import Plan
    from claif_tui.core.session import Ready
    from claif_tui.core.store.store import Store

_PRESETS = "; ".join(
    f"{system}: {', '.join(name for name in PRESET_NAMES if PRESETS[name]['system'] == system)}"
    for system in SYSTEM_NAMES
)


@click.command("generate")
@click.option("--system", type=click.Choice(SYSTEM_NAMES), help="Method that makes the pairs or triplets.")
@click.option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    help=f"Settings to start from; a preset fixes its system ({_PRESETS}).",
)
@endpoint_options
@click.option("--rates", metavar="0.0,0.1,…", help="Shares of words to mask; one pair per seed for each.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N-SEEDS",
    help="Only the first N seeds, and N imported triplets.",
)
@click.option("--seed", type=click.IntRange(0), help="Seed of masks, sampling and zero pairs.")
@click.option(
    "--without", multiple=True, metavar="PARAM", help="Don't send this parameter to the model; remembered."
)
@click.option("--dry-run", is_flag=True, help="Only show the plan and what it would cost.")
@yes_option
@click.option("--detach", is_flag=True, help="Go on in the background, whatever happens to this terminal.")
@click.option("--pause", "ask", flag_value="pause", help="Pause the run that is on.")
@click.option("--resume", "ask", flag_value="resume", help="Let the paused run go on.")
@click.option("--stop", "ask", flag_value="stop", help="Stop the run that is on.")
@json_option
@project_option
def command(**flags: Any) -> int:
    """Generate and score pairs or triplets for every seed, as the recipe says.

    syncse-scratch has its sentences written first, and makes triplets of those alone. Systems that read imported
    triplets (clhaif, claif-scaled, multicsr) score those too. What is answered is never asked again: after a stop, a
    crash or a kill the same command goes on where it was. What the options change is written to recipe.toml.
    """
    fields: dict[str, object] = {
        name: flags[flag]
        for name, flag in (
            ("system", "system"),
            ("preset", "preset"),
            ("masks.rates", "rates"),
            ("seed", "seed"),
        )
        if flags[flag] is not None
    }
    with open_project(flags["project"]) as store:
        if flags["ask"]:
            return _ask(store, flags["ask"], flags["as_json"])
        return _generate(store, flags, fields)


def _generate(store: Store, flags: dict[str, Any], fields: dict[str, object]) -> int:
    from claif_tui.cli import running
    from claif_tui.core.planning import RunOptions
    from claif_tui.core.scratch import run_of
    from claif_tui.core.session import open_desk, plan_of, require_run

    ready = running.prepared(store, flags, fields)
    require_run(store, ready.recipe, ready.profile)
    plan = plan_of(store, ready, flags["limit"])
    lines = running.describe(ready, plan)
    if flags["dry_run"]:
        return _show_plan(store, ready, plan, lines, flags["as_json"])
    running.agree(ready.costs, lines, flags["yes"])
    ready = running.probed(store, ready, flags, fields)
    running.save_changes(store, ready)
    if flags["detach"]:
        return _detach(store, flags["as_json"])
    options = RunOptions(limit=flags["limit"])
    opened = partial(open_desk, store, ready, streaming=False)
    ended = running.run(lambda: run_of(store, ready.recipe, options, opened), "generate")
    return running.show_status(store, ended, flags["as_json"])


def _show_plan(store: Store, ready: Ready, plan: Plan, lines: list[str], as_json: bool) -> int:
    from claif_tui.core.recipes import recipe_id
    from claif_tui.core.status import status

    if not as_json:
        for line in lines:
            output.line(line)
        return 0
    found = status(store, ready.recipe)
    output.document(
        {
            **found.to_dict(),
            "planned": plan.planned,
            "plan": {
                "recipe": recipe_id(ready.recipe),
                "model": ready.recipe.model,
                "endpoint": ready.profile.name,
                "seeds": plan.seeds,
                "sentences_missing": plan.missing,
                "triplets": plan.triplets,
                "calls": plan.calls,
                "tokens": list(plan.tokens),
                "usd": None if plan.usd is None else list(plan.usd),
                "price_as_of": None if plan.price is None else plan.price.as_of,
            },
        }
    )
    return 0


def _detach(store: Store, as_json: bool) -> int:
    from claif_tui.cli import running

    folder = store.folder
    argv = [word for word in click.get_current_context().meta["argv"] if word not in ("--detach", "--json")]
    store.close()
    pid = running.detach(folder, [*argv, "--yes"])
    if as_json:
        output.document({"detached": True, "pid": pid, "log": str(folder / "generate.log")})
    else:
        output.line(f"Running in the background (process {pid}).")
        output.line(f"Follow it: claif-tui status -P {folder}. Stop it: claif-tui generate --stop -P {folder}")
    return 0


def _ask(store: Store, ask: Any, as_json: bool) -> int:
    active = store.runs.active()
    if active is None:
        raise UsageError("no run is on in this project", "claif-tui status says where it stands.")
    if ask != "stop" and active.kind not in ("generate", "retry"):
        raise UsageError(f"a {active.kind} run cannot be paused", "Stop it instead: claif-tui generate --stop")
    store.runs.request(active.id, ask)
    diagnostics.note(f"Asked run {active.id} (process {active.pid} on {active.host}) to {ask}.")
    if as_json:
        output.document({"asked": ask, "run": active.id})
    return 0
