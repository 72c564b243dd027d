"""``claif-tui rate explain``: what is asked, what is not asked again, and what stays as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from claif_tui.core.models import NANO, NewScore
from claif_tui.core.rating.explaining import read_explanation
from claif_tui.core.rating.session import RaterSession
from claif_tui.core.store.store import Store
from claif_tui.core.systems.base import RawAnswer
from tests.cli.conftest import Cli, child, finish
from tests.core import study_support
from tests.llm_fixtures import Factory, LLMServer

COUNT = 8
PRICE = ("--price-in", 1, "--price-out", 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the study ``s`` of ``COUNT`` pairs that have no reasons."""
    with study_support.project(tmp_path / "p", COUNT + 4) as store:
        study_support.study(store, sample=COUNT)
    return tmp_path / "p"


def words(folder: Path, server: LLMServer, *more: object) -> tuple[object, ...]:
    return ("rate", "explain", "-P", folder, "--base-url", server.base_url, "--model", "m", *PRICE, *more)


def test_asked_once_stored_with_its_call_and_compared_with_the_stored_score(
    folder: Path, llm_server: Factory, cli: Cli
) -> None:
    server = llm_server()
    plan = cli(*words(folder, server, "--dry-run", "--json")).doc
    assert (plan["calls"], plan["asked"], plan["there"], server.log()) == (COUNT, COUNT, 0, [])
    refused = cli(*words(folder, server))
    assert refused.code == 2 and "--yes" in refused.err and server.log() == []

    recipe = (folder / "recipe.toml").exists()
    done = cli(*words(folder, server, "--yes", "--budget", 1, "--json"))
    assert done.code == 0, done.err
    assert (done.doc["explained"], done.doc["failed"], len(server.log())) == (COUNT, {}, COUNT)
    assert all("reason in one or two sentences" in line["prompt"] for line in server.log())
    assert (folder / "recipe.toml").exists() == recipe, (
        "the project's recipe is none of this command's business"
    )
    prompt, completion = server.spent_tokens()
    with Store.open(folder) as store:
        data = store.studies.data("s")
        keys = store.studies.explanation_keys(data.study.id)
        calls = store.calls.known(list(keys.values()))
        assert {call.stage for call in calls.values()} == {"explain"} and len(calls) == COUNT
        assert store.ledger.spent() == (prompt + 4 * completion) * NANO // 1_000_000
        far = []
        for item in data.items:
            call = calls[keys[item.n]]
            assert item.explanation == "They differ in a few words." and item.pair_id == call.pair_id
            said = float((call.raw or "").split()[-1])
            if abs(said - (item.score or 0.0)) > 0.1 + 1e-9:
                far.append({"item": item.n, "stored": item.score, "said": said})
        assert far and done.doc["apart"] == far, "the stored scores are as they were"
        assert [(event.kind, event.deviation) for event in data.events] == [("explanations", False)]
    again = cli(*words(folder, server))
    assert again.code == 0 and "nothing to ask" in again.out and len(server.log()) == COUNT


def test_what_fails_is_told_and_asked_again_and_a_reached_budget_ends_it(
    folder: Path, llm_server: Factory, cli: Cli
) -> None:
    server = llm_server(faults=[{"kind": "unparsable", "match": "dog number 3 "}])
    poor = cli(*words(folder, server, "--yes", "--budget", 0.0000001))
    assert poor.code == 1 and "budget" in poor.err and server.log() == []
    some = cli(*words(folder, server, "--yes", "--budget", 1, "--json"))
    with Store.open(folder) as store:
        three = next(item.n for item in store.studies.items(1) if " number 3 " in item.text_a)
    assert (some.code, some.doc["failed"], some.doc["explained"]) == (1, {"unparsed": 1}, COUNT - 1)
    before = len(server.log())
    server.control(faults=[])
    assert cli(*words(folder, server, "--yes")).code == 0
    assert len(server.log()) == before + 1
    with Store.open(folder) as store:
        assert all(item.explanation for item in store.studies.items(1)), three


def test_rated_items_keep_what_they_had_and_later_explanations_are_a_deviation(
    folder: Path, llm_server: Factory, cli: Cli
) -> None:
    with Store.open(folder) as store:
        pair_id, score = next((i.pair_id, i.score) for i in store.studies.items(1) if i.n == 3)
        assert pair_id is not None and score is not None
        asyncio.run(
            store.pairs.set_score(pair_id, NewScore(score=score, reason="They differ in colour.", key="k"))
        )
        with RaterSession(store, "s", "R1") as session:
            shown = session.current()
            assert shown is not None
            session.answer(shown.token, "fluent", 1.0)
            session.answer(shown.token, "consistent", 0.0)
    server = llm_server()
    done = cli(*words(folder, server, "--yes", "--json"))
    assert (done.code, done.doc["explained"], done.doc["own"], done.doc["rated"]) == (0, COUNT - 1, 1, 1)
    assert len(server.log()) == COUNT - 2
    with Store.open(folder) as store:
        items = store.studies.items(1)
        assert [item.n for item in items if item.explanation is None] == [1]
        assert items[2].explanation == "They differ in colour." and store.studies.explanation_keys(1)[3] == "k"
        assert all(event.deviation for event in store.studies.data("s").events)
        study_support.study(store, "rigorous", "blind", sample=3, practice=0, gold=0, repeats=0)
    blind = cli("rate", "explain", "-P", folder, "--study", "blind")
    assert blind.code == 2 and "no explanations" in blind.err


def test_a_kill_loses_nothing_and_repeats_only_what_was_in_flight(folder: Path, llm_server: Factory) -> None:
    server = llm_server(options={"latency": 0.3})
    command = words(folder, server, "--yes", "--concurrency", 1, "--json")
    process = child(*command)
    with Store.open(folder) as store:
        # Killed while one is asked and all before it are on disk: then one request is in flight, no more.
        while (asked := len(server.log())) < 3 or _answered(store) != asked - 1:
            assert process.poll() is None
        process.kill()
    process.communicate()
    done = finish(child(*command))
    assert done.code == 0, done.err
    with Store.open(folder) as store:
        assert all(item.explanation for item in store.studies.items(1))
    prompts = [line["prompt"] for line in server.log()]
    assert len(set(prompts)) == COUNT and len(prompts) <= COUNT + 1


def _answered(store: Store) -> int:
    with store.read() as conn:
        found: tuple[int] = conn.execute("SELECT count(*) FROM calls WHERE state = 'answered'").fetchone()
    return found[0]


@pytest.mark.parametrize(
    ("text", "finish", "words"),
    [
        ("0.4. One sings, the other is", "length", None),
        ("0.4. They differ. One sings, the oth", "length", "They differ."),
        ("Similarity: 0.4", "stop", None),
        ("<think>0.9, I'd say</think>0.4 because one sings.", "stop", "because one sings."),
        ("None at all.", "stop", None),
        ("0.4. They differ.", None, None),
    ],
)
def test_only_whole_words_are_an_explanation(text: str, finish: str | None, words: str | None) -> None:
    found = read_explanation(RawAnswer(text=text, finish_reason=finish))
    assert (found.value and found.value.reason) == words
    assert (found.reason is None) == (words is not None)
