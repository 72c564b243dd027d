"""Text from data as LaTeX that means the same text and compiles with pdflatex: T1 encoding, textcomp, booktabs."""

from __future__ import annotations

import re

from claif_tui.core.text import display_text

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    **{sign: f"\\{sign}" for sign in "#$%&_"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\ldots{}",
    "·": r"\textperiodcentered{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": "$-$",
    "€": r"\texteuro{}",
    "\u00a0": "~",
}
# Signs up to U+017F for which T1 has no letter.
_MISSING = frozenset("ĦħĸĿŀŉŦŧſ¤¦¨¯´¸­")
_LAST = "\u017f"
# Two of these in a row would become one other sign.
_JOINS = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[?!])(?=`)")


def tex(text: str) -> str:
    """A text on one line as LaTeX. A sign that pdflatex may not know is written as [U+4E2D]."""
    plain = _JOINS.sub("\x00", display_text(text, one_line=True))
    return "".join(_sign(sign) for sign in plain)


def _sign(sign: str) -> str:
    if sign == "\x00":
        return "{}"
    if sign in _SIGNS:
        return _SIGNS[sign]
    known = sign <= _LAST and sign.isprintable() and sign not in _MISSING
    return sign if known else f"[U+{ord(sign):04X}]"
