"""The errors of the engine that a user can meet: what is wrong and where, and a hint that says what to do. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EngineError(Exception):
    """Something a user can understand and mend. ``exit_code``: 1 missing or failed, 2 usage or bad input."""

    exit_code = 2
    title = "Cannot do that"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """All of it in one line, as a process says it on stderr to whoever started it."""
        parts = [f"{self.message.rstrip('.')}.", self.hint] if self.hint else [self.message]
        return " ".join(" ".join(parts).split())


class DataError(EngineError):
    """A data file is missing, cut, or not what it should be; the message names file, line and column."""

    title = "Data"


class ConfigError(EngineError):
    """A setting is unknown, out of range, or does not go with another; the message names the field."""

    title = "Configuration"


class ModelError(EngineError):
    """A model folder cannot be used: parts are missing, or it is of another kind."""

    title = "Model"


class RunError(EngineError):
    """A run cannot start, go on, or be kept."""

    exit_code = 1
    title = "Run"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint: the known name closest to ``name``, else all of them."""
    options = list(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(options)}."
