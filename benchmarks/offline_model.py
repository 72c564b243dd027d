"""What the offline model can do: top-1, agreement of its scores with people, its fills by mask rate, its speed.

``python -m benchmarks.offline_model --data SENTEVAL`` prints every figure of ``assets/offline/MODEL_CARD.md``:
held-out top-1 at 15 % and 50 % masked, Spearman of the scorer with STS-B gold, mean score by mask rate and the share
of fills equal to the original, pairs a second (fill and score, through the client, nine rates), and how many
sentences of each evaluation set stand in the training files. ``--only`` chooses parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from claif_tui.core.llm.base import Answer, Request, Sampling, Task
from claif_tui.core.llm.offline import OfflineClient
from claif_tui.core.masking import mask_sentence
from claif_tui.core.paths import assets_dir
from claif_tui.core.scores import parse_score
from engine.offline import corpus
from engine.offline.engine import Engine, load
from engine.offline.examples import Sentence, held_out_examples, tokenise
from engine.stats import spearman

RATES = tuple(n / 10 for n in range(9))
TOP1_RATES = (0.15, 0.5)
IN_FLIGHT = 32
Figures = dict[str, Any]


KINDS = ("words", "words of one piece", "pieces")
"""What is counted: hidden words (right if every piece is), those that one piece can fill, and hidden pieces."""


def top1_at(engine: Engine, items: list[Sentence], rate: float) -> dict[str, tuple[int, int]]:
    """By kind: how often the likeliest of all pieces is the one that was hidden, and how many were hidden."""
    table = engine.encoder.table.T
    counts: Counter[tuple[str, bool]] = Counter()
    for example in held_out_examples(items, rate, engine.pieces):
        rows = [n for n, target in enumerate(example.targets) if target != -100]
        states = engine.masked.states(np.array([example.ids]), rows)[0]
        guesses = (engine.masked.query(states) @ table + engine.masked.bias).argmax(-1)
        hits = guesses == np.array([example.targets[n] for n in rows])
        words: dict[int, list[bool]] = {}
        for row, hit in zip(rows, hits.tolist(), strict=True):
            words.setdefault(example.word[row], []).append(hit)
            counts["pieces", hit] += 1
        for own in words.values():
            counts["words", all(own)] += 1
            if len(own) == 1:
                counts["words of one piece", own[0]] += 1
    return {kind: (counts[kind, True], counts[kind, True] + counts[kind, False]) for kind in KINDS}


def top1(data: Path) -> Figures:
    """Held-out top-1 x100 of each training file, and over all of them."""
    engine = load(assets_dir())
    result: Figures = {}
    sums: Counter[tuple[str, float, str]] = Counter()
    for name, files in corpus.TRAIN_FILES.items():
        held = [s for f in files for s in corpus.read_sentences(data, f) if corpus.is_held_out(s)]
        items = tokenise(engine.pieces, held)
        result[name] = {"sentences": len(items)}
        for rate in TOP1_RATES:
            for kind, (right, asked) in top1_at(engine, items, rate).items():
                sums[kind, rate, "right"] += right
                sums[kind, rate, "asked"] += asked
                result[name][f"{kind} at {rate:.0%}"] = round(100 * right / asked, 1)
    result["all"] = {"sentences": sum(r["sentences"] for r in result.values())}
    for kind in KINDS:
        for rate in TOP1_RATES:
            share = sums[kind, rate, "right"] / sums[kind, rate, "asked"]
            result["all"][f"{kind} at {rate:.0%}"] = round(100 * share, 1)
    return result


def scorer(data: Path) -> Figures:
    """Spearman x100 of the scorer's rounded score, and of the raw cosine, with STS-B gold (fitted on train)."""
    engine = load(assets_dir())
    result: Figures = {}
    for split in ("dev", "train"):
        pairs = corpus.read_pairs(data, split)
        scores = [engine.scorer.score(p.first, p.second) for p in pairs]
        gold = [p.gold for p in pairs]
        result[f"STS-B {split}"] = {
            "pairs": len(pairs),
            "score": _spearman([s.score for s in scores], gold),
            "cosine": _spearman([s.cosine for s in scores], gold),
            "mean_error": round(mean(abs(s.score - g / 5) for s, g in zip(scores, gold, strict=True)), 3),
        }
    return result


def _spearman(first: list[float], second: list[float]) -> float | None:
    """The correlation x100, as it is reported."""
    found = spearman(first, second).value
    return None if found is None else round(100 * found, 2)


def fills(data: Path, seeds: int = 100) -> Figures:
    """Fill and score STS-B train sentences at nine rates through the client, as the pipeline does."""
    sentences = list(dict.fromkeys(corpus.read_sentences(data, corpus.TRAIN_FILES["STS-B train"][0])))
    chosen = sentences[:: len(sentences) // seeds][:seeds]
    rows, seconds = asyncio.run(_fill_all(chosen))
    high = [row for row in rows if row[1] >= 0.5]
    return {
        "seeds": len(chosen),
        "pairs_per_second": round(len(rows) / seconds, 1),
        "mean_score_by_rate": {
            f"{r:.1f}": round(mean(s for _, rate, _, s in rows if rate == r), 3) for r in RATES
        },
        "equal_to_original_at_0.5_or_more_percent": round(100 * mean(_same(a, b) for a, _, b, _ in high), 2),
    }


def _same(first: str, second: str) -> bool:
    return corpus.normalise(first) == corpus.normalise(second)


async def _fill_all(sentences: list[str]) -> tuple[list[tuple[str, float, str, float]], float]:
    client = OfflineClient()
    await client.open()
    work = [(number, text, rate) for number, text in enumerate(sentences) for rate in RATES]
    rows: list[tuple[str, float, str, float]] = []

    async def worker() -> None:
        while work:
            number, text, rate = work.pop(0)
            masked = mask_sentence(text, rate, 42)
            op = Task(op="fill", text=masked.text) if masked.k else Task(op="paraphrase", text=masked.text)
            filled = await _answer(client, op, number)
            score = parse_score(await _answer(client, Task(op="score", text=text, other=filled), 0)).value
            assert score is not None
            rows.append((text, rate, filled, score))

    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(worker())
        return rows, time.perf_counter() - began
    finally:
        await client.close()


async def _answer(client: OfflineClient, task: Task, seed: int) -> str:
    request = Request(
        key="benchmark",
        stage="generate",
        model="offline",
        api="chat",
        messages=(("user", task.text),),
        sampling=Sampling(temperature=0.7, top_p=0.9),
        task=task,
        seed=seed,
    )
    async for event in client.stream(request):
        if isinstance(event, Answer):
            return event.text
    raise AssertionError("a stream ends in an answer")


def overlap(data: Path) -> Figures:
    """How much of each evaluation set stands word for word in the training files."""
    shares = {
        name: {"sentences": total, "in_training": shared, "percent": round(100 * share, 1)}
        for name, (shared, total, share) in corpus.overlap(data).items()
    }
    own = round(100 * corpus.stsb_train_in_sts12_16(data), 1)
    return {**shares, "percent of STS-B train that also stands in STS12-16": own}


PARTS: dict[str, Callable[[Path], Figures]] = {
    "top1": top1,
    "scorer": scorer,
    "fills": fills,
    "overlap": overlap,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="the SentEval folder (with STS/, SNLI/, MR/, …)"
    )
    parser.add_argument(
        "--only", choices=list(PARTS), action="append", help="print this part alone (repeatable)"
    )
    args = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        # As in the child process: with small matrices several threads only wait for each other. Read when numpy loads.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.offline_model", *sys.argv[1:]])
    for name in args.only or PARTS:
        print(json.dumps({name: PARTS[name](args.data)}, indent=1), flush=True)


if __name__ == "__main__":
    main()
