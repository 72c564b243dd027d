"""Texts that break terminals, markup and layouts; each must be shown as text, on every screen."""

from __future__ import annotations

HOSTILE: tuple[str, ...] = (
    "The [MASK] sat on the [CLS] mat [SEP]",
    "[/foo] [/] stray closing tags",
    "[@click=app.quit]press me[/]",
    "[red]not red[/red] [$primary]x[/] [ x ] a[i] \\[b]",
    "\x1b]52;c;aGk=\x07 writes the clipboard",
    "\x1b[31mred\x1b[0m \x1b[2J \x1bP1;2q\x1b\\ device control",
    "\x9b31m C1 \x90 \x9d0;title\x9c",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u061c \ufeff bidi",
    "NUL \x00 BEL \x07 BS \x08 DEL \x7f VT \x0b FF \x0c CR \r end",
    "line one\nline two\u2028line three\ttab",
    "日本語のテキスト 한국어 中文字符 wide",
    "👩‍👩‍👧‍👦 👍🏽 e\u0301 family",
    "{masked} {sentence} {0} %s ${HOME} `id`",
    "=HYPERLINK(1) \ud800 lone surrogate",
    "x" * 10_000,
)
LITERALS = ("[MASK]", "[/foo]", "[@click=app.quit]", "[red]not red[/red]")
"""What must stand on the screen as it is."""

FORBIDDEN = frozenset(
    {*(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n")}
    | set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u2028\u2029")
)
"""What must never reach a terminal from data."""


def leaks(text: str) -> list[str]:
    """The forbidden characters in what is drawn."""
    return sorted({repr(char) for char in text if char in FORBIDDEN or 0xD800 <= ord(char) <= 0xDFFF})
