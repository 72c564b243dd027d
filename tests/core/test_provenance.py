from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from claif_tui.core.errors import InputError
from claif_tui.core.provenance import backbone_of, provenance
from claif_tui.core.runs import row_of
from engine import rundir
from engine.config import PRESETS, preset

BERT = {"model_type": "bert", "num_hidden_layers": 12, "hidden_size": 768, "vocab_size": 30522}


def folder(place: Path, **config: Any) -> Path:
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config or BERT))
    (place / "model.safetensors").write_bytes(b"weights")
    return place


def run(place: Path, facts: dict[str, Any] | None = None, **settings: Any) -> Path:
    claimed = rundir.claim(place, preset(settings.pop("system", "claif"), data="/d", **settings))
    claimed.describe(**(facts or {}))
    claimed.events.close()
    folder(place / "checkpoints" / "best")
    return place


@pytest.mark.parametrize(
    ("name", "config", "backbone"),
    [
        ("bert-base-uncased", None, "bert-base"),
        ("/models/roberta-base", None, "roberta-base"),
        ("minilm", None, "MiniLM-L6"),
        ("minilm:3", None, "MiniLM-L3"),
        ("some/model", None, None),
        ("some/model", BERT, "bert-base"),
        ("some/model", {**BERT, "num_hidden_layers": 6}, "bert-6x768"),
        ("some/model", {**BERT, "vocab_size": 28996}, "bert-12x768"),
        ("some/model", {"model_type": "bert"}, None),
    ],
)
def test_backbones_are_known_by_name_or_shape(name: str, config: Any, backbone: str | None) -> None:
    assert backbone_of(name, config) == backbone


def test_a_folder_is_known_by_what_it_computes_with(tmp_path: Path) -> None:
    first = folder(tmp_path / "a" / "model")
    known = provenance(str(first))
    assert (known.name, known.backbone, known.supervision) == ("model", "bert-base", None)
    assert provenance(str(folder(tmp_path / "b" / "model"))).identity == known.identity
    (first / "README.md").write_text("a card")
    assert provenance(str(first)).identity == known.identity
    (first / "model.safetensors").write_bytes(b"others")
    assert provenance(str(first)).identity != known.identity


def test_a_run_and_its_best_checkpoint_are_one_model(tmp_path: Path) -> None:
    place = run(tmp_path / "claif-1")
    whole, best = provenance(str(place)), provenance(str(place / "checkpoints" / "best"))
    assert whole == best
    assert (whole.name, whole.backbone, whole.supervision) == ("claif-1", "bert-base", "ai")
    assert whole.notes == ("Supervision as claif has it; its data do not say.",)
    last = folder(place / "checkpoints" / "last")
    assert provenance(str(last)).name == "claif-1/last"


@pytest.mark.parametrize(
    ("kinds", "supervision"),
    [({"llm": 5, "zero": 2}, "ai"), ({"human": 3}, "human"), ({"llm": 1, "human": 1}, "human+ai")],
)
def test_a_snapshot_says_what_its_labels_are(tmp_path: Path, kinds: dict[str, int], supervision: str) -> None:
    place = run(tmp_path / "r", {"data": {"lineage": {"kinds": kinds}}})
    known = provenance(str(place))
    assert (known.supervision, known.notes) == (supervision, ())


def test_gold_labels_under_an_ai_system_are_human(tmp_path: Path) -> None:
    assert provenance(str(run(tmp_path / "r", {"data": {"format": "stsb"}}))).supervision == "human"


def test_what_a_start_was_trained_with_is_not_guessed(tmp_path: Path) -> None:
    known = provenance(str(run(tmp_path / "r", model="minilm:2")))
    assert (known.backbone, known.supervision) == ("MiniLM-L2", None)
    assert "minilm:2" in known.notes[0]
    assert provenance("princeton-nlp/unsup-simcse-bert-base-uncased").supervision is None
    assert provenance("bert-base-uncased").supervision == "none"


@pytest.mark.parametrize("system", PRESETS)
def test_every_system_has_a_supervision(tmp_path: Path, system: str) -> None:
    known = provenance(str(run(tmp_path / "r", system=system)))
    wanted = {
        "simcse-sup": "human",
        "sbert": "human",
        "promptbert-sup": "human",
        "clhaif": "human+ai",
        "clhaif-prompt": "human+ai",
    }
    assert known.supervision == wanted.get(system, "none" if "unsup" in system else "ai")


def test_vectors_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "ada.npy").write_bytes(b"1")
    (tmp_path / "ada.txt").write_text("a")
    known = provenance(f"vectors:{tmp_path / 'ada.npy'}")
    assert (known.name, known.backbone, known.supervision) == ("ada", None, None)
    (tmp_path / "ada.txt").write_text("b")
    assert provenance(f"vectors:{tmp_path / 'ada.npy'}").identity != known.identity
    with pytest.raises(InputError, match=r"none\.npz cannot be read"):
        provenance(f"vectors:{tmp_path / 'none.npz'}")


def test_a_run_on_the_offline_models_answers_is_a_demo_and_what_starts_from_it_too(tmp_path: Path) -> None:
    """Only where a manifest says so: a bare file says nothing."""
    demo = run(tmp_path / "demo", {"data": {"lineage": {"kinds": {"llm": 3}, "stand_in": True}}})
    assert provenance(str(demo)).demo and provenance(str(demo / "checkpoints" / "best")).demo
    after = run(tmp_path / "after", model=str(demo / "checkpoints" / "best"))
    assert provenance(str(after)).demo and row_of(after).demo
    real = run(tmp_path / "real", {"data": {"lineage": {"kinds": {"llm": 3}, "stand_in": False}}})
    bare = run(tmp_path / "bare", {"data": {"format": "jsonl"}})
    for place in (real, bare):
        assert not provenance(str(place)).demo and not row_of(place).demo
    assert not provenance("minilm:3").demo
