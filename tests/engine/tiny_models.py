"""Tiny models with real tokenizers, saved as Hugging Face folders, for the tests of encoders and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

TEXTS = [
    "A man is playing a guitar.",
    "Two dogs run",
    "the cat sat on the mat because it was warm and cosy there, in the sun",
    "A man is playing a guitar.",
    "Is it true?",
    "",
]
"""Different lengths, a repeated sentence, an empty one."""

CORPUS = [*TEXTS, "This sentence of X means", "The sentence : ' X ' means.", "\" : ' . ? , means of the"]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    # Large weights, so that a wrong path shows in the vectors.
    "initializer_range": 0.3,
}


def word_piece() -> Any:
    """A lower-casing WordPiece tokenizer with BERT's special tokens."""
    own = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    own.normalizer = normalizers.BertNormalizer(lowercase=True)
    own.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    own.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    own.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    own.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def byte_pairs() -> Any:
    """A byte-level BPE tokenizer with RoBERTa's special tokens in RoBERTa's order (padding is 1)."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=350, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    own.train_from_iterator(CORPUS, trainer)
    own.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=own,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<mask>",
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
    )


def save(folder: Path, model: Any, tokenizer: Any) -> Path:
    """Write a model with its tokenizer; returns the folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bert(folder: Path, kind: type[Any] = BertModel, **changes: Any) -> Path:
    """A tiny BERT; `kind` may be one of its classes with a head."""
    torch.manual_seed(7)
    tokenizer = word_piece()
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **{**SIZES, **changes})
    return save(folder, kind(config), tokenizer)


def masked_bert(folder: Path) -> Path:
    """A tiny BERT with the weights of its masked language model, which differ from a fresh head's."""
    return bert(folder, BertForMaskedLM)


def roberta(folder: Path) -> Path:
    """A tiny RoBERTa: positions start at 2, so 64 tokens need 66 positions."""
    torch.manual_seed(8)
    tokenizer = byte_pairs()
    config = RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, **SIZES
    )
    return save(folder, RobertaModel(config), tokenizer)


def distilbert(folder: Path) -> Path:
    """An architecture without a packed path."""
    torch.manual_seed(9)
    tokenizer = word_piece()
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=32,
        initializer_range=0.3,
    )
    return save(folder, DistilBertModel(config), tokenizer)


def one_by_one(encoder: Any, texts: Sequence[str]) -> torch.Tensor:
    """Vectors of an encoder's plain path, each sentence in a batch of its own, so without any padding."""
    rows = []
    with torch.no_grad():
        for ids in encoder.tokenise(texts, for_test=True):
            rows.append(encoder(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))[0])
    return torch.stack(rows)
