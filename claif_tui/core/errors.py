"""The errors a user can meet, each with a message that says what is wrong and a hint that says what to do.

Nothing else belongs here: programmer errors stay ordinary exceptions.
"""

from __future__ import annotations


class ClaifError(Exception):
    """Something a user can understand and mend.

    ``message`` says what is wrong and where (file, line, field); ``hint`` says what to do.
    ``exit_code`` is what the command line ends with: 1 missing or failed, 2 usage or bad input.
    """

    exit_code = 2
    title = "Cannot do that"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ClaifError):
    """The command or key was used in a way that cannot work."""

    title = "Usage"


class SeatError(UsageError):
    """Somebody else used this rater's name so far; who is the same person may say so."""


class InputError(ClaifError):
    """A file or text from the user cannot be read as what it should be."""

    title = "Bad input"


class RecipeError(ClaifError):
    """A recipe field is missing, unknown or out of range."""

    title = "Recipe"


class FilterError(ClaifError):
    """A filter expression does not parse; the message points at the place."""

    title = "Filter"


class StoreError(ClaifError):
    """The project's database cannot be opened, read or written."""

    exit_code = 1
    title = "Project"


class BusyError(StoreError):
    """Another process holds what is needed (a run, a lease, a lock)."""

    title = "Busy"


class CallTakenError(StoreError):
    """A request is answered or in flight already, by whichever run: it is not sent again."""


class MissingExtraError(ClaifError):
    """A feature needs an optional package; the hint is the exact install line."""

    exit_code = 1
    title = "Not installed"


class EndpointError(ClaifError):
    """The LLM endpoint cannot be used at all (auth, unreachable, not OpenAI-compatible)."""

    exit_code = 1
    title = "Endpoint"


class BudgetError(ClaifError):
    """Going on would exceed the cap, or the cap cannot be kept because a price is unknown."""

    exit_code = 1
    title = "Budget"
