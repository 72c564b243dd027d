"""What each command does and says, run in this process on real projects."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from claif_tui.cli.commands import score as score_command
from claif_tui.cli.main import COMMANDS
from claif_tui.core.models import NewPair, PairQuery
from claif_tui.core.store.store import Store
from tests.cli.conftest import Cli
from tests.conftest import ROOT
from tests.llm_fixtures import Factory


def test_init_makes_a_project_once(tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "new"
    done = cli("init", folder, "--json")
    assert (done.code, done.doc["seeds"]) == (0, 0)
    assert (folder / "recipe.toml").exists()
    again = cli("init", folder, "--json")
    assert (again.code, again.doc["error"]["exit_code"]) == (1, 1)
    assert "already is a project" in again.err


def test_init_demo_has_sixty_seeds(tmp_path: Path, cli: Cli) -> None:
    assert cli("init", tmp_path / "demo", "--demo", "--json").doc["seeds"] == 60


def test_a_project_can_be_named_before_or_after_the_command(seeded: Path, cli: Cli) -> None:
    before, after = cli("-P", seeded, "status", "--json"), cli("status", "-P", seeded, "--json")
    assert before.doc == after.doc
    assert before.doc["planned"] == 54


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path, cli: Cli) -> None:
    for command in (["status"], ["recipe", "show"], ["review", "list"], ["export"]):
        done = cli(*command, "-P", tmp_path)
        assert done.code == 1
        assert "init" in done.err


def test_status_has_the_promised_shape(seeded: Path, cli: Cli) -> None:
    doc = cli("status", "-P", seeded, "--json").doc
    promised = {"planned", "answered", "failed", "pairs", "spent_usd", "cap_usd"}
    assert promised <= set(doc)
    assert doc["pairs"] == {"pending": 0, "accepted": 0, "rejected": 0}
    assert (doc["answered"], doc["failed"], doc["spent_usd"], doc["cap_usd"]) == (0, {}, 0.0, None)


def test_import_of_several_files_adds_up(project: Path, tmp_path: Path, cli: Cli) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("one\ntwo\n\n")
    second.write_text("two\nthree\n")
    doc = cli("import", "-P", project, first, second, "--json").doc
    assert (doc["rows"], doc["unique"], doc["duplicates"], doc["empty"]) == (5, 3, 1, 1)
    assert [file["unique"] for file in doc["files"]] == [2, 1]
    again = cli("import", "-P", project, first, "--json")
    assert (again.code, again.doc["unique"], again.doc["files"][0]["repeated"]) == (0, 0, True)
    assert "already" in again.err


def test_import_shows_first_and_lists_what_it_dropped(project: Path, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n{"text": 3}\n{"text": "one"}\n')
    seen = cli("import", "-P", project, path, "--dry-run", "--json").doc
    assert seen["dropped"] == {"not_text": 1}
    assert cli("sources", "-P", project, "--json").doc["sources"] == []
    done = cli("import", "-P", project, path, "--show-dropped", "--json").doc
    issues = [(issue["line"], issue["reason"]) for issue in done["files"][0]["issues"]]
    assert issues == [(2, "not_text"), (3, "duplicate")]
    listed = cli("sources", 1, "-P", project, "--json").doc["issues"]
    assert [(issue["line"], issue["reason"]) for issue in listed] == issues
    assert cli("sources", 9, "-P", project).code == 2


def test_held_out_data_is_refused_with_the_way_on(project: Path, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "sts-test.txt"
    path.write_text("one\n")
    refused = cli("import", "-P", project, path, "--json")
    assert refused.code == 2
    assert "--split test --allow-test" in refused.doc["error"]["hint"]
    assert cli("import", "-P", project, path, "--dry-run").code == 2
    assert cli("import", "-P", project, path, "--split", "test", "--allow-test").code == 0
    assert cli("status", "-P", project, "--json").doc["planned"] == 0


def test_hostile_text_does_not_reach_the_terminal(project: Path, tmp_path: Path, cli: Cli) -> None:
    evil = "\x1b]52;c;aGk=\x07 \x9b31m \u202e [red]x[/red]"
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"text_a": evil, "text_b": evil, "label": 0.5}) + "\n")
    cli("import", "-P", project, "--as", "pairs", path)
    for words in (["review", "list"], ["review", "show", 1]):
        said = cli(*words, "-P", project).out
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
        assert "[red]x[/red]" in said
    assert cli("review", "list", "-P", project, "--json").doc["pairs"][0]["text_a"] == evil.strip()
    missing = cli("import", "-P", project, tmp_path / "\x1b[31mred")
    assert "\x1b" not in missing.err


def test_recipe_is_shown_changed_compared_and_checked(project: Path, tmp_path: Path, cli: Cli) -> None:
    before = cli("recipe", "show", "-P", project, "--json").doc
    assert before["fields"]["masks.rates"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    done = cli("recipe", "set", "rates=0.0,0.5", "post.cap=off", "-P", project, "--json").doc
    assert done["changed"] == {"masks.rates": [0.0, 0.5], "post.cap": 0}
    assert cli("recipe", "show", "-P", project, "--json").doc["id"] == done["id"] != before["id"]
    differing = cli("recipe", "diff", "-P", project, "--json").doc["differences"]
    assert [row["field"] for row in differing] == ["masks.rates", "post.cap"]
    assert cli("recipe", "validate", "-P", project).code == 0
    for wrong in ("rates=1.5", "rats=0.5", "prompts.fill=no placeholder", "rates"):
        assert cli("recipe", "set", wrong, "-P", project).code == 2
    broken = tmp_path / "broken.toml"
    broken.write_text('[masks]\nrates = "many"\n')
    refused = cli("recipe", "validate", broken, "-P", project)
    assert refused.code == 2
    assert "line 2" in refused.err
    shown = cli("recipe", "show", "--toml", "--preset", "paper-literal", "-P", project).out
    assert "smoothing = 0.0" in shown


def test_decisions_are_counted_and_taken_back(scored: Path, cli: Cli) -> None:
    done = cli("review", "accept", "-P", scored, "--filter", "score >= 0.5", "--json").doc
    assert (done["count"], done["pairs"]) == (3, {"pending": 2, "accepted": 3, "rejected": 0})
    again = cli("review", "accept", "-P", scored, "--filter", "score >= 0.0", "--json").doc
    assert (again["count"], again["unchanged"]) == (2, 3)
    undone = cli("review", "undo", "-P", scored, "--json").doc
    assert (undone["action"], undone["pairs"]["accepted"]) == ("undo", 3)
    assert cli("review", "redo", "-P", scored, "--json").doc["pairs"]["accepted"] == 5
    assert cli("review", "reject", 1, 2, "-P", scored, "--json").doc["pairs"]["rejected"] == 2
    assert cli("review", "pend", 1, "-P", scored, "--json").doc["pairs"]["pending"] == 1
    log = cli("review", "log", "-P", scored, "--json").doc["decisions"]
    assert [row["action"] for row in log] == ["pend", "reject", "redo", "undo", "accept", "accept"]


def test_edits_and_scores_by_hand(scored: Path, cli: Cli) -> None:
    assert cli("review", "edit", 2, "another text", "-P", scored).code == 0
    shown = cli("review", "show", 2, "-P", scored, "--json").doc["pair"]
    assert (shown["text_b"], shown["stale"]) == ("another text", True)
    assert cli("review", "set-score", 2, 0.75, "-P", scored).code == 0
    shown = cli("review", "show", 2, "-P", scored, "--json").doc["pair"]
    assert (shown["score"], shown["stale"]) == (0.75, False)
    for words in (["edit", 2, "  "], ["set-score", 2, 7], ["show", 99], ["accept", 99], ["accept"]):
        assert cli("review", *words, "-P", scored).code == 2


def test_a_bad_filter_points_at_the_place(scored: Path, cli: Cli) -> None:
    done = cli("review", "list", "-P", scored, "--filter", "score >= ")
    assert done.code == 2
    assert "^" in done.err
    both = cli("review", "accept", 1, "--filter", "score > 0", "-P", scored)
    assert both.code == 2


def test_export_writes_what_it_says(scored: Path, tmp_path: Path, cli: Cli) -> None:
    nothing = cli("export", "-P", scored)
    assert nothing.code == 0
    assert "--status all" in nothing.out
    cli("review", "accept", "-P", scored, "--filter", "score > 0")
    seen = cli("export", "-P", scored, "--dry-run", "--json").doc
    out = tmp_path / "data.jsonl"
    doc = cli("export", "-P", scored, "--out", out, "--format", "dino", "--json").doc
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == doc["rows"] == seen["rows"]
    assert set(lines[0]) == {"text_a", "text_b", "label"}
    funnel = doc["funnel"]
    drops = sum(funnel[rule] for rule in ("status", "stale", "unscored", "empty", "refusal"))
    drops += sum(funnel[rule] for rule in ("duplicate", "identical", "mask", "cap"))
    assert funnel["pairs"] - drops + funnel["zero_pairs"] == doc["rows"]
    assert Path(doc["manifest"]).exists()
    assert cli("export", "-P", scored, "--status", "maybe").code == 2
    assert cli("export", "-P", scored, "--preset", "nope").code == 2
    assert cli("export", "-P", scored, "--out", tmp_path / "no" / "such.jsonl").code == 2
    raw = cli("export", "-P", scored, "--status", "all", "--preset", "raw", "--json").doc
    assert raw["rows"] == 5


def test_a_run_against_an_endpoint(seeded: Path, llm_server: Factory, cli: Cli) -> None:
    server = llm_server()
    words = ["generate", "-P", seeded, "--base-url", server.base_url, "--model", "m", "--rates", "0.0,0.4"]
    refused = cli(*words)
    assert refused.code == 2
    assert "--yes" in refused.err
    planned = cli(*words, "--dry-run", "--json").doc
    assert (planned["planned"], planned["plan"]["calls"], planned["plan"]["usd"]) == (12, 24, None)
    assert server.log() == []
    capped = cli(*words, "--yes", "--budget", "1")
    assert capped.code == 1
    assert "--price-in" in capped.err
    done = cli(*words, "--yes", "--json", "--budget", "1", "--price-in", "1", "--price-out", "2")
    assert (done.code, done.doc["answered"], done.doc["failed"]) == (0, 12, {})
    prompt, completion = server.spent_tokens()
    assert done.doc["spent_usd"] == pytest.approx((prompt + 2 * completion) / 1e6)
    assert done.doc["cap_usd"] == 1.0
    asked = len(server.log())
    # The flags are in recipe.toml now: status and a bare repeat mean the same run.
    assert (
        cli("generate", "-P", seeded, "--yes", "--json", "--price-in", "1", "--price-out", "2").doc["answered"]
        == 12
    )
    assert len(server.log()) == asked


def test_failures_end_with_one_and_can_be_retried(seeded: Path, llm_server: Factory, cli: Cli) -> None:
    server = llm_server(faults=[{"kind": "empty", "match": "number two", "times": 99}])
    words = ["-P", seeded, "--base-url", server.base_url, "--model", "m", "--yes", "--json"]
    done = cli("generate", *words, "--rates", "0.0")
    assert done.code == 1, done.err
    assert done.doc["failed"] == {"empty": 1}
    assert "retry" in done.err
    assert cli("retry", *words, "--reason", "timeout").code == 2
    server.control(faults=[])
    again = cli("retry", *words, "--reason", "empty")
    assert (again.code, again.doc["answered"], again.doc["failed"]) == (0, 6, {})
    assert cli("retry", *words).code == 0


def test_a_refused_key_stops_at_once(
    seeded: Path, llm_server: Factory, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = llm_server(options={"key": "right"})
    words = ["-P", seeded, "--base-url", server.base_url, "--model", "m", "--yes"]
    monkeypatch.setenv("MY_KEY", "very-wrong-key")
    done = cli("generate", *words, "--api-key-env", "MY_KEY", "--json")
    assert done.code == 1
    assert "key" in done.err
    assert "very-wrong-key" not in done.err + done.out
    assert "very-wrong-key" not in (seeded / "recipe.toml").read_text()
    absent = cli("generate", *words, "--api-key-env", "NO_SUCH_KEY")
    assert absent.code == 1
    assert "NO_SUCH_KEY" in absent.err


def test_a_refused_parameter_can_be_left_out(seeded: Path, llm_server: Factory, cli: Cli) -> None:
    server = llm_server(options={"refuse": ["temperature"]})
    words = ["generate", "-P", seeded, "--base-url", server.base_url, "--model", "m", "--rates", "0.0", "--yes"]
    refused = cli(*words)
    assert refused.code == 1
    assert "temperature" in refused.err
    assert cli(*words, "--without", "temperature").code == 0
    assert "temperature" not in server.log()[-1]["params"]
    assert cli(*words).code == 0  # remembered


def test_scores_for_imported_pairs(project: Path, tmp_path: Path, llm_server: Factory, cli: Cli) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("sentence1,sentence2,score\na cat,a dog,0.5\na cow,a pig,\nan ox,an ant,\n")
    cli("import", "-P", project, "--as", "pairs", path)
    server = llm_server()
    words = ["score", "-P", project, "--base-url", server.base_url, "--model", "m", "--yes", "--json"]
    done = cli(*words)
    assert (done.code, done.doc["chosen"], done.doc["scored"]) == (0, 2, 2)
    assert len(server.log()) == 2
    assert cli(*words).doc["chosen"] == 0
    assert cli(*words, "--rescore", "--filter", "id = 1").doc["scored"] == 1
    cli("review", "rescore", 2, "-P", project)
    assert cli(*words).doc["scored"] == 1
    with Store.open(project) as store:
        assert all(pair.score is not None for pair in store.pairs.many([1, 2, 3]))


def test_what_needs_a_score_is_a_filter_that_parses(scored: Path, cli: Cli) -> None:
    assert cli("review", "list", "-P", scored, "--filter", score_command.MISSING).code == 0


def test_spending_at_an_unknown_price_is_not_called_nothing(
    seeded: Path, llm_server: Factory, cli: Cli
) -> None:
    server = llm_server()
    words = ["generate", "-P", seeded, "--base-url", server.base_url, "--model", "m", "--rates", "0.0", "--yes"]
    done = cli(*words, "--limit", "1")
    assert "spent unknown" in done.out
    assert "$0.00" not in done.out
    shown = cli("status", "-P", seeded)
    assert "unknown" in next(line for line in shown.out.splitlines() if line.startswith("spent"))
    assert cli("status", "-P", seeded, "--json").doc["spent_complete"] is False
    assert (
        cli(*words, "--limit", "1", "--json", "--price-in", "0", "--price-out", "0").doc["spent_complete"]
        is False
    )


def test_no_score_is_bought_for_a_pair_that_a_rule_drops_anyway(scored: Path, cli: Cli) -> None:
    with Store.open(scored) as store:
        made = partial(NewPair, system="claif", text_a="a")
        for row in (
            made(generated="a", generate_key="a", answer_class="identical"),
            made(generated="a <mask>", generate_key="b", answer_class="has_mask"),
            made(generated="b", generate_key="c"),
        ):
            store.write(partial(store.pairs.add, row=row))
        wanted = store.pairs.many(store.pairs.ids(PairQuery(filter=score_command.MISSING)))
        assert [pair.generate_key for pair in wanted] == ["c"]
        masked = next(pair for pair in store.pairs.first(PairQuery(), 9) if pair.generate_key == "b")
        store.decisions.edit(masked.id, "mended .")
        wanted = store.pairs.many(store.pairs.ids(PairQuery(filter=score_command.MISSING, sort="oldest")))
        assert [pair.generate_key for pair in wanted] == ["b", "c"], "one that a person mended is worth it"


def test_trying_a_recipe_makes_no_pairs(seeded: Path, llm_server: Factory, cli: Cli) -> None:
    server = llm_server()
    cli("recipe", "set", "rates=0.0,0.4", "-P", seeded)
    words = ["recipe", "try", "-P", seeded, "--base-url", server.base_url, "--model", "m", "--yes", "--json"]
    done = cli(*words, "--seeds", "2")
    assert (done.code, len(done.doc["trials"])) == (0, 4)
    assert cli("status", "-P", seeded, "--json").doc["pairs"]["pending"] == 0
    refused = cli("recipe", "try", "-P", seeded, "--base-url", server.base_url, "--model", "m")
    assert refused.code == 2


def test_settings_are_shown_with_their_origin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("config", "set", "budget", "5").code == 0
    assert cli("config", "set", "profiles.mine.base_url", "http://127.0.0.1:9/v1").code == 0
    assert cli("config", "set", "profiles.mine.price_in", "0.5").code == 0
    monkeypatch.setenv("CLAIF_TUI_THEME", "claif-light")
    doc = cli("config", "show", "--json").doc
    assert (doc["settings"]["budget"]["value"], doc["settings"]["budget"]["origin"]) == (5.0, "file")
    assert doc["settings"]["theme"]["origin"] == "env"
    assert doc["profiles"]["mine"]["price_in"] == 0.5
    assert "budget" in cli("config", "show").out
    assert cli("config", "set", "budget", "--unset").code == 0
    assert cli("config", "set", "profiles.mine", "--unset").code == 0
    for wrong in (["budgte", "5"], ["profiles.new.model", "m"], ["profiles.mine.colour", "red"], ["budget"]):
        assert cli("config", "set", *wrong).code == 2
    path = cli("config", "path", "--json").doc["path"]
    assert path == doc["path"]


def test_doctor_finds_a_damaged_database(seeded: Path, cli: Cli) -> None:
    fine = cli("doctor", "-P", seeded, "--json")
    assert fine.code == 0, fine.out
    assert {check["name"] for check in fine.doc["checks"]} >= {
        "python",
        "packages",
        "terminal",
        "keyring",
        "database",
    }
    database = seeded / "claif.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
    damaged = cli("doctor", "-P", seeded, "--json")
    assert damaged.code == 1
    assert damaged.doc["problems"] == 1


def test_words_that_are_no_command(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("statsu")
    assert done.code == 2
    assert "Did you mean status?" in done.err
    (tmp_path / "statsu").mkdir()
    assert "needs a terminal" in cli("statsu").err
    assert "needs a terminal" in cli("./train").err
    assert cli("--nope").code == 2
    assert cli("status", "--nope").code == 2


def test_every_command_is_documented() -> None:
    text = "".join(path.read_text("utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    assert [name for name in COMMANDS if f"claif-tui {name}" not in text] == []
