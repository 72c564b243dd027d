"""How the end of a run is put into words, the same in the app and on the command line."""

from __future__ import annotations

from claif_tui.core.events import EndState, Progress
from claif_tui.core.llm.base import LLMError


def fatal_words(error: LLMError) -> str:
    """Say why nothing more is sent, and what to do."""
    words = {
        "auth": "The endpoint refuses the key",
        "model_not_found": "The endpoint does not know the model",
        "quota": "The account has no quota left",
        "wrong_endpoint": "The base URL is not an OpenAI-compatible API",
        "bad_request": "The endpoint refuses a parameter of the recipe",
        "connection": "The endpoint cannot be reached",
        "bad_vectors": "The endpoint's vectors are unusable",
    }.get(error.reason, f"The endpoint fails ({error.reason})")
    told = error.detail if error.detail.endswith((".", "?", "!")) else f"{error.detail}."
    return f"{words}: {told} Nothing answered is lost; mend it and start again."


def closing_words(state: EndState, progress: Progress) -> str:
    """Say where a run that ended without trouble stands."""
    failed = sum(progress.failed.values())
    if state == "finished":
        if not failed and not progress.open:
            if progress.planned == 1:
                return f"The one planned {progress.unit.removesuffix('s')} is answered."
            return f"All {progress.planned:,} planned {progress.unit} are answered."
        rest = f"{failed:,} failed. Retry them with: retry" if failed else f"{progress.open:,} open."
        return f"{progress.answered:,} of {progress.planned:,} answered, {rest}"
    what = (
        "sentences are to be written" if progress.unit == "sentences" else f"planned {progress.unit} are open"
    )
    return f"{progress.open:,} of {progress.planned:,} {what}. Start again to go on where it stopped."
