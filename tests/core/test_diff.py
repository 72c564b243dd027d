from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core import diff as module
from claif_tui.core.diff import Piece, inserted, sides


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


def test_what_left_for_nothing_is_shown_where_it_stood() -> None:
    pieces = inserted("nobody is not playing a large flute here .", "someone is playing a flute .")
    assert [(piece.text, piece.gone) for piece in pieces if piece.changed] == [
        ("someone", False),
        ("not", True),
        ("large", True),
        ("here", True),
    ]
    assert [piece.text for piece in pieces] == [
        "someone",
        " is ",
        "not",
        "playing a ",
        "large",
        "flute ",
        "here",
        ".",
    ]
    assert [piece.text for piece in inserted("a man runs home", "a man runs")] == ["a man runs", "home"]


@given(first=st.text(alphabet="ab ."), second=st.text(alphabet="ab ."))
def test_the_pieces_that_are_not_gone_make_up_the_second_text(first: str, second: str) -> None:
    pieces = inserted(first, second)
    assert "".join(piece.text for piece in pieces if not piece.gone) == second
    replaced = changed(sides(first, second)[1])
    assert changed([piece for piece in pieces if not piece.gone]) == replaced
