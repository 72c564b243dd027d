from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import BertModel

from engine import checkpoint
from engine.checkpoint import save_cross_encoder, save_sentence_transformer
from engine.encoder import Encoder, load, load_cross
from engine.errors import ConfigError, ModelError
from engine.offline.files import packaged_encoder
from engine.prompting import BERT, ROBERTA, build, with_full_stop
from tests.engine import tiny_models as tiny
from tests.engine.tiny_models import TEXTS

POOLINGS = ("mean", "cls", "cls_before_pooler", "avg_first_last", "static_last", "avg_top2")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.roberta(tmp_path_factory.mktemp("models") / "roberta")


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.masked_bert(tmp_path_factory.mktemp("models") / "masked")


def theirs(folder: Path, **options: Any) -> NDArray[np.float32]:
    """The vectors of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    found: NDArray[np.float32] = SentenceTransformer(str(folder), device="cpu", **options).encode(TEXTS)
    return found


def trained(spec: Path | str, **options: Any) -> Encoder:
    """An encoder after a step that moves every weight it has."""
    torch.manual_seed(11)
    encoder = load(str(spec), for_training=True, **options)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return encoder


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_saved_encoder_gives_its_vectors_here_and_in_sentence_transformers(
    name: str, pooling: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    encoder = trained(request.getfixturevalue(name), pooling=pooling, max_seq_length=9)
    expected = encoder.encode(TEXTS)
    save_sentence_transformer(encoder, tmp_path / "saved", "Trained in a test.")
    np.testing.assert_allclose(theirs(tmp_path / "saved"), expected, atol=1e-5)
    again = load(str(tmp_path / "saved"))
    assert (again.pooling, again.max_seq_length) == (pooling, 9)
    assert not again.training
    np.testing.assert_allclose(again.encode(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize("spec", ["minilm", "minilm:2"])
def test_unit_length_is_kept(spec: str, tmp_path: Path) -> None:
    encoder = load(spec)
    save_sentence_transformer(encoder, tmp_path / "saved")
    saved = theirs(tmp_path / "saved")
    np.testing.assert_allclose(saved, encoder.encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(saved, axis=1), 1, atol=1e-5)
    assert np.array_equal(load(str(tmp_path / "saved")).encode(TEXTS), encoder.encode(TEXTS))


def test_the_packaged_folder_is_read_as_its_authors_read_it() -> None:
    np.testing.assert_allclose(
        load(str(packaged_encoder())).encode(TEXTS), theirs(packaged_encoder()), atol=1e-5
    )


def test_what_sentence_transformers_saves_is_read_here(bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(12)
    narrow = Dense(16, 5, activation_function=torch.nn.Identity())
    for number, rest in enumerate(
        [
            [Pooling(16, pooling_mode="cls"), Dense(16, 16)],
            [Pooling(16, pooling_mode="mean"), narrow, Normalize()],
            [Pooling(16, pooling_mode="cls")],
        ]
    ):
        folder = tmp_path / str(number)
        model = SentenceTransformer(modules=[Transformer(str(bert), max_seq_length=12), *rest], device="cpu")
        model.save(str(folder))
        encoder = load(str(folder))
        assert encoder.pooling == ("cls", "mean", "cls_before_pooler")[number]
        assert encoder.max_seq_length == 12
        expected = model.encode(TEXTS)
        assert encoder.dimension == expected.shape[1]
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
        save_sentence_transformer(encoder, tmp_path / "again")
        np.testing.assert_allclose(theirs(tmp_path / "again"), expected, atol=1e-5)


def test_another_pooling_than_the_stored_one_drops_the_head(bert: Path, tmp_path: Path) -> None:
    save_sentence_transformer(trained(bert, pooling="cls"), tmp_path / "saved")
    raw = load(str(tmp_path / "saved"), pooling="cls_before_pooler")
    assert raw.head is None
    save_sentence_transformer(raw, tmp_path / "raw")
    assert load(str(tmp_path / "raw")).pooling == "cls_before_pooler"
    with pytest.raises(ModelError, match="trained head of the pooling cls"):
        load(str(tmp_path / "raw"), pooling="cls")
    (tmp_path / "saved" / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"2_Dense/model\.safetensors is missing"):
        load(str(tmp_path / "saved"))


def test_a_head_for_training_alone_is_not_saved(bert: Path, tmp_path: Path) -> None:
    encoder = trained(bert, pooling="cls", head_only_in_training=True)
    save_sentence_transformer(encoder, tmp_path / "saved")
    again = load(str(tmp_path / "saved"))
    assert again.pooling == "cls_before_pooler"
    assert not (tmp_path / "saved" / "2_Dense").exists()
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(theirs(tmp_path / "saved"), encoder.encode(TEXTS), atol=1e-5)


def test_training_goes_on_from_a_stored_head(bert: Path, tmp_path: Path) -> None:
    encoder = trained(bert, pooling="cls")
    save_sentence_transformer(encoder, tmp_path / "saved")
    again = load(str(tmp_path / "saved"), for_training=True)
    assert again.training
    assert again.head is not None
    assert encoder.head is not None
    assert torch.equal(again.head[0].weight, encoder.head[0].weight)


def change(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_cannot_be_taken_over_is_named(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    save_sentence_transformer(trained(bert, pooling="cls"), folder)
    change(folder, "2_Dense/config.json", activation_function="torch.nn.modules.activation.ReLU")
    with pytest.raises(ModelError, match="ReLU"):
        load(str(folder))
    change(
        folder, "2_Dense/config.json", activation_function="torch.nn.modules.activation.Tanh", out_features=8
    )
    with pytest.raises(ModelError, match="do not fit"):
        load(str(folder))
    change(folder, "2_Dense/config.json", out_features=16)
    change(folder, "1_Pooling/config.json", pooling_mode_max_tokens=True)
    with pytest.raises(ModelError, match="the pooling cls\\+max"):
        load(str(folder))
    (folder / "modules.json").write_text('[{"path": "", "type": "their.Adapter"}]')
    with pytest.raises(ModelError, match="Adapter"):
        load(str(folder))
    (folder / "modules.json").write_text("[")
    with pytest.raises(ModelError, match="is not JSON"):
        load(str(folder))


def test_layers_weighted_otherwise_are_an_error(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    save_sentence_transformer(load(str(bert), pooling="avg_first_last"), folder)
    weights = folder / "1_WeightedLayerPooling" / "model.safetensors"
    assert load_file(weights)["layer_weights"].tolist() == [0, 1, 0, 1]
    save_file({"layer_weights": torch.tensor([0.0, 1.0, 1.0, 1.0])}, weights)
    with pytest.raises(ModelError, match="weighted in a way"):
        load(str(folder))


def test_a_folder_that_asks_for_lower_case_gets_it(roberta: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    save_sentence_transformer(load(str(roberta)), folder)
    change(folder, "sentence_bert_config.json", do_lower_case=True)
    encoder = load(str(folder))
    assert encoder.tokenise(["A MAN"]) == encoder.tokenise(["a man"])
    np.testing.assert_allclose(encoder.encode(TEXTS), theirs(folder), atol=1e-5)


def test_a_saved_folder_holds_safetensors_a_card_and_nothing_pickled(bert: Path, tmp_path: Path) -> None:
    save_sentence_transformer(trained(bert, pooling="cls"), tmp_path / "saved", "## Data\n\nMade up.")
    names = {path.relative_to(tmp_path / "saved").as_posix() for path in (tmp_path / "saved").rglob("*.*")}
    assert {"modules.json", "config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert "1_Pooling/config.json" in names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    card = (tmp_path / "saved" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sentence-transformers\n")
    assert card.rstrip().endswith("Made up.")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "saved").rglob("*.*") if path.is_file()}
    assert len(modes) == 1


def test_saving_replaces_a_model_and_nothing_else(bert: Path, tmp_path: Path) -> None:
    first, second = load(str(bert)), trained(bert)
    save_sentence_transformer(first, tmp_path / "saved")
    (tmp_path / "saved" / "left over").write_text("")
    save_sentence_transformer(second, tmp_path / "saved")
    np.testing.assert_allclose(load(str(tmp_path / "saved")).encode(TEXTS), second.encode(TEXTS), atol=1e-6)
    assert not (tmp_path / "saved" / "left over").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(ModelError, match="is no saved model"):
        save_sentence_transformer(first, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "saved"]


def test_a_save_that_fails_leaves_the_older_model(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(str(bert))
    save_sentence_transformer(encoder, tmp_path / "saved")
    expected = encoder.encode(TEXTS)

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint, "_finish", full)
    with pytest.raises(OSError, match="no space"):
        save_sentence_transformer(trained(bert), tmp_path / "saved")
    assert np.array_equal(load(str(tmp_path / "saved")).encode(TEXTS), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_saved_cross_encoder_scores_the_same_everywhere(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from sentence_transformers import CrossEncoder

    torch.manual_seed(13)
    encoder = load_cross(str(request.getfixturevalue(name)), for_training=True, max_seq_length=14)
    second = TEXTS[::-1]
    logits = encoder.predict(TEXTS, second)
    save_cross_encoder(encoder, tmp_path / "saved", "Scores.")
    scores = CrossEncoder(str(tmp_path / "saved"), device="cpu").predict(list(zip(TEXTS, second, strict=True)))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-5)
    again = load_cross(str(tmp_path / "saved"))
    assert again.max_seq_length == 14
    np.testing.assert_allclose(again.predict(TEXTS, second), logits, atol=1e-6)


# PromptBERT

PROMPTS = [
    ("bert", "manual"),
    ("bert", "unsup"),
    ("bert", "sup"),
    ("masked", "sup"),
    ("roberta", "unsup"),
    ("roberta", "sup"),
]


def test_templates_are_spaced_exactly(bert: Path, roberta: Path) -> None:
    written = {
        f"{family}-{kind}": [before + "X" + after for before, after in texts]
        for family, table in (("bert", BERT), ("roberta", ROBERTA))
        for kind, texts in table.items()
    }
    assert written["bert-manual"] == ['This sentence : "X" means{mask}.']
    assert written["bert-unsup"] == ['This sentence of "X" means{mask}.', 'This sentence : "X" means{mask}.']
    assert written["bert-sup"] == ['This sentence of "X" means{mask}.']
    for name, folder, sentence in (("bert", bert, "two dogs"), ("roberta", roberta, " two dogs")):
        encoder = load(str(folder), pooling="prompt", prompt="unsup", for_training=True)
        for view, template in enumerate(written[f"{name}-unsup"]):
            text = template.replace("X", sentence).format(mask=encoder.tokenizer.mask_token)
            (ids,) = encoder.tokenise(["two dogs"], view=view)
            assert ids == encoder.tokenizer(text)["input_ids"]
    assert written["roberta-unsup"] == ["This sentence : 'X ' means{mask}.", "The sentence : 'X ' means{mask}."]


def test_a_sentence_is_cut_before_it_goes_into_the_template(bert: Path) -> None:
    encoder = load(str(bert), pooling="prompt", max_seq_length=4)
    long, short = encoder.tokenise([TEXTS[2], ""])
    assert len(long) == len(short) + 4
    assert long[-3:] == short[-3:]
    roomy = load(str(bert), pooling="prompt")
    assert max(map(len, roomy.tokenise(["dogs " * 200]))) == 64


def test_the_full_stop_of_the_test() -> None:
    given = ["Two dogs", "Stop.", "Why?", 'He said "no"', "it's '", "", "Hey!"]
    assert [with_full_stop(text) for text in given] == [
        "Two dogs.",
        "Stop.",
        "Why?",
        'He said "no"',
        "it's '",
        "",
        "Hey!.",
    ]


def test_a_full_stop_is_added_at_test_alone(bert: Path) -> None:
    encoder = load(str(bert), pooling="prompt")
    assert encoder.tokenise(["two dogs"], for_test=True) == encoder.tokenise(["two dogs."])
    assert encoder.tokenise(["two dogs"]) != encoder.tokenise(["two dogs."])


def by_hand(encoder: Encoder, text: str, *, denoise: bool) -> torch.Tensor:
    """The mask's state, and the empty template's with positions moved, one sentence at a time."""
    model, template = encoder.model, encoder.prompt.templates[0] if encoder.prompt else None
    assert template is not None
    (ids,) = encoder.tokenise([text], for_test=True)
    mask = encoder.tokenizer.mask_token_id
    first = 2 if model.config.model_type == "roberta" else 0
    head = encoder.head if denoise else None

    def state(tokens: list[int], positions: list[int]) -> torch.Tensor:
        given = {"input_ids": torch.tensor([tokens]), "position_ids": torch.tensor([positions])}
        return model(**given).last_hidden_state[0, tokens.index(mask)]

    with torch.no_grad():
        vector = state(ids, [*range(first, first + len(ids))])
        if not denoise:
            return vector
        empty = [*template.before, *template.after]
        left = first + len(template.before)
        right = first + len(ids)
        noise = state(empty, [*range(first, left), *range(right - len(template.after), right)])
        if type(head).__name__ == "BertPredictionHeadTransform":
            return head(vector) - head(noise)  # type: ignore[misc]
        return head(vector - noise) if head is not None else vector - noise


@pytest.mark.parametrize(("name", "kind"), PROMPTS)
def test_prompt_vectors_are_the_masks_and_lose_the_templates_where_they_should(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    encoder = trained(request.getfixturevalue(name), pooling="prompt", prompt=kind)
    encoder.eval()
    expected = torch.stack([by_hand(encoder, text, denoise=kind == "sup") for text in TEXTS])
    for fast in (True, False):
        encoder.fast = fast
        np.testing.assert_allclose(encoder.encode(TEXTS), expected.numpy(), atol=1e-5)
    if kind == "unsup":
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        encoder.train()
        vectors = encoder.forward_ids(encoder.tokenise(TEXTS, for_test=True))
        denoised = torch.stack([by_hand(encoder, text, denoise=True) for text in TEXTS])
        assert torch.allclose(vectors, denoised, atol=1e-5)
        other = encoder.forward_ids(encoder.tokenise(TEXTS, view=1), view=1)
        assert not torch.allclose(vectors, other, atol=1e-2)


def test_the_supervised_prompt_starts_from_the_transform_or_says_why_not(masked: Path, bert: Path) -> None:
    encoder = load(str(masked), pooling="prompt", prompt="sup", for_training=True)
    stored = load_file(masked / "model.safetensors")
    assert torch.equal(encoder.head.dense.weight, stored["cls.predictions.transform.dense.weight"])  # type: ignore[union-attr]
    assert encoder.remarks == ()
    other = load(str(bert), pooling="prompt", prompt="sup", for_training=True)
    assert isinstance(other.head, torch.nn.Sequential)
    assert "no masked-language-model weights" in other.remarks[0]
    with pytest.raises(ModelError, match="trained head of the supervised prompt"):
        load(str(masked), pooling="prompt", prompt="sup")
    with pytest.raises(ConfigError, match="prompt: 'soft'"):
        load(str(masked), pooling="prompt", prompt="soft")


def test_a_saved_prompt_model_loads_without_this_package(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    encoders = []
    for number, (name, kind) in enumerate(PROMPTS):
        encoder = trained(request.getfixturevalue(name), pooling="prompt", prompt=kind, max_seq_length=7)
        save_sentence_transformer(encoder, tmp_path / f"saved{number}")
        encoders.append(encoder)
        again = load(str(tmp_path / f"saved{number}"))
        assert again.prompt is not None
        assert (again.pooling, again.prompt.kind, again.max_seq_length) == ("prompt", kind, 7)
        np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
        assert "trust_remote_code" in (tmp_path / f"saved{number}" / "README.md").read_text()
    code = (
        "import sys\nsys.modules['engine'] = sys.modules['claif_tui'] = None\nimport json\n"
        "from sentence_transformers import SentenceTransformer\ntexts = json.loads(sys.argv[1])\n"
        "vectors = []\nfor folder in sys.argv[2:]:\n"
        "    model = SentenceTransformer(folder, device='cpu', trust_remote_code=True)\n"
        "    model.save(folder + '-again')\n"
        "    again = SentenceTransformer(folder + '-again', device='cpu', trust_remote_code=True)\n"
        "    vectors.append([model.encode(texts).tolist(), again.encode(texts).tolist(), model.max_seq_length])\n"
        "print(json.dumps(vectors))\n"
    )
    folders = [str(tmp_path / f"saved{number}") for number in range(len(PROMPTS))]
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(TEXTS), *folders],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for encoder, (vectors, again, length) in zip(
        encoders, json.loads(done.stdout.splitlines()[-1]), strict=True
    ):
        np.testing.assert_allclose(vectors, encoder.encode(TEXTS), atol=1e-5)
        np.testing.assert_allclose(again, vectors, atol=1e-6)
        assert length == 7


def test_templates_need_a_mask_token_and_one_token_at_each_end(bert: Path) -> None:
    tokenizer = tiny.word_piece()
    model = BertModel.from_pretrained(bert)
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="no mask token"):
        build("manual", model, tokenizer)
    tokenizer = tiny.word_piece()
    tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(ModelError, match="one token before and one after"):
        build("manual", model, tokenizer)
