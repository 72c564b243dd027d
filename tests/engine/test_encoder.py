from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification, BertModel

from engine import encoder as encoders
from engine import pooling as pools
from engine.encoder import load, load_cross, pad
from engine.errors import ConfigError, ModelError
from tests.engine import tiny_models as tiny
from tests.engine.tiny_models import TEXTS

POOLINGS = [name for name in pools.POOLINGS if name not in ("cls", "prompt")]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.roberta(tmp_path_factory.mktemp("models") / "roberta")


def states() -> tuple[list[torch.Tensor], torch.Tensor]:
    """Four layers (0 is the embedding output) of two sentences of 3 and 2 tokens; what is padded is wild."""
    layers = [torch.full((2, 3, 1), 1.0) * 10**number for number in range(4)]
    for number, layer in enumerate(layers):
        layer[:, 1] *= 3
        layer[0, 2] *= 5
        layer[1, 2] = 1e6 * (number + 1)
    return layers, torch.tensor([[1, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", [3000, 2000]),
        ("cls", [1000, 1000]),
        ("cls_before_pooler", [1000, 1000]),
        ("avg_first_last", [3 * 505, 2 * 505]),
        ("static_last", [3 * 500.5, 2 * 500.5]),
        ("avg_top2", [3 * 550, 2 * 550]),
    ],
)
def test_a_pooling_is_what_its_name_says(name: str, expected: list[float]) -> None:
    layers, mask = states()
    assert pools.pool(name, layers, mask).flatten().tolist() == pytest.approx(expected)


def test_the_prompt_pooling_takes_the_marked_token() -> None:
    layers, _ = states()
    marked = torch.tensor([[0, 0, 1], [0, 1, 0]])
    assert pools.pool("prompt", layers, marked).flatten().tolist() == [5000, 3000]


def test_a_pooling_sums_half_precision_in_float32() -> None:
    ones = torch.ones(1, 400, 1, dtype=torch.bfloat16)
    ones[0, 0] = 300.0
    pooled = pools.pool("mean", [ones], torch.ones(1, 400))
    assert pooled.dtype == torch.float32
    assert pooled.item() == pytest.approx(699 / 400)
    assert pools.pool("mean", [ones.double()], torch.ones(1, 400)).dtype == torch.float64


def test_an_unknown_pooling_is_named() -> None:
    layers, mask = states()
    with pytest.raises(ConfigError, match="'maximum'"):
        pools.pool("maximum", layers, mask)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("fast", [True, False])
def test_company_does_not_change_a_vector(bert: Path, pooling: str, fast: bool) -> None:
    encoder = load(str(bert), pooling=pooling)
    encoder.fast = fast
    alone = tiny.one_by_one(encoder, TEXTS).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=1e-5)


def test_vectors_repeat_to_the_bit_and_keep_their_order(bert: Path) -> None:
    encoder = load(str(bert), for_training=True)
    first = encoder.encode(TEXTS)
    assert np.array_equal(first, encoder.encode(TEXTS))
    assert np.array_equal(first[0], first[3])
    assert np.array_equal(first[::-1], encoder.encode(TEXTS[::-1]))
    assert first.dtype == np.float32
    assert first.shape == (len(TEXTS), encoder.dimension)
    assert encoder.encode([]).shape == (0, 16)


def test_encoding_leaves_every_mode_and_gradient_as_it_was(bert: Path) -> None:
    encoder = load(str(bert), for_training=True)
    encoder.model.embeddings.eval()
    before = {name: module.training for name, module in encoder.named_modules()}
    encoder.encode(TEXTS)
    assert {name: module.training for name, module in encoder.named_modules()} == before
    encoder.forward_ids(encoder.tokenise(TEXTS)).sum().backward()
    assert encoder.model.encoder.layer[0].attention.self.query.weight.grad is not None


def test_dropout_is_on_in_training_and_off_in_evaluation(bert: Path) -> None:
    encoder = load(str(bert), for_training=True)
    ids = encoder.tokenise(TEXTS)
    for fast in (True, False):
        encoder.fast = fast
        encoder.train()
        assert not torch.equal(encoder.forward_ids(ids), encoder.forward_ids(ids))
        encoder.eval()
        assert torch.equal(encoder.forward_ids(ids), encoder.forward_ids(ids))


def test_equal_texts_are_encoded_once_in_batches_of_bounded_tokens(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(str(bert))
    seen: list[list[list[int]]] = []
    whole: Callable[..., Any] = encoder.forward_ids

    def spy(ids: list[list[int]], **options: Any) -> Any:
        seen.append(ids)
        return whole(ids, **options)

    monkeypatch.setattr(encoder, "forward_ids", spy)
    vectors = encoder.encode(TEXTS * 3, batch_tokens=24)
    lengths = [len(ids) for batch in seen for ids in batch]
    assert len(lengths) == len(set(TEXTS))
    assert lengths == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * len(batch[0]) <= 24 for batch in seen)
    assert len(seen) > 1
    np.testing.assert_allclose(vectors, np.tile(load(str(bert)).encode(TEXTS), (3, 1)), atol=1e-6)


def test_half_precision_stays_close_and_comes_back_as_float32() -> None:
    encoder = load("minilm")
    exact, half = encoder.encode(TEXTS), encoder.encode(TEXTS, precision="bf16")
    assert half.dtype == np.float32
    assert not np.array_equal(exact, half)
    assert (exact * half).sum(1).min() > 0.999
    with pytest.raises(ConfigError, match="precision"):
        encoder.encode(TEXTS, precision="int8")
    with pytest.raises(ConfigError, match="batch_tokens"):
        encoder.encode(TEXTS, batch_tokens=0)


def test_texts_are_cut_to_the_length_with_their_special_tokens(bert: Path) -> None:
    encoder = load(str(bert), max_seq_length=6)
    rows = encoder.tokenise(TEXTS)
    assert max(map(len, rows)) == 6
    assert all(row[0] == 2 and row[-1] == 3 for row in rows)
    assert max(map(len, encoder.tokenise(TEXTS, max_length=4))) == 4
    assert encoder.tokenise([]) == []
    with pytest.raises(ConfigError, match=r"max_seq_length: 65 is outside 3\.\.64"):
        load(str(bert), max_seq_length=65)


def test_lengths_come_from_positions_and_roberta_loses_two(bert: Path, roberta: Path) -> None:
    assert load(str(bert)).max_seq_length == 64
    encoder = load(str(roberta))
    assert encoder.max_seq_length == 64
    assert encoder.encode(["a man " * 200]).shape == (1, 16)


def test_the_packaged_model_is_the_one_of_its_authors() -> None:
    encoder = load("minilm")
    assert (encoder.pooling, encoder.max_seq_length, encoder.dimension) == ("mean", 256, 384)
    assert encoder.normalise
    vectors = encoder.encode(["A man is eating food.", "Someone eats a meal.", "The stock market fell."])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]


def test_the_first_layers_of_the_packaged_model() -> None:
    whole, part = load("minilm", pooling="mean"), load("minilm:2", pooling="cls_before_pooler")
    assert part.model.config.num_hidden_layers == 2
    ids, mask = pad(whole.tokenise(TEXTS), 0, whole.device)
    with torch.no_grad():
        expected = whole.model(ids, attention_mask=mask, output_hidden_states=True).hidden_states[2][:, 0]
    np.testing.assert_allclose(part.encode(TEXTS), expected.numpy(), atol=1e-5)
    assert not part.normalise
    for wrong in ("minilm:0", "minilm:7", "minilm:", "minilm:two", "minilm:-1"):
        with pytest.raises(ModelError, match="6 layers"):
            load(wrong)


def test_cls_without_trained_weights_is_an_error_at_evaluation(bert: Path) -> None:
    for spec in (str(bert), "minilm"):
        with pytest.raises(ModelError, match="trained head of the pooling cls"):
            load(spec, pooling="cls")


def test_cls_in_training_starts_fresh_and_never_from_the_pooler(bert: Path) -> None:
    torch.manual_seed(1)
    encoder = load(str(bert), pooling="cls", for_training=True)
    pooler = BertModel.from_pretrained(bert).pooler.dense.weight
    assert encoder.head is not None
    assert not torch.equal(encoder.head[0].weight, pooler)
    assert encoder.head[0].weight.std().item() == pytest.approx(0.3, rel=0.2)
    assert encoder.head[0].bias.abs().max() == 0
    assert encoder.model.pooler is None
    torch.manual_seed(2)
    other = load(str(bert), pooling="cls", for_training=True)
    assert other.head is not None
    assert not torch.equal(other.head[0].weight, encoder.head[0].weight)


def test_the_pooler_is_the_head_where_that_was_asked_for(bert: Path, tmp_path: Path) -> None:
    encoder = load(str(bert), pooling="cls", own_pooler=True)
    ids, mask = pad(encoder.tokenise(TEXTS), 0, encoder.device)
    model = BertModel.from_pretrained(bert).eval()
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).pooler_output
    np.testing.assert_allclose(encoder.encode(TEXTS), expected.numpy(), atol=1e-5)
    without = tiny.masked_bert(tmp_path / "masked")
    with pytest.raises(ModelError, match=r"pooler\.dense is missing"):
        load(str(without), pooling="cls", own_pooler=True)


def test_a_head_for_training_alone_is_left_out_of_evaluation(bert: Path) -> None:
    encoder = load(str(bert), pooling="cls", for_training=True, head_only_in_training=True)
    raw = load(str(bert), pooling="cls_before_pooler")
    assert np.array_equal(encoder.encode(TEXTS), raw.encode(TEXTS))
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    vectors = encoder.forward_ids(encoder.tokenise(TEXTS)).detach()
    assert encoder.head is not None
    assert torch.allclose(vectors, encoder.head(torch.from_numpy(raw.encode(TEXTS))), atol=1e-5)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("config.json", "config.json is missing"),
        ("tokenizer", "the tokenizer is missing"),
        ("model.safetensors", "the weights are missing"),
    ],
)
def test_a_folder_says_what_it_lacks(tmp_path: Path, lost: str, message: str) -> None:
    folder = tiny.bert(tmp_path / "model")
    for path in folder.iterdir():
        if path.name.startswith(lost):
            path.unlink()
    with pytest.raises(ModelError, match=message):
        load(str(folder))


def test_pickles_are_read_only_where_that_is_allowed(tmp_path: Path) -> None:
    folder = tiny.bert(tmp_path / "model")
    expected = load(str(folder)).encode(TEXTS)
    model = BertModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        load(str(folder))
    np.testing.assert_allclose(load(str(folder), allow_pickle=True).encode(TEXTS), expected, atol=1e-6)


def test_weights_of_another_model_are_an_error_and_not_random_numbers(tmp_path: Path) -> None:
    folder, other = tiny.bert(tmp_path / "model"), tiny.distilbert(tmp_path / "other")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="weights are missing"):
        load(str(folder))
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="cannot be used"):
        load(str(folder))


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"")
    with pytest.raises(ModelError, match="is a file"):
        load(str(file))
    for spec in (str(tmp_path / "nowhere"), "./nowhere", "", "a/b/c"):
        with pytest.raises(ModelError, match="no model folder"):
            load(spec)


def test_a_hub_name_out_of_reach_is_a_model_error(tmp_path: Path) -> None:
    code = (
        "from engine.encoder import load, load_cross\nfrom engine.errors import ModelError\n"
        "for read in (load, load_cross):\n"
        "    try:\n        read('someone/some-model')\n"
        "    except ModelError as e:\n        print('said:', e.message, '|', e.hint)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    assert len(lines) == 2
    assert all("'someone/some-model'" in line and "HF_HUB_OFFLINE" in line for line in lines)


def test_an_unknown_architecture_takes_the_padded_path_and_says_so(tmp_path: Path) -> None:
    encoder = load(str(tiny.distilbert(tmp_path / "model")))
    assert not encoder.fast
    assert encoder.slow_because == "DistilBertModel has no packed path"
    np.testing.assert_allclose(encoder.encode(TEXTS), tiny.one_by_one(encoder, TEXTS).numpy(), atol=1e-5)


# Cross-encoders


def test_pairs_are_one_sequence_and_the_longer_is_cut_first(bert: Path, roberta: Path) -> None:
    encoder = load_cross(str(bert), for_training=True)
    (pair,) = encoder.tokenise_pairs(["two dogs"], ["the cat"])
    assert [encoder.tokenizer.decode([i]) for i in pair.ids if i in (2, 3)] == ["[CLS]", "[SEP]", "[SEP]"]
    middle = pair.ids.index(3)
    assert pair.types == [0] * (middle + 1) + [1] * (len(pair.ids) - middle - 1)
    (cut,) = encoder.tokenise_pairs(["two dogs"], [TEXTS[2]], max_length=10)
    assert len(cut.ids) == 10
    assert cut.ids[: middle + 1] == pair.ids[: middle + 1]
    other = load_cross(str(roberta), for_training=True)
    (pair,) = other.tokenise_pairs(["two dogs"], ["the cat"])
    assert [i for i in pair.ids if i in (0, 2)] == [0, 2, 2, 2]
    assert set(pair.types) == {0}
    assert encoder.tokenise_pairs([], []) == []
    with pytest.raises(ValueError, match="against"):
        encoder.tokenise_pairs(["one"], [])


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_pair_logits_are_those_of_the_model(name: str, request: pytest.FixtureRequest) -> None:
    torch.manual_seed(3)
    encoder = load_cross(str(request.getfixturevalue(name)), for_training=True)
    second = TEXTS[::-1]
    logits = encoder.predict(TEXTS, second, batch_tokens=64)
    assert encoder.training
    encoder.eval()
    for number, (one, other) in enumerate(zip(TEXTS, second, strict=True)):
        batch = encoder.tokenizer([one], [other], return_tensors="pt")
        with torch.no_grad():
            assert encoder.model(**batch).logits.item() == pytest.approx(logits[number], abs=1e-5)
    assert logits.std() > 1e-3
    encoder.fast = False
    np.testing.assert_allclose(encoder.predict(TEXTS, second), logits, atol=1e-5)


def test_a_cross_encoder_needs_its_classifier_at_evaluation(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"weights are missing: classifier\.bias"):
        load_cross(str(bert))
    three = tiny.bert(tmp_path / "three", BertForSequenceClassification, num_labels=3)
    with pytest.raises(ModelError, match="has 3 outputs"):
        load_cross(str(three), for_training=True)


def test_batches_hold_at_least_one_sentence() -> None:
    assert list(encoders._batches([3, 9, 2, 9], 10)) == [[1], [3], [0, 2]]
    assert list(encoders._batches([], 10)) == []
