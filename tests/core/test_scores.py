"""The score parser: the table of methods 15.8, what models really write, and that it never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.scores import parse_score

SPECIFIED = [
    ("0.8.", 0.8),
    ("80%", 0.8),
    ("8/10", 0.8),
    ("0,8", 0.8),
    ("between 0.0 and 1.0, I say 0.6", 0.6),
    ("-0.2", None),
    ("..5", None),
    ("2", None),
    ("", None),
]
PLAIN = [
    ("1.0.", 1.0),
    ("0", 0.0),
    (".5", 0.5),
    ("+0.8", 0.8),
    ("1e-1", 0.1),
    ("0.8/1.0", 0.8),
    ("0.8 out of 1", 0.8),
    ("4 out of 5", 0.8),
    ("1 out of 1", 1.0),
    ("100%", 1.0),
    ("85 percent", 0.85),
    ("０．８", 0.8),
    ("８０％", 0.8),
    ("**0.8**", 0.8),
    ("- 0.8", 0.8),
    ("“0.8”", 0.8),
    ("\\boxed{0.8}", 0.8),
    ("Score: 0.8", 0.8),
    ("Similarity = .75", 0.75),
    ('{"score": 0.8}', 0.8),
    ('{"score": "0.8", "reason": "2 dogs"}', 0.8),
    ('{"sentence": 1, "score": 0.8}', 0.8),
    ("approximately 0.75", 0.75),
    ("Score for these two sentences 0.8", 0.8),
    ("0.8 means that they are close", 0.8),
    ("0.0 (completely different)", 0.0),
    ("1.0 means the same and 0.0 means different, so 0.9", 0.9),
    ("I'd give it a 1.", 1.0),
    ("1 because they are the same", 1.0),
    ("The similarity score for these two sentences is 0.85. Both mention 3 dogs.", 0.85),
    ("I would rate the similarity as 0.3, as 2 of 3 words differ", 0.3),
    ("Sentence 1 and sentence 2 are close: 0.8", 0.8),
    ("They share 2 of 3 words, 0.7", 0.7),
    ("0.8 - 2 words differ", 0.8),
    ("On a scale of 0 to 1, 0.4", 0.4),
    ("From 0.0 (different) to 1.0 (same): the score is 0.4", 0.4),
    ("In the range 0.0 to 1.0, where 0.0 means different and 1.0 means same, I give it a 0.4.", 0.4),
    ("The score is not 0.9 but 0.5", 0.5),
    ("1. Both are about dogs\n2. The score is 0.8", 0.8),
    ("<think>maybe 0.1</think>0.9", 0.9),
    ("<think>0.3", None),
    ("80", None),
    ("120%", None),
    ("3/4", None),
    ("7/5", None),
    ("1,000", None),
    ("0.8,0.9", None),
    ("1e400", None),
    ("0.7-0.8", None),
    ("0.7 to 0.8", None),
    ("70-80%", None),
    ("The score is between 0.7 and 0.8.", None),
    ("The score is 7", None),
    ("below 0.5", None),
    ("v0.8x", None),
    ("0.8.1", None),
    ("no idea", None),
]
LAST = [
    ("They differ in 2 words. Similarity score: 0.8", 0.8),
    ("A score of 0.9 would be too high. So I say 0.7.", 0.7),
    ("Rather than 0.9 it is 0.7", 0.7),
    ("1 dog against 2 dogs.\nSimilarity score: 0.6\n\nHope this helps!", 0.6),
    ("One. Two.\n0.8", 0.8),
    ("They say the same. 1", 1.0),
    ("Same; the final score is 80 %.", 0.8),
    ("The same. Score: 7", None),
    ("I first thought 0.5. No idea.", None),
    ("nothing", None),
]
FIVE = [("4", 0.8), ("3.5", 0.7), ("The score is 4 out of 5", 0.8), ("5.0", 1.0), ("5.1", None), ("6", None)]


@pytest.mark.parametrize(("raw", "value"), SPECIFIED + PLAIN)
def test_plain(raw: str, value: float | None) -> None:
    assert parse_score(raw).value == (None if value is None else pytest.approx(value, abs=1e-12))


@pytest.mark.parametrize(("raw", "value"), SPECIFIED + LAST)
def test_last(raw: str, value: float | None) -> None:
    assert parse_score(raw, "last").value == (None if value is None else pytest.approx(value, abs=1e-12))


@pytest.mark.parametrize(("raw", "value"), FIVE)
def test_a_scale_of_five_comes_out_on_one(raw: str, value: float | None) -> None:
    assert parse_score(raw, "plain", "0-5").value == (
        None if value is None else pytest.approx(value, abs=1e-12)
    )


def test_what_was_said_and_why_not_are_kept() -> None:
    assert parse_score("Score: ８/10!").said == "８/10"
    assert parse_score("-0.2").why_invalid == "“-0.2” is negative"
    assert parse_score("80").why_invalid == "“80” is outside 0 to 1"
    assert parse_score("0.7-0.8").why_invalid == "“0.7-0.8” is a range, not one score"
    assert parse_score(" ").why_invalid == "the answer is empty"
    assert parse_score("none").why_invalid == "no number is stated as the score"


def test_the_reason_is_what_follows_or_precedes() -> None:
    assert parse_score("0.8. Both speak of 2 dogs.").reason == "Both speak of 2 dogs."
    assert parse_score("0.8\n\nReason: same dogs").reason == "Reason: same dogs"
    assert (
        parse_score("Two dogs run. One sits.\nSimilarity score: 0.4", "last").reason
        == "Two dogs run. One sits."
    )
    assert parse_score("<think>x</think>Dogs differ, 0.4", "last").reason == "Dogs differ"
    assert parse_score("0.8").reason == ""


@given(st.text(), st.sampled_from(["plain", "last"]), st.sampled_from(["0-1", "0-5"]))
def test_any_text_gives_a_score_or_a_reason_why_not(raw: str, mode: str, scale: str) -> None:
    parsed = parse_score(raw, "plain" if mode == "plain" else "last", "0-1" if scale == "0-1" else "0-5")
    assert (parsed.value is None) == bool(parsed.why_invalid)
    assert parsed.value is None or 0.0 <= parsed.value <= 1.0


@given(st.text('0123456789.,/%-+eE ~to\nscoreisand{}"', max_size=60), st.booleans())
def test_any_mixture_of_numbers_too(raw: str, last: bool) -> None:
    parsed = parse_score(raw, "last" if last else "plain")
    assert parsed.value is None or 0.0 <= parsed.value <= 1.0
    assert parsed.said in raw


@given(st.integers(0, 1000), st.booleans())
def test_every_way_to_write_a_score_is_read_back(permille: int, last: bool) -> None:
    value = permille / 1000
    spellings = [
        f"{value:.3f}",
        f"{value:.3f}.",
        f"{value:.3f}".replace(".", ","),
        f"{value * 100:.1f}%",
        f"{value * 10:.2f}/10",
        f"{value * 5:.3f} out of 5",
        f"Score: {value:.3f}",
        f"**{value:.3f}**",
        f'{{"score": {value:.3f}}}',
        f"The similarity score for these two sentences is {value:.3f}.",
    ]
    for spelling in spellings:
        if spelling == "1,000":  # a thousand, as well as one
            continue
        parsed = parse_score(spelling, "last" if last else "plain")
        assert parsed.value == pytest.approx(value, abs=1e-9), spelling


@pytest.mark.parametrize("piece", ["0.", "1 ", "score ", "0.5 to ", "say ", "between 0 and ", "(", "\n"])
def test_a_huge_answer_is_read_in_one_go(piece: str) -> None:
    for mode in ("plain", "last"):
        parse_score(piece * (1_000_000 // len(piece)), "plain" if mode == "plain" else "last")
