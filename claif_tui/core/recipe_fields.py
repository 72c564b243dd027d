"""What a recipe field is and how a value becomes one: types, ranges, errors that name it. No values here."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from claif_tui.core.errors import RecipeError
from claif_tui.core.masking import rate_permille
from claif_tui.core.prompts import TemplateKind, require_template
from claif_tui.core.systems.material import parse

Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]
FieldKind = Literal["bool", "int", "float", "str", "text", "choice", "rates", "patterns", "material"]

_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One knob. ``name`` is public and dotted (TOML table and key), ``attr`` the attribute of ``Recipe``.

    ``low`` and ``high`` are inclusive. ``affects``: "requests" changes what is asked of a model or how answers
    are read, "export" only what post-processing makes of the pairs, "label" nothing. ``template`` marks a
    prompt; ``empty`` allows an empty text; ``systems`` are those that the field means something to, () all of them.
    """

    name: str
    attr: str
    kind: FieldKind
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    template: TemplateKind | None = None
    empty: bool = False
    systems: tuple[str, ...] = ()
    affects: Literal["requests", "export", "label"] = "requests"

    @property
    def expected(self) -> str:
        """What a value must be, in words: "a number from 0 to 1"."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "rates":
            return "different numbers from 0 to 1 with at most three decimals, as in [0.0, 0.1, 0.3]"
        if self.kind == "patterns":
            return "a list of regular expressions"
        if self.kind == "material":
            return "TOML as `claif-tui recipe material` prints it"
        words = {"bool": "true or false", "int": "a whole number", "float": "a number"}.get(self.kind, "text")
        if self.low is not None and self.high is not None:
            return f"{words} from {self.low:g} to {self.high:,}"
        return words


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known field closest to ``name``, or where to find them all."""
    options = list(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if not close:
        tail = name.rpartition(".")[2]
        close = [option for option in options if option.rpartition(".")[2] == tail]
    if close:
        return f"Did you mean {close[0]}?"
    return "`claif-tui recipe show` lists the fields."


def format_value(value: Value) -> str:
    """Write a value so that ``coerce`` reads it back: what `recipe show` prints and a text field holds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        if all(isinstance(item, float) for item in value):
            return ", ".join(str(item) for item in value)
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def coerce(spec: FieldSpec, value: object) -> Value:
    """Return ``value`` as what ``spec`` wants, reading strings; raise ``RecipeError`` naming the field."""
    if spec.kind == "rates":
        return _rates(spec, value)
    if spec.kind == "patterns":
        return _patterns(spec, value)
    if spec.kind in {"str", "text", "choice"}:
        return _text(spec, value)
    if spec.kind == "material":
        return _material(spec, value)
    if spec.kind == "bool":
        if isinstance(value, str):
            value = _WORDS.get(value.strip().lower(), value)
        if isinstance(value, bool):
            return value
        raise _wrong(spec, value)
    return _number(spec, value)


def _wrong(spec: FieldSpec, value: object) -> RecipeError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    close = difflib.get_close_matches(str(value), spec.choices, n=1, cutoff=0.5)
    return RecipeError(
        f"{spec.name} is {shown}, expected {spec.expected}", f"Did you mean {close[0]}?" if close else ""
    )


def _number(spec: FieldSpec, value: object) -> int | float:
    if isinstance(value, str):
        word = value.strip().lower()
        if word == "off" and spec.low == 0:
            return 0 if spec.kind == "int" else 0.0
        try:
            value = int(word) if spec.kind == "int" else float(word)
        except ValueError:
            raise _wrong(spec, value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(spec, value)
    if spec.kind == "int" and not isinstance(value, int):
        raise _wrong(spec, value)
    number = value if spec.kind == "int" else float(value)
    below = spec.low is not None and number < spec.low
    above = spec.high is not None and number > spec.high
    if below or above or not math.isfinite(number):
        raise _wrong(spec, value)
    return number + 0  # -0.0 becomes 0.0, so that equal recipes have equal ids


def _text(spec: FieldSpec, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(spec, value)
    if spec.kind == "choice":
        if value.strip() not in spec.choices:
            raise _wrong(spec, value)
        return value.strip()
    if spec.kind == "str":
        value = value.strip()
    if not value.strip() and not spec.empty:
        raise RecipeError(f"{spec.name} is empty, expected text")
    if any((ord(char) < 32 and char not in "\n\t") or 0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise RecipeError(f"{spec.name} holds control characters", "Only line breaks and tabs may stand in it.")
    if spec.template:
        require_template(spec.template, value, spec.name)
    return value


def _material(spec: FieldSpec, value: object) -> str:
    text = _text(spec, value)
    if text.strip():
        parse(text)
    return text if text.strip() else ""


def _rates(spec: FieldSpec, value: object) -> tuple[float, ...]:
    if isinstance(value, str):
        value = value.strip().strip("[]()").replace(",", " ").split()
    elif isinstance(value, int | float):
        value = [value]
    if not isinstance(value, list | tuple) or not value:
        raise _wrong(spec, value)
    permille: list[int] = []
    for item in value:
        try:
            number = float(item) if isinstance(item, str) else item
        except ValueError:
            raise RecipeError(f"{spec.name} holds {item!r}, expected {spec.expected}") from None
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise RecipeError(f"{spec.name} holds {item!r}, expected {spec.expected}")
        try:
            permille.append(rate_permille(number))
        except RecipeError as error:
            raise RecipeError(f"{spec.name}: {error.message}", error.hint) from None
    double = next((rate for rate in permille if permille.count(rate) > 1), None)
    if double is not None:
        raise RecipeError(f"{spec.name} holds {double / 1000} twice", "Name each rate once.")
    return tuple(rate / 1000 for rate in sorted(permille))


def _patterns(spec: FieldSpec, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip().startswith("[") else value.splitlines()
        except ValueError:
            raise _wrong(spec, value) from None
    if not isinstance(value, list | tuple):
        raise _wrong(spec, value)
    for pattern in value:
        if not isinstance(pattern, str) or not pattern.strip():
            raise RecipeError(f"{spec.name} holds {pattern!r}, expected {spec.expected}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise RecipeError(
                f"{spec.name}: {pattern!r} is no regular expression: {error}",
                "Escape ( [ * ? with a backslash.",
            ) from error
    return tuple(str(pattern) for pattern in value)
