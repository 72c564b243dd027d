"""The evaluation tasks: names, files and sizes, so that the app can list them. No torch, no numpy, no reading of files.

STS: SemEval (Agirre et al. 2012-2016), STS Benchmark (Cer et al. 2017), SICK relatedness (Marelli et al. 2014).
Transfer: the seven SentEval classification tasks (Conneau and Kiela 2018). Reranking: whatever queries the user has.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from engine.errors import ConfigError

Protocol = Literal["nested", "folds", "split"]
"""nested: folds in folds, no test set; folds: folds on train, then test; split: a fixed dev set, then test."""

ROOTS = ("", "senteval", "downstream", "data/downstream")
"""Where the tasks' folders may lie below the folder that a user names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task: where its files are below the data folder, and how many samples each part holds."""

    name: str
    kind: Literal["sts", "transfer", "rerank"]
    metric: Literal["spearman", "accuracy", "map"]
    folder: str
    parts: tuple[tuple[str, int], ...]
    """(name, samples): scored pairs of a sub-dataset, or lines of a file (test file last)."""
    protocol: Protocol | None = None
    classes: int = 0

    @property
    def n(self) -> int:
        """How many samples the reported figure rests on."""
        if self.kind == "sts" or self.protocol == "nested":
            return sum(count for _, count in self.parts)
        return self.parts[-1][1]


def _sts(name: str, folder: str, *parts: tuple[str, int]) -> Task:
    return Task(name=name, kind="sts", metric="spearman", folder=folder, parts=parts)


def _transfer(name: str, folder: str, protocol: Protocol, classes: int, *parts: tuple[str, int]) -> Task:
    return Task(
        name=name,
        kind="transfer",
        metric="accuracy",
        folder=folder,
        parts=parts,
        protocol=protocol,
        classes=classes,
    )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _sts(
            "STS12",
            "STS/STS12-en-test",
            ("MSRpar", 750),
            ("MSRvid", 750),
            ("SMTeuroparl", 459),
            ("surprise.OnWN", 750),
            ("surprise.SMTnews", 399),
        ),
        # SMT, the fourth part of 2013, is under a licence of its own; the protocol leaves it out, present or not.
        _sts("STS13", "STS/STS13-en-test", ("FNWN", 189), ("headlines", 750), ("OnWN", 561)),
        _sts(
            "STS14",
            "STS/STS14-en-test",
            ("deft-forum", 450),
            ("deft-news", 300),
            ("headlines", 750),
            ("images", 750),
            ("OnWN", 750),
            ("tweet-news", 750),
        ),
        _sts(
            "STS15",
            "STS/STS15-en-test",
            ("answers-forums", 375),
            ("answers-students", 750),
            ("belief", 375),
            ("headlines", 750),
            ("images", 750),
        ),
        _sts(
            "STS16",
            "STS/STS16-en-test",
            ("answer-answer", 254),
            ("headlines", 249),
            ("plagiarism", 230),
            ("postediting", 244),
            ("question-question", 209),
        ),
        _sts("STSBenchmark", "STS/STSBenchmark", ("sts-test.csv", 1379)),
        _sts("SICKRelatedness", "SICK", ("SICK_test_annotated.txt", 4927)),
        _transfer("MR", "MR", "nested", 2, ("rt-polarity.pos", 5331), ("rt-polarity.neg", 5331)),
        _transfer("CR", "CR", "nested", 2, ("custrev.pos", 2407), ("custrev.neg", 1368)),
        _transfer("SUBJ", "SUBJ", "nested", 2, ("subj.objective", 5000), ("subj.subjective", 5000)),
        _transfer("MPQA", "MPQA", "nested", 2, ("mpqa.pos", 3312), ("mpqa.neg", 7294)),
        _transfer(
            "SST2",
            "SST/binary",
            "split",
            2,
            ("sentiment-train", 67349),
            ("sentiment-dev", 872),
            ("sentiment-test", 1821),
        ),
        _transfer("TREC", "TREC", "folds", 6, ("train_5500.label", 5452), ("TREC_10.label", 500)),
        _transfer(
            "MRPC", "MRPC", "folds", 2, ("msr_paraphrase_train.txt", 4076), ("msr_paraphrase_test.txt", 1725)
        ),
    )
}
"""Every task whose data are known, by its name, in the order of the papers' tables."""

RERANK = "rerank"
EVERY: dict[str, Task] = {
    **TASKS,
    RERANK: Task(name=RERANK, kind="rerank", metric="map", folder="rerank", parts=()),
}
"""These and reranking, whose data are the user's own: their size is known once they are read."""

STS = tuple(name for name, task in TASKS.items() if task.kind == "sts")
TRANSFER = tuple(name for name, task in TASKS.items() if task.kind == "transfer")
_GROUPS = {"sts": STS, "transfer": TRANSFER, "all": (*STS, *TRANSFER), RERANK: (RERANK,)}
_KNOWN = f"Known: sts, transfer, all (both), {RERANK}, {', '.join(TASKS)}."


def select(spec: str) -> tuple[str, ...]:
    """Task names of "sts", "transfer", "all", "rerank" or a comma list of these and of names, in table order.

    "all" is what the papers' tables have, without reranking. Case does not matter. ConfigError names what is unknown
    and the nearest known name.
    """
    known = {name.lower(): (name,) for name in TASKS} | _GROUPS
    chosen: set[str] = set()
    for word in filter(None, (word.strip() for word in spec.split(","))):
        if word.lower() not in known:
            near = [name for name in TASKS if name.lower().startswith(word.lower())]
            near = near or difflib.get_close_matches(word.lower(), [*map(str.lower, TASKS), *_GROUPS], 1, 0.5)
            guess = (
                f"Did you mean {known[near[0].lower()][0] if near[0] not in _GROUPS else near[0]}? "
                if near
                else ""
            )
            raise ConfigError(f"tasks: {word!r} is no task.", f"{guess}{_KNOWN}")
        chosen.update(known[word.lower()])
    if not chosen:
        raise ConfigError("tasks: none is named.", _KNOWN)
    return tuple(name for name in EVERY if name in chosen)
