"""What ``benchmarks.engine`` measures only where it is there: a checkout of the official SentEval, and a GPU."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.engine_common import Row, batches, clocked_step, packaged, run, sentences, stsb
from benchmarks.engine_peers import Peer
from engine.config import preset
from engine.data import read


def official(data: Path, checkout: Path | None = None) -> list[Row]:
    """CR by the official SentEval, if there is a checkout of it."""
    what = "transfer, CR, full mode, official SentEval"
    if checkout is None:
        return [Row(what, "left out: --official PATH names a checkout of SentEval", "", "")]
    from engine.encoder import load
    from engine.evaluate.transfer import transfer as ours_transfer

    sys.path.insert(0, str(checkout))
    try:
        senteval = import_module("senteval")
    except ImportError as error:
        return [Row(what, f"left out: {checkout} cannot be imported ({error})", "", "")]
    encoder = load("minilm")
    known: dict[str, Any] = {}

    def vectors(texts: list[str]) -> Any:
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(missing, encoder.encode(missing), strict=True))
        return np.stack([known[text] for text in texts])

    def batcher(params: Any, batch: list[list[str]]) -> Any:
        return vectors([" ".join(words) for words in batch])

    classifier = {"nhid": 0, "optim": "adam", "batch_size": 64, "tenacity": 5, "epoch_size": 4}
    params = {"task_path": str(data.parent), "usepytorch": True, "kfold": 10, "classifier": classifier}
    ours_transfer(vectors, data, "CR", "fast")  # so that neither side pays for encoding
    start = time.process_time()
    mine = ours_transfer(vectors, data, "CR")
    seconds = time.process_time() - start
    start = time.process_time()
    theirs = senteval.engine.SE(params, batcher, lambda params, samples: None).eval("CR")
    peer_seconds = time.process_time() - start
    return [
        Row(
            what,
            f"{peer_seconds:.0f} CPU s ({theirs['acc']:.2f})",
            f"{seconds:.0f} CPU s ({mine.printed:.2f})",
            f"{peer_seconds / seconds:.1f}x",
            "10x",
        )
    ]


def gpu(data: Path, pairs: int = 113_773, epochs: int = 3) -> list[Row]:
    """A whole CLAIF run of a model of BERT-base's size with fresh weights, against the peer's steps on the same GPU."""
    what = f"CLAIF, BERT-base size, {pairs:,} pairs, {epochs} epochs, dev every 125 steps"
    if not torch.cuda.is_available():
        return [Row(what, "left out: no GPU here", "", "")]
    with tempfile.TemporaryDirectory() as folder:
        model, file = Path(folder) / "model", Path(folder) / "pairs.jsonl"
        _bert_base(model)
        _pairs(file, sentences(data), pairs)
        dev = str(stsb(data).with_name("sts-dev.csv"))
        config = preset("claif", model=str(model), data=str(file), dev=dev, epochs=epochs, precision="bf16")
        seconds, _ = run(config, Path(folder) / "run")
        device, total, count = torch.device("cuda"), epochs * -(-pairs // 32), 60
        peer = Peer("cosine", replace(config, precision="fp32"), total, device)
        some = enumerate(batches(config, read(str(file)), count))
        taken = [clocked_step(peer, number, batch) for number, batch in some]
    theirs = median(taken[10:]) * total
    return [
        Row(what, f"{theirs:.0f} s, steps alone", f"{seconds:.0f} s", f"{theirs / seconds:.1f}x", "90 s; 5x")
    ]


def _bert_base(folder: Path) -> None:
    from transformers import AutoTokenizer, BertConfig, BertModel

    AutoTokenizer.from_pretrained(packaged()).save_pretrained(folder)
    BertModel(BertConfig()).save_pretrained(folder)


def _pairs(file: Path, texts: list[str], count: int) -> None:
    chance = np.random.default_rng(0)
    sides, scores = chance.integers(0, len(texts), (count, 2)), chance.random(count)
    with file.open("w", encoding="utf-8") as out:
        for (a, b), score in zip(sides, scores, strict=True):
            row = {"text_a": texts[a], "text_b": texts[b], "label": round(float(score), 2)}
            out.write(json.dumps(row) + "\n")
