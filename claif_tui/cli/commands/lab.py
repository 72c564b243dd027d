"""``claif-tui lab``: the same rows through several prompts, models or mask rates, and what sets them apart."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import (
    endpoint_options,
    json_option,
    open_project,
    project_option,
    settings,
    usd,
    wanted_of,
    yes_option,
)
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.lab.models import Lab, LabResult
    from claif_tui.core.lab.running import Plan
    from claif_tui.core.store.store import Store

FORMATS = ("table", "md", "csv", "tex")


@click.command("lab")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--example", type=click.Choice(["score", "generate"]), help="Print a file to start from.")
@click.option("--adopt", metavar="CELL", help="Make a cell the project's recipe; asks nothing.")
@click.option("--dry-run", is_flag=True, help="Only show what would be asked, and its cost.")
@click.option("--charts", is_flag=True, help="Show score histograms and calibration, too.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="Form of the result.")
@endpoint_options
@click.option(
    "--without", multiple=True, metavar="PARAM", help="Don't send this parameter to the model; remembered."
)
@yes_option
@json_option
@project_option
def command(**flags: Any) -> int:
    """Compare prompts, models, temperatures or mask rates on the same rows, as FILE says.

    A scoring lab measures agreement with human labels (import --as gold), a generation lab what the
    funnel keeps. What is answered is never asked again: the same command goes on where it stopped. Pairs made here
    stay out of the project.
    """
    if flags["example"]:
        return _example(flags["example"], flags["as_json"])
    if flags["file"] is None:
        raise UsageError("no lab file is named", "Start from one: claif-tui lab --example score > lab.toml")
    from claif_tui.core.lab.file import load

    spec = load(flags["file"])
    with open_project(flags["project"]) as store:
        lab = _set_up(store, spec, flags)
        if flags["adopt"]:
            return _adopt(store, lab, flags["adopt"], flags["as_json"])
        return _run(store, lab, flags)


def _example(kind: Any, as_json: bool) -> int:
    from claif_tui.core.lab.file import EXAMPLES

    if as_json:
        output.document({"example": EXAMPLES[kind]})
    else:
        output.raw(EXAMPLES[kind])
    return 0


def _set_up(store: Store, spec: Any, flags: dict[str, Any]) -> Lab:
    from claif_tui.core.lab.cells import set_up
    from claif_tui.core.settings import remember_refused

    wanted = wanted_of(flags)
    lab = set_up(store, settings(), spec, wanted)
    if not flags["without"]:
        return lab
    for station in lab.stations:
        remember_refused(station.ready.profile, station.ready.recipe.model, flags["without"])
    return set_up(store, settings(), spec, wanted)


def _run(store: Store, lab: Lab, flags: dict[str, Any]) -> int:
    from claif_tui.cli import running
    from claif_tui.core.lab.result import result
    from claif_tui.core.lab.running import Laboratory, plan_of

    plan = plan_of(store, lab)
    lines = describe(lab, plan)
    if flags["dry_run"]:
        return _show_plan(lab, plan, lines, flags["as_json"])
    code, message = 0, "Everything that this lab asks is answered already."
    if plan.open:
        costs = any(station.ready.costs for station in lab.stations)
        running.agree(costs, lines, flags["yes"])
        ended = running.run(lambda: Laboratory(store, lab), "lab")
        message = ended.finished.message
        stopped = ended.finished.state != "finished"
        code = ended.exit_code if ended.signal is not None or stopped else 0
    found = result(store, lab)
    diagnostics.note(message)
    _show(store, found, flags, message)
    return code or int(found.open > 0)


def describe(lab: Lab, plan: Plan) -> list[str]:
    """Say what a lab would ask and cost."""
    rows, unit = (lab.gold, "gold rows") if lab.gold else (lab.seeds, "seeds")
    stored = plan.planned - plan.open
    lines = [
        f"{len(lab.cells):,} cells on the same {len(rows):,} of {lab.available:,} {unit}: {plan.planned:,} questions"
        + (f", {stored:,} of them answered already" if stored else ""),
        f"up to {plan.calls:,} calls, tokens {plan.tokens[0]:,} to {plan.tokens[1]:,}",
    ]
    if plan.usd is None:
        lines.append("cost unknown: no price is known for a model (--price-in, --price-out)")
    elif plan.usd[1] > 0:
        lines.append(f"cost ${plan.usd[0]:,.4f} to ${plan.usd[1]:,.4f}")
    else:
        lines.append("cost nothing")
    if lab.cap_nano is not None:
        lines.append(f"budget {usd(lab.cap_nano)} for this lab")
    elif plan.open and any(station.ready.costs for station in lab.stations):
        lines.append("no budget: nothing but the end stops the spending (budget in the file, or --budget USD)")
    return lines


def _show_plan(lab: Lab, plan: Plan, lines: list[str], as_json: bool) -> int:
    if not as_json:
        for line in lines:
            output.line(line)
        for cell in lab.cells:
            output.line(f"  {cell.name}")
        return 0
    output.document(
        {
            "lab": lab.id,
            "cells": [cell.name for cell in lab.cells],
            "rows": len(lab.gold) or len(lab.seeds),
            "available": lab.available,
            "planned": plan.planned,
            "open": plan.open,
            "calls": plan.calls,
            "tokens": list(plan.tokens),
            "usd": None if plan.usd is None else list(plan.usd),
            "worst_usd": plan.worst_usd,
            "cap_usd": None if lab.cap_nano is None else lab.cap_nano / 1e9,
        }
    )
    return 0


def _show(store: Store, found: LabResult, flags: dict[str, Any], message: str) -> None:
    from claif_tui.core.lab import report

    money = store.ledger.get(found.lab.id)
    if flags["as_json"]:
        cap = None if found.lab.cap_nano is None else found.lab.cap_nano / 1e9
        output.document(
            {**report.document(found), "message": message, "spent_usd": money.spent_nano / 1e9, "cap_usd": cap}
        )
        return
    if flags["form"] != "table":
        written = {"md": report.markdown, "csv": report.comma, "tex": report.latex}[flags["form"]](found)
        output.raw(written)
        return
    names, right = report.head(found)
    output.table(report.rows(found), head=names, right=right)
    if found.contrasts:
        output.line()
        output.table(report.contrast_rows(found), head=report.CONTRAST_HEAD, right=report.CONTRAST_RIGHT)
    output.line()
    failures = report.failures(found)
    if failures:
        output.line("without an outcome, by reason:")
        for line in failures:
            output.line(f"  {line}")
    if flags["charts"]:
        output.line()
        for line in report.charts(found):
            output.line(line)
        output.line()
    output.line(found.verdict)
    for note in (*found.notes, *report.method(found)):
        output.line(note)
    if money.spent_nano:
        output.line(f"This lab has spent {usd(money.spent_nano)}.")
    if found.leader is not None and not found.supported:
        output.line("Any cell can be made the recipe: the same command with --adopt CELL")
    elif found.leader is not None:
        output.line(f"Make it the recipe: the same command with --adopt {shlex.quote(found.leader)}")


def _adopt(store: Store, lab: Lab, name: str, as_json: bool) -> int:
    from claif_tui.core.lab.cells import adopt, find
    from claif_tui.core.lab.result import result
    from claif_tui.core.recipe_fields import format_value
    from claif_tui.core.recipes import changes, recipe_id
    from claif_tui.core.session import load_recipe

    cell = find(lab, name)
    found = result(store, lab)
    old = load_recipe(store.folder)
    new = adopt(store, cell)
    changed = changes(old, new)
    won = found.leader == name and found.supported
    if not won:
        diagnostics.warn(f"this lab does not show that {name} is best. {found.verdict}")
    if as_json:
        output.document({"id": recipe_id(new), "changed": changed, "supported": won, "verdict": found.verdict})
        return 0
    for field, value in changed.items():
        output.line(f"{field} = {format_value(value)}")
    output.line(f"recipe {recipe_id(new)}" + ("" if changed else ": nothing changed"))
    return 0
