"""The recipe: every knob that decides what data comes out, its three presets, its versions. No files here.

One table, ``FIELDS``, names each knob with its type, range and help; the command line, the screen, the TOML
form (``claif_tui.core.recipe_file``) and the docs all walk it. Budget, concurrency and the like are not recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from claif_tui.core import masking, prompts
from claif_tui.core.answers import DEFAULT_REFUSALS
from claif_tui.core.errors import RecipeError
from claif_tui.core.llm.base import Api
from claif_tui.core.prompts import ScorePrompt
from claif_tui.core.recipe_fields import FieldSpec, Value, coerce, nearest

Preset = Literal["claif", "official-code", "paper-literal"]
ZeroPool = Literal["generated", "originals"]
Conflicts = Literal["mean", "first"]

PRESET_NAMES: tuple[Preset, ...] = get_args(Preset)
RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All knobs, flat; ``FIELDS`` has their public names, meaning and ranges. Defaults: preset claif."""

    system: Literal["claif"] = "claif"
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


PRESETS: dict[Preset, dict[str, object]] = {
    "claif": {
        "keep_duplicates": False,
        "score_prompt": "paper",
        "fill_temperature": 0.7,
        "score_temperature": 0.0,
        "smoothing": 0.2,
        "cap": 2,
        "zero_pool": "generated",
    },
    "official-code": {
        "keep_duplicates": True,
        "score_prompt": "score-and-reason",
        "fill_temperature": 0.7,
        "score_temperature": 0.7,
        "smoothing": 0.2,
        "cap": 2,
        "zero_pool": "generated",
    },
    "paper-literal": {
        "keep_duplicates": False,
        "score_prompt": "paper",
        "fill_temperature": 0.7,
        "score_temperature": 0.7,
        "smoothing": 0.0,
        "cap": 0,
        "zero_pool": "originals",
    },
}
"""What each preset of methods 3.2 fixes, by attribute; every other knob keeps its default."""


def _prompt_fields(form: str, attr: str) -> tuple[FieldSpec, ...]:
    names: tuple[tuple[str, str, prompts.TemplateKind, str], ...] = (
        ("fill", "fill", "fill", "asks to replace the masks (rates above 0); needs {masked}"),
        ("paraphrase", "paraphrase", "paraphrase", "asks for the same meaning (rate 0.0); needs {sentence}"),
        ("paper", "paper", "score", "asks for the score alone"),
        ("score-and-reason", "score_and_reason", "score", "asks for the score, then the reason"),
        ("reason-then-score", "reason_then_score", "score", "asks for the reason, then the score"),
    )
    return tuple(
        FieldSpec(
            name=f"prompts.{form}.{name}",
            attr=f"{attr}_{tail}",
            kind="text",
            help=f"{form}: {text}" + ("; needs {sentence1} and {sentence2}" if template == "score" else ""),
            template=template,
        )
        for name, tail, template, text in names
    )


FIELDS: tuple[FieldSpec, ...] = (
    FieldSpec(name="system", attr="system", kind="choice", choices=("claif",), help="method that makes pairs"),
    FieldSpec(
        name="preset",
        attr="preset",
        kind="choice",
        choices=PRESET_NAMES,
        affects="label",
        help="where values not given here come from; setting it sets them all",
    ),
    FieldSpec(
        name="seed",
        attr="seed",
        kind="int",
        low=0,
        high=2**63 - 1,
        help="of masks, zero pairs and sampling",
    ),
    FieldSpec(
        name="seeds.keep_duplicates",
        attr="keep_duplicates",
        kind="bool",
        help="ask once for each occurrence of a repeated sentence, not once for all",
    ),
    FieldSpec(
        name="masks.rates",
        attr="rates",
        kind="rates",
        low=0,
        high=1,
        help="shares of words to mask; one request a sentence for each; 0.0 asks for a paraphrase",
    ),
    FieldSpec(
        name="masks.merge",
        attr="merge",
        kind="float",
        low=0,
        high=1,
        help="probability, drawn once a masked sentence, that adjacent masks become one",
    ),
    FieldSpec(name="model.profile", attr="profile", kind="str", help="endpoint profile that is asked"),
    FieldSpec(name="model.name", attr="model", kind="str", help="model that is asked"),
    FieldSpec(
        name="model.api",
        attr="api",
        kind="choice",
        choices=get_args(Api),
        help="chat: instruction as the user's turn; completions: open quotes, as in the official code",
    ),
    FieldSpec(
        name="model.temperature",
        attr="fill_temperature",
        kind="float",
        low=0,
        high=2,
        help="sampling temperature when generating",
    ),
    FieldSpec(
        name="model.score_temperature",
        attr="score_temperature",
        kind="float",
        low=0,
        high=2,
        help="sampling temperature when scoring",
    ),
    FieldSpec(name="model.top_p", attr="top_p", kind="float", low=0.001, high=1, help="nucleus sampling"),
    FieldSpec(
        name="model.max_tokens",
        attr="max_tokens",
        kind="int",
        low=1,
        high=131_072,
        help="longest answer, in tokens",
    ),
    FieldSpec(
        name="score.prompt",
        attr="score_prompt",
        kind="choice",
        choices=prompts.SCORE_PROMPTS,
        help="which scoring prompt is used",
    ),
    FieldSpec(
        name="score.reasks",
        attr="reasks",
        kind="int",
        low=0,
        high=10,
        help="times to ask again for a readable score",
    ),
    FieldSpec(
        name="prompts.system",
        attr="system_line",
        kind="text",
        empty=True,
        help="chat: system line when generating; empty sends none",
    ),
    *_prompt_fields("chat", "chat"),
    *_prompt_fields("completions", "completions"),
    FieldSpec(
        name="answers.refusals",
        attr="refusals",
        kind="patterns",
        help="regular expressions (any case) that mark an answer as a refusal unless the seed matches too",
    ),
    FieldSpec(
        name="post.deduplicate",
        attr="deduplicate",
        kind="bool",
        affects="export",
        help="keep one row for each (sentence1, sentence2)",
    ),
    FieldSpec(
        name="post.conflicts",
        attr="conflicts",
        kind="choice",
        choices=get_args(Conflicts),
        affects="export",
        help="score of a pair found with several scores",
    ),
    FieldSpec(
        name="post.drop_identical",
        attr="drop_identical",
        kind="bool",
        affects="export",
        help="drop pairs of equal sentences",
    ),
    FieldSpec(
        name="post.drop_mask",
        attr="drop_mask",
        kind="bool",
        affects="export",
        help="drop pairs in which <mask> is left",
    ),
    FieldSpec(
        name="post.drop_refusals",
        attr="drop_refusals",
        kind="bool",
        affects="export",
        help="drop unedited answers classed as refusals",
    ),
    FieldSpec(
        name="post.smoothing",
        attr="smoothing",
        kind="float",
        low=0,
        high=1,
        affects="export",
        help="epsilon of y' = (1 - epsilon) y + epsilon/2; 0 = off",
    ),
    FieldSpec(
        name="post.cap",
        attr="cap",
        kind="int",
        low=0,
        high=1_000_000,
        affects="export",
        help="most rows for one (sentence1, score); 0 = off",
    ),
    FieldSpec(
        name="post.zero_pairs",
        attr="zero_pairs",
        kind="int",
        low=0,
        high=100,
        affects="export",
        help="random pairs with score 0 for each sentence1; 0 = off",
    ),
    FieldSpec(
        name="post.zero_pool",
        attr="zero_pool",
        kind="choice",
        choices=get_args(ZeroPool),
        affects="export",
        help="where the partners of zero pairs come from",
    ),
)
BY_NAME: dict[str, FieldSpec] = {spec.name: spec for spec in FIELDS}


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
    sets everything the preset fixes. Raises ``RecipeError`` naming the field, what it expects, a near name.
    """
    spec = find_field(name, recipe.api)
    read = coerce(spec, value)
    if spec.attr == "preset":
        return _apply_preset(recipe, str(read))
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
    preset = values.get("preset", "claif")
    recipe = preset_recipe(str(coerce(BY_NAME["preset"], preset)))
    read = {BY_NAME[name].attr: coerce(BY_NAME[name], value) for name, value in values.items()}
    return replace(recipe, **read)  # type: ignore[arg-type]  # coerce checks the types


def to_values(recipe: Recipe) -> dict[str, Value]:
    """Return every field by its dotted name, in the order of ``FIELDS``."""
    return {spec.name: getattr(recipe, spec.attr) for spec in FIELDS}


def changes(old: Recipe, new: Recipe) -> dict[str, Value]:
    """Return the fields in which ``new`` differs from ``old``, with the new values."""
    return {name: value for name, value in to_values(new).items() if value != get_field(old, name)}


def diff(recipe: Recipe, preset: str) -> list[tuple[str, Value, Value]]:
    """Return (field, value, value in the preset) for each field in which the recipe departs from the preset."""
    base = preset_recipe(preset)
    return [
        (spec.name, getattr(recipe, spec.attr), getattr(base, spec.attr))
        for spec in FIELDS
        if spec.affects != "label" and getattr(recipe, spec.attr) != getattr(base, spec.attr)
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
    missing = [name for name in BY_NAME if name not in data]
    if missing:
        raise RecipeError(f"the stored recipe lacks {', '.join(missing)}", "It was written by another version.")
    return from_values(data)


def _apply_preset(recipe: Recipe, name: str) -> Recipe:
    read = coerce(BY_NAME["preset"], name)
    for known in PRESET_NAMES:
        if known == read:
            return replace(recipe, preset=known, **PRESETS[known])  # type: ignore[arg-type]  # table above
    raise AssertionError(name)


def _content_id(recipe: Recipe, affects: tuple[str, ...]) -> str:
    values = {spec.name: getattr(recipe, spec.attr) for spec in FIELDS if spec.affects in affects}
    return hashlib.sha256(_canonical(values).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _canonical(values: Mapping[str, Value]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
