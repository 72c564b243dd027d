"""How answers are read that several systems share: one generated sentence, one similarity score. No prompts, no I/O."""

from __future__ import annotations

from claif_tui.core import answers, scores
from claif_tui.core.llm.base import Reason
from claif_tui.core.prompts import score_mode
from claif_tui.core.recipes import Recipe
from claif_tui.core.systems.base import RawAnswer, Reader, Reading


def read_generation(recipe: Recipe, original: str, stop: tuple[str, ...]) -> Reader[answers.CleanAnswer]:
    """Return the reader of generated sentences for ``original``; ``stop`` is what the request stopped at."""
    cut_at_quote = '"' in stop

    def read(raw: RawAnswer) -> Reading[answers.CleanAnswer]:
        if raw.finish_reason not in {"stop", "content_filter"}:
            return Reading(None, "cut_off", f"finish reason: {raw.finish_reason or 'none'}")
        if raw.finish_reason == "content_filter":
            return Reading(None, "refused", "stopped by the endpoint's content filter")
        clean = answers.clean_answer(raw.text, original, cut_at_quote=cut_at_quote, refusals=recipe.refusals)
        if clean.answer_class == "empty":
            return Reading(None, "empty", "no sentence in the answer")
        if clean.answer_class == "refusal":
            return Reading(None, "refused", clean.text)
        return Reading(clean)

    return read


def read_score(recipe: Recipe) -> Reader[scores.ParsedScore]:
    """Return the reader of similarity scores on 0..1."""
    mode = score_mode(recipe)

    def read(raw: RawAnswer) -> Reading[scores.ParsedScore]:
        if raw.finish_reason is None:
            return Reading(None, "cut_off", "the answer has no finish reason")
        visible = answers.split_reasoning(raw.text)[0]
        parsed = scores.parse_score(visible, mode=mode)
        if parsed.value is None:
            reason: Reason = "empty" if not visible.strip() else "unparsed"
            return Reading(None, reason, parsed.why_invalid or "no readable score")
        return Reading(parsed)

    return read
