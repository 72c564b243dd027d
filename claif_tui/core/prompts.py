"""The words sent to a model: templates with checked placeholders, in two forms. No sampling, no network.

``chat`` sends the instruction as the user's turn (paper form, single quotes); ``completions`` is the form of
the official code: double quotes, and for generation an opening quote at the end, so that the next one stops it.
Braces are text unless they hold a placeholder of that kind of template, and text put in is never read again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from claif_tui.core.errors import RecipeError

if TYPE_CHECKING:
    from claif_tui.core.recipes import Recipe

PROMPTS_VERSION = 1

TemplateKind = Literal["fill", "paraphrase", "score", "sentences"]
ScorePrompt = Literal["paper", "score-and-reason", "reason-then-score"]
Messages = tuple[tuple[str, str], ...]
"""(role, content); a completions prompt is one "user" message."""

SCORE_PROMPTS: tuple[ScorePrompt, ...] = get_args(ScorePrompt)
PLACEHOLDERS: dict[TemplateKind, tuple[str, ...]] = {
    "fill": ("masked",),
    "paraphrase": ("sentence",),
    "score": ("sentence1", "sentence2"),
    "sentences": ("genre", "topics", "count"),
}
_MEANING = {
    "masked": "the masked sentence",
    "sentence": "the original sentence",
    "sentence1": "the original sentence",
    "sentence2": "the generated sentence",
    "genre": "the genre",
    "topics": "the topics",
    "count": "the number of sentences",
}
_PATTERNS = {kind: re.compile(r"\{(" + "|".join(names) + r")\}") for kind, names in PLACEHOLDERS.items()}
_ANY_NAME = re.compile(r"\{(" + "|".join(_MEANING) + r")\}")

SYSTEM_LINE = "Answer with the one new sentence and nothing else: no label, no quotation marks, no explanation."

_SCALE = (
    "The similarity score for two sentences is in the range from 0.0 to 1.0, "
    "0.0 means completely different and 1.0 means almost the same. "
)
_STEM = "The similarity score for these two sentences is"

CHAT_FILL = "Replace all <mask> tokens in '{masked}' to make a new sentence. The new sentence is:"
CHAT_PARAPHRASE = "Write two sentences that mean the same thing. Sentence 1: '{sentence}' Sentence 2:"
CHAT_SCORE: dict[ScorePrompt, str] = {
    "paper": _SCALE + "Now given two sentences '{sentence1}' and '{sentence2}', "
    "please give a similarity score for these two sentences: " + _STEM,
    "score-and-reason": _SCALE + "Sentence 1: '{sentence1}' Sentence 2: '{sentence2}' "
    "Give the similarity score first, as one number, and after it the reason in one or two sentences. " + _STEM,
    "reason-then-score": _SCALE + "Sentence 1: '{sentence1}' Sentence 2: '{sentence2}' "
    "First say in one or two sentences how the two differ in meaning. "
    "Then finish with one line that holds only the number: Similarity score:",
}
COMPLETIONS_FILL = 'Replace all <mask> tokens in "{masked}" to make a new sentence. The new sentence is: "'
COMPLETIONS_PARAPHRASE = (
    'Write two sentences that mean the same thing.\nSentence 1: "{sentence}"\nSentence 2: "'
)
COMPLETIONS_SCORE: dict[ScorePrompt, str] = {
    "paper": _SCALE + 'Now given two sentences "{sentence1}" and "{sentence2}", '
    "please give a similarity score for these two sentences: " + _STEM,
    "score-and-reason": _SCALE + 'Sentence 1: "{sentence1}" Sentence 2: "{sentence2}"\n'
    "Give the similarity score first, as one number, and after it the reason in one or two sentences.\n"
    + _STEM,
    "reason-then-score": _SCALE + 'Sentence 1: "{sentence1}" Sentence 2: "{sentence2}"\n'
    "First the difference in meaning in one or two sentences, then a last line of the form "
    "Similarity score: 0.0\nDifference:",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateCheck:
    """What a look at a template found: placeholders there, missing, and remarks that are no errors."""

    present: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_template(kind: TemplateKind, template: str) -> TemplateCheck:
    """Say which placeholders of ``kind`` are present and missing, and which braces will be sent as text."""
    wanted = PLACEHOLDERS[kind]
    found = _PATTERNS[kind].findall(template)
    notes = [
        f"{{{name}}} means nothing in a {kind} prompt and is sent as it stands"
        for name in dict.fromkeys(_ANY_NAME.findall(template))
        if name not in wanted
    ]
    notes += [f"{{{name}}} stands {found.count(name)} times" for name in wanted if found.count(name) > 1]
    return TemplateCheck(
        present=tuple(name for name in wanted if name in found),
        missing=tuple(name for name in wanted if name not in found),
        notes=tuple(notes),
    )


def require_template(kind: TemplateKind, template: str, name: str) -> None:
    """Raise ``RecipeError`` naming the template ``name``, the placeholder it lacks and where that belongs."""
    missing = check_template(kind, template).missing
    if missing:
        holes = " and ".join(f"{{{hole}}}" for hole in missing)
        places = " and ".join(f"{{{hole}}} where {_MEANING[hole]} belongs" for hole in missing)
        raise RecipeError(f"{name} lacks {holes}", f"Put {places}.")


def fill_in(kind: TemplateKind, template: str, **texts: str) -> str:
    """Put ``texts`` into ``template`` in one pass: what is put in is text, whatever braces it holds."""
    return _PATTERNS[kind].sub(lambda match: texts[match.group(1)], template)


def render_fill(recipe: Recipe, masked: str) -> tuple[Messages, tuple[str, ...]]:
    """Return (messages, stop) that ask a model to replace the masks of ``masked`` (rates above 0)."""
    template = recipe.chat_fill if recipe.api == "chat" else recipe.completions_fill
    return _generation(recipe, template, fill_in("fill", template, masked=masked))


def render_paraphrase(recipe: Recipe, sentence: str) -> tuple[Messages, tuple[str, ...]]:
    """Return (messages, stop) that ask a model for a sentence that means the same (rate 0.0)."""
    template = recipe.chat_paraphrase if recipe.api == "chat" else recipe.completions_paraphrase
    return _generation(recipe, template, fill_in("paraphrase", template, sentence=sentence))


def render_score(recipe: Recipe, sentence1: str, sentence2: str) -> tuple[Messages, tuple[str, ...]]:
    """Return (messages, stop) that ask for a score; there is never a stop string, reasons may quote."""
    template = score_template(recipe)
    return (("user", fill_in("score", template, sentence1=sentence1, sentence2=sentence2)),), ()


def score_template(recipe: Recipe) -> str:
    """Return the scoring template in force: of the recipe's API form and choice of prompt."""
    chat = recipe.api == "chat"
    if recipe.score_prompt == "paper":
        return recipe.chat_paper if chat else recipe.completions_paper
    if recipe.score_prompt == "score-and-reason":
        return recipe.chat_score_and_reason if chat else recipe.completions_score_and_reason
    return recipe.chat_reason_then_score if chat else recipe.completions_reason_then_score


def score_mode(recipe: Recipe) -> Literal["plain", "last"]:
    """Return which number of an answer counts: the first ("plain") or, after a reason, the last."""
    return "last" if recipe.score_prompt == "reason-then-score" else "plain"


def asks_for_reason(recipe: Recipe) -> bool:
    """Whether the scoring prompt in force asks for words beside the number."""
    return recipe.score_prompt != "paper"


def _generation(recipe: Recipe, template: str, text: str) -> tuple[Messages, tuple[str, ...]]:
    if recipe.api == "completions":
        # Only an answer that began inside quotes can end at a quote.
        return (("user", text),), ('"',) if template.endswith('"') else ()
    if recipe.system_line.strip():
        return (("system", recipe.system_line), ("user", text)), ()
    return (("user", text),), ()
