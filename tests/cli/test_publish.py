"""``claif-tui publish``: what the folders hold, what they must not hold, and sending them to a Hub on loopback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core.evaluations import Evaluation, save
from claif_tui.core.provenance import provenance
from claif_tui.core.publish_dataset import shown_filter
from claif_tui.core.publish_text import code, edited, fenced, quoted, repo_name, sealed, without_path
from tests.cli.conftest import Cli, child, finish
from tests.hub_server import TOKEN, hub
from tests.ui import made_runs

EVIL = "x`\n---\nlicense: mit\n<b>|[a](http://b) ''' ```"


def front(path: Path) -> dict[str, Any]:
    """The front matter of a card, as the Hub reads it."""
    yaml = pytest.importorskip("yaml", reason="comes with the train extra")
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8").split("---\n")[1])
    return found


@pytest.fixture
def published(scored: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a reviewed snapshot, test rows in it, and a run with a best model and a result."""
    rows = tmp_path / "test.jsonl"
    rows.write_text('{"text_a": "a secret test sentence", "text_b": "another", "label": 0.5}\n')
    assert cli("import", "-P", scored, "--as", "pairs", "--split", "test", "--allow-test", rows).code == 0
    monkeypatch.setenv("CLAIF_TUI_AUTHOR", EVIL)
    assert cli("review", "accept", "-P", scored, "--filter", "score > 0").code == 0
    made = cli("snapshot", "create", "-P", scored, "--preset", "raw", "--filter", 'author != "nobody"')
    assert made.code == 0, made.err
    run = made_runs.whole(scored, "claif-1", model="/home/somebody/bert", dev="/home/somebody/dev.csv")
    best = run / "checkpoints" / "best"
    (best / "1_Pooling").mkdir(parents=True)
    (best / "config.json").write_text(json.dumps({"_name_or_path": "/home/somebody/bert", "hidden_size": 4}))
    for name in ("modules.json", "1_Pooling/config.json"):
        (best / name).write_text("{}")
    (best / "model.safetensors").write_bytes(b"weights" * 1000)
    (best / "training.safetensors").write_bytes(b"what a run resumes from")
    result = Evaluation(
        model="x",
        data="/home/somebody/data",
        tasks={
            "STS12": {"spearman": 71.234, "n": 3108, "interval": [70.0, 72.5], "fingerprint": "f" * 64},
            "rerank": {"map": 50.0, "n": 9, "interval": [40.0, 60.0], "fingerprint": "e" * 64},
        },
        identity=provenance(str(run)).identity,
        name="claif-1",
        backbone=None,
        supervision=None,
        scorer="bi-encoder",
        demo=True,
        made="2024-01-01",
    )
    save(scored, result)
    return scored


def test_two_folders_with_all_that_belongs_to_them_and_no_more(published: Path, cli: Cli) -> None:
    done = cli("publish", "-P", published, "--licence", "CC-BY-SA-4.0", "--name", EVIL, "--json")
    assert done.code == 0, done.err
    data, model = Path(done.doc["dataset"]["path"]), Path(done.doc["model"]["path"])
    about = front(data / "README.md")
    assert (about["license"], about["size_categories"]) == ("cc-by-sa-4.0", ["n<1K"])
    source = json.loads((published / "snapshots" / data.name[8:] / "manifest.json").read_text())
    columns = [feature["name"] for feature in about["dataset_info"]["features"]]
    (split,) = about["configs"][0]["data_files"]
    rows = [json.loads(line) for line in (data / split["path"]).read_text().splitlines()]
    kept = [
        json.loads(line)
        for line in (published / "snapshots" / data.name[8:] / "examples.jsonl").read_text().splitlines()
    ]
    train = [row for row in kept if row["split"] == "train"]
    assert [list(row) for row in rows] == [columns] * len(train)
    assert rows == [{name: row.get(name) for name in columns} for row in train]
    assert len(train) == source["splits"]["train"] < source["rows"]
    card = (data / "README.md").read_text()
    assert "1 rows of a test split were left out" in card and "nobody rated a sample" in card
    assert re.search(r"`reviewer-1` \| 5 \| 0 \| 0", card) and "findings-acl.707" in card

    figures = front(model / "README.md")
    (result,) = figures["model-index"][0]["results"]
    assert (result["dataset"]["name"], result["metrics"][0]["value"]) == ("STS12", 71.23)
    written = (model / "README.md").read_text()
    assert "A demo: the training data hold answers" in written and "| rerank | map | 50.00 |" in written
    assert figures["pipeline_tag"] == "sentence-similarity" and "base_model" not in figures
    assert set(done.doc["model"]["files"]) == {
        *("README.md", "config.json", "modules.json", "model.safetensors", "1_Pooling/config.json")
    }
    assert json.loads((model / "config.json").read_text())["_name_or_path"] == "bert"
    for file in [*data.rglob("*"), *model.rglob("*")]:
        if file.is_file():
            text = file.read_text("utf-8")
            for secret in ("home/some", 'nobody"', "secret test", str(published), "license: mit\n<"):
                assert secret not in text, (file, secret)


def test_a_card_edited_by_hand_stays_and_other_folders_are_refused(published: Path, cli: Cli) -> None:
    listed = cli("snapshot", "list", "-P", published, "--json").doc["snapshots"]
    words = ("publish", "-P", published, "--snapshot", listed[0]["id"], "--json")
    first = cli(*words)
    assert "no licence is stated" in first.err and "model" not in first.doc
    card = Path(first.doc["dataset"]["path"]) / "README.md"
    assert front(card)["license"] == "unknown"
    card.write_text(card.read_text().replace("## Known limits", "## Known limits\n\nMine."))
    again = cli(*words, "--with-names")
    assert again.doc["dataset"]["card_kept"] and "Mine." in card.read_text()
    card.unlink()
    assert not cli(*words, "--with-names", "--licence", "Our Own").doc["dataset"]["card_kept"]
    assert (front(card)["license"], front(card)["license_name"]) == ("other", "our-own")
    assert "reviewer-1" not in card.read_text()
    (card.parent / "mine.txt").write_text("x")
    assert cli(*words).code == 2 and (card.parent / "mine.txt").exists()


def test_what_cannot_be_published_says_why(published: Path, project: Path, cli: Cli) -> None:
    missing = cli("publish", "-P", published, "--run", "nope")
    assert missing.code == 2
    bare = made_runs.whole(published, "claif-2")
    refused = cli("publish", "-P", published, "--run", bare.name)
    assert refused.code == 2 and "no best checkpoint" in refused.err
    running = made_runs.whole(published, "claif-3", end="")
    assert "running" in cli("publish", "-P", published, "--run", running.name).err
    rows = next((published / "snapshots").glob("*/examples.jsonl"))
    rows.chmod(0o644)
    rows.write_text(rows.read_text() + "\n")
    altered = cli("publish", "-P", published)
    assert altered.code == 1 and "was altered" in altered.err
    assert cli("publish", "-P", published, "--public").code == 2
    empty = project.parent / "empty"
    cli("init", empty)
    assert "nothing to publish" in cli("publish", "-P", empty).err


def test_the_hub_gets_both_folders_private_and_whole(published: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the hub extra")
    with hub() as server:
        env = {
            "HF_ENDPOINT": server.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }
        words = ("publish", "-P", published, "--licence", "mit", "--to-hub", "me/mine", "--json")
        alone = ("publish", "-P", published, "--run", "claif-1", "--to-hub", "--yes")
        started = child(*words, env=env), child(*alone, env={**env, "HF_TOKEN": "hf_wrong"})
        unasked, wrong = map(finish, started)
        assert unasked.code == 2 and "--yes" in unasked.err
        assert wrong.code == 1 and "401" in wrong.err and server.repos == {}
        done = finish(child(*words, "--yes", env=env))
        assert done.code == 0, done.err
        for kind in ("dataset", "model"):
            repo = server.repos[f"{kind}s", "me/mine"]
            assert repo["private"] is True
            folder = Path(done.doc[kind]["path"])
            assert {name: (folder / name).read_bytes() for name in done.doc[kind]["files"]} == repo["files"]
            assert done.doc["sent"][kind]["commit"] == "1" * 40
        assert b'datasets:\n- "me/mine"' in server.repos["models", "me/mine"]["files"]["README.md"]
        server.repos["datasets", "me/mine"]["private"] = False
        both = child(*words, "--yes", env=env), child(*words, "--yes", "--public", "--run", "claif-1", env=env)
        public, kept = map(finish, both)
        assert public.code == 2 and "is public" in public.err
        assert kept.doc["sent"]["model"]["public"] is False, "it was there before and stays private"
    for said in (done, public, wrong, unasked):
        assert TOKEN not in said.out + said.err and "hf_wrong" not in said.err and "Traceback" not in said.err


@pytest.mark.parametrize(
    "text", [EVIL, "", "`", "``a``", "a: b # c", "\u2028\x00\x1b[31m\ufffe", "'\"\\", "😀 ü"]
)
def test_no_text_breaks_out_of_a_card(text: str) -> None:
    yaml = pytest.importorskip("yaml", reason="comes with the train extra")
    loaded = yaml.safe_load(f"a: {quoted(text)}\nb: 1\n")
    assert set(loaded) == {"a", "b"} and isinstance(loaded["a"], str)
    span = code(text)
    ticks = re.match("`+", span)
    assert ticks is not None and "\n" not in span and "|" not in span
    assert ticks[0] not in re.findall("`+", span[len(ticks[0]) : -len(ticks[0])])
    block = fenced(text).split("\n")
    assert block[-1] not in block[1:-1]
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", repo_name(text))


def test_a_filter_is_shown_without_names_and_places() -> None:
    given = 'author = "ann lee" and not source = "/home/ann/a.csv" and score > 0.5'
    shown = shown_filter(given, {"ann lee": "reviewer-1"})
    assert "ann" not in shown and "reviewer-1" in shown and "a.csv" in shown and "score > 0.5" in shown
    assert 'author = "ann lee"' in shown_filter(given, None) and "home" not in shown_filter(given, None)
    assert shown_filter('author = "ann', {}) == "(one that cannot be read)"


def test_seals_and_places(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    assert not edited(card)
    card.write_text(sealed("text\n"))
    assert not edited(card)
    card.write_text(card.read_text() + "\n")
    assert edited(card)
    assert [without_path(name) for name in ("/a/b", "./x/y", "C:\\m\\n", "bert-base", "me/x")] == [
        *("b", "y", "n", "bert-base", "me/x")
    ]
