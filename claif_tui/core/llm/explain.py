"""From a classed failure to what a user reads: which endpoint, what is wrong, and what to do about it."""

from __future__ import annotations

from claif_tui.core.errors import EndpointError
from claif_tui.core.llm.base import LLMError, Reason
from claif_tui.core.llm.profiles import Profile

WORDS: dict[Reason, str] = {
    "auth": "the key is missing or refused",
    "model_not_found": "the model is not there",
    "quota": "the account has no credit left",
    "wrong_endpoint": "this is not an OpenAI-compatible endpoint",
    "bad_request": "the request is refused",
    "rate_limited": "too many requests",
    "server_error": "the server failed",
    "timeout": "no answer in time",
    "connection": "no connection",
    "broken_stream": "the answer broke off",
    "cut_off": "the answer was cut off",
    "empty": "the answer is empty",
    "refused": "the model refused",
    "not_json": "the answer is not JSON",
    "bad_vectors": "the vectors are unusable",
    "wrong_form": "the answer is not in the form that was asked for",
    "unparsed": "no readable score",
    "context_length": "the prompt is too long",
    "budget": "the budget is reached",
    "cancelled": "stopped",
}
"""Each class of failure in a few plain words, for tables and messages."""


def endpoint_error(error: LLMError, profile: Profile) -> EndpointError:
    """Return the user's error for a failure that stops everything; never quotes the key."""
    where = f"endpoint {profile.name!r}" + (f" ({profile.base_url})" if profile.base_url else "")
    said = f": {error.detail}" if error.detail else ""
    return EndpointError(f"{where}: {WORDS[error.reason]}{said}", _hint(error, profile))


def _hint(error: LLMError, profile: Profile) -> str:
    match error.reason:
        case "auth":
            if profile.api_key_env:
                return f"Check the key in ${profile.api_key_env}."
            return "Name the variable that holds your key with --api-key-env NAME."
        case "model_not_found":
            listing = f"curl {profile.base_url}/models" if profile.base_url else "the provider's documentation"
            return f"Check --model; {listing} lists what there is."
        case "quota":
            return "Add credit or choose another endpoint; nothing that was answered is lost."
        case "wrong_endpoint":
            return "Check --base-url: it usually ends in /v1, as in http://localhost:8000/v1."
        case "bad_request" if error.parameter:
            return (
                f"The model refuses {error.parameter}: let the probe remember it, or take it out of the recipe."
            )
        case "connection" | "timeout":
            return "Check that the server runs and can be reached from here; then start again, nothing is lost."
    return "Start again later: nothing that was answered is lost."
