"""The settings of a training run: one frozen object, checked when it is made, to and from JSON and TOML. No torch.

What it means to train is not here: this module only knows which settings there are and which go together.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from engine import config_fields
from engine.config_fields import BI_ENCODERS as BI_ENCODERS
from engine.config_fields import COMPAT as COMPAT
from engine.config_fields import FIELDS as FIELDS
from engine.config_fields import IN_BATCH as IN_BATCH
from engine.config_fields import LAUNCHERS as LAUNCHERS
from engine.config_fields import OBJECTIVES as OBJECTIVES
from engine.config_fields import POOLINGS as POOLINGS
from engine.config_fields import PROMPT_COMPAT as PROMPT_COMPAT
from engine.config_fields import Field as Field
from engine.config_fields import Value as Value
from engine.errors import ConfigError, nearest
from engine.presets import ABOUT as ABOUT
from engine.presets import BERT, VALUES

WHERE = ("launcher", "slurm_account", "slurm_partition", "slurm_gpus", "slurm_time", "slurm_setup")
"""Settings that say where a run's process goes, and nothing about what it learns."""
PATHS = ("data", "dev", "out", "model", "mask_model")
"""Settings that may be paths."""
MAY_CHANGE = ("out", "threads", *WHERE)
"""What may differ when a run is resumed: nothing that the numbers depend on."""
_LATER = ("own_pooler", "processes")
"""Settings that came later: at their default a run is the one that it was without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that a training run is told; ``FIELDS`` explains each setting. The defaults are CLAIF's.

    Making one checks it: ``ConfigError`` names the field, what was expected and what to do.
    """

    system: str = "claif"
    objective: str = "mse"
    model: str = BERT
    pooling: str = "mean"
    mlp_only_train: bool = False
    own_pooler: bool = False
    twins: bool = False
    data: str = ""
    allow_test: bool = False
    dev: str = ""
    dev_share: float = 0.1
    out: str = ""
    epochs: int = 3
    batch_size: int = 32
    lr: float = 2e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    max_seq_length: int = 512
    temperature: float = 0.05
    hard_negative_weight: float = 0.0
    smooth: str = "smooth_positive"
    mask_threshold: float = 0.95
    mask_model: str = ""
    mlm_weight: float = 0.0
    eval_every: int = 125
    eval_counting: str = "epoch"
    select: str = "stsb"
    dev_metric: str = "cosine"
    precision: str = "fp32"
    gradient_accumulation: int = 1
    gradient_cache: bool = False
    early_stop: int = 0
    dropout: float = 0.1
    seed: int = 42
    threads: int = 0
    compat: tuple[str, ...] = ()
    packed: bool = True
    launcher: str = "local"
    processes: int = 0
    slurm_account: str = ""
    slurm_partition: str = ""
    slurm_gpus: int = 1
    slurm_time: int = 240
    slurm_setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            # A frozen object is filled this way: a whole number becomes the float it stands for, a list a tuple.
            object.__setattr__(self, name, config_fields.check(field, getattr(self, name)))
        validate(self)


DEFAULTS: Mapping[str, object] = {field.name: field.default for field in fields(TrainConfig)}


def validate(config: TrainConfig) -> None:
    """Check what spans fields; called for every ``TrainConfig`` that is made. Raises ``ConfigError``."""
    _used(config)
    _vectors(config)
    _batches(config)
    _selection(config)
    _processes(config)
    allowed = (*COMPAT[config.objective], *(PROMPT_COMPAT if config.pooling == "prompt" else ()))
    for name in config.compat:
        if name not in allowed:
            raise ConfigError(
                f"compat holds {name}, which objective {config.objective} with {config.pooling} pooling does not know",
                f"Known there: {', '.join(allowed)}." if allowed else "Leave compat empty.",
            )


def _used(config: TrainConfig) -> None:
    """Refuse a setting that would silently do nothing."""
    for name, field in FIELDS.items():
        value, default = getattr(config, name), DEFAULTS[name]
        if field.objectives and config.objective not in field.objectives and value != default:
            raise ConfigError(
                f"{name} is {value!r}, but objective {config.objective} does not use it",
                f"Set {name} to {default!r}, or choose another objective ({', '.join(field.objectives)}).",
            )
        if field.launchers and config.launcher not in field.launchers and value != default:
            raise ConfigError(
                f"{name} is {value!r}, but launcher {config.launcher} does not use it",
                f"Leave {name} out, or set launcher to {' or '.join(field.launchers)}.",
            )


def _vectors(config: TrainConfig) -> None:
    if not config.model:
        raise ConfigError("model is empty, expected an encoder to start from", 'As in model = "minilm".')
    if config.objective == "masked-infonce" and not config.mask_model:
        raise ConfigError(
            "mask_model is empty, but objective masked-infonce needs a frozen encoder",
            "Name an unsupervised SimCSE model of the same backbone.",
        )
    if config.mlp_only_train and config.pooling not in ("cls", "prompt"):
        raise ConfigError(
            f"mlp_only_train is on, but {config.pooling} pooling has no MLP head",
            "Turn it off, or pool with cls.",
        )
    if config.own_pooler and config.pooling != "cls":
        raise ConfigError(
            f"own_pooler is on, but {config.pooling} pooling has no head that a pooler could be",
            "Turn it off, or pool with cls.",
        )
    if config.pooling == "prompt" and config.mlp_only_train != config.twins:
        raise ConfigError(
            f"mlp_only_train is {config.mlp_only_train}, but prompt pooling wants it the same as twins",
            "PromptBERT drops its head at evaluation without labels (twins), and keeps it with them.",
        )
    if config.twins and config.hard_negative_weight:
        raise ConfigError(
            f"hard_negative_weight is {config.hard_negative_weight:g}, but with twins there are no hard negatives",
            "Set it to 0, or turn twins off.",
        )


def _batches(config: TrainConfig) -> None:
    parts = config.gradient_accumulation
    if config.batch_size % parts:
        raise ConfigError(
            f"gradient_accumulation is {parts}, expected a divisor of batch_size ({config.batch_size})",
            "It says in how many parts a batch is computed; the batch itself stays as large.",
        )
    if parts > 1 and config.objective in IN_BATCH and not config.gradient_cache:
        raise ConfigError(
            f"gradient_accumulation is {parts}, but objective {config.objective} contrasts a row with its whole "
            f"batch: {parts} parts of {config.batch_size // parts} are not a batch of {config.batch_size}",
            "Turn gradient_cache on (the gradient of the whole batch, at the price of a second forward pass), "
            "or set gradient_accumulation to 1 and choose a smaller batch_size.",
        )
    if config.gradient_cache and parts == 1:
        raise ConfigError(
            "gradient_cache is on, but gradient_accumulation is 1: there are no parts to cache",
            "Set gradient_accumulation to the number of parts, or turn gradient_cache off.",
        )


def _selection(config: TrainConfig) -> None:
    if config.select == "own" and config.dev:
        raise ConfigError(
            f"dev is {config.dev!r}, but select = own scores on held-out training data",
            "Leave dev empty, or set select to stsb.",
        )


def _processes(config: TrainConfig) -> None:
    if config.launcher == "local" and config.processes > 1:
        raise ConfigError(
            f"processes is {config.processes}, but launcher local starts one",
            "Set launcher to torchrun, or processes to 0.",
        )
    if config.launcher == "torchrun" and config.processes == 1:
        raise ConfigError(
            "processes is 1, but launcher torchrun starts several",
            "Set processes to 2 or more (0: one for each visible GPU), or launcher to local.",
        )
    if config.processes > config.batch_size:
        raise ConfigError(
            f"processes is {config.processes}, but a batch of {config.batch_size} rows is shared among them",
            "Set processes to batch_size or less: batch_size counts the rows of all of them.",
        )


def _made(system: str, values: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig(**{**values, "system": system})


PRESETS: Mapping[str, TrainConfig] = {system: _made(system, values) for system, values in VALUES.items()}
"""The settings of each system as its paper or official script gives them (``ABOUT`` says which in a line)."""


def preset(system: str, **overrides: object) -> TrainConfig:
    """Return the settings of ``system`` with some of them changed; ``ConfigError`` if a name is not known."""
    return from_mapping({**overrides, "system": system})


def from_mapping(values: Mapping[str, object]) -> TrainConfig:
    """Return the settings of the system that ``values`` names (default claif) with the others as given."""
    system = values.get("system", "claif")
    config_fields.check(FIELDS["system"], system)
    known: dict[str, Any] = dict(values)
    for name in known:
        if name not in FIELDS:
            raise ConfigError(f"there is no setting {name!r}", nearest(name, FIELDS))
    return replace(PRESETS[str(system)], **known)


def to_mapping(config: TrainConfig) -> dict[str, Any]:
    """Return every setting by name, as JSON and TOML can hold it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def to_json(config: TrainConfig) -> str:
    """Write every setting, one a line; equal configurations give equal text."""
    return json.dumps(to_mapping(config), indent=2, allow_nan=False) + "\n"


def from_json(text: str | bytes, source: str = "config") -> TrainConfig:
    """Read what ``to_json`` wrote, or part of it; ``source`` is the file that errors name."""
    try:
        values = json.loads(text, object_pairs_hook=_once)
    except ConfigError as error:
        raise _at(source, error) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source} is not JSON: {error}") from None
    return _read(values, source)


def to_toml(config: TrainConfig) -> str:
    """Write every setting as TOML, with its explanation above it."""
    lines = []
    for name, value in to_mapping(config).items():
        # JSON's strings, numbers and lists of strings are TOML's too: text fields hold no control characters.
        lines.append(f"# {FIELDS[name].help}\n{name} = {json.dumps(value, ensure_ascii=False)}\n")
    return "\n".join(lines)


def read_toml(path: Path) -> TrainConfig:
    """Read a configuration file: ``system`` chooses the preset, every other key changes one setting."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", "Check the name and the permissions."
        ) from None
    except ValueError as error:  # covers both bad UTF-8 and bad TOML
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return _read(values, str(path))


def parse(name: str, text: str) -> Value:
    """Return what a user typed for the setting ``name`` as its value; ``ConfigError`` if it is not one."""
    if name not in FIELDS:
        raise ConfigError(f"there is no setting {name!r}", nearest(name, FIELDS))
    return config_fields.parse(FIELDS[name], text)


def located(name: str, value: str, base: Path) -> str:
    """Return the value of a setting that may be a path as an absolute one; ``base`` is what it counts from.

    A model is a path only if there is such a folder below ``base``; otherwise it is a name.
    """
    path = base / Path(value).expanduser()
    named = not value or (name in ("model", "mask_model") and not path.is_dir())
    return value if named else str(path.absolute())


def resolved(config: TrainConfig, base: Path) -> TrainConfig:
    """Return the same with absolute paths, so that it means the same wherever a child process stands."""
    changed: dict[str, Any] = {name: located(name, getattr(config, name), base) for name in PATHS}
    return replace(config, **changed)


def digest(config: TrainConfig) -> str:
    """Return 16 hex digits that stand for every setting a result depends on."""
    values = {name: value for name, value in to_mapping(config).items() if name not in MAY_CHANGE}
    for name in _LATER:
        if values[name] == DEFAULTS[name]:
            del values[name]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def changes(before: TrainConfig, after: TrainConfig) -> list[str]:
    """Return the settings that keep ``after`` from going on where ``before`` stopped, each with both values."""
    old, new = to_mapping(before), to_mapping(after)
    return [
        f"{name} was {old[name]!r} and is {new[name]!r}"
        for name in old
        if old[name] != new[name] and name not in MAY_CHANGE
    ]


def _read(values: object, source: str) -> TrainConfig:
    if not isinstance(values, dict):
        raise ConfigError(f"{source} holds {type(values).__name__}, expected settings by name")
    try:
        return from_mapping(values)
    except ConfigError as error:
        raise _at(source, error) from None


def _at(source: str, error: ConfigError) -> ConfigError:
    return ConfigError(f"{source}: {error.message}", error.hint)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{twice} is given twice")
    return values
