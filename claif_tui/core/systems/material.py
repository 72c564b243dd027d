"""SynCSE's material: instructions with their exemplars, genres and topics, read from TOML. No prompts, no draws.

The packaged file is assets/systems/syncse.toml; a recipe's ``syncse.material`` takes its place. Source: methods 10.1.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from claif_tui.core.errors import RecipeError
from claif_tui.core.masking import MASK
from claif_tui.core.paths import asset
from claif_tui.core.text import squash

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe

FIELD = "syncse.material"
Side = Literal["positive", "negative"]
SIDES: tuple[Side, ...] = ("positive", "negative")
_PLACEHOLDER = re.compile(r"\{(?:sentence[12]?|masked|genre|topics|count)\}|" + re.escape(MASK))
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TOP = frozenset({"acknowledgement", "genres", "topics", *SIDES})
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a pool, with the (input, output) exemplars that go with it."""

    name: str
    text: str
    exemplars: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What SynCSE asks with. ``genres`` and ``topics`` may be empty: only sentences from nothing need them."""

    acknowledgement: str
    positive: tuple[Instruction, ...]
    negative: tuple[Instruction, ...]
    genres: tuple[str, ...]
    topics: tuple[str, ...]

    def pool(self, side: Side) -> tuple[Instruction, ...]:
        """The instructions of one side."""
        return self.positive if side == "positive" else self.negative


def packaged_text() -> str:
    """Return the material that comes along, as TOML."""
    return asset("systems/syncse.toml").read_text(encoding="utf-8")


def material_text(recipe: Recipe) -> str:
    """Return the material that a recipe means, as TOML: its own, or the one that comes along."""
    return recipe.material if recipe.material.strip() else packaged_text()


def material_of(recipe: Recipe) -> Material:
    """Return a recipe's material; ``RecipeError`` where it cannot give what the recipe draws from it."""
    material = parse(material_text(recipe))
    if recipe.syncse_prompts == "pools":
        for side in SIDES:
            for one in material.pool(side):
                if len(one.exemplars) < recipe.syncse_exemplars:
                    raise RecipeError(
                        f"syncse.exemplars is {recipe.syncse_exemplars}, and {side}.{one.name} of {FIELD} has "
                        f"{len(one.exemplars)}",
                        "Add exemplars to that instruction, or draw fewer.",
                    )
    if recipe.system == "syncse-scratch":
        if not material.genres:
            raise RecipeError(f"{FIELD} has no genres", "Name some: genres = ['news report', 'diary entry']")
        if len(material.topics) < recipe.scratch_topics:
            raise RecipeError(
                f"scratch.topics is {recipe.scratch_topics}, and {FIELD} has {len(material.topics)} topics",
                "Add topics, or name fewer in one request.",
            )
    return material


def require_material(recipe: Recipe) -> None:
    """Raise ``RecipeError`` where a recipe of SynCSE draws more than its material holds."""
    if recipe.system in ("syncse", "syncse-scratch"):
        material_of(recipe)


@lru_cache(maxsize=8)
def parse(text: str) -> Material:
    """Read material from TOML; ``RecipeError`` names the field and, where it can, the line."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers without end, brackets without end
        raise RecipeError(
            f"{FIELD} is not valid TOML: {error}", "Texts need quotes, lists need [ ]. " + _EXAMPLE
        ) from error
    return _Reader(text).material(data)


_EXAMPLE = "`claif-tui recipe material` prints one that is in order."


class _Reader:
    """Reads one parsed file; knows its text, to say on which line a table or key begins."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def material(self, data: Mapping[str, object]) -> Material:
        for name in data:
            if name not in _TOP:
                raise self._wrong(name, "means nothing here", f"There may be {', '.join(sorted(_TOP))}.")
        if "acknowledgement" not in data:
            raise self._wrong("acknowledgement", "is missing", "It is the model's turn after the instruction.")
        return Material(
            acknowledgement=self._text("acknowledgement", data["acknowledgement"], lines=True),
            positive=self._pool("positive", data.get("positive")),
            negative=self._pool("negative", data.get("negative")),
            genres=self._names("genres", data.get("genres", [])),
            topics=self._names("topics", data.get("topics", [])),
        )

    def _pool(self, side: Side, value: object) -> tuple[Instruction, ...]:
        if not isinstance(value, dict) or not value:
            raise self._wrong(
                side, "has no instruction", f"Give at least one table: [{side}.{side[0].upper()}1]"
            )
        return tuple(self._instruction(f"{side}.{name}", table) for name, table in value.items())

    def _instruction(self, name: str, value: object) -> Instruction:
        if not isinstance(value, dict):
            raise self._wrong(name, "is no table", f"Write [{name}] and below it instruction and exemplars.")
        for key in value:
            if key not in ("instruction", "exemplars"):
                raise self._wrong(name, f"has a key {key!r}", "There may be instruction and exemplars.")
        if "instruction" not in value:
            raise self._wrong(name, "has no instruction", "Add instruction = '...', what the model is asked.")
        text = self._text(f"{name}.instruction", value["instruction"], lines=True)
        exemplars = value.get("exemplars", [])
        if not isinstance(exemplars, list):
            raise self._wrong(name, "has exemplars that are no list", "Write exemplars = [['input', 'output']]")
        found: dict[str, tuple[str, str]] = {}
        for number, pair in enumerate(exemplars, 1):
            where = f"{name}, exemplar {number}"
            if not isinstance(pair, list) or len(pair) != 2:
                raise self._wrong(where, "is no pair of texts", "Write ['input', 'output'].")
            given, wanted = (self._text(where, part) for part in pair)
            if squash(given).casefold() == squash(wanted).casefold():
                raise self._wrong(where, f"answers {_shown(given)} with itself", "Its output must differ.")
            if squash(given).casefold() in found:
                raise self._wrong(
                    where, f"has the input of an earlier one: {_shown(given)}", "Keep one of them."
                )
            found[squash(given).casefold()] = (given, wanted)
        return Instruction(name.partition(".")[2], text, tuple(found.values()))

    def _names(self, name: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self._wrong(name, "is no list", f"Write {name} = ['one', 'another'].")
        names = tuple(self._text(name, item) for item in value)
        folded = [one.casefold() for one in names]
        double = next((one for one in names if folded.count(one.casefold()) > 1), None)
        if double is not None:
            raise self._wrong(name, f"holds {_shown(double)} twice", "Name each once.")
        return names

    def _text(self, name: str, value: object, *, lines: bool = False) -> str:
        if not isinstance(value, str):
            raise self._wrong(name, f"holds {_shown(repr(value))}, which is no text", "Texts stand in quotes.")
        if not value.strip():
            raise self._wrong(name, "holds an empty text", "Write it, or take it away.")
        if _CONTROL.search(value):
            raise self._wrong(name, f"holds control characters: {_shown(value)}", "Take them out.")
        if not lines and ("\n" in value or "\t" in value):
            raise self._wrong(name, f"holds a line break or a tab: {_shown(value)}", "Write it on one line.")
        if hole := _PLACEHOLDER.search(value):
            raise self._wrong(
                name, f"holds {hole.group()}, which nothing is put into", "The sentence follows by itself."
            )
        return value.strip()

    def _wrong(self, name: str, what: str, hint: str) -> RecipeError:
        line = self._line(name)
        place = f"{FIELD}: line {line}: {name}" if line else f"{FIELD}: {name}"
        return RecipeError(f"{place} {what}", f"{hint} {_EXAMPLE}")

    def _line(self, name: str) -> int | None:
        """Return the line of the table or key that ``name`` begins with, if a plain look finds it."""
        table = re.escape(".".join(name.partition(",")[0].split(".")[:2]))
        head = re.compile(rf"\s*(?:\[\s*{table}\s*\]|{table}\s*=)")
        return next((number for number, line in enumerate(self._lines, 1) if head.match(line)), None)


def _shown(text: str) -> str:
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", squash(text))
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
