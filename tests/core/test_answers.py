"""Generated answers: what is taken for the sentence, and how it is classed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claif_tui.core.answers import DEFAULT_REFUSALS, PARAPHRASE_FAILURES, clean_answer, split_reasoning

SEED = "a man is playing a flute ."


@pytest.mark.parametrize(
    ("raw", "preamble"),
    [
        ("A man runs.", None),
        ("  \n\nA man runs.\n\n(I replaced the mask.)", None),
        ('"A man runs."', None),
        ("“A man runs.”", None),
        ("'A man runs.'", None),
        ("**A man runs.**", None),
        ("```\nA man runs.\n```", None),
        ("A   man\truns.", None),
        ("Sure! Here is a new sentence: A man runs.", "Sure! Here is a new sentence:"),
        ('Sure! Here\'s one possible sentence:\n\n"A man runs."', "Sure! Here's one possible sentence:"),
        ("Sure!\nA man runs.", "Sure!"),
        ("Certainly! The completed sentence is:\nA man runs.", "Certainly! The completed sentence is:"),
        ("The new sentence is: 'A man runs.'", "The new sentence is:"),
        ('The new sentence is "A man runs."', "The new sentence is"),
        ("**New sentence:** A man runs.", "**New sentence:**"),
        ("Sentence 2: 'A man runs.'", "Sentence 2:"),
        ("Sentence 1: 'x' Sentence 2: 'A man runs.'", "Sentence 1: 'x' Sentence 2:"),
        ("Answer: A man runs.", "Answer:"),
        ("Paraphrase: A man runs.", "Paraphrase:"),
    ],
)
def test_the_sentence_is_found(raw: str, preamble: str | None) -> None:
    answer = clean_answer(raw, SEED)
    assert (answer.text, answer.answer_class, answer.preamble) == ("A man runs.", "ok", preamble)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Okay, i will run .", "Okay, i will run ."),
        ("Sure!", "Sure!"),
        ("Here is what he found in the box: a dog", "Here is what he found in the box: a dog"),
        ('the answer " no " surprised him', 'the answer " no " surprised him'),
        ('"Hello," he said, "bye"', '"Hello," he said, "bye"'),
        ("'tis the dog's bone", "'tis the dog's bone"),
        ("'I don't know.'", "I don't know."),
    ],
)
def test_what_looks_like_talk_but_is_text_stays(raw: str, text: str) -> None:
    answer = clean_answer(raw, SEED)
    assert (answer.text, answer.preamble) == (text, None)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", "empty"),
        (' " " ', "empty"),
        ("<think>only thoughts", "empty"),
        ("The new sentence is:", "empty"),
        ("a <mask> runs", "has_mask"),
        (" a  man is playing a flute . ", "identical"),
        ("'a man is playing a flute .'", "identical"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I’m sorry,\nbut I can’t do that.", "refusal"),
        ("As an AI language model, I have no <mask>.", "refusal"),
        ("There are no <mask> tokens in the sentence.", "refusal"),
        ("Please provide the sentence you would like me to change.", "refusal"),
        ("i can 't find my keys .", "ok"),
        ("i cannot replace you .", "refusal"),
    ],
)
def test_classes(raw: str, expected: str) -> None:
    assert clean_answer(raw, SEED).answer_class == expected


def test_a_seed_that_looks_like_talk_or_a_refusal_lets_the_same_through() -> None:
    assert clean_answer("i cannot replace you .", "i cannot replace him .").answer_class == "ok"
    assert clean_answer("the answer : no", "the answer : yes").text == "the answer : no"
    assert clean_answer('" you see ? "', '" do you see ? "').text == '" you see ? "'
    assert clean_answer("do you see ?", '" do you see ? "').answer_class == "identical"


def test_own_patterns_replace_the_default_ones() -> None:
    assert clean_answer("NO CAN DO", SEED, refusals=("^no can",)).answer_class == "refusal"
    assert clean_answer("I'm sorry, but I can't help.", SEED, refusals=()).answer_class == "ok"


def test_the_first_quote_ends_an_answer_that_began_in_quotes() -> None:
    assert clean_answer('A man runs."\n\nMore "talk"', SEED, cut_at_quote=True).text == "A man runs."
    assert clean_answer('\n "A man runs." and', SEED, cut_at_quote=True).text == "A man runs."
    assert clean_answer("A man runs.", SEED, cut_at_quote=True).text == "A man runs."


@pytest.mark.parametrize(
    ("raw", "answer", "reasoning"),
    [
        ("<think>a</think>b", "b", "a"),
        ("<THINK>\na\n</think>\n\nb", "\n\nb", "a"),
        ("a</think>b", "b", "a"),
        ("<think>a", "", "a"),
        ("x<think>a</think>y<thinking>b</thinking>z", "xyz", "a\nb"),
        ("no blocks < here >", "no blocks < here >", ""),
    ],
)
def test_reasoning_is_split_off(raw: str, answer: str, reasoning: str) -> None:
    assert split_reasoning(raw) == (answer, reasoning)


def test_quotes_in_thoughts_do_not_end_the_answer() -> None:
    answer = clean_answer('<think>say "x"</think>A man runs."', SEED, cut_at_quote=True)
    assert (answer.text, answer.reasoning) == ("A man runs.", 'say "x"')


@given(st.text(), st.text(), st.booleans())
def test_any_answer_is_read_to_one_storable_line(raw: str, original: str, cut: bool) -> None:
    answer = clean_answer(raw, original, cut_at_quote=cut)
    assert "\x00" not in answer.text
    assert answer.text == " ".join(answer.text.split())
    assert (answer.answer_class == "empty") == (not answer.text)
    answer.text.encode()


@pytest.mark.parametrize(
    "piece", ["<think>", "sure ", "'", "sentence 1: ", "sentence ", '"', "here is a ", "\n"]
)
def test_a_huge_answer_is_read_in_one_go(piece: str) -> None:
    clean_answer(piece * (1_000_000 // len(piece)), SEED)


@pytest.mark.data
def test_real_sentences_are_not_taken_for_talk_or_refusals(data_dir: Path) -> None:
    path = data_dir / "senteval" / "STS" / "STSBenchmark" / "sts-train.csv"
    sentences = [
        cell for line in path.read_text(encoding="utf-8").split("\n") if line for cell in line.split("\t")[5:7]
    ]
    patterns = (*DEFAULT_REFUSALS, *PARAPHRASE_FAILURES)
    answers = [clean_answer(sentence, SEED, refusals=patterns) for sentence in sentences]
    assert len(answers) == 11_498
    assert not [answer for answer in answers if answer.preamble or answer.answer_class == "refusal"]
