"""Every field of a recipe in one table: public name, type, range, meaning, and the systems that it is for.

Values and presets are in ``claif_tui.core.recipes`` and ``recipe_presets``; this table is what they are read against.
"""

from __future__ import annotations

from typing import Literal, get_args

from claif_tui.core import prompts
from claif_tui.core.llm.base import Api
from claif_tui.core.recipe_fields import FieldSpec
from claif_tui.core.recipe_presets import PRESET_NAMES, SYSTEM_NAMES

ZeroPool = Literal["generated", "originals"]
Conflicts = Literal["mean", "first"]
DinoVariant = Literal["local", "api", "api+check"]
SyncsePrompts = Literal["pools", "naive"]
Decoding = Literal["contrastive", "two-shot"]

_MASKS = ("claif", "claif-scaled")
_SCORES = ("claif", "claif-scaled", "clhaif", "dino")
_GENERATES = ("claif", "claif-scaled", "dino", "syncse", "syncse-scratch", "multicsr")
_LABELS = ("claif", "claif-scaled", "dino")
_TRIPLETS = ("clhaif", "claif-scaled")
_DINO = ("dino",)
_SYNCSE = ("syncse", "syncse-scratch")
_SCRATCH = ("syncse-scratch",)
_MULTICSR = ("multicsr",)


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
            systems=_SCORES if template == "score" else _MASKS,
            kind="text",
            help=f"{form}: {text}" + ("; needs {sentence1} and {sentence2}" if template == "score" else ""),
            template=template,
        )
        for name, tail, template, text in names
    )


FIELDS: tuple[FieldSpec, ...] = (
    FieldSpec(
        name="system",
        attr="system",
        kind="choice",
        choices=SYSTEM_NAMES,
        help="method that makes pairs or triplets",
    ),
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
        systems=_MASKS,
        kind="bool",
        help="ask once for each occurrence of a repeated sentence, not once for all",
    ),
    FieldSpec(
        name="masks.rates",
        attr="rates",
        systems=_MASKS,
        kind="rates",
        low=0,
        high=1,
        help="shares of words to mask; one request a sentence for each; 0.0 asks for a paraphrase",
    ),
    FieldSpec(
        name="masks.merge",
        attr="merge",
        systems=_MASKS,
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
        systems=_GENERATES,
        kind="float",
        low=0,
        high=2,
        help="sampling temperature when generating",
    ),
    FieldSpec(
        name="model.score_temperature",
        attr="score_temperature",
        systems=(*_SCORES, "multicsr"),
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
        systems=_SCORES,
        kind="choice",
        choices=prompts.SCORE_PROMPTS,
        help="which scoring prompt is used",
    ),
    FieldSpec(
        name="score.reasks",
        attr="reasks",
        systems=(*_SCORES, "multicsr"),
        kind="int",
        low=0,
        high=10,
        help="times to ask again for a readable score",
    ),
    FieldSpec(
        name="prompts.system",
        attr="system_line",
        systems=_GENERATES,
        kind="text",
        empty=True,
        help="chat: system line when generating; empty sends none",
    ),
    *_prompt_fields("chat", "chat"),
    *_prompt_fields("completions", "completions"),
    FieldSpec(
        name="answers.refusals",
        attr="refusals",
        systems=_GENERATES,
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
        systems=_LABELS,
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
        systems=_MASKS,
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
        systems=_LABELS,
        kind="float",
        low=0,
        high=1,
        affects="export",
        help="epsilon of y' = (1 - epsilon) y + epsilon/2; 0 = off",
    ),
    FieldSpec(
        name="post.cap",
        attr="cap",
        systems=_LABELS,
        kind="int",
        low=0,
        high=1_000_000,
        affects="export",
        help="most rows for one (sentence1, score); 0 = off",
    ),
    FieldSpec(
        name="post.zero_pairs",
        attr="zero_pairs",
        systems=_LABELS,
        kind="int",
        low=0,
        high=100,
        affects="export",
        help="random pairs with score 0 for each sentence1; 0 = off",
    ),
    FieldSpec(
        name="post.zero_pool",
        attr="zero_pool",
        systems=_LABELS,
        kind="choice",
        choices=get_args(ZeroPool),
        affects="export",
        help="where the partners of zero pairs come from",
    ),
    FieldSpec(
        name="dino.variant",
        attr="dino_variant",
        kind="choice",
        choices=get_args(DinoVariant),
        systems=_DINO,
        help="local: self-debiasing (needs logits); api: instruction only; api+check: with a score (ours)",
    ),
    FieldSpec(
        name="dino.samples",
        attr="dino_samples",
        kind="int",
        low=1,
        high=100,
        systems=_DINO,
        help="sentences for each seed and label",
    ),
    FieldSpec(
        name="dino.decay",
        attr="dino_decay",
        kind="float",
        low=0,
        high=1_000_000,
        systems=_DINO,
        help="lambda of self-debiasing; 0 is plain sampling (local only)",
    ),
    FieldSpec(
        name="dino.floor",
        attr="dino_floor",
        kind="float",
        low=0,
        high=1,
        systems=_DINO,
        help="smallest weight of a damped token (local only)",
    ),
    FieldSpec(
        name="dino.top_k",
        attr="dino_top_k",
        kind="int",
        low=0,
        high=1_000_000,
        systems=_DINO,
        help="likeliest tokens that may come next; 0 = all (local only)",
    ),
    *(
        FieldSpec(
            name=f"prompts.dino.{name}",
            attr=f"dino_{name}",
            kind="text",
            template="paraphrase",
            systems=_DINO,
            help=f"instruction of label {label}; needs {{sentence}}; chat sends no open quote at its end",
        )
        for name, label in (("same", "1"), ("similar", "0.5"), ("different", "0"))
    ),
    FieldSpec(
        name="syncse.prompts",
        attr="syncse_prompts",
        kind="choice",
        choices=get_args(SyncsePrompts),
        systems=_SYNCSE,
        help="pools: an instruction and exemplars drawn for each request; naive: one fixed prompt",
    ),
    FieldSpec(
        name="syncse.exemplars",
        attr="syncse_exemplars",
        kind="int",
        low=0,
        high=50,
        systems=_SYNCSE,
        help="exemplars drawn for each request, without replacement",
    ),
    FieldSpec(
        name="syncse.material",
        attr="material",
        kind="material",
        empty=True,
        systems=_SYNCSE,
        help="instructions, exemplars, genres and topics as TOML (or @FILE); empty: the ones that come along",
    ),
    FieldSpec(
        name="prompts.syncse.positive",
        attr="naive_positive",
        kind="text",
        template="paraphrase",
        systems=_SYNCSE,
        help="naive: asks for the positive; needs {sentence}",
    ),
    FieldSpec(
        name="prompts.syncse.negative",
        attr="naive_negative",
        kind="text",
        template="paraphrase",
        systems=_SYNCSE,
        help="naive: asks for the hard negative; needs {sentence}",
    ),
    FieldSpec(
        name="scratch.sentences",
        attr="scratch_sentences",
        kind="int",
        low=1,
        high=10_000_000,
        affects="label",
        systems=_SCRATCH,
        help="sentences to write before triplets are made of them",
    ),
    FieldSpec(
        name="scratch.per_request",
        attr="scratch_per_request",
        kind="int",
        low=1,
        high=100,
        systems=_SCRATCH,
        help="sentences asked for in one request",
    ),
    FieldSpec(
        name="scratch.topics",
        attr="scratch_topics",
        kind="int",
        low=1,
        high=50,
        systems=_SCRATCH,
        help="topics named in one request",
    ),
    FieldSpec(
        name="prompts.scratch.sentences",
        attr="scratch_prompt",
        kind="text",
        template="sentences",
        systems=_SCRATCH,
        help="asks for sentences; needs {genre}, {topics} and {count}",
    ),
    FieldSpec(
        name="multicsr.decoding",
        attr="decoding",
        kind="choice",
        choices=get_args(Decoding),
        systems=_MULTICSR,
        help="contrastive: against the opposite instruction (needs logits); two-shot: greedy, two examples",
    ),
    FieldSpec(
        name="multicsr.omega",
        attr="omega",
        kind="float",
        low=0,
        high=100,
        systems=_MULTICSR,
        help="weight of the opposite instruction's logits; 0 is plain decoding; our default, none is published",
    ),
    FieldSpec(
        name="multicsr.plausibility",
        attr="plausibility",
        kind="float",
        low=0,
        high=1,
        systems=_MULTICSR,
        help="share of the likeliest token's probability that a token needs (a guard of ours); 0 = off",
    ),
    *(
        FieldSpec(
            name=f"prompts.multicsr.{name}",
            attr=f"multicsr_{name}",
            kind="text",
            template="paraphrase",
            systems=_MULTICSR,
            help=f"asks for the {name}; needs {{sentence}}",
        )
        for name in ("entailment", "contradiction")
    ),
    FieldSpec(
        name="prompts.multicsr.score",
        attr="multicsr_score",
        kind="text",
        template="score",
        systems=_MULTICSR,
        help="asks for a score from 0.0 to 5.0; needs {sentence1} and {sentence2}",
    ),
    FieldSpec(
        name="score.negatives",
        attr="score_negatives",
        kind="bool",
        systems=_TRIPLETS,
        help="score (premise, contradiction) too, not only (premise, entailment)",
    ),
    FieldSpec(
        name="post.swap",
        attr="swap",
        kind="bool",
        affects="export",
        systems=_MULTICSR,
        help="swap the roles where the hard negative scored higher than the positive",
    ),
    *(
        FieldSpec(
            name=f"post.{name}",
            attr=name,
            kind="float",
            low=0,
            high=5,
            affects="export",
            systems=_MULTICSR,
            help=text,
        )
        for name, text in (
            ("alpha", "lowest score of a positive (0-5)"),
            ("beta", "highest score of a hard negative (0-5)"),
            ("gamma", "how far the positive's score must lie above (0-5); 0: above at all"),
        )
    ),
)
BY_NAME: dict[str, FieldSpec] = {spec.name: spec for spec in FIELDS}


def applies(spec: FieldSpec, system: str) -> bool:
    """Whether a field means something to ``system``."""
    return not spec.systems or system in spec.systems
