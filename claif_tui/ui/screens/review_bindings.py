"""The keys of Review in one table: key, action, name, what it does; the footer shows the first seven."""

from __future__ import annotations

from textual.binding import Binding, BindingType

_SHOWN = (
    ("a", "decide('accept')", "Accept", "accept", "Accept the pair and go on"),
    ("r", "decide('reject')", "Reject", "reject", "Reject the pair and go on"),
    ("e", "edit", "Edit", "edit", "Edit the generated sentence, or a triplet's positive, in place"),
    ("s", "rescore", "Rescore", "rescore", "Ask the model for the score of the text as it is now"),
    ("u", "undo", "Undo", "undo", "Take back your last decision, a bulk one as a whole"),
    ("f", "filter", "Filter", "filter", "Show only pairs that match an expression"),
    ("slash", "search", "Search", "search", "Full-text search in the sentences"),
)
_MORE = (
    ("E", "edit('negative')", "Edit negative", "edit-negative", "Edit the hard negative of a triplet in place"),
    ("U", "redo", "Redo", "redo", "Do again what was undone"),
    (
        "A",
        "bulk('accept')",
        "Accept all",
        "accept-all",
        "Accept all marked pairs, or all in the list; asks first",
    ),
    (
        "R",
        "bulk('reject')",
        "Reject all",
        "reject-all",
        "Reject all marked pairs, or all in the list; asks first",
    ),
    ("equals_sign", "set_score", "Set score", "set-score", "Set the score by hand"),
    ("o", "sort", "Sort", "sort", "Order by score, rate, age, length, or disagreement with the encoder"),
    ("n", "sample", "Sample", "sample", "Review a random sample and estimate the keep rate"),
    ("v", "quality", "Score quality", "quality", "The AI's scores against encoder, gold labels and decisions"),
    ("l", "lineage", "Lineage", "lineage", "Everything this pair came from and went through"),
    ("x", "export", "Export", "export", "Write the dataset and show what each rule drops"),
    ("space", "mark", "Mark", "mark", "Mark the pair for A and R"),
    ("escape", "clear", "Clear", "clear", "Unmark all; then leave the sample; then clear the search"),
    ("tab", "toggle_list", "List", "list", "Show or hide the list"),
    ("j,down", "move(1)", "Next", "next", "Next pair"),
    ("k,up", "move(-1)", "Previous", "previous", "Previous pair"),
    ("ctrl+d,pagedown", "half_page(1)", "Page down", "pagedown", "Half a page down"),
    ("ctrl+u,pageup", "half_page(-1)", "Page up", "pageup", "Half a page up"),
    ("home,g", "first", "First", "first", "First pair"),
    ("end,G", "last", "Last", "last", "Last pair"),
    ("J", "scroll_card(3)", "Scroll down", "card-down", "Scroll a pair that is longer than its card"),
    ("K", "scroll_card(-3)", "Scroll up", "card-up", "Scroll a pair that is longer than its card"),
)
_WRITTEN = {"slash": "/", "equals_sign": "="}


def _binding(row: tuple[str, str, str, str, str], *, show: bool) -> Binding:
    key, action, name, identity, tooltip = row
    return Binding(
        key, action, name, show=show, key_display=_WRITTEN.get(key), id=f"review.{identity}", tooltip=tooltip
    )


REVIEW_BINDINGS: list[BindingType] = [
    *(_binding(row, show=True) for row in _SHOWN),
    *(_binding(row, show=False) for row in _MORE),
]
