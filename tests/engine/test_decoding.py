"""Decoding rules against reference numbers, against transformers' own filters, and against what must always hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from engine.decoding import (
    Choice,
    Contrast,
    Debias,
    contrasted,
    distribution,
    draw,
    probabilities,
    self_debiased,
    uniform,
    without,
)


@pytest.fixture(scope="module")
def cases(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_dir / "loss_reference.json").read_text())["cases"]
    return found


def wide(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random_logits(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3


def test_self_debiasing_is_the_reference_case(cases: dict[str, Any]) -> None:
    case = cases["dino_self_debiasing_step"]
    logits, counter = wide(case["p"]).log(), [wide(other).log() for other in case["p_counter"]]
    rule = Debias(decay=case["lambda"], floor=case["epsilon"])
    found = torch.softmax(self_debiased(logits, counter, rule), -1)
    torch.testing.assert_close(found, wide(case["p_out"]), rtol=0, atol=1e-9)
    weights = (self_debiased(logits, counter, rule) - logits).exp()
    torch.testing.assert_close(weights, wide(case["weight"]), rtol=0, atol=1e-9)
    whole = distribution([logits, *counter], Choice(rule=rule))
    torch.testing.assert_close(whole, wide(case["p_out"]), rtol=0, atol=1e-9)


def test_contrastive_decoding_is_the_reference_case(cases: dict[str, Any]) -> None:
    case = cases["multicsr_contrastive_logits"]
    logits, opposite = wide(case["l"]), wide(case["l_opposite"])
    found = contrasted(logits, opposite, Contrast(omega=case["omega"], plausibility=0))
    torch.testing.assert_close(found, wide(case["out"]), rtol=0, atol=1e-9)
    greedy = Choice(temperature=0, rule=Contrast(omega=case["omega"], plausibility=0))
    assert int(distribution([logits], Choice(temperature=0)).argmax()) == case["argmax_before"]
    assert int(distribution([logits, opposite], greedy).argmax()) == case["argmax_after"]


def test_the_guard_keeps_out_what_the_wanted_instruction_finds_unlikely(cases: dict[str, Any]) -> None:
    case = cases["multicsr_contrastive_logits"]
    logits, opposite = wide(case["l"]), wide(case["l_opposite"])
    share = torch.softmax(logits, -1) / torch.softmax(logits, -1).max()
    for plausibility in (0.1, 0.3, 0.6, 1.0):
        found = contrasted(logits, opposite, Contrast(omega=0.5, plausibility=plausibility))
        assert torch.equal(found > -math.inf, share >= plausibility - 1e-12)


@pytest.mark.parametrize("choice", [{}, {"temperature": 0.7, "top_p": 0.9, "top_k": 5}, {"temperature": 0.0}])
def test_lambda_0_and_omega_0_are_plain_sampling_bit_for_bit(choice: dict[str, Any]) -> None:
    contexts = [random_logits(3, 400, seed=n) for n in range(3)]
    contexts[0][:, 7] = -math.inf
    contexts[1][:, 7] = -math.inf
    plain = distribution(contexts[:1], Choice(**choice))
    assert torch.equal(distribution(contexts, Choice(**choice, rule=Debias(decay=0))), plain)
    assert torch.equal(distribution(contexts[:2], Choice(**choice, rule=Contrast(omega=0))), plain)
    assert torch.equal(distribution(contexts[:1], Choice(**choice, rule=Debias())), plain), "nothing to compare"
    assert not torch.equal(distribution(contexts, Choice(rule=Debias())), distribution(contexts[:1], Choice()))


def test_a_barred_token_stays_barred_under_every_rule() -> None:
    contexts = [without(random_logits(2, 50, seed=n), [3, 4]) for n in range(2)]
    for rule in (None, Debias(), Contrast(omega=0.9), Contrast(plausibility=0)):
        chances = distribution(contexts, Choice(rule=rule))
        assert not chances[..., [3, 4]].any()
        assert torch.allclose(chances.sum(-1), torch.ones(2))


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, 0, 1.0),
        (0.7, 0, 0.9),
        (1.3, 5, 1.0),
        (1.0, 5, 0.9),
        (0.5, 1, 0.2),
        (1.0, 0, 1e-9),
        (2.0, 999, 0.5),
    ],
)
def test_the_filters_are_those_of_transformers(temperature: float, top_k: int, top_p: float) -> None:
    logits = random_logits(6, 300, seed=5)
    peer = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        peer = TopKLogitsWarper(min(top_k, 300))(None, peer)
    if top_p < 1:
        peer = TopPLogitsWarper(top_p)(None, peer)
    found = probabilities(logits, Choice(temperature=temperature, top_k=top_k, top_p=top_p))
    assert torch.equal(found > 0, peer > -math.inf)
    torch.testing.assert_close(found, torch.softmax(peer, -1))


def test_numbers_depend_on_seed_and_position_alone_and_fill_the_unit_interval() -> None:
    numbers = [uniform(seed, position) for seed in range(50) for position in range(40)]
    assert len(set(numbers)) == 2000
    assert 0 <= min(numbers) < 0.01
    assert 0.99 < max(numbers) < 1
    assert abs(sum(numbers) / 2000 - 0.5) < 0.03
    assert uniform(7, 3) == uniform(7, 3) == pytest.approx(0.7622586927162398), (
        "answers that are stored rest on it"
    )


def test_a_draw_follows_the_chances_and_never_takes_what_has_none() -> None:
    chances = torch.tensor([[0.0, 0.5, 0.0, 0.3, 0.2, 0.0]])
    numbers = [uniform(1, n) for n in range(4000)]
    drawn = draw(chances.expand(4000, -1), numbers)
    shares = torch.bincount(torch.tensor(drawn), minlength=6) / 4000
    torch.testing.assert_close(shares, chances[0], rtol=0, atol=0.03)
    assert draw(chances, [0.0]) == [1]
    assert draw(chances, [1 - 2**-52]) == [4]
