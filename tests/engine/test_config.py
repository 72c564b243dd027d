from __future__ import annotations

import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import config
from engine.config import FIELDS, PRESETS, TrainConfig, preset
from engine.errors import ConfigError

# Section 0.4 of the methods page, restated; "epoch" is "in epoch + epoch end".
# system: epochs, batch, lr, warm-up, decay, length, tau, every, counting, selected on, precision
SIDE_BY_SIDE: dict[str, tuple[object, ...]] = {
    "claif": (3, 32, 2e-5, 0.1, 0.01, 512, None, 125, "epoch", "stsb", "fp32"),
    "claif-scaled": (3, 32, 2e-5, 0.1, 0.01, 512, None, 125, "epoch", "stsb", "fp32"),
    "claif-cross": (3, 32, 2e-5, 0.1, 0.01, 512, None, 125, "epoch", "stsb", "fp32"),
    "dino": (1, 32, 2e-5, 0.1, 0.01, 512, None, 100, "epoch", "own", "fp32"),
    "dino-claif": (3, 32, 2e-5, 0.1, 0.01, 512, None, 125, "epoch", "stsb", "fp32"),
    "sbert": (1, 16, 2e-5, 0.1, 0.01, 512, None, 125, "epoch", "stsb", "fp32"),
    "clhaif": (3, 512, 5e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "simcse-sup": (3, 512, 5e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "simcse-unsup-bert": (1, 64, 3e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "simcse-unsup-roberta": (1, 512, 1e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "promptbert-unsup": (1, 256, 1e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "promptbert-sup": (3, 512, 5e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "clhaif-prompt": (3, 512, 5e-5, 0.0, 0.0, 32, 0.05, 125, "global", "stsb", "fp16"),
    "official-syncse": (3, 512, 5e-5, 0.0, 0.0, 32, 0.05, 25, "global", "stsb+sickr", "fp16"),
    "syncse": (3, 512, 5e-5, 0.0, 0.0, 32, 0.05, 25, "global", "stsb", "fp16"),
    "multicsr": (3, 128, 5e-5, 0.0, 0.0, 32, 0.05, 25, "global", "stsb", "fp16"),
}
# Sections 4 to 10: objective, pooling in training, head dropped at evaluation, backbone, weight of MLM
MADE_OF: dict[str, tuple[object, ...]] = {
    "claif": ("mse", "mean", False, "bert-base-uncased", 0.0),
    "claif-scaled": ("mse", "mean", False, "bert-base-uncased", 0.0),
    "claif-cross": ("cross", "mean", False, "bert-base-uncased", 0.0),
    "dino": ("mse", "mean", False, "bert-base-uncased", 0.0),
    "dino-claif": ("mse", "mean", False, "bert-base-uncased", 0.0),
    "sbert": ("softmax-nli", "mean", False, "bert-base-uncased", 0.0),
    "clhaif": ("soft-infonce", "cls", False, "bert-base-uncased", 0.0),
    "clhaif-prompt": ("soft-infonce", "prompt", False, "bert-base-uncased", 0.0),
    "simcse-unsup-bert": ("infonce", "cls", True, "bert-base-uncased", 0.0),
    "simcse-unsup-roberta": ("infonce", "cls", True, "roberta-base", 0.0),
    "simcse-sup": ("infonce", "cls", False, "bert-base-uncased", 0.0),
    "promptbert-unsup": ("infonce", "prompt", True, "bert-base-uncased", 0.0),
    "promptbert-sup": ("infonce", "prompt", False, "bert-base-uncased", 0.0),
    "syncse": ("infonce", "cls", False, "roberta-base", 0.0),
    "official-syncse": ("infonce", "cls", False, "roberta-base", 0.1),
    "multicsr": ("masked-infonce", "cls", True, "bert-base-uncased", 0.0),
}
TWINS = {"simcse-unsup-bert", "simcse-unsup-roberta", "promptbert-unsup"}


def test_the_tables_name_every_preset() -> None:
    assert set(PRESETS) == set(SIDE_BY_SIDE) == set(MADE_OF) == set(config.ABOUT)


@pytest.mark.parametrize("system", SIDE_BY_SIDE)
def test_a_preset_is_what_the_paper_or_script_says(system: str) -> None:
    c = PRESETS[system]
    told = SIDE_BY_SIDE[system]
    tau = c.temperature if c.objective in config.IN_BATCH else None
    assert (
        *(c.epochs, c.batch_size, c.lr, c.warmup, c.weight_decay, c.max_seq_length, tau),
        *(c.eval_every, c.eval_counting, c.select, c.precision),
    ) == told
    assert (c.objective, c.pooling, c.mlp_only_train, c.model, c.mlm_weight) == MADE_OF[system]
    assert c.system == system
    assert c.twins is (system in TWINS)
    # What holds for all of them: clip 1, dropout 0.1, seed 42, cosine, official faults corrected, one batch a step.
    assert (c.clip, c.dropout, c.seed, c.dev_metric, c.compat) == (1.0, 0.1, 42, "cosine", ())
    assert (c.gradient_accumulation, c.hard_negative_weight, c.early_stop) == (1, 0.0, 0)


def test_what_one_preset_alone_has() -> None:
    assert PRESETS["multicsr"].mask_threshold == 0.95
    assert PRESETS["multicsr"].mask_model == "princeton-nlp/unsup-simcse-bert-base-uncased"
    assert PRESETS["clhaif"].smooth == "smooth_positive"
    assert PRESETS["dino"].dev_share == 0.1


def test_every_setting_is_explained_in_one_line() -> None:
    assert list(FIELDS) == [field.name for field in fields(TrainConfig)]
    for name, field in FIELDS.items():
        assert field.name == name
        assert 10 < len(field.help) <= 105
        assert "\n" not in field.help
        assert field.expected
        assert set(field.objectives) <= set(config.OBJECTIVES)


@pytest.mark.parametrize("system", PRESETS)
def test_json_and_toml_give_back_what_went_in(system: str, tmp_path: Path) -> None:
    out = 'C:\\runs\\"x" — 猫'
    before = replace(PRESETS[system], out=out, seed=7)
    assert config.from_json(config.to_json(before)) == before
    file = tmp_path / "c.toml"
    file.write_text(config.to_toml(before), encoding="utf-8")
    assert config.read_toml(file) == before


@given(st.text(max_size=40), st.floats(1e-9, 1), st.integers(0, 2**32 - 1))
def test_any_text_either_goes_through_or_is_refused(text: str, lr: float, seed: int) -> None:
    try:
        made = TrainConfig(data=text, lr=lr, seed=seed)
    except ConfigError as error:
        assert error.message.startswith("data is ")
        return
    assert config.from_json(config.to_json(made)) == made
    assert config.from_mapping(tomllib.loads(config.to_toml(made))) == made


def test_a_file_changes_what_it_names_and_leaves_the_rest_to_its_system(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('system = "clhaif"\nlr = 1\nepochs = 2\ncompat = ["smooth-all-zero-test"]\n')
    made = config.read_toml(file)
    assert made == preset("clhaif", lr=1.0, epochs=2, compat=("smooth-all-zero-test",))
    assert isinstance(made.lr, float)
    assert made.batch_size == 512
    assert config.from_json('{"epochs": 1}') == preset("claif", epochs=1)


def refusal(**values: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        preset(values.pop("system", "claif"), **values)
    return caught.value


@pytest.mark.parametrize(
    ("values", "said", "hint"),
    [
        ({"learning_rate": 1}, "there is no setting 'learning_rate'", "Known: system, objective"),
        ({"batchsize": 1}, "there is no setting 'batchsize'", "Did you mean batch_size?"),
        (
            {"system": "claiff"},
            "system is 'claiff', expected one of claif, claif-scaled",
            "Did you mean claif?",
        ),
        ({"system": 3}, "system is 3, expected one of", ""),
        ({"lr": "2e-5"}, "lr is '2e-5', expected a number above 0 up to 1", ""),
        ({"lr": 0}, "lr is 0, expected", ""),
        ({"lr": float("nan")}, "lr is nan, expected", ""),
        ({"lr": float("inf")}, "lr is inf, expected", ""),
        ({"lr": True}, "lr is True, expected", ""),
        ({"epochs": 1.0}, "epochs is 1.0, expected a whole number from 1 to 1,000", ""),
        ({"epochs": 10**3000}, "epochs is 1000", ""),
        ({"seed": -1}, "seed is -1, expected", ""),
        ({"packed": 1}, "packed is 1, expected true or false", ""),
        ({"pooling": "maen"}, "pooling is 'maen', expected one of mean, cls", "Did you mean mean?"),
        ({"precision": None}, "precision is None, expected one of fp32, bf16, fp16", ""),
        ({"data": "a\nb"}, "data is 'a\\nb', expected one line", ""),
        ({"data": "\ud800"}, "data is '\\ud800', expected one line", ""),
        ({"compat": "multicsr-bce"}, "compat is 'multicsr-bce', expected a list", ""),
        ({"compat": ["multicsr"]}, "compat holds 'multicsr', expected", "Did you mean multicsr-bce?"),
        ({"model": ""}, "model is empty", "minilm"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(values: dict[str, Any], said: str, hint: str) -> None:
    error = refusal(**values)
    assert error.message.startswith(said)
    assert hint in error.hint
    assert len(error.message) < 400


@pytest.mark.parametrize(
    ("values", "said", "hint"),
    [
        (
            {"system": "simcse-sup", "gradient_accumulation": 4},
            "gradient_accumulation is 4, but objective infonce contrasts",
            "Turn gradient_cache on",
        ),
        ({"system": "clhaif", "gradient_accumulation": 2}, "gradient_accumulation is 2, but", "gradient_cache"),
        (
            {"system": "multicsr", "gradient_accumulation": 2},
            "gradient_accumulation is 2, but",
            "gradient_cache",
        ),
        (
            {"gradient_accumulation": 5},
            "gradient_accumulation is 5, expected a divisor of batch_size (32)",
            "parts",
        ),
        ({"gradient_cache": True}, "gradient_cache is True, but objective mse does not use it", "False"),
        (
            {"system": "clhaif", "gradient_cache": True},
            "gradient_cache is on, but gradient_accumulation is 1",
            "",
        ),
        ({"temperature": 0.1}, "temperature is 0.1, but objective mse does not use it", "to 0.05"),
        ({"system": "claif-cross", "pooling": "cls"}, "pooling is 'cls', but objective cross", "to 'mean'"),
        ({"system": "claif-cross", "dev_metric": "max4"}, "dev_metric is 'max4', but", "cosine"),
        ({"system": "multicsr", "mask_model": ""}, "mask_model is empty", "SimCSE"),
        ({"select": "own", "dev": "sts-dev.csv"}, "dev is 'sts-dev.csv', but select = own", "Leave dev empty"),
        ({"mlp_only_train": True}, "mlp_only_train is on, but mean pooling has no MLP head", "cls"),
        ({"own_pooler": True}, "own_pooler is on, but mean pooling has no head", "cls"),
        ({"processes": 2}, "processes is 2, but launcher local starts one", "torchrun"),
        ({"launcher": "torchrun", "processes": 1}, "processes is 1, but launcher torchrun", "2 or more"),
        ({"launcher": "torchrun", "processes": 33}, "processes is 33, but a batch of 32 rows", "all of them"),
        ({"system": "promptbert-sup", "mlp_only_train": True}, "mlp_only_train is True, but prompt", "twins"),
        ({"system": "simcse-unsup-bert", "hard_negative_weight": 1}, "hard_negative_weight is 1, but", "twins"),
        ({"compat": ["multicsr-bce"]}, "compat holds multicsr-bce, which objective mse", "Leave compat empty"),
        ({"system": "clhaif", "compat": ["prompt-bert"]}, "compat holds prompt-bert", "smooth-all-zero-test"),
        (
            {"system": "simcse-sup", "compat": ["multicsr-bce"]},
            "compat holds multicsr-bce",
            "Leave compat empty",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], said: str, hint: str) -> None:
    error = refusal(**values)
    assert error.message.startswith(said)
    assert hint in error.hint


def test_what_does_go_together() -> None:
    assert preset("claif", gradient_accumulation=4).gradient_accumulation == 4
    assert preset("claif-cross", gradient_accumulation=32).objective == "cross"
    assert preset("simcse-sup", gradient_accumulation=4, gradient_cache=True).gradient_cache
    assert preset("clhaif-prompt", compat=["smooth-all-zero-test", "prompt-bert"]).compat == (
        "prompt-bert",
        "smooth-all-zero-test",
    )
    assert preset("multicsr", compat=("multicsr-bce",)).compat == ("multicsr-bce",)
    assert preset("claif", objective="infonce", temperature=0.1).temperature == 0.1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "x.json is not JSON: "),
        ("[" * 100_000, "x.json is not JSON: "),
        ("[1]", "x.json holds list, expected settings by name"),
        ('{"lr": 1e-5, "lr": 1e-4}', "x.json: lr is given twice"),
        ('{"epoch": 1}', "x.json: there is no setting 'epoch'"),
        ('{"lr": NaN}', "x.json: lr is nan, expected"),
        (b'{"data": "\xff"}', "x.json is not JSON: "),
    ],
    ids=range(7),
)
def test_bad_json_names_the_file(text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.from_json(text, "x.json")
    assert caught.value.message.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"lr = ", " is not TOML: "),
        (b"data = '\xff'", " is not TOML: "),
        (b"[train]\nlr = 1e-5\n", ": there is no setting 'train'"),
        (b"lr = '1e-5'\n", ": lr is '1e-5', expected a number above 0 up to 1"),
    ],
)
def test_bad_toml_names_the_file(text: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        config.read_toml(file)
    assert caught.value.message.startswith(f"{file}{said}")
    with pytest.raises(ConfigError, match=r"gone\.toml cannot be read: No such file"):
        config.read_toml(tmp_path / "gone.toml")


def test_what_a_user_types_becomes_a_value() -> None:
    typed = [
        ("lr", " 3e-5 "),
        ("lr", "1"),
        ("epochs", "3"),
        ("packed", "off"),
        ("pooling", "cls"),
        ("compat", ""),
    ]
    assert [config.parse(name, text) for name, text in typed] == [3e-5, 1.0, 3, False, "cls", ()]
    assert config.parse("compat", "prompt-bert, multicsr-bce") == ("multicsr-bce", "prompt-bert")
    for name, text in [
        ("epochs", "2.5"),
        ("epochs", ""),
        ("lr", "nan"),
        ("packed", "maybe"),
        ("lr", "9" * 5000),
    ]:
        with pytest.raises(ConfigError, match=f"^{name} is "):
            config.parse(name, text)
    with pytest.raises(ConfigError) as caught:
        config.parse("sed", "1")
    assert caught.value.hint == "Did you mean seed?"


def test_paths_become_absolute_and_names_stay_names(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    before = preset("claif", data="a/b.jsonl", out="/x/y", model="own")
    after = config.resolved(before, tmp_path)
    assert (after.data, after.dev, after.out) == (str(tmp_path / "a/b.jsonl"), "", "/x/y")
    assert after.model == str(tmp_path / "own")
    assert config.resolved(preset("claif"), tmp_path).model == "bert-base-uncased"


def test_the_digest_follows_what_a_result_depends_on() -> None:
    base = preset("claif")
    assert config.digest(base) == config.digest(replace(base, out="elsewhere", threads=2))
    assert config.digest(base) == "7fb4330acae051d3"  # a new setting at its default makes no other run
    several = replace(base, launcher="torchrun", processes=2)
    assert config.digest(several) != config.digest(base) == config.digest(replace(base, launcher="torchrun"))
    assert config.changes(several, replace(several, processes=3)) == ["processes was 2 and is 3"]
    assert len({config.digest(c) for c in (base, replace(base, seed=1), replace(base, lr=1e-5))}) == 3
    assert config.changes(base, replace(base, out="elsewhere")) == []
    assert config.changes(base, replace(base, epochs=4, seed=1)) == [
        "epochs was 3 and is 4",
        "seed was 42 and is 1",
    ]


def test_json_is_one_setting_a_line_without_surprises() -> None:
    text = config.to_json(preset("multicsr"))
    assert len(text.splitlines()) == len(FIELDS) + 2
    assert json.loads(text)["compat"] == []
