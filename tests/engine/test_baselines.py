from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.evaluate.baselines import merge, moments, whiten_own, whitening
from engine.evaluate.sts import sts
from tests.engine.evaluation_helpers import hash_encoder


@pytest.mark.data
def test_whitening_agrees_with_the_reference(data_dir: Path) -> None:
    case = json.loads((data_dir / "loss_reference.json").read_text())["cases"]["whitening"]
    x = np.array(case["X"])
    found = moments(x)
    assert found.mean == pytest.approx(np.array(case["mu"]), abs=1e-12)
    assert found.covariance == pytest.approx(np.array(case["cov"]), abs=1e-12)
    for k in (3, 2):
        change = whitening(found, k)
        flat = (x - change.mean) @ change.matrix
        expected = np.array(case[f"gram_of_whitened_k{k}"])
        assert flat @ flat.T == pytest.approx(expected, abs=1e-9)
        lengths = np.sqrt(np.diag(expected))
        vectors = change(x).astype(np.float64)
        assert vectors @ vectors.T == pytest.approx(expected / np.outer(lengths, lengths), abs=1e-6)


def test_whitened_vectors_have_unit_covariance_before_they_are_scaled() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 6)) @ random.standard_normal((6, 6)) + 5
    change = whitening(moments(x))
    flat = (x - change.mean) @ change.matrix
    assert np.cov(flat.T) == pytest.approx(np.eye(6), abs=1e-9)
    vectors = change(x)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(200), abs=1e-6)
    weight, bias = change.dense
    assert x @ weight.T + bias == pytest.approx(flat, abs=1e-4)
    assert whitening(moments(x), 2).matrix == pytest.approx(change.matrix[:, :2])


def test_the_gram_matrix_does_not_depend_on_an_invertible_change_of_the_vectors() -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((30, 5)).astype(np.float32)
    turned = (x @ random.standard_normal((5, 5)) + 3).astype(np.float32)
    one, other = whiten_own(x), whiten_own(turned)
    assert one @ one.T == pytest.approx(other @ other.T, abs=1e-3)
    assert np.abs(x @ x.T - turned @ turned.T).max() > 1


def test_statistics_of_parts_add_up() -> None:
    x = np.random.default_rng(2).standard_normal((50, 4)) + np.array([100, 0, -3, 1])
    parts = [moments(x[:1]), moments(x[1:20]), moments(x[20:])]
    found = merge(merge(parts[0], parts[1]), parts[2])
    whole = moments(x)
    assert found.n == 50
    assert found.mean == pytest.approx(whole.mean, abs=1e-10)
    assert found.covariance == pytest.approx(np.cov(x.T), abs=1e-10)


def test_few_vectors_give_finite_ones_and_too_few_are_refused() -> None:
    x = np.random.default_rng(3).standard_normal((4, 10)).astype(np.float32)
    found = whiten_own(x)
    assert found.shape == (4, 10) and np.isfinite(found).all()
    centre = whitening(moments(x))(x.mean(axis=0, keepdims=True, dtype=np.float64))
    assert np.isfinite(centre).all()
    with pytest.raises(ValueError, match="1 vectors have no covariance"):
        whiten_own(x[:1])
    with pytest.raises(ValueError, match="are the same"):
        whiten_own(np.ones((4, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="11 of 10 axes"):
        whiten_own(x, 11)


@pytest.mark.data
def test_each_task_may_be_whitened_with_its_own_sentences(data_dir: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def adapt(vectors: np.ndarray) -> np.ndarray:
        seen.append(vectors.shape)
        return whiten_own(vectors, 8)

    encode = hash_encoder(16)
    plain = sts(encode, data_dir, ["STS12", "STS16"], resamples=0)
    own = sts(encode, data_dir, ["STS12", "STS16"], resamples=0, adapt=adapt)
    assert seen == [(2 * 3108, 16), (2 * 1186, 16)]
    assert all(own[task].spearman != plain[task].spearman for task in plain)
