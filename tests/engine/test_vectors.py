from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import DataError
from engine.evaluate.sts import sts
from engine.evaluate.vectors import is_vectors, read_vectors
from tests.engine.evaluation_helpers import hash_encoder, shrink, write

TEXTS = ["the cat", "", "a man is"]
VECTORS = np.arange(6, dtype=np.float64).reshape(3, 2)


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez(tmp_path / "api.npz", texts=np.array(TEXTS), vectors=VECTORS)
    return tmp_path / "api.npz"


def test_sentences_are_looked_up(npz: Path) -> None:
    assert is_vectors(f"vectors:{npz}") and not is_vectors(str(npz))
    source = read_vectors(f"vectors:{npz}")
    found = source(["a  man is", "", "a man is"])
    assert found.tolist() == [[4, 5], [2, 3], [4, 5]]
    assert found.dtype == np.float32


def test_an_array_goes_with_a_text_file(tmp_path: Path) -> None:
    np.save(tmp_path / "api.npy", VECTORS.astype(np.float16))
    write(tmp_path / "api.txt", "the cat\n\na man\u2028is\n")
    assert read_vectors(str(tmp_path / "api.npy"))(["a man is"]).tolist() == [[4, 5]]
    write(tmp_path / "api.txt", "the cat\n\n")
    with pytest.raises(DataError, match="2 texts, 3 vectors"):
        read_vectors(str(tmp_path / "api.npy"))
    (tmp_path / "api.txt").unlink()
    with pytest.raises(DataError, match=r"api\.txt is missing"):
        read_vectors(str(tmp_path / "api.npy"))


def test_a_missing_sentence_is_named(npz: Path) -> None:
    with pytest.raises(DataError, match=r"api\.npz: 1 of 2 sentences have no vector, such as 'the dog'"):
        read_vectors(str(npz))(["the cat", "the dog"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"texts": np.array(["a", "a"]), "vectors": np.eye(2)},
            "entries 1 and 2 give different vectors for 'a'",
        ),
        ({"texts": np.array(["a"]), "vectors": np.ones(3)}, r"shape \(3,\)"),
        ({"texts": np.array(["a"]), "vectors": np.ones((1, 2), dtype=np.int64)}, "type int64"),
        ({"texts": np.array([1]), "vectors": np.ones((1, 2))}, "1 texts"),
        ({"words": np.array(["a"])}, "texts"),
        ({"texts": np.array(["a"], dtype=object), "vectors": np.ones((1, 2))}, "cannot be read: .*pickle"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "api.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(str(tmp_path / "api.npz"))
    assert "api.npz" in caught.value.message


def test_a_missing_or_broken_file_is_refused(tmp_path: Path, npz: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz is missing"):
        read_vectors(f"vectors:{tmp_path / 'none.npz'}")
    write(tmp_path / "cut.npz", npz.read_bytes()[:100])
    with pytest.raises(DataError, match=r"cut\.npz cannot be read"):
        read_vectors(str(tmp_path / "cut.npz"))
    write(tmp_path / "cut.npy", "no array")
    with pytest.raises(DataError, match=r"cut\.npy cannot be read"):
        read_vectors(str(tmp_path / "cut.npy"))
    with pytest.raises(DataError, match="no vector file"):
        read_vectors(f"vectors:{write(tmp_path / 'a.csv', 'x')}")


def test_it_scores_like_the_encoder_that_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, "STS16", ("headlines", 3))
    write(
        tmp_path / "STS/STS16-en-test/STS.input.headlines.txt",
        "the cat\ta cat\nit\tis it\nof the\tto the man\n",
    )
    write(tmp_path / "STS/STS16-en-test/STS.gs.headlines.txt", "4\n3\n1\n")
    asked: list[str] = []
    encode = hash_encoder()

    def record(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return encode(texts)

    direct = sts(record, tmp_path, ["STS16"])["STS16"]
    np.savez(tmp_path / "own.npz", texts=np.array(asked), vectors=encode(asked))
    again = sts(read_vectors(f"vectors:{tmp_path / 'own.npz'}"), tmp_path, ["STS16"])["STS16"]
    assert again.as_json() == direct.as_json()
