"""Whitening with a corpus and with a task's own sentences; figures that depend on neither batch nor order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.encoder import load
from engine.errors import ConfigError, DataError
from engine.evaluate import data as readers
from engine.evaluate.baselines import moments, whiten_own, whitening
from engine.evaluate.pairs import Pairs
from engine.evaluate.sts import evaluate as figures
from engine.evaluate.sts import sts
from engine.evaluating import ModelOptions, evaluate
from engine.whiten import whiten
from tests.engine import tiny_models
from tests.engine.training_helpers import sentences

OPTIONS = ModelOptions(pooling="avg_first_last", max_seq_length=12)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bert(tmp_path_factory.mktemp("models") / "bert")


def test_a_corpus_makes_a_folder_that_whitens_by_itself(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.whiten.CHUNK", 7)
    texts = [*sentences(40, 3), *sentences(5, 3)]  # some twice, which counts twice
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(texts) + "\n")
    facts = whiten(str(bert), corpus, 5, tmp_path / "white", OPTIONS)
    assert (facts["sentences"], facts["dimension"], facts["pooling"]) == (45, 5, "avg_first_last")
    plain = load(str(bert), pooling="avg_first_last", max_seq_length=12)
    change = whitening(moments(plain.encode(texts)), 5)
    saved = load(str(tmp_path / "white"))
    assert (saved.pooling, saved.max_seq_length, saved.dimension) == ("avg_first_last", 12, 5)
    probe = sentences(9, 4)
    found, wanted = saved.encode(probe), change(plain.encode(probe))
    # The signs of axes are arbitrary.
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-4)
    assert "45 sentences" in (tmp_path / "white/README.md").read_text()
    again = whiten(str(tmp_path / "white"), corpus, None, tmp_path / "twice", ModelOptions(pooling="mean"))
    assert again["dimension"] == plain.dimension, "another pooling leaves the first whitening behind"
    with pytest.raises(ConfigError, match="trained head"):
        whiten(str(tmp_path / "white"), corpus, None, tmp_path / "twice", ModelOptions())
    with pytest.raises(ConfigError, match="99 is outside"):
        whiten(str(bert), corpus, 99, tmp_path / "x", OPTIONS)
    held = corpus.rename(tmp_path / "sts-test.txt")
    with pytest.raises(DataError, match="test"):
        whiten(str(bert), held, 5, tmp_path / "x", OPTIONS)
    assert not (tmp_path / "x").exists()


@pytest.mark.data
def test_figures_depend_on_neither_batch_nor_order_and_own_whitening_is_asked_for(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = readers.read_sts(data_dir, "STS16")
    rows = np.arange(0, len(pairs), 5)

    def part(chosen: NDArray[np.int64]) -> Pairs:
        first, second = ([side[row] for row in chosen] for side in (pairs.first, pairs.second))
        return Pairs("STS16", first, second, pairs.gold[chosen])

    encoder = load("minilm:1")
    found = []
    for chosen, tokens in ((rows, 64), (rows, 4096), (rows[::-1], 4096)):
        monkeypatch.setattr("engine.evaluate.sts.read_sts", lambda root, task, at=chosen: part(at))

        def encode(texts: list[str], size: int = tokens) -> NDArray[np.float32]:
            return encoder.encode(texts, batch_tokens=size)

        found.append(sts(encode, data_dir, ["STS16"])["STS16"])
    one, other, turned = found
    assert one.n == len(rows) and one.spearman is not None and one.spearman > 30
    for same in (other, turned):
        assert (same.spearman, same.pearson) == pytest.approx((one.spearman, one.pearson), abs=1e-3)
    np.testing.assert_allclose(turned.predictions[::-1], other.predictions, atol=1e-6)
    own = evaluate("minilm:1", data_dir, "STS16", ModelOptions(whiten_own=True, whiten_dim=32))
    encoder.normalise = False
    here = part(rows[::-1])
    both = whiten_own(encoder.encode(here.first + here.second), 32).astype(np.float64)
    similarities = np.einsum("nd,nd->n", both[: len(here)], both[len(here) :])
    wanted = figures(here, similarities, resamples=0).spearman
    assert own["tasks"]["STS16"]["spearman"] == pytest.approx(wanted, abs=1e-2)
    assert abs(own["tasks"]["STS16"]["spearman"] - one.spearman) > 0.1
    with pytest.raises(ConfigError, match="not for CR"):
        evaluate("minilm:1", data_dir, "CR", ModelOptions(whiten_own=True))
