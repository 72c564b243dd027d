from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from engine import resume, rundir, trainer
from engine.config import COMPAT, PRESETS, PROMPT_COMPAT, TrainConfig
from engine.data import read, shuffled
from engine.encoder import load, load_cross
from engine.errors import ConfigError, DataError, EngineError, RunError
from engine.evaluate.cosine import dev_score
from engine.evaluate.dev import read_pairs
from engine.objectives import Learner, build
from engine.optimiser import Optimiser, groups
from engine.selection import DevScore, Selection, choose
from engine.telling import Diverged, Teller
from engine.trainer import Trainer
from tests.engine import tiny_models
from tests.engine.training_helpers import (
    dev_file,
    events,
    kinds,
    labelled,
    lines,
    losses,
    pairs,
    run,
    scores,
    sentences,
    settings,
    triplets,
    weights,
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.roberta(tmp_path_factory.mktemp("models") / "roberta")


CASES = [(system, ()) for system in PRESETS] + [
    ("clhaif", COMPAT["soft-infonce"]),
    ("multicsr", COMPAT["masked-infonce"]),
    ("promptbert-unsup", PROMPT_COMPAT),
    ("promptbert-sup", PROMPT_COMPAT),
]


def shrunk(system: str, compat: tuple[str, ...], folder: Path, models: dict[str, Path]) -> TrainConfig:
    """Three steps of a system on data of its kind."""
    original = PRESETS[system]
    if original.objective in ("mse", "cross"):
        data = pairs(folder / "p.jsonl", 16 if original.select == "own" else 12)
    elif original.objective == "softmax-nli":
        data = labelled(folder / "nli.csv", 12)
    elif original.twins:
        data = lines(folder / "wiki.txt", 12)
    else:
        data = triplets(folder / "t.csv", 12, scored=original.objective == "soft-infonce")
    changes: dict[str, Any] = {"data": data, "compat": list(compat), "eval_every": 3}
    if original.mask_model:
        changes["mask_model"] = str(models["bert-base-uncased"])
    if original.select == "own":
        changes |= {"dev": "", "dev_share": 0.25}
    if original.select == "stsb+sickr":  # has a test of its own
        changes["select"] = "stsb"
    if "smooth-all-zero-test" in compat:
        changes["smooth"] = "smooth_all"
    return settings(folder, models[original.model], system, **changes)


@pytest.mark.parametrize(("system", "compat"), CASES, ids=["+".join([s, *c]) for s, c in CASES])
def test_three_steps_of_every_system(
    system: str, compat: tuple[str, ...], tmp_path: Path, bert: Path, roberta: Path
) -> None:
    models = {"bert-base-uncased": bert, "roberta-base": roberta}
    config = shrunk(system, compat, tmp_path, models)
    found = run(tmp_path / "run", config)
    assert kinds(found)[0] == "started" and kinds(found)[-1] == "finished"
    assert len(losses(found)) == 3 and all(np.isfinite(losses(found)))
    best = rundir.read_metrics(tmp_path / "run")["best"]
    assert best["step"] == 3 and best["dev"] == scores(found)[3]
    saved = tmp_path / "run/checkpoints/best"
    trained = weights(saved)
    before = weights(models[PRESETS[system].model])
    trained = {name.removeprefix("bert."): value for name, value in trained.items()}  # a classifier's
    shared = [name for name in trained if name in before]
    assert any(not torch.equal(trained[name], before[name]) for name in shared)
    # Loaded again, the checkpoint has the score that it was chosen for.
    if config.select != "own" and "prompt-bert" not in compat:
        _check_score(saved, config, best["dev"])
    card = (saved / "README.md").read_text("utf-8")
    assert system in card and found[0]["config"] in card and str(tmp_path) not in card
    assert not (tmp_path / "run/checkpoints/last/training.safetensors").exists()


def _check_score(saved: Path, config: TrainConfig, expected: float) -> None:
    dev = read_pairs(Path(config.dev))
    if config.objective == "cross":
        from engine.stats import spearman

        value = spearman(
            dev.gold.tolist(), load_cross(str(saved)).predict(dev.first, dev.second).tolist()
        ).value
    else:
        encoder = load(str(saved))
        found = dev_score(encoder.encode(dev.first), encoder.encode(dev.second), dev.gold, "cosine")
        value = found.value
    assert value is not None and 100 * value == pytest.approx(expected, abs=1e-6)


def test_two_runs_are_equal_to_the_last_bit(bert: Path, tmp_path: Path) -> None:
    config = settings(tmp_path, bert, epochs=2)
    first, second = run(tmp_path / "a", config), run(tmp_path / "b", config)
    assert losses(first) == losses(second) and scores(first) == scores(second)
    one, two = (weights(tmp_path / name / "checkpoints/best") for name in "ab")
    assert all(torch.equal(one[name], two[name]) for name in one)
    # What the seed decides is not the same under another.
    assert losses(run(tmp_path / "c", settings(tmp_path, bert, epochs=2, seed=7))) != losses(first)


def test_dev_scores_are_taken_from_the_start_of_each_epoch_and_at_its_end(bert: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "many.jsonl", 20)  # five steps an epoch
    per_epoch = run(tmp_path / "a", settings(tmp_path, bert, data=data, epochs=2, eval_every=2))
    assert list(scores(per_epoch)) == [2, 4, 5, 7, 9, 10]
    whole = run(
        tmp_path / "b", settings(tmp_path, bert, data=data, epochs=2, eval_every=4, eval_counting="global")
    )
    assert list(scores(whole)) == [4, 8]
    ends = run(tmp_path / "c", settings(tmp_path, bert, data=data, epochs=2, eval_every=0))
    assert list(scores(ends)) == [5, 10]


def test_only_a_strictly_better_score_replaces_the_checkpoint(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([50.0, 50.0, 60.0, None, 55.0, 60.0])
    monkeypatch.setattr(Selection, "score", lambda *_: DevScore(dev=next(given), reason="for a test"))
    data = pairs(tmp_path / "many.jsonl", 24)
    found = run(tmp_path / "run", settings(tmp_path, bert, data=data, eval_every=1))
    assert [event["best"] for event in found if event["kind"] == "eval"] == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert rundir.read_metrics(tmp_path / "run")["best"]["step"] == 3
    card = (tmp_path / "run/checkpoints/best/README.md").read_text("utf-8")
    assert "| step | 3 of 6 |" in card


def test_early_stop_counts_scores_in_a_row(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([50.0, 40.0, 51.0, 51.0, 30.0, 99.0])
    monkeypatch.setattr(Selection, "score", lambda *_: DevScore(dev=next(given)))
    data = pairs(tmp_path / "many.jsonl", 24)
    found = run(tmp_path / "run", settings(tmp_path, bert, data=data, eval_every=1, early_stop=2))
    assert found[-1]["kind"] == "finished" and found[-1]["step"] == 5
    assert "early stop" in found[-1]["reason"]


def test_the_rows_follow_the_seed_and_the_epoch(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    step = trainer.Trainer._step

    def spy(self: trainer.Trainer, number: int, batch: Any) -> None:
        seen.append(batch.rows.tolist())
        step(self, number, batch)

    monkeypatch.setattr(trainer.Trainer, "_step", spy)
    run(tmp_path / "run", settings(tmp_path, bert, data=pairs(tmp_path / "odd.jsonl", 10), epochs=2, seed=3))
    assert [len(rows) for rows in seen] == [4, 4, 2, 4, 4, 2]
    assert [row for rows in seen[:3] for row in rows] == shuffled(10, 3, 0).tolist()
    assert [row for rows in seen[3:] for row in rows] == shuffled(10, 3, 1).tolist()


def test_a_last_batch_of_one_row_is_left_out_of_in_batch_losses_and_said(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 9)
    found = run(tmp_path / "run", settings(tmp_path, bert, "simcse-sup", data=data))
    assert len(losses(found)) == 2
    assert any("one row" in event["message"] for event in found if event["kind"] == "warning")
    # An objective that looks at each row alone keeps it.
    assert (
        len(losses(run(tmp_path / "mse", settings(tmp_path, bert, data=pairs(tmp_path / "p9.jsonl", 9))))) == 3
    )


def test_one_row_cannot_be_contrasted(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one row"):
        run(tmp_path / "run", settings(tmp_path, bert, "simcse-sup", data=triplets(tmp_path / "t.csv", 1)))


def late(run: rundir.Run, diverged: Diverged, *, at_once: bool, scaled: bool) -> Teller:
    """A teller that reads losses back when they are told, as on an accelerator."""
    return Teller(run, diverged, at_once=False, scaled=scaled)


@pytest.mark.parametrize("reading", ["at once", "late"])
@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_model_is_touched(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, reading: str
) -> None:
    at = 1
    loss = Learner.loss
    calls = []

    def broken(self: Learner, *given: Any) -> torch.Tensor:
        calls.append(1)
        found = loss(self, *given)
        if len(calls) != at + 1:
            return found
        # sqrt has an infinite slope at 0, so that the loss is fine and its gradient is not.
        return found * float("nan") if part == "loss" else (found - found).sqrt()

    monkeypatch.setattr(Learner, "loss", broken)
    if reading == "late":
        monkeypatch.setattr("engine.trainer.Teller", late)
    after: list[list[torch.Tensor]] = []
    step = Optimiser.step

    def spy(self: Optimiser, done: int, found: torch.Tensor) -> torch.Tensor:
        norm = step(self, done, found)
        after.append([one.detach().clone() for group in self.adam.param_groups for one in group["params"]])
        return norm

    monkeypatch.setattr(Optimiser, "step", spy)
    with pytest.raises(RunError, match=f"the {part} at step 2 is (nan|inf)") as caught:
        run(tmp_path / "run", settings(tmp_path, bert, eval_every=0))
    # Nothing is changed from the broken step on, however much later it is noticed.
    assert len(after) == (2 if reading == "at once" else 3)
    for state in after[at:]:
        assert all(torch.equal(*two) for two in zip(state, after[at - 1], strict=True))
    expected = ", ".join(map(str, shuffled(12, 42, 0)[4:8]))
    assert caught.value.message.endswith(f": {expected}")
    assert "lr" in caught.value.hint
    # What was told up to then is there.
    assert len(losses(events(tmp_path / "run"))) == 1


class NothingRead(TorchDispatchMode):  # type: ignore[misc]
    """Refuses to read a number back from a tensor, which on an accelerator would wait for all its work."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation unless it reads."""
        assert "_local_scalar_dense" not in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", ["claif", "simcse-sup", "multicsr"])
def test_a_step_reads_nothing_back(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    where = triplets(tmp_path / "t.csv", 12) if preset != "claif" else pairs(tmp_path / "p.jsonl", 12)
    extra = {"mask_model": str(bert)} if preset == "multicsr" else {}
    config = settings(tmp_path, bert, preset, data=where, eval_every=0, **extra)
    told = losses(run(tmp_path / "at-once", config))
    step = Trainer._step
    steps: list[int] = []

    def watched(self: Trainer, *given: Any) -> None:
        with NothingRead():
            step(self, *given)
        steps.append(given[0])

    monkeypatch.setattr(Trainer, "_step", watched)
    monkeypatch.setattr("engine.telling.TELL_SECONDS", float("inf"))
    monkeypatch.setattr("engine.trainer.Teller", late)
    assert losses(run(tmp_path / "late", config)) == told
    assert steps == list(range(len(told)))


def test_a_dev_score_that_is_undefined_is_null_with_a_reason(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.encoder import Encoder, Prepared

    def same(self: Encoder, texts: Prepared, **_: object) -> NDArray[np.float32]:
        return np.ones((len(texts.places), self.dimension), dtype=np.float32)

    monkeypatch.setattr(Encoder, "encode", same)
    found = run(tmp_path / "run", settings(tmp_path, bert))
    scored = [event for event in found if event["kind"] == "eval"]
    assert all(event["dev"] is None and event["best"] is False for event in scored)
    assert "same" in scored[0]["reason"]
    assert rundir.read_metrics(tmp_path / "run")["best"] == {"step": None, "dev": None}
    assert any("no dev score" in event["message"] for event in found if event["kind"] == "warning")
    assert (tmp_path / "run/checkpoints/last/model.safetensors").is_file()
    assert not (tmp_path / "run/checkpoints/best").exists()


def test_the_first_steps_are_those_of_sentence_transformers(bert: Path, tmp_path: Path) -> None:
    """Dropout off, same batches: forward pass, loss, decay groups, clipping and schedule all have to agree."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.losses import CosineSimilarityLoss
    from transformers import get_linear_schedule_with_warmup

    config = settings(
        tmp_path, bert, data=pairs(tmp_path / "p.jsonl", 16), dropout=0.0, epochs=3, lr=1e-3, eval_every=0
    )
    ours = losses(run(tmp_path / "run", config))
    model = SentenceTransformer(str(bert), device="cpu")
    model.max_seq_length = 16
    model.train()
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    objective = CosineSimilarityLoss(model)
    plain = ["bias", "LayerNorm.bias", "LayerNorm.weight"]
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not any(w in n for w in plain)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(w in n for w in plain)], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=1e-3, eps=1e-8)
    schedule = get_linear_schedule_with_warmup(adam, 2, 12)  # a tenth of 12 steps, rounded up
    examples = read(config.data)
    theirs = []
    for step in range(12):
        rows = shuffled(16, config.seed, step // 4)[4 * (step % 4) :][:4]
        batch = examples.batch(rows)
        features = [model.tokenize(batch[name]) for name in ("sentence1", "sentence2")]
        loss = objective(features, torch.tensor(batch["score"]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        schedule.step()
        adam.zero_grad()
        theirs.append(float(loss.detach()))
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert abs(ours[-1] - ours[0]) > 1e-3


def test_biases_and_layer_norms_do_not_decay(bert: Path, tmp_path: Path) -> None:
    learner = build(settings(tmp_path, bert), torch.device("cpu"))
    decayed, plain = groups(learner, 0.01)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)
    found = {id(one): group["weight_decay"] for group in (decayed, plain) for one in group["params"]}
    names = {name: found[id(one)] for name, one in learner.named_parameters()}
    assert {name for name, decay in names.items() if not decay} == {
        name for name in names if name.endswith("bias") or "LayerNorm" in name
    }


def test_what_is_saved_for_last_is_the_model_as_it_ended(bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    run(tmp_path / "run", settings(tmp_path, bert, eval_every=0, epochs=1))
    best, last = (weights(tmp_path / "run/checkpoints" / name) for name in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)
    texts = sentences(3)
    theirs = SentenceTransformer(str(tmp_path / "run/checkpoints/last"), device="cpu").encode(texts)
    np.testing.assert_allclose(load(str(tmp_path / "run/checkpoints/last")).encode(texts), theirs, atol=1e-5)


def test_steps_carry_rate_norm_and_speed(bert: Path, tmp_path: Path) -> None:
    found = run(tmp_path / "run", settings(tmp_path, bert, warmup=0.0, lr=1e-3))
    steps = [event for event in found if event["kind"] == "step"]
    assert steps[-1]["step"] == 3 and steps[-1]["lr"] == pytest.approx(1e-3 / 3)
    assert all(event["grad_norm"] > 0 and event["rows_per_second"] > 0 for event in steps)


# Dev sets


def chosen(folder: Path, bert: Path, **changes: Any) -> Any:
    config = settings(folder, bert, **changes)
    return choose(config, read(config.data))


def test_the_dev_file_beside_the_data_is_found(bert: Path, tmp_path: Path) -> None:
    dev_file(tmp_path / "sts-dev.csv", 7)
    _, selection = chosen(tmp_path, bert, dev="")
    assert selection.describe()["stsb"]["pairs"] == 7


def test_then_the_dev_split_of_the_data(bert: Path, tmp_path: Path) -> None:
    rows = [
        {"sentence1": a, "sentence2": b, "score": n % 3 / 2, "split": "dev" if n < 4 else "train"}
        for n, (a, b) in enumerate(zip(sentences(10, 1), sentences(10, 2), strict=True))
    ]
    data = tmp_path / "split.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    train, selection = chosen(tmp_path, bert, data=data, dev="")
    assert len(train) == 6 and selection.describe()["stsb"]["pairs"] == 4
    # The same rows serve select = own.
    train, selection = chosen(tmp_path, bert, data=data, dev="", select="own")
    assert len(train) == 6 and selection.describe()["own"]["pairs"] == 4


def test_no_dev_set_is_an_error_that_says_what_to_name(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no development set") as caught:
        chosen(tmp_path, bert, dev="")
    assert "dev" in caught.value.hint


def test_own_holds_out_whole_originals(bert: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "own.jsonl", 40)
    train, selection = chosen(tmp_path, bert, data=data, dev="", select="own", dev_share=0.2)
    held = selection.sets["own"]
    assert len(train) + len(held) == 40 and len(held) >= 8
    assert not set(held.first) & set(train.batch(range(len(train)))["sentence1"])


def test_own_wants_scored_pairs(bert: Path, tmp_path: Path) -> None:
    data = lines(tmp_path / "wiki.txt", 12)
    with pytest.raises(ConfigError, match="no scored pairs"):
        chosen(tmp_path, bert, system="simcse-unsup-bert", data=data, dev="", select="own")


def test_the_mean_of_two_dev_sets_selects(bert: Path, tmp_path: Path) -> None:
    root = evaluation_data(tmp_path / "data")
    data = triplets(tmp_path / "t.csv", 8)
    found = run(
        tmp_path / "run", settings(tmp_path, bert, "official-syncse", data=data, dev=str(root), eval_every=2)
    )
    scored = next(event for event in found if event["kind"] == "eval")
    assert scored["dev"] == pytest.approx((scored["stsb"] + scored["sickr"]) / 2)
    assert rundir.read_info(tmp_path / "run").facts["dev"]["sickr"]["pairs"] == 500  # type: ignore[union-attr]


def evaluation_data(root: Path) -> Path:
    """Dev files of the right size in the right places, and test files that must not be opened."""
    stsb, sick = root / "STS/STSBenchmark", root / "SICK"
    stsb.mkdir(parents=True)
    sick.mkdir(parents=True)
    some = sentences(30)
    rows = [(some[n % 30], some[(n * 7 + 1) % 30], n % 6) for n in range(1500)]
    (stsb / "sts-dev.csv").write_text(
        "".join(f"g\tf\ty\t{n}\t{gold}\t{a}\t{b}\n" for n, (a, b, gold) in enumerate(rows)), "utf-8"
    )
    head = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tjudgment\n"
    body = "".join(f"{n}\t{a}\t{b}\t{1 + gold % 5}\tX\n" for n, (a, b, gold) in enumerate(rows[:500]))
    (sick / "SICK_trial.txt").write_text(head + body, "utf-8")
    for test in (stsb / "sts-test.csv", sick / "SICK_test_annotated.txt"):
        test.mkdir()  # opening it as a file fails
    return root


@pytest.mark.parametrize("name", ["sts-test.csv", "test.jsonl"])
def test_test_data_cannot_select(bert: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".jsonl"):
        pairs(path, 5)
    else:
        dev_file(path)
    with pytest.raises(DataError, match="test"):
        chosen(tmp_path, bert, dev=str(path))


def test_the_test_split_of_the_benchmark_cannot_select_under_another_name(bert: Path, tmp_path: Path) -> None:
    dev_file(tmp_path / "my-dev.tsv", 1379)
    with pytest.raises(DataError, match="1,379"):
        chosen(tmp_path, bert, dev=str(tmp_path / "my-dev.tsv"))


def test_a_dev_set_with_one_score_is_refused_before_training(bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "flat.tsv"
    path.write_text("a b\tc d\t3\ne f\tg h\t3\n", "utf-8")
    with pytest.raises(DataError, match="same score"):
        chosen(tmp_path, bert, dev=str(path))


def test_the_best_of_four_similarities_may_select(bert: Path, tmp_path: Path) -> None:
    cosine = run(tmp_path / "a", settings(tmp_path, bert))
    four = run(tmp_path / "b", settings(tmp_path, bert, dev_metric="max4"))
    first = [event for event in cosine if event["kind"] == "eval"]
    second = [event for event in four if event["kind"] == "eval"]
    assert [event["stsb_max4"] for event in first] == [event["dev"] for event in second]
    assert all(b["dev"] >= a["dev"] for a, b in zip(first, second, strict=True))


def test_a_dev_split_alone_cannot_be_trained_on(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of its rows is for training"):
        chosen(tmp_path, bert, data=pairs(tmp_path / "my-dev.jsonl", 8))


def test_a_stop_is_a_checkpoint_and_no_end(bert: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "many.jsonl", 24)
    config = settings(tmp_path, bert, data=data)
    asked = iter([False, False, True])
    found = run(tmp_path / "run", config, signalled=lambda: next(asked))
    assert kinds(found)[-2:] == ["checkpoint", "stopped"] and found[-1]["step"] == 2
    assert found[-2]["name"] == "last"
    assert rundir.liveness(tmp_path / "run") == "stopped"
    assert (tmp_path / "run/checkpoints/last/training.safetensors").is_file()


def test_a_wish_in_the_directory_stops_too(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "WISH_SECONDS", 0.0)
    config = settings(tmp_path, bert, out=str(tmp_path / "run"))
    taken = rundir.claim(tmp_path / "run", config)
    taken.mark_stopping()
    with taken.events:
        assert trainer.train(taken, config, lambda: False) is False
    assert events(tmp_path / "run")[-1]["kind"] == "stopped"


def test_half_precision_passes_over_a_step_that_overflows(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fp16 is for GPUs; its scaled losses are the same arithmetic on a CPU, so that they can be tried here."""
    scaler = torch.amp.GradScaler

    def half(config: TrainConfig, device: torch.device) -> Learner:
        learner = build(replace(config, precision="fp32"), device)
        learner.config = config
        return learner

    monkeypatch.setattr(trainer, "build", half)
    changes: dict[str, Any] = {"epochs": 2, "dropout": 0.0, "lr": 1e-3, "warmup": 0.0}
    config = settings(tmp_path, bert, precision="fp16", **changes)
    full = run(tmp_path / "full", settings(tmp_path, bert, **changes))
    assert losses(run(tmp_path / "half", config)) == pytest.approx(losses(full), abs=0.01)
    # A scale that is too large for float16: the first step is passed over, and the scale becomes smaller.
    monkeypatch.setattr(torch.amp, "GradScaler", partial(scaler, init_scale=2.0**40, backoff_factor=2.0**-30))
    found = run(tmp_path / "unbroken", config)
    norms = [event["grad_norm"] for event in found if event["kind"] == "step"]
    assert len(losses(found)) == 6 and np.isfinite(norms[-1])
    # What the scaler has found out is part of the state that a run goes on from.
    asked = iter([False] * 3 + [True])
    run(tmp_path / "broken", config, signalled=lambda: next(asked))
    state = resume.load(tmp_path / "broken/checkpoints")
    assert state is not None and state.scaler["scale"] == 2.0**10
    assert state.tensors["adam.0.step"] == 2
    assert losses(run(tmp_path / "broken", config, resume=True)) == losses(found)
    ours, theirs = (weights(tmp_path / name / "checkpoints/last") for name in ("unbroken", "broken"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_errors_of_the_engine_are_not_hidden_behind_others(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no-such"):
        run(tmp_path / "run", settings(tmp_path, tmp_path / "no-such"))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
