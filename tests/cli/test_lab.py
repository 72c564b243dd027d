"""``claif-tui lab`` as a user meets it: a file to start from, an estimate, a result, a cell that becomes the recipe."""

from __future__ import annotations

from pathlib import Path

from claif_tui.core.session import load_recipe
from claif_tui.core.store.store import Store
from tests.cli.conftest import Cli
from tests.lab_support import FAVOURED, MARK, fill_gold, made_up, spent, world
from tests.llm_fixtures import Factory


def test_a_lab_from_its_example_to_the_recipe(
    project: Path, tmp_path: Path, cli: Cli, llm_server: Factory
) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(cli("lab", "--example", "score").out)
    place = ("lab", file, "-P", project)
    none = cli(*place)
    assert none.code == 2 and "0 pairs with a human label" in none.err and "import --as gold" in none.err
    rows = made_up(40)
    server = llm_server(options={"gold": world(tmp_path / "world", rows, {MARK: 0.05}, 0.3)})
    with Store.open(project) as store:
        fill_gold(store, rows)
    where = ("--base-url", server.base_url, "--model", "tiny", "--price-in", 1, "--price-out", 4)
    plan = cli(*place, *where, "--dry-run", "--json").doc
    assert (plan["planned"], plan["open"], plan["rows"], plan["cap_usd"]) == (120, 120, 40, 1.0)
    unasked = cli(*place, *where)
    assert unasked.code == 2 and "--yes" in unasked.err and not server.log(), "nothing is sent without a yes"
    short = cli(*place, *where, "--yes", "--json", "--budget", plan["usd"][0] / 2)
    assert short.code == 1 and short.doc["open"] > 0
    assert spent(server) <= plan["usd"][0] / 2
    done = cli(*place, *where, "--yes", "--json")
    assert done.code == 0, done.err
    assert (done.doc["leader"], done.doc["supported"], done.doc["open"]) == (FAVOURED, True, 0)
    assert done.doc["spent_usd"] <= 1.0 == done.doc["cap_usd"]
    asked = len(server.log())
    shown = cli(*place, *where, "--charts")
    assert len(server.log()) == asked and f"> {FAVOURED}" in shown.out and "mean human label" in shown.out
    for form, mark in (("md", "| ---: |"), ("csv", "cell,spearman"), ("tex", "\\toprule")):
        assert mark in cli(*place, *where, "--format", form).out
    # The loser can be adopted, but the lab says what it did not show; the winner comes without a word.
    loser = cli(*place, *where, "--adopt", "paper", "--json")
    assert loser.code == 0 and loser.doc["supported"] is False and "does not show" in loser.err
    winner = cli(*place, *where, "--adopt", FAVOURED)
    assert winner.code == 0 and "warning" not in winner.err and f"score.prompt = {FAVOURED}" in winner.out
    recipe = load_recipe(project)
    assert (recipe.score_prompt, recipe.model, recipe.rates[:2]) == (FAVOURED, "tiny", (0.0, 0.1))
    assert len(server.log()) == asked
    assert cli("status", "-P", project, "--json").doc["pairs"]["pending"] == 40
    bad = cli("lab", tmp_path / "absent.toml", "-P", project)
    assert bad.code == 2 and "--example" in bad.err
    assert cli("lab", "-P", project).code == 2
