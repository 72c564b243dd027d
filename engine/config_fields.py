"""What each training setting is: kind, range, the line a form shows, and how a value or a typed text becomes one.

No defaults and no rules that span fields: those are ``engine.config``'s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import ConfigError, nearest
from engine.presets import VALUES

Value = bool | int | float | str | tuple[str, ...]
Kind = Literal["bool", "int", "float", "text", "choice", "names", "lines"]

OBJECTIVES = ("mse", "cross", "softmax-nli", "infonce", "soft-infonce", "masked-infonce")
IN_BATCH = ("infonce", "soft-infonce", "masked-infonce")
"""Objectives that contrast a row with all others of its batch, so that the size of the batch is part of the loss."""
BI_ENCODERS = ("mse", "softmax-nli", *IN_BATCH)
LAUNCHERS = ("local", "torchrun", "slurm")
SLURM = ("slurm",)
POOLINGS = ("mean", "cls", "cls_before_pooler", "avg_first_last", "static_last", "avg_top2", "prompt")

COMPAT: Mapping[str, tuple[str, ...]] = {
    "mse": (),
    "cross": (),
    "softmax-nli": (),
    "infonce": (),
    "soft-infonce": ("smooth-all-zero-test",),
    "masked-infonce": ("multicsr-bce",),
}
"""The faults of official code that an objective can reproduce on request."""
PROMPT_COMPAT = ("prompt-bert",)
"""The same, for every objective that trains with prompt pooling."""

_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting. ``low`` and ``high`` are inclusive unless ``above``, which leaves ``low`` itself out.

    ``objectives`` and ``launchers`` name those that read it; the others want it at its default. Empty: all read it.
    """

    name: str
    kind: Kind
    help: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    choices: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    launchers: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What a value must be, in words: "a whole number from 1 to 1,000"."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "names":
            return "a list of names out of " + ", ".join(self.choices)
        if self.kind == "lines":
            return "lines of text without control characters; typed as one, they are separated by ;"
        words = {"bool": "true or false", "int": "a whole number", "float": "a number"}.get(
            self.kind, "one line of text without control characters"
        )
        if self.low is None or self.high is None:
            return words
        lower, upper = ("above", "up to") if self.above else ("from", "to")
        return f"{words} {lower} {self.low:,} {upper} {self.high:,}"


_ALL_COMPAT = tuple(name for names in (*COMPAT.values(), PROMPT_COMPAT) for name in names)
_TABLE = (
    Field(
        name="system", kind="choice", choices=tuple(VALUES), help="The system whose settings these started from"
    ),
    Field(
        name="objective",
        kind="choice",
        choices=OBJECTIVES,
        help="What is learnt: the loss and what it reads",
    ),
    Field(
        name="model",
        kind="text",
        help='Encoder to start from: "minilm", "minilm:3" (its first 3 layers), a folder or a hub name',
    ),
    Field(
        name="pooling",
        kind="choice",
        choices=POOLINGS,
        objectives=BI_ENCODERS,
        help="How token vectors become the sentence vector; cls means CLS, Linear, tanh",
    ),
    Field(
        name="mlp_only_train",
        kind="bool",
        objectives=BI_ENCODERS,
        help="Evaluate and save without the MLP head (and template denoising) that training goes through",
    ),
    Field(
        name="own_pooler",
        kind="bool",
        objectives=BI_ENCODERS,
        help="Begin with the model's pooler as the head of cls: it keeps a trained one; off: a fresh head",
    ),
    Field(
        name="twins",
        kind="bool",
        objectives=("infonce",),
        help="No labels: the positive is the sentence itself, encoded again with other dropout",
    ),
    Field(name="data", kind="text", help="Training data: a snapshot folder, or a file in a known format"),
    Field(
        name="allow_test",
        kind="bool",
        help="Train on data that call themselves test data; for a name that misleads",
    ),
    Field(
        name="dev",
        kind="text",
        help="Development set: STS-B dev file or data folder; empty: found beside data",
    ),
    Field(
        name="dev_share",
        kind="float",
        low=0,
        high=0.5,
        above=True,
        help="Share of the training data that is held out with select = own; pairs of an original stay together",
    ),
    Field(name="out", kind="text", help="Run directory to write: a new one; empty: the next free name"),
    Field(name="epochs", kind="int", low=1, high=1000, help="Passes over the training data"),
    Field(name="batch_size", kind="int", low=1, high=65536, help="Rows for each step, over all processes"),
    Field(
        name="lr",
        kind="float",
        low=0,
        high=1,
        above=True,
        help="Highest learning rate; decays linearly to 0",
    ),
    Field(name="warmup", kind="float", low=0, high=1, help="Share of all steps in which the rate rises from 0"),
    Field(
        name="weight_decay",
        kind="float",
        low=0,
        high=1,
        help="AdamW's decay, except of biases and LayerNorm",
    ),
    Field(
        name="clip",
        kind="float",
        low=0,
        high=1e6,
        help="Global norm that gradients are clipped to; 0 is off",
    ),
    Field(
        name="max_seq_length",
        kind="int",
        low=3,
        high=8192,
        help="Tokens kept of a text, if the model has room",
    ),
    Field(
        name="temperature",
        kind="float",
        low=0,
        high=100,
        above=True,
        objectives=IN_BATCH,
        help="Divides the cosines inside the softmax",
    ),
    Field(
        name="hard_negative_weight",
        kind="float",
        low=-100,
        high=100,
        objectives=("infonce", "soft-infonce"),
        help="Log-weight added to the logit of a row's own hard negative",
    ),
    Field(
        name="smooth",
        kind="choice",
        choices=("smooth_positive", "smooth_all", "smooth_negative"),
        objectives=("soft-infonce",),
        help="What a score is put on: the positive; its rest on all others; the hard negative's own on it too (ours)",
    ),
    Field(
        name="mask_threshold",
        kind="float",
        low=-1,
        high=1,
        objectives=("masked-infonce",),
        help="In-batch negatives whose cosine by the mask model is above this are left out",
    ),
    Field(
        name="mask_model",
        kind="text",
        objectives=("masked-infonce",),
        help="Frozen encoder (raw CLS) that says which in-batch negatives are too like the anchor",
    ),
    Field(
        name="mlm_weight",
        kind="float",
        low=0,
        high=10,
        objectives=IN_BATCH,
        help="Weight of an auxiliary masked-word loss; 0 is off",
    ),
    Field(
        name="eval_every",
        kind="int",
        low=0,
        high=10**9,
        help="Steps between dev scores; 0: at epoch ends only",
    ),
    Field(
        name="eval_counting",
        kind="choice",
        choices=("epoch", "global"),
        help="epoch: steps count from each epoch's start, and its end is scored; global: over the whole run",
    ),
    Field(
        name="select",
        kind="choice",
        choices=("stsb", "stsb+sickr", "own"),
        help="The dev score that picks the checkpoint: STS-B, its mean with SICK-R, or held-out training data",
    ),
    Field(
        name="dev_metric",
        kind="choice",
        choices=("cosine", "max4"),
        objectives=BI_ENCODERS,
        help="Spearman of the cosine, or the best of four similarities as sentence-transformers 2.2 took",
    ),
    Field(
        name="precision",
        kind="choice",
        choices=("fp32", "bf16", "fp16"),
        help="Arithmetic; fp16 needs a CUDA GPU",
    ),
    Field(
        name="gradient_accumulation",
        kind="int",
        low=1,
        high=65536,
        help="Parts that a step's rows are computed in, one after the other, to save memory",
    ),
    Field(
        name="gradient_cache",
        kind="bool",
        objectives=IN_BATCH,
        help="Compute a batch in parts with the gradient of the whole: vectors first, then each part again",
    ),
    Field(
        name="early_stop",
        kind="int",
        low=0,
        high=10**6,
        help="Dev scores in a row without a better one; 0 is off",
    ),
    Field(name="dropout", kind="float", low=0, high=0.9, help="Dropout of the encoder in training"),
    Field(name="seed", kind="int", low=0, high=2**32 - 1, help="Fixes data order, fresh weights and dropout"),
    Field(name="threads", kind="int", low=0, high=1024, help="CPU threads; 0 leaves it to the library"),
    Field(
        name="compat", kind="names", choices=_ALL_COMPAT, help="Faults of official code to reproduce, by name"
    ),
    Field(
        name="packed",
        kind="bool",
        help="Compute without padding where the model allows it: same vectors, faster",
    ),
    Field(
        name="launcher",
        kind="choice",
        choices=LAUNCHERS,
        help="Where the run goes: a process here, several here (torchrun), a job of the cluster's queue (slurm)",
    ),
    Field(
        name="processes",
        kind="int",
        low=0,
        high=1024,
        help="Processes of a run of several, all on one machine; 0: one for each GPU",
    ),
    Field(name="slurm_account", kind="text", launchers=SLURM, help="Account that the job is charged to"),
    Field(name="slurm_partition", kind="text", launchers=SLURM, help="Partition; empty: the cluster's default"),
    Field(name="slurm_gpus", kind="int", low=0, high=64, launchers=SLURM, help="GPUs of the one node"),
    Field(
        name="slurm_time",
        kind="int",
        low=1,
        high=525_600,
        launchers=SLURM,
        help="Time limit in minutes; a run that needs longer saves, waits in the queue again and goes on",
    ),
    Field(
        name="slurm_setup",
        kind="lines",
        launchers=SLURM,
        help='Shell lines before training, as "module load cuda"; one that begins with #SBATCH is an option of sbatch',
    ),
)
FIELDS: Mapping[str, Field] = {field.name: field for field in _TABLE}
"""Every setting by name, in the order of a form."""


def check(field: Field, value: object) -> Value:
    """Return ``value`` as ``field`` keeps it; ``ConfigError`` names the field and what was expected."""
    if field.kind == "bool":
        if isinstance(value, bool):
            return value
    elif field.kind in ("int", "float"):
        number = _number(field, value)
        if number is not None:
            return number
    elif field.kind == "names":
        if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
            return _names(field, tuple(value))
    elif field.kind == "lines":
        if isinstance(value, list | tuple) and all(
            isinstance(line, str) and line.strip() and not _UNSAFE.search(line) for line in value
        ):
            return tuple(value)
    elif isinstance(value, str) and (
        value in field.choices or (field.kind == "text" and not _UNSAFE.search(value))
    ):
        return value
    raise _wrong(field, value)


def parse(field: Field, text: str) -> Value:
    """Return what a user typed as a value of ``field``; names are separated by commas, lines by ;."""
    text = text.strip()
    if field.kind == "lines":
        return check(field, [line.strip() for line in text.split(";") if line.strip()])
    if field.kind == "bool":
        return check(field, _WORDS.get(text.lower(), text))
    if field.kind == "names":
        return check(field, [name.strip() for name in text.split(",") if name.strip()])
    if field.kind in ("int", "float"):
        for kind in (int, float):
            try:
                return check(field, kind(text))
            except ValueError:
                continue
    return check(field, text)


def _number(field: Field, value: object) -> int | float | None:
    """Return a number of the right kind and range; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int if field.kind == "int" else int | float):
        return None
    assert field.low is not None and field.high is not None
    if not field.low <= value <= field.high or (field.above and value == field.low):  # nan is in no range
        return None
    return value if field.kind == "int" else float(value)


def _names(field: Field, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in field.choices:
            raise ConfigError(
                f"{field.name} holds {_shown(name)}, expected {field.expected}", nearest(name, field.choices)
            )
    # The order says nothing, so that two ways to write the same set are one configuration.
    return tuple(sorted(set(names)))


def _wrong(field: Field, value: object) -> ConfigError:
    close = difflib.get_close_matches(str(value), field.choices, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]}?" if close else ""
    return ConfigError(f"{field.name} is {_shown(value)}, expected {field.expected}", hint)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
