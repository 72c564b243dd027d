"""The only place that turns data into something a widget shows; markup is never parsed in what comes in.

Everything from a seed file, a model, a path, an error or the database passes one of these functions. Nothing
here reads files or knows a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content as Content

from claif_tui.core.text import display_text

if TYPE_CHECKING:
    from rich.text import Text

LINE_LIMIT = 2_000
"""Characters of one line that are worth laying out; no terminal shows more."""
BLOCK_LIMIT = 20_000
"""Characters of one block of text that a card lays out; the rest is counted and lookable elsewhere."""

Part = str | Content | tuple[str, str]


def plain(raw: str, *, limit: int = LINE_LIMIT) -> str:
    """One harmless line as a ``str``, for input values, placeholders and toast titles (never for markup)."""
    return display_text(raw, limit=limit, one_line=True)


def clip(raw: str, limit: int) -> str:
    """One harmless line of at most ``limit`` characters, an ellipsis in place of what is cut off."""
    shown = display_text(raw[: limit + 1], one_line=True)
    return shown if len(raw) <= limit else f"{shown[: limit - 1]}…"


def line(raw: str, style: str = "", *, limit: int = LINE_LIMIT) -> Content:
    """One harmless line, line breaks shown as a mark; ``style`` is a constant such as ``bold $error``."""
    shown = plain(raw, limit=limit)
    return Content.styled(shown, style) if style else Content(shown)


def block(raw: str, style: str = "", *, limit: int = BLOCK_LIMIT) -> Content:
    """A harmless text that keeps its line breaks."""
    shown = display_text(raw, limit=limit)
    return Content.styled(shown, style) if style else Content(shown)


def join(*parts: Part, separator: str = "") -> Content:
    """Put parts together: a ``Content``, a plain text, or (text, style); texts become harmless lines."""
    contents = [_part(part) for part in parts]
    return Content(separator).join(contents) if separator else Content("").join(contents)


def lines(*rows: Part) -> Content:
    """Put rows under each other; each row as in ``join``."""
    return Content("\n").join([_part(row) for row in rows])


def fill(template: str, **values: object) -> Content:
    """Fill a constant markup template with values that stay literal: ``fill("[b]$name[/b]", name=name)``."""
    texts = {name: plain(str(value)) for name, value in values.items()}
    return Content.from_markup(template, **texts)


def cell(raw: str, style: str = "") -> Text:
    """A harmless cell for the stock tables, which know Rich's text only."""
    from rich.text import Text

    return Text(plain(raw, limit=400), style=style, no_wrap=True, end="")


def _part(part: Part) -> Content:
    if isinstance(part, Content):
        return part
    if isinstance(part, tuple):
        return line(part[0], part[1])
    return line(part)


def editable(raw: str) -> str:
    """``raw`` for a text field: line breaks and tabs stay, everything a terminal would act on shows as a mark."""
    return display_text(raw)
