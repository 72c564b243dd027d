"""The named training files of the offline model and the evaluation sets whose overlap its card reports.

Standard library only; nothing here reads a test split for training.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRAIN_FILES: dict[str, tuple[str, ...]] = {
    "STS-B train": ("STS/STSBenchmark/sts-train.csv",),
    "SNLI dev": ("SNLI/s1.dev", "SNLI/s2.dev"),
    "MR": ("MR/rt-polarity.pos", "MR/rt-polarity.neg"),
    "SUBJ": ("SUBJ/subj.objective", "SUBJ/subj.subjective"),
    "MRPC train": ("MRPC/msr_paraphrase_train.txt",),
}
"""Name -> files under the SentEval folder; `read_sentences` knows their encodings and columns."""

EVAL_FILES: dict[str, str] = {
    "STS12": "STS/STS12-en-test/STS.input.*.txt",
    "STS13": "STS/STS13-en-test/STS.input.*.txt",
    "STS14": "STS/STS14-en-test/STS.input.*.txt",
    "STS15": "STS/STS15-en-test/STS.input.*.txt",
    "STS16": "STS/STS16-en-test/STS.input.*.txt",
    "STS-B dev": "STS/STSBenchmark/sts-dev.csv",
    "STS-B test": "STS/STSBenchmark/sts-test.csv",
    "SICK": "SICK/SICK_*.txt",
    "MRPC test": "MRPC/msr_paraphrase_test.txt",
}
"""Name -> glob under the SentEval folder of the sets that other models are judged on."""

HELD_OUT_ONE_IN = 64
"""One training sentence in so many, chosen by hash, is never trained on and gives the top-1 figures."""

_LATIN1 = ("MR/", "SUBJ/")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldPair:
    """One STS pair with its human score on the 0-5 scale of the file."""

    first: str
    second: str
    gold: float


def normalise(sentence: str) -> str:
    """The form in which two sentences count as the same: lower case, whitespace runs collapsed."""
    return " ".join(sentence.split()).lower()


def _columns(path: Path) -> tuple[int, ...]:
    """Which tab-separated columns hold sentences; empty when the whole line is one."""
    name = path.name
    if name.startswith("sts-"):
        return (5, 6)
    if name.startswith("msr_paraphrase"):
        return (3, 4)
    if name.startswith("SICK_"):
        return (1, 2)
    if name.startswith("STS.input"):
        return (0, 1)
    return ()


def read_sentences(root: Path, relative: str) -> Iterator[str]:
    """Yield every non-empty sentence of one data file, in file order, duplicates kept."""
    path = root / relative
    encoding = "latin-1" if relative.startswith(_LATIN1) else "utf-8-sig"
    columns = _columns(path)
    with path.open(encoding=encoding, newline="\n") as lines:
        for number, line in enumerate(lines):
            fields = line.rstrip("\r\n").split("\t")
            if number == 0 and fields[0] in ("Quality", "pair_ID"):
                continue
            for text in [fields[c] for c in columns if c < len(fields)] if columns else [line]:
                if text.strip():
                    yield " ".join(text.split())


def training_sentences(root: Path) -> list[str]:
    """Every sentence of the training files, in file order; what stands in a file three times is here three times."""
    return [s for files in TRAIN_FILES.values() for relative in files for s in read_sentences(root, relative)]


def is_held_out(sentence: str) -> bool:
    """Whether a sentence belongs to the slice that is never trained on; depends on its text alone."""
    digest = hashlib.sha256(normalise(sentence).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_ONE_IN == 0


def read_pairs(root: Path, split: str) -> list[GoldPair]:
    """STS-B pairs of one split ("train" or "dev") with gold 0-5; tab-separated, no quoting."""
    path = root / "STS" / "STSBenchmark" / f"sts-{split}.csv"
    pairs = []
    with path.open(encoding="utf-8", newline="\n") as lines:
        for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) >= 7:
                pairs.append(GoldPair(first=row[5].strip(), second=row[6].strip(), gold=float(row[4])))
    return pairs


def evaluation_sentences(root: Path, name: str) -> set[str]:
    """Distinct normalised sentences of an evaluation set; of STS12-16 the scored pairs alone."""
    return {
        normalise(s)
        for path in sorted(root.glob(EVAL_FILES[name]))
        for s in (
            _scored(path) if path.name.startswith("STS.input") else read_sentences(root, _below(path, root))
        )
    }


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _scored(path: Path) -> Iterator[str]:
    """Both sentences of every line of an STS input file whose gold line is not empty."""
    gold = path.with_name(path.name.replace("STS.input", "STS.gs"))
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    for line, score in zip(lines, gold.read_text(encoding="utf-8").split("\n"), strict=False):
        if score.strip():
            yield from (" ".join(field.split()) for field in line.split("\t")[:2])


def overlap(root: Path) -> dict[str, tuple[int, int, float]]:
    """Per evaluation set: (distinct sentences that stand in the training files, distinct sentences, their ratio)."""
    train = {normalise(s) for s in training_sentences(root)}
    result = {}
    for name in EVAL_FILES:
        theirs = evaluation_sentences(root, name)
        shared = len(train & theirs)
        result[name] = (shared, len(theirs), shared / len(theirs) if theirs else 0.0)
    return result


def stsb_train_in_sts12_16(root: Path) -> float:
    """Share of STS-B's distinct training sentences that also stand in the scored pairs of STS12-16."""
    own = {normalise(s) for s in read_sentences(root, TRAIN_FILES["STS-B train"][0])}
    theirs = set().union(*(evaluation_sentences(root, f"STS{year}") for year in range(12, 17)))
    return len(own & theirs) / len(own)


def masked_positions(n_words: int, rate: float, rng: random.Random) -> list[int]:
    """Word positions to hide: ceil(n * rate) of them, at least one, sorted."""
    tenths = round(rate * 1000)
    count = max(1, -(-n_words * tenths // 1000))
    return sorted(rng.sample(range(n_words), min(count, n_words)))
