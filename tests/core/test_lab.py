"""The prompt lab against a real loopback server: what it finds and does not claim, what it asks, what it may spend."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from claif_tui.core import session
from claif_tui.core.lab import report
from claif_tui.core.lab.cells import adopt, find
from claif_tui.core.lab.compare import holm, leader, score_contrasts, stands_out
from claif_tui.core.lab.figures import calibration, distinct, near_duplicates
from claif_tui.core.lab.file import EXAMPLES, LabError, parse
from claif_tui.core.lab.models import Contrast, CustomPrompt, LabSpec
from claif_tui.core.lab.outcomes import scored_rows
from claif_tui.core.lab.running import plan_of
from claif_tui.core.models import PairQuery
from claif_tui.core.pipeline import Generation
from claif_tui.core.planning import RunOptions
from claif_tui.core.prompts import SCORE_PROMPTS
from claif_tui.core.recipes import Recipe
from claif_tui.core.store.store import Store
from tests.conftest import ROOT
from tests.core.test_pipeline import fill
from tests.lab_support import (
    FAVOURED,
    MARK,
    QUICK,
    ask,
    fill_gold,
    lab_of,
    made_up,
    spent,
    sts_dev,
    world,
)
from tests.llm_fixtures import Factory, LLMServer

SCORE = LabSpec(kind="score", rows=60, prompts=SCORE_PROMPTS, budget=1.0)
MAKE = LabSpec(
    kind="generate", rows=20, prompts=("recipe",), rates=((0.0,), (0.5,)), budget=1.0, criterion="novelty"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "p") as made:
        yield made


def start(llm_server: Factory, tmp_path: Path, rows: int, **more: object) -> LLMServer:
    """A server that scores made-up pairs, the favoured prompt with less noise."""
    options = {"gold": world(tmp_path / "world", made_up(rows), {MARK: 0.05}, 0.25)}
    return llm_server(options=options, **more)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows = 3", "kind is missing"),
        ('kind = "score"\nrows = 1', "line 2: rows is 1, expected a whole number from 2"),
        ('kind = "score"\n\nrowz = 1', "line 3: there is no field 'rowz'"),
        ('kind = "score"\nprompts = ["papr"]', "line 2: there is no prompt 'papr'"),
        ('kind = "score"\nprompts = ["paper", "paper"]', "line 2: prompts names something twice"),
        ('kind = "generate"\nrates = [0.5, 2]', "line 2: rates holds 2"),
        ('kind = "score"\ntemperatures = ["hot"]', "line 2: temperatures holds 'hot'"),
        ('kind = "score"\nbudget = -1', "line 2: budget is -1, expected dollars"),
        ('kind = "generate"\ncriterion = "spearman"', "line 2: criterion is 'spearman', expected yield"),
        (
            'kind = "score"\n[prompt.mine]\ntext = "hello {sentence1}"',
            "line 3: prompt.mine.text lacks {sentence2}",
        ),
        (
            'kind = "score"\n[prompt.mine]\ntext = "{sentence1} {sentence2}"',
            "line 2: the prompt 'mine' is in no",
        ),
        ('kind = "score"\n[prompt.paper]\ntext = "{sentence1} {sentence2}"', "line 2: 'paper' cannot be"),
        ('kind = "score"\nfilter = "split ="', "line 2: filter: Expected a value"),
        ('kind = "score', "is not valid TOML"),
    ],
)
def test_errors_of_a_lab_file_name_file_line_and_field(text: str, says: str) -> None:
    with pytest.raises(LabError) as caught:
        parse(text, "some.toml")
    assert caught.value.message.startswith("some.toml")
    assert says in caught.value.message
    assert caught.value.hint


def test_the_examples_are_good_files() -> None:
    score, make = parse(EXAMPLES["score"]), parse(EXAMPLES["generate"])
    assert (score.prompts, score.rows, score.budget) == (SCORE_PROMPTS, 200, 1.0)
    assert (make.rates[-1], make.criterion) == ((0.0, 0.2, 0.5), "yield")
    # What is commented out is good, too.
    shown = "\n".join(
        line.removeprefix("# ") for line in EXAMPLES["score"].splitlines() if "[prompt" not in line
    )
    assert "text = " in shown and "number = " in shown


def test_holm_and_what_stands_out() -> None:
    plain = [
        Contrast(first=a, second=b, n=99, p=p)
        for a, b, p in (("a", "b", 0.01), ("a", "c", 0.04), ("b", "c", 0.03))
    ]
    found = holm(plain)
    # By hand: 0.01 x 3; 0.03 x 2; then the largest so far, not 0.04 x 1.
    assert [one.adjusted for one in found] == pytest.approx([0.03, 0.06, 0.06])
    assert not stands_out("a", found)
    sure = [replace(one, p=0.001, adjusted=0.003) for one in plain]
    assert stands_out("a", sure) and not stands_out("a", [replace(one, n=10) for one in sure])
    untested = [*holm(plain[:1]), replace(plain[1], p=None, reason="none")]
    assert not stands_out("a", untested), "without a test nothing is claimed"
    assert leader({"a": 0.2, "b": None, "c": 0.1}, "cost") == "c"


def test_a_known_advantage_is_found_and_none_is_claimed_between_equals() -> None:
    found = quiet = 0
    for seed in range(8):
        draw = random.Random(seed)
        gold = {row: draw.random() for row in range(80)}

        def noisy(spread: float, draw: random.Random = draw, gold: dict[int, float] = gold) -> dict[int, float]:
            return {row: round(min(1, max(0, label + draw.gauss(0, spread))), 2) for row, label in gold.items()}

        equal = {name: noisy(0.2) for name in "abc"}
        quiet += not any((one.adjusted or 0) < 0.05 for one in score_contrasts(gold, equal))
        better = score_contrasts(gold, {**equal, "c": noisy(0.08)})
        found += stands_out("c", better) and all(one.n == 80 for one in better)
    assert found == 8
    assert quiet >= 7


def test_calibration_and_diversity_by_hand() -> None:
    bins = calibration([(0.0, 0.2), (0.3, 0.1), (0.3, 0.5), (1.0, 0.9), (0.95, 0.7)])
    assert [(one.rows, one.gold) for one in bins if one.rows] == [
        (1, 0.2),
        (2, pytest.approx(0.3)),
        (2, pytest.approx(0.8)),
    ]
    assert [one.low for one in bins if one.rows] == [0.0, 0.3, 0.9]
    sentences = [["a", "b", "a"], ["a", "b", "c"]]
    assert distinct(sentences, 1) == pytest.approx(3 / 6)
    assert distinct(sentences, 2) == pytest.approx(3 / 4)
    long = ["one", "sentence", "of", "quite", "a", "few", "words", "that", "go", "on", "and", "on"]
    assert near_duplicates([long, [*long, "."], ["other"]]) == pytest.approx(2 / 3)
    assert distinct([], 1) is None and near_duplicates([]) is None


async def test_the_three_prompts_on_labelled_pairs(store: Store, tmp_path: Path, llm_server: Factory) -> None:
    server = start(llm_server, tmp_path, 80, faults=[{"kind": "unparsable", "rate": 0.3, "match": "Give the"}])
    fill_gold(store, made_up(80))
    found, last = await ask(store, server, SCORE)
    assert (last.state, found.open, found.leader, found.supported) == ("finished", 0, FAVOURED, True)
    assert "is supported" in found.verdict
    cells = {cell.cell.name: cell for cell in found.cells}
    assert list(cells) == list(SCORE_PROMPTS)
    best, faulty = cells[FAVOURED], cells["score-and-reason"]
    assert best.score is not None and best.score.spearman is not None and best.score.spearman.value > 0.95
    assert sum(best.spread.counts) == 60 and best.score.error is not None and best.score.error < 0.08
    # Unreadable answers are asked again; what stays unreadable is counted with its reason.
    assert faulty.reasked > 5 and best.reasked == 0
    assert faulty.spread.scored + sum(faulty.failed.values()) == 60 and set(faulty.failed) <= {"unparsed"}
    # Money: what the calls cost is what the server counted, and the lab's account holds all of it.
    counted = spent(server)
    assert sum(cell.cost_nano for cell in found.cells) / 1e9 == pytest.approx(counted)
    assert store.ledger.get(found.lab.id).spent_nano / 1e9 == pytest.approx(counted)
    assert report.per_thousand(best) == pytest.approx(best.cost_nano / 1e9 / 60 * 1000)
    # Nothing came among the project's pairs, and nothing is asked twice.
    assert store.pairs.count(PairQuery()) == 80
    assert all(pair.score is None for pair in store.pairs.export_rows(PairQuery()))
    before = len(server.log())
    again, _ = await ask(store, server, SCORE)
    assert len(server.log()) == before
    assert report.document(again) == report.document(found)
    # More rows: only the new ones are asked, and every cell gets the same ones.
    more, _ = await ask(store, server, replace(SCORE, rows=80))
    assert len(server.log()) - before >= 60
    assert {row.pair_id for row in found.lab.gold} < {row.pair_id for row in more.lab.gold}
    first_time = [line for line in server.log()[before:] if line["fault"] is None]
    assert len(first_time) <= 60 + 20
    text = "\n".join([report.markdown(found), report.comma(found), report.latex(found), *report.charts(found)])
    assert FAVOURED in text and "Heaped" not in text


async def test_a_lab_stays_under_its_cap_and_goes_on_with_more(
    store: Store, tmp_path: Path, llm_server: Factory
) -> None:
    server = start(llm_server, tmp_path, 40, faults=[{"kind": "500", "rate": 0.1}])
    fill_gold(store, made_up(40))
    plan = plan_of(store, lab_of(store, server, SCORE))
    assert plan.usd is not None and (plan.planned, plan.open, plan.calls) == (120, 120, 120)
    cap = plan.usd[0] / 2
    found, last = await ask(store, server, replace(SCORE, budget=cap))
    assert last.state == "budget" and found.open > 0
    assert spent(server) <= cap
    assert any("are open" in note for note in found.notes)
    # Rows come one by one, each in every cell: what is there can be compared.
    read = [cell.spread.scored for cell in found.cells]
    assert max(read) - min(read) <= 32 and min(read) > 5
    before = spent(server)
    whole, last = await ask(store, server, replace(SCORE, budget=1.0))
    assert (last.state, whole.open) == ("finished", 0)
    assert whole.lab.id == found.lab.id, "one account, whatever the budget"
    assert 0 < spent(server) - before < before * 3


def test_a_killed_lab_goes_on_where_it_was(tmp_path: Path, llm_server: Factory) -> None:
    server = start(llm_server, tmp_path, 30)
    server.control(options={"latency": 0.05})
    with Store.create(tmp_path / "p") as store:
        fill_gold(store, made_up(30))
        session.save_recipe(store.folder, Recipe(max_tokens=48))
    file = tmp_path / "lab.toml"
    file.write_text('kind = "score"\nrows = 30\nbudget = 1.0\n')
    command = [
        sys.executable,
        "-m",
        "claif_tui",
        "lab",
        str(file),
        "-P",
        str(tmp_path / "p"),
        "--yes",
        "--json",
    ]
    command += ["--base-url", server.base_url, "--model", "tiny", "--price-in", "1", "--price-out", "4"]
    command += ["--concurrency", "8"]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while server.control()["requests"] < 20:
        assert child.poll() is None, "it ended before it could be killed"
    child.kill()
    child.wait()
    with Store.open(tmp_path / "p") as store:
        found, last = asyncio.run(ask(store, server, replace(SCORE, rows=30)))
    assert (last.state, found.open) == ("finished", 0)
    prompts = [line["prompt"] for line in server.log()]
    assert len(set(prompts)) == 90
    # Eight in flight, and half as many whose answer was not on disk yet when the next one went out.
    assert len(prompts) <= 90 + 14, "only what was in flight is sent again"


async def test_mask_rates_are_compared_by_seed_and_their_pairs_stay_outside(
    store: Store, tmp_path: Path, llm_server: Factory
) -> None:
    server = llm_server(faults=[{"kind": "refusal", "rate": 0.2, "match": "Replace all"}])
    fill(store, [f"the number {n} stands in a sentence of its own , like {n * n} ." for n in range(25)])
    found, last = await ask(store, server, MAKE)
    assert last.state == "finished"
    assert store.pairs.count(PairQuery()) == 0
    plain, masked = found.cells
    assert (plain.cell.name, masked.cell.name) == ("0.0", "0.5")
    for cell in found.cells:
        made = cell.made
        assert made is not None
        assert cell.planned == 20 == made.generated + cell.failed.get("refused", 0)
        assert made.kept + sum(made.drops.values()) == made.generated
        assert sum(cell.spread.counts) == cell.spread.scored
    assert plain.made is not None and masked.made is not None
    assert masked.failed["refused"] > 0 and "refused" not in plain.failed
    # The server adds one word at rate 0.0 and replaces half of them at 0.5.
    assert plain.made.novelty is not None and masked.made.novelty is not None
    assert plain.made.novelty < 0.15 < masked.made.novelty
    assert found.leader == "0.5" and found.supported
    assert plain.made.distinct_of == masked.made.distinct_of == min(plain.made.kept, masked.made.kept)
    assert report.per_kept(plain) == pytest.approx(plain.cost_nano / 1e9 / plain.made.kept)
    assert report.per_accepted(plain) is None
    # The project then makes the same pairs for nothing, people decide, and the lab says what they accepted.
    lab = found.lab
    recipe = replace(find(lab, "0.5").recipe, seed=lab.spec.seed)
    before = len(server.log())
    desk = session.open_desk(store, lab.stations[0].ready, config=QUICK)
    async for _ in Generation(store, recipe, RunOptions(), desk).events():
        pass
    assert len(server.log()) - before <= 2 * 5 + 8, "five seeds are new, the rest is stored"
    store.decisions.decide([store.pairs.of_seed(lab.seeds[0].id)[0].id], "accept")
    store.decisions.decide([store.pairs.of_seed(lab.seeds[1].id)[0].id], "reject")
    again, _ = await ask(store, server, MAKE)
    judged = again.cells[1].made
    assert judged is not None and again.cells[0].made is not None
    assert (judged.decided, judged.accepted, again.cells[0].made.decided) == (2, 1, 0)
    assert report.per_accepted(again.cells[1]) == pytest.approx(judged.decided_nano / 1e9)


async def test_a_cell_becomes_the_recipe_and_nothing_else_changes(
    store: Store, tmp_path: Path, llm_server: Factory
) -> None:
    server = start(llm_server, tmp_path, 10)
    fill_gold(store, made_up(10))
    mine = CustomPrompt(name="mine", text="Rate {sentence1} / {sentence2}", number="last")
    spec = replace(SCORE, prompts=("paper", "mine"), custom=(mine,), temperatures=(0.0, 0.7), seed=7)
    lab = lab_of(store, server, spec)
    assert [cell.name for cell in lab.cells] == ["paper/t0", "paper/t0.7", "mine/t0", "mine/t0.7"]
    old = session.load_recipe(store.folder)
    new = adopt(store, find(lab, "mine/t0.7"))
    assert session.load_recipe(store.folder) == new
    assert (new.score_prompt, new.score_temperature, new.seed) == ("reason-then-score", 0.7, old.seed)
    assert new.chat_reason_then_score == mine.text
    assert (new.rates, new.fill_temperature, new.model) == (old.rates, old.fill_temperature, "tiny")
    assert any("mine" not in text and mine.text in text for _, _, text in store.recipes.list() if mine.text)
    with pytest.raises(LabError, match="there is no cell"):
        find(lab, "paper")
    with pytest.raises(LabError, match="ask the same"):
        lab_of(
            store, server, replace(spec, prompts=("mine", "twin"), custom=(mine, replace(mine, name="twin")))
        )
    assert not any(one.keys for one in scored_rows(store, lab.cells[0], lab.gold))


async def test_two_models_are_two_runs_on_one_account(
    store: Store, tmp_path: Path, llm_server: Factory
) -> None:
    server = start(llm_server, tmp_path, 20)
    fill_gold(store, made_up(20))
    spec = replace(SCORE, prompts=("paper",), models=("one", "two"))
    found, last = await ask(store, server, spec, model=None)
    assert [cell.cell.name for cell in found.cells] == ["paper/one", "paper/two"]
    assert (last.progress.planned, last.progress.answered, last.progress.failed) == (40, 40, {})
    assert {(run.kind, run.model, run.state) for run in store.runs.list()} == {
        ("lab", "one", "finished"),
        ("lab", "two", "finished"),
    }
    assert store.ledger.get(found.lab.id).spent_nano / 1e9 == pytest.approx(spent(server))
    unpriced, _ = await ask(store, server, replace(spec, budget=None, seed=1), model=None, priced=False)
    assert all(report.per_thousand(cell) is None for cell in unpriced.cells)
    assert any("Costs are not known" in note for note in unpriced.notes)


async def test_what_a_project_lacks_is_said(store: Store, llm_server: Factory) -> None:
    server = llm_server()
    with pytest.raises(LabError, match="0 pairs with a human label"):
        lab_of(store, server, SCORE)
    with pytest.raises(LabError, match="0 training sentences"):
        lab_of(store, server, MAKE)
    fill_gold(store, made_up(5))
    with pytest.raises(LabError, match="filter takes"):
        lab_of(store, server, replace(SCORE, filter="split = test"))
    assert lab_of(store, server, SCORE).available == 5


async def test_the_lab_on_real_pairs(store: Store, tmp_path: Path, data_dir: Path, llm_server: Factory) -> None:
    rows = sts_dev(data_dir / "senteval")
    server = llm_server(options={"gold": world(tmp_path / "world", rows, {MARK: 0.12}, 0.18)})
    fill_gold(store, rows)
    found, _ = await ask(store, server, replace(SCORE, rows=200))
    assert (len(found.lab.gold), found.lab.available) == (200, 1500)
    assert (found.leader, found.supported, found.open) == (FAVOURED, True, 0)
