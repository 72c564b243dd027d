"""Tiny language models, trained for seconds so that what they write is no noise: a GPT-2, a Llama and a T5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

SENTENCES = [
    "A man is playing a guitar.",
    "Two dogs run over the grass.",
    "A woman slices an onion.",
    "The cat sleeps in the sun.",
    "Prices rose in May.",
    "A child reads a book at home.",
]
ANSWERS = [
    "A man plays the guitar.",
    "Two dogs are running.",
    "A woman cuts an onion.",
    "A cat sleeps.",
    "Prices went up in May.",
    "The child is reading.",
]
SAME, TOPIC, SCORE = "Say the same", "Say something else", "How similar"
CAFÉ = "Café → 東京"
PAIRS = [
    *((f'{SAME}: {a}\nAnswer: "', f'{b}"') for a, b in zip(SENTENCES, ANSWERS, strict=True)),
    *((f'{TOPIC}: {a}\nAnswer: "', f'{b}"') for a, b in zip(SENTENCES, ANSWERS[2:] + ANSWERS[:2], strict=True)),
    *((f"{SCORE}: {a} | {b} is", " 0.8.") for a, b in zip(SENTENCES, ANSWERS, strict=True)),
    ("City:", f" {CAFÉ}."),
]
ENDS = "<eos>"


def tokenizer() -> Any:
    """A byte-level tokenizer, so that one character may be several tokens."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    own.train_from_iterator(
        [a + b for a, b in PAIRS if "City" not in a],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<pad>", ENDS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=own, pad_token="<pad>", eos_token=ENDS)


def _save(folder: Path, model: Any, words: Any) -> Path:
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _trained(model: Any, batches: Sequence[dict[str, Any]], steps: int, rate: float) -> Any:
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimiser.zero_grad()
        model(**batches[step % len(batches)]).loss.backward()
        optimiser.step()
    return model.eval()


def _padded(rows: list[list[int]], fill: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def causal(folder: Path, kind: str = "gpt2", *, steps: int = 200) -> Path:
    """A GPT-2 (absolute positions) or a Llama (rotary ones, grouped heads) that knows PAIRS by heart, mostly."""
    torch.manual_seed(3)
    words = tokenizer()
    special = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    calm = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model: Any
    if kind == "gpt2":
        sizes = {"n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 160, **calm}
        model = GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **sizes, **special))
    else:
        config = LlamaConfig(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=160,
            **special,
        )
        model = LlamaForCausalLM(config)
    rows = [words(a + b)["input_ids"] + [1] for a, b in PAIRS]
    ids = _padded(rows, 0)
    batch = {"input_ids": ids, "attention_mask": _padded([[1] * len(r) for r in rows], 0)}
    batch["labels"] = _padded(rows, -100)
    return _save(folder, _trained(model, [batch], steps, 4e-3), words)


def seq2seq(folder: Path, *, steps: int = 120) -> Path:
    """A T5."""
    torch.manual_seed(4)
    words = tokenizer()
    config = T5Config(
        vocab_size=len(words),
        d_model=48,
        d_kv=16,
        d_ff=96,
        num_layers=2,
        num_heads=3,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    asked = [words(a)["input_ids"] + [1] for a, _ in PAIRS]
    batch = {
        "input_ids": _padded(asked, 0),
        "attention_mask": _padded([[1] * len(row) for row in asked], 0),
        "labels": _padded([words(b)["input_ids"] + [1] for _, b in PAIRS], -100),
    }
    return _save(folder, _trained(T5ForConditionalGeneration(config), [batch], steps, 5e-3), words)


def scripted(folder: Path, logits: Sequence[Sequence[float]]) -> Path:
    """A GPT-2 whose next-token logits depend on the last token alone: row k of ``logits`` after token k.

    Embeddings are rows of a Hadamard matrix, which the final layer norm leaves as they are; the blocks add nothing.
    """
    size, width = len(logits), 16
    hadamard = torch.ones(1, 1)
    while len(hadamard) < width:
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    rows = hadamard[1 : size + 1]
    config = GPT2Config(
        vocab_size=size,
        n_embd=width,
        n_layer=1,
        n_head=2,
        n_positions=32,
        tie_word_embeddings=False,
        layer_norm_epsilon=1e-12,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.transformer.h.parameters():
            parameter.zero_()
        model.transformer.wpe.weight.zero_()
        model.transformer.wte.weight.copy_(rows)
        model.lm_head.weight.copy_(torch.tensor(logits).T @ rows / width)
    own = Tokenizer(models.WordLevel({f"t{n}": n for n in range(size)}, unk_token="t0"))
    own.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    own.decoder = decoders.WordPiece()
    return _save(folder, model, PreTrainedTokenizerFast(tokenizer_object=own))
