from __future__ import annotations

from pathlib import Path

import pytest

from claif_tui.core import engine_child, training
from claif_tui.core.engine_child import EngineFailure, ask, require_train
from claif_tui.core.errors import ClaifError, InputError, MissingExtraError, UsageError
from engine.config import preset, to_json


def test_options_go_before_the_file_and_paths_count_from_where_they_stand(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
        (folder / "d.jsonl").touch()
    file = there / "run.toml"
    file.write_text('system = "dino"\ndata = "d.jsonl"\nout = "r"\nepochs = 7\nlr = 1e-4\n')
    config = training.configured(file, {"epochs": 2}, project=here, base=here)
    assert (config.system, config.epochs, config.lr) == ("dino", 2, 1e-4)
    assert (config.data, config.out) == (str(there / "d.jsonl"), str(there / "r"))
    config = training.configured(file, {"data": "d.jsonl", "system": "claif"}, project=here, base=here)
    assert (config.system, config.data) == ("claif", str(here / "d.jsonl"))
    assert config.epochs == 7


def test_models_are_folders_where_there_are_such_and_names_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").touch()
    (tmp_path / "mask").mkdir()
    options = {"system": "multicsr", "data": "d.jsonl", "model": "minilm", "mask_model": "mask"}
    config = training.configured(None, options, project=tmp_path, base=tmp_path)
    assert (config.model, config.mask_model) == ("minilm", str(tmp_path / "mask"))


def test_a_runs_own_settings_can_be_taken_over(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").touch()
    before = preset("claif", data=str(tmp_path / "d.jsonl"), seed=5, out=str(tmp_path / "runs" / "claif-1"))
    (tmp_path / "config.json").write_text(to_json(before))
    config = training.configured(tmp_path / "config.json", {"seed": 6}, project=tmp_path)
    # Where that run went is not where another one goes.
    assert (config.seed, config.data, config.out) == (6, str(tmp_path / "d.jsonl"), "")


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    with pytest.raises(InputError, match=r"run\.toml cannot be read"):
        training.configured(file, {}, project=tmp_path)
    file.write_text("epoch = 3\n")
    with pytest.raises(ClaifError, match=r"run\.toml: there is no setting 'epoch'") as caught:
        training.configured(file, {}, project=tmp_path)
    assert "epochs" in caught.value.hint
    file.write_bytes(b"\xff")
    with pytest.raises(ClaifError, match="is not TOML"):
        training.configured(file, {}, project=tmp_path)


def test_data_must_be_named_and_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training data"):
        training.configured(None, {}, project=tmp_path)
    with pytest.raises(InputError, match=r"d\.jsonl does not exist"):
        training.configured(None, {"data": "d.jsonl"}, project=tmp_path, base=tmp_path)


def test_a_run_belongs_to_a_project_or_to_a_place(tmp_path: Path) -> None:
    inside, outside = preset("claif", data="d"), preset("claif", data="d", out="/r")
    with pytest.raises(UsageError, match="no project") as caught:
        training.place_for(tmp_path, inside)
    assert "--out DIR" in caught.value.hint
    assert training.place_for(tmp_path, outside) == Path.cwd()
    (tmp_path / "claif.db").touch()
    assert training.place_for(tmp_path, inside) == tmp_path


def test_without_the_extra_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_child, "_TRAIN", ("json", "no_such_package"))
    with pytest.raises(MissingExtraError) as caught:
        require_train("training")
    assert caught.value.message == "training needs an extra (no_such_package missing)"
    assert caught.value.hint == "pip install 'claif-tui[train]'"
    monkeypatch.setattr(engine_child, "_TRAIN", ("json",))
    require_train("training")


def test_what_a_child_refuses_or_dies_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "children"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "refuses.py").write_text(
        "import sys\nsys.stderr.write('noise\\nno such thing. Do it.\\n')\nsys.exit(2)\n"
    )
    (package / "breaks.py").write_text("raise RuntimeError('lost')\n")
    (package / "killed.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    (package / "chats.py").write_text("print('hello')\n")
    (package / "answers.py").write_text(
        "import json, os, sys\n"
        "keys = [name for name in os.environ if name.endswith('_API_KEY')]\n"
        "print(json.dumps({'given': sys.stdin.read(), 'words': sys.argv[1:], 'keys': keys}))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SOME_API_KEY", "secret")
    answer = ask("children.answers", ["-x"], given="ä")
    assert answer == {"given": "ä", "words": ["-x"], "keys": []}
    expected = {
        "refuses": (2, "no such thing. Do it."),
        "breaks": (1, "children.breaks ended with code 1: RuntimeError: lost"),
        "killed": (1, "children.killed ended with code -9: it said nothing"),
        "chats": (1, "children.chats ended with code 0: it said nothing"),
    }
    for name, (code, message) in expected.items():
        with pytest.raises(EngineFailure) as caught:
            ask(f"children.{name}", [])
        assert (caught.value.exit_code, caught.value.message) == (code, message)
