"""A small grid for the tests of experiments: tiny sentences, and evaluation data that only look like STS-B."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = (
    *("a", "man", "is", "playing", "the", "guitar", "and", "two", "dogs", "run", "on", "red"),
    *("mat", "while", "it", "rains", "in", "park", "of", "this", "town"),
)


def sentence(chance: random.Random) -> str:
    """Some words in a row."""
    return " ".join(chance.choices(WORDS, k=chance.randint(4, 9))) + " ."


def stsb(folder: Path) -> Path:
    """A folder with an STS-B test set of the right size, which is all that is complete in it."""
    place = folder / "senteval" / "STS" / "STSBenchmark"
    place.mkdir(parents=True)
    chance = random.Random(3)
    rows = [
        f"g\tf\t2012\t{number}\t{number % 6}.000\t{sentence(chance)}\t{sentence(chance)}\n"
        for number in range(1379)
    ]
    (place / "sts-test.csv").write_text("".join(rows), "utf-8")
    return folder / "senteval"


def dev(path: Path) -> Path:
    """A dozen scored pairs to select on."""
    chance = random.Random(4)
    rows = [f"{sentence(chance)}\t{sentence(chance)}\t{number % 6}\n" for number in range(12)]
    path.write_text("".join(rows), "utf-8")
    return path


def seeds(path: Path, count: int = 12) -> Path:
    """Different sentences, one a line."""
    chance = random.Random(5)
    path.write_text("".join(f"number {n} {sentence(chance)}\n" for n in range(count)), "utf-8")
    return path


def triplets(path: Path, count: int = 8) -> Path:
    """Human triplets as SimCSE has them."""
    chance = random.Random(6)
    rows = [f"{n} {sentence(chance)},{n} {sentence(chance)},{sentence(chance)}\n" for n in range(count)]
    path.write_text("sent0,sent1,hard_neg\n" + "".join(rows), "utf-8")
    return path


HEAD = """\
data = "senteval"
tasks = "STSBenchmark"
backbones = ["{model}"]
seeds = {seeds}
budget_usd = {budget}
[seeds_from]
file = "seeds.txt"
[nli]
file = "nli.csv"
[model]
base_url = "{url}"
name = "m"
concurrency = 2
price_in = 1.0
price_out = 4.0
[recipe]
masks.rates = [0.2, 0.5]
[train]
dev = "dev.tsv"
precision = "fp32"
epochs = 2
batch_size = 4
eval_every = 2
threads = 1
"""


def write(
    folder: Path,
    systems: str,
    *,
    model: str = "bert",
    url: str = "http://127.0.0.1:9/v1",
    budget: float = 5.0,
    numbers: str = "[1]",
    name: str = "grid",
) -> Path:
    """Write an experiment's file with everything that it names beside it."""
    folder.mkdir(exist_ok=True)
    if not (folder / "senteval").exists():
        stsb(folder)
        dev(folder / "dev.tsv")
        seeds(folder / "seeds.txt")
        triplets(folder / "nli.csv")
    path = folder / f"{name}.toml"
    path.write_text(HEAD.format(model=model, url=url, budget=budget, seeds=numbers) + systems, "utf-8")
    return path
