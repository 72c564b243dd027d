"""SynCSE on the command line: its material to edit, a try and a run from nothing, over the loopback server."""

from __future__ import annotations

import json
from pathlib import Path

from claif_tui.core.systems.material import packaged_text
from tests.cli.conftest import Cli
from tests.llm_fixtures import Factory


def test_material_is_printed_edited_and_put_in_force_and_nonsense_changes_nothing(
    project: Path, tmp_path: Path, cli: Cli
) -> None:
    assert cli("recipe", "set", "-P", project, "preset=syncse-partial").code == 0
    (tmp_path / "seeds.txt").write_text("a man is playing a flute .\n")
    assert cli("import", "-P", project, tmp_path / "seeds.txt").code == 0
    printed = cli("recipe", "material", "-P", project)
    assert printed.out == packaged_text()
    own = tmp_path / "own.toml"
    own.write_text(printed.out.replace("She hates flying.", "She loathes flying."))
    done = cli("recipe", "set", "-P", project, f"syncse.material=@{own}")
    assert done.code == 0
    assert len(done.out) < 2_000, "a changed text is told, not repeated"
    negative = cli("recipe", "material", "-P", project, "--json").doc["negative"]
    assert ["She loathes flying.", "Flying is her greatest pleasure."] in negative[2]["exemplars"]
    before = (project / "recipe.toml").read_bytes()

    own.write_text(own.read_text().replace("Flying is her greatest pleasure.", " "))
    spoilt = cli("recipe", "set", "-P", project, f"syncse.material=@{own}")
    assert (spoilt.code, spoilt.out) == (2, "")
    assert "negative.N3, exemplar 11 holds an empty text" in spoilt.err
    many = cli("recipe", "set", "-P", project, "syncse.exemplars=12")
    assert many.code == 2 and "positive.P1 of syncse.material has 11" in many.err
    assert (project / "recipe.toml").read_bytes() == before
    (project / "recipe.toml").write_text(before.decode().replace("[syncse]", "[syncse]\nexemplars = 12"))
    assert "positive.P1" in cli("recipe", "validate", "-P", project).err
    assert "positive.P1" in cli("generate", "-P", project, "--dry-run", "--json").doc["error"]["message"]


def test_from_nothing_the_plan_names_the_sentences_and_one_command_makes_all(
    project: Path, cli: Cli, llm_server: Factory
) -> None:
    server = llm_server()
    words = [
        "-P",
        project,
        "--base-url",
        server.base_url,
        "--model",
        "m",
        "--price-in",
        "1",
        "--price-out",
        "1",
    ]
    assert cli("recipe", "set", "-P", project, "system=syncse-scratch", "scratch.per_request=5").code == 0
    plan = cli("generate", *words, "--limit", 7, "--budget", 1, "--dry-run")
    assert "7 sentences are written first: 2 requests or more" in plan.out
    assert "7 seeds: 14 generations" in plan.out
    document = cli("generate", *words, "--limit", 7, "--budget", 1, "--dry-run", "--json").doc
    assert (document["planned"], document["plan"]["calls"], document["plan"]["sentences_missing"]) == (7, 16, 7)
    assert not server.log()

    tried = cli("recipe", "try", *words, "--seeds", 2, "--yes", "--json").doc
    assert [bool(trial["hard_negative"]) for trial in tried["trials"]] == [True, True]
    asked = len(server.log())
    assert asked == 1 + 4

    done = cli("generate", *words, "--limit", 7, "--budget", 1, "--yes", "--json").doc
    assert (done["planned"], done["answered"], done["failed"]) == (7, 7, {})
    # What was tried is not bought again, but for the small first call that shows what the model takes.
    assert len(server.log()) <= 16 + 1
    [source] = cli("sources", "-P", project, "--json").doc["sources"]
    assert (source["format"], source["rows"], source["unique"]) == ("scratch", 2, 10)
    page = cli("sources", "-P", project, source["id"]).out
    assert "line 2003 is the third line" in page
    rows = cli("review", "list", "-P", project, "--json").doc["pairs"]
    assert len(rows) == 7
    assert tried["trials"][0]["seed"] in json.dumps(rows)
    shown = cli("review", "show", "-P", project, rows[0]["id"]).out
    assert "written by m for recipe" in shown and "request 2, line 3" in shown
