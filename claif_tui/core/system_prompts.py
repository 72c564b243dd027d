"""The default words of the systems beside CLAIF, in our own wording: what each asks of a model. No sampling, no logic.

Intents follow methods 8.1 (Dino), 10.1 (SynCSE: its naive baseline and its sentence request) and 10.2, 10.3 (MultiCSR).
SynCSE's instruction pools, exemplars, genres and topics are data, in ``claif_tui.core.material``.
"""

from __future__ import annotations

_TWO = 'Sentence 1: "{sentence}"\nSentence 2: "'

DINO_SAME = "Write two sentences that mean the same thing.\n" + _TWO
DINO_SIMILAR = "Write two sentences that are somewhat similar.\n" + _TWO
DINO_DIFFERENT = "Write two sentences that are on completely different topics.\n" + _TWO

NAIVE_POSITIVE = "Write a sentence that means the same as this one: {sentence}"
NAIVE_NEGATIVE = "Write a sentence that contradicts this one: {sentence}"

SCRATCH = (
    "Write {count} sentences, each of which could stand in a {genre}. Let them touch on topics such as {topics}, etc., "
    "and vary their length and form. One sentence a line, without numbers."
)

MULTICSR_ENTAILMENT = (
    "Premise: {sentence}\nWrite one sentence that must be true if the premise is true.\nSentence:"
)
MULTICSR_CONTRADICTION = (
    "Premise: {sentence}\nWrite one sentence that cannot be true if the premise is true.\nSentence:"
)
MULTICSR_SCORE = (
    "Rate how similar two sentences are in meaning, from 0.0 (nothing in common) to 5.0 (the same meaning). "
    "Answer with the number alone.\n(a) {sentence1}\n(b) {sentence2}\nSimilarity:"
)
