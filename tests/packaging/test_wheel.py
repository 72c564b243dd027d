"""The built wheel in an empty environment: it works there, without extras, and says which extra a feature needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Building and installing takes as long as the package index does.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pins = ROOT / "requirements" / "run.txt"
    subprocess.run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "-c", str(pins), str(wheel)],
        check=True,
        capture_output=True,
    )
    return folder


def run(env: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Outside the checkout, so that nothing is found there by chance.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(env / "bin" / "claif-tui"), *args], capture_output=True, text=True, cwd=cwd, env=clean, timeout=60
    )


def test_the_wheel_carries_what_the_program_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "claif_tui/assets/demo/seeds.txt" in names
    assert "claif_tui/assets/data/sources.json" in names
    assert "claif_tui/assets/offline/model.safetensors" in names
    assert "claif_tui/assets/reference/claif-table-4.json" in names
    assert "claif_tui/assets/systems/syncse.toml" in names
    assert "claif_tui/assets/experiments/family.toml" in names
    assert "claif_tui/ui/app.tcss" in names
    assert "claif_tui/py.typed" in names
    assert not [name for name in names if name.startswith("tests/")]
    assert wheel.stat().st_size < 20_000_000


def test_it_works_in_an_empty_environment(empty: Path, tmp_path: Path) -> None:
    assert "generate" in run(empty, "--help", cwd=tmp_path).stdout
    made = run(empty, "init", "p", "--demo", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    status = run(empty, "status", "-P", "p", "--json", cwd=tmp_path)
    assert json.loads(status.stdout)["planned"] == 540
    listed = run(empty, "recipe", "show", "-P", "p", cwd=tmp_path)
    assert "rates" in listed.stdout


def test_what_needs_an_extra_says_which_and_how_to_install_it(empty: Path, tmp_path: Path) -> None:
    run(empty, "init", "p", "--demo", cwd=tmp_path)
    offline = run(empty, "generate", "-P", "p", "--limit", "1", "--yes", cwd=tmp_path)
    assert offline.returncode == 1
    assert "pip install 'claif-tui[offline]'" in offline.stderr
    assert "Traceback" not in offline.stderr
    parquet = run(empty, "export", "-P", "p", "--out", "x.parquet", "--format", "parquet", cwd=tmp_path)
    assert parquet.returncode != 0
    assert "pip install 'claif-tui[parquet]'" in parquet.stderr
    litellm = run(empty, "generate", "-P", "p", "--model", "litellm:x/y", "--limit", "1", "--yes", cwd=tmp_path)
    assert litellm.returncode == 1
    assert "pip install 'claif-tui[litellm]'" in litellm.stderr
