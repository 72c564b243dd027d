"""The commands with systems other than CLAIF: what runs, and what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from claif_tui.cli.commands import score as score_command
from claif_tui.core.models import PairQuery
from claif_tui.core.recipe_presets import ABOUT, PRESET_NAMES
from claif_tui.core.store.store import Store
from tests.cli.conftest import Cli
from tests.llm_fixtures import Factory

NLI = """sent0,sent1,hard_neg
a man plays a flute .,a man makes music .,a man is asleep .
two dogs run in the snow .,dogs are outside .,the dogs sleep on a sofa .
a girl reads a book .,a girl is reading .,a girl burns a book .
"""


@pytest.fixture
def with_triplets(project: Path, tmp_path: Path, cli: Cli) -> Path:
    path = tmp_path / "nli.csv"
    path.write_text(NLI)
    done = cli("import", "-P", project, "--as", "triplets", path)
    assert done.code == 0, done.err
    return project


def test_imported_triplets_are_scored_by_generate_and_by_score(
    with_triplets: Path, llm_server: Factory, cli: Cli
) -> None:
    server = llm_server()
    endpoint = ["-P", with_triplets, "--base-url", server.base_url, "--model", "m", "--yes", "--json"]
    plan = cli("generate", *endpoint, "--preset", "clhaif", "--dry-run").doc
    assert (plan["planned"], plan["plan"]["seeds"], plan["plan"]["triplets"], plan["plan"]["calls"]) == (
        3,
        0,
        3,
        3,
    )
    done = cli("generate", *endpoint, "--preset", "clhaif", "--limit", 2)
    assert (done.code, done.doc["planned"], done.doc["answered"]) == (0, 2, 2), done.err
    tried = cli("recipe", "try", *endpoint, "--seeds", 1)
    assert [trial["title"] for trial in tried.doc["trials"]] == ["triplet"]
    assert tried.doc["trials"][0]["hard_negative"] == "a man is asleep ."
    # The third lacks its score; under MultiCSR, which scores either side, all three lack something.
    assert cli("score", *endpoint).doc["chosen"] == 1
    assert cli("recipe", "set", "-P", with_triplets, "preset=multicsr").code == 0
    done = cli("score", *endpoint)
    assert (done.doc["chosen"], done.doc["scored"], done.doc["unscored"]) == (3, 3, {})
    asked = len(server.log())
    done = cli("generate", *endpoint)
    assert (done.doc["planned"], done.doc["answered"]) == (3, 3)
    assert len(server.log()) == asked, "what score did, generate need not do"
    with Store.open(with_triplets) as store:
        rows = list(store.pairs.export_rows(PairQuery()))
    assert all(row.score_scale == "0-5" and row.negative_score is not None for row in rows)
    assert cli("review", "list", "-P", with_triplets, "--filter", score_command.MISSING_NEGATIVE).code == 0


def test_score_leaves_alone_what_the_recipes_system_does_not_take(
    with_triplets: Path, tmp_path: Path, llm_server: Factory, cli: Cli
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("sentence1,sentence2\na dog barks .,a dog makes noise .\nit rains .,it is dry .\n")
    done = cli("import", "-P", with_triplets, "--as", "pairs", path)
    assert done.code == 0, done.err
    server = llm_server()
    words = ["score", "-P", with_triplets, "--base-url", server.base_url, "--model", "m", "--yes"]
    assert cli("recipe", "set", "-P", with_triplets, "preset=multicsr").code == 0
    done = cli(*words, "--json")
    assert (done.doc["chosen"], done.doc["scored"], done.doc["left"]) == (3, 3, 2)
    again = cli(*words)
    assert "2 pairs are left as they are" in again.err
    assert len(server.log()) == 6, "two sides of three triplets, and no pair"
    named = cli(*words, "--json", "--filter", "triplet = no").doc
    assert (named["chosen"], named["scored"], named["left"]) == (2, 2, 0)
    # Dino's check is no score: it would take the place of the labels.
    assert cli("recipe", "set", "-P", with_triplets, "preset=dino-api+check").code == 0
    refused = cli(*words, "--rescore")
    assert (refused.code, "labels are fixed" in refused.err) == (2, True)


def test_what_cannot_run_is_refused_before_anything_is_sent(
    seeded: Path, tmp_path: Path, llm_server: Factory, cli: Cli
) -> None:
    server = llm_server()
    endpoint = ["-P", seeded, "--base-url", server.base_url, "--model", "m", "--yes"]
    for preset, runs in (("dino-local", "dino-api+check"), ("multicsr-local", "two-shot")):
        for how in ([], ["--dry-run"], ["--detach"]):
            done = cli("generate", *endpoint, "--preset", preset, *how)
            assert (done.code, "logits" in done.err, runs in done.err) == (2, True, True), done.err
    for words, said in (
        (["--system", "dino", "--preset", "multicsr"], "dino-api, dino-local"),
        (["--preset", "syncse-partial", "--rates", "0.1"], "masks nothing"),
        (["--system", "clhaif"], "import --as triplets"),
    ):
        done = cli("generate", *endpoint, *words)
        assert (done.code, said in done.err) == (2, True), done.err
    assert 'system = "claif"' in (seeded / "recipe.toml").read_text(), "what was refused changes no recipe"
    cli("recipe", "set", "-P", seeded, "preset=syncse-partial")
    done = cli("score", *endpoint)
    assert (done.code, "asks for no scores" in done.err) == (2, True)
    gold = tmp_path / "lab.toml"
    gold.write_text('kind = "generate"\nrows = 2\nprompts = ["recipe"]\n')
    done = cli("lab", gold, *endpoint)
    assert (done.code, "makes none" in done.err) == (2, True), done.err
    assert server.log() == []
    done = cli("generate", *endpoint, "--preset", "claif-scaled", "--dry-run")
    assert (done.code, "no triplets are imported" in done.out) == (0, True)


def test_recipes_of_every_system_are_shown_and_texts_come_from_files(
    seeded: Path, tmp_path: Path, cli: Cli
) -> None:
    for preset in PRESET_NAMES:
        shown = cli("recipe", "show", "-P", seeded, "--preset", preset)
        assert ABOUT[preset] in shown.out
        (tmp_path / "r.toml").write_text(cli("recipe", "show", "--preset", preset, "--toml", "-P", seeded).out)
        assert cli("recipe", "validate", tmp_path / "r.toml", "-P", seeded).code == 0
    assert cli("recipe", "set", "-P", seeded, "preset=syncse-naive").code == 0
    assert cli("recipe", "diff", "-P", seeded).out == "No difference to syncse-naive.\n"
    text = tmp_path / "prompt.txt"
    text.write_text("Say this otherwise: {sentence}")
    assert cli("recipe", "set", "-P", seeded, f"prompts.syncse.positive=@{text}").code == 0
    assert "Say this otherwise" in cli("recipe", "diff", "-P", seeded).out
    assert cli("recipe", "set", "-P", seeded, "prompts.syncse.positive=@@home: {sentence}").code == 0
    fields = cli("recipe", "show", "-P", seeded, "--json").doc["fields"]
    assert fields["prompts.syncse.positive"] == "@home: {sentence}"
    missing = cli("recipe", "set", "-P", seeded, "prompts.syncse.positive=@nothing.txt")
    assert (missing.code, "nothing.txt" in missing.err, "@@" in missing.err) == (2, True, True)
