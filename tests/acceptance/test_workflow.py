"""The whole path through the real command: from a file of sentences to files one can train on."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core.export import COLUMNS, restore_cell
from claif_tui.core.paths import assets_dir
from tests.acceptance.support import PROMISED, Done, Shell, endpoint, matches, seeds_file
from tests.llm_fixtures import LLMServer

pytestmark = pytest.mark.xdist_group("workflow")
FORMS = ("jsonl", "csv", "parquet", "dino", "sentence-transformers")
RULES = ("status", "stale", "unscored", "empty", "refusal", "duplicate", "identical", "mask", "cap")
LIMIT = 8
IMPORTED = {
    "rows": int,
    "sentences": int,
    "unique": int,
    "duplicates": int,
    "empty": int,
    "dropped": {str: int},
}
WRITTEN = {"rows": int, "funnel": {str: int}, "path": str, "sha256": str, "manifest": str}
DECIDED = {"action": str, "count": int, "pairs": PROMISED["pairs"]}


@dataclass
class Flow:
    """A project taken along the whole path, each step by a command of its own; what each said is kept."""

    shell: Shell
    folder: Path
    said: dict[str, Done] = field(default_factory=dict)
    stale: int = 0

    def run(self, name: str, *words: object) -> dict[str, Any]:
        """Run one command on the project, and keep what it said under ``name``."""
        done = self.shell(*words, "-P", self.folder, "--json")
        self.said[name] = done
        return done.doc


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory, shared_server: LLMServer) -> Iterator[Flow]:
    place = tmp_path_factory.mktemp("flow")
    flow = Flow(Shell(place / "home"), place / "p")
    flow.said["init"] = flow.shell("init", flow.folder, "--json").well()
    seeds = seeds_file(place / "seeds.txt", 10)
    seeds.write_text(seeds.read_text() + "\n" + seeds.read_text().splitlines()[0] + "\n")
    flow.run("import", "import", seeds)
    flow.run("plan", "generate", "--limit", LIMIT, "--dry-run", *endpoint(shared_server))
    shared_server.control(faults=[{"kind": "refusal", "rate": 0.1, "match": "Replace all"}])
    flow.run("generate", "generate", "--limit", LIMIT, *endpoint(shared_server))
    shared_server.control(faults=[])
    flow.run("retry", "retry", *endpoint(shared_server))
    flow.run("status", "status")
    flow.run("accept", "review", "accept", "--filter", "score >= 0.0")
    flow.run("undo", "review", "undo")
    flow.run("redo", "review", "redo")
    flow.run("reject", "review", "reject", "--filter", "rate = 0.8")
    listed = flow.run("list", "review", "list", "--filter", "rate = 0.3", "--sort", "oldest", "--limit", 1000)
    flow.stale, scored = (pair["id"] for pair in listed["pairs"][:2])
    flow.run("edit", "review", "edit", flow.stale, "quite another sentence .")
    flow.run("edit by hand", "review", "edit", scored, "yet another sentence .")
    flow.run("set-score", "review", "set-score", scored, 0.25)
    for form in FORMS:
        flow.run(form, "export", "--format", form)
    flow.run("raw", "export", "--status", "all", "--preset", "raw", "--out", place / "raw.jsonl")
    flow.run("end", "status")
    yield flow


def doc(flow: Flow, name: str) -> dict[str, Any]:
    return flow.said[name].well().doc


def lines(path: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(str(path)).read_text("utf-8").splitlines()]


def test_every_step_speaks_one_document_in_the_promised_shape(flow: Flow) -> None:
    shapes: dict[str, object] = {
        "init": {"project": str, "seeds": int},
        "import": {**IMPORTED, "files": list},
        "plan": {**PROMISED, "plan": {"seeds": int, "calls": int, "tokens": list}},
        "list": {"total": int, "pairs": list},
        **{name: {**PROMISED, "state": str, "message": str} for name in ("generate", "retry")},
        **dict.fromkeys(("status", "end"), PROMISED),
        **dict.fromkeys(("accept", "undo", "redo", "reject", "edit", "edit by hand", "set-score"), DECIDED),
        **dict.fromkeys((*FORMS, "raw"), WRITTEN),
    }
    assert set(shapes) == set(flow.said)
    for name, shape in shapes.items():
        assert matches(flow.said[name].doc, shape), (name, flow.said[name].out)
    assert set(PROMISED) <= set(flow.said["status"].doc)


def test_failed_calls_are_exit_code_1_and_narration_goes_to_stderr(flow: Flow) -> None:
    codes = {name: done.code for name, done in flow.said.items() if done.code}
    assert codes == {"generate": 1}, flow.said
    assert "planned pairs" in flow.said["retry"].err
    assert "retry" in flow.said["generate"].err


def test_the_import_counts_every_line(flow: Flow) -> None:
    counts = {key: value for key, value in doc(flow, "import").items() if key in IMPORTED}
    assert counts == {"rows": 12, "sentences": 11, "unique": 10, "duplicates": 1, "empty": 1, "dropped": {}}


def test_every_planned_pair_is_answered_or_named_as_failed(flow: Flow) -> None:
    first, then = flow.said["generate"].doc, doc(flow, "retry")
    assert doc(flow, "plan")["planned"] == LIMIT * 9
    assert first["planned"] == then["planned"] == LIMIT * 9 == first["answered"] + sum(first["failed"].values())
    assert set(first["failed"]) == {"refused"}
    assert (then["answered"], then["failed"]) == (LIMIT * 9, {})
    status = doc(flow, "status")
    assert {key: status[key] for key in PROMISED} == {key: then[key] for key in PROMISED}
    assert sum(status["pairs"].values()) == LIMIT * 9


def test_decisions_are_taken_back_and_put_back_by_other_processes(flow: Flow) -> None:
    every = LIMIT * 9
    assert doc(flow, "accept")["count"] == every
    assert doc(flow, "undo")["pairs"] == {"pending": every, "accepted": 0, "rejected": 0}
    assert doc(flow, "redo")["pairs"] == {"pending": 0, "accepted": every, "rejected": 0}
    assert doc(flow, "reject")["count"] == LIMIT
    # An edit sets the pair accepted; the pair it was made of is still told by review show.
    assert doc(flow, "end")["pairs"] == {"pending": 0, "accepted": every - LIMIT, "rejected": LIMIT}


def test_the_funnel_adds_up_and_agrees_with_every_file(flow: Flow) -> None:
    funnel = doc(flow, "jsonl")["funnel"]
    assert funnel["pairs"] == LIMIT * 9
    assert (funnel["status"], funnel["stale"]) == (LIMIT, 1)
    assert funnel["pairs"] - sum(funnel[rule] for rule in RULES) == funnel["kept"]
    assert funnel["kept"] + funnel["zero_pairs"] == funnel["rows"] == doc(flow, "jsonl")["rows"]
    assert funnel["zero_pairs_missing"] == 0
    for form in FORMS:
        told = doc(flow, form)
        assert told["funnel"] == funnel
        manifest = json.loads(Path(told["manifest"]).read_text("utf-8"))
        assert (manifest["funnel"], manifest["rows"], manifest["sha256"]) == (
            funnel,
            told["rows"],
            told["sha256"],
        )
        losses = Counter(row["rule"] for row in lines(told["dropped"]))
        assert losses == Counter({rule: funnel[rule] for rule in RULES if funnel[rule]})
    # Raw leaves out one thing alone: a score that was given to another text.
    assert doc(flow, "raw")["rows"] == LIMIT * 9 - 1


def test_every_format_holds_the_same_rows(flow: Flow) -> None:
    import pyarrow.parquet as parquet

    rows = lines(doc(flow, "jsonl")["path"])
    pairs = [(row["sentence1"], row["sentence2"], row["score"]) for row in rows]
    assert len(set(pairs)) == len(pairs) == doc(flow, "jsonl")["rows"]
    dino = lines(doc(flow, "dino")["path"])
    assert all(list(row) == ["text_a", "text_b", "label"] for row in dino)
    assert [(row["text_a"], row["text_b"], row["label"]) for row in dino] == pairs
    trainer = lines(doc(flow, "sentence-transformers")["path"])
    assert [(row["sentence1"], row["sentence2"], row["score"]) for row in trainer] == pairs
    with Path(doc(flow, "csv")["path"]).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert [
        (restore_cell(row["sentence1"]), restore_cell(row["sentence2"]), float(row["score"])) for row in table
    ] == pairs
    columns = parquet.read_table(doc(flow, "parquet")["path"]).to_pylist()
    assert [(row["sentence1"], row["sentence2"], row["score"]) for row in columns] == pairs


def test_labels_are_smoothed_scores_and_a_label_by_hand_counts(flow: Flow) -> None:
    raw = {row["pair_id"]: row for row in lines(doc(flow, "raw")["path"])}
    rows = [row for row in lines(doc(flow, "jsonl")["path"]) if row["kind"] != "zero"]
    by_hand = [row for row in rows if row["sentence2"] == "yet another sentence ."]
    assert [row["raw_score"] for row in by_hand] == [0.25]
    assert all(row["score"] == pytest.approx(0.8 * row["raw_score"] + 0.1) for row in rows)
    assert all(raw[row["pair_id"]]["raw_score"] == row["raw_score"] for row in rows)


def test_zero_pairs_are_two_for_each_original_and_never_its_own(flow: Flow) -> None:
    rows = lines(doc(flow, "jsonl")["path"])
    zero = [row for row in rows if row["kind"] == "zero"]
    kept = [row for row in rows if row["kind"] != "zero"]
    assert Counter(row["sentence1"] for row in zero) == dict.fromkeys((row["sentence1"] for row in kept), 2)
    own: dict[str, set[str]] = defaultdict(set)
    for row in lines(doc(flow, "raw")["path"]):
        own[row["sentence1"]].add(row["sentence2"])
    made = {row["sentence2"] for row in kept}
    for row in zero:
        assert (row["score"], "raw_score" in row) == (0.0, False)
        assert row["sentence2"] in made, "a partner is a generated text that is kept"
        assert row["sentence2"] not in own[row["sentence1"]] | {row["sentence1"]}


def test_a_finished_run_sends_nothing_and_new_seeds_send_only_theirs(
    flow: Flow, shared_server: LLMServer, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    flow.shell("init", folder).well()
    words = ["generate", "-P", folder, "--rates", "0.0,0.2", *endpoint(shared_server)]
    flow.shell("import", "-P", folder, seeds_file(tmp_path / "a.txt", 2, start=50)).well()
    first = flow.shell(*words).well()
    asked = len(shared_server.log())
    assert {**flow.shell(*words).well().doc, "message": ""} == {**first.doc, "message": ""}
    assert len(shared_server.log()) == asked
    flow.shell("import", "-P", folder, seeds_file(tmp_path / "b.txt", 3, start=50)).well()
    assert flow.shell(*words).well().doc["answered"] == 6
    news = [line["prompt"] for line in shared_server.log()[asked:]]
    assert len(news) == 4, "two generations and their scores"
    assert not [prompt for prompt in news if "number 50" in prompt or "number 51" in prompt]


def test_sts_b_has_its_exact_figures_and_its_plan(
    shell: Shell, tmp_path: Path, data_dir: Path, shared_server: LLMServer
) -> None:
    folder = tmp_path / "p"
    train = data_dir / "senteval/STS/STSBenchmark/sts-train.csv"
    figures = {
        "rows": 5749, "sentences": 11498, "unique": 10518, "duplicates": 980, "empty": 0, "dropped": {},
    }  # fmt: skip
    shell("init", folder).well()
    told = shell("import", "-P", folder, train, "--format", "stsb", "--json").well().doc
    assert {key: told[key] for key in figures} == figures
    plan = shell("generate", "-P", folder, "--limit", 200, "--dry-run", *endpoint(shared_server)).well().doc
    assert (plan["planned"], plan["plan"]["calls"]) == (1800, 3600)
    ran = shell("generate", "-P", folder, "--limit", 4, *endpoint(shared_server)).well().doc
    assert ran["planned"] == ran["answered"] == 36
    held_out = shell("import", "-P", folder, train.with_name("sts-test.csv"), "--format", "stsb", "--json")
    assert held_out.code == 2
    assert "--allow-test" in held_out.doc["error"]["hint"]


def test_the_offline_model_does_the_whole_path_without_an_endpoint(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra claif-tui[offline] is absent")
    if not (assets_dir() / "offline").is_dir():
        pytest.skip("the offline model's files are absent")
    folder = tmp_path / "p"
    assert shell("init", folder, "--demo", "--json").well().doc["seeds"] == 60
    words = ["generate", "-P", folder, "--limit", 1, "--model", "offline", "--yes", "--json"]
    ran = shell(*words).well().doc
    assert (ran["planned"], ran["answered"], ran["spent_usd"], ran["cap_usd"]) == (9, 9, 0.0, None)
    pairs = shell("review", "list", "-P", folder, "--limit", 20, "--json").well().doc["pairs"]
    assert all(
        0 <= pair["score"] <= 1 and pair["text_b"] and pair["model"].startswith("claif") for pair in pairs
    )
    assert (
        shell("review", "accept", "-P", folder, "--filter", "score >= 0.0", "--json").well().doc["count"] == 9
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["status", "-P", "nowhere"], 1),
        (["init"], 1),
        (["export", "-P", "nowhere"], 1),
        (["status", "--colour"], 2),
        (["stauts"], 2),
        (["import"], 2),
        (["review", "accept"], 2),
        (["config", "set", "theme"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(shell: Shell, tmp_path: Path, words: list[str], code: int) -> None:
    if words in (["init"], ["review", "accept"]):
        shell("init", "p", cwd=tmp_path).well()
        words = [*words, "p"] if words == ["init"] else ["-P", "p", *words]
    done = shell(*words, cwd=tmp_path)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    if code:
        assert done.out == ""
        assert done.err.startswith("error: ")
        again = shell(*words, "--json", cwd=tmp_path)
        assert again.code == code
        assert matches(again.doc, {"error": {"title": str, "message": str, "hint": str, "exit_code": int}})
        assert again.doc["error"]["exit_code"] == code
