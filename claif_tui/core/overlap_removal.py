"""Training without what stands in evaluation sets: a snapshot of the rows that stay, which says what was left out.

The data themselves are never changed. Counting what overlaps is in ``overlap``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from claif_tui import __version__
from claif_tui.core.engine_child import Started, ask
from claif_tui.core.errors import UsageError
from claif_tui.core.export import MANIFEST_VERSION
from claif_tui.core.overlap import MODULE, Overlap, fingerprint, keep_for, read, require_folder
from claif_tui.core.runs import told
from claif_tui.core.snapshot import FOLDER, Snapshot, freeze_rows
from engine.config import TrainConfig, to_json
from engine.tasks import RERANK, select

Rule = Literal["exact", "near"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Which rows are left out: those of which a sentence stands in the test split of one of ``tasks``.

    ``rule`` near takes those that are nearly the same too; ``tasks`` are words as for an evaluation: sts, STS12,MR.
    """

    rule: Rule
    tasks: str = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The settings on what stays and its snapshot; how many rows went, in which tasks they stood, what overlaps yet.

    A row that stands in several tasks counts for each of them.
    """

    config: TrainConfig
    snapshot: Snapshot
    removed: int
    by_task: dict[str, int]
    left: Overlap

    def words(self) -> str:
        """What was done, in one line."""
        tasks = ", ".join(f"{task} {count:,}" for task, count in self.by_task.items()) or "none overlaps"
        return f"{self.removed:,} rows are left out, {self.left.rows:,} stay as snapshot {self.snapshot.id} ({tasks})"


def parse(text: str) -> Removal:
    """Take ``exact``, ``near`` or ``near:STS12,MR``; ``UsageError`` or ``ConfigError`` in words for anything else."""
    rule, colon, tasks = text.partition(":")
    if rule not in RULES:
        raise UsageError(
            f"{text!r} says not what to remove", "Expected exact or near, perhaps as in near:sts,MRPC."
        )
    with told():
        names = select(tasks if colon else "all")
    if RERANK in names:
        raise UsageError(
            f"{text!r}: overlap is looked for in test sets that are known, not in {RERANK}'s own queries",
            "Expected exact or near, perhaps as in near:sts,MRPC.",
        )
    return Removal(rule=rule, tasks=",".join(names))


def clean(
    config: TrainConfig,
    folder: Path,
    removal: Removal,
    *,
    project: Path | None,
    place: Path,
    started: Started | None = None,
) -> Cleaned:
    """Freeze the rows that stay in ``place/snapshots``; the same data and wish give the same snapshot. Blocks.

    Its manifest has what the old one stated, and under ``overlap_removed`` what was left out, by which rule and
    against which evaluation data. Raises ``ClaifError``: nothing is left, the disk, data that cannot be read.
    """
    require_folder(folder)
    answer: dict[str, Any] = {}

    def fill(file: Path) -> dict[str, Any]:
        words = ("--kept", str(file), "--rule", removal.rule, "--tasks", removal.tasks, str(folder.absolute()))
        answer.update(ask(MODULE, words, given=to_json(config), started=started))
        return _manifest(answer, fingerprint(folder))

    snapshot = freeze_rows(place / FOLDER, fill)
    cleaned = replace(config, data=str(snapshot.path.absolute()), dev=config.dev or str(answer["dev_place"]))
    keep_for(cleaned, folder, project, answer)
    removed = answer["kept"]["removed"]
    return Cleaned(
        config=cleaned,
        snapshot=snapshot,
        removed=int(removed["rows"]),
        by_task=dict(removed["by_task"]),
        left=read(answer),
    )


def _manifest(answer: dict[str, Any], evaluation_data: str) -> dict[str, Any]:
    """What the new snapshot states: all that the old one did, with its own rows, and what was left out of them."""
    before = answer["manifest"] or {
        "manifest_version": MANIFEST_VERSION,
        "made_by": f"claif-tui {__version__}",
        "source": answer["data"],
    }
    facts = dict(answer["kept"])
    removed = {
        "from": before.get("id") or answer["data"]["sha256"],
        **facts.pop("removed"),
        "evaluation_data": evaluation_data,
    }
    steps = [*before.get("overlap_removed", ()), removed]
    return {
        **{name: value for name, value in before.items() if name != "id"},
        **facts,
        "overlap_removed": steps,
    }
