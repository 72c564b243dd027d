"""The dev score that chooses a checkpoint: on which pairs, and how. Test splits cannot be reached from here.

Undefined scores are None with a reason, never 0 and never nan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from engine import data
from engine.config import TrainConfig
from engine.data import Examples
from engine.datafiles.splits import STSB_TEST_ROWS, refusal
from engine.errors import ConfigError, DataError
from engine.evaluate.cosine import dev_score
from engine.evaluate.dev import read_dev, read_pairs
from engine.evaluate.pairs import Pairs
from engine.stats import Correlation, spearman

if TYPE_CHECKING:
    from engine.encoder import CrossEncoder, Encoder

_STSB_DEV = "sts-dev.csv"
_NAME_ONE = "Name one with dev: STS-B's sts-dev.csv, or the folder of the evaluation data."
_DATA_HINT = f"{_NAME_ONE} Or set select to own: a share of the training data is held out."


@dataclass(frozen=True, slots=True, kw_only=True)
class DevScore:
    """``dev`` x100, or None and the ``reason``; ``details`` holds the score of each set, and the others measured."""

    dev: float | None
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """The dev sets by name; the score is the mean over them. Their sentences are tokenised once, at the first score."""

    sets: dict[str, Pairs]
    metric: Literal["cosine", "max4"]
    _tokens: dict[str, Any] = field(default_factory=dict)

    def score(self, encoder: Encoder | CrossEncoder, precision: str) -> DevScore:
        """Score a model, dropout off."""
        from engine.encoder import CrossEncoder  # what else is here is needed before torch is

        found, details = {}, {}
        for name, pairs in self.sets.items():
            if name not in self._tokens:
                self._tokens[name] = (
                    encoder.tokenise_pairs(pairs.first, pairs.second)
                    if isinstance(encoder, CrossEncoder)
                    else encoder.prepare(pairs.first + pairs.second)
                )
            tokens = self._tokens[name]
            if isinstance(encoder, CrossEncoder):
                logits = encoder.predict_pairs(tokens, precision=precision)
                found[name] = spearman(pairs.gold.tolist(), logits.tolist())
            else:
                vectors = encoder.encode(tokens, precision=precision)
                first, second = vectors[: len(pairs)], vectors[len(pairs) :]
                other = "max4" if self.metric == "cosine" else "cosine"
                found[name] = _finite_score(first, second, pairs, self.metric)
                details[f"{name}_{other}"] = _times_100(_finite_score(first, second, pairs, other))
            details[name] = _times_100(found[name])
        if reason := "; ".join(f"{name}: {one.reason}" for name, one in found.items() if one.value is None):
            return DevScore(dev=None, reason=reason, details=details)
        values = [one.value for one in found.values() if one.value is not None]
        return DevScore(dev=100 * sum(values) / len(values), details=details)

    def describe(self) -> dict[str, Any]:
        """Number of pairs and fingerprint of each set."""
        return {name: {"pairs": len(one), "fingerprint": one.fingerprint} for name, one in self.sets.items()}


def _finite_score(first: Any, second: Any, pairs: Pairs, metric: str) -> Correlation:
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return Correlation(None, len(pairs), "a vector is not finite")
    return dev_score(first, second, pairs.gold, cast(Literal["cosine", "max4"], metric))


def _times_100(found: Correlation) -> float | None:
    return None if found.value is None else 100 * found.value


def choose(config: TrainConfig, examples: Examples) -> tuple[Examples, Selection]:
    """The rows to train on, and what selects; ``ConfigError`` or ``DataError`` where there are none."""
    train = examples.of_split("train")
    if not len(train) and config.allow_test:
        train = examples.of_split("test")
    if not len(train):
        held = ", ".join(f"{split}: {count:,}" for split, count in examples.report.splits.items())
        raise DataError(
            f"{config.data}: none of its rows is for training ({held})", "Name a training file or a snapshot."
        )
    sets: dict[str, Pairs] = {}
    if config.select == "own":
        dev = examples.of_split("dev")
        if not len(dev):
            train, dev = data.split_dev(train, config.dev_share, config.seed)
        sets["own"] = _own(config, dev)
    elif config.select == "stsb":
        sets["stsb"] = _stsb(config, examples)
    else:
        root = _root(config)
        sets = {name: read_dev(root, name) for name in ("stsb", "sickr")}
    for name, pairs in sets.items():
        if len(np.unique(pairs.gold)) < 2:
            raise DataError(
                f"the dev set {name} cannot select: all of its {len(pairs):,} pairs have the same score",
                _DATA_HINT,
            )
    return train, Selection(sets, cast(Literal["cosine", "max4"], config.dev_metric))


def dev_place(config: TrainConfig) -> str:
    """The file or folder beside the data that the dev set is read from; "" if it is rows of the data."""
    if config.select == "own":
        return ""
    if config.select != "stsb":
        return str(_root(config))
    beside = Path(config.data).parent / _STSB_DEV
    return config.dev or (str(beside) if beside.is_file() else "")


def _own(config: TrainConfig, dev: Examples) -> Pairs:
    if not {"sentence2", "score"} <= set(dev.columns):
        raise ConfigError(
            f"select is own, but the rows of {config.data} are no scored pairs, so nothing can be correlated",
            "Set select to stsb.",
        )
    rows = dev.batch(range(len(dev)))
    return Pairs("own", rows["sentence1"], rows["sentence2"], np.array(rows["score"], dtype=np.float64))


def _stsb(config: TrainConfig, examples: Examples) -> Pairs:
    """The named file or folder; else the dev file beside the data; else the dev split of the data."""
    if config.dev:
        path = Path(config.dev)
        if not path.is_dir():
            return _file(path)
        beside = path / _STSB_DEV
        return _file(beside) if beside.is_file() else read_dev(path, "stsb")
    beside = Path(config.data).parent / _STSB_DEV
    if beside.is_file():
        return _file(beside)
    dev = examples.of_split("dev")
    scored = {"sentence2", "score"} <= set(examples.columns)
    if len(dev) and scored:
        return _own(config, dev)
    hint = (
        _DATA_HINT if scored else _NAME_ONE
    )  # triplets without scores cannot be held out: select own refuses them
    raise ConfigError(f"there is no development set: none lies beside {config.data}", hint)


def _file(path: Path) -> Pairs:
    if path.suffix in (".jsonl", ".json"):
        found = data.read(path)
        if not {"sentence2", "score"} <= set(found.columns):
            raise DataError(f"{path}: its rows are no scored pairs", _DATA_HINT)
        rows = found.batch(range(len(found)))
        return Pairs(path.name, rows["sentence1"], rows["sentence2"], np.array(rows["score"]))
    pairs = read_pairs(path)
    if len(pairs) == STSB_TEST_ROWS:
        raise refusal(str(path), f"{STSB_TEST_ROWS:,} pairs are STS-B's test split")
    return pairs


def _root(config: TrainConfig) -> Path:
    """The folder of the evaluation data: as named, or one that the training data lie in."""
    if config.dev:
        return Path(config.dev)
    for folder in Path(config.data).absolute().parents:
        if (folder / "STS/STSBenchmark").is_dir() and (folder / "SICK").is_dir():
            return folder
    raise ConfigError(f"select is {config.select}, but {config.data} lies in no evaluation data", _DATA_HINT)
