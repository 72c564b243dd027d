"""Which request of the loopback LLM server goes wrong, and how: decided by rules, never by chance.

A plan is a list of rules, the first that applies wins: ``{"kind", "rate", "per_prompt", "first", "every",
"match", …}``. ``rate`` draws by hash of the body and of how often this body came, so that it does not depend
on the order of arrival; ``per_prompt`` ends a rule for a body after that many faults; ``sequence`` lists
kinds for the first requests in order of arrival (null: none).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.llm_server_answers import number

_KINDS = """
429 429_date 429_ms 429_quota 500 503 502_html 400 400_length 401 402 403 404 404_model redirect
hang hang_mid reset reset_after_headers cut cut_clean no_finish no_done length content_filter
empty_choices html garbage not_openai error_in_stream refusal empty unparsable preamble think reasoning
big endless hostile no_usage ignore_stream
few shuffled same_index nan dimension no_index
"""
KINDS = frozenset(_KINDS.split())


@dataclass
class FaultPlan:
    """The rules and what they have counted so far."""

    rules: list[dict[str, object]] = field(default_factory=list)
    arrivals: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    hits: Counter[tuple[int, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for rule in self.rules:
            kinds = rule.get("sequence", [rule.get("kind")])
            assert isinstance(kinds, list)
            unknown = {str(kind) for kind in kinds if kind is not None} - KINDS
            if unknown:
                raise ValueError(f"unknown fault kinds: {sorted(unknown)}; known: {sorted(KINDS)}")

    def pick(self, sha: str, prompt: str) -> dict[str, object] | None:
        """Return the rule for this request, or None for a good answer."""
        arrival, self.arrivals = self.arrivals, self.arrivals + 1
        again = self.seen[sha]
        self.seen[sha] += 1
        for place, rule in enumerate(self.rules):
            sequence = rule.get("sequence")
            if isinstance(sequence, list):
                if arrival < len(sequence) and sequence[arrival] is not None:
                    return {**rule, "kind": sequence[arrival]}
                continue
            if self._applies(place, rule, arrival, again, sha, prompt):
                self.hits[place, sha] += 1
                self.hits[place, ""] += 1
                return rule
        return None

    def _applies(
        self, place: int, rule: dict[str, object], arrival: int, again: int, sha: str, prompt: str
    ) -> bool:
        if str(rule.get("match", "")) not in prompt:
            return False
        per_prompt, first, every, rate = (rule.get(k) for k in ("per_prompt", "first", "every", "rate"))
        if isinstance(per_prompt, int) and self.hits[place, sha] >= per_prompt:
            return False
        if isinstance(first, int) and self.hits[place, ""] >= first:
            return False
        if isinstance(every, int) and (arrival + 1) % every:
            return False
        if isinstance(rate, int | float):
            return number(str(rule.get("kind")), sha, str(again)) % 1_000_000 < rate * 1_000_000
        return True
