from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core import diff as module
from claif_tui.core.diff import Piece, sides


def changed(pieces: list[Piece]) -> list[str]:
    return [piece.text.strip() for piece in pieces if piece.changed]


def test_what_is_new_and_what_is_gone() -> None:
    first, second = sides("a man is playing a large flute .", "a man played a wooden flute .")
    assert changed(first) == ["is playing", "large"]
    assert changed(second) == ["played", "wooden"]
    assert [changed(side) for side in sides("same", "same")] == [[], []]
    assert [changed(side) for side in sides("", "new")] == [[], ["new"]]


def test_case_and_blanks_before_punctuation_are_no_difference() -> None:
    assert [changed(side) for side in sides("three men play chess .", "Three men play chess.")] == [[], []]


@given(first=st.text(), second=st.text())
def test_the_pieces_make_up_both_texts_exactly(first: str, second: str) -> None:
    left, right = sides(first, second)
    assert "".join(piece.text for piece in left) == first
    assert "".join(piece.text for piece in right) == second


def test_a_very_long_text_is_compared_by_its_ends() -> None:
    long = "word " * module.MAX_WORDS
    first, second = sides(f"{long}old end", f"{long}brand new end")
    assert changed(first) == ["old"]
    assert changed(second) == ["brand new"]
    assert [changed(side) for side in sides(long, long)] == [[], []]
