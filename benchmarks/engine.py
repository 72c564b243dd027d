"""Training, encoding and evaluation against their peers: same machine, weights, batches and threads, in one run.

``python -m benchmarks.engine --data SENTEVAL [--only PART,…] [--official PATH]`` prints a table. Both sides take
turns, and a ratio is the median of the ratios of neighbouring turns, so that other work on the machine weighs on both
alike. The peer is sentence-transformers in its default precision (fp32); for the transfer classifier a plain loop
of the same arithmetic. ``--official`` names a checkout of SentEval, whose own loop is then timed too; without it that
row is left out and says so. On a machine with a GPU, ``gpu`` times a whole run of a model of BERT-base's size.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.engine_common import (
    CPU,
    ROOT,
    SYSTEMS,
    THREADS,
    Row,
    batches,
    clocked_step,
    packaged,
    ratio,
    run,
    sentences,
    settings,
)
from benchmarks.engine_extras import gpu, official
from benchmarks.engine_peers import Ours, Peer, PlainClassifier, plain_sts_cosines
from engine.data import read


def equal(data: Path) -> list[Row]:
    """The first 50 losses, dropout off."""
    rows = []
    for kind in SYSTEMS:
        config = settings(kind, data, "minilm:3", dropout=0.0)
        examples = read(config.data)
        total = 180
        ours, peer = Ours(config, total, CPU), Peer(kind, config, total, CPU)
        both = [
            (peer.step(n, *batch), ours.step(n, *batch))
            for n, batch in enumerate(batches(config, examples, 50))
        ]
        worst = max(abs(a - b) for a, b in both)
        rows.append(
            Row(
                f"50 losses, {SYSTEMS[kind]}, dropout off: first, last",
                f"{both[0][0]:.5f}, {both[-1][0]:.5f}",
                f"{both[0][1]:.5f}, {both[-1][1]:.5f}",
                f"largest difference {worst:.1e}",
                "1e-4",
            )
        )
    return rows


def steps(data: Path, count: int = 40) -> list[Row]:
    """Steps of CLAIF with all six layers: sentence-transformers, ours in fp32, ours in bf16."""
    config = settings("cosine", data, "minilm")
    examples = read(config.data)
    total = 540
    peer = Peer("cosine", config, total, CPU)
    ours = {name: Ours(replace(config, precision=name), total, CPU) for name in ("fp32", "bf16")}
    theirs: list[float] = []
    mine: dict[str, list[float]] = {name: [] for name in ours}
    for number, batch in enumerate(batches(config, examples, count + 3)):
        seconds = clocked_step(peer, number, batch)
        if number >= 3:
            theirs.append(seconds)
        for name, one in ours.items():
            seconds = clocked_step(one, number, batch)
            if number >= 3:
                mine[name].append(seconds)
    return [
        Row(
            f"a CLAIF training step, batch 32, {name}",
            f"{1e3 * median(theirs):.0f} ms",
            f"{1e3 * median(mine[name]):.0f} ms",
            ratio(theirs, mine[name]),
            wanted,
        )
        for name, wanted in (("fp32", "2.0x"), ("bf16", "3.0x"))
    ]


def memory(data: Path) -> list[Row]:
    """Peak memory of 60 steps, each side in a process of its own."""
    found = {}
    for who in ("peer", "ours"):
        words = [sys.executable, "-m", "benchmarks.engine", "--data", str(data), "--child", who]
        said = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        found[who] = float(said.split()[-1])
    share = found["ours"] / found["peer"]
    return [
        Row(
            "peak memory of training, batch 32",
            f"{found['peer']:,.0f} MB",
            f"{found['ours']:,.0f} MB",
            f"{share:.2f} of it",
            "at most 1",
        )
    ]


def child(who: str, data: Path) -> None:
    """Train for 60 steps and print the peak of this process's memory."""
    config = settings("cosine", data, "minilm")
    examples = read(config.data)
    side = Ours(config, 540, CPU) if who == "ours" else Peer("cosine", config, 540, CPU)
    for number, batch in enumerate(batches(config, examples, 60)):
        side.step(number, *batch)
    print(peak_bytes() / 2**20)


def peak_bytes() -> int:
    """The peak of this process's memory. On Linux ``ru_maxrss`` begins with that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# -- a whole epoch --------------------------------------------------------------------------------------------


def epoch(data: Path) -> list[Row]:
    """One epoch on STS-B with three layers and dev scores at its ends, as a whole run each."""
    rows = []
    for precision in ("fp32", "bf16"):
        with tempfile.TemporaryDirectory() as folder:
            config = settings("cosine", data, "minilm:3", epochs=1, precision=precision, eval_every=0)
            seconds, best = run(config, Path(folder) / "run")
        rows.append(
            Row(f"STS-B dev after one epoch, minilm:3, {precision}", "", f"{best:.2f}", f"{seconds:.0f} s")
        )
    return [peer_epoch(data, rows[0]), *rows[1:]]


def peer_epoch(data: Path, ours: Row) -> Row:
    """The row of fp32 with the peer's own steps beside it, dropout as the model has it."""
    from engine.evaluate.dev import read_dev
    from engine.stats import spearman

    config = settings("cosine", data, "minilm:3", epochs=1)
    examples = read(config.data)
    total = -(-len(examples) // config.batch_size)
    peer = Peer("cosine", config, total, CPU)
    dev = read_dev(data, "stsb")

    def score() -> float:
        peer.model.eval()
        found = spearman(dev.gold.tolist(), plain_sts_cosines(peer.model, dev.first, dev.second).tolist())
        peer.model.train()
        return 100 * (found.value or 0.0)

    before = score()
    for number, batch in enumerate(batches(config, examples, total)):
        peer.step(number, *batch)
    return replace(ours, peer=f"{score():.2f} (untrained {before:.2f})", wanted="at least 77")


# -- encoding and STS -----------------------------------------------------------------------------------------


def encode(data: Path, count: int = 4000, turns: int = 8) -> list[Row]:
    """Sentences of the STS tasks, drawn at random, in turns."""
    from sentence_transformers import SentenceTransformer

    from engine.encoder import load

    texts = sentences(data)
    chosen = [texts[n] for n in np.random.default_rng(0).permutation(len(texts))[:count]]
    peer, ours = SentenceTransformer(packaged(), device="cpu"), load("minilm")
    theirs: list[float] = []
    mine: dict[str, list[float]] = {"fp32": [], "bf16": []}
    worst = dict.fromkeys(mine, 0.0)
    size = count // turns
    for precision in mine:
        ours.encode(chosen[:64], precision=precision)
    peer.encode(chosen[:64])
    for turn in range(turns):
        part = chosen[turn * size : (turn + 1) * size]
        start = time.perf_counter()
        expected = peer.encode(part, batch_size=64)
        theirs.append(time.perf_counter() - start)
        for precision in mine:
            start = time.perf_counter()
            found = ours.encode(part, precision=precision)
            mine[precision].append(time.perf_counter() - start)
            worst[precision] = max(worst[precision], float((1 - cosine(expected, found)).max()))
    return [
        Row(
            f"encoding STS sentences, {name} (1 - cosine at most {worst[name]:.0e})",
            f"{size / median(theirs):.0f} /s",
            f"{size / median(mine[name]):.0f} /s",
            ratio(theirs, mine[name]),
            wanted,
        )
        for name, wanted in (("fp32", "1.5x"), ("bf16", "3.5x"))
    ]


def cosine(a: Any, b: Any) -> Any:
    """Cosines of rows."""
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def sts(data: Path) -> list[Row]:
    """All seven STS tasks of one model: a loop without economy over each file, against ours."""
    from sentence_transformers import SentenceTransformer

    from engine.encoder import load
    from engine.evaluate import sts as ours_sts
    from engine.evaluate.data import read_sts
    from engine.evaluate.pairs import benchmark, sick
    from engine.stats import spearman
    from engine.tasks import STS

    peer, ours = SentenceTransformer(packaged(), device="cpu"), load("minilm")
    start = time.perf_counter()
    mine = ours_sts.sts(ours.encode, data, STS, resamples=0)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    theirs = {}
    for task in STS:
        pairs = read_sts(data, task)
        found = plain_sts_cosines(peer, pairs.first, pairs.second)
        theirs[task] = 100 * (spearman(pairs.gold.tolist(), found.tolist()).value or 0.0)
    # The official loop goes through the train and dev splits of these two as well.
    for folder, others, reader in (
        ("STS/STSBenchmark", ("sts-train.csv", "sts-dev.csv"), benchmark),
        ("SICK", ("SICK_train.txt", "SICK_trial.txt"), sick),
    ):
        for name in others:
            pairs = reader(data / folder / name)
            plain_sts_cosines(peer, pairs.first, pairs.second)
    peer_seconds = time.perf_counter() - start
    apart = max(abs(theirs[task] - (mine[task].spearman or 0.0)) for task in STS)
    return [
        Row(
            f"all seven STS tasks, fp32 (figures differ by {apart:.4f} at most)",
            f"{peer_seconds:.0f} s",
            f"{seconds:.0f} s",
            f"{peer_seconds / seconds:.2f}x",
            "5x",
        )
    ]


# -- transfer -------------------------------------------------------------------------------------------------


def transfer(data: Path) -> list[Row]:
    """CR, full mode: the 40 fits of one outer fold by ours, every fourth of them by the plain loop. CPU seconds."""
    from engine.encoder import load
    from engine.evaluate import transfer as ours_transfer
    from engine.evaluate.classifier import FULL, Fit, fit_all
    from engine.evaluate.data import read_transfer
    from engine.evaluate.folds import stratified_folds

    split = ours_transfer.in_order(read_transfer(data, "CR").splits[0])
    vectors, labels = load("minilm").encode(split.first), split.labels
    train = stratified_folds(labels, 10)[0][0]
    fits = [
        Fit(train[a], train[b], penalty)
        for penalty in ours_transfer.PENALTIES
        for a, b in stratified_folds(labels[train], 10)
    ]
    x, y = torch.from_numpy(vectors), torch.from_numpy(labels)
    torch.set_num_threads(1)
    start = time.process_time()
    mine = fit_all(x, y, 2, fits, FULL)
    seconds = time.process_time() - start
    same, chosen = 0, list(zip(fits, mine, strict=True))[::4]
    start = time.process_time()
    for fit, got in chosen:
        plain = PlainClassifier(x.shape[1], 2, fit.l2, batch=64, epoch_size=4, tenacity=5)
        assert fit.valid is not None
        accuracy = plain.fit((x[fit.train], y[fit.train]), (x[fit.valid], y[fit.valid]))
        same += accuracy == got.accuracy and torch.equal(plain.model[0].weight.detach(), got.weight)
    theirs = (time.process_time() - start) * len(fits) / len(chosen)
    torch.set_num_threads(THREADS)
    return [
        Row(
            f"transfer classifier, CR, full mode, 40 fits ({same} of {len(chosen)} compared equal to the last bit)",
            f"{theirs:.1f} CPU s",
            f"{seconds:.1f} CPU s",
            f"{theirs / seconds:.1f}x",
            "10x",
        )
    ]


# -- a GPU ----------------------------------------------------------------------------------------------------


# -- the table ------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "equal": equal,
    "steps": steps,
    "memory": memory,
    "epoch": epoch,
    "encode": encode,
    "sts": sts,
    "transfer": transfer,
    "gpu": gpu,
}


def main() -> None:
    """Print the table, a part as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--official", type=Path)
    parser.add_argument("--child", choices=("ours", "peer"))
    args = parser.parse_args()
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    torch.set_num_threads(THREADS)
    if args.child:
        child(args.child, args.data)
        return
    parts: dict[str, Callable[[Path], list[Row]]] = {
        **PARTS,
        "official": partial(official, checkout=args.official),
    }
    wanted = args.only.split(",") if args.only else list(parts)
    if unknown := [name for name in wanted if name not in parts]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    print(f"torch {torch.__version__}, {THREADS} threads\n")
    print(
        "| what | sentence-transformers or a plain loop | ours | ratio | wanted |\n|---|---|---|---|---|",
        flush=True,
    )
    for name in wanted:
        for row in parts[name](args.data):
            print(f"| {row.what} | {row.peer} | {row.ours} | {row.ratio} | {row.wanted} |", flush=True)


if __name__ == "__main__":
    main()
