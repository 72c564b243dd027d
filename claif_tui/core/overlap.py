"""Which training sentences stand in evaluation sets: asked of the engine once, kept in the project, said in words.

It warns and blocks nothing. Leaving rows out is in ``overlap_removal``; what counts as the same in ``engine``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from claif_tui.core.atomic import replacing
from claif_tui.core.engine_child import Started, ask
from claif_tui.core.errors import InputError
from claif_tui.core.evaluations import kept
from claif_tui.core.runs import told
from claif_tui.core.snapshot import EXAMPLES, MANIFEST
from claif_tui.core.store.project import DATABASE
from engine.config import TrainConfig, to_json
from engine.rundir import note_overlap, read_info, read_overlap
from engine.tasks import ROOTS, TASKS

FOLDER = "overlaps"
"""Where a project keeps what was found, a file for each data and each state of the evaluation data."""
SETTING = "evaluation_data"
DEFINITION = 1
"""Which version of "the same" and "nearly" the answers are of; the engine's, which says it in each of them."""
NEVER = "no"
"""The word that leaves the check out."""

MODULE = "engine.overlap"


@dataclass(frozen=True, slots=True)
class Count:
    """How many are exactly there, how many only nearly, and of how many in all."""

    exact: int
    near: int
    of: int

    @property
    def all(self) -> int:
        """Both together."""
        return self.exact + self.near

    @property
    def share(self) -> float:
        """Both as a share of all, 0..1."""
        return self.all / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """A training sentence and the evaluation sentence that it is, or nearly is (``similarity`` 0.8 to 1)."""

    rule: Literal["exact", "near"]
    training: str
    evaluation: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOverlap:
    """One split of one task. ``sentences`` and ``rows`` are of the training data, ``seen`` and the pairs of the set.

    ``seen`` counts the set's sentences, each once; ``both_sides`` its pairs of which both sentences are in the
    training data, ``same_pair`` those that stand there as a pair: None where it has no pairs. A set that is not
    ``complete`` was not compared; ``problem`` says why.
    """

    task: str
    split: Literal["test", "dev", "train"]
    kind: Literal["sts", "transfer"]
    state: Literal["complete", "missing", "broken"]
    problem: str
    sentences: Count
    rows: Count
    seen: Count
    both_sides: Count | None
    same_pair: Count | None
    examples: tuple[Example, ...]

    @property
    def name(self) -> str:
        """Task and split."""
        return f"{self.task} {self.split}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What the training data have in common with the evaluation sets; ``groups`` are test splits taken together.

    ``rows`` and ``sentences`` (each once) are those of the training data; ``document`` is the engine's answer.
    """

    rows: int
    sentences: int
    wordless: int
    sets: tuple[SetOverlap, ...]
    groups: Mapping[str, tuple[Count, Count]]
    """Sentences and rows of "STS12-16", "sts", "transfer" and "all"."""
    document: Mapping[str, Any]

    @property
    def compared(self) -> list[SetOverlap]:
        """The sets that could be read."""
        return [one for one in self.sets if one.state == "complete"]

    @property
    def left_out(self) -> list[SetOverlap]:
        """The sets that could not."""
        return [one for one in self.sets if one.state != "complete"]

    @property
    def broken(self) -> list[SetOverlap]:
        """Those of them that are there, and not as they should be; ``problem`` says more than that they are missing."""
        return [one for one in self.sets if one.state == "broken"]


def known_folder(project: Path, config: TrainConfig | None = None) -> Path | None:
    """Return the folder of the evaluation data, as far as it is known here; None if it is not.

    The setting ``evaluation_data``; else the folder of the project's newest evaluation; else one that the training
    or dev data lie in.
    """
    from claif_tui.core.settings import load

    words = [load().text(SETTING)]
    if (project / DATABASE).is_file():
        words += [one.data for one in kept(project).evaluations[:1]]
    for word in filter(None, words):
        if (path := Path(word).expanduser()).is_dir():
            return path.absolute()
    for place in filter(None, (config.data, config.dev) if config is not None else ()):
        here = Path(place).absolute()
        for folder in (here, *here.parents):
            if (folder / "STS" / "STSBenchmark").is_dir():
                return folder
    return None


def check(
    config: TrainConfig, folder: Path, *, project: Path | None, started: Started | None = None
) -> Overlap:
    """Compare what would be trained on with all evaluation sets of a folder; seconds, minutes for millions of rows.

    What a project knows already of the same rows and the same sets is read instead. ``started`` gets the process, for
    whoever may want to end it. Raises ``ClaifError``: no such folder, no set in it, training data that cannot be read.
    """
    require_folder(folder)
    known = _known_file(config, folder, project)
    if known is not None and (found := _stored(known)) is not None:
        return found
    document = ask(MODULE, (str(folder.absolute()),), given=to_json(config), started=started)
    found = read(document)
    if known is not None:
        keep(known, document)
    return found


def known(config: TrainConfig, folder: Path, project: Path) -> Overlap | None:
    """Return what the project knows already, None if that has to be found out first."""
    file = _known_file(config, folder, project)
    return None if file is None else _stored(file)


def require_folder(folder: Path) -> None:
    """Raise ``InputError`` unless there is such a folder."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder", "Name the folder of the evaluation data (SentEval's layout)."
        )


def keep_for(config: TrainConfig, folder: Path, project: Path | None, document: Mapping[str, Any]) -> None:
    """Keep an answer of the engine on these data, if there is a project to keep it in."""
    if (file := _known_file(config, folder, project)) is not None:
        keep(file, document)


def keep(file: Path, document: Mapping[str, Any]) -> None:
    """Write an answer; a full disk only means that it is asked for again."""
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as out:
            out.write(json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))
            out.write(b"\n")


def note(run: Path, overlap: Overlap) -> None:
    """Leave what was found with a run, without the examples: it is shown with it, and stands in the model's card."""
    sets = [
        {name: value for name, value in one.items() if name != "examples"} for one in overlap.document["sets"]
    ]
    with told():
        note_overlap(run, {**overlap.document, "sets": sets})


def fits(run: Path, overlap: Overlap) -> bool:
    """Whether what was found is of the rows that a run trains on: its data may have been changed since it began."""
    with told():
        info = read_info(run)
    data = info.facts.get("data") if info is not None else None
    return not isinstance(data, dict) or data.get("sha256") == overlap.document["data"]["sha256"]


def noted(run: Path) -> Overlap | None:
    """Return what was left with a run, None if nothing was that reads."""
    document = read_overlap(run)
    with suppress(*_UNREADABLE):
        found = None if document is None else read(document)
        if found is not None:
            warnings(found)  # of figures that do not go together nothing can be said
        return found
    return None


_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
_GROUPS = ("STS12-16", "sts", "transfer", "all")


def read(document: Mapping[str, Any]) -> Overlap:
    """Take the engine's answer; one of ``_UNREADABLE`` for what is none."""
    rows, sentences = int(document["rows"]), int(document["sentences"])
    found, _ = document["groups"], document["data"]["sha256"]
    groups = {
        name: (_count(found[name]["sentences"], sentences), _count(found[name]["rows"], rows))
        for name in _GROUPS
    }
    sets = tuple(_set(about, rows, sentences) for about in document["sets"])
    return Overlap(
        rows=rows,
        sentences=sentences,
        wordless=int(document["wordless"]),
        sets=sets,
        groups=groups,
        document={
            name: value for name, value in document.items() if name not in ("kept", "manifest", "dev_place")
        },
    )


def _set(about: Mapping[str, Any], rows: int, sentences: int) -> SetOverlap:
    seen, both, same = (about.get(name) for name in ("seen", "both_sides", "same_pair"))
    return SetOverlap(
        task=str(about["task"]),
        split=about["split"],
        kind=about["kind"],
        state=about["state"],
        problem=str(about.get("problem", "")),
        sentences=_count(about.get("sentences"), sentences),
        rows=_count(about.get("rows"), rows),
        seen=_count(seen, 0),
        both_sides=None if both is None else _count(both, 0),
        same_pair=None if same is None else _count(same, 0),
        examples=tuple(
            Example(one["rule"], str(one["training"]), str(one["evaluation"]), float(one["similarity"]))
            for one in about.get("examples", ())
        ),
    )


def _count(about: Mapping[str, Any] | None, of: int) -> Count:
    if about is None:
        return Count(0, 0, of)
    return Count(int(about["exact"]), int(about["near"]), int(about.get("of", of)))


# What is said


def warnings(found: Overlap) -> list[str]:
    """Return what should be noticed, a line each: overlap with test splits, and sets that could not be compared."""
    said = []
    for group, words in (("sts", "STS test sets"), ("transfer", "transfer test sets")):
        sentences, _ = found.groups[group]
        if sentences.all:
            sets = [one for one in found.compared if one.kind == group and one.split == "test"]
            most = max(sets, key=lambda one: one.sentences.all)
            said.append(
                f"{percent(sentences)} of the training sentences stand in {words} (exact {sentences.exact:,}, "
                f"near {sentences.near:,}; most in {most.task}: {most.sentences.all:,})"
            )
    if found.left_out:
        # A task of which no split could be read is named as a whole.
        read_in_part = {one.task for one in found.compared}
        names = dict.fromkeys(one.name if one.task in read_in_part else one.task for one in found.left_out)
        said.append(f"not compared, as they are missing or broken: {', '.join(names)}")
    return said


def short(found: Overlap, *, counts: bool = False) -> str:
    """Return the warning of overlap in a few words, with ``counts`` of the same and the nearly same; "" for none."""
    said = []
    for group, words in (("sts", "STS"), ("transfer", "transfer")):
        sentences, _ = found.groups[group]
        if sentences.all:
            exact = f" (exact {sentences.exact:,}, near {sentences.near:,})" if counts else ""
            said.append(f"{percent(sentences)} in {words} tests{exact}")
    return f"overlap: {', '.join(said)}" if said else ""


def all_clear(found: Overlap) -> str:
    """Return what is said where there is nothing to warn of."""
    count = sum(one.split == "test" for one in found.compared)
    return f"none of the {found.sentences:,} training sentences stands in the test split of {count} evaluation sets"


def percent(count: Count) -> str:
    """Return a share as whole percents, with one decimal where it is small; never 0 or 100 unless it is that."""
    value = 100 * count.share
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.1f} %" if 0 < value < 10 or 99.5 <= value < 100 else f"{value:.0f} %"


HEAD = (
    "evaluation set",
    "training sentences",
    "",
    "rows",
    "seen of the set",
    "",
    "pairs: both sides",
    "same pair",
)


def table(found: Overlap) -> list[tuple[str, ...]]:
    """Return a row for each set: what of the training data stands in it, and what of it the training data hold.

    Counts are exact + near.
    """
    rows = [
        _row(one.name, one.sentences, one.rows, one.seen, one.both_sides, one.same_pair)
        for one in found.compared
    ]
    titles = {
        "STS12-16": "STS12-16 test",
        "sts": "all STS test",
        "transfer": "all transfer test",
        "all": "all test",
    }
    return rows + [_row(titles[name], *found.groups[name]) for name in titles]


def _row(
    name: str,
    sentences: Count,
    rows: Count,
    seen: Count | None = None,
    both: Count | None = None,
    same: Count | None = None,
) -> tuple[str, ...]:
    return (
        name,
        _both(sentences),
        percent(sentences),
        _both(rows),
        "" if seen is None else _both(seen),
        "" if seen is None else percent(seen),
        "" if both is None else _both(both),
        "" if same is None else _both(same),
    )


def _both(count: Count) -> str:
    return f"{count.exact:,} + {count.near:,}" if count.near else f"{count.exact:,}"


# What is known already


def _known_file(config: TrainConfig, folder: Path, project: Path | None) -> Path | None:
    if project is None or not (project / DATABASE).is_file():
        return None
    try:
        facts = [DEFINITION, _content(Path(config.data)), fingerprint(folder), config.allow_test]
    except OSError:
        return None  # the engine says what is wrong with them
    return project / FOLDER / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"


def _stored(file: Path) -> Overlap | None:
    with suppress(OSError, RecursionError, *_UNREADABLE):
        return read(json.loads(file.read_bytes()))
    return None


def _content(data: Path) -> str:
    """Return a hash of training data: of a snapshot by its manifest, which holds the hash of its rows."""
    if data.is_dir():
        names = [MANIFEST] if (data / MANIFEST).is_file() else sorted(path.name for path in data.iterdir())
        return _digest([data / name for name in names if (data / name).is_file()])
    if data.name == EXAMPLES and data.with_name(MANIFEST).is_file():
        return _content(data.parent)
    return _digest([data])


def fingerprint(folder: Path) -> str:
    """Return a hash of all files that evaluation sets are read from."""
    places = sorted({task.folder for task in TASKS.values()})
    files: list[Path] = []
    for place in places:
        found = next((path for root in ROOTS if (path := folder / root / place).is_dir()), None)
        if found is not None:
            files += sorted(path for path in found.iterdir() if path.is_file())
    return _digest(files)


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
