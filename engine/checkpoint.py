"""Saved models: what stands in a sentence-transformers or CrossEncoder folder, read and written. No training state.

A folder is written beside its place and renamed into it, so that a reader never meets half a model. Its modules keep
the names and keys that sentence-transformers has understood since version 2.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine import backbone, heads
from engine import pooling as pools
from engine.backbone import Source
from engine.errors import ModelError
from engine.prompting import FULL_STOPS

if TYPE_CHECKING:
    from engine.encoder import CrossEncoder, Encoder

PROMPT_MODULE = "prompt_sentence"
"""The file that a PromptBERT folder carries; its class reads the folder without this package."""

_LIBRARY = "sentence_transformers.models."
_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_WEIGHTED = ("avg_first_last", "static_last", "avg_top2")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrompt:
    """How a PromptBERT folder uses templates; `head` makes its trained head from the model's configuration."""

    kind: str
    head: Callable[[Any], nn.Module] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a sentence-transformers folder says beside its transformer, which lies in the folder `below`."""

    below: str
    pooling: str
    head: nn.Sequential | None = None
    normalise: bool = False
    max_seq_length: int | None = None
    lower: bool = False
    prompt: StoredPrompt | None = None


def read(source: Source, *, allow_pickle: bool) -> Stored | None:
    """Read the modules of a sentence-transformers folder; None where the folder is not one.

    ModelError names a module or a setting that cannot be taken over, rather than give other vectors in silence.
    """
    entries = backbone.read_json(source, "modules.json")
    if entries is None:
        return None
    modules = [(str(entry["type"]).rsplit(".", 1)[-1], str(entry["path"])) for entry in entries]
    kinds = [kind for kind, _ in modules]
    if kinds == ["PromptSentence"]:
        return _read_prompt(source, modules[0][1], allow_pickle)
    expected = [
        kind
        for kind in ("Transformer", "WeightedLayerPooling", "Pooling", "Dense", "Normalize")
        if kind in kinds
    ]
    if kinds != expected or not {"Transformer", "Pooling"} <= set(kinds):
        raise ModelError(
            f"{source.spec}: its modules ({', '.join(kinds)}) are not all known here, or stand in another order.",
            "Known: Transformer, WeightedLayerPooling, Pooling, at most one Dense, Normalize.",
        )
    paths = dict(modules)
    settings = backbone.read_json(source, paths["Transformer"], "sentence_bert_config.json") or {}
    head, tanh = _read_dense(source, paths.get("Dense"), allow_pickle)
    pooling = _read_pooling(source, paths["Pooling"])
    if "WeightedLayerPooling" in paths:
        pooling = _read_weighted(source, paths["WeightedLayerPooling"], pooling, allow_pickle)
    if pooling == "cls" and not tanh:
        pooling = "cls_before_pooler"
    return Stored(
        below=paths["Transformer"],
        pooling=pooling,
        head=head,
        normalise="Normalize" in paths,
        max_seq_length=settings.get("max_seq_length"),
        lower=bool(settings.get("do_lower_case")),
    )


def _read_pooling(source: Source, folder: str) -> str:
    """``mean`` or ``cls`` from the settings of a Pooling module, in the old form or the new one."""
    settings = backbone.read_json(source, folder, "config.json") or {}
    modes = (
        settings.get("pooling_mode") or [m for key, m in _LEGACY_MODES.items() if settings.get(key)] or ["mean"]
    )
    modes = [modes] if isinstance(modes, str) else list(modes)
    if modes not in (["mean"], ["cls"]):
        raise ModelError(
            f"{source.spec}: the pooling {'+'.join(modes)} is not known here.", "Known: mean and cls."
        )
    return str(modes[0])


def _read_dense(source: Source, folder: str | None, allow_pickle: bool) -> tuple[nn.Sequential | None, bool]:
    """The Dense module of a folder and whether it ends in tanh; (None, False) where there is none."""
    if folder is None:
        return None, False
    settings = backbone.read_json(source, folder, "config.json") or {}
    activation = str(settings.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    plain = settings.get("module_input_name", "sentence_embedding") == "sentence_embedding"
    if activation not in ("Tanh", "Identity") or settings.get("use_residual") or not plain:
        raise ModelError(
            f"{source.spec}: {folder} is a Dense module of a kind that is not known here ({activation}).",
            "Known: Tanh or Identity on the sentence vector, without a residual.",
        )
    weights = backbone.read_weights(source, folder, allow_pickle=allow_pickle)
    head = heads.dense(
        int(settings["in_features"]),
        int(settings["out_features"]),
        tanh=activation == "Tanh",
        bias=bool(settings.get("bias", True)),
    )
    _fill(source, folder, head[0], {name.removeprefix("linear."): value for name, value in weights.items()})
    return head, activation == "Tanh"


def _fill(source: Source, what: str, module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights into a module; ModelError where names or shapes differ."""
    try:
        module.load_state_dict({name: value.float() for name, value in weights.items()})
    except RuntimeError as problem:
        raise ModelError(
            f"{source.spec}: the weights of {what} do not fit: {' '.join(str(problem).split())}",
            "Save the model again.",
        ) from problem


def layer_weights(pooling: str, layers: int) -> Tensor:
    """The weights (layers + 1,) by which WeightedLayerPooling averages what `pooling` averages."""
    weights = torch.zeros(layers + 1)
    for number in pools.layers(pooling):
        weights[number] += 1
    return weights


def _read_weighted(source: Source, folder: str, pooling: str, allow_pickle: bool) -> str:
    """The pooling whose layers a WeightedLayerPooling averages."""
    settings = backbone.read_json(source, folder, "config.json") or {}
    stored = backbone.read_weights(source, folder, allow_pickle=allow_pickle)["layer_weights"]
    found = torch.cat([torch.zeros(int(settings["layer_start"])), stored.float()])
    for name in _WEIGHTED:
        if pooling == "mean" and torch.equal(found, layer_weights(name, len(found) - 1)):
            return name
    raise ModelError(
        f"{source.spec}: its layers are weighted in a way that is not known here.",
        f"Known: {', '.join(_WEIGHTED)}.",
    )


def _read_prompt(source: Source, folder: str, allow_pickle: bool) -> Stored:
    """The settings and the head of a PromptBERT folder that this package wrote."""
    settings = backbone.read_json(source, folder, "prompt_config.json")
    if settings is None:
        raise ModelError(f"{source.spec}: prompt_config.json is missing.", "Save the model again.")
    head = None
    if settings["head"] is not None:
        weights = backbone.read_weights(source, folder, allow_pickle=allow_pickle, name="prompt_head")
        head = partial(_prompt_head, source, settings["head"], weights)
    return Stored(
        below=folder,
        pooling="prompt",
        max_seq_length=int(settings["max_seq_length"]),
        prompt=StoredPrompt(kind=settings["kind"], head=head),
    )


def _prompt_head(source: Source, kind: str, weights: dict[str, Tensor], config: Any) -> nn.Module:
    head = heads.mlm_transform(config) if kind == "mlm" else heads.mlp(config)
    _fill(source, "prompt_head", head, weights)
    return head


def _write(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write a folder beside its place and rename it into it; an older model there goes only after that."""
    folder = Path(folder)
    if folder.is_file() or (
        folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file()
    ):
        raise ModelError(f"{folder} is there already and is no saved model.", "Name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    written, old = (folder.with_name(f".{folder.name}.{what}-{os.getpid()}") for what in ("partial", "old"))
    shutil.rmtree(written, ignore_errors=True)
    try:
        written.mkdir()
        fill(written)
        readable = (written / "config.json").stat().st_mode
        for weights in written.rglob("*.safetensors"):
            weights.chmod(readable)
        if folder.exists():
            folder.rename(old)
        written.rename(folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def _weights(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)


def _save_transformer(model: Any, tokenizer: Any, length: int, folder: Path) -> None:
    """The transformer and its tokenizer, which remembers the sequence length and no padding or cut of the moment."""
    with backbone.quiet():
        model.save_pretrained(folder)
    if getattr(tokenizer, "is_fast", False):
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.backend_tokenizer.no_truncation()
    before, tokenizer.model_max_length = tokenizer.model_max_length, length
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.model_max_length = before


def _modules(encoder: Encoder, head: nn.Sequential | None) -> list[str]:
    weighted = ["WeightedLayerPooling"] if encoder.pooling in _WEIGHTED else []
    tail = ["Dense"] if head is not None else []
    return ["Transformer", *weighted, "Pooling", *tail, *(["Normalize"] if encoder.normalise else [])]


def save_sentence_transformer(encoder: Encoder, folder: Path, card: str | None = None) -> None:
    """Write a folder from which ``SentenceTransformer(folder).encode`` gives the vectors of ``encoder.encode``.

    `card` is Markdown for its model card, below what is said about loading it. Replaces an older model in that place;
    ModelError where something else is there.
    """
    fill = partial(_fill_prompt if encoder.prompt is not None else _fill_sentence_transformer, encoder, card)
    _write(folder, fill)


def _fill_sentence_transformer(encoder: Encoder, card: str | None, folder: Path) -> None:
    head = None if encoder.head_only_in_training else encoder.head
    names = _modules(encoder, head)
    paths = {name: "" if name == "Transformer" else f"{number}_{name}" for number, name in enumerate(names)}
    width, layers = encoder.model.config.hidden_size, encoder.model.config.num_hidden_layers
    _save_transformer(encoder.model, encoder.tokenizer, encoder.max_seq_length, folder)
    settings: dict[str, Any] = {"max_seq_length": encoder.max_seq_length, "do_lower_case": False}
    if "WeightedLayerPooling" in paths:
        settings["config_args"] = {"output_hidden_states": True}
        place = folder / paths["WeightedLayerPooling"]
        _json(
            place / "config.json",
            {"word_embedding_dimension": width, "layer_start": 0, "num_hidden_layers": layers},
        )
        _weights(place / "model.safetensors", {"layer_weights": layer_weights(encoder.pooling, layers)})
    _json(folder / "sentence_bert_config.json", settings)
    mode = "cls" if encoder.pooling in pools.FIRST_TOKEN else "mean"
    _json(
        folder / paths["Pooling"] / "config.json",
        {"word_embedding_dimension": width} | {key: value == mode for key, value in _LEGACY_MODES.items()},
    )
    if head is not None:
        _save_dense(head, folder / paths["Dense"])
    if "Normalize" in paths:
        (folder / paths["Normalize"]).mkdir()
    entries = [(name, paths[name], _LIBRARY + name) for name in names]
    _finish(folder, entries, "SentenceTransformer", _card(card, trusted=False))


def _save_dense(head: nn.Sequential, place: Path) -> None:
    linear, activation = head[0], head[1]
    _json(
        place / "config.json",
        {
            "in_features": linear.in_features,
            "out_features": linear.out_features,
            "bias": linear.bias is not None,
            "activation_function": f"{type(activation).__module__}.{type(activation).__name__}",
        },
    )
    _weights(place / "model.safetensors", {f"linear.{name}": v for name, v in linear.state_dict().items()})


def _fill_prompt(encoder: Encoder, card: str | None, folder: Path) -> None:
    prompt, head = encoder.prompt, None if encoder.head_only_in_training else encoder.head
    if prompt is None:
        raise ValueError("an encoder without templates")
    template = prompt.template(0)
    _save_transformer(encoder.model, encoder.tokenizer, encoder.max_seq_length, folder)
    _json(
        folder / "prompt_config.json",
        {
            "kind": prompt.kind,
            "template": encoder.tokenizer.decode(template.around(())),
            "before": template.before,
            "after": template.after,
            "mask_from_end": template.mask_from_end,
            "blank": prompt.blank,
            "full_stops": FULL_STOPS,
            "first_position": backbone.first_position(encoder.model),
            "denoise": prompt.kind == "sup",
            "head": None if head is None else "mlm" if heads.is_mlm_transform(head) else "mlp",
            "max_seq_length": encoder.max_seq_length,
        },
    )
    if head is not None:
        _weights(folder / "prompt_head.safetensors", head.state_dict())
    source = Path(__file__).with_name(f"{PROMPT_MODULE}.py")
    shutil.copyfile(source, folder / source.name)
    entries = [("0", "", f"{PROMPT_MODULE}.PromptSentence")]
    _finish(folder, entries, "SentenceTransformer", _card(card, trusted=True))


def _finish(folder: Path, entries: list[tuple[str, str, str]], kind: str, card: str) -> None:
    """The files that name the modules, and the card."""
    _json(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": reference}
            for number, (_, path, reference) in enumerate(entries)
        ],
    )
    _json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": kind,
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )
    (folder / "README.md").write_text(card, "utf-8")


def _card(card: str | None, *, trusted: bool) -> str:
    option = ", trust_remote_code=True" if trusted else ""
    note = (
        f"The folder carries its own module, `{PROMPT_MODULE}.py`, which puts sentences into a template; read it, then "
        "allow it with `trust_remote_code=True`.\n\n"
        if trusted
        else ""
    )
    return (
        "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\n"
        "tags:\n- sentence-transformers\n- sentence-similarity\n- feature-extraction\n---\n\n# Sentence encoder\n\n"
        "```python\nfrom sentence_transformers import SentenceTransformer\n\n"
        f'model = SentenceTransformer("path/to/this/folder"{option})\nvectors = model.encode(["A sentence."])\n```\n\n'
        f"{note}{card or ''}".rstrip()
        + "\n"
    )


def save_cross_encoder(encoder: CrossEncoder, folder: Path, card: str | None = None) -> None:
    """Write a folder from which ``CrossEncoder(folder).predict`` gives the sigmoid of ``encoder.predict``."""

    def fill(place: Path) -> None:
        _save_transformer(encoder.model, encoder.tokenizer, encoder.max_seq_length, place)
        _json(place / "sentence_bert_config.json", {"max_seq_length": encoder.max_seq_length})
        text = (
            "---\nlibrary_name: sentence-transformers\npipeline_tag: text-ranking\n"
            "tags:\n- sentence-transformers\n- cross-encoder\n---\n\n# Cross-encoder\n\n"
            "```python\nfrom sentence_transformers import CrossEncoder\n\n"
            'model = CrossEncoder("path/to/this/folder")\n'
            'scores = model.predict([("A sentence.", "Another.")])\n```\n\n'
            f"Scores are 0 to 1: the sigmoid of the logit.\n\n{card or ''}".rstrip()
        )
        (place / "README.md").write_text(text + "\n", "utf-8")

    _write(folder, fill)
