"""`python -m engine.evaluate.check DIR`: which evaluation sets a folder holds, whole or not, in which language.

The answer is one JSON document. Reads everything as an evaluation would, and scores nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.evaluate.data import read_dev, read_sts, read_transfer
from engine.evaluate.files import locate, read_lines
from engine.evaluate.pairs import Pairs
from engine.tasks import TASKS, Task

ENGLISH = "English"
_SCRIPTS = (
    ("Japanese", "\u3040", "\u30ff"),
    ("Korean", "\uac00", "\ud7af"),
    ("Chinese", "\u4e00", "\u9fff"),
    ("Russian or another in Cyrillic letters", "\u0400", "\u04ff"),
    ("Arabic", "\u0600", "\u06ff"),
)
_COMMON = {
    "Portuguese": "de que um uma não para com os está são em do da homem mulher",
    "Spanish": "de que un una no para con los está son en el la hombre mujer",
    "French": "de que un une ne pour avec les est sont dans le la homme femme",
    "German": "der die das ein eine nicht für mit ist sind auf und mann frau",
    ENGLISH: "the of a an not for with is are on and man woman to in",
}
_WORD = re.compile(r"[^\W\d_]+")
_SPACED, _JOINED = re.compile(r" ' s\b"), re.compile(r" 's\b")
_SHARE = 0.05
_SAMPLE = 400


def check(root: Path) -> dict[str, Any]:
    """{data, tasks: {STS12: {state, n, …}}, dev: {stsb: …, sickr: …}}; ``state`` is complete, missing or broken.

    What is complete has its ``fingerprint`` and ``language``; what is not, the ``problem`` in words.
    """
    tasks = {name: _task(root, task) for name, task in TASKS.items()}
    dev = {name: _state(partial(_dev, root, name)) for name in ("stsb", "sickr")}
    return {"data": str(root), "tasks": tasks, "dev": dev}


def language(sentences: Iterable[str]) -> str:
    """Name the language of sentences by their script, else by their commonest words; "unknown" if nothing fits."""
    text = " ".join(sentence for sentence, _ in zip(sentences, range(_SAMPLE), strict=False)).lower()
    letters = sum(map(str.isalpha, text)) or 1
    for name, first, last in _SCRIPTS:
        if sum(first <= sign <= last for sign in text) / letters > _SHARE:
            return name
    words = _WORD.findall(text)
    shares = {
        name: sum(word in common.split() for word in words) / (len(words) or 1)
        for name, common in _COMMON.items()
    }
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] > _SHARE else "unknown"


def possessives(sentences: Iterable[str]) -> str:
    """Say how a copy writes the possessive: the official one ``'s``, others ``' s``; RoBERTa's tokens differ by it."""
    spaced = joined = 0
    for sentence in sentences:
        spaced += len(_SPACED.findall(sentence))
        joined += len(_JOINED.findall(sentence))
    if not spaced and not joined:
        return ""
    return "both" if spaced and joined else "' s" if spaced else "'s"


def _task(root: Path, task: Task) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        if task.kind == "sts":
            return _pairs(read_sts(root, task.name))
        data = read_transfer(root, task.name)
        texts = [text for split in data.splits for text in split.first]
        return _facts(task.n, data.fingerprint, texts)

    return {"expected": task.n, **_state(read, lambda: _sentences(root, task))}


def _dev(root: Path, name: str) -> dict[str, Any]:
    return _pairs(read_dev(root, name))


def _pairs(pairs: Pairs) -> dict[str, Any]:
    return _facts(len(pairs), pairs.fingerprint, [*pairs.first, *pairs.second])


def _facts(count: int, fingerprint: str, texts: list[str]) -> dict[str, Any]:
    return {"n": count, "fingerprint": fingerprint, "language": ENGLISH, "possessive": possessives(texts)}


def _state(read: Callable[[], dict[str, Any]], texts: Callable[[], list[str]] = list) -> dict[str, Any]:
    try:
        return {"state": "complete", **read()}
    except DataError as error:
        state = "missing" if error.message.endswith("is missing.") else "broken"
        found = texts() if state == "broken" else []
        told = {"language": language(found)} if found else {}
        return {"state": state, "problem": error.message, **told}


def _sentences(root: Path, task: Task) -> list[str]:
    """Some text of a task that could not be read, for its language."""
    try:
        folder = locate(root, task.folder)
    except DataError:
        return []
    for name, _ in task.parts:
        for file in (f"STS.input.{name}.txt", name):
            try:
                return [" ".join(line.split("\t")[-2:]) for line in read_lines(folder / file)[:_SAMPLE]]
            except DataError:
                continue
    return []


def main() -> int:
    """Answer; returns the exit code."""
    root = Path(sys.argv[1])
    sys.stdout.write(json.dumps(check(root)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
