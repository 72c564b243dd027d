"""Vectors from an embedding API: faults classed, nothing billed twice, the cap held; all by the server's own log."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core import settings
from claif_tui.core.embedding_fetch import BAD_IN_A_ROW, BATCH
from claif_tui.core.embeddings import EmbeddingWish, Needed, plan
from claif_tui.core.errors import BudgetError, BusyError, StoreError, UsageError
from claif_tui.core.events import Finished
from claif_tui.core.llm.embedding_wire import BadVectorsError, read_embeddings
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.models import NANO
from claif_tui.core.store.embeddings import FILE, EmbeddingStore, text_key
from tests.core.embedding_support import account, billed, ended, fetching, have, money, sentences, tokens
from tests.llm_fixtures import Factory

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-secret-0123456789"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddingStore]:
    with EmbeddingStore.open(tmp_path / "data") as opened:
        yield opened


# -- answers -------------------------------------------------------------------------------------------------


def _answer(*vectors: object, **extra: object) -> dict[str, object]:
    return {"data": [{"index": n, "embedding": one} for n, one in enumerate(vectors)], **extra}


def test_vectors_come_as_numbers_or_bytes_and_stand_where_their_index_says() -> None:
    packed = b64encode(struct.pack("<2f", 0.5, -1)).decode()
    shuffled = {"data": [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [3, 0.25]}]}
    got = read_embeddings({**shuffled, "model": "m-2", "usage": {"total_tokens": 7}}, 2, None)
    assert got.vectors == (struct.pack("<2f", 3, 0.25), struct.pack("<2f", 0.5, -1))
    assert (got.model, got.prompt_tokens, got.completion_tokens, got.dimension) == ("m-2", 7, 0, 2)
    unnumbered = {
        "data": [{"embedding": [1.0]}, {"index": 1, "embedding": [2.0]}],
        "usage": {"prompt_tokens": 0},
    }
    assert read_embeddings(unnumbered, 2, 1).prompt_tokens is None


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (_answer([1.0]), "1 vectors for 2 texts"),
        ({"data": "x"}, "no list"),
        ({"data": [1, 2]}, "no object"),
        ({"data": [{"index": 1, "embedding": [1.0]}] * 2}, "index 1"),
        ({"data": [{"index": True, "embedding": [1.0]}] * 2}, "index True"),
        ({"data": [{"index": 2, "embedding": [1.0]}] * 2}, "index 2"),
        (_answer([1.0], [1.0, 2.0]), "2 dimensions where others have 1"),
        (_answer([1.0, 2.0], [1.0, 2.0]), "2 dimensions where others have 1"),
        (_answer([], []), "0 dimensions"),
        (_answer([float("nan")], [1.0]), "not finite"),
        (_answer([1e300], [1.0]), "not finite"),
        (_answer([10**400], [1.0]), "too large"),
        (_answer(["1"], [1.0]), "neither a list of numbers nor base64"),
        (_answer([True], [1.0]), "neither a list of numbers nor base64"),
        (_answer([0.0], [1.0]), "all zeros"),
        (_answer("AAA", "AAAA"), "not base64"),
        (_answer("AAA=", "AAAA"), "2 bytes"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(payload: dict[str, object], said: str) -> None:
    with pytest.raises(BadVectorsError, match=said):
        read_embeddings(payload, 2, 1)


# -- fetching ------------------------------------------------------------------------------------------------


async def test_each_sentence_is_bought_once_in_whatever_form_it_comes(
    llm_server: Factory, store: EmbeddingStore
) -> None:
    server, texts = llm_server(), sentences(150)
    keys = [text_key(text) for text in texts]
    ways: list[dict[str, Any]] = [{}, {"base64": False}, {"usage": False}, {"refuse": ["encoding_format"]}]
    for number, options in enumerate(ways):
        model = f"tiny{number}"
        server.control(options={"base64": True, "usage": True, **options})
        late = fetching(store, server.base_url, texts[:80], model=model)
        assert (await ended(fetching(store, server.base_url, texts[:80], model=model))).state == "finished"
        assert (await ended(late)).progress.calls == 0, (
            "what was fetched since it was planned is not asked again"
        )
        done = await ended(fetching(store, server.base_url, texts, model=model))
        assert (done.state, done.progress.planned, done.progress.failed) == ("finished", 70, {})
        assert all(have(store, server, texts, model))
        times = billed(server, model)
        assert set(times.values()) == {1} and len(times) == 150
        spent = store.money(account(store, server, model)).spent_nano
        counted = "usage" not in options
        assert spent == money(server, model) if counted else spent > money(server, model)
        got = store.bought(account(store, server, model), keys)
        assert got.models == {f"{model}-v2": 150}
        assert got.cost_nano is not None and abs(got.cost_nano - spent) <= 1
        assert got.tokens == (tokens(server, model) if counted else None)


async def test_faults_on_the_way_cost_tries_and_nothing_else(
    llm_server: Factory, store: EmbeddingStore
) -> None:
    kinds = ["429_ms", "500", "cut", "few", "shuffled", "same_index", "nan", "dimension", "reset", "html"]
    faults: list[dict[str, Any]] = [{"sequence": [None, *kinds]}]
    server, texts = llm_server(faults=faults), sentences(BATCH * 14)
    done = await ended(fetching(store, server.base_url, texts, concurrency=4))
    assert (done.state, done.progress.answered) == ("finished", len(texts)), done.message
    assert all(have(store, server, texts))
    assert {line["fault"] for line in server.log()} == {None, *kinds}
    assert {"rate_limited", "server_error", "broken_stream", "bad_vectors"} <= set(done.progress.troubles)
    assert store.money(account(store, server)).spent_nano >= money(server)


async def test_what_is_too_long_is_refused_by_name_and_batches_fit_the_server(
    llm_server: Factory, store: EmbeddingStore
) -> None:
    server = llm_server(options={"max_text": 100, "max_batch": 20})
    texts = sentences(200)
    texts[77] = "long " * 30
    run = fetching(store, server.base_url, texts, concurrency=1)
    done = await ended(run)
    assert (done.state, done.progress.failed) == ("finished", {"context_length": 1})
    assert [(one.text, one.reason) for one in run.refusals] == [(texts[77], "context_length")]
    assert "1 failed" in done.message
    assert have(store, server, texts) == [text != texts[77] for text in texts]
    assert set(billed(server).values()) == {1}
    refused = [line for line in server.log() if line["status"] == 422]
    assert len(refused) <= 4, "batches become smaller for good"


async def test_a_server_of_no_use_is_left_alone(llm_server: Factory, store: EmbeddingStore) -> None:
    for kind, least, words in (("few", BAD_IN_A_ROW, "unusable"), ("401", 1, "refuses the key")):
        server = llm_server(faults=[{"kind": kind}])
        done = await ended(fetching(store, server.base_url, sentences(1000)))
        assert done.state == "failed" and words in done.message
        assert len(server.log()) == least
        assert done.progress.open > 900


async def test_two_models_behind_one_name_are_not_mixed(llm_server: Factory, store: EmbeddingStore) -> None:
    server, texts = llm_server(), sentences(300)
    await ended(fetching(store, server.base_url, texts[:BATCH]))
    server.control(options={"returned": "tiny-v3"})
    done = await ended(fetching(store, server.base_url, texts))
    assert done.state == "failed" and "tiny-v2 and as tiny-v3" in done.message and "--anew" in done.message
    assert len(server.log()) == 2
    had = store.bought(account(store, server), [text_key(text) for text in texts]).models
    poor = await ended(fetching(store, server.base_url, texts, anew=True, cap=1e-9))
    assert poor.state == "budget" and not poor.progress.answered  # what was paid for is not lost for nothing
    assert store.bought(account(store, server), [text_key(text) for text in texts]).models == had
    assert (await ended(fetching(store, server.base_url, texts, anew=True))).state == "finished"
    got = store.bought(account(store, server), [text_key(text) for text in texts])
    assert got.models == {"tiny-v3": 300}


async def test_stopping_keeps_what_lands_and_sends_no_more(llm_server: Factory, store: EmbeddingStore) -> None:
    server, texts = llm_server(), sentences(BATCH * 20)
    server.control(faults=[{"sequence": [None, "429_ms", "429_ms"], "retry_after": "60000"}])
    run = fetching(store, server.base_url, texts, concurrency=2)
    events = []
    async for event in run.events():  # two requests wait a minute, as the server wishes
        events.append(event)
        if not isinstance(event, Finished) and len(server.log()) == 3:
            run.stop()
    done = events[-1]
    assert isinstance(done, Finished) and done.state == "stopped"
    assert done.progress.answered == BATCH == sum(have(store, server, texts))
    assert store.money(account(store, server)).reserved_nano == 0
    assert len(server.log()) == 3


async def test_the_cap_holds_by_the_servers_own_log_and_is_used_up(
    llm_server: Factory, store: EmbeddingStore
) -> None:
    faults = [{"kind": "cut", "rate": 0.05}, {"kind": "500", "rate": 0.05}, {"kind": "few", "rate": 0.03}]
    server, texts = llm_server(faults=faults), sentences(2000)
    cap = 0.008
    done = await ended(fetching(store, server.base_url, texts, cap=cap))
    assert done.state == "budget" and "--budget" in done.message
    spent = store.money(account(store, server)).spent_nano
    assert money(server) <= spent <= cap * NANO
    assert spent >= 0.7 * cap * NANO
    assert 0 < sum(have(store, server, texts)) == done.progress.answered < 2000
    assert (await ended(fetching(store, server.base_url, texts, cap=cap * 10))).state == "finished"
    assert all(have(store, server, texts))


def test_a_kill_repeats_only_what_was_in_flight_and_two_processes_never_buy_at_once(
    llm_server: Factory, tmp_path: Path
) -> None:
    server, texts = llm_server(options={"latency": 0.05}), sentences(BATCH * 40)
    command = [
        sys.executable,
        "-m",
        "tests.core.embedding_child",
        str(tmp_path),
        server.base_url,
        str(len(texts)),
    ]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while int(child.stdout.readline()) < BATCH * 5:
        pass
    with EmbeddingStore.open(tmp_path) as store:
        with pytest.raises(BusyError, match=str(child.pid)):
            asyncio.run(ended(fetching(store, server.base_url, texts)))
        child.kill()
        child.stdout.close()
        child.wait()
        with closing(sqlite3.connect(tmp_path / FILE)) as looking:
            rows = looking.execute("SELECT texts FROM batches WHERE state = 'reserved'").fetchall()
        assert 0 < len(rows) <= 6, "four in flight, and who waits for a turn"
        held = store.money(account(store, server)).reserved_nano
        server.control(options={"latency": 0.0})
        done = asyncio.run(ended(fetching(store, server.base_url, texts)))
        assert done.state == "finished", done.message
        assert all(have(store, server, texts))
        found = store.money(account(store, server))
    times = billed(server)
    assert len(times) == len(texts)
    assert sum(times.values()) - len(texts) <= sum(row[0] for row in rows)
    assert (held > 0, found.reserved_nano) == (True, 0)
    assert found.spent_nano >= money(server), "what was in flight at a kill is charged as if it was computed"


# -- the account ---------------------------------------------------------------------------------------------


def test_the_file_is_ours_or_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE theirs(id)")
    with pytest.raises(StoreError, match="another program"):
        EmbeddingStore.open(tmp_path)


async def test_the_key_stands_nowhere(
    llm_server: Factory, store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server = llm_server(options={"key": KEY})
    assert (await ended(fetching(store, server.base_url, sentences(3), key_env="MY_KEY"))).state == "finished"
    assert server.log()[0]["auth"] == f"Bearer {KEY}"
    server.control(options={"key": "another"})
    done = await ended(fetching(store, server.base_url, sentences(9), key_env="MY_KEY"))
    assert done.state == "failed" and "***" in done.message and KEY not in done.message
    store.close()
    files = [file for file in store.path.parent.iterdir() if file.is_file()]
    assert files and all(KEY.encode() not in file.read_bytes() for file in files)


# -- what it takes -------------------------------------------------------------------------------------------


def _plan(store: EmbeddingStore, spec: str = "api:tiny", budget: float | None = None, **flags: Any) -> Any:
    wanted = Needed(sentences=("", *sentences(100)), tasks={"CR": tuple(range(101))})
    return plan(store, settings.load(), spec, wanted, EmbeddingWish(endpoint=Wish(**flags), budget=budget))


def test_a_plan_knows_what_is_missing_and_when_to_ask(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = _plan(store, "api:text-embedding-ada-002")
    assert (ada.profile.name, ada.profile.host, ada.requests) == ("openai", "api.openai.com", 2)
    assert ada.price is not None and (ada.price.input_usd_per_m, ada.price.output_usd_per_m) == (0.1, 0.0)
    assert len(ada.missing) == 100 and "" not in ada.missing
    assert ada.cost_nano is not None and 0 < ada.cost_nano[0] < ada.cost_nano[1] < ada.worst_nano
    assert ada.costs
    local = _plan(store, base_url="http://127.0.0.1:9/v1/embeddings")
    assert (local.price, local.costs, local.profile.base_url) == (None, False, "http://127.0.0.1:9/v1")
    assert _plan(store, base_url="http://127.0.0.1:9", price_in=0.1).costs
    assert _plan(store, base_url="http://x.example/v1", api_key_env="K").costs, (
        "who pays is known, the price not"
    )
    monkeypatch.setenv("CLAIF_TUI_BUDGET", "2")
    assert _plan(store, base_url="http://127.0.0.1:9", price_in=0.1).cap_nano == 2 * NANO
    assert _plan(store, base_url="http://127.0.0.1:9").cap_nano is None
    capped = _plan(store, base_url="http://127.0.0.1:9", price_in=0.1, budget=3.0)
    store.begin(capped.account.id, capped.cap_nano)
    assert _plan(store, base_url="http://127.0.0.1:9", price_in=0.1).cap_nano == 3 * NANO, "kept"
    with pytest.raises(BudgetError, match="price of 'tiny' is unknown"):
        _plan(store, base_url="http://127.0.0.1:9")


def test_what_cannot_be_asked_is_refused(store: EmbeddingStore) -> None:
    with pytest.raises(UsageError, match="names no model"):
        _plan(store, "api:")
    with pytest.raises(UsageError, match="which endpoint has this model is not known"):
        _plan(store, "api:unheard-of")
    with pytest.raises(UsageError, match="offline is none"):
        _plan(store, "api:offline", profile="offline")
    with pytest.raises(BudgetError, match="price of 'tiny' is unknown"):
        _plan(store, base_url="http://127.0.0.1:9", budget=1.0)


def test_a_profiles_price_is_that_of_the_model_it_names(store: EmbeddingStore) -> None:
    settings.save_profile(
        replace(
            settings.load().profiles["openai"],
            name="lab",
            base_url="http://h.example/v1",
            model="chat-model",
            price_in=5.0,
            price_out=9.0,
        )
    )
    assert _plan(store, profile="lab").price is None
    chat = _plan(store, "api:chat-model", profile="lab").price
    assert chat is not None and (chat.input_usd_per_m, chat.output_usd_per_m) == (5.0, 0.0)
