from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import packed
from engine.encoder import Encoder, load, load_cross
from tests.engine import tiny_models as tiny
from tests.engine.tiny_models import TEXTS

POOLINGS = ("mean", "cls", "cls_before_pooler", "avg_first_last", "static_last", "avg_top2", "prompt")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.roberta(tmp_path_factory.mktemp("models") / "roberta")


def without_dropout(module: torch.nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0


def gradients(encoder: Encoder, texts: Sequence[str], fast: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Vectors, and the gradient of an uneven function of them for every parameter that has one."""
    encoder.fast = fast
    encoder.zero_grad(set_to_none=True)
    vectors = encoder.forward_ids(encoder.tokenise(texts, for_test=True))
    weights = torch.linspace(-1, 1, vectors.numel()).view_as(vectors)
    (vectors * weights).sum().backward()
    found = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
    return vectors.detach(), found


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_and_gradients_are_those_of_the_padded_path(
    name: str, pooling: str, request: pytest.FixtureRequest
) -> None:
    torch.manual_seed(4)
    encoder = load(str(request.getfixturevalue(name)), pooling=pooling, for_training=True)
    without_dropout(encoder)
    fast, by_fast = gradients(encoder, TEXTS, fast=True)
    slow, by_slow = gradients(encoder, TEXTS, fast=False)
    assert torch.allclose(fast, slow, atol=1e-5)
    assert by_fast.keys() == by_slow.keys()
    for parameter, gradient in by_slow.items():
        scale = max(1.0, float(gradient.abs().max()))
        assert torch.allclose(by_fast[parameter], gradient, atol=1e-5 * scale), parameter
    assert sum(float(g.abs().sum()) > 0 for g in by_fast.values()) > 40


def test_the_packaged_model_gives_the_same_by_both_paths() -> None:
    encoder = load("minilm", pooling="mean", for_training=True)
    without_dropout(encoder)
    texts = [" ".join(["word", "another", "third"][: n % 3 + 1] * (n // 2 + 1)) for n in range(24)]
    fast, by_fast = gradients(encoder, texts, fast=True)
    slow, by_slow = gradients(encoder, texts, fast=False)
    assert torch.allclose(fast, slow, atol=1e-5)
    assert all(torch.allclose(by_fast[name], by_slow[name], atol=1e-4) for name in by_slow)


def test_a_step_moves_the_parameters_of_the_model_itself(bert: Path) -> None:
    encoder = load(str(bert), for_training=True)
    owned = {id(p) for p in encoder.model.parameters()}
    assert {id(p) for p in encoder.parameters()} == owned
    before = encoder.encode(TEXTS)
    optimiser = torch.optim.SGD(encoder.model.parameters(), lr=0.1)
    encoder.forward_ids(encoder.tokenise(TEXTS)).square().sum().backward()
    optimiser.step()
    after = encoder.encode(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    encoder.fast = False
    np.testing.assert_allclose(encoder.encode(TEXTS), after, atol=1e-5)


def test_dropout_follows_the_configuration_of_each_place(bert: Path, tmp_path: Path) -> None:
    for place in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        settings: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, place: 0.5}
        encoder = load(str(tiny.bert(tmp_path / place, **settings)), for_training=True)
        ids = encoder.tokenise(TEXTS)
        assert not torch.allclose(encoder.forward_ids(ids), encoder.forward_ids(ids), atol=1e-3)
        encoder.eval()
        assert torch.equal(encoder.forward_ids(ids), encoder.forward_ids(ids))


def test_dropout_hits_as_often_as_it_says(tmp_path: Path) -> None:
    torch.manual_seed(5)
    settings: dict[str, Any] = {
        "hidden_dropout_prob": 0.25,
        "attention_probs_dropout_prob": 0.0,
        "num_hidden_layers": 1,
    }
    encoder = load(str(tiny.bert(tmp_path / "model", **settings)), for_training=True)
    states = packed.hidden_states(encoder.model, packed.pack(encoder.tokenise(TEXTS * 40), encoder.model))[0]
    assert float((states == 0).float().mean()) == pytest.approx(0.25, abs=0.02)


def test_half_precision_trains_and_stays_close(bert: Path) -> None:
    encoder = load(str(bert), for_training=True)
    without_dropout(encoder)
    exact, exactly = gradients(encoder, TEXTS, fast=True)
    with torch.autocast("cpu", torch.bfloat16):
        half, halved = gradients(encoder, TEXTS, fast=True)
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    assert float(torch.cosine_similarity(half, exact).min()) > 0.995
    for gradient in halved.values():
        assert gradient.dtype == torch.float32
        assert bool(gradient.isfinite().all())
    whole = [torch.cat([g.flatten() for g in found.values()]) for found in (exactly, halved)]
    assert float(torch.cosine_similarity(*whole, dim=0)) > 0.98


def test_sentences_lie_longest_first_in_groups_of_equal_length(bert: Path) -> None:
    encoder = load(str(bert))
    rows = [[2, 9, 3], [2, 3], [2, 7, 8, 3], [2, 10, 3]]
    found = packed.pack(rows, encoder.model, segments=[[0, 0, 1], [0, 1], [0, 0, 0, 1], [0, 1, 1]])
    assert found.groups == ((1, 4), (2, 3), (1, 2))
    assert found.tokens.tolist() == [2, 7, 8, 3, 2, 9, 3, 2, 10, 3, 2, 3]
    assert found.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1]
    assert found.segments is not None
    assert found.segments.tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1]
    assert found.starts[found.places].tolist() == [4, 10, 0, 7]


def test_positions_of_roberta_start_at_two(roberta: Path) -> None:
    encoder = load(str(roberta))
    assert packed.pack([[0, 5, 2], [0, 2]], encoder.model).positions.tolist() == [2, 3, 4, 2, 3]


def test_a_padding_token_written_in_a_text_takes_the_padded_path(roberta: Path) -> None:
    encoder = load(str(roberta))
    texts = ["two <pad> dogs", "a man", "the cat sat"]
    assert not packed.suits(encoder.tokenise(texts), encoder.model)
    assert packed.suits(encoder.tokenise(texts[1:]), encoder.model)
    np.testing.assert_allclose(encoder.encode(texts), tiny.one_by_one(encoder, texts).numpy(), atol=1e-5)
    assert not packed.suits([], encoder.model)
    assert not packed.suits([[0, 2], []], encoder.model)


def test_changed_attention_is_seen(bert: Path) -> None:
    model = load(str(bert)).model
    assert packed.obstacle(model) is None
    model.encoder.layer[1].attention.self.value = torch.nn.Sequential(
        model.encoder.layer[1].attention.self.value
    )
    assert "attention has been changed" in str(packed.obstacle(model))
    decoder = load(str(bert)).model
    decoder.config.is_decoder = True
    assert "decoders" in str(packed.obstacle(decoder))


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_cross_encoder_trains_the_same_by_both_paths(name: str, request: pytest.FixtureRequest) -> None:
    torch.manual_seed(6)
    encoder = load_cross(str(request.getfixturevalue(name)), for_training=True)
    without_dropout(encoder)
    pairs = encoder.tokenise_pairs(TEXTS, TEXTS[::-1])
    found = []
    for fast in (True, False):
        encoder.fast = fast
        encoder.zero_grad(set_to_none=True)
        logits = encoder.forward_ids(pairs)
        (logits * torch.linspace(-1, 1, len(pairs))).sum().backward()
        found.append(
            (logits.detach(), {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None})
        )
    (fast_logits, by_fast), (slow_logits, by_slow) = found
    assert fast_logits.shape == (len(TEXTS),)
    assert torch.allclose(fast_logits, slow_logits, atol=1e-5)
    assert by_fast.keys() == by_slow.keys()
    for parameter, gradient in by_slow.items():
        scale = max(1.0, float(gradient.abs().max()))
        assert torch.allclose(by_fast[parameter], gradient, atol=1e-5 * scale), parameter
