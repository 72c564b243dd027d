"""From a file to the cells of its grid: recipes, trainings and sources put together, or refused where they do not fit.

Nothing is asked, trained or written here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from claif_tui.core.errors import ClaifError, InputError
from claif_tui.core.experiment.file import ExperimentError
from claif_tui.core.experiment.methods import METHODS, NEEDS_SCORES, OBJECTIVE_TAKES, Makes, Method
from claif_tui.core.experiment.models import Cell, DataSet, Grid, Source, Spec, SystemRow
from claif_tui.core.llm.profiles import Profile, resolve
from claif_tui.core.provenance import backbone_of, provenance
from claif_tui.core.recipes import (
    Recipe,
    find_field,
    preset_recipe,
    presets_of,
    recipe_id,
    requests_id,
    set_field,
)
from claif_tui.core.runs import told
from claif_tui.core.session import require_decoding
from claif_tui.core.settings import Settings
from engine.config import FIELDS, PRESETS, TrainConfig, digest, from_mapping, located
from engine.errors import nearest
from engine.tasks import EVERY, select

_HUMAN: Mapping[Makes, str] = {
    "sentences": "sentences",
    "triplets": "human triplets",
    "labels": "human NLI labels",
}
SEEDS = "seeds"
"""As a whitening: the sentences of [seeds_from]."""
_SOURCES = {
    "seeds": "sentences ([seeds_from])",
    "triplets": "human triplets ([nli])",
    "labels": "pairs with NLI labels ([nli_labels])",
}


def build(spec: Spec, settings: Settings) -> Grid:
    """Return the grid of a file. Reads the sources to know their content; raises ``ClaifError`` naming the place."""
    return _Builder(spec, settings).grid()


class _Builder:
    def __init__(self, spec: Spec, settings: Settings) -> None:
        self._spec = spec
        self._settings = settings
        self._hashes: dict[Path, str] = {}
        self._models: dict[str, str] = {}
        self._notes: dict[str, None] = {}

    def grid(self) -> Grid:
        if not self._spec.data.is_dir():
            raise InputError(
                f"{self._spec.data} is no folder",
                "data names the folder of the evaluation sets; claif-tui data get fetches them.",
            )
        cells: dict[str, Cell] = {}
        for row in self._spec.systems:
            method = METHODS[row.system]
            self._fits(row, method)
            for backbone in self._spec.backbones:
                for cell in self._cells(row, method, backbone):
                    cells.setdefault(cell.id + cell.row, cell)
        ordered = sorted(cells.values(), key=lambda cell: cell.config is not None)
        return Grid(spec=self._spec, cells=tuple(ordered), notes=tuple(self._notes))

    # -- what does not go together

    def _fits(self, row: SystemRow, method: Method) -> None:
        spec = self._spec
        given = {"seeds": spec.seeds_from, "triplets": spec.triplets_from, "labels": spec.labels_from}
        for need in sorted(method.reads):
            if given[need] is None:
                self._wrong(row, f"{row.system} reads {_SOURCES[need]}, and the file names none")
        if self._evaluated(row, method).get("whitening") == SEEDS and given["seeds"] is None:
            self._wrong(row, f"{row.system} whitens with {_SOURCES['seeds']}, and the file names none")
        if not method.train:
            for what, values in (("recipe", row.recipe), ("train", row.train)):
                if values or (row.preset if what == "recipe" else row.train_preset):
                    self._wrong(row, f"{row.system} is not trained: [system.{what}] would do nothing")

    def _trains(self, row: SystemRow, method: Method, config: TrainConfig) -> None:
        takes: Makes = "sentences" if config.twins else OBJECTIVE_TAKES.get(config.objective, method.makes)
        if takes != method.makes:
            self._wrong(
                row,
                f"{row.system} makes {method.makes}, and training {config.system} reads {takes}",
                f"Leave [system.train] system out: {row.system} trains as {method.train}.",
            )
        if config.objective in NEEDS_SCORES and not (row.preset or method.preset):
            self._wrong(row, f"{row.system} asks for no scores, and training {config.system} needs them")

    # -- cells

    def _cells(self, row: SystemRow, method: Method, backbone: str) -> list[Cell]:
        evaluate = self._evaluated(row, method)
        name = f"{row.name} ({row.variant})" if row.variant else row.name
        if not method.train:
            data = self._data(row, method, 0) if evaluate.get("whitening") == SEEDS else None
            return [self._cell(name, row, method, backbone, None, data, None, evaluate)]
        found = []
        for seed in self._spec.seeds:
            config = self._config(row, method, backbone, seed)
            self._trains(row, method, config)
            data = self._data(row, method, seed)
            found.append(self._cell(name, row, method, backbone, seed, data, config, evaluate))
        return found

    def _cell(
        self,
        name: str,
        row: SystemRow,
        method: Method,
        backbone: str,
        seed: int | None,
        data: DataSet | None,
        config: TrainConfig | None,
        evaluate: Mapping[str, object],
    ) -> Cell:
        tasks = self._tasks(row, config)
        run_id = ""
        if config is not None and data is not None:
            plain = replace(config, dev="" if config.dev == str(self._spec.data) else config.dev)
            run_id = _hash({"data": data.id, "train": digest(plain), "model": self._identity(backbone)})
        facts = {"run": run_id or self._identity(backbone), "evaluate": dict(evaluate), "tasks": tasks}
        if data is not None:
            facts["made"] = data.id
        return Cell(
            id=_hash({**facts, "data": str(self._spec.data)}),
            run_id=run_id,
            row=name,
            system=row.system,
            backbone=backbone,
            seed=seed,
            data=data,
            config=config,
            evaluate={**evaluate, "tasks": tasks},
            paper=method.paper,
        )

    def _evaluated(self, row: SystemRow, method: Method) -> dict[str, object]:
        found: dict[str, object] = {**method.evaluate, **(row.evaluate or {})}
        return {name: value for name, value in found.items() if value is not None}

    def _tasks(self, row: SystemRow, config: TrainConfig | None) -> str:
        if config is None or config.objective != "cross":
            return self._spec.tasks
        names = [name for name in select(self._spec.tasks) if EVERY[name].kind != "transfer"]
        if not names:
            self._wrong(row, "a cross-encoder has no transfer tasks, and tasks names no other")
        return ",".join(names)

    # -- training

    def _config(self, row: SystemRow, method: Method, backbone: str, seed: int) -> TrainConfig:
        roberta = "roberta" in (backbone_of(backbone) or backbone).lower()
        system = row.train_preset or (method.train_roberta if roberta else "") or method.train
        if system not in PRESETS:
            self._wrong(row, f"there is no training {system!r}", nearest(system, PRESETS))
        objective = str(row.train.get("objective", PRESETS[system].objective))
        shared = {
            name: value
            for name, value in self._spec.train.items()
            if not FIELDS[name].objectives or objective in FIELDS[name].objectives
        }
        values: dict[str, Any] = {**shared, **row.train, "system": system, "model": self._model(backbone)}
        if (
            objective == "masked-infonce"
            and "mask_model" not in values
            and backbone_of(backbone) != "bert-base"
        ):
            # The first layers of MiniLM alone find all sentences alike, and would mask everything.
            mask = "minilm" if str(values["model"]).startswith("minilm") else values["model"]
            values["mask_model"] = mask
            self._notes[f"{row.name}: {mask} says which in-batch negatives are masked."] = None
        values["seed"] = seed
        if values.get("select", PRESETS[system].select) == "own" and "dev" not in row.train:
            values.pop("dev", None)  # [train] names it for those that can use one
        try:
            with told():
                config = from_mapping(values)
                if config.select != "own" and not config.dev:
                    config = from_mapping({**values, "dev": str(self._spec.data)})
                return config
        except ClaifError as error:
            self._wrong(row, error.message, error.hint)

    def _model(self, backbone: str) -> str:
        return located("model", backbone, self._spec.path.parent)

    def _identity(self, backbone: str) -> str:
        """A backbone's name, or a hash of the folder that it is."""
        if backbone not in self._models:
            model = self._model(backbone)
            self._models[backbone] = provenance(model).identity if Path(model).is_dir() else model
        return self._models[backbone]

    # -- data

    def _data(self, row: SystemRow, method: Method, seed: int) -> DataSet:
        makes: Makes = method.makes if method.train else "sentences"
        seeds = self._spec.seeds_from if "seeds" in method.reads or not method.train else None
        triplets = self._spec.triplets_from if "triplets" in method.reads else None
        labels = self._spec.labels_from if "labels" in method.reads else None
        preset = row.preset or method.preset
        if not method.preset and (row.recipe or row.preset):
            self._wrong(row, f"{row.system} asks no model: [system.recipe] would do nothing")
        recipe, profile = self._recipe(row, preset, seed) if preset else (None, None)
        facts: dict[str, object] = {
            "asks": None if recipe is None else requests_id(recipe),
            "seeds": self._source(seeds),
            "triplets": self._source(triplets),
        }
        if labels is not None:
            facts["labels"] = self._source(labels)
        project = _hash(facts)
        kind = preset or _HUMAN[makes]
        return DataSet(
            id=_hash({"project": project, "made": makes if recipe is None else recipe_id(recipe)}),
            project_id=project,
            makes=makes,
            recipe=recipe,
            model=row.model,
            seeds=seeds,
            triplets=triplets,
            labels=labels,
            title=kind if recipe is None or recipe.seed != seed else f"{kind}, seed {seed}",
            demo=profile is not None and (row.model.stand_in or profile.kind == "offline"),
        )

    def _recipe(self, row: SystemRow, preset: str, seed: int) -> tuple[Recipe, Profile]:
        """The recipe of a data set with the endpoint that it means; refused where that cannot decode as it wants."""
        settings, wish = self._settings, row.model.endpoint
        try:
            recipe = set_field(set_field(Recipe(), "preset", preset), "seed", seed)
            mine = preset_recipe(METHODS[row.system].preset).system
            if recipe.system != mine:
                self._wrong(
                    row,
                    f"preset {preset} is one of {recipe.system}, and {row.system} is made with {mine}",
                    f"Presets of {mine}: {', '.join(presets_of(mine))}.",
                )
            for name, value in {**self._spec.recipe, **row.recipe}.items():
                systems = find_field(name, recipe.api).systems
                if not systems or recipe.system in systems:
                    recipe = set_field(recipe, name, value)
                elif name in row.recipe:
                    self._wrong(row, f"{name} is a field of {', '.join(systems)}, not of {recipe.system}")
            profile = resolve(
                settings.profiles,
                replace(wish, api=wish.api or recipe.api),
                default=settings.text("profile"),
                today=date.today().isoformat(),
            )
            recipe = set_field(recipe, "model.profile", profile.name)
            recipe = set_field(recipe, "model.name", profile.model or recipe.model)
            recipe = set_field(recipe, "model.api", profile.api)
            require_decoding(recipe, profile)
        except ExperimentError:
            raise
        except ClaifError as error:
            self._wrong(row, error.message, error.hint)
        return recipe, profile

    def _source(self, source: Source | None) -> object:
        if source is None:
            return None
        if source.path not in self._hashes:
            whole = hashlib.sha256()
            try:
                for file in sorted(source.path.iterdir()) if source.path.is_dir() else [source.path]:
                    with file.open("rb") as content:
                        whole.update(hashlib.file_digest(content, "sha256").digest())
                self._hashes[source.path] = whole.hexdigest()
            except OSError as error:
                raise InputError(
                    f"{source.path} cannot be read: {error.strerror}", "Check the name and the permissions."
                ) from None
        return [self._hashes[source.path], source.format, list(source.columns), source.limit]

    def _wrong(self, row: SystemRow, message: str, hint: str = "") -> NoReturn:
        raise ExperimentError(f"{row.place}: system {row.name}: {message}", hint)


def _hash(facts: object) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
