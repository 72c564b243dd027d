"""A local language model: its batches against transformers' own generation, and the real child behind the client."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import pytest_asyncio
import torch
from transformers import MambaConfig, MambaForCausalLM

from claif_tui.core.addressing import sampling_json
from claif_tui.core.llm.base import Answer, Delta, LLMError, Request, Sampling, Task, problem
from claif_tui.core.llm.local import LocalClient
from claif_tui.core.llm.rules import Contrast as AskedContrast
from claif_tui.core.llm.rules import Debias as AskedDebias
from engine import decoding
from engine.decoding import Choice, Contrast, Debias
from engine.errors import EngineError
from engine.local.batch import Batch, Writing
from engine.local.model import LocalModel, load
from engine.local.server import Inbox, Server
from engine.local.text import prompt_tokens
from tests.cli.conftest import ROOT
from tests.engine import language_models, tiny_models
from tests.engine.language_models import ANSWERS, CAFÉ, PAIRS, SAME, SENTENCES, TOPIC

pytestmark = pytest.mark.xdist_group("local-lm")
PROMPTS = [prompt for prompt, _ in PAIRS]


@dataclass(frozen=True)
class Models:
    folder: Path
    gpt2: LocalModel
    llama: LocalModel
    t5: LocalModel


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    language_models.causal(folder / "gpt2")
    language_models.causal(folder / "llama", "llama", steps=25)
    language_models.seq2seq(folder / "t5", steps=40)
    return Models(folder, *(load(str(folder / name)) for name in ("gpt2", "llama", "t5")))


def ids(model: LocalModel, text: str) -> list[int]:
    return prompt_tokens(model, [("user", text)], "completions")


def written(model: LocalModel, wanted: Sequence[Writing], *, rows: int = 96, after: int = 0) -> list[list[int]]:
    """Tokens of answers that are written together; each comes in ``after`` steps later than the one before."""
    batch, left = Batch(model, rows), list(wanted)
    while batch.busy or left:
        for _ in range(1 if after else len(left)):
            if left:
                batch.add(left.pop(0))
        for _ in range(max(1, after)):
            batch.step()
    assert all(one.ended for one in wanted)
    return [one.tokens for one in wanted]


def answers(model: LocalModel, *, seed: int = 0, **choice: Any) -> list[Writing]:
    """An answer to every prompt, each under a choice a little different from the one before."""
    return [
        Writing(
            prompts=[ids(model, text)],
            choice=Choice(temperature=1.0 + 0.2 * (n % 3), **choice),
            seed=seed + n,
            max_tokens=12 + n % 9,
        )
        for n, text in enumerate(PROMPTS)
    ]


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
@pytest.mark.parametrize(("rows", "after"), [(5, 0), (7, 3)])
def test_greedy_answers_are_those_of_transformers_one_by_one(
    models: Models, name: str, rows: int, after: int
) -> None:
    model: LocalModel = getattr(models, name)
    peer = []
    for text in PROMPTS:
        asked = torch.tensor([ids(model, text)])
        said = model.model.generate(
            asked, attention_mask=torch.ones_like(asked), do_sample=False, max_new_tokens=14, num_beams=1
        )[0]
        peer.append(said[1 if model.seq2seq else asked.shape[1] :].tolist())
    ours = [Writing([ids(model, text)], Choice(temperature=0), 1, 14) for text in PROMPTS]
    assert written(model, ours, rows=rows, after=after) == peer


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(models: Models, name: str) -> None:
    model: LocalModel = getattr(models, name)
    together = written(model, answers(model))
    alone = [written(model, [one])[0] for one in answers(model)]
    assert alone != written(model, answers(model, top_k=1)), "they are drawn, not known by heart"
    assert together == alone
    assert written(model, answers(model), rows=6, after=2) == alone
    assert written(model, answers(model)[::-1], rows=9)[::-1] == alone
    assert written(model, answers(model, seed=100)) != alone
    looks = [replace(one, look=True) for one in answers(model)[:6]]
    written(model, looks)
    for look in looks:
        single = [replace(look, ended="", chances=None) for _ in range(2)]
        for one in single:
            written(model, [one])
        assert torch.equal(single[0].chances, single[1].chances), "alone, bit for bit"
        torch.testing.assert_close(look.chances, single[0].chances, rtol=0, atol=1e-5)


def step_by_step(model: LocalModel, one: Writing) -> list[int]:
    """The same answer without batch, cache or padding: each prompt computed whole at every token."""
    tokens: list[int] = []
    while len(tokens) < one.max_tokens and (not tokens or tokens[-1] not in model.ends):
        contexts = []
        for prompt in one.prompts:
            with torch.inference_mode():
                if model.seq2seq:
                    begun = torch.tensor([[*model.starts, *tokens]])
                    said = model.model(input_ids=torch.tensor([prompt]), decoder_input_ids=begun)
                else:
                    said = model.model(input_ids=torch.tensor([prompt + tokens]))
            contexts.append(said.logits[:, -1].float())
        chances = decoding.distribution(contexts, one.choice)
        tokens += decoding.draw(chances, [decoding.uniform(one.seed, len(tokens))])
    return tokens


@pytest.mark.parametrize("name", ["llama", "t5"])
@pytest.mark.parametrize("rule", [Debias(decay=20.0), Contrast(omega=0.8)])
def test_every_prompt_of_a_rule_is_read_and_fed_the_same_token(
    models: Models, name: str, rule: Debias | Contrast
) -> None:
    model: LocalModel = getattr(models, name)

    def asked(count: int, rule: Any) -> list[Writing]:
        return [
            Writing(
                [ids(model, f'{TOPIC}: {a}\nAnswer: "'), ids(model, f'Now {SAME}: {a}\nAnswer: "')][:count],
                Choice(rule=rule),
                seed=n,
                max_tokens=10,
            )
            for n, a in enumerate(SENTENCES)
        ]

    found = written(model, [*asked(2, rule), *answers(model)], rows=20)[: len(SENTENCES)]
    assert found == [step_by_step(model, one) for one in asked(2, rule)]
    plain = written(model, asked(1, None))
    assert found != plain, "the second prompt was ignored"
    idle = Debias(decay=0) if isinstance(rule, Debias) else Contrast(omega=0)
    assert written(model, asked(2, idle)) == plain


def test_one_step_of_the_real_batch_is_the_reference_case(
    models: Models, data_dir: Path, tmp_path: Path
) -> None:
    cases = json.loads((data_dir / "loss_reference.json").read_text())["cases"]
    dino, contrast = cases["dino_self_debiasing_step"], cases["multicsr_contrastive_logits"]
    rows = [torch.tensor(p).log().tolist() for p in (dino["p"], *dino["p_counter"])]
    model = load(str(language_models.scripted(tmp_path / "dino", [*rows, [0.0] * 4])))
    rule = Debias(decay=dino["lambda"], floor=dino["epsilon"])
    asked = Writing([[3, 0], [3, 3, 3, 1], [2]], Choice(rule=rule), 1, 5, look=True)
    others = [Writing([[n]], Choice(), 1, 5) for n in range(4)]
    written(model, [*others[:2], asked, *others[2:]])
    torch.testing.assert_close(asked.chances, torch.tensor(dino["p_out"]), rtol=0, atol=2e-5)
    model = load(
        str(
            language_models.scripted(
                tmp_path / "csr", [contrast["l"], contrast["l_opposite"], *[[0.0] * 4] * 2]
            )
        )
    )
    other = Contrast(omega=contrast["omega"], plausibility=0)
    asked = Writing([[3, 3, 0], [1]], Choice(rule=other), 1, 5, look=True)
    written(model, [*(Writing([[n]], Choice(), 1, 5) for n in range(4)), asked])
    wanted = torch.softmax(torch.tensor(contrast["out"]), -1)
    torch.testing.assert_close(asked.chances, wanted, rtol=0, atol=2e-5)


def test_an_end_of_text_can_be_put_off(models: Models) -> None:
    one = Writing([ids(models.gpt2, PROMPTS[0])], Choice(), 1, 30, min_tokens=30)
    assert len(written(models.gpt2, [one])[0]) == 30
    assert not set(one.tokens) & set(models.gpt2.ends)
    assert one.ended == "length"


def test_where_memory_is_full_fewer_are_written_at_once(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = written(models.llama, answers(models.llama))
    real: Callable[..., Any] = models.llama.model.forward

    @functools.wraps(real)
    def cramped(*words: Any, **named: Any) -> Any:
        if len(named["input_ids"]) > 3:
            raise torch.OutOfMemoryError("no room")
        return real(*words, **named)

    monkeypatch.setattr(models.llama.model, "forward", cramped)
    assert written(models.llama, answers(models.llama)) == wanted
    lone = Writing([[5]] * 4, Choice(rule=Debias()), 1, 5)
    with pytest.raises(EngineError, match="memory is full"):
        written(models.llama, [lone])
    assert lone.ended == "memory"


def test_what_is_no_language_model_is_said(tmp_path: Path) -> None:
    tiny_models.masked_bert(tmp_path / "bert")
    with pytest.raises(EngineError, match="BertForMaskedLM: neither a causal nor a seq2seq"):
        load(str(tmp_path / "bert"))
    words = language_models.tokenizer()
    sizes = {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 1, "vocab_size": len(words)}
    tiny_models.save(tmp_path / "mamba", MambaForCausalLM(MambaConfig(**sizes)), words)
    with pytest.raises(EngineError, match="state in place of a KV cache"):
        load(str(tmp_path / "mamba"))
    with pytest.raises(EngineError, match="no model folder"):
        load("./nothing/here")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match=r"config\.json is missing"):
        load(str(tmp_path / "empty"))
    with pytest.raises(EngineError, match="no device 'abacus'"):
        load(str(tmp_path / "bert"), device="abacus")


def test_a_chat_goes_through_the_template_where_there_is_one(models: Models, tmp_path: Path) -> None:
    chat = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Yes?"), ("user", "A dog")]

    def told(form: str, tokenizer: Any = models.gpt2.tokenizer) -> str:
        found = prompt_tokens(replace(models.gpt2, tokenizer=tokenizer), chat, form)
        return str(models.gpt2.tokenizer.decode(found))

    assert told("chat") == told("completions") == "Be brief.\nHello\nYes?\nA dog"
    words = language_models.tokenizer()
    words.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[bot]{% endif %}"
    )
    assert told("chat", words) == "[user]Be brief.\n\nHello[assistant]Yes?[user]A dog[bot]"
    assert told("completions", words) == "Be brief.\nHello\nYes?\nA dog"


def test_the_server_answers_line_by_line_whatever_it_is_asked(models: Models) -> None:
    inbox, said = Inbox(), io.BytesIO()
    plain = {"messages": [["user", PROMPTS[0]]], "form": "completions", "seed": 1}
    other = [["user", PROMPTS[1]]]
    rules = [
        {"name": "debias", "against": [other]},
        {"name": "contrast", "against": other, "omega": 0.9, "plausibility": 0},
        {"name": "debias", "against": [other], "lambda": 0},
    ]
    lines: list[Any] = [
        {"id": 1, "op": "next", "top": 3, **plain},
        *({"id": 2 + n, "op": "next", "top": 3, "rule": rule, **plain} for n, rule in enumerate(rules)),
        {"id": "word", "op": "generate", "max_tokens": 3, **plain},
        {"id": "off", "op": "generate", "max_tokens": 90, "min_tokens": 90, **plain},
        {"id": "off", "op": "cancel"},
        {"id": "off", "op": "cancel", "again": True},
        {"id": 10, "op": "generate", **plain, "rule": {"name": "luck"}},
        {"id": 11, "op": "generate", **plain, "rule": {"name": "contrast", "against": "x"}},
        {"id": 12, "op": "generate", **plain, "messages": []},
        {"id": 13, "op": "sing", **plain},
        {"id": 14, "op": "generate", **plain, "stop": "x"},
        {"op": "generate"},
        [1],
    ]
    for line in (*(json.dumps(line).encode() for line in lines), b"{nonsense"):
        inbox.lines.put(line)
        inbox.open += 1
    inbox.lines.put(None)
    Server(models.gpt2, inbox, said).serve()
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert inbox.open == 0, "each line is answered once"
    ends = {
        event["id"]: event
        for event in events
        if event["event"] in ("done", "error") and event["id"] is not None
    }
    wanted = models.gpt2.tokenizer(ANSWERS[0])["input_ids"]
    assert ends[1]["next"][0][1] == wanted[0]
    assert ends[4]["next"] == ends[1]["next"]
    assert ends[2]["next"] != ends[1]["next"] != ends[3]["next"]
    assert ends["word"]["text"] == models.gpt2.tokenizer.decode(wanted[:3])
    assert ends["off"]["reason"] == "cancelled"
    messages = {number: ends[number]["message"] for number in (10, 11, 12, 13, 14)}
    assert all("“" in message for message in messages.values()), messages
    assert sum(event["event"] == "error" and event["id"] is None for event in events) == 3


# -- the child --------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(models: Models) -> AsyncIterator[LocalClient]:
    running = LocalClient(str(models.folder / "gpt2"))
    await running.open()
    yield running
    await running.close()


def request(text: str, seed: int = 1, **sampling: Any) -> Request:
    return Request(
        key="0",
        stage="generate",
        model="gpt2",
        api="completions",
        messages=(("user", text),),
        sampling=Sampling(**{"temperature": 0.7, "top_p": 0.9, "stop": ('"',), **sampling}),
        task=Task(op="free", text=""),
        seed=seed,
    )


async def told(client: LocalClient, asked: Request) -> Answer:
    *deltas, answer = [event async for event in client.stream(asked)]
    assert isinstance(answer, Answer)
    assert "".join(d.text for d in deltas if isinstance(d, Delta)) == answer.text
    return answer


@pytest.mark.asyncio(loop_scope="module")
async def test_the_child_streams_what_it_learnt_and_says_how_it_ended(
    client: LocalClient, models: Models
) -> None:
    asked = [request(f'{SAME}: {a}\nAnswer: "') for a in SENTENCES]
    found = await asyncio.gather(*(told(client, one) for one in asked))
    assert [one.text for one in found] == ANSWERS, "up to the stop string, without it"
    first = found[0]
    assert (first.finish_reason, first.model) == ("stop", f"gpt2@{models.gpt2.version}")
    assert first.prompt_tokens == len(ids(models.gpt2, PROMPTS[0]))
    assert first.completion_tokens == len(models.gpt2.tokenizer(ANSWERS[0] + '"')["input_ids"])
    pieces = [event async for event in client.stream(asked[0])]
    assert len(pieces) > 4, "piece by piece"
    city = await told(client, request("City:", temperature=0, stop=()))
    assert (city.text, city.finish_reason) == (f" {CAFÉ}.", "stop")
    assert (await told(client, request("City:", temperature=0, stop=("京", "→ 東")))).text == " Café "
    short = await told(client, request(PROMPTS[0], max_tokens=2))
    assert (short.finish_reason, problem(short)) == ("length", "cut_off")


@pytest.mark.asyncio(loop_scope="module")
async def test_seeds_and_rules_reach_the_model_through_the_pipe(client: LocalClient) -> None:
    def hot(seed: int, **more: Any) -> Request:
        return request(PROMPTS[7], seed, temperature=1.8, top_p=1.0, max_tokens=20, **more)

    plain = [(await told(client, hot(seed))).text for seed in range(6)]
    assert len(set(plain)) > 3
    many = await asyncio.gather(*(told(client, hot(seed)) for seed in (*range(6), *range(6))))
    assert [one.text for one in many] == plain * 2
    against = (("user", PROMPTS[1]),)
    for rule, idle in (
        (AskedDebias(against=(against,)), AskedDebias(against=(against,), decay=0)),
        (AskedContrast(against=against), AskedContrast(against=against, omega=0)),
    ):
        assert [(await told(client, hot(seed, rule=idle))).text for seed in range(6)] == plain
        assert [(await told(client, hot(seed, rule=rule))).text for seed in range(6)] != plain
    likeliest = (await told(client, request(PROMPTS[7], temperature=0, max_tokens=20))).text
    assert (
        await told(client, request(PROMPTS[7], 3, temperature=1.8, top_k=1, max_tokens=20))
    ).text == likeliest
    barred = await told(client, hot(1, min_tokens=20, stop=()))
    assert (barred.completion_tokens, barred.finish_reason) == (20, "length")


@pytest.mark.asyncio(loop_scope="module")
async def test_who_stops_listening_and_who_asks_nonsense_disturbs_nobody(client: LocalClient) -> None:
    streams = [client.stream(request(PROMPTS[0], n, max_tokens=100, min_tokens=100)) for n in range(8)]
    for stream in streams[:2]:
        await anext(stream)
    for stream in streams:
        await stream.aclose()
    for text, reason in (("", "bad_request"), ("word " * 500, "context_length")):
        with pytest.raises(LLMError) as caught:
            await told(client, request(text))
        assert caught.value.reason == reason
    with pytest.raises(LLMError, match="top_p"):
        await told(client, request(PROMPTS[0], top_p=3.0))
    assert (await told(client, request(PROMPTS[0]))).text == ANSWERS[0]
    assert client._child is not None
    assert not client._child.waiting


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is not ours")
def test_a_child_whose_parent_is_killed_ends_also_while_it_loads(models: Models) -> None:
    program = (
        "import subprocess, sys\n"
        "words = [sys.executable, '-m', 'engine', 'local-lm', '--model', sys.argv[1]]\n"
        "child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(models.folder / "gpt2")], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        descriptor = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
    import select

    assert select.select([descriptor], [], [], 30)[0], "it lives on"
    os.close(descriptor)


def test_generate_and_score_run_on_a_local_model(
    models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from claif_tui.cli.main import run

    def cli(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(word) for word in words], lambda _: pytest.fail("the app was opened"))
        return code, *capsys.readouterr()

    project, seeds = tmp_path / "project", tmp_path / "seeds.txt"
    tiny_models.masked_bert(tmp_path / "bert")
    seeds.write_text("\n".join(SENTENCES) + "\n")
    same = 'Say the same: {sentence}\nAnswer: "'
    assert cli("init", project)[0] == 0
    assert cli("import", "-P", project, seeds)[0] == 0
    changes = (
        f"prompts.completions.paraphrase={same}",
        "prompts.completions.paper=How similar: {sentence1} | {sentence2} is",
        "score.prompt=paper",
        "rates=0.0",
    )
    assert cli("recipe", "set", "-P", project, *changes)[0] == 0
    where = ("-P", project, "--api", "completions", "--json")
    for name, said in (("nowhere", "there is no model folder"), ("bert", "neither a causal nor a seq2seq")):
        failed = cli("generate", *where, "--model", f"local:{tmp_path}/{name}")
        assert failed[0] == 1
        assert said in failed[2]
    code, out, err = cli("generate", *where, "--model", f"local:{models.folder / 'gpt2'}")
    assert code == 0, err
    found = json.loads(out)
    assert (found["planned"], found["answered"], found["pairs"]["pending"]) == (6, 6, 6)
    assert found["spent_usd"] == 0
    from claif_tui.core.models import PairQuery
    from claif_tui.core.store.store import Store

    with Store.open(project) as store:
        pairs = store.pairs.first(PairQuery(), 10)
        assert {(pair.text_a, pair.generated) for pair in pairs} == set(zip(SENTENCES, ANSWERS, strict=True))
        assert {pair.score for pair in pairs} == {0.8}


def test_a_rule_is_part_of_the_address_and_a_request_without_one_keeps_its_own() -> None:
    plain = Sampling(temperature=0.7, top_p=0.9, stop=('"',))
    assert sampling_json(plain) == '{"max_tokens":256,"stop":["\\""],"temperature":0.7,"top_p":0.9}'
    against = (("user", "other"),)
    spelled = {
        sampling_json(replace(plain, **change))
        for change in (
            {},
            {"top_k": 5},
            {"min_tokens": 5},
            {"rule": AskedDebias(against=(against,))},
            {"rule": AskedDebias(against=(against, against))},
            {"rule": AskedDebias(against=(against,), decay=1.0)},
            {"rule": AskedContrast(against=against)},
            {"rule": AskedContrast(against=against, plausibility=0)},
        )
    }
    assert len(spelled) == 8
