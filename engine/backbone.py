"""Finds and loads the parts of a stored transformer: configuration, tokenizer, weights. No pooling, no vectors.

Whatever is wrong with a folder or a hub name becomes a ModelError that names what is missing. Weights are read from
safetensors; pickles only where the caller allows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers.normalizers import Lowercase, Sequence
from torch import Tensor
from transformers.utils import cached_file
from transformers.utils import logging as library_logging

from engine.errors import ModelError
from engine.offline.files import MissingPart, packaged_encoder

PACKAGED = "minilm"
SAFE = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
_NO_LIMIT = 1_000_000
LIBRARY_ERRORS = (OSError, ValueError, RuntimeError, KeyError, SafetensorError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a model is: a folder or a hub name, a folder below it, and how many of its layers to take (None: all)."""

    spec: str
    name: str
    local: bool
    layers: int | None = None
    below: str = ""

    @property
    def path(self) -> str:
        """What the library is given: the folder itself, or the hub name."""
        return str(Path(self.name) / self.below) if self.local else self.name

    def options(self) -> dict[str, Any]:
        """The keywords of the library's loaders that say the same thing for a hub name."""
        return {"subfolder": self.below} if self.below and not self.local else {}

    def inside(self, below: str) -> Source:
        """The same model with its transformer in the folder `below`."""
        return replace(self, below=below)


def resolve(spec: str) -> Source:
    """Read ``minilm``, ``minilm:K`` (its first K layers), a folder, or a hub name; ModelError where it is none."""
    if spec == PACKAGED or spec.startswith(PACKAGED + ":"):
        return _packaged(spec)
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return Source(spec=spec, name=str(folder), local=True)
    if folder.exists():
        raise ModelError(f"{spec} is a file; a model is a folder.", "Name the folder that holds config.json.")
    if not spec or spec.startswith((".", "/", "~")) or spec.count("/") > 1:
        raise ModelError(
            f"There is no model folder {spec!r}.", "Check the path; a hub name is NAME or OWNER/NAME."
        )
    return Source(spec=spec, name=spec, local=False)


def _packaged(spec: str) -> Source:
    try:
        folder = packaged_encoder()
    except MissingPart as problem:
        raise ModelError(str(problem), problem.hint) from problem
    _, colon, count = spec.partition(":")
    if not colon:
        return Source(spec=spec, name=str(folder), local=True)
    depth = int(json.loads((folder / "config.json").read_text("utf-8"))["num_hidden_layers"])
    if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= depth:
        raise ModelError(
            f"{spec!r}: the packaged MiniLM has {depth} layers.", f"minilm:K takes K from 1 to {depth}."
        )
    return Source(spec=spec, name=str(folder), local=True, layers=int(count))


def find(source: Source, *parts: str) -> Path | None:
    """A file of the model (relative to its top, not to `below`), fetched where it is on a hub; None where it is not."""
    if source.local:
        path = Path(source.name, *parts)
        return path if path.is_file() else None
    found = cached_file(
        source.name,
        "/".join(part for part in parts if part),
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)


def read_json(source: Source, *parts: str) -> Any:
    """A JSON file of the model; None where there is none, ModelError where it cannot be read."""
    path = _find_or_explain(source, *parts)
    if path is None:
        return None
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as problem:
        raise ModelError(f"{path} is not JSON: {problem}.", "Save the model again.") from problem


def _find_or_explain(source: Source, *parts: str) -> Path | None:
    try:
        return find(source, *parts)
    except (OSError, ValueError) as problem:
        raise unusable(source, problem) from problem


def read_weights(source: Source, folder: str, *, allow_pickle: bool, name: str = "model") -> dict[str, Tensor]:
    """The tensors of a module kept in a folder of its own; ModelError where they are missing or pickled."""
    safe = _find_or_explain(source, folder, f"{name}.safetensors")
    if safe is not None:
        try:
            return dict(load_file(safe))
        except SafetensorError as problem:
            raise ModelError(f"{safe} cannot be read: {problem}.", "Save the model again.") from problem
    pickled = _find_or_explain(source, folder, "pytorch_model.bin")
    if pickled is None:
        raise ModelError(
            f"{source.spec}: {folder}/{name}.safetensors is missing: the trained weights of the head.",
            "Save the model again, or ask for a pooling without a head (cls_before_pooler, mean).",
        )
    if not allow_pickle:
        raise _pickled(source, f"{folder}/pytorch_model.bin")
    return dict(torch.load(pickled, map_location="cpu", weights_only=True))


def _pickled(source: Source, what: str) -> ModelError:
    return ModelError(
        f"{source.spec}: the weights are a pickle ({what}), which can run code when it is read.",
        "Convert it to safetensors, or allow pickles if you trust where it comes from.",
    )


def unusable(source: Source, problem: BaseException) -> ModelError:
    """What the library said of a model, in its first line, as a ModelError."""
    said = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
    if source.local:
        return ModelError(
            f"{source.spec} cannot be used: {said}", "Name a folder with config.json and weights."
        )
    return ModelError(
        f"{source.spec!r} is no folder here, and the hub did not give it: {said}",
        "Check the name and the network (HF_HUB_OFFLINE=1 uses what was fetched before), or name a folder.",
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's load report and bars from the terminal: what is missing is checked, not printed."""
    verbosity, bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    try:
        yield
    finally:
        library_logging.set_verbosity(verbosity)
        if bars:
            library_logging.enable_progress_bar()


def check_parts(source: Source, allow_pickle: bool) -> None:
    """Say what a folder lacks before the library guesses."""
    if not source.local:
        return
    folder = Path(source.path)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: config.json is missing, so it is no model folder.", "Name a saved model.")
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelError(
            f"{folder}: the tokenizer is missing (none of {', '.join(TOKENIZERS)}).",
            "Copy the tokenizer files of the model it was trained from beside the weights.",
        )
    if any((folder / name).is_file() for name in SAFE):
        return
    pickled = [name for name in PICKLED if (folder / name).is_file()]
    if not pickled:
        raise ModelError(f"{folder}: the weights are missing (model.safetensors).", "Save the model again.")
    if not allow_pickle:
        raise _pickled(source, pickled[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A transformers model with its tokenizer. `missing` names the parameters that the weights did not hold."""

    model: Any
    tokenizer: Any
    missing: frozenset[str]


def load(source: Source, kind: str, *, allow_pickle: bool, **config_changes: Any) -> Loaded:
    """Load as the auto class `kind` (say ``AutoModel``) in float32, on CPU, with configuration values replaced."""
    check_parts(source, allow_pickle)
    if source.layers is not None:
        config_changes["num_hidden_layers"] = source.layers
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(source.path, **source.options(), **config_changes)
            tokenizer = transformers.AutoTokenizer.from_pretrained(source.path, **source.options())
            model, info = getattr(transformers, kind).from_pretrained(
                source.path,
                config=config,
                dtype=torch.float32,
                use_safetensors=None if allow_pickle else True,
                output_loading_info=True,
                **source.options(),
            )
    except LIBRARY_ERRORS as problem:
        raise unusable(source, problem) from problem
    return Loaded(model=model, tokenizer=tokenizer, missing=frozenset(info["missing_keys"]))


def require(source: Source, missing: frozenset[str], *, but: tuple[str, ...] = ()) -> None:
    """Raise ModelError where weights are missing whose names do not start with one of `but`."""
    lost = sorted(name for name in missing if not name.startswith(but))
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise ModelError(
            f"{source.spec}: weights are missing: {', '.join(lost[:3])}{more}.",
            "The folder holds another kind of model, or was cut when it was saved.",
        )


def lower_case(tokenizer: Any) -> None:
    """Make a tokenizer lower its text first, as some sentence-transformers folders ask for."""
    own = tokenizer.backend_tokenizer
    own.normalizer = Sequence([Lowercase(), *([] if own.normalizer is None else [own.normalizer])])


def position_limit(model: Any) -> int:
    """The most tokens that the positions allow; RoBERTa's first ones are taken by padding."""
    positions = getattr(model.config, "max_position_embeddings", -1)
    base = getattr(model, model.base_model_prefix, model)
    return positions - first_position(base) if positions > 0 else _NO_LIMIT


def first_position(model: Any) -> int:
    """The position id of the first token: 0 for BERT; for RoBERTa the one after the padding's (2)."""
    embeddings = getattr(model, "embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)
    return 0 if padding is None else int(padding) + 1
