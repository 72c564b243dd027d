"""``claif-tui retry``: ask again for what failed."""

from __future__ import annotations

from typing import Any

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import endpoint_options, json_option, open_project, project_option, yes_option
from claif_tui.core.errors import InputError


@click.command("retry")
@click.option(
    "--reason", "reasons", multiple=True, metavar="R", help="Only failures of this kind; may be repeated."
)
@endpoint_options
@click.option(
    "--without", multiple=True, metavar="PARAM", help="Don't send this parameter to the model; remembered."
)
@yes_option
@json_option
@project_option
def command(**flags: Any) -> int:
    """Ask again for planned pairs and triplets that failed. What is open or answered is left alone."""
    from claif_tui.cli import running
    from claif_tui.core.pipeline import Generation
    from claif_tui.core.planning import RunOptions
    from claif_tui.core.session import open_desk, require_decoding
    from claif_tui.core.status import status

    with open_project(flags["project"]) as store:
        ready = running.prepared(store, flags)
        found = status(store, ready.recipe)
        failed = found.failed
        unknown = [reason for reason in flags["reasons"] if reason not in failed]
        if unknown and failed:
            known = ", ".join(f"{reason} ({count:,})" for reason, count in failed.items())
            raise InputError(f"nothing failed with the reason {unknown[0]!r}", f"What failed: {known}.")
        chosen = {reason: count for reason, count in failed.items() if reason in (flags["reasons"] or failed)}
        if not chosen:
            diagnostics.note("Nothing failed: there is nothing to retry.")
            if flags["as_json"]:
                output.document(found.to_dict())
            return 0
        require_decoding(ready.recipe, ready.profile)
        lines = [f"{sum(chosen.values()):,} failed pairs are asked again, at {ready.recipe.model}"]
        running.agree(ready.costs, lines, flags["yes"])
        running.save_changes(store, ready)
        reasons = frozenset(flags["reasons"]) or None
        options = RunOptions(kind="retry", limit=found.limit, retry_reasons=reasons)
        desk = open_desk(store, ready, streaming=False)
        ended = running.run(lambda: Generation(store, ready.recipe, options, desk), "retry")
        return running.show_status(store, ended, flags["as_json"])
