"""What the card makes of two texts: nothing lost, nothing invented, marks that do not need colour."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.diff import MAX_WORDS, sides
from claif_tui.ui.widgets.histogram import bars, mean_score
from claif_tui.ui.widgets.pair_text import diffed

TEXT = st.text(alphabet=st.sampled_from("ab cÄ.,'’-\n\t日🙂"), max_size=60)


@given(TEXT, TEXT)
def test_both_sides_join_to_the_texts_they_came_from(first: str, second: str) -> None:
    left, right = sides(first, second)
    assert "".join(piece.text for piece in left) == first
    assert "".join(piece.text for piece in right) == second
    assert not any(piece.changed for piece in sides(first, first)[0])


def test_long_texts_are_compared_by_their_ends() -> None:
    words = "w " * (MAX_WORDS + 5)
    left, right = sides(f"{words}old end", f"{words}new end")
    assert [piece.text for piece in left if piece.changed] == ["old"]
    assert [piece.text for piece in right if piece.changed] == ["new"]


def test_marks_stand_beside_colour_and_case_is_no_difference() -> None:
    old, new = diffed("a man is playing a large flute .", "A man played a wooden flute.")
    assert new.plain == "A man ‹played› a ‹wooden› flute."
    assert old.plain == "a man is playing a large flute ."
    assert [old.plain[span.start : span.end] for span in old.spans] == ["is playing", "large"]


def test_texts_with_nothing_in_common_are_not_covered_in_marks() -> None:
    assert diffed("the cat sleeps .", "Put off steam")[1].plain == "Put off steam"


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=10), st.integers(1, 6))
def test_every_count_above_zero_can_be_seen(bins: list[int], height: int) -> None:
    drawn = bars(bins, height)
    assert len(drawn) == height
    for place, count in enumerate(bins):
        column = [line[place] for line in drawn]
        assert (column[-1] != " ") == (count > 0)
    mean = mean_score(bins)
    assert mean is None if not any(bins) else mean is not None and 0 < mean < 1
