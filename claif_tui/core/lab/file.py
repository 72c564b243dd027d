"""Lab files: TOML that names the cells, read with errors that name file, line and field; and one of each to start from.

Whether prompts, models and rows exist in a project is decided in ``cells``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from claif_tui.core.errors import ClaifError, FilterError, InputError
from claif_tui.core.lab.models import CRITERIA, RECIPE_PROMPT, CustomPrompt, LabKind, LabSpec
from claif_tui.core.masking import rate_permille
from claif_tui.core.prompts import SCORE_PROMPTS, require_template
from claif_tui.core.recipe_fields import nearest
from claif_tui.core.session import NO_CAP
from claif_tui.core.store import filters

MAX_ROWS = 5_000
MAX_CELLS = 24
_MAX_BYTES = 1_000_000

EXAMPLES: dict[LabKind, str] = {
    "score": '''\
# A scoring lab: which prompt gives scores that agree with people's labels? Run it: claif-tui lab FILE
# Every cell (prompt x model x temperature) scores the same rows.
kind = "score"

# Gold pairs (claif-tui import --as gold FILE) that every cell scores, drawn by the seed.
rows = 200
seed = 42
# Which gold pairs: the filter language of Review, e.g. "split = dev" or "source = sts-dev.csv". "" takes all.
filter = ""

# Dollars that this lab may spend; "none" takes the cap away. What is stored already costs nothing.
budget = 1.0

# paper, score-and-reason, reason-then-score, or a name of your own from below.
prompts = ["paper", "score-and-reason", "reason-then-score"]

# Models, as "MODEL" or "MODEL @ PROFILE". Without this line: the recipe's.
# models = ["gpt-4o-mini", "gpt-4o @ openai"]

# Sampling temperatures. Without this line: the recipe's score temperature.
# temperatures = [0.0, 0.7]

# [prompt.strict]
# text = """
# How similar are '{sentence1}' and '{sentence2}', from 0.0 (nothing in common) to 1.0 (the same)? Only the number."""
# number = "first"   # which number of the answer is the score: "first", or "last" after a reason
''',
    "generate": """\
# A generation lab: which mask rates and prompts give pairs worth keeping? Run it: claif-tui lab FILE
# Every cell (prompt x rates x model x temperature) starts from the same seeds. Its pairs stay out of the project.
kind = "generate"

# Training sentences that every cell starts from, drawn by the seed; the seed also decides the masks.
rows = 50
seed = 42

# Dollars that this lab may spend; "none" takes the cap away. What is stored already costs nothing.
budget = 1.0

# Each entry is a cell: a mask rate, or a list of rates that go together. Without this line: the recipe's rates.
rates = [0.0, 0.2, 0.5, 0.8, [0.0, 0.2, 0.5]]

# "recipe" is the project's prompts; others are named below.
prompts = ["recipe"]

# What decides: "yield" (share kept by the funnel), "novelty" (new words), "cost" (dollars for a kept pair).
criterion = "yield"

# Models, as "MODEL" or "MODEL @ PROFILE", and sampling temperatures. Without these lines: the recipe's.
# models = ["gpt-4o-mini"]
# temperatures = [0.7, 1.0]

# [prompt.free]
# fill = "Write a sentence of your own in place of '{masked}'; every <mask> may become several words:"
# paraphrase = "Say '{sentence}' in quite other words:"
# system = ""   # the system line; without it the recipe's
""",
}
"""A commented file of each kind, as ``--example`` prints it."""

_PROMPT_KEYS: dict[LabKind, tuple[str, ...]] = {
    "score": ("text", "number"),
    "generate": ("fill", "paraphrase", "system"),
}
_COMMON = ("kind", "rows", "seed", "budget", "prompts", "models", "temperatures", "prompt")
_KEYS: dict[LabKind, tuple[str, ...]] = {
    "score": (*_COMMON, "filter"),
    "generate": (*_COMMON, "rates", "criterion"),
}


class LabError(ClaifError):
    """A lab file, or what it asks of this project, cannot be."""

    title = "Lab"


def load(path: Path) -> LabSpec:
    """Read a lab file; raises ``InputError`` if it cannot be read, ``LabError`` for what is in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "Start from one: claif-tui lab --example score > lab.toml"
        ) from error
    if len(raw) > _MAX_BYTES:
        raise InputError(f"{path} is larger than a megabyte: that is no lab file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start:,})", "Save it as UTF-8.") from error
    return parse(text, str(path))


def parse(text: str, where: str = "lab.toml") -> LabSpec:
    """Read a lab from TOML; ``where`` names the text in errors."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers without end, brackets without end
        raise LabError(f"{where} is not valid TOML: {error}", "Texts need quotes, lists need [ ].") from error
    return _Reader(text, where, data).spec()


class _Reader:
    """Takes a file's values one by one; every complaint names file, line and field."""

    def __init__(self, text: str, where: str, data: Mapping[str, Any]) -> None:
        self._lines = text.splitlines()
        self._where = where
        self._data = data

    def spec(self) -> LabSpec:
        kind = self._kind()
        for name in self._data:
            if name not in _KEYS[kind]:
                raise self._wrong(name, f"there is no field {name!r} in a {kind} lab", _near(name, _KEYS[kind]))
        custom = self._custom(kind)
        return LabSpec(
            kind=kind,
            rows=self._whole("rows", 200 if kind == "score" else 50, 2, MAX_ROWS),
            seed=self._whole("seed", 42, 0, 2**63 - 1),
            filter=self._filter(),
            prompts=self._prompts(kind, custom),
            models=self._each("models", (), _model, 'a list of model names, as in ["gpt-4o-mini"]'),
            temperatures=self._each("temperatures", (), _temperature, "a list of numbers from 0 to 2"),
            rates=self._each("rates", (), _rates, "a list of mask rates from 0 to 1, or of lists of them"),
            budget=self._budget(),
            criterion=self._criterion(kind),
            custom=tuple(custom.values()),
        )

    def _kind(self) -> LabKind:
        kind = self._data.get("kind")
        if kind == "score" or kind == "generate":
            return "score" if kind == "score" else "generate"
        told = "is missing" if kind is None else f"is {kind!r}"
        raise self._wrong("kind", f'kind {told}, expected "score" or "generate"')

    def _whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self._data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(name, f"{name} is {value!r}, expected a whole number from {low:,} to {high:,}")
        return value

    def _filter(self) -> str:
        value = self._data.get("filter", "")
        if not isinstance(value, str):
            raise self._wrong("filter", f"filter is {value!r}, expected a text")
        try:
            filters.parse(value)
        except FilterError as error:
            raise self._wrong("filter", f"filter: {error.message}", error.hint) from None
        return value

    def _each(self, name: str, default: tuple[Any, ...], read: Callable[[Any], Any], expected: str) -> Any:
        """Read a list, each entry by ``read``, which returns None for what it does not know."""
        if name not in self._data:
            return default
        value = self._data[name]
        found = [read(item) for item in value] if isinstance(value, list) else []
        if not found or None in found:
            shown = repr(value if not found else value[found.index(None)])[:60]
            raise self._wrong(name, f"{name} holds {shown}, expected {expected}")
        if len(set(found)) < len(found):
            raise self._wrong(name, f"{name} names something twice", "Name each once.")
        return tuple(found)

    def _prompts(self, kind: LabKind, custom: Mapping[str, CustomPrompt]) -> tuple[str, ...]:
        builtin = SCORE_PROMPTS if kind == "score" else (RECIPE_PROMPT,)
        known = (*builtin, *custom)
        named: tuple[str, ...] = self._each("prompts", builtin, _name, "a list of names of prompts")
        for name in named:
            if name not in known:
                raise self._wrong("prompts", f"there is no prompt {name!r}", _near(name, known))
        unused = [name for name in custom if name not in named]
        if unused:
            hint = "Add it to prompts, or take it out."
            raise self._wrong(f"prompt.{unused[0]}", f"the prompt {unused[0]!r} is in no cell", hint)
        return named

    def _custom(self, kind: LabKind) -> dict[str, CustomPrompt]:
        tables = self._data.get("prompt", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self._wrong("prompt", "prompt is no table", "Write [prompt.NAME], and its texts below.")
        return {name: self._one(kind, name, table) for name, table in tables.items()}

    def _one(self, kind: LabKind, name: str, table: Mapping[str, Any]) -> CustomPrompt:
        place = f"prompt.{name}"
        if name in (*SCORE_PROMPTS, RECIPE_PROMPT) or not re.fullmatch(r"[\w\-]{1,40}", name):
            raise self._wrong(
                place, f"{name!r} cannot be a prompt's name", "Take letters, digits, - and _; no built-in name."
            )
        for key, value in table.items():
            if key not in _PROMPT_KEYS[kind]:
                told = f"{place} has no field {key!r}"
                raise self._wrong(f"{place}.{key}", told, _near(key, _PROMPT_KEYS[kind]))
            if not isinstance(value, str):
                raise self._wrong(f"{place}.{key}", f"{place}.{key} is {value!r}, expected a text")
        number = table.get("number", "first")
        if number not in ("first", "last"):
            raise self._wrong(f"{place}.number", f'{place}.number is {number!r}, expected "first" or "last"')
        needs = ("text",) if kind == "score" else ("fill", "paraphrase")
        if not any(key in table for key in needs):
            raise self._wrong(place, f"{place} has no text", f"Give it {' or '.join(needs)}.")
        for key, template in (("text", "score"), ("fill", "fill"), ("paraphrase", "paraphrase")):
            if key in table:
                try:
                    require_template(template, table[key], f"{place}.{key}")  # type: ignore[arg-type]
                except ClaifError as error:
                    raise self._wrong(f"{place}.{key}", error.message, error.hint) from None
        return CustomPrompt(
            name=name,
            text=table.get("text"),
            number="last" if number == "last" else "first",
            fill=table.get("fill"),
            paraphrase=table.get("paraphrase"),
            system=table.get("system"),
        )

    def _budget(self) -> float | None:
        value = self._data.get("budget")
        if value is None or value == "none":
            return None if value is None else NO_CAP
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self._wrong("budget", f'budget is {value!r}, expected dollars, as in 1.0, or "none"')
        return float(value)

    def _criterion(self, kind: LabKind) -> Any:
        value = self._data.get("criterion", CRITERIA[kind][0])
        if value not in CRITERIA[kind]:
            raise self._wrong("criterion", f"criterion is {value!r}, expected {', '.join(CRITERIA[kind])}")
        return value

    def _wrong(self, name: str, message: str, hint: str = "") -> LabError:
        return LabError(f"{self._place(name)}: {message}", hint or "claif-tui lab --example prints a good one.")

    def _place(self, name: str) -> str:
        """Name the line of a field ("rows", "prompt.mine", "prompt.mine.text"), if a plain look finds it."""
        table = ""
        for number, line in enumerate(self._lines, 1):
            if head := re.match(r"\s*\[\s*([\w.\-\" ]+?)\s*\]", line):
                table = head.group(1).replace(" ", "").replace('"', "") + "."
                if table == f"{name}.":
                    return f"{self._where}, line {number}"
            elif (key := re.match(r"\s*([\w\-]+)\s*=", line)) and table + key.group(1) == name:
                return f"{self._where}, line {number}"
        return self._where


def _near(name: str, known: tuple[str, ...]) -> str:
    hint = nearest(name, known)
    return hint if hint.startswith("Did you mean") else f"Known: {', '.join(known)}."


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _model(value: Any) -> str | None:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        return None
    return value.strip()


def _temperature(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        return None
    return float(value)


def _rates(value: Any) -> tuple[float, ...] | None:
    items = value if isinstance(value, list) else [value]
    try:
        found = [rate_permille(float(item)) / 1000 for item in items if not isinstance(item, bool | str)]
    except (ClaifError, TypeError, ValueError):
        return None
    return tuple(sorted(found)) if found and len(set(found)) == len(items) else None
