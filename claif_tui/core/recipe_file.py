"""``recipe.toml``: read with errors that name file, line and field, written with the user's comments kept.

What the fields mean is in ``claif_tui.core.recipes``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claif_tui.core.atomic import replacing
from claif_tui.core.errors import InputError, RecipeError
from claif_tui.core.recipe_fields import Value, nearest
from claif_tui.core.recipes import BY_NAME, Recipe, changes, fields_of, from_values

if TYPE_CHECKING:
    from tomlkit.items import Item

_MAX_BYTES = 1_000_000
_HEAD = "The recipe: what is asked of the model, and what is made of its answers."
_NOTES = {
    "masks": "Each seed is masked at every rate.",
    "prompts.chat": "Placeholders are {masked}, {sentence}, {sentence1}, {sentence2}; other braces are text.",
    "post": "Applied on export only: the project keeps every pair and its raw score.",
}


def load(path: Path) -> Recipe:
    """Read a recipe file; raises ``InputError`` if it cannot be read, ``RecipeError`` for what is in it."""
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return the text of a recipe file, for ``parse`` and ``update_toml``; raises ``InputError``."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "`claif-tui init` writes a recipe."
        ) from error
    if len(raw) > _MAX_BYTES:
        raise InputError(f"{path} is larger than a megabyte: that is no recipe")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start:,})",
            "Save it as UTF-8, or take an earlier copy of it.",
        ) from error


def parse(text: str, where: str = "recipe.toml") -> Recipe:
    """Read a recipe from TOML; missing fields come from its preset. ``where`` names the text in errors."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers without end, brackets without end
        raise RecipeError(
            f"{where} is not valid TOML: {error}", "Texts need quotes, lists need [ ]."
        ) from error
    values: dict[str, object] = {}
    for name, value in _flatten(data):
        if name not in BY_NAME:
            raise RecipeError(
                f"{_place(where, text, name)}: there is no recipe field {name!r}", nearest(name, BY_NAME)
            )
        values[name] = value
    try:
        return from_values(values)
    except RecipeError as error:
        name = error.message.split()[0].rstrip(":")
        raise RecipeError(f"{_place(where, text, name)}: {error.message}", error.hint) from error


def dump(recipe: Recipe) -> str:
    """Return the whole recipe as TOML, every field with its meaning as a comment."""
    lines = [f"# {_HEAD}"]
    table = ""
    fields = fields_of(recipe.system)
    tables = list(dict.fromkeys(spec.name.rpartition(".")[0] for spec in fields))
    for spec in sorted(fields, key=lambda spec: tables.index(spec.name.rpartition(".")[0])):
        head, _, key = spec.name.rpartition(".")
        if head != table:
            lines += ["", f"[{head}]"]
            if head in _NOTES:
                lines.append(f"# {_NOTES[head]}")
            table = head
        plain = spec.kind in {"str", "text", "bool", "patterns", "material"}
        shown = spec.help if plain else f"{spec.help} ({spec.expected})"
        lines.append(f"# {shown}")
        lines.append(f"{key} = {_item(getattr(recipe, spec.attr)).as_string()}")
    return "\n".join(lines) + "\n"


def update_toml(text: str, new: Mapping[str, Value]) -> str:
    """Return ``text`` with the fields in ``new`` (dotted names) set, everything else as the user wrote it."""
    import tomlkit

    document = tomlkit.parse(text)
    for name, value in new.items():
        *tables, key = name.split(".")
        place: MutableMapping[str, Any] = document
        for table in tables:
            if table not in place:
                place[table] = tomlkit.table()
            place = place[table]
        place[key] = _item(value)
    return tomlkit.dumps(document)


def save(path: Path, recipe: Recipe) -> None:
    """Write the recipe to ``path`` atomically: only changed fields are touched, comments stay.

    A file that is missing is written whole; one that does not parse raises as ``load`` does and is left alone.
    """
    if path.exists():
        text = read_text(path)
        new = changes(parse(text, str(path)), recipe)
        if not new:
            return
        text = update_toml(text, new)
    else:
        text = dump(recipe)
    _replace(path, text)


def _replace(path: Path, text: str) -> None:
    try:
        with replacing(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Nothing was changed.") from error


def _flatten(data: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value); a known field ends the descent, so its value is checked as what it is."""
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in BY_NAME:
            yield from _flatten(value, f"{name}.")
        else:
            yield name, value


def _place(where: str, text: str, name: str) -> str:
    """Return ``where`` with the line on which ``name`` is set, if a plain look finds it."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\s*([\w.\- ]+?)\s*\]", line):
            table = head.group(1).replace(" ", "") + "."
        elif (key := re.match(r"\s*([\w.\-]+)\s*=", line)) and table + key.group(1) == name:
            return f"{where}, line {number}"
    return where


def _item(value: Value) -> Item:
    import tomlkit

    if isinstance(value, str) and "\n" in value:
        return tomlkit.string(value, multiline=True)
    return tomlkit.item(list(value) if isinstance(value, tuple) else value)
