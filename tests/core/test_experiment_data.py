"""Data sets of an experiment: one budget over all of them, made once, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from claif_tui.core import settings
from claif_tui.core.errors import BudgetError, BusyError
from claif_tui.core.events import Finished
from claif_tui.core.experiment import data as making
from claif_tui.core.experiment.file import load
from claif_tui.core.experiment.grid import build
from claif_tui.core.experiment.journal import Journal
from claif_tui.core.experiment.models import DataSet, Source
from claif_tui.core.experiment.planning import plan
from claif_tui.core.importing.types import ImportOptions
from claif_tui.core.models import NANO
from claif_tui.core.snapshot import find
from tests.core import experiment_support as support
from tests.llm_fixtures import Factory

TWO = """
[[system]]
name = "claif"
[[system]]
name = "paper-literal"
system = "claif"
[system.recipe]
preset = "paper-literal"
[[system]]
name = "no cap"
system = "claif"
[system.recipe]
post.cap = 0
"""


def drive(make: Callable[[], making.Asking], title: str) -> Finished:
    """Run a generation in this process."""

    async def work() -> Finished:
        async for event in make().events():
            if isinstance(event, Finished):
                return event
        raise AssertionError(title)

    return asyncio.run(work())


class Purse:
    """What is left of a budget in dollars, by the projects' own ledgers."""

    def __init__(self, journal: Journal, usd: float) -> None:
        self.journal, self.usd = journal, usd

    def left_nano(self) -> int:
        return round(self.usd * NANO) - making.spent_nano(self.journal, held=True)


def test_one_budget_holds_over_two_data_sets_and_what_is_bought_is_not_bought_again(
    tmp_path: Path, llm_server: Factory
) -> None:
    server = llm_server()
    path = support.write(tmp_path, TWO, url=server.base_url, model="minilm:1")
    grid = build(load(path), settings.load())
    journal = Journal(grid.spec.folder)
    before = plan(grid, settings.load(), dry=True)
    assert not (tmp_path / "grid").exists(), "a dry run leaves nothing behind"
    assert [one.data.title for one in before.data] == ["claif, seed 1", "paper-literal, seed 1"]
    assert before.costs
    assert before.usd is not None
    assert before.usd[0] > 0
    first, second, uncapped = grid.datasets
    assert first.project_id == uncapped.project_id != second.project_id

    def made(data: DataSet, usd: float) -> object:
        return making.make(journal, data, settings.load(), Purse(journal, usd), drive, None)

    facts = making.make(journal, first, settings.load(), Purse(journal, 5.0), drive, None)
    cost, asked = facts.spent_nano / NANO, len(server.log())
    assert (facts.planned, facts.answered, facts.failed) == (24, 24, {})
    assert facts.valid_share == 1.0
    assert 0 < cost < before.usd[1]
    assert find(journal.project(first), Path(facts.path).name).rows == facts.rows
    # Post-processed in another way, the same answers serve.
    other = making.make(journal, uncapped, settings.load(), Purse(journal, 5.0), drive, None)
    assert (len(server.log()), other.spent_nano) == (asked, facts.spent_nano)
    assert other.path != facts.path

    # What the first one cost is gone for the second.
    cap = cost * 1.5
    with pytest.raises(BudgetError, match="paper-literal, seed 1"):
        made(second, cap)
    spent = making.spent_nano(journal, held=True) / NANO
    assert cost < spent <= cap
    assert journal.facts(second) is None
    with pytest.raises(BudgetError, match="budget"):
        made(second, spent)
    bought = len(server.log())
    rest = making.make(journal, second, settings.load(), Purse(journal, 5.0), drive, None)
    assert (rest.planned, rest.answered) == (24, 24)
    assert len(server.log()) - bought < asked, "what was bought before the cap is kept"
    everything = len(server.log())
    assert made(second, 0.0) == rest
    assert made(first, 0.0) == facts
    assert len(server.log()) == everything
    assert plan(grid, settings.load(), dry=False).data == ()


def test_human_triplets_and_sentences_need_no_model_and_are_cut_to_what_is_wanted(tmp_path: Path) -> None:
    path = support.write(
        tmp_path, '[[system]]\nname = "simcse-sup"\n[[system]]\nname = "simcse-unsup"\n', model="minilm:1"
    )
    quoted = 'sent0,sent1,hard_neg\n"one, and\na half",b 1,c 1\na 2,b 2,c 2\n\na 3,b 3,c 3\na 4,b 4,c 4\n'
    (tmp_path / "nli.csv").write_text(quoted)
    text = path.read_text().replace('"nli.csv"', '"nli.csv"\nlimit = 3')
    path.write_text(text.replace('"seeds.txt"', '"seeds.txt"\nlimit = 5'))
    grid = build(load(path), settings.load())
    journal = Journal(grid.spec.folder)
    for data in grid.datasets:
        facts = making.make(journal, data, settings.load(), Purse(journal, 0.0), drive, None)
        assert (facts.rows, facts.planned, facts.spent_nano) == (
            {"sentences": 5, "triplets": 3}[data.makes],
            0,
            0,
        )
        lines = journal.path_of(facts)
        assert (lines if lines.is_file() else lines / "examples.jsonl").read_text().count("\n") == facts.rows


def test_labelled_pairs_are_what_training_reads_cut_to_what_is_wanted(tmp_path: Path) -> None:
    path = support.write(tmp_path, '[[system]]\nname = "sbert"\n', model="minilm:1")
    rows = [f'{{"premise": "a {n}", "hypothesis": "b {n}", "label": "neutral"}}\n' for n in range(5)]
    (tmp_path / "labels.jsonl").write_text("".join(rows))
    path.write_text(
        path.read_text().replace("[model]", '[nli_labels]\nfile = "labels.jsonl"\nlimit = 2\n[model]')
    )
    grid = build(load(path), settings.load())
    journal = Journal(grid.spec.folder)
    [data] = grid.datasets
    facts = making.make(journal, data, settings.load(), Purse(journal, 0.0), drive, None)
    assert facts.rows == 2
    assert journal.path_of(facts).read_text() == "".join(rows[:2])


def test_two_processes_do_not_run_one_experiment(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "grid"), Journal(tmp_path / "grid")
    with first.held(), pytest.raises(BusyError, match="is being run by process"), second.held():
        raise AssertionError("both hold it")
    with second.held():
        assert (tmp_path / "grid" / "lock").exists()


def test_the_first_rows_of_a_file_keep_its_bytes_in_any_encoding(tmp_path: Path) -> None:
    text = "sent0,sent1,hard_neg\n" + "".join(f'"{n} ä,\n",b {n},c {n}\n' for n in range(9))
    path = tmp_path / "nli.csv"
    path.write_text(text, "utf-16")
    source = Source(path=path, limit=3)
    out = making._excerpt(source, ImportOptions(role="triplets"), 3, tmp_path / "some")
    assert out.read_text("utf-16") == "".join(text.splitlines(keepends=True)[:7])
