"""What a card says of the human evaluation behind a snapshot, from its manifest. No study is read here."""

from __future__ import annotations

from typing import Any

from claif_tui.core.publish_text import code, table
from claif_tui.core.rating.agreement import TITLES
from claif_tui.core.rating.intervals import Estimate
from claif_tui.core.rating.report_sections import bounds, told


def rating_words(studies: Any) -> list[str]:
    """The section of a card on studies as a snapshot's manifest has them; what cannot be read there is left out."""
    known = [one for one in studies if isinstance(one, dict)] if isinstance(studies, list) else []
    if not known:
        return [
            "There was none when these rows were frozen: nobody rated a sample of them. "
            "That reviewers accepted them is no such evaluation."
        ]
    parts = [
        "Raters judged samples of the project's pairs, which these rows come from too. Figures with their 95 % "
        "intervals over items, as they stood when the snapshot was frozen; practice and repeated items do not count."
    ]
    for study in known:
        criteria = [one for one in study.get("criteria") or [] if isinstance(one, dict)]
        excluded, departed = study.get("excluded") or 0, study.get("deviations") or 0
        parts.append(
            f"Study {code(str(study.get('study')))} (protocol {code(str(study.get('preset')))}, hash "
            f"{code(str(study.get('hash'))[:16])}): {_count(study.get('items'), 'item')}, "
            f"{_count(study.get('raters'), 'rater')}, {excluded} of them excluded by the frozen rule, "
            f"{_count(departed, 'departure')} from the plan."
        )
        rows = [row for one in criteria for row in _rows(one)]
        parts.append(
            table(("question", "figure", "value", "95 %"), rows) if rows else "Nothing can be said of it yet."
        )
    return parts


def _rows(criterion: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    name = code(str(criterion.get("name")))
    asked = f"{criterion.get('given')} of {criterion.get('planned')}"
    rows = [(name, "ratings given, of those planned", asked, "")]
    titles: dict[str, str] = {str(name): title for name, title in TITLES.items()}
    for group in ("figures", "agreement"):
        for label, about in (criterion.get(group) or {}).items():
            value, ends = about.get("value"), about.get("interval") or (None, None)
            if value is not None:
                estimate, unit = Estimate(value, *ends), str(about.get("unit"))
                rows.append(
                    (name, code(titles.get(label, label)), told(estimate, unit), bounds(estimate, unit))
                )
    return rows


def _count(number: object, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}" if isinstance(number, int) else f"unknown {word}s"
