"""The recipe: every knob that decides what data comes out, and its versions. No files here.

One table, ``recipe_schema.FIELDS``, names each knob with its type, range and help; the command line, the screen, the
TOML form (``claif_tui.core.recipe_file``) and the docs all walk it. Budget, concurrency and the like are not recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from claif_tui.core import masking, prompts, system_prompts
from claif_tui.core.answers import DEFAULT_REFUSALS
from claif_tui.core.errors import RecipeError
from claif_tui.core.llm.base import Api
from claif_tui.core.prompts import ScorePrompt
from claif_tui.core.recipe_fields import FieldSpec, Value, coerce, nearest
from claif_tui.core.recipe_presets import PRESET_NAMES as PRESET_NAMES
from claif_tui.core.recipe_presets import PRESETS, Preset, SystemName, first_preset
from claif_tui.core.recipe_schema import BY_NAME as BY_NAME
from claif_tui.core.recipe_schema import FIELDS as FIELDS
from claif_tui.core.recipe_schema import Conflicts, Decoding, DinoVariant, SyncsePrompts, ZeroPool, applies

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All knobs, flat; ``FIELDS`` has their public names, meaning and ranges. Defaults: preset claif."""

    system: SystemName = "claif"
    preset: Preset = "claif"
    seed: int = 42
    keep_duplicates: bool = False
    rates: tuple[float, ...] = RATES
    merge: float = masking.MERGE_PROBABILITY
    profile: str = "offline"
    model: str = "offline"
    api: Api = "chat"
    fill_temperature: float = 0.7
    score_temperature: float = 0.0
    top_p: float = 0.9
    max_tokens: int = 256
    score_prompt: ScorePrompt = "paper"
    reasks: int = 2
    system_line: str = prompts.SYSTEM_LINE
    chat_fill: str = prompts.CHAT_FILL
    chat_paraphrase: str = prompts.CHAT_PARAPHRASE
    chat_paper: str = prompts.CHAT_SCORE["paper"]
    chat_score_and_reason: str = prompts.CHAT_SCORE["score-and-reason"]
    chat_reason_then_score: str = prompts.CHAT_SCORE["reason-then-score"]
    completions_fill: str = prompts.COMPLETIONS_FILL
    completions_paraphrase: str = prompts.COMPLETIONS_PARAPHRASE
    completions_paper: str = prompts.COMPLETIONS_SCORE["paper"]
    completions_score_and_reason: str = prompts.COMPLETIONS_SCORE["score-and-reason"]
    completions_reason_then_score: str = prompts.COMPLETIONS_SCORE["reason-then-score"]
    refusals: tuple[str, ...] = field(default=DEFAULT_REFUSALS)
    deduplicate: bool = True
    conflicts: Conflicts = "mean"
    drop_identical: bool = True
    drop_mask: bool = True
    drop_refusals: bool = True
    smoothing: float = 0.2
    cap: int = 2
    zero_pairs: int = 2
    zero_pool: ZeroPool = "generated"
    dino_variant: DinoVariant = "api"
    dino_samples: int = 2
    dino_decay: float = 100.0
    dino_floor: float = 0.01
    dino_top_k: int = 5
    dino_same: str = system_prompts.DINO_SAME
    dino_similar: str = system_prompts.DINO_SIMILAR
    dino_different: str = system_prompts.DINO_DIFFERENT
    syncse_prompts: SyncsePrompts = "pools"
    syncse_exemplars: int = 5
    material: str = ""
    naive_positive: str = system_prompts.NAIVE_POSITIVE
    naive_negative: str = system_prompts.NAIVE_NEGATIVE
    scratch_sentences: int = 1000
    scratch_per_request: int = 10
    scratch_topics: int = 6
    scratch_prompt: str = system_prompts.SCRATCH
    decoding: Decoding = "two-shot"
    omega: float = 0.3
    plausibility: float = 0.1
    multicsr_entailment: str = system_prompts.MULTICSR_ENTAILMENT
    multicsr_contradiction: str = system_prompts.MULTICSR_CONTRADICTION
    multicsr_score: str = system_prompts.MULTICSR_SCORE
    score_negatives: bool = False
    swap: bool = True
    alpha: float = 3.0
    beta: float = 3.0
    gamma: float = 0.0


def preset_recipe(name: str) -> Recipe:
    """Return the recipe of a preset (``PRESET_NAMES``), all other knobs at their defaults."""
    return _apply_preset(Recipe(), name)


def get_field(recipe: Recipe, name: str) -> Value:
    """Return the value of the field with that dotted name (short names as in ``set_field``)."""
    value: Value = getattr(recipe, find_field(name, recipe.api).attr)
    return value


def set_field(recipe: Recipe, name: str, value: object) -> Recipe:
    """Return the recipe with one field set; strings are read as the field's type.

    ``name`` is dotted ("masks.rates"); its last part is enough where it is unique ("rates"), and
    "prompts.fill" means that of the API form in force. "off" is 0 for counts that may be 0. Setting "preset"
    sets everything the preset fixes, and setting "system" means its first preset. Raises ``RecipeError`` naming the
    field, what it expects, a near name.
    """
    spec = find_field(name, recipe.api)
    read = coerce(spec, value)
    if spec.attr == "preset":
        return _apply_preset(recipe, str(read))
    if spec.attr == "system":
        return recipe if read == recipe.system else _apply_preset(recipe, first_preset(str(read)))
    return replace(recipe, **{spec.attr: read})  # type: ignore[arg-type]  # coerce checks the type


def find_field(name: str, api: str = "chat") -> FieldSpec:
    """Return the field that ``name`` means, or raise ``RecipeError`` with the nearest name."""
    spec = BY_NAME.get(name)
    if spec is None and name.startswith("prompts."):
        spec = BY_NAME.get(f"prompts.{api}.{name.removeprefix('prompts.')}")
    if spec is None and "." not in name:
        matches = [known for known in FIELDS if known.name.rpartition(".")[2] == name]
        spec = matches[0] if len(matches) == 1 else None
    if spec is None:
        raise RecipeError(f"there is no recipe field {name!r}", nearest(name, BY_NAME))
    return spec


def from_values(values: Mapping[str, object]) -> Recipe:
    """Build a recipe from dotted names and values of the right types; what is missing comes from the preset."""
    for name in values:
        if name not in BY_NAME:
            raise RecipeError(f"there is no recipe field {name!r}", nearest(name, BY_NAME))
    system = str(coerce(BY_NAME["system"], values["system"])) if "system" in values else None
    preset = values.get("preset", "claif" if system is None else first_preset(system))
    recipe = preset_recipe(str(coerce(BY_NAME["preset"], preset)))
    if system is not None and recipe.system != system:
        raise RecipeError(
            f"preset {recipe.preset} is one of {recipe.system}, and system is {system}",
            f"Presets of {system}: {', '.join(presets_of(system))}.",
        )
    read = {BY_NAME[name].attr: coerce(BY_NAME[name], value) for name, value in values.items()}
    return replace(recipe, **read)  # type: ignore[arg-type]  # coerce checks the types


def to_values(recipe: Recipe) -> dict[str, Value]:
    """Return every field that means something to the recipe's system by its dotted name, in the order of ``FIELDS``."""
    return {spec.name: getattr(recipe, spec.attr) for spec in fields_of(recipe.system)}


def fields_of(system: str) -> list[FieldSpec]:
    """Return the fields that mean something to ``system``, in the order of ``FIELDS``."""
    return [spec for spec in FIELDS if applies(spec, system)]


def presets_of(system: str) -> list[Preset]:
    """Return the presets of ``system``, the one it stands for first."""
    return [name for name, values in PRESETS.items() if values["system"] == system]


def changes(old: Recipe, new: Recipe) -> dict[str, Value]:
    """Return the fields in which ``new`` differs from ``old``, with the new values."""
    return {name: value for name, value in to_values(new).items() if value != get_field(old, name)}


def diff(recipe: Recipe, preset: str) -> list[tuple[str, Value, Value]]:
    """Return (field, value, value in the preset) for each field in which the recipe departs from the preset."""
    base = preset_recipe(preset)
    return [
        (spec.name, getattr(recipe, spec.attr), getattr(base, spec.attr))
        for spec in FIELDS
        if applies(spec, recipe.system) or applies(spec, base.system)
        if spec.attr != "preset" and getattr(recipe, spec.attr) != getattr(base, spec.attr)
    ]


def recipe_id(recipe: Recipe) -> str:
    """Return the version of the recipe: 12 hex digits over every field that decides what an export holds.

    The preset's name is a label and does not count: two roads to the same values are the same recipe.
    """
    return _content_id(recipe, ("requests", "export"))


def requests_id(recipe: Recipe) -> str:
    """Return 12 hex digits over the fields that decide what is asked of a model and how answers are read.

    Recipes that differ only in post-processing share it: their requests, pairs and budget are the same.
    """
    return _content_id(recipe, ("requests",))


def to_json(recipe: Recipe) -> str:
    """Return the one canonical JSON form (sorted keys, no blanks) for the store."""
    return _canonical(to_values(recipe))


def from_json(text: str) -> Recipe:
    """Read ``to_json`` back, strictly: an unknown or missing field, or a wrong type, is a ``RecipeError``."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RecipeError(f"the stored recipe is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError("the stored recipe is not a JSON object")
    recipe = from_values(data)
    missing = [spec.name for spec in fields_of(recipe.system) if spec.name not in data]
    if missing:
        raise RecipeError(f"the stored recipe lacks {', '.join(missing)}", "It was written by another version.")
    return recipe


def _apply_preset(recipe: Recipe, name: str) -> Recipe:
    read = coerce(BY_NAME["preset"], name)
    known = next(preset for preset in PRESET_NAMES if preset == read)
    values = PRESETS[known]
    if values["system"] != recipe.system:
        # Another system: nothing of the last one's settings is meant, but who is asked and the seed are.
        kept = {attr: getattr(recipe, attr) for attr in ("seed", "profile", "model", "api")}
        recipe = replace(Recipe(), **kept)
    return replace(recipe, preset=known, **values)  # type: ignore[arg-type]  # names and types are tested


def _content_id(recipe: Recipe, affects: tuple[str, ...]) -> str:
    values = {
        spec.name: getattr(recipe, spec.attr) for spec in fields_of(recipe.system) if spec.affects in affects
    }
    return hashlib.sha256(_canonical(values).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _canonical(values: Mapping[str, Value]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
