"""The only writer of stdout: results, for people or as one JSON document. Narration and errors go elsewhere."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from claif_tui.core.errors import ClaifError
from claif_tui.core.text import cell_width, display_text

_GAP = "  "


class OutputError(ClaifError):
    """Stdout takes no more: a full disk, mostly."""

    exit_code = 1
    title = "Output"


class PipeClosed(Exception):
    """Whoever read our stdout has gone; there is nobody left to tell."""


def document(content: Mapping[str, object]) -> None:
    """Write the command's one JSON document."""
    # On a terminal nothing but ASCII is sent, so that no text in it can steer the terminal.
    plain = sys.stdout.isatty() or (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    _write(json.dumps(content, ensure_ascii=plain, indent=2) + "\n")


def line(text: str = "") -> None:
    """Write one line for people; control characters in it show as marks."""
    _write(display_text(text) + "\n")


def raw(text: str) -> None:
    """Write a file's text as it is when piped, made harmless on a terminal."""
    _write(display_text(text) if sys.stdout.isatty() else text)


def table(rows: Sequence[Sequence[object]], head: Sequence[str] = (), right: Sequence[int] = ()) -> None:
    """Write aligned columns; ``right`` names the columns that hold numbers. The last column is not padded."""
    text = aligned(rows, head, right)
    if text:
        _write(text)


def aligned(rows: Sequence[Sequence[object]], head: Sequence[str] = (), right: Sequence[int] = ()) -> str:
    """Return the text that ``table`` writes."""
    cells = [[display_text("" if cell is None else str(cell), one_line=True) for cell in row] for row in rows]
    if head:
        cells.insert(0, list(head))
    if not cells:
        return ""
    widths = [max(cell_width(row[place]) for row in cells) for place in range(len(cells[0]))]
    lines = []
    for row in cells:
        padded = []
        for place, cell in enumerate(row):
            blank = " " * (widths[place] - cell_width(cell))
            padded.append(blank + cell if place in right else cell + blank)
        lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines) + "\n"


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except UnicodeEncodeError:
        sys.stdout.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        sys.stdout.flush()
    except OSError as error:
        discard()
        if error.errno in (errno.EPIPE, errno.EIO):  # EIO: the terminal is gone
            raise PipeClosed from None
        raise OutputError(
            f"the result cannot be written to stdout: {error.strerror or error}",
            "What the command did is done and kept. Make room, or send the output elsewhere.",
        ) from None


def discard() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not complain at its end."""
    with suppress(OSError):  # a stdout without a file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
