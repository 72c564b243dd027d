from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine import losses, objectives
from engine.columns import training_rows
from engine.config import OBJECTIVES, TrainConfig, preset
from engine.data import read
from engine.distributed import Alone
from engine.encoder import Encoder, load
from engine.errors import ConfigError, DataError, ModelError
from engine.gradients import Gradients
from engine.objectives import Batch, Learner
from tests.engine import tiny_models
from tests.engine.training_helpers import labelled, lines, pairs, triplets

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.roberta(tmp_path_factory.mktemp("models") / "roberta")


def made(model: Path, data: Path, system: str, **changes: Any) -> tuple[TrainConfig, Learner, Batch]:
    """A learner with dropout off unless asked for, and the first rows of the data as its batch."""
    defaults = {"dropout": 0.0, "precision": "fp32", "batch_size": 4, "max_seq_length": 16}
    config = preset(system, model=str(model), data=str(data), **{**defaults, **changes})
    torch.manual_seed(1)
    learner = objectives.build(config, CPU)
    examples = training_rows(config)
    rows = np.arange(config.batch_size)
    found = examples.batch(rows)
    texts = [found[name] for name in objectives.columns(config, examples)]
    numbers = [found[name] for name in objectives.learnt(config)]
    scores = list(zip(*numbers, strict=True)) if len(numbers) > 1 else next(iter(numbers), None)
    batch = learner.tokenise(rows, texts, scores)
    return config, learner, batch


def test_a_trained_pooler_is_begun_with_where_that_was_asked_for(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 4)
    _, learner, _ = made(bert, data, "simcse-sup", own_pooler=True)
    head = learner.encoder.head
    pooler = load(str(bert), pooling="cls", own_pooler=True).head
    assert isinstance(head, torch.nn.Sequential) and isinstance(pooler, torch.nn.Sequential)
    assert torch.equal(head[0].weight, pooler[0].weight)


def gradients(learner: Learner, config: TrainConfig, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    learner.zero_grad()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    loss = Gradients(learner, config, scaler)(batch, 0)
    return loss, {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], tolerance: float) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=tolerance, atol=tolerance, msg=name)


def test_every_objective_of_the_settings_has_its_entry() -> None:
    assert tuple(objectives.OBJECTIVES) == OBJECTIVES


def test_mse_is_the_loss_of_the_padded_vectors(bert: Path, tmp_path: Path) -> None:
    config, learner, batch = made(bert, pairs(tmp_path / "p.jsonl", 4), "claif")
    assert isinstance(learner.encoder, Encoder)
    found = read(tmp_path / "p.jsonl").batch(range(4))
    encoder = learner.encoder
    encoder.fast = False
    sides = [encoder.forward_ids(encoder.tokenise(found[name])) for name in ("sentence1", "sentence2")]
    expected = losses.cosine_mse(losses.cosine(*sides), torch.tensor(found["score"]))
    encoder.fast = True
    loss, _ = gradients(learner, config, batch)
    assert loss == pytest.approx(float(expected), abs=1e-6)


def test_the_cross_encoder_reads_pairs_in_one_order(bert: Path, tmp_path: Path) -> None:
    config, learner, batch = made(bert, pairs(tmp_path / "p.jsonl", 4), "claif-cross")
    found = read(tmp_path / "p.jsonl").batch(range(4))
    logits = learner.encoder.predict(found["sentence1"], found["sentence2"])
    expected = losses.bce(torch.from_numpy(logits), torch.tensor(found["score"]))
    loss, _ = gradients(learner, config, batch)
    assert loss == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("system", ["simcse-sup", "clhaif", "multicsr"])
def test_triplets_put_positives_before_hard_negatives(bert: Path, tmp_path: Path, system: str) -> None:
    data = triplets(tmp_path / "t.csv", 4, scored=True)
    mask = {"mask_model": str(bert), "mask_threshold": 0.5} if system == "multicsr" else {}
    config, learner, batch = made(bert, data, system, **mask)
    assert isinstance(learner.encoder, Encoder)
    found, encoder = read(data).batch(range(4)), learner.encoder
    sides = [encoder(*_padded(encoder, found[n])) for n in ("sentence1", "sentence2", "hard_negative")]
    cosines = losses.cosine_matrix(sides[0], torch.cat(sides[1:]))
    if system == "simcse-sup":
        expected = losses.info_nce(cosines, 0.05)
    elif system == "clhaif":
        expected = losses.soft_info_nce(cosines, torch.tensor(found["score"]), 0.05)
    else:
        frozen = load(str(bert), pooling="cls_before_pooler")
        raw = [torch.from_numpy(frozen.encode(found[n])) for n in ("sentence1", "sentence2", "hard_negative")]
        keep = losses.cosine_matrix(raw[0], torch.cat(raw[1:]))
        expected = losses.masked_info_nce(cosines, keep, 0.05, threshold=0.5)
        assert float(expected) != pytest.approx(float(losses.info_nce(cosines, 0.05)), abs=1e-4)
    loss, _ = gradients(learner, config, batch)
    assert loss == pytest.approx(float(expected), abs=1e-5)


def _padded(encoder: Encoder, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = encoder.tokenise(texts)
    width = max(map(len, ids))
    rows = torch.tensor([row + [0] * (width - len(row)) for row in ids])
    return rows, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])


def test_twins_differ_by_their_dropout_alone(bert: Path, tmp_path: Path) -> None:
    data = lines(tmp_path / "wiki.txt", 4)
    _, learner, batch = made(bert, data, "simcse-unsup-bert", dropout=0.0)
    first, second = learner.outputs(batch.texts)
    torch.testing.assert_close(first, second)
    _, learner, batch = made(bert, data, "simcse-unsup-bert", dropout=0.1)
    first, second = learner.outputs(batch.texts)
    assert not torch.allclose(first, second, atol=1e-3)


def test_a_mask_that_leaves_nothing_to_learn_from_is_refused(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 8)
    _, learner, batch = made(bert, data, "multicsr", mask_model=str(bert), mask_threshold=-1.0, batch_size=8)
    with pytest.raises(ConfigError, match="finds all 8 rows of the first batch alike") as caught:
        learner.check_mask(batch, Alone())
    assert "simcse-unsup" in caught.value.hint
    learner.check_mask(batch.cut(slice(0, 3)), Alone())  # so few may be alike by chance
    _, learner, batch = made(bert, data, "simcse-sup", batch_size=8)
    learner.check_mask(batch, Alone())


def test_prompt_twins_stand_in_two_templates_and_labelled_sides_in_one(bert: Path, tmp_path: Path) -> None:
    _, learner, batch = made(bert, lines(tmp_path / "wiki.txt", 4), "promptbert-unsup")
    assert isinstance(learner.encoder, Encoder)
    first, second = (learner.encoder.tokenizer.decode(side[0]) for side in batch.texts)
    assert 'of "' in first.replace("“", '"') and ': "' in second
    _, learner, batch = made(bert, triplets(tmp_path / "t.csv", 4), "promptbert-sup")
    assert len(batch.texts) == 3
    for side in batch.texts:
        assert side[0][:4] == batch.texts[0][0][:4]


def test_the_mask_model_never_changes(bert: Path, tmp_path: Path) -> None:
    config, learner, batch = made(
        bert, triplets(tmp_path / "t.csv", 4), "multicsr", mask_model=str(bert), dropout=0.5
    )
    first = learner.mask_cosines(batch, Alone())
    learner.train()
    _, found = gradients(learner, config, batch)
    second = learner.mask_cosines(batch, Alone())
    assert first is not None and second is not None
    assert torch.equal(first, second) and not second.requires_grad
    # Neither trained nor saved: the module holds one encoder and nothing of another.
    assert all(name.startswith("encoder.") for name in learner.state_dict())
    assert all(name.startswith("encoder.") for name in found)


@pytest.mark.parametrize(("system", "tolerance"), [("claif", 1e-6), ("claif-cross", 1e-6), ("sbert", 1e-6)])
def test_parts_add_up_to_the_whole_batch(bert: Path, tmp_path: Path, system: str, tolerance: float) -> None:
    data = labelled(tmp_path / "nli.csv", 8) if system == "sbert" else pairs(tmp_path / "p.jsonl", 8)
    config, learner, batch = made(bert, data, system, batch_size=8)
    whole = gradients(learner, config, batch)
    parts = preset(**{**_values(config), "gradient_accumulation": 4})
    loss, found = gradients(learner, parts, batch)
    assert loss == pytest.approx(whole[0], abs=tolerance)
    same(found, whole[1], tolerance)
    # A last batch that the parts do not divide: 5 rows in parts of two.
    rest = next(batch.parts(5))
    assert gradients(learner, parts, rest)[0] == pytest.approx(
        gradients(learner, config, rest)[0], abs=tolerance
    )


@pytest.mark.parametrize("system", ["simcse-sup", "clhaif", "multicsr", "simcse-unsup-bert", "official-syncse"])
def test_cached_parts_have_the_gradient_of_the_whole_batch(bert: Path, tmp_path: Path, system: str) -> None:
    twins = system == "simcse-unsup-bert"
    data = lines(tmp_path / "w.txt", 8) if twins else triplets(tmp_path / "t.csv", 8, scored=True)
    mask = {"mask_model": str(bert)} if system == "multicsr" else {}
    config, learner, batch = made(bert, data, system, batch_size=8, **mask)
    whole = gradients(learner, config, batch)
    cached = preset(**{**_values(config), "gradient_accumulation": 4, "gradient_cache": True})
    loss, found = gradients(learner, cached, batch)
    assert loss == pytest.approx(whole[0], abs=1e-5)
    same(found, whole[1], 2e-4)
    # What it must not be: the sum of four small contrastive batches.
    small = [gradients(learner, config, part)[0] for part in batch.parts(2)]
    assert abs(sum(small) / 4 - whole[0]) > 0.01


def _values(config: TrainConfig) -> dict[str, Any]:
    from engine.config import to_mapping

    return to_mapping(config)


def test_cached_parts_see_their_dropout_twice(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 8)
    cached = {"gradient_accumulation": 4, "gradient_cache": True, "batch_size": 8}
    config, learner, batch = made(bert, data, "simcse-sup", dropout=0.3, **cached)
    torch.manual_seed(5)
    _, found = gradients(learner, config, batch)
    # By hand, under the same draws: all parts with gradients at once.
    torch.manual_seed(5)
    learner.zero_grad()
    sides = list(zip(*(learner.outputs(part.texts) for part in batch.parts(2)), strict=True))
    learner.loss([torch.cat(side) for side in sides], batch.scores).backward()
    same(found, {n: p.grad for n, p in learner.named_parameters() if p.grad is not None}, 2e-4)


def test_the_auxiliary_words_share_the_encoders_embeddings(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 4)
    config, learner, batch = made(bert, data, "official-syncse")
    assert learner.words is not None and isinstance(learner.encoder, Encoder)
    embeddings = learner.encoder.model.embeddings.word_embeddings.weight
    assert learner.words.head.decoder.weight is embeddings
    assert "fresh head" in learner.words.remark
    # By hand, over all three views: plain InfoNCE and a tenth of the words' loss.
    drawn = learner.words.draw(batch.texts, config.seed * 1_000_003)
    read, mask, targets = (part.flatten(0, 1) for part in (drawn.read, drawn.mask, drawn.targets))
    assert len(read) == 12 and drawn.asked > 0
    states = learner.encoder.model(input_ids=read, attention_mask=mask).last_hidden_state
    words = losses.mlm(learner.words.head(states), targets)
    plain = learner.loss(learner.outputs(batch.texts), batch.scores)
    loss, found = gradients(learner, config, batch)
    assert loss == pytest.approx(float(plain + 0.1 * words), abs=1e-5)
    assert any(name.startswith("words.head.transform") for name in found)


def test_the_auxiliary_words_begin_with_trained_weights_where_there_are_some(tmp_path: Path) -> None:
    folder = tiny_models.masked_bert(tmp_path / "mlm")
    _, learner, _ = made(folder, triplets(tmp_path / "t.csv", 4), "official-syncse")
    assert learner.words is not None and learner.words.remark == ""


def test_the_words_need_a_head_that_is_known(tmp_path: Path) -> None:
    folder = tiny_models.distilbert(tmp_path / "distil")
    with pytest.raises(ModelError, match="distilbert"):
        made(folder, triplets(tmp_path / "t.csv", 4), "simcse-sup", pooling="mean", mlm_weight=0.1)


def test_prompt_bert_compat_moves_positions_and_denoises_the_dev_score(roberta: Path, tmp_path: Path) -> None:
    data = lines(tmp_path / "wiki.txt", 4)
    _, right, good = made(roberta, data, "promptbert-unsup")
    _, wrong, bad = made(roberta, data, "promptbert-unsup", compat=["prompt-bert"])
    assert isinstance(right.encoder, Encoder) and isinstance(wrong.encoder, Encoder)
    # The first word without its blank: other tokens in training, the same at test.
    assert good.texts[0] != bad.texts[0]
    assert right.encoder.tokenise(["two dogs"], for_test=True) == wrong.encoder.tokenise(
        ["two dogs"], for_test=True
    )
    assert right.encoder.prompt is not None and wrong.encoder.prompt is not None
    template, lengths = (
        right.encoder.prompt.template(0),
        torch.tensor([len(right.encoder.prompt.template(0)) + 3]),
    )
    ours = right.encoder._template_states(template, lengths)
    theirs = wrong.encoder._template_states(template, lengths)
    assert not torch.allclose(ours, theirs, atol=1e-3)
    # The dev score subtracts the template there: encode differs by that state.
    right.eval(), wrong.eval()
    ids = right.encoder.tokenise(["two dogs"], for_test=True)
    with torch.no_grad():
        noise = wrong.encoder._template_states(template, torch.tensor([len(ids[0])]))
        expected = right.encoder.forward_ids(ids) - noise
        torch.testing.assert_close(wrong.encoder.forward_ids(ids), expected, rtol=1e-4, atol=1e-4)


def test_dropout_is_what_the_settings_say(bert: Path, tmp_path: Path) -> None:
    _, learner, _ = made(bert, pairs(tmp_path / "p.jsonl", 4), "claif", dropout=0.25)
    assert {p.p for p in learner.modules() if isinstance(p, torch.nn.Dropout)} == {0.25}


def test_fp16_without_a_gpu_is_refused_and_bf16_named(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fp16") as caught:
        made(bert, pairs(tmp_path / "p.jsonl", 4), "claif", precision="fp16")
    assert "bf16" in caught.value.hint


def test_bf16_computes_its_loss_in_float32(bert: Path, tmp_path: Path) -> None:
    data = pairs(tmp_path / "p.jsonl", 4)
    config, learner, batch = made(bert, data, "claif")
    full = gradients(learner, config, batch)
    half = preset(**{**_values(config), "precision": "bf16"})
    loss, found = gradients(learner, half, batch)
    assert loss != full[0]
    assert loss == pytest.approx(full[0], abs=0.02)
    assert {value.dtype for value in found.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("system", "make", "missing"),
    [
        ("claif", lines, "sentence2 and no score"),
        ("claif", triplets, "score"),
        ("clhaif", triplets, "score"),
        ("simcse-sup", lines, "sentence2"),
        ("sbert", triplets, "label"),
    ],
)
def test_data_that_lack_a_column_are_refused(tmp_path: Path, system: str, make: Any, missing: str) -> None:
    data = make(tmp_path / ("x.txt" if make is lines else "x.csv"), 4)
    with pytest.raises(DataError, match=f"have no {missing}"):
        objectives.columns(preset(system, data=str(data)), read(data))


def test_sberts_classifier_is_trained_and_is_no_part_of_the_encoder(bert: Path, tmp_path: Path) -> None:
    """The loss is cross-entropy of a linear layer over [u; v; |u - v|]; labels are the words of the file."""
    config, learner, batch = made(bert, labelled(tmp_path / "nli.csv", 6), "sbert", batch_size=6)
    loss, found = gradients(learner, config, batch)
    first, second = learner.outputs(batch.texts)
    classifier = learner.classifier
    assert classifier is not None and classifier.weight.shape == (3, 3 * first.shape[1])
    logits = classifier(torch.cat([first, second, (first - second).abs()], dim=1))
    order = ["contradiction", "entailment", "neutral"]
    labels = [order.index(row["label"]) for row in csv.DictReader((tmp_path / "nli.csv").open())]
    assert float(loss) == pytest.approx(float(F.cross_entropy(logits, torch.tensor(labels))), abs=1e-6)
    assert {"classifier.weight", "classifier.bias"} <= set(found)
    assert not any("classifier" in name for name in learner.encoder.state_dict())


def test_scored_negatives_come_from_the_data_and_are_missed_by_name(bert: Path, tmp_path: Path) -> None:
    data = triplets(tmp_path / "t.csv", 4, scored=True)
    config, learner, batch = made(bert, data, "clhaif", smooth="smooth_negative")
    similarities = objectives.similarities(learner.outputs(batch.texts))
    logits = torch.log_softmax(similarities / 0.05, dim=1)
    expected = -sum((n % 5 / 4) * logits[n, n] + 0.1 * logits[n, 4 + n] for n in range(4)) / 4
    loss, _ = gradients(learner, config, batch)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    bare = triplets(tmp_path / "bare.csv", 4)
    bare.write_text(
        bare.read_text().replace("hard_neg", "hard_neg,score").replace("\n", ",1\n").replace("score,1", "score")
    )
    with pytest.raises(DataError, match="no negative_score in every row") as caught:
        objectives.columns(config, read(bare))
    assert "smooth_positive" in caught.value.hint


def test_hard_negative_weight_needs_hard_negatives(tmp_path: Path) -> None:
    data = pairs(tmp_path / "p.jsonl", 4)
    with pytest.raises(ConfigError, match="no hard negative"):
        objectives.columns(preset("simcse-sup", data=str(data), hard_negative_weight=1.0), read(data))


@pytest.mark.parametrize("system", ["syncse", "multicsr", "promptbert-sup"])
def test_pairs_that_score_low_are_no_positives(tmp_path: Path, system: str) -> None:
    data = pairs(tmp_path / "p.jsonl", 7)
    with pytest.raises(
        DataError, match=r"p\.jsonl: 3 of its 7 pairs score below 0\.5, and objective"
    ) as caught:
        objectives.columns(preset(system, data=str(data)), read(data))
    assert "triplets" in caught.value.hint


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    examples = read(triplets(tmp_path / "t.csv", 4, scored=True))
    assert objectives.unused(preset("claif"), examples) == ["hard_negative"]
    assert objectives.unused(preset("simcse-sup"), examples) == ["score"]
    assert objectives.unused(preset("clhaif"), examples) == []
