"""The filter language of Review and the command line: text to a checked tree to SQL with bound values.

``field op value``, joined by and, or, not and parentheses. A missing value fails every comparison and passes
every ``!=`` and ``not``. No database here: the SQL speaks of one row of ``states`` under the alias ``s``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

from claif_tui.core.errors import FilterError
from claif_tui.core.models import STATUSES
from claif_tui.core.store.codes import CLASSES, KINDS, SPLITS
from claif_tui.core.text import cell_width, display_text

Op = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
Value = float | str | bool | None
Sql = tuple[str, list[object]]

MAX_LENGTH = 4000
MAX_DEPTH = 50
MAX_TERMS = 100
"""SQLite itself has limits on depth; ours are lower and say so."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field op value``. None stands for the word none: no value."""

    field: str
    op: Op
    value: Value

    def __str__(self) -> str:
        return f"{self.field} {self.op} {_spell(self.value, FIELDS[self.field].kind)}"


@dataclass(frozen=True, slots=True)
class Not:
    """Everything that ``item`` does not match."""

    item: Node

    def __str__(self) -> str:
        return f"not {_inner(self.item)}"


@dataclass(frozen=True, slots=True)
class And:
    """What all items match; at least two."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(_inner(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Or:
    """What any item matches; at least two."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(_inner(item) for item in self.items)


Node = Comparison | Not | And | Or


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed expression; ``root`` None matches every pair."""

    root: Node | None = None

    def __str__(self) -> str:
        return "" if self.root is None else str(self.root)

    def conjuncts(self) -> tuple[Node, ...]:
        """The parts that must all hold."""
        if self.root is None:
            return ()
        return self.root.items if isinstance(self.root, And) else (self.root,)

    def sql(self) -> Sql:
        """Return a condition on ``s`` (a row of states) and its bound values."""
        return ("1", []) if self.root is None else _sql(self.root)

    def without(self, field: str) -> Filter:
        """The same filter less its conditions on ``field`` that must hold by themselves."""
        kept = tuple(
            node for node in self.conjuncts() if not (isinstance(node, Comparison) and node.field == field)
        )
        if not kept:
            return Filter()
        return Filter(kept[0] if len(kept) == 1 else And(kept))

    def fixed(self, field: str) -> Value:
        """The one value that ``field`` must equal by a condition of its own; None without such a condition."""
        for node in self.conjuncts():
            if isinstance(node, Comparison) and node.field == field and node.op == "=":
                return node.value
        return None


def parse(expression: str) -> Filter:
    """Read a filter; blank text matches everything. ``FilterError`` shows the place and what was expected."""
    return _Parser(expression).parse()


FieldKind = Literal["number", "whole", "word", "name", "path", "flag", "switch"]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to filter by: its kind, its column in states, and the words it may have, if they are few."""

    kind: FieldKind
    column: str
    words: tuple[str, ...] = ()
    optional: bool = False
    """Whether a pair may have no value, so that ``field = none`` makes sense."""


FIELDS: dict[str, Field] = {
    "score": Field("number", "score", optional=True),
    "rate": Field("number", "rate", optional=True),
    "status": Field("word", "status", STATUSES),
    "system": Field("name", "system"),
    "model": Field("name", "model", optional=True),
    "flag": Field("flag", "flags", optional=True),
    "length": Field("whole", "length"),
    "author": Field("name", "author", optional=True),
    "kind": Field("word", "kind", KINDS),
    "class": Field("word", "class", CLASSES),
    "split": Field("word", "split", SPLITS),
    "source": Field("path", "source_id", optional=True),
    "stale": Field("switch", "stale"),
    "edited": Field("switch", "edited"),
    "gold": Field("number", "gold", optional=True),
    "triplet": Field("switch", "triplet"),
    "negative": Field("number", "negative", optional=True),
    "encoder": Field("number", "encoder", optional=True),
    "gap": Field("number", "gap", optional=True),
    "id": Field("whole", "pair_id"),
}
"""Every field, the promised ones first."""

_SWITCH = {
    "yes": True,
    "true": True,
    "on": True,
    "1": True,
    "no": False,
    "false": False,
    "off": False,
    "0": False,
}
_KEYWORDS = frozenset({"and", "or", "not", "none"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_BARE = re.compile(r"[\w./:@%+*,;&|#$?{}\[\]\\^`-]+")
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<op><=|>=|!=|==|[=<>~])|(?P<paren>[()])|(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<bare>[^\s()"'=<>!~]+)""",
    re.DOTALL,
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


_TokenKind = Literal["op", "paren", "quoted", "bare", "end"]
_TOKEN_KINDS: dict[str, _TokenKind] = {"op": "op", "paren": "paren", "quoted": "quoted", "bare": "bare"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _TokenKind
    text: str
    start: int
    end: int

    def word(self) -> str:
        """The keyword that this is, in lower case; empty if it is none."""
        lower = self.text.lower()
        return lower if self.kind == "bare" and lower in _KEYWORDS else ""


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._terms = 0
        if len(expression) > MAX_LENGTH:
            self._fail(f"The filter is longer than {MAX_LENGTH:,} characters", (0, 1))
        bad = _UNSTORABLE.search(expression)
        if bad:
            self._fail("A character that no text can hold", bad.span())
        self._tokens = self._split()
        self._at = 0

    def parse(self) -> Filter:
        if self._peek().kind == "end":
            return Filter()
        node = self._either(0)
        token = self._peek()
        if token.kind != "end":
            if token.text == ")":
                self._fail("This parenthesis closes nothing", token)
            hint = "Join conditions with and / or. A value with blanks goes in quotes."
            self._fail('Expected "and", "or" or the end', token, hint)
        return Filter(node)

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:
                if self._text[at] in "\"'":
                    self._fail("This quote is not closed", (at, at + 1))
                self._fail(
                    '"!" alone means nothing here',
                    (at, at + 1),
                    "Unequal is !=; the opposite of a condition is not (…).",
                )
            kind = _TOKEN_KINDS.get(found.lastgroup or "")
            if kind is not None:
                tokens.append(_Token(kind, found.group(), at, found.end()))
            at = found.end()
        tokens.append(_Token("end", "", at, at + 1))
        return tokens

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _either(self, depth: int) -> Node:
        return self._joined("or", self._both, Or, depth)

    def _both(self, depth: int) -> Node:
        return self._joined("and", self._one, And, depth)

    def _joined(self, word: str, part: Callable[[int], Node], joined: type[And] | type[Or], depth: int) -> Node:
        items = [part(depth)]
        while self._peek().word() == word:
            self._next()
            items.append(part(depth))
        if len(items) == 1:
            return items[0]
        # (a and b) and c is the same as a and b and c.
        flat: list[Node] = []
        for item in items:
            flat += item.items if isinstance(item, joined) else (item,)
        return joined(tuple(flat))

    def _one(self, depth: int) -> Node:
        token = self._peek()
        if depth > MAX_DEPTH:
            self._fail(f"Nested deeper than {MAX_DEPTH} levels", token)
        if token.word() == "not":
            self._next()
            return Not(self._one(depth + 1))
        if token.text == "(" and token.kind == "paren":
            self._next()
            node = self._either(depth + 1)
            closing = self._next()
            if closing.text != ")" or closing.kind != "paren":
                self._fail(f'Expected ")" for the "(" in column {token.start + 1}', closing)
            return node
        return self._comparison()

    def _comparison(self) -> Comparison:
        token = self._next()
        if token.kind != "bare" or token.word():
            self._fail("Expected a field", token, f"Fields: {', '.join(FIELDS)}.")
        name = token.text.lower()
        field = FIELDS.get(name)
        if field is None:
            self._fail(f'Unknown field "{token.text}"', token, _meant(name, tuple(FIELDS), "Fields"))
        self._terms += 1
        if self._terms > MAX_TERMS:
            self._fail(f"More than {MAX_TERMS} conditions", token)
        sign = self._next()
        if sign.kind != "op":
            self._fail(
                f'Expected a comparison after "{name}"',
                sign,
                "One of = != < <= > >= ~ (contains).",
            )
        op = _op(sign.text)
        ordered = field.kind in ("number", "whole")
        if op == "~" and (ordered or field.kind == "switch"):
            self._fail(f'"~" (contains) does not fit "{name}"', sign, "It is for words and names.")
        if op in ("<", "<=", ">", ">=") and not ordered:
            self._fail(f'"{name}" has no order', sign, "Use =, != or ~ (contains).")
        return Comparison(name, op, self._value(name, field, op))

    def _value(self, name: str, field: Field, op: Op) -> Value:
        token = self._next()
        if token.kind not in ("bare", "quoted") or token.word() in ("and", "or", "not"):
            self._fail(
                f'Expected a value after "{op}"',
                token,
                "Values with blanks or signs go in quotes.",
            )
        if token.word() == "none":
            if not field.optional:
                self._fail(f'Every pair has a "{name}"', token)
            if op not in ("=", "!="):
                self._fail('"none" goes with = or !=', token)
            return None
        text = (
            token.text if token.kind == "bare" else re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        )
        match field.kind:
            case "number" | "whole":
                if not _NUMBER.fullmatch(text):
                    self._fail(
                        f'"{name}" is compared with a number',
                        token,
                        "For example: score >= 0.5.",
                    )
                return float(text)
            case "switch":
                if text.lower() not in _SWITCH:
                    self._fail(f'"{name}" is yes or no', token)
                return _SWITCH[text.lower()]
            case "word":
                return self._known_word(name, field, op, text.lower(), token)
            case _:
                if not text:
                    self._fail("An empty value", token, "No value at all is: none.")
                return text

    def _known_word(self, name: str, field: Field, op: Op, text: str, token: _Token) -> str:
        fits = any(text in word for word in field.words) if op == "~" else text in field.words
        if not fits or not text:
            self._fail(f'No pair has {name} "{text}"', token, _meant(text, field.words, "One of"))
        return text

    def _fail(self, what: str, place: _Token | tuple[int, int], hint: str = "") -> NoReturn:
        """Raise with the part of the expression around the fault and a caret line under it."""
        start, end = (place.start, place.end) if isinstance(place, _Token) else place
        begin = max(0, start - 50)
        shown = display_text(self._text[begin : start + 30], one_line=True)
        lead = display_text(self._text[begin:start], one_line=True)
        marked = display_text(self._text[start : min(end, start + 30)], one_line=True)
        line = f"  {'…' if begin else ''}{shown}{'…' if start + 30 < len(self._text) else ''}"
        caret = " " * (2 + (1 if begin else 0) + cell_width(lead)) + "^" * max(1, cell_width(marked))
        what = display_text(what, limit=120, one_line=True)
        raise FilterError(f"{what} (column {start + 1})\n{line}\n{caret}", hint)


def _op(text: str) -> Op:
    match text:
        case "!=" | "<" | "<=" | ">" | ">=" | "~":
            return text
        case _:
            return "="


def _meant(word: str, known: tuple[str, ...], label: str) -> str:
    """A "did you mean" if one of ``known`` is near, and the list in any case."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    listed = f"{label}: {', '.join(known)}."
    return f'Did you mean "{near[0]}"? {listed}' if near else listed


def _inner(node: Node) -> str:
    return f"({node})" if isinstance(node, And | Or) else str(node)


def _spell(value: Value, kind: FieldKind) -> str:
    """Write a value so that it parses back to itself."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if _BARE.fullmatch(value) and value.lower() not in _KEYWORDS:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _sql(node: Node) -> Sql:
    if isinstance(node, Comparison):
        return _compare(node)
    if isinstance(node, Not):
        inner, values = _sql(node.item)
        return f"({inner}) IS NOT TRUE", values
    word = " AND " if isinstance(node, And) else " OR "
    parts = [_sql(item) for item in node.items]
    return "(" + word.join(part for part, _ in parts) + ")", [value for _, values in parts for value in values]


def _compare(node: Comparison) -> Sql:
    """The condition of one comparison; a column stands alone on its left, so that an index can serve."""
    field, op, value = FIELDS[node.field], node.op, node.value
    column = f"s.{field.column}"
    if field.kind == "flag":
        return _compare_flag(op, value)
    if value is None:
        return f"{column} IS {'NOT ' if op == '!=' else ''}NULL", []
    match field.kind:
        case "number" | "whole":
            return (f"{column} IS NOT ?", [value]) if op == "!=" else (f"{column} {op} ?", [value])
        case "switch":
            return f"{column} {op} ?", [int(bool(value))]
        case "word":
            if op == "~":
                fits = [index for index, word in enumerate(field.words) if str(value) in word]
                return f"{column} IN ({', '.join('?' * len(fits))})", list(fits)
            return f"{column} {op} ?", [field.words.index(str(value))]
        case "path":
            if op == "~":
                test, values = "instr(lower(path), lower(?)) > 0", [value]
            else:  # the whole path, or its end after a slash
                test = "lower(path) = lower(?) OR substr(lower(path), -length(?) - 1) = '/' || lower(?)"
                values = [value, value, value]
            return _among(f"{column} IN (SELECT id FROM sources WHERE {test})", list(values), op)
        case _:
            test = "instr(lower(name), lower(?)) > 0" if op == "~" else "lower(name) = lower(?)"
            chosen = f"{column} IN (SELECT id FROM names WHERE kind = '{node.field}' AND {test})"
            return _among(chosen, [value], op)


def _among(condition: str, values: list[object], op: Op) -> Sql:
    return (f"({condition}) IS NOT TRUE" if op == "!=" else condition), values


def _compare_flag(op: Op, value: Value) -> Sql:
    if value is None:
        return f"s.flags {'<>' if op == '!=' else '='} 0", []
    test = "instr(lower(name), lower(?)) > 0" if op == "~" else "lower(name) = lower(?)"
    bits = f"(SELECT coalesce(sum(1 << id), 0) FROM names WHERE kind = 'flag' AND {test})"
    return f"(s.flags & {bits}) {'=' if op == '!=' else '<>'} 0", [value]
