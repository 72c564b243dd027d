"""The training settings of each system as its paper or official script gives them. Values only: no rules, no types.

A value that equals the default of ``TrainConfig`` is left out; the table test restates every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

BERT = "bert-base-uncased"
ROBERTA = "roberta-base"

# Eval every 125 from the start of each epoch and at its end; AdamW's weight decay and warm-up of sentence-transformers.
_CLAIF: dict[str, object] = {"objective": "mse", "epochs": 3, "batch_size": 32, "lr": 2e-5}

# Reimers and Gurevych 2019, 3.1: one epoch, batches of 16, Adam at 2e-5, warm-up over 10 %, mean pooling. The decay of
# 0.01 and the longest text are its library's; STS-B dev as the other systems are selected on.
_SBERT: dict[str, object] = {"objective": "softmax-nli", "epochs": 1, "batch_size": 16, "lr": 2e-5}

# The SimCSE trainer: no warm-up, no weight decay, half precision, 32 tokens, evaluation counted over the whole run.
_SIMCSE: dict[str, object] = {
    "objective": "infonce",
    "pooling": "cls",
    "warmup": 0.0,
    "weight_decay": 0.0,
    "max_seq_length": 32,
    "precision": "fp16",
    "eval_counting": "global",
}
_SUPERVISED: dict[str, object] = {**_SIMCSE, "epochs": 3, "batch_size": 512, "lr": 5e-5}
_TWINS: dict[str, object] = {**_SIMCSE, "twins": True, "mlp_only_train": True, "epochs": 1}
_SYNCSE: dict[str, object] = {**_SUPERVISED, "model": ROBERTA, "eval_every": 25}

VALUES: Mapping[str, Mapping[str, object]] = {
    "claif": _CLAIF,
    "claif-scaled": _CLAIF,
    "claif-cross": {**_CLAIF, "objective": "cross"},
    "dino": {**_CLAIF, "epochs": 1, "eval_every": 100, "select": "own"},
    "dino-claif": _CLAIF,
    "sbert": _SBERT,
    "clhaif": {**_SUPERVISED, "objective": "soft-infonce"},
    "clhaif-prompt": {**_SUPERVISED, "objective": "soft-infonce", "pooling": "prompt"},
    "simcse-unsup-bert": {**_TWINS, "batch_size": 64, "lr": 3e-5},
    "simcse-unsup-roberta": {**_TWINS, "model": ROBERTA, "batch_size": 512, "lr": 1e-5},
    "simcse-sup": _SUPERVISED,
    "promptbert-unsup": {**_TWINS, "pooling": "prompt", "batch_size": 256, "lr": 1e-5},
    "promptbert-sup": {**_SUPERVISED, "pooling": "prompt"},
    "syncse": _SYNCSE,
    "official-syncse": {**_SYNCSE, "mlm_weight": 0.1, "select": "stsb+sickr"},
    "multicsr": {
        **_SUPERVISED,
        "objective": "masked-infonce",
        "mlp_only_train": True,
        "mask_model": "princeton-nlp/unsup-simcse-bert-base-uncased",
        "batch_size": 128,
        "eval_every": 25,
    },
}

ABOUT: Mapping[str, str] = {
    "claif": "CLAIF: cosine against the LLM's score (MSE), mean pooling; any file of scored pairs",
    "claif-scaled": "CLAIF-scaled: the same training on CLAIF pairs and LLM-scored NLI pairs",
    "claif-cross": "CLAIF cross-encoder: both sentences in one input, BCE against the LLM's score",
    "dino": "Dino's own training: one epoch, selected on a tenth of its own data",
    "dino-claif": "Dino's pairs with CLAIF's settings (3 epochs, STS-B dev): for a row beside CLAIF's",
    "sbert": "SBERT on NLI: a classifier over [u; v; |u - v|] learns the label; cosine at test",
    "clhaif": "CLHAIF on SimCSE: Soft InfoNCE on NLI triplets with the LLM's score of the positive",
    "clhaif-prompt": "CLHAIF on PromptBERT: Soft InfoNCE on the vector of a template's mask token",
    "simcse-unsup-bert": "SimCSE without labels, BERT: each sentence twice with other dropout",
    "simcse-unsup-roberta": "SimCSE without labels, RoBERTa: each sentence twice with other dropout",
    "simcse-sup": "SimCSE on NLI triplets: InfoNCE with hard negatives",
    "promptbert-unsup": "PromptBERT without labels: two templates, template denoising",
    "promptbert-sup": "PromptBERT on NLI triplets: InfoNCE with hard negatives",
    "syncse": "SynCSE triplets, trained as SimCSE is: no MLM, selected on STS-B dev",
    "official-syncse": "SynCSE as its released script trains: MLM on, selected on STS-B and SICK-R dev",
    "multicsr": "MultiCSR triplets: InfoNCE that leaves out in-batch negatives too like the anchor",
}
"""One line for each system, for a form or a list."""
