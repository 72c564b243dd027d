from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core import diff as module
from claif_tui.core.diff import Span, diff

words = st.lists(st.sampled_from(["a", "man", "is", "playing", ".", "flute", "東京", "\u0301"]), max_size=12)


def test_what_is_new_and_what_is_gone() -> None:
    assert diff("a man is playing a large flute .", "a man played a wooden flute .") == [
        Span("equal", "a man"),
        Span("removed", " is playing"),
        Span("added", " played"),
        Span("equal", " a"),
        Span("removed", " large"),
        Span("added", " wooden"),
        Span("equal", " flute ."),
    ]
    assert diff("same", "same") == [Span("equal", "same")]
    assert diff("", "new") == [Span("added", "new")]
    assert diff("", "") == []


@given(first=words, second=words)
def test_the_spans_make_up_both_texts(first: list[str], second: list[str]) -> None:
    spans = diff(" ".join(first), " ".join(second))
    assert "".join(span.text for span in spans if span.kind != "removed") == " ".join(second)
    kept = " ".join(span.text for span in spans if span.kind != "added")
    assert kept.split() == first
    assert all(one.kind != other.kind for one, other in pairwise(spans))


@given(first=st.text(), second=st.text())
def test_any_text_can_be_compared(first: str, second: str) -> None:
    assert "".join(span.text for span in diff(first, second) if span.kind != "removed") == second


def test_a_very_long_text_is_compared_by_its_ends() -> None:
    long = "word " * module.MAX_WORDS
    assert diff(f"{long}old end", f"{long}brand new end") == [
        Span("equal", long.rstrip()),
        Span("removed", " old"),
        Span("added", " brand new"),
        Span("equal", " end"),
    ]
    assert diff(long, long) == [Span("equal", long)]
