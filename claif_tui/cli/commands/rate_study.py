"""``rate new``, ``rate list`` and ``rate show``: studies for those who run them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claif_tui.cli import output
from claif_tui.cli.commands.rate import study_option
from claif_tui.cli.shared import json_option, open_project, project_option

if TYPE_CHECKING:
    from claif_tui.core.rating.freezing import Draft
    from claif_tui.core.rating.models import Protocol
    from claif_tui.core.store.store import Store

_COUNT = click.IntRange(0)


@click.command("new")
@click.option(
    "--preset", type=click.Choice(["paper", "rigorous"]), default="paper", show_default=True, help="Protocol."
)
@click.option("--name", metavar="NAME", help="Name of the study.  [default: human-eval-N]")
@click.option(
    "--rater",
    "raters",
    multiple=True,
    metavar="NAME",
    help="A rater; once for each.  [default: R1 to R4; rigorous: to R3]",
)
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Pairs to rate.")
@click.option("--per-item", type=click.IntRange(1), metavar="N", help="Raters on each pair.")
@click.option("--filter", "population", metavar="EXPR", help="Draw only from pairs that match (see review).")
@click.option("--with-rejected", is_flag=True, help="Draw from rejected pairs too.")
@click.option("--with-zero", is_flag=True, help="Draw from zero pairs too.")
@click.option(
    "--stratify", type=click.Choice(["score", "rate"]), multiple=True, help="Draw in proportion by this."
)
@click.option("--practice", type=_COUNT, metavar="N", help="Practice items a rater; never counted.")
@click.option("--gold", type=_COUNT, metavar="N", help="Made items with a known answer, a rater.")
@click.option("--repeats", type=_COUNT, metavar="N", help="Items shown twice, a rater.")
@click.option("--min-gold", type=click.FloatRange(0, 1), metavar="SHARE", help="Gold to pass, or be excluded.")
@click.option("--seed", type=int, metavar="N", help="Seed of the draw.  [default: 42]")
@click.option("--dry-run", is_flag=True, help="Show the study, store nothing.")
@json_option
@project_option
def new_command(dry_run: bool, as_json: bool, project: Path | None, **wished: Any) -> None:
    """Draw a sample and freeze a study. Nothing of it changes later; what departs from it is listed."""
    from claif_tui.core.rating.freezing import draft, freeze
    from claif_tui.core.session import load_recipe

    with open_project(project) as store:
        made = draft(store, _protocol(store, wished), load_recipe(store.folder))
        if not dry_run:
            freeze(store, made)
    if as_json:
        output.document({"frozen": not dry_run, **_draft_document(made)})
        return
    _tell_draft(made)
    name = made.protocol.name
    output.line()
    if dry_run:
        output.line("Nothing was stored. Without --dry-run the study is frozen.")
        return
    output.line(f"Frozen as {name!r}. Each rater begins with:")
    output.line(f"  claif-tui rate take --study {_quoted(name)} --rater {_quoted(made.protocol.raters[0])}")


@click.command("list")
@json_option
@project_option
def list_command(as_json: bool, project: Path | None) -> None:
    """List the studies and how far their raters are."""
    from claif_tui.core.rating.progress import progress

    with open_project(project) as store:
        found = [
            (store.studies.get(name), progress(store.studies.data(name))) for name in store.studies.names()
        ]
    if as_json:
        documents = [
            {
                "name": study.name,
                "hash": study.hash,
                "created": study.created,
                "raters": [asdict(p) for p in each],
            }
            for study, each in found
        ]
        output.document({"studies": documents})
        return
    if not found:
        output.line("No study yet. Make one: claif-tui rate new")
        return
    rows = [
        (
            study.name,
            study.protocol.preset,
            f"{sum(p.done for p in each):,} / {sum(p.total for p in each):,}",
            len(each),
            study.created[:10],
            study.hash[:12],
        )
        for study, each in found
    ]
    output.table(rows, head=("study", "preset", "rated", "raters", "frozen", "hash"), right=(2, 3))


@click.command("show")
@study_option
@json_option
@project_option
def show_command(study: str | None, as_json: bool, project: Path | None) -> None:
    """Show a study: protocol, hash, plan, progress, and what departed from the plan."""
    from claif_tui.core.rating.progress import deviations, progress

    with open_project(project) as store:
        data = store.studies.data(study)
        drawn = store.studies.drawn(data.study.id)
    each = progress(data)
    departed = deviations(data)
    if as_json:
        output.document(
            {
                "name": data.study.name,
                "hash": data.study.hash,
                "created": data.study.created,
                "author": data.study.author,
                "protocol": asdict(data.study.protocol),
                **drawn,
                "raters": [asdict(p) for p in each],
                "deviations": list(departed),
            }
        )
        return
    _tell_protocol(data.study.protocol, drawn["population"], drawn["left_out"])
    output.line(f"frozen       {data.study.created[:16].replace('T', ' ')} UTC by {data.study.author}")
    output.line(f"hash         {data.study.hash}")
    output.line()
    rows = [(p.rater, f"{p.done:,} / {p.total:,}", p.last[:16].replace("T", " ")) for p in each]
    output.table(rows, head=("rater", "rated", "last answer (UTC)"), right=(1,))
    output.line()
    if not departed:
        output.line("Nothing departed from the plan.")
        return
    output.line(f"Departed from the plan ({len(departed)}):")
    for said in departed:
        output.line(f"  {said}")


def _protocol(store: Store, wished: dict[str, Any]) -> Protocol:
    from claif_tui.core.rating.freezing import next_name
    from claif_tui.core.rating.models import Exclusion
    from claif_tui.core.rating.presets import protocol_of

    name = wished["name"] or next_name(store)
    protocol = protocol_of(wished["preset"], name, tuple(wished["raters"]))
    simple = ("sample", "per_item", "population", "practice", "gold", "repeats", "seed")
    changes: dict[str, Any] = {field: wished[field] for field in simple if wished[field] is not None}
    if wished["stratify"]:
        changes["stratify"] = tuple(dict.fromkeys(wished["stratify"]))
    if wished["min_gold"] is not None:
        changes["exclusion"] = Exclusion(min_gold=wished["min_gold"])
    return replace(protocol, with_zero=wished["with_zero"], with_rejected=wished["with_rejected"], **changes)


def _draft_document(made: Draft) -> dict[str, Any]:
    return {
        "name": made.protocol.name,
        "hash": made.hash,
        "protocol": asdict(made.protocol),
        "population": made.population,
        "left_out": made.left_out,
        "items": sum(item.role == "sample" for item in made.items),
        "assignments": len(made.assignments),
    }


def _tell_draft(made: Draft) -> None:
    _tell_protocol(made.protocol, made.population, made.left_out)
    each = dict.fromkeys(made.protocol.raters, 0)
    for assignment in made.assignments:
        each[assignment.rater] += 1
    output.line("to rate      " + ", ".join(f"{rater} {count}" for rater, count in each.items()))
    output.line(f"hash         {made.hash}")


def _tell_protocol(protocol: Protocol, population: int, left_out: dict[str, int]) -> None:
    output.line(f"study        {protocol.name}")
    output.line(f"protocol     {protocol.preset}, seed {protocol.seed}")
    chosen = f" that match {protocol.population}" if protocol.population else ""
    output.line(f"population   {population:,} pairs{chosen}")
    for reason, count in left_out.items():
        output.line(f"             {count:,} left out: {reason}")
    by = f", in proportion by {' and '.join(protocol.stratify)}" if protocol.stratify else ""
    output.line(f"sample       {protocol.sample:,} pairs{by}, {protocol.per_item} rater(s) on each")
    extra = (("practice", protocol.practice), ("gold", protocol.gold), ("repeated", protocol.repeats))
    if any(count for _, count in extra):
        output.line("each also    " + ", ".join(f"{count} {what}" for what, count in extra if count))
    for criterion in protocol.criteria:
        output.line(
            f"question     {criterion.question} ({criterion.scale}{', blind' if criterion.blind else ''})"
        )
    if protocol.exclusion.min_gold is not None:
        output.line(f"rule         who passes under {protocol.exclusion.min_gold:.0%} of the gold is left out")


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
