"""Experiment files: what is read, what the grid of it is, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from claif_tui.cli.commands.experiment import READY as OFFERED
from claif_tui.core import settings
from claif_tui.core.errors import ClaifError
from claif_tui.core.experiment.file import READY, load, ready
from claif_tui.core.experiment.grid import build
from claif_tui.core.experiment.methods import METHODS
from claif_tui.core.experiment.models import Grid
from claif_tui.core.recipes import preset_recipe
from claif_tui.core.systems.registry import system_of
from engine.config import PRESETS
from tests.core import experiment_support as support

CLAIF = '[[system]]\nname = "claif"\n'


def grid_of(folder: Path, systems: str, *, model: str = "bert", numbers: str = "[1]") -> Grid:
    return build(load(support.write(folder, systems, model=model, numbers=numbers)), settings.load())


def test_a_grid_crosses_systems_backbones_seeds_and_variants_and_shares_what_is_alike(tmp_path: Path) -> None:
    grid = grid_of(
        tmp_path,
        '[[system]]\nname = "simcse-sup"\n'
        '[[system]]\nname = "claif"\n[system.vary]\npost.smoothing = [0.0, 0.2]\npost.cap = [0, 2]\n'
        '[[system]]\nname = "cross"\nsystem = "claif-cross"\n'
        '[[system]]\nname = "average"\n',
        numbers="[1, 2]",
        model="minilm:1",
    )
    titles = [cell.title for cell in grid.cells]
    assert titles[0] == "average, minilm:1"
    assert len(titles) == 1 + 2 * (1 + 4 + 1)
    assert "claif (smoothing 0.2, cap 2), minilm:1, seed 2" in titles
    # Four ways to freeze one set of pairs a seed, of which one is the cross-encoder's too; triplets need no seed.
    assert len({data.project_id for data in grid.datasets}) == 3
    assert len(grid.datasets) == 1 + 2 * 4
    cross = [cell for cell in grid.cells if cell.row == "cross"]
    like = [cell for cell in grid.cells if cell.row == "claif (smoothing 0.2, cap 2)"]
    assert [one.data for one in cross] == [one.data for one in like]
    assert [one.config.seed for one in like if one.config] == [1, 2]
    assert len({cell.id for cell in grid.cells}) == len(grid.cells)
    again = grid_of(tmp_path, '[[system]]\nname = "claif"\n', numbers="[2]", model="minilm:1")
    assert [cell.id for cell in again.cells] == [like[1].id], "the same settings are the same cell"


def test_one_recipe_seed_makes_one_data_set_for_all_training_seeds(tmp_path: Path) -> None:
    grid = grid_of(tmp_path, CLAIF + "[system.recipe]\nseed = 9\n", numbers="[1, 2]")
    assert len(grid.datasets) == 1
    assert len(grid.cells) == 2


BAD = [
    (CLAIF + "epochs = 3\n", 3, "there is no field 'epochs' in a system", "Known: name"),
    ('[[system]]\nname = "clai"\n', 2, "there is no system 'clai'", "Did you mean claif?"),
    (CLAIF + CLAIF, 3, "two systems are named 'claif'", "own name"),
    (CLAIF + "[system.recipe]\npost.smooting = 0.1\n", 4, "no recipe field 'post.smooting'", "post.smoothing"),
    (CLAIF + "[system.recipe]\npost.smoothing = 3\n", 1, "post.smoothing is 3", ""),
    (CLAIF + "[system.train]\nepoch = 3\n", 4, "there is no field 'epoch'", "epochs"),
    (CLAIF + "[system.train]\nepochs = 0\n", 1, "epochs is 0", ""),
    (CLAIF + "[system.train]\nseed = 3\n", 4, "seed is not set here", "Take it out"),
    (
        CLAIF + '[system.train]\nsystem = "simcse-sup"\n',
        1,
        "claif makes pairs, and training simcse-sup",
        "claif",
    ),
    ('[[system]]\nname = "simcse-sup"\n[system.train]\nsystem = "claif"\n', 1, "reads pairs", "simcse-sup"),
    ('[[system]]\nname = "simcse-sup"\n[system.train]\nsystem = "clhaif"\n', 1, "asks for no scores", ""),
    ('[[system]]\nname = "average"\n[system.train]\nepochs = 1\n', 1, "average is not trained", ""),
    (CLAIF + "[system.vary]\npost.cap = 3\n", 4, "post.cap is 3, expected a list", ""),
    (CLAIF + '[system.model]\nprofile = "nobody"\n', 1, "no endpoint profile 'nobody'", ""),
    (CLAIF + '[system.recipe]\npreset = "clhaif"\n', 1, "preset clhaif is one of clhaif", "official-code"),
    ('[[system]]\nname = "dino-local"\n', 1, "system dino-local: ", ""),
    (CLAIF + "[system.model]\nrpm = 0\n", 4, "rpm is 0", ""),
    (CLAIF + '[system.evaluate]\nwhitening_dim = "all"\n', 4, "whitening_dim is 'all', expected a whole", ""),
    (CLAIF + "[system.evaluate]\nown_pooler = 1\n", 4, "own_pooler is 1, expected true or false", ""),
]


@pytest.mark.parametrize(("systems", "line", "message", "hint"), BAD)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, systems: str, line: int, message: str, hint: str
) -> None:
    with pytest.raises(ClaifError) as caught:
        grid_of(tmp_path, systems)
    assert f"grid.toml, line {support.HEAD.count(chr(10)) + line}: " in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_vary_table_is_counted_before_it_is_crossed(tmp_path: Path) -> None:
    axes = "".join(f"{name} = {[*range(9000)]}\n" for name in ("post.cap", "seed", "post.zero_pairs"))
    with pytest.raises(ClaifError, match="vary makes 729,000,000,000 variants"):
        grid_of(tmp_path, f"{CLAIF}[system.vary]\n{axes}")


@pytest.mark.parametrize("value", ["[" * 3000, "1" * 6000], ids=["brackets", "digits"])
def test_toml_that_no_parser_takes_is_no_crash(tmp_path: Path, value: str) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(f"seeds = {value}\n")
    with pytest.raises(ClaifError, match="not valid TOML"):
        load(path)


def test_reranking_is_for_cross_encoders_too(tmp_path: Path) -> None:
    path = support.write(tmp_path, '[[system]]\nname = "claif-cross"\n')
    path.write_text(path.read_text().replace("STSBenchmark", "STSBenchmark,MR,rerank", 1))
    [cell] = build(load(path), settings.load()).cells
    assert cell.evaluate["tasks"] == "STSBenchmark,rerank"


def test_an_experiment_needs_a_task_of_its_tables(tmp_path: Path) -> None:
    path = support.write(tmp_path, CLAIF)
    path.write_text(path.read_text().replace("STSBenchmark", "rerank", 1))
    with pytest.raises(ClaifError, match="line 2: tasks names none of the papers' tables"):
        load(path)


def test_a_system_without_its_source_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = support.write(tmp_path, '[[system]]\nname = "simcse-sup"\n')
    whole = path.read_text()
    path.write_text(whole.replace('[nli]\nfile = "nli.csv"\n', ""))
    with pytest.raises(
        ClaifError, match=r"simcse-sup reads human triplets \(\[nli\]\), and the file names none"
    ):
        build(load(path), settings.load())
    path.write_text(whole.replace('"simcse-sup"', '"claif"').replace('[seeds_from]\nfile = "seeds.txt"\n', ""))
    with pytest.raises(ClaifError, match=r"claif reads sentences \(\[seeds_from\]\)"):
        build(load(path), settings.load())
    path.write_text(whole.replace("seeds.txt", "sedes.txt"))
    with pytest.raises(ClaifError, match=r"line 7: .*sedes.txt does not exist"):
        load(path)
    path.write_text("[[system]\n")
    with pytest.raises(ClaifError, match="not valid TOML"):
        load(path)
    assert not (tmp_path / "grid").exists()


@pytest.mark.parametrize("name", READY)
def test_the_ready_files_fit_together(tmp_path: Path, name: str) -> None:
    support.write(tmp_path, CLAIF)
    (tmp_path / "nli_for_simcse.csv").write_text((tmp_path / "nli.csv").read_text())
    place = tmp_path / "senteval" / "STS" / "STSBenchmark"
    (place / "sts-train.csv").write_text((place / "sts-test.csv").read_text())
    path = tmp_path / f"{name}.toml"
    path.write_text(ready(name))
    spec = load(path)
    assert spec.name == name
    assert OFFERED == READY
    grid = build(spec, settings.load())
    assert grid.cells
    if name == "family":
        assert {cell.system for cell in grid.cells} == METHODS.keys() - {
            "multicsr-local",
            "multicsr-score0",
            "sbert",
        }


def test_the_table_of_systems_says_what_the_systems_say() -> None:
    for name, method in METHODS.items():
        if method.preset:
            system = system_of(preset_recipe(method.preset))
            assert method.makes == system.makes, name
            assert method.reads <= system.reads, name
        assert not method.train or method.train in PRESETS, name
