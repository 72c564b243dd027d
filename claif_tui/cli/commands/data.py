"""``claif-tui data``: the evaluation data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option


@click.group("data")
def command() -> None:
    """Check the evaluation data."""


@command.command("check")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def check(folder: Path, as_json: bool) -> int:
    """Say which evaluation sets a folder holds, whether they are whole, and in which language they are.

    Every file is read as an evaluation reads it. Ends with 1 if a set is missing or broken.
    """
    from claif_tui.core.datasets import check as look

    found = look(folder)
    if as_json:
        sets = {
            one.name: {name: value for name, value in asdict(one).items() if name != "name"}
            for one in found.sets
        }
        output.document({"data": str(folder), "complete": found.complete, "sets": sets})
    else:
        rows = [
            (
                one.name,
                one.state,
                f"{one.n:,}/{one.expected:,}" if one.expected else "",
                one.language,
                one.possessive,
                one.problem or one.fingerprint[:16],
            )
            for one in found.sets
        ]
        output.table(
            rows, head=("set", "state", "samples", "language", "possessive", "fingerprint"), right=(2,)
        )
        good = sum(one.state == "complete" for one in found.sets)
        output.line(f"{good} of {len(found.sets)} sets are complete")
    return 0 if found.complete else 1
