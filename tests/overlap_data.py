"""Evaluation data in which one set is whole, and training data of which it is known what stands in it."""

from __future__ import annotations

import json
from pathlib import Path

ROWS = (
    ("The cat number 7 is on the mat!", "the dog number 7  is on the mat"),  # a pair of the set
    ("the cat number 8 is on the mat", "the dog number 9 is on the mat"),  # two sentences of it, no pair
    ("the cat number 11 is on the red [/]mat\x1b", "nobody has ever written that"),  # nearly one
    ("a first one of mine", "a second one of mine"),
    ("a third one of mine", "a fourth one of mine"),
    ("a fifth one of mine", "a sixth one of mine"),
)
"""Pairs to train on; STS-B's test split holds sentences of the first two and nearly one of the third."""


def evaluation_data(root: Path) -> Path:
    """Write STS-B's test split, as long as the real one and English; no other set is there. Returns the folder."""
    file = root / "STS" / "STSBenchmark" / "sts-test.csv"
    file.parent.mkdir(parents=True)
    file.write_text(
        "".join(
            f"main\tx\t2012\t{n:04}\t{n % 6}\tthe cat number {n} is on the mat\tthe dog number {n} is on the mat\n"
            for n in range(1379)
        )
    )
    return root


def training_file(path: Path) -> Path:
    """Write the rows as CLAIF's files have them; returns the path."""
    rows = [{"text_a": a, "text_b": b, "label": n / 5} for n, (a, b) in enumerate(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
