"""``claif-tui data``: the evaluation data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from claif_tui.cli import output
from claif_tui.cli.shared import json_option, project_folder, project_option


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


@command.command("overlap")
@click.argument("data", metavar="FILE|SNAPSHOT")
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the evaluation data.  [default: the setting evaluation_data, or that of the last evaluation]",
)
@json_option
@project_option
def overlap(data: str, folder: Path | None, as_json: bool, project: Path | None) -> None:
    """Say which training sentences stand in which evaluation sets, the same or nearly the same.

    The same: equal letters and digits, whatever the case, the blanks and the punctuation. Nearly: bags of words with a
    Jaccard similarity of 0.8 or more. Train without them with: claif-tui train --remove-overlap exact|near
    """
    from claif_tui.cli import overlap as words
    from claif_tui.core.overlap import check as compare
    from claif_tui.core.training import configured

    here = project_folder(project).absolute()
    config = configured(None, {"data": data}, project=here)
    folder = words.folder_for(here, config, folder, "--data DIR")
    found = compare(config, folder, project=here)
    if as_json:
        output.document({"evaluation_data": str(folder), **found.document})
    else:
        words.show(found)
