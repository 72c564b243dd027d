"""``claif-tui data``: fetch and check the public data that models are trained on and judged by."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from claif_tui.cli import diagnostics, output
from claif_tui.cli.shared import json_option, project_folder, project_option
from claif_tui.core.data_sources import GROUPS
from claif_tui.core.errors import UsageError

if TYPE_CHECKING:
    from claif_tui.core.data_get import Got
    from claif_tui.core.datasets import SetState


@click.group("data")
def command() -> None:
    """Fetch and check public data: the evaluation sets, and NLI."""


@command.command("get")
@click.argument("groups", nargs=-1, required=True, type=click.Choice(GROUPS), metavar="sts|transfer|nli...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="senteval",
    show_default=True,
    metavar="DIR",
    help="Folder for the data, in SentEval's layout.",
)
@click.option("--base-url", metavar="URL", help="A mirror that holds the archives under their own names.")
@click.option("--yes", "-y", is_flag=True, help="Agree to the terms without being asked.")
@json_option
def get(groups: tuple[str, ...], out: Path, base_url: str | None, yes: bool, as_json: bool) -> int:
    """Fetch the STS sets, the transfer tasks, or SNLI and the NLI triplets, after showing their terms.

    What breaks off goes on from there the next time. An archive whose hash was never published is recorded as it
    first came, and held against that from then on. Ends with 1 if a set is not whole afterwards.
    """
    from claif_tui.core.data_get import get as fetch

    _agree(groups, base_url, yes)
    with diagnostics.Bar("fetching") as bar:
        got = fetch(groups, out, base_url=base_url, progress=_Pace(bar))
    for note in got.notes:
        diagnostics.note(note)
    if as_json:
        output.document(_document(got))
    else:
        for one in got.archives:
            how = "fetched" if one.fetched else "was there"
            since = f" from byte {one.resumed_at:,} on" if one.resumed_at else ""
            output.line(f"{one.name} {how}{since}: {one.bytes:,} bytes, held against: {one.trust}")
        _show(got.sets)
        output.line(f"{len(got.files):,} files in {got.data}")
    return 0 if got.complete else 1


def _agree(groups: Sequence[str], base_url: str | None, yes: bool) -> None:
    """Show where the data come from and under which terms; ``UsageError`` unless somebody agrees."""
    from claif_tui.core.data_sources import terms, wanted

    for one in wanted(groups, base_url):
        diagnostics.note(f"{one.archive.name}: {one.archive.about}\n  {one.archive.url}")
    diagnostics.note("Terms, as far as they are known; what stands in the files themselves counts:")
    for name, words in terms(groups).items():
        diagnostics.note(f"  {name}: {words}")
    if yes:
        return
    if not diagnostics.interactive():
        raise UsageError("nobody is there to agree to the terms", "Add --yes to agree beforehand.")
    if not diagnostics.confirm("Fetch under these terms?"):
        raise UsageError("not fetched", "Nothing was changed.")


class _Pace:
    """Shows how far a download is, how fast it goes and how long it will take."""

    def __init__(self, bar: diagnostics.Bar) -> None:
        self._bar = bar
        self._name, self._first, self._began = "", 0, 0.0

    def __call__(self, done: int, total: int | None, name: str) -> None:
        now = monotonic()
        if name != self._name:
            self._name, self._first, self._began = name, done, now
        rate = (done - self._first) / max(now - self._began, 1e-3)
        words = f"{rate / 1e6:.1f} MB/s"
        if total and rate and not sys.stderr.isatty():  # the bar has it already
            words += f", {(total - done) / rate:,.0f} s left"
        self._bar.update(done, total or done, words, title=name)


def _document(got: Got) -> dict[str, object]:
    archives = {
        one.name: {
            "sha256": one.sha256,
            "bytes": one.bytes,
            "held_against": one.trust,
            "fetched": one.fetched,
            "resumed_at": one.resumed_at,
        }
        for one in got.archives
    }
    return {
        "data": str(got.data),
        "complete": got.complete,
        "archives": archives,
        "files": list(got.files),
        "notes": list(got.notes),
        "sets": _sets(got.sets),
    }


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
        output.document({"data": str(folder), "complete": found.complete, "sets": _sets(found.sets)})
    else:
        _show(found.sets)
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


def _sets(sets: Iterable[SetState]) -> dict[str, object]:
    return {one.name: {name: value for name, value in asdict(one).items() if name != "name"} for one in sets}


def _show(sets: Sequence[SetState]) -> None:
    if not sets:
        return
    rows = [
        (
            one.name,
            one.state,
            f"{one.n:,}/{one.expected:,}" if one.expected else "",
            one.language,
            one.possessive,
            one.problem or one.fingerprint[:16],
        )
        for one in sets
    ]
    output.table(rows, head=("set", "state", "samples", "language", "possessive", "fingerprint"), right=(2,))
    good = sum(one.state == "complete" for one in sets)
    output.line(f"{good} of {len(sets)} sets are complete")
