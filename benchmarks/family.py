"""Every system of the family, from seed sentences to its STS row, by one experiment file; the table and what it took.

``python -m benchmarks.family --data PATH [--seeds N] [--triplets N] [--out DIR]``: PATH is a folder with ``STS`` and
``SNLI`` as the papers' evaluation toolkit lays them out. Nothing is paid: the offline model writes and scores, and a
small decoder, trained here for a minute on STS-B and SNLI, is the local model of the systems that need logits. So every
row of a system that asks a model is a demo: the table shows that the systems run, not how good they are.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from claif_tui.core import system_prompts as words

FILE = """name = "family"
data = "{data}"
tasks = "sts"
budget_usd = 1.0
backbones = ["minilm:3"]
seeds = [42]

[seeds_from]
file = "{data}/STS/STSBenchmark/sts-train.csv"
format = "stsb"
limit = {seeds}

[nli]
file = "nli.csv"
limit = {triplets}

[nli_labels]
file = "snli"

[model]
profile = "offline"

[train]
precision = "fp32"
batch_size = 32
eval_every = 25
"""
PLAIN = (
    *("average", "whitening", "simcse-unsup", "promptbert-unsup", "simcse-sup", "promptbert-sup", "sbert"),
    *("claif", "claif-cross", "claif-scaled", "clhaif", "clhaif-prompt", "dino-api", "dino-api+check"),
    *("syncse-partial", "syncse-naive", "multicsr"),
)
LOCAL = ("dino-local", "multicsr-local")


def triplets(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (premise, entailment, contradiction) of SNLI's dev and test files, one for each premise that has both."""
    for split in ("dev", "test"):
        sides = [
            (data / "SNLI" / f"{name}.{split}").read_text("utf-8").split("\n")
            for name in ("s1", "s2", "labels")
        ]
        found: dict[str, dict[str, str]] = {}
        for premise, hypothesis, label in zip(*sides, strict=True):
            if premise:
                found.setdefault(premise, {}).setdefault(label.strip(), hypothesis)
        for premise, answers in found.items():
            if {"entailment", "contradiction"} <= answers.keys():
                yield premise, answers["entailment"], answers["contradiction"]


def lessons(data: Path) -> list[tuple[str, str]]:
    """Return (prompt, answer) in the words of Dino and MultiCSR, from STS-B's training pairs and SNLI."""
    made: list[tuple[str, str]] = []
    for line in (data / "STS" / "STSBenchmark" / "sts-train.csv").read_text("utf-8").rstrip("\n").split("\n"):
        score, first, second = line.split("\t")[4:7]
        gold = float(score)
        for low, high, template in (
            (4.0, 5.0, words.DINO_SAME),
            (1.5, 3.5, words.DINO_SIMILAR),
            (0.0, 0.8, words.DINO_DIFFERENT),
        ):
            if low <= gold <= high:
                made.append((template.replace("{sentence}", first), f'{second}"'))
        asked = words.MULTICSR_SCORE.replace("{sentence1}", first).replace("{sentence2}", second)
        made.append((asked, f" {gold:.1f}\n"))
    for premise, entailment, contradiction in triplets(data):
        made.append((words.MULTICSR_ENTAILMENT.replace("{sentence}", premise), f" {entailment}\n"))
        made.append((words.MULTICSR_CONTRADICTION.replace("{sentence}", premise), f" {contradiction}\n"))
    return made


def decoder(folder: Path, data: Path, steps: int) -> Path:
    """Train a two-layer GPT-2 on ``lessons`` and save it; its answers are poor, but no noise."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(1)
    pairs = lessons(data)
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    own.train_from_iterator([asked + said for asked, said in pairs], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, pad_token="<pad>", eos_token="<eos>")
    rows = [
        (tokenizer(asked)["input_ids"], [*tokenizer(said)["input_ids"], 1])
        for asked, said in pairs
        if len(asked) + len(said) < 700
    ]
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=128,
        n_layer=2,
        n_head=4,
        n_positions=256,
        bos_token_id=1,
        eos_token_id=1,
    )
    model = GPT2LMHeadModel(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    draws = torch.randint(len(rows), (steps, 16), generator=torch.Generator().manual_seed(2))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        batch = [rows[place] for place in draws[step].tolist()]
        width = max(len(asked) + len(said) for asked, said in batch)
        ids = torch.tensor([[*a, *s, *[0] * (width - len(a) - len(s))] for a, s in batch])
        labels = torch.tensor([[-100] * len(a) + s + [-100] * (width - len(a) - len(s)) for a, s in batch])
        optimiser.zero_grad()
        loss = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        loss.backward()
        optimiser.step()
    print(f"decoder: {len(rows):,} texts, {steps} steps, loss {loss.item():.2f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write(folder: Path, data: Path, seeds: int, count: int, steps: int) -> Path:
    """Write everything that the experiment reads; return its file."""
    with (folder / "nli.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("sent0", "sent1", "hard_neg"))
        rows.writerows(triplets(data))
    (folder / "snli").mkdir()
    for name in ("s1", "s2", "labels"):
        # Of SNLI there are only dev and test here; dev trains, and no figure below is measured on it.
        lines = (data / "SNLI" / f"{name}.dev").read_text("utf-8").split("\n")[: 5 * count]
        (folder / "snli" / f"{name}.train").write_text("\n".join(lines) + "\n", "utf-8")
    local = decoder(folder / "decoder", data, steps)
    text = FILE.format(data=data, seeds=seeds, triplets=count)
    for name in PLAIN:
        text += f'\n[[system]]\nname = "{name}"\n'
    text += f'\n[[system]]\nname = "syncse-scratch"\n[system.recipe]\nscratch.sentences = {seeds}\n'
    for name in LOCAL:
        text += f'\n[[system]]\nname = "{name}"\n[system.model]\nname = "local:{local}"\napi = "completions"\n'
        text += "stand_in = true\n"
    path = folder / "family.toml"
    path.write_text(text, encoding="utf-8")
    return path


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--triplets", type=int, default=400)
    parser.add_argument("--steps", type=int, default=1200, help="training steps of the decoder")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.out or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "family.toml"
        if not path.exists():
            path = write(folder, given.data.resolve(), given.seeds, given.triplets, given.steps)
        start = time.monotonic()
        command = [sys.executable, "-m", "claif_tui", "experiment", str(path), "--yes"]
        code = subprocess.run(command, check=False).returncode
        print(f"{time.monotonic() - start:.0f} s, exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
