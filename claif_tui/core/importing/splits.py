"""Which files and rows are held-out data, so that a test split cannot become training text by accident."""

from __future__ import annotations

import re
from dataclasses import dataclass

from claif_tui.core.importing.opening import FileFacts
from claif_tui.core.importing.types import Format, ImportOptions
from claif_tui.core.models import Split

_WORDS: dict[str, Split] = {
    "test": "test",
    "tst": "test",
    "testing": "test",
    "dev": "dev",
    "devel": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "trial": "dev",
    "train": "train",
    "training": "train",
    "trn": "train",
}
_TOKEN = re.compile(r"[a-z]+")
_KEEP = "To keep it apart on purpose:"
_MISLEADS = "If the name misleads: --split train --allow-test"
_STSB_ROWS: dict[int, Split] = {1379: "test", 1500: "dev"}


@dataclass(frozen=True, slots=True)
class SplitGuess:
    """The split a file belongs to, why, and (when it cannot be imported as asked) the refusal and its hint."""

    split: Split
    why: str
    refusal: str = ""
    hint: str = ""


def word_split(cell: object) -> Split | None:
    """Return the split that a cell such as "validation" names, or None."""
    return _WORDS.get(str(cell).strip().casefold()) if cell is not None else None


def decide_split(facts: FileFacts, layout: Format, options: ImportOptions) -> SplitGuess:
    """Decide where the rows of a file belong and whether they may go there.

    Held-out files are refused as seeds, pairs and triplets unless the user says so: ``--split dev`` for a dev
    file, ``--split test --allow-test`` for a test file, and ``--allow-test`` to call either of them train. Gold
    labels may come from any split: they are never trained on without being asked for.
    """
    found, clue = _found(facts, layout)
    why = clue
    chosen = options.split or found or "train"
    if options.split is not None and options.split == found:
        why = f"as named, and {why}"
    elif options.split is not None:
        why = f"as named, although {why}" if found else "as named"
    why = why or "nothing says otherwise"
    if options.role == "gold" or options.allow_test:
        return SplitGuess(chosen, why)
    name, what = facts.path.name, "seeds" if options.role == "seeds" else "training pairs"
    if chosen == "test":
        return SplitGuess(
            chosen,
            why,
            f"{name} is test data ({why}): it must not become {what} by accident",
            f"{_KEEP} --split test --allow-test. {_MISLEADS}",
        )
    if found not in (None, "train") and options.split != found:
        return SplitGuess(
            chosen,
            why,
            f"{name} looks like {found} data ({clue}): it must not become {what} by accident",
            f"{_KEEP} --split {found}. {_MISLEADS}",
        )
    return SplitGuess(chosen, why)


def _found(facts: FileFacts, layout: Format) -> tuple[Split | None, str]:
    if layout == "stsb" and facts.lines in _STSB_ROWS:
        split = _STSB_ROWS[facts.lines]
        return split, f"{facts.lines:,} rows in STS-B's layout are its {split} split"
    words = {_WORDS[word]: word for word in _TOKEN.findall(facts.path.name.casefold()) if word in _WORDS}
    for split in ("test", "dev", "train"):  # the most careful reading of "train_test.csv" wins
        if split in words:
            return split, f"its name says {words[split]!r}"
    parent = _TOKEN.findall(facts.path.absolute().parent.name.casefold())
    if parent and _WORDS.get(parent[-1], "train") != "train":
        return _WORDS[parent[-1]], f"its folder's name says {parent[-1]!r}"
    return None, ""
