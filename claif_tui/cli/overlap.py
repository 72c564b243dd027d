"""The overlap of training data with evaluation sets: what ``data`` and ``train`` say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui.cli import diagnostics, output
from claif_tui.core.errors import ClaifError, UsageError

if TYPE_CHECKING:
    from claif_tui.core.overlap import Overlap
    from engine.config import TrainConfig

_NAME_IT = "Name the folder of the evaluation data: {}, or for good: claif-tui config set evaluation_data DIR"


def show(found: Overlap) -> None:
    """Print the table, the warnings, and for each set that overlaps an example or two."""
    from claif_tui.core import overlap

    output.line(
        f"{found.rows:,} rows, {found.sentences:,} different sentences; counts are the same + nearly the same"
    )
    output.table(overlap.table(found), head=overlap.HEAD, right=tuple(range(1, len(overlap.HEAD))))
    for one in found.compared:
        shown = {example.rule: example for example in reversed(one.examples)}
        if "exact" in shown:
            output.line(f"{one.name}, the same: {shown['exact'].training}")
        if "near" in shown:
            output.line(
                f"{one.name}, nearly the same ({shown['near'].similarity:.2f}): {shown['near'].training}"
            )
            output.line(f"{'': <{len(one.name)}}                          {shown['near'].evaluation}")
    if found.wordless:
        output.line(f"{found.wordless:,} training sentences hold no letter and no digit, and were not compared")
    for one in found.broken:
        output.line(f"{one.name} was not compared: {one.problem}")
    for warning in overlap.warnings(found):
        diagnostics.warn(warning)


def folder_for(project: Path, config: TrainConfig, named: Path | None, option: str) -> Path:
    """Return the folder of the evaluation data, as named or as known; ``UsageError`` says how to name it."""
    from claif_tui.core.overlap import known_folder

    folder = named or known_folder(project, config)
    if folder is None:
        raise UsageError("it is not known where the evaluation data are", _NAME_IT.format(option))
    return folder


def checked(project: Path, config: TrainConfig, word: str | None) -> Overlap | None:
    """Compare before a run starts, and warn; None where that was not wished or could not be done, which is said.

    ``word`` is a folder, or "no". Only a folder that was named and is none is an error.
    """
    from claif_tui.core import overlap

    if word == overlap.NEVER:
        return None
    folder = Path(word) if word else overlap.known_folder(project, config)
    if folder is None:
        name_it = _NAME_IT.format("--check-overlap DIR")
        diagnostics.note(f"The training data are not compared with evaluation sets. {name_it}")
        return None
    if word:
        overlap.require_folder(folder)
    if overlap.known(config, folder, project) is None:
        diagnostics.note(f"comparing the training sentences with the evaluation sets in {folder} …")
    try:
        found = overlap.check(config, folder, project=project)
    except ClaifError as error:
        why = f"{error.message.rstrip('.')}. {error.hint}".rstrip()
        diagnostics.warn(f"the training data were not compared with evaluation sets: {why}")
        return None
    said = overlap.warnings(found)
    for warning in said:
        diagnostics.warn(warning)
    if found.groups["all"][0].all:
        diagnostics.note(
            f"See which: claif-tui data overlap {config.data} --data {folder}   "
            "Train without them: --remove-overlap exact, or near"
        )
    elif not said:
        diagnostics.note(overlap.all_clear(found))
    return found


def noted(run: Path, found: Overlap) -> None:
    """Leave with a run what was found; that it cannot be left there keeps no run from going on."""
    from claif_tui.core.overlap import note

    try:
        note(run, found)
    except ClaifError as error:
        diagnostics.warn(f"what overlaps is not kept with the run: {error.message}")


def cleaned(project: Path, config: TrainConfig, word: str | None, removal: str) -> TrainConfig:
    """Leave rows out, say how many, and return the settings on those that stay."""
    from claif_tui.core import overlap, overlap_removal
    from claif_tui.core.store.project import DATABASE

    wish = overlap_removal.parse(removal)
    named = Path(word) if word and word != overlap.NEVER else None
    folder = folder_for(project, config, named, "--check-overlap DIR")
    inside = (project / DATABASE).is_file()
    place = project if inside else Path(config.out).absolute().parent
    done = overlap_removal.clean(config, folder, wish, project=project if inside else None, place=place)
    diagnostics.note(f"{done.words()}: {done.snapshot.path}")
    return done.config


def summary(found: Overlap | None) -> dict[str, Any] | None:
    """The figures of the test splits as plain data."""
    return None if found is None else {"sentences": found.sentences, "groups": found.document["groups"]}
