"""Loads a causal or seq2seq language model with its tokenizer, and says which one it is. No batches, no decoding."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from engine import backbone
from engine.errors import ModelError, RunError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SAMPLE = 1 << 20
"""Bytes of each end of a weights file that go into a folder's fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A loaded model. `limit` is the most tokens that a prompt and its answer may have together (None: unknown)."""

    name: str
    version: str
    model: Any
    tokenizer: Any
    seq2seq: bool
    device: torch.device
    ends: tuple[int, ...]
    """Tokens that end an answer."""
    starts: tuple[int, ...]
    """What a seq2seq decoder begins with."""
    limit: int | None

    @property
    def pad(self) -> int:
        """A token for places that are masked; which one does not matter."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else self.ends[0] if self.ends else 0

    def takes(self, name: str) -> bool:
        """Whether the model's forward has a parameter of that name."""
        return name in inspect.signature(self.model.forward).parameters

    @property
    def note(self) -> str:
        """Class, place and precision, in words."""
        dtype = str(next(self.model.parameters()).dtype).removeprefix("torch.")
        return f"{type(self.model).__name__} on {self.device} in {dtype}"


def load(spec: str, *, device: str = "auto", dtype: str = "auto") -> LocalModel:
    """Load a folder or hub name onto a device; raises ``ModelError`` for what is no language model that writes.

    ``auto``: the accelerator where there is one, and there the checkpoint's own precision; on CPU float32.
    """
    source = backbone.resolve(spec)
    backbone.check_parts(source, allow_pickle=False)
    place = _place(device)
    kept: Any = DTYPES.get(dtype) or (torch.float32 if place.type == "cpu" else "auto")
    try:
        with backbone.quiet():
            config = transformers.AutoConfig.from_pretrained(source.path)
            seq2seq = _writes(spec, config)
            kind = transformers.AutoModelForSeq2SeqLM if seq2seq else transformers.AutoModelForCausalLM
            tokenizer = transformers.AutoTokenizer.from_pretrained(source.path)
            model, info = kind.from_pretrained(
                source.path, dtype=kept, use_safetensors=True, output_loading_info=True
            )
            backbone.require(source, frozenset(info["missing_keys"]))
            if getattr(model, "_is_stateful", False):
                raise ModelError(
                    f"{spec} is a {type(model).__name__}, which keeps a state in place of a KV cache: its answers "
                    "cannot be written side by side.",
                    "Take an attention-only model, or run it on a server of its own with --base-url.",
                )
            model = model.to(place).eval()
    except (torch.OutOfMemoryError, MemoryError) as problem:
        raise out_of_memory(f"{spec} does not fit on {place}") from problem
    except backbone.LIBRARY_ERRORS as problem:
        if "not enough memory" in str(problem):
            raise out_of_memory(f"{spec} does not fit into memory") from problem
        raise backbone.unusable(source, problem) from problem
    return LocalModel(
        name=Path(source.name).resolve().name if source.local else source.name,
        version=_version(source, config),
        model=model,
        tokenizer=tokenizer,
        seq2seq=seq2seq,
        device=place,
        ends=_ends(model, tokenizer),
        starts=_starts(model) if seq2seq else (),
        limit=None if seq2seq else getattr(config.get_text_config(), "max_position_embeddings", None),
    )


def out_of_memory(what: str) -> RunError:
    """The error for memory that is full."""
    return RunError(
        f"memory is full: {what}",
        "Take a smaller model, set dtype to bf16, ask fewer at once (--concurrency), or shorten the prompts.",
    )


def _place(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        said = next(iter(str(problem).splitlines()), "")
        raise ModelError(f"there is no device {device!r} here: {said}", "Use auto, cpu or cuda.") from problem
    return place


def _writes(spec: str, config: Any) -> bool:
    """Whether the model is seq2seq; ``ModelError`` where it is neither that nor causal."""
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    both = modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    table = both if config.is_encoder_decoder else causal
    named = [str(name) for name in getattr(config, "architectures", None) or ()]
    fits = config.model_type in table and (
        not named or any(name in table.values() or name.endswith("LMHeadModel") for name in named)
    )
    if not fits:
        what = ", ".join(named) or config.model_type
        raise ModelError(
            f"{spec} is a {what}: neither a causal nor a seq2seq language model, so it cannot write.",
            "Name a model that generates text, such as one of the GPT, Llama, Qwen or T5 families.",
        )
    return bool(config.is_encoder_decoder)


def _ends(model: Any, tokenizer: Any) -> tuple[int, ...]:
    known = (getattr(model.generation_config, "eos_token_id", None), model.config.eos_token_id)
    found: set[int] = set()
    for one in (*known, tokenizer.eos_token_id):
        found.update(one if isinstance(one, list | tuple) else [] if one is None else [one])
    size = model.get_output_embeddings().weight.shape[0]
    return tuple(sorted(token for token in found if 0 <= token < size))


def _starts(model: Any) -> tuple[int, ...]:
    settings, config = model.generation_config, model.config
    first = getattr(settings, "decoder_start_token_id", None)
    first = getattr(config, "decoder_start_token_id", None) if first is None else first
    if first is None:
        first = config.bos_token_id if config.bos_token_id is not None else config.pad_token_id
    forced = getattr(settings, "forced_bos_token_id", None)
    return tuple(token for token in (first, forced) if token is not None)


def _version(source: backbone.Source, config: Any) -> str:
    """The hub's commit, or 12 hex digits over a folder's small files and both ends of its large ones."""
    if not source.local:
        return str(getattr(config, "_commit_hash", None) or "unknown")[:12]
    digest = hashlib.sha256()
    for path in sorted(Path(source.path).iterdir()):
        if not path.is_file() or path.suffix not in (".json", ".safetensors", ".model", ".txt", ".jinja"):
            continue
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            if size > _SAMPLE:
                file.seek(max(_SAMPLE, size - _SAMPLE))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:12]
