"""Journal rows in words, for the status line, the lineage and the command line."""

from __future__ import annotations

from claif_tui.core.models import Decision

_DONE = {
    "accept": "accepted",
    "reject": "rejected",
    "pend": "set back to pending",
    "edit": "edited",
    "set-score": "scored by hand",
    "rescore": "asked for a new score of",
}


def describe(decision: Decision) -> str:
    """Return what a decision did, e.g. ``undid: accepted 1,200 pairs (3 left: decided on since)``. Plain text."""
    payload = decision.payload
    if decision.action in ("undo", "redo"):
        what = _DONE.get(str(payload.get("action", "")), str(payload.get("action", "")))
        words = f"{'undid' if decision.action == 'undo' else 'redid'}: {what} {_pairs(decision)}"
        skipped = _whole(payload.get("skipped"))
        return words + (f" ({skipped:,} left: decided on since)" if skipped else "")
    words = f"{_DONE[decision.action]} {_sides(payload) if decision.action == 'edit' else ''}{_pairs(decision)}"
    if decision.action == "set-score":
        words += f" at {payload.get('score')}"
        words += f", its hard negative at {payload['negative']}" if "negative" in payload else ""
    if payload.get("filter"):
        words += f" where {payload['filter']}"
    if payload.get("search"):
        words += f" with {payload['search']}"
    unchanged = _whole(payload.get("unchanged"))
    return words + (f" ({unchanged:,} were so already)" if unchanged else "")


def _sides(payload: dict[str, object]) -> str:
    if "negative" not in payload:
        return ""
    return "both sides of " if "text" in payload else "the hard negative of "


def _pairs(decision: Decision) -> str:
    if decision.pair_id is not None:
        return f"pair {decision.pair_id:,}"
    return f"{decision.count:,} {'pair' if decision.count == 1 else 'pairs'}"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
