"""Whether a folder holds the evaluation data, whole and in English. The reading is the engine's, in a child process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from claif_tui.core.engine_child import ask
from claif_tui.core.errors import InputError

DEV = {"stsb": "STSBenchmark dev", "sickr": "SICKRelatedness trial"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetState:
    """One evaluation set: ``n`` of the ``expected`` samples; ``fingerprint`` of what is complete, else the ``problem``.

    ``possessive`` is how this copy writes it, ``'s``, ``' s`` or both; "" where the text has none or was not read.
    """

    name: str
    state: Literal["complete", "missing", "broken"]
    n: int
    expected: int
    language: str = ""
    fingerprint: str = ""
    possessive: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCheck:
    """What a folder holds, in the order of the papers' tables, then the dev sets."""

    data: Path
    sets: tuple[SetState, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or broken."""
        return all(one.state == "complete" for one in self.sets)


def check(folder: Path) -> DataCheck:
    """Read every evaluation set below a folder; takes seconds. Raises ``InputError`` if there is no such folder."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder", "Name the folder of the evaluation data (SentEval's layout)."
        )
    found = ask("engine.evaluate.check", (str(folder.absolute()),))
    sets = [_state(name, about) for name, about in found["tasks"].items()]
    sets += [_state(DEV[name], about) for name, about in found["dev"].items()]
    return DataCheck(data=folder, sets=tuple(sets))


def _state(name: str, about: dict[str, Any]) -> SetState:
    count = about.get("n", 0)
    return SetState(
        name=name,
        state=about["state"],
        n=count,
        expected=about.get("expected", count),
        language=about.get("language", ""),
        fingerprint=about.get("fingerprint", ""),
        possessive=about.get("possessive", ""),
        problem=about.get("problem", ""),
    )
