from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import __main__ as engine_main
from engine import rundir, verbs
from engine.config import preset
from engine.encoder import load, load_cross
from engine.errors import RunError
from engine.evaluate.vectors import read_vectors
from engine.tasks import STS, TASKS, TRANSFER
from tests.engine import tiny_models
from tests.engine.evaluation_helpers import shrink, write
from tests.engine.training_helpers import events, kinds, run, sentences, settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a verb sets for its process must not outlive the test."""
    for name in (*verbs._THREADS, "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def main(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["engine", *map(str, words)])
    return engine_main.main()


# Training


def test_train_takes_its_settings_from_the_directory(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    rundir.prepare(path, settings(tmp_path, bert, out=str(path)))
    assert main(monkeypatch, "train", "--run", path) == 0
    assert kinds(events(path))[-1] == "finished"
    facts = rundir.read_info(path).facts  # type: ignore[union-attr]
    assert facts["data"]["rows"] == 12 and len(facts["data"]["sha256"]) == 64
    assert main(monkeypatch, "train", "--run", path, "--resume") == 1
    assert "has finished" in capfd.readouterr().err


def test_an_error_ends_the_run_with_its_code_and_one_line(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    rundir.prepare(path, settings(tmp_path, bert, out=str(path), data=tmp_path / "none.jsonl"))
    assert main(monkeypatch, "train", "--run", path) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "none.jsonl" in said and "Traceback" not in said
    failed = events(path)[-1]
    assert failed["kind"] == "failed" and failed["type"] == "DataError" and "none.jsonl" in failed["message"]
    assert rundir.liveness(path) == "failed"


def test_fp16_without_a_gpu_fails_with_what_to_do(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    rundir.prepare(path, settings(tmp_path, bert, out=str(path), precision="fp16"))
    assert main(monkeypatch, "train", "--run", path) == 2
    failed = events(path)[-1]
    assert failed["type"] == "ConfigError" and "bf16" in failed["hint"]


def test_an_unforeseen_error_is_told_in_the_run_and_traced_in_the_log(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    rundir.prepare(path, settings(tmp_path, bert, out=str(path)))
    monkeypatch.setattr(verbs, "use_threads", lambda _: 1 // 0)
    assert main(monkeypatch, "train", "--run", path) == 1
    assert "Traceback" in capfd.readouterr().err
    failed = events(path)[-1]
    assert failed["kind"] == "failed" and failed["type"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), OSError("x")]
)
def test_full_memory_says_how_to_need_less(error: Exception) -> None:
    hint = verbs._explained(error).hint
    assert ("gradient_accumulation" in hint) is not isinstance(error, OSError)


def test_a_missing_library_names_the_extra(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    rundir.prepare(path, settings(tmp_path, bert, out=str(path)))
    monkeypatch.setitem(sys.modules, "engine.trainer", None)
    assert main(monkeypatch, "train", "--run", path) == 1
    assert "claif-tui[train]" in events(path)[-1]["hint"]


def test_a_folder_that_is_no_run_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "train", "--run", tmp_path) == 1
    assert "not a run directory" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_claimed_before_torch_is_loaded(tmp_path: Path) -> None:
    """Whoever starts a run waits until it has its directory."""
    code = (
        "import sys; from engine import rundir, verbs, __main__;"
        "rundir.claim = lambda *a, **k: (print(*sorted({m.split('.')[0] for m in sys.modules})), sys.exit(3));"
        f"sys.argv = ['engine', 'train', '--run', {str(tmp_path / 'run')!r}]; __main__.main()"
    )
    rundir.prepare(tmp_path / "run", preset("claif", data="d.jsonl"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert not {"torch", "transformers", "scipy", "numpy"} & set(done.stdout.split())


# Evaluation


def evaluation_data(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All STS tasks with six pairs each, and one transfer task, as complete as these are said to be."""
    text = sentences(12, 9)
    for number, name in enumerate(STS):
        rows = [(text[n], text[(n * 5 + number + 1) % 12], 1 + (n + number) % 5) for n in range(6)]
        folder = root / TASKS[name].folder
        if name == "STSBenchmark":
            shrink(monkeypatch, name, ("sts-test.csv", 6))
            lines = [f"g\tf\ty\t{n}\t{gold}\t{a}\t{b}\n" for n, (a, b, gold) in enumerate(rows)]
            write(folder / "sts-test.csv", "".join(lines))
        elif name == "SICKRelatedness":
            shrink(monkeypatch, name, ("SICK_test_annotated.txt", 6))
            head = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\n"
            lines = [f"{n}\t{a}\t{b}\t{gold}\n" for n, (a, b, gold) in enumerate(rows)]
            write(folder / "SICK_test_annotated.txt", head + "".join(lines))
        else:
            shrink(monkeypatch, name, ("part", 6))
            write(folder / "STS.input.part.txt", "".join(f"{a}\t{b}\n" for a, b, _ in rows))
            write(folder / "STS.gs.part.txt", "".join(f"{gold}\n" for *_, gold in rows))
    shrink(monkeypatch, "CR", ("custrev.pos", 30), ("custrev.neg", 30))
    write(root / "CR/custrev.pos", "".join(f"{text}\n" for text in sentences(30, 1)))
    write(root / "CR/custrev.neg", "".join(f"{text}\n" for text in sentences(30, 2)))
    return root


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_one_document(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = evaluation_data(tmp_path / "data", monkeypatch)
    assert main(monkeypatch, "evaluate", bert, "--data", root, "--tasks", "sts,CR", "--mode", "fast") == 0
    found = document(capsys)
    assert {"model", "data", "tasks", "avg_sts", "avg_transfer"} <= set(found)
    assert list(found["tasks"]) == [*STS, "CR"]
    values = [found["tasks"][name]["spearman"] for name in STS]
    assert all(found["tasks"][name]["n"] == 6 for name in STS) and max(map(abs, values)) > 1.5
    assert found["avg_sts"] == pytest.approx(sum(values) / 7)
    assert found["tasks"]["CR"]["n"] == 60 and 0 <= found["tasks"]["CR"]["accuracy"] <= 100
    # An average over fewer tasks is another number.
    assert found["avg_transfer"] is None and len(TRANSFER) == 7


def test_a_run_directory_stands_for_its_best_checkpoint(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = evaluation_data(tmp_path / "data", monkeypatch)
    run(tmp_path / "run", settings(tmp_path, bert, lr=1e-2))
    best = tmp_path / "run/checkpoints/best"
    figures = []
    for model in (tmp_path / "run", best, bert):
        assert main(monkeypatch, "evaluate", model, "--data", root, "--tasks", "STS12") == 0
        figures.append(document(capsys)["tasks"]["STS12"]["pearson"])
    assert figures[0] == figures[1] != figures[2]


def test_a_cross_encoder_scores_pairs_and_refuses_transfer(
    bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = evaluation_data(tmp_path / "data", monkeypatch)
    run(tmp_path / "run", settings(tmp_path, bert, "claif-cross"))
    assert main(monkeypatch, "evaluate", tmp_path / "run", "--data", root, "--tasks", "STS12") == 0
    found = document(capsys)["tasks"]["STS12"]
    cross = load_cross(str(tmp_path / "run/checkpoints/best"))
    rows = [
        line.split("\t") for line in (root / "STS/STS12-en-test/STS.input.part.txt").read_text().splitlines()
    ]
    gold = [float(line) for line in (root / "STS/STS12-en-test/STS.gs.part.txt").read_text().split()]
    logits = cross.predict([a for a, _ in rows], [b for _, b in rows])
    assert found["pearson"] == pytest.approx(100 * float(np.corrcoef(gold, logits)[0, 1]), abs=1e-3)
    assert main(monkeypatch, "evaluate", tmp_path / "run", "--data", root, "--tasks", "CR") == 2
    assert "cross-encoder" in capsys.readouterr().err


def test_embed_writes_vectors_that_evaluate_reads(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = evaluation_data(tmp_path / "data", monkeypatch)
    texts = [*sentences(12, 9), "a line\u2028with a break of its own", ""]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n", "utf-8")
    out = tmp_path / "vectors.npz"
    assert main(monkeypatch, "embed", bert, "--texts", tmp_path / "texts.txt", "--out", out) == 0
    assert document(capsys) == {"model": str(bert), "out": str(out), "rows": 14, "dimension": 16}
    np.testing.assert_array_equal(read_vectors(str(out)).vectors, load(str(bert)).encode(texts))
    assert [path.name for path in tmp_path.glob(".vectors*")] == []
    figures = []
    for model in (bert, f"vectors:{out}"):
        assert main(monkeypatch, "evaluate", model, "--data", root, "--tasks", "STS12") == 0
        figures.append(document(capsys)["tasks"]["STS12"])
    model, file = figures
    assert (model["n"], model["fingerprint"]) == (file["n"], file["fingerprint"])
    # Other batches on another processor: the vectors may differ in their last bits, their ranks do not.
    assert model["spearman"] == file["spearman"]
    assert model["pearson"] == pytest.approx(file["pearson"], abs=1e-3)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["evaluate", "minilm", "--data", "{here}", "--tasks", "STS99"], 2, "STS99"),
        (["evaluate", "minilm", "--data", "{here}", "--tasks", "STS12"], 2, "is missing"),
        (["evaluate", "vectors:{here}/none.npz", "--data", "{here}"], 2, "none.npz"),
        (["evaluate", "{here}/none", "--data", "{here}"], 2, "no model folder"),
        (["embed", "minilm", "--texts", "{here}/none.txt", "--out", "{here}/v.npz"], 2, "none.txt"),
        (["embed", "minilm", "--texts", "{here}/none.txt", "--out", "{here}/v.txt"], 2, ".npz"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    assert main(monkeypatch, *[word.format(here=tmp_path) for word in words]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and said in captured.err


def test_a_run_without_a_checkpoint_cannot_be_evaluated(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    config = settings(tmp_path, bert, out=str(path))
    rundir.claim(path, config).events.close()
    assert main(monkeypatch, "evaluate", path, "--data", tmp_path, "--tasks", "STS12") == 2
    assert "no best checkpoint" in capsys.readouterr().err


def test_hints_follow_messages_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs._refused(RunError("it is\nbroken", "Mend it.")) == 1
    assert capsys.readouterr().err == "it is broken. Mend it.\n"
