"""``claif-tui evaluate`` and ``data check`` with the real engine on the real data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from claif_tui.core import engine_child, evaluating
from claif_tui.core.engine_child import ask
from claif_tui.core.errors import MissingExtraError
from claif_tui.core.evaluating import EvaluationWish
from engine.tasks import STS
from tests.cli.conftest import ROOT, Cli

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")


def vectors(data: Path, place: Path) -> Path:
    """Random vectors for the sentences of STS16."""
    texts: set[str] = set()
    for file in sorted((data / "senteval" / "STS" / "STS16-en-test").glob("STS.input.*.txt")):
        for line in file.read_bytes().decode().split("\n"):
            texts |= {" ".join(cell.split()) for cell in line.split("\t")[:2]}
    ordered = sorted(texts)
    made = np.random.default_rng(0).normal(size=(len(ordered), 4)).astype(np.float32)
    np.savez(place, texts=np.array(ordered), vectors=made)
    return place


def test_a_file_of_vectors_is_scored_kept_and_ranked(
    project: Path, tmp_path: Path, data_dir: Path, cli: Cli
) -> None:
    file = vectors(data_dir, tmp_path / "mine.npz")
    words = ("evaluate", f"vectors:{file}", "-P", project, "--data", data_dir, "--tasks", "STS16")
    done = cli(*words, "--backbone", "bert-base", "--supervision", "ai", "--json")
    assert done.code == 0, done.err
    doc = done.doc
    assert {"model", "data", "tasks", "avg_sts", "avg_transfer"} <= set(doc)
    assert set(doc["tasks"]) == {"STS16"}
    assert doc["tasks"]["STS16"]["n"] == 1186
    assert abs(doc["tasks"]["STS16"]["spearman"]) < 15
    assert (doc["avg_sts"], doc["avg_transfer"], doc["scorer"]) == (None, None, "bi-encoder")
    kept = sorted(path.suffix for path in (project / "evaluations").iterdir())
    assert kept == [".json", ".npz"]
    [row] = cli("leaderboard", "-P", project, "--ours", "--json").doc["rows"]
    assert (row["system"], row["backbone"], row["supervision"]) == ("mine", "bert-base", "ai")
    assert row["values"]["STS16"] == doc["tasks"]["STS16"]["spearman"]
    assert row["difference"]["reason"].startswith("it has no figure for STS12")
    [contest] = cli("leaderboard", "--compare", "mine", "claif-bert", "-P", project, "--json").doc[
        "comparisons"
    ]
    assert contest["tasks"]["STS16"]["difference"] == pytest.approx(doc["tasks"]["STS16"]["spearman"] - 81.36)
    assert contest["tasks"]["STS16"]["reason"].startswith("no test: a paper prints")
    assert cli("leaderboard", "--compare", "mine", "nobody", "-P", project).code == 2


def test_vectors_are_scored_on_sts_without_torch(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = vectors(data_dir, tmp_path / "mine.npz")
    words = ["engine", "evaluate", "--data", str(data_dir), "--tasks", "STS16", f"vectors:{file}"]
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name in ('torch', 'transformers', 'tokenizers', 'safetensors'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"sys.argv = {words!r}\n"
        "from engine.__main__ import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tasks"]["STS16"]["n"] == 1186
    monkeypatch.setattr(engine_child, "_TRAIN", ("no_such_package_of_ours",))
    evaluating.require(f"vectors:{file}", STS)
    for model, tasks in (("minilm", STS), (f"vectors:{file}", (*STS, "MR"))):
        with pytest.raises(MissingExtraError):
            evaluating.require(model, tasks)


def test_a_model_is_scored_outside_a_project_too(tmp_path: Path, data_dir: Path, cli: Cli) -> None:
    words = ("--data", data_dir, "--tasks", "STS16", "--threads", 1, "-P", tmp_path)
    done = cli("evaluate", "minilm:1", *words)
    assert done.code == 0, done.err
    assert "not kept" in done.err and "minilm:1: STS16 (1 of 1)" in done.err
    assert "STS16" in done.out and "minilm:1" in done.out
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_scored_is_told_before_a_child_starts(tmp_path: Path, cli: Cli) -> None:
    wrong = cli("evaluate", "minilm", "--data", tmp_path, "--tasks", "STS19")
    assert wrong.code == 2 and "STS19" in wrong.err
    assert cli("evaluate", "minilm", "--data", tmp_path / "none").code == 2
    assert cli("evaluate", f"vectors:{tmp_path / 'none.npz'}", "--data", tmp_path).code == 2
    plain = ("--data", tmp_path, "--tasks", "STS16")
    for words, said in (
        (("minilm", "--save", tmp_path / "m"), "--save is of a whitening"),
        (("minilm", "--whitening-dim", 8), "--whitening-dim is of a whitening"),
        (("minilm", "--whitening", "target", "--save", tmp_path / "m"), "is no model to save"),
        (("minilm", "--whitening", tmp_path / "none.txt"), "none.txt is not there"),
        (("vectors:x.npz", "--whitening", tmp_path), "cannot be whitened with a corpus"),
    ):
        refused = cli("evaluate", *words, *plain)
        assert refused.code == 2 and said in refused.err, refused.err
    two = cli("evaluate", "minilm", "minilm:1", "--data", tmp_path, "--name", "x")
    assert two.code == 2 and "--name" in two.err


def test_each_part_is_kept_as_soon_as_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(module: str, words: list[str]) -> dict[str, object]:
        if words[0] == "whiten":
            asked.append(words[words.index("--corpus") + 1])
            return {"corpus": "c.txt", "fingerprint": "f", "sentences": 1234}
        tasks = words[words.index("--tasks") + 1].split(",")
        asked.append(",".join(tasks))
        metric = "spearman" if tasks[0] in STS else "accuracy"
        return {"scorer": "bi-encoder", "tasks": {task: {metric: 1.0, "n": 2} for task in tasks}}

    monkeypatch.setattr(evaluating, "ask", answer)
    seen: list[list[str]] = []
    wish = EvaluationWish(data=tmp_path, tasks="STS12,STS13,MR,CR")
    evaluating.evaluate("minilm", wish, partial=lambda one: seen.append(list(one.tasks)))
    assert asked == ["STS12,STS13", "MR", "CR"]
    assert seen == [["STS12", "STS13"], ["STS12", "STS13", "MR"], ["STS12", "STS13", "MR", "CR"]]
    asked.clear()
    told: list[tuple[int, int, str]] = []
    wish = EvaluationWish(
        data=tmp_path, tasks="STS12,CR", whitening=str(tmp_path), whitening_dim=8, pooling="avg_first_last"
    )
    one = evaluating.evaluate("minilm", wish, progress=lambda *said: told.append(said))
    assert asked == [str(tmp_path), "STS12", "CR"]
    assert told == [(0, 3, "whitening"), (1, 3, "STS12"), (2, 3, "CR")]
    assert one.name == "minilm (whitening 8, avg_first_last)"
    assert one.settings["whitening"] == "c.txt f, 1,234 sentences"


def test_data_check_names_what_is_whole_missing_and_translated(
    tmp_path: Path, data_dir: Path, cli: Cli
) -> None:
    source = data_dir / "senteval"
    copy = tmp_path / "copy"
    (copy / "STS" / "STSBenchmark").mkdir(parents=True)
    (copy / "SICK").symlink_to(source / "SICK")
    for year in ("STS12", "STS16"):
        (copy / "STS" / f"{year}-en-test").mkdir()
        for file in (source / "STS" / f"{year}-en-test").iterdir():
            (copy / "STS" / f"{year}-en-test" / file.name).symlink_to(file)
    cut = copy / "STS" / "STS16-en-test" / "STS.gs.headlines.txt"
    text = cut.read_text()
    cut.unlink()
    cut.write_text(text[: len(text) // 2])
    rows = (source / "STS" / "STSBenchmark" / "sts-test.csv").read_text().split("\n")
    foreign = ["\t".join([*row.split("\t")[:5], "一个男人在弹吉他", "两只狗在跑"]) for row in rows if row]
    (copy / "STS" / "STSBenchmark" / "sts-test.csv").write_text("\n".join(foreign) + "\n")
    done = cli("data", "check", copy, "--json")
    assert (done.code, done.doc["complete"]) == (1, False)
    sets = done.doc["sets"]
    states = {name: about["state"] for name, about in sets.items()}
    assert {name for name, state in states.items() if state == "complete"} == {
        "STS12",
        "SICKRelatedness",
        "SICKRelatedness trial",
    }
    assert (states["STS16"], states["STSBenchmark"], states["MR"]) == ("broken", "broken", "missing")
    assert states["STSBenchmark dev"] == "missing"
    assert "headlines" in sets["STS16"]["problem"]
    assert (sets["STS16"]["language"], sets["STSBenchmark"]["language"]) == ("English", "Chinese")
    assert (sets["STS12"]["n"], sets["STS12"]["expected"], sets["STS12"]["language"]) == (3108, 3108, "English")
    assert len(sets["STS12"]["fingerprint"]) == 64
    assert cli("data", "check", tmp_path / "none").code == 2


def test_the_whole_data_are_complete(data_dir: Path) -> None:
    found = ask("engine.evaluate.check", [str(data_dir)])
    assert {about["state"] for about in [*found["tasks"].values(), *found["dev"].values()]} == {"complete"}
    assert found["dev"]["stsb"]["possessive"] == "' s"


def test_reranking_is_kept_ranked_and_compared(project: Path, tmp_path: Path, cli: Cli) -> None:
    """MAP of vectors from a file: evaluate, the leaderboard in each form, and a comparison."""
    rows = [{"query": f"q{n}", "positives": [f"p{n}"], "negatives": [f"n{n}", f"m{n}"]} for n in range(9)]
    data = tmp_path / "ask.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "positives": []}]), "utf-8")
    texts = [text for row in rows for text in (row["query"], *row["positives"], *row["negatives"])]
    made = np.random.default_rng(0).normal(size=(len(texts), 4)).astype(np.float32)
    for name in ("mine", "other"):
        np.savez(tmp_path / f"{name}.npz", texts=np.array(texts), vectors=made)
        # The second has every query beside its positive.
        made = made.copy()
        made[0::4] = made[1::4]
    words = ("-P", project, "--data", data, "--tasks", "rerank")
    done = cli("evaluate", f"vectors:{tmp_path / 'other.npz'}", *words, "--backbone", "bert-base")
    assert done.code == 0, done.err
    assert "Reranking" in done.out and "100.00" in done.out
    assert "rerank, left out: query without positives: 1" in done.out
    doc = cli("evaluate", f"vectors:{tmp_path / 'mine.npz'}", *words, "--json").doc
    assert doc["tasks"]["rerank"]["n"] == 9 and 0 < doc["tasks"]["rerank"]["map"] < 100
    assert (doc["avg_sts"], doc["avg_transfer"]) == (None, None)
    board = cli("leaderboard", "-P", project, "--tasks", "rerank", "--json").doc["rows"]
    assert [row["system"] for row in board] == ["other", "mine"]
    assert board[1]["values"] == {"rerank": pytest.approx(doc["tasks"]["rerank"]["map"])}
    for form in ("table", "md", "csv", "tex"):
        shown = cli("leaderboard", "-P", project, "--format", form)
        assert shown.code == 0 and "other" in shown.out
    whole = cli("leaderboard", "-P", project)
    assert "Reranking" in whole.out and "Reranking" not in cli("leaderboard", "-P", tmp_path).out
    state = ("--backbone", "bert-base", "--supervision", "none")
    for name in ("mine", "other"):
        assert cli("evaluate", f"vectors:{tmp_path / f'{name}.npz'}", *words, *state).code == 0
    [contest] = cli("leaderboard", "--compare", "other", "mine", "-P", project, "--json").doc["comparisons"]
    one = contest["tasks"]["rerank"]
    assert one["difference"] == pytest.approx(100 - doc["tasks"]["rerank"]["map"]) and one["p"] < 0.05
    assert cli("evaluate", "minilm", "-P", project, "--data", data, "--tasks", "sts,rerank").code == 2
    data.write_text('{"query": "q"}\n', "utf-8")
    wrong = cli("evaluate", f"vectors:{tmp_path / 'mine.npz'}", *words)
    assert wrong.code == 2 and f"{data}, line 1: has no positives" in wrong.err
