"""Experiment files: TOML read with errors that name file, line and field, and the ready ones that are packaged.

Whether presets, recipes and trainings fit together is decided in ``grid``.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args

from claif_tui.core.errors import ClaifError, InputError, RecipeError
from claif_tui.core.experiment.methods import METHODS
from claif_tui.core.experiment.models import ModelWish, Source, Spec, SystemRow
from claif_tui.core.importing.types import FORMATS
from claif_tui.core.llm.base import Api
from claif_tui.core.llm.profiles import Wish
from claif_tui.core.paths import asset
from claif_tui.core.recipe_fields import format_value
from claif_tui.core.recipe_fields import nearest as nearest_field
from claif_tui.core.recipes import BY_NAME, find_field
from claif_tui.core.runs import EngineProblem, told
from engine.config import FIELDS
from engine.errors import nearest
from engine.tasks import EVERY, select

MAX_CELLS = 500
MAX_VARIANTS = 64
READY = ("family", "ablation-negatives", "ablation-smoothing-cap")
"""The packaged files, as ``--show`` names them."""
_GOOD = "claif-tui experiment --show family prints a good one."

_MAX_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_TOP = (
    *("name", "data", "tasks", "budget_usd", "backbones", "seeds"),
    *("seeds_from", "nli", "nli_labels", "model", "recipe", "train", "system"),
)
_SYSTEM = ("name", "system", "recipe", "train", "evaluate", "model", "vary")
_SOURCE = ("file", "format", "column", "limit")
_MODEL = (
    *("profile", "name", "base_url", "api", "api_key_env", "concurrency", "rpm", "tpm"),
    *("price_in", "price_out", "stand_in"),
)
_EVALUATE = {
    "pooling": (str, "a text"),
    "whitening": (str, "a text"),
    "whitening_dim": (int, "a whole number of 1 or more"),
    "max_seq_length": (int, "a whole number of 1 or more"),
    "precision": (str, "a text"),
    "own_pooler": (bool, "true or false"),
}
"""Fields of an evaluation: their type, and that in words."""
_OURS = {
    "data": "the data set of the system is trained on",
    "out": "runs go to the experiment's folder",
    "model": "backbones names the models",
    "seed": "seeds names the seeds",
}
"""Training settings that the experiment itself sets."""


class ExperimentError(ClaifError):
    """An experiment's file, or what it asks for, cannot be."""

    title = "Experiment"


def load(path: Path) -> Spec:
    """Read an experiment's file; raises ``InputError`` if it cannot be read, ``ExperimentError`` for what is in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}",
            "Start from one: claif-tui experiment --show family > family.toml",
        ) from error
    if len(raw) > _MAX_BYTES:
        raise InputError(f"{path} is larger than a megabyte: that is no experiment file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start:,})", "Save it as UTF-8.") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Spec:
    """Read an experiment from TOML; paths in it count from the folder of ``path``, which errors name."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers without end, brackets without end
        raise ExperimentError(
            f"{path} is not valid TOML: {error}", "Texts need quotes, lists need [ ]."
        ) from error
    return _Reader(text, path, data).spec()


def ready(name: str, data: Path | None = None) -> str:
    """Return the text of a packaged file (``READY``); its evaluation sets are those of the folder ``data``, if any."""
    text = asset(f"experiments/{name}.toml").read_text("utf-8")
    if data is None:
        return text
    folder = str(data).replace("\\", "\\\\").replace('"', '\\"')
    return text.replace('"senteval', f'"{folder}')


class _Reader:
    """Takes a file's values one by one; every complaint names file, line and field."""

    def __init__(self, text: str, path: Path, data: Mapping[str, Any]) -> None:
        self._lines = text.splitlines()
        self._path = path.absolute()
        self._shown = str(path)
        self._data = data

    def spec(self) -> Spec:
        self._known(self._data, _TOP, "", "an experiment")
        name = self._text(self._data, "name", "", self._path.stem)
        if not _NAME.fullmatch(name):
            self._wrong("name", f"name is {name!r}, expected letters, digits, - . _: it names a folder")
        if "data" not in self._data:
            self._wrong(
                "data", "data is missing", "Name the folder of the evaluation sets (SentEval's layout)."
            )
        shared = self._model(self._data.get("model", {}), "model", {})
        spec = Spec(
            path=self._path,
            name=name,
            data=self._file(self._text(self._data, "data", "")),
            tasks=self._tasks(),
            budget_usd=self._budget(),
            backbones=self._list("backbones", str, ("minilm:3",), "a list of models, as in ['minilm:3']"),
            seeds=self._list("seeds", int, (42,), "a list of whole numbers of 0 or more, as in [42, 43]"),
            seeds_from=self._source("seeds_from"),
            triplets_from=self._source("nli"),
            labels_from=self._source("nli_labels", ("file", "limit")),
            recipe=self._recipe(self._data.get("recipe", {}), "recipe"),
            train=self._train(self._data.get("train", {}), "train"),
            systems=self._systems(shared),
        )
        cells = len(spec.systems) * len(spec.backbones) * len(spec.seeds)
        if cells > MAX_CELLS:
            self._wrong("system", f"the grid has {cells:,} cells, expected {MAX_CELLS} at most")
        return spec

    # -- single values

    def _known(self, table: Any, names: Iterable[str], at: str, what: str) -> None:
        if not isinstance(table, dict):
            self._wrong(
                at, f"{at} is {_short(table)}, expected a table", f"Write [{at}], and its fields below."
            )
        for key in table:
            if key not in names:
                self._wrong(_join(at, key), f"there is no field {key!r} in {what}", nearest(key, tuple(names)))

    def _text(self, table: Mapping[str, Any], key: str, at: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or not value.strip():
            told = "is missing" if value is None else f"is {_short(value)}"
            self._wrong(_join(at, key), f"{key} {told}, expected a text")
        return value.strip()

    def _tasks(self) -> str:
        tasks = self._text(self._data, "tasks", "", "sts")
        try:
            with told():
                names = select(tasks)
        except EngineProblem as error:
            self._wrong("tasks", f"tasks: {error.message}", error.hint)
        if all(EVERY[name].kind == "rerank" for name in names):
            self._wrong(
                "tasks", "tasks names none of the papers' tables", "Add sts, as in tasks = 'sts,rerank'."
            )
        return tasks

    def _budget(self) -> float | None:
        value = self._data.get("budget_usd")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            self._wrong("budget_usd", f"budget_usd is {_short(value)}, expected dollars, as in 5.0")
        return float(value)

    def _list(self, key: str, kind: type, default: tuple[Any, ...], expected: str) -> Any:
        value = self._data.get(key, list(default))
        items = value if isinstance(value, list) else []
        for item in items:
            good = isinstance(item, kind) and not isinstance(item, bool)
            if not good or (kind is int and not 0 <= item < 2**32) or (kind is str and not item.strip()):
                self._wrong(key, f"{key} holds {_short(item)}, expected {expected}")
        if not items:
            self._wrong(key, f"{key} is {_short(value)}, expected {expected}")
        if len(set(items)) < len(items):
            self._wrong(key, f"{key} names something twice", "Name each once.")
        return tuple(items)

    def _file(self, word: str) -> Path:
        return (self._path.parent / Path(word).expanduser()).absolute()

    def _limit(self, table: Mapping[str, Any], at: str) -> int | None:
        value = table.get("limit")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self._wrong(_join(at, "limit"), f"limit is {_short(value)}, expected a whole number of 1 or more")
        return value

    # -- tables

    def _source(self, at: str, names: tuple[str, ...] = _SOURCE) -> Source | None:
        table = self._data.get(at)
        if table is None:
            return None
        self._known(table, names, at, f"[{at}]")
        path = self._file(self._text(table, "file", at))
        if not path.exists():
            hint = "Paths count from the folder of this file. claif-tui data get sts, or nli, fetches the public sets."
            self._wrong(f"{at}.file", f"{path} does not exist", hint)
        form = table.get("format")
        if form is not None and form not in FORMATS:
            self._wrong(f"{at}.format", f"format is {_short(form)}, expected {', '.join(FORMATS)}")
        columns = table.get("column", [])
        columns = [columns] if isinstance(columns, str) else columns
        if not isinstance(columns, list) or not all(isinstance(one, str) and one for one in columns):
            self._wrong(f"{at}.column", f"column is {_short(columns)}, expected a name or a list of names")
        return Source(path=path, format=form, columns=tuple(columns), limit=self._limit(table, at))

    def _model(self, table: Any, at: str, shared: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a ``[model]`` over the ``shared`` ones, checked."""
        self._known(table, _MODEL, at, "a model")
        for key, value in table.items():
            here = _join(at, key)
            if key in ("concurrency", "rpm", "tpm"):
                if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                    self._wrong(here, f"{key} is {_short(value)}, expected a whole number of 1 or more")
            elif key in ("price_in", "price_out"):
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
                    self._wrong(here, f"{key} is {_short(value)}, expected dollars for a million tokens")
            elif key == "stand_in":
                if not isinstance(value, bool):
                    self._wrong(here, f"stand_in is {_short(value)}, expected true or false")
            elif key == "api" and value not in get_args(Api):
                self._wrong(here, f"api is {_short(value)}, expected {' or '.join(get_args(Api))}")
            else:
                self._text(table, key, at)
        # Another endpoint is another one whole: its price, its key and its pace are not the first one's.
        own = {"profile", "name", "base_url"} & table.keys()
        return {**({} if own else shared), **table}

    def _recipe(self, table: Any, at: str) -> dict[str, object]:
        values = dict(self._flat(table, at))
        for name in values:
            self._field(name, _join(at, name))
        return values

    def _train(self, table: Any, at: str) -> dict[str, object]:
        self._known(table, FIELDS, at, "a training")
        for name, why in _OURS.items():
            if name in table:
                self._wrong(_join(at, name), f"{name} is not set here: {why}", "Take it out.")
        values: dict[str, object] = dict(table)
        if at == "train" and "system" in values:
            self._wrong("train.system", "[train] is for all systems", "Name it below one: [system.train]")
        for name in ("dev", "mask_model"):
            word = values.get(name)
            if isinstance(word, str) and word and (name == "dev" or self._file(word).is_dir()):
                values[name] = str(self._file(word))
        return values

    def _flat(self, table: Any, at: str, prefix: str = "") -> Iterator[tuple[str, object]]:
        if not isinstance(table, dict):
            self._wrong(at, f"{at} is {_short(table)}, expected a table")
        for key, value in table.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict) and name not in BY_NAME:
                yield from self._flat(value, at, f"{name}.")
            else:
                yield name, value

    def _field(self, name: str, place: str) -> None:
        try:
            find_field(name)
        except RecipeError as error:
            hint = nearest_field(name, BY_NAME)
            self._wrong(place, error.message, hint if hint.startswith("Did you") else error.hint)

    # -- systems

    def _systems(self, shared: Mapping[str, Any]) -> tuple[SystemRow, ...]:
        tables = self._data.get("system")
        if not isinstance(tables, list) or not tables:
            self._wrong("system", "no system is named", 'Write [[system]] and below it name = "claif".')
        rows: list[SystemRow] = []
        for number, table in enumerate(tables):
            rows += self._system(table, f"system.{number}", shared)
        names = [(row.name, row.variant) for row in rows]
        for number, name in enumerate(names):
            if name in names[:number]:
                place = rows[number].place
                raise ExperimentError(f"{place}: two systems are named {name[0]!r}", "Give each its own name.")
        return tuple(rows)

    def _system(self, table: Any, at: str, shared: Mapping[str, Any]) -> list[SystemRow]:
        self._known(table, _SYSTEM, at, "a system")
        name = self._text(table, "name", at)
        if len(name) > 80 or not name.isprintable():
            self._wrong(_join(at, "name"), f"name is {_short(name)}, expected up to 80 printable characters")
        key = "system" if "system" in table else "name"
        system = self._text(table, key, at)
        if system not in METHODS:
            known = nearest(system, METHODS)
            hint = known if key == "system" else f'{known} A name of your own goes with system = "…".'
            self._wrong(_join(at, key), f"there is no system {system!r}", hint)
        recipe = self._recipe(table.get("recipe", {}), _join(at, "recipe"))
        train = self._train(table.get("train", {}), _join(at, "train"))
        evaluate = table.get("evaluate")
        if evaluate is not None:
            self._evaluation(evaluate, _join(at, "evaluate"))
        model = self._model(table.get("model", {}), _join(at, "model"), shared)
        preset, trained = str(recipe.pop("preset", "")), str(train.pop("system", ""))
        rows = []
        for variant, more_recipe, more_train in self._variants(table.get("vary", {}), _join(at, "vary")):
            rows.append(
                SystemRow(
                    name=name,
                    system=system,
                    preset=preset,
                    train_preset=trained,
                    recipe={**recipe, **more_recipe},
                    train={**train, **more_train},
                    evaluate=evaluate,
                    model=_wish(model),
                    place=self._place(at),
                    variant=variant,
                )
            )
        return rows

    def _evaluation(self, table: Any, at: str) -> None:
        self._known(table, _EVALUATE, at, "an evaluation")
        for key, value in table.items():
            kind, expected = _EVALUATE[key]
            good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
            if not good or (kind is int and value < 1) or (kind is str and not value.strip()):
                self._wrong(_join(at, key), f"{key} is {_short(value)}, expected {expected}")

    def _variants(self, table: Any, at: str) -> list[tuple[str, dict[str, object], dict[str, object]]]:
        """Cross the lists of a ``vary`` table: (what sets it apart, recipe settings, training settings) each."""
        axes: list[tuple[str, list[object]]] = []
        for name, value in self._flat(table, at):
            here = _join(at, name)
            if name.startswith("train."):
                self._train({name.removeprefix("train."): None}, _join(at, "train"))
            else:
                self._field(name, here)
            if not isinstance(value, list) or not value:
                self._wrong(here, f"{name} is {_short(value)}, expected a list of the values to try")
            axes.append((name, value))
        count = math.prod(len(value) for _, value in axes)
        if count > MAX_VARIANTS:
            self._wrong(at, f"vary makes {count:,} variants, expected {MAX_VARIANTS} at most")
        variants = []
        for values in itertools.product(*(value for _, value in axes)):
            chosen = dict(zip((name for name, _ in axes), values, strict=True))
            words = [f"{name.rpartition('.')[2]} {_value(value)}" for name, value in chosen.items()]
            mine = {name: value for name, value in chosen.items() if not name.startswith("train.")}
            train = {
                name.removeprefix("train."): value
                for name, value in chosen.items()
                if name.startswith("train.")
            }
            variants.append((", ".join(words), mine, train))
        return variants

    # -- complaints

    def _wrong(self, name: str, message: str, hint: str = "") -> NoReturn:
        raise ExperimentError(f"{self._place(name)}: {message}", hint or _GOOD)

    def _place(self, name: str) -> str:
        """Name the line of a field ("seeds", "system.1.recipe.post.cap"), or of what holds it."""
        lines = dict(reversed(list(self._fields())))
        while name:
            if name in lines:
                return f"{self._shown}, line {lines[name]}"
            name = name.rpartition(".")[0]
        return self._shown

    def _fields(self) -> Iterator[tuple[str, int]]:
        table, count = "", -1
        for number, line in enumerate(self._lines, 1):
            if head := re.match(r"\s*\[(\[?)\s*([\w.\-+\" ]+?)\s*\]", line):
                table = head.group(2).replace(" ", "").replace('"', "")
                count += bool(head.group(1)) and table == "system"
                first, _, rest = table.partition(".")
                if first == "system" and (head.group(1) or rest):
                    table = _join(f"system.{count}", rest) if rest else f"system.{count}"
                yield table, number
            elif key := re.match(r"\s*([\w.\-\"]+)\s*=", line):
                yield _join(table, key.group(1).replace('"', "")), number


def _wish(model: Mapping[str, Any]) -> ModelWish:
    fields = {name: value for name, value in model.items() if name != "stand_in"}
    if "name" in fields:
        fields["model"] = fields.pop("name")
    for name in ("price_in", "price_out"):
        if name in fields:
            fields[name] = float(fields[name])
    if not fields.keys() & {"profile", "model", "base_url"}:
        fields["profile"] = "offline"
    return ModelWish(endpoint=Wish(**fields), stand_in=bool(model.get("stand_in", False)))


def _value(value: object) -> str:
    return format_value(value) if isinstance(value, bool | int | float | str) else str(value)


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at and key else at or key


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
