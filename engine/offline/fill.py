"""Fill `<mask>` gaps and paraphrase by light masking: sampling over the masked model. No protocol, no threads.

Every random draw comes from the request's own seed, and every matrix product from the request's own text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.offline.model import Encoder, Floats, MaskedModel
from engine.offline.text import FUNCTION_WORDS, MASK, Lexicon, Pieces

WINDOW = 160
"""Pieces that the model sees at once; longer texts are filled window by window."""
STEPS = 5
"""At most so many rounds of filling a window; each round decides the gaps the model is surest of."""
KEPT = 400
"""Words that a draw chooses from, before top-p."""
GREEDY_BELOW = 1e-3
REPEAT_COST, ARTICLE_COST = 2.0, 4.0
PLACES, CANDIDATES = 3, 6
SECOND_CHANGE = 0.85
"""A paraphrase gets a second changed word if its cosine with the original stays this high."""
NEVER = np.float32(-1e9)


class NothingToDo(Exception):
    """The text cannot be filled or paraphrased; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Temperature (0 = the likeliest word), top-p and seed of one request."""

    temperature: float = 0.7
    top_p: float = 0.9
    seed: int = 0


def draw(logits: Floats, sampling: Sampling, rng: random.Random) -> int:
    """Index of one sampled entry; among the entries of mass top_p, at least one."""
    if sampling.temperature < GREEDY_BELOW:
        return int(logits.argmax())
    order = _best(logits, KEPT)
    scaled = logits[order].astype(np.float64) / sampling.temperature
    mass = np.cumsum(np.exp(scaled - scaled[0]))
    cut = int(np.searchsorted(mass, sampling.top_p * mass[-1])) + 1
    cut = min(cut, len(mass))
    return int(order[min(int(np.searchsorted(mass[:cut], rng.random() * mass[cut - 1], "right")), cut - 1)])


@dataclass(slots=True)
class _Slot:
    """One word to be decided: its gap, its position in the window, whether the text ends there, and the answer."""

    gap: int
    position: int
    last: bool
    row: int | None = None


class Filler:
    """Fills gaps and paraphrases; holds no state between requests, so threads may share it."""

    def __init__(self, model: MaskedModel, encoder: Encoder, pieces: Pieces) -> None:
        self._model, self._encoder, self._pieces = model, encoder, pieces
        self.lexicon = Lexicon(pieces, model.counts)
        self._table = np.ascontiguousarray(encoder.table[self.lexicon.ids].T)
        self._bias = model.bias[self.lexicon.ids]

    def fill(self, text: str, sampling: Sampling, told: Callable[[str], None]) -> str:
        """Put one to three words into every `<mask>`; `told` gets the text piece by piece and may raise to stop."""
        parts = text.split(MASK)
        if len(parts) == 1:
            raise NothingToDo("there is no <mask> in this text to fill")
        rng = random.Random(sampling.seed)
        cased = not parts[0].strip() and any(c.isupper() for c in "".join(parts))
        fills: list[str] = []
        told_parts = 0
        for window in self._windows(parts):
            for number, words in self._fill_window(window, sampling, rng):
                filled = " ".join(words)
                fills.append(filled[:1].upper() + filled[1:] if cased and number == 0 else filled)
                told(parts[number] + fills[number])
                told_parts = number + 1
        if parts[told_parts]:
            told(parts[told_parts])
        return "".join(p + f for p, f in zip(parts, [*fills, ""], strict=True))

    def _windows(self, parts: Sequence[str]) -> Iterator[list[int]]:
        """Cut the text into windows of pieces; a gap is -1 - its number. The last window ends where the text does."""
        flat: list[int] = []
        for number, part in enumerate(parts):
            flat += self._pieces.of(part)
            if number < len(parts) - 1:
                flat.append(-1 - number)
        for begin in range(0, len(flat), WINDOW):
            window = flat[begin : begin + WINDOW]
            if any(i < 0 for i in window):
                yield [*window, self._pieces.sep] if begin + WINDOW >= len(flat) else window

    def _fill_window(
        self, window: list[int], sampling: Sampling, rng: random.Random
    ) -> Iterator[tuple[int, list[str]]]:
        """Yield (gap, its words) in text order, as soon as all before it are decided."""
        ids, slots = self._laid_out(window, sampling, rng)
        left = list(slots)
        told = 0
        gaps = sorted({s.gap for s in slots})
        for step in range(STEPS, 0, -1):
            if not left:
                break
            logits = self._logits(ids, left)
            sure = np.argsort(_log_sum(logits) - logits.max(-1), kind="stable")
            quota, chosen = -(-len(left) // step), list[_Slot]()
            for index in sure:
                slot = left[int(index)]
                beside = any(abs(slot.position - other.position) == 1 for other in chosen)
                if len(chosen) < quota and not (beside and step > 1):
                    chosen.append(slot)
                    self._decide(slot, logits[int(index)], ids, sampling, rng)
            left = [s for s in left if s.row is None]
            while told < len(gaps) and all(s.row is not None for s in slots if s.gap == gaps[told]):
                yield (
                    gaps[told],
                    [self.lexicon.words[s.row] for s in slots if s.gap == gaps[told] and s.row is not None],
                )
                told += 1

    def _laid_out(
        self, window: list[int], sampling: Sampling, rng: random.Random
    ) -> tuple[NDArray[np.int64], list[_Slot]]:
        """Ask the model how many words each gap holds, and lay the window out with one mask for each."""
        sep = self._pieces.sep
        body = window[:-1] if window[-1] == sep else window
        asked = np.array([[self._pieces.cls, *(self._pieces.gap if i < 0 else i for i in body), sep]])
        rows = [n + 1 for n, i in enumerate(body) if i < 0]
        lengths = self._model.gap_logits(self._model.states(asked, rows)[0])
        counts = iter(1 + draw(one, sampling, rng) for one in lengths)
        ids, slots = [self._pieces.cls], []
        for place, piece in enumerate(body):
            if piece >= 0:
                ids.append(piece)
                continue
            count = next(counts)
            for word in range(count):
                ends = window[-1] == sep and place == len(body) - 1 and word == count - 1
                slots.append(_Slot(gap=-1 - piece, position=len(ids), last=ends and len(ids) > 1))
                ids.append(self._pieces.mask)
        ids.append(sep)
        return np.array(ids), slots

    def _logits(self, ids: NDArray[np.int64], slots: Sequence[_Slot]) -> Floats:
        """Logits (slots, lexicon), with words that may not stand there ruled out and poor ones made dear."""
        states = self._model.states(ids[None], [s.position for s in slots])[0]
        logits: Floats = self._model.query(states) @ self._table
        logits += self._bias
        lexicon = self.lexicon
        used = [lexicon.row[i] for i in {int(i) for i in ids} & lexicon.content]
        logits[:, used] -= np.float32(REPEAT_COST)
        for row, slot in zip(logits, slots, strict=True):
            if not slot.last:
                row[lexicon.final] = NEVER
            before, after = int(ids[slot.position - 1]), int(ids[slot.position + 1])
            for beside in (before, after):
                if beside in lexicon.row:
                    row[lexicon.row[beside]] = NEVER
            if before in (lexicon.a, lexicon.an):
                row[lexicon.vowel == (before == lexicon.a)] -= np.float32(ARTICLE_COST)
            if after in lexicon.row:
                wrong = lexicon.a if lexicon.vowel[lexicon.row[after]] else lexicon.an
                row[lexicon.row[wrong]] -= np.float32(ARTICLE_COST)
        return logits

    def _decide(
        self, slot: _Slot, logits: Floats, ids: NDArray[np.int64], sampling: Sampling, rng: random.Random
    ) -> None:
        """Sample one word into a slot, never the one that a neighbour was just given."""
        for beside in (int(ids[slot.position - 1]), int(ids[slot.position + 1])):
            if beside in self.lexicon.row:
                logits[self.lexicon.row[beside]] = NEVER
        slot.row = draw(logits, sampling, rng)
        ids[slot.position] = self.lexicon.ids[slot.row]

    def paraphrase(self, text: str, sampling: Sampling, told: Callable[[str], None]) -> str:
        """Replace a word or two, whichever change leaves the sentence most alike by the encoder's cosine."""
        words = text.split()
        places = self._places(words, random.Random(sampling.seed))
        if not places:
            raise NothingToDo("there is no word in this text that could be put differently")
        tries: list[tuple[int, str]] = []
        for place in places:
            told("")
            tries += [(place, w) for w in self._others(words, place, sampling)]
        alike = self._alike(words, [{p: w} for p, w in tries])
        ranked = [tries[int(i)] for i in np.argsort(-alike, kind="stable")]
        changes = {ranked[0][0]: ranked[0][1]}
        second = next((t for t in ranked if t[0] != ranked[0][0]), None)
        if second is not None:
            both = {**changes, second[0]: second[1]}
            if self._alike(words, [both])[0] >= SECOND_CHANGE:
                changes = both
        answer = _changed(words, changes)
        for number, word in enumerate(answer):
            told(word if number == 0 else f" {word}")
        return " ".join(answer)

    def _places(self, words: Sequence[str], rng: random.Random) -> list[int]:
        """Up to PLACES words to try, drawn by the seed: content words, if there are any in the window."""
        usable = [n for n, w in enumerate(words[: WINDOW // 2]) if len(_core(w)) > 1 or w in ("a", "i")]
        rng.shuffle(usable)
        content = [
            n for n in usable if _core(words[n]).isalpha() and _core(words[n]).lower() not in FUNCTION_WORDS
        ]
        return (content or usable)[:PLACES]

    def _others(self, words: Sequence[str], place: int, sampling: Sampling) -> list[str]:
        """CANDIDATES other words for one place, drawn without replacement."""
        core = _core(words[place])
        before, after = words[place].split(core, 1)
        ids = [self._pieces.cls, *self._pieces.of(" ".join([*words[:place], before]))]
        slot = _Slot(gap=0, position=len(ids), last=False)
        ids += [self._pieces.mask, *self._pieces.of(" ".join([after, *words[place + 1 :]]))]
        ids = ids[: 2 * WINDOW]
        logits = self._logits(np.array([*ids, self._pieces.sep]), [slot])[0]
        if core.lower() not in FUNCTION_WORDS:
            # A name or verb made into "to" hardly moves the encoder, but it leaves no sentence.
            logits[self.lexicon.function] = NEVER
        for own in self._pieces.of(core.lower()):
            if own in self.lexicon.row:
                logits[self.lexicon.row[own]] = NEVER
        if sampling.temperature >= GREEDY_BELOW:
            rng = np.random.Generator(np.random.PCG64([sampling.seed, place]))
            logits = logits / np.float32(sampling.temperature) + rng.gumbel(size=len(logits)).astype(np.float32)
        return [self.lexicon.words[int(r)] for r in _best(logits, CANDIDATES)]

    def _alike(self, words: Sequence[str], variants: Sequence[dict[int, str]]) -> Floats:
        """Cosine of each changed sentence with the original."""
        texts = [list(words), *(_changed(words, v) for v in variants)]
        batch = [
            [self._pieces.cls, *self._pieces.of(" ".join(t))[: 2 * WINDOW], self._pieces.sep] for t in texts
        ]
        vectors = self._encoder.vectors(batch)
        alike: Floats = vectors[1:] @ vectors[0]
        return alike


def _best(logits: Floats, count: int) -> NDArray[np.intp]:
    """Indices of the `count` highest logits, highest first, equal ones in their order."""
    if len(logits) > count:
        floor = np.partition(logits, -count)[-count]
        top = np.flatnonzero(logits >= floor)
    else:
        top = np.arange(len(logits))
    return top[np.argsort(-logits[top], kind="stable")][:count]


def _log_sum(logits: Floats) -> Floats:
    top = logits.max(-1)
    total: Floats = top + np.log(np.exp(logits - top[:, None]).sum(-1))
    return total


def _core(word: str) -> str:
    """A word without the marks around it; empty if it is marks alone."""
    begin, end = 0, len(word)
    while begin < end and not word[begin].isalnum():
        begin += 1
    while end > begin and not word[end - 1].isalnum():
        end -= 1
    return word[begin:end]


def _changed(words: Sequence[str], changes: dict[int, str]) -> list[str]:
    """The words with some replaced, marks around them and a capital at the front kept."""
    result = list(words)
    for place, new in changes.items():
        core = _core(words[place])
        result[place] = words[place].replace(core, new.capitalize() if core[:1].isupper() else new, 1)
    return result
