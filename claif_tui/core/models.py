"""Plain data that travels between the layers: no behaviour beyond trivial properties, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Status = Literal["pending", "accepted", "rejected"]
Split = Literal["train", "dev", "test"]
Kind = Literal["llm", "human", "zero", "nli"]
Stage = Literal["generate", "score", "explain", "probe", "embed"]
AnswerClass = Literal["ok", "empty", "has_mask", "identical", "refusal", "off_label"]
Scale = Literal["0-1", "0-5"]

STATUSES: tuple[Status, ...] = ("pending", "accepted", "rejected")

WRITTEN = "scratch"
"""Format of the sources whose sentences a model wrote; only the recipe that had them written works on them."""
LINES = 1000
"""Lines of an answer that count at most: the line of a written sentence is its request times this, plus its line."""
NANO = 1_000_000_000
"""Money is kept as whole nano-dollars, so that sums are exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One original sentence. ``text`` is unique within ``split``; ``count`` is how often it occurred."""

    id: int
    text: str
    split: Split
    source_id: int
    line: int
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One import: a file, how it was read, and what became of its rows."""

    id: int
    path: str
    role: Literal["seeds", "pairs", "triplets", "gold"]
    format: str
    split: Split
    sha256: str
    created: str
    author: str
    rows: int
    sentences: int
    unique: int
    duplicates: int
    empty: int
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file without its folder; sentences that a model wrote have no file, and are named in words."""
        return self.path if self.format == WRITTEN else self.path.replace("\\", "/").rpartition("/")[2]

    def place(self, line: int) -> str:
        """Where in it a line is, in words: "line 7", or of written sentences "request 3, line 4"."""
        if self.format != WRITTEN:
            return f"line {line:,}"
        request, line = divmod(line, LINES)
        return f"request {request + 1:,}, line {line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One pair as it stands now; what it was is in the calls and decisions behind it.

    ``text_b`` is the current text (the edit, if there is one), ``generated`` the text as first cleaned. A triplet
    has a ``hard_negative`` too: the current text, with ``generated_negative`` as first cleaned.
    ``score`` is in 0..1, as is ``negative_score``, the latest one of the anchor and the hard negative (or the one it
    was imported with); ``score_raw`` and ``score_scale`` keep what was said. ``stale`` means that a score was given
    to another text than the current one: that of the second sentence (``text_stale``) or of the hard negative.
    ``encoder`` is the cosine of the packaged encoder (-1..1), where known.
    ``rate`` is the mask rate (0..1), None for imported pairs. ``gold`` is a human label on 0..1.
    """

    id: int
    kind: Kind
    system: str
    seed_id: int | None
    source_id: int | None
    run_id: int | None
    recipe_id: str | None
    text_a: str
    text_b: str
    generated: str
    hard_negative: str | None
    generated_negative: str | None
    rate: float | None
    occurrence: int
    masked: str | None
    merged: bool
    answer_class: AnswerClass
    model: str | None
    score: float | None
    score_raw: str | None
    score_scale: Scale | None
    reason: str | None
    gold: float | None
    negative_score: float | None
    encoder: float | None
    stale: bool
    text_stale: bool = False
    negative_stale: bool = False
    flags: tuple[str, ...]
    status: Status
    author: str | None
    split: Split
    generate_key: str | None
    negative_key: str | None
    score_key: str | None
    created: str

    @property
    def edited(self) -> bool:
        """Whether a person changed a generated text, of either side."""
        return self.text_edited or self.negative_edited

    @property
    def text_edited(self) -> bool:
        """Whether a person changed the second sentence, the positive of a triplet."""
        return self.text_b != self.generated

    @property
    def negative_edited(self) -> bool:
        """Whether a person changed the hard negative."""
        return self.hard_negative != self.generated_negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One content-addressed request and all that is known of its answer. Money in nano-dollars."""

    key: str
    stage: Stage
    recipe_id: str | None
    run_id: int | None
    seed_id: int | None
    pair_id: int | None
    rate: float | None
    occurrence: int
    attempt: int
    profile: str
    model: str
    model_returned: str | None
    api: Literal["chat", "completions"]
    prompt: str
    """The messages as JSON: [[role, content], …]; a completions prompt is one "user" message."""
    params: str
    state: Literal["reserved", "answered", "failed"]
    reason: str | None
    """Failure class (see ``claif_tui.core.llm.base``) when the state is failed."""
    detail: str | None
    raw: str | None
    reasoning: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    reserved_nano: int
    cost_nano: int
    tries: int
    latency_ms: int | None
    sent_at: str
    answered_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One row of the append-only journal. ``count`` pairs were touched; ``undoes`` names the row taken back."""

    id: int
    at: str
    author: str
    action: Literal["accept", "reject", "pend", "edit", "set-score", "rescore", "undo", "redo"]
    pair_id: int | None
    count: int
    undoes: int | None
    payload: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many pairs stand in each status."""

    pending: int = 0
    accepted: int = 0
    rejected: int = 0

    @property
    def total(self) -> int:
        """All pairs."""
        return self.pending + self.accepted + self.rejected


RunKind = Literal["generate", "score", "retry", "try", "rescore", "explain", "lab"]
RunState = Literal["running", "paused", "stopped", "finished", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One piece of work that sends requests. ``started``, ``heartbeat``, ``ended`` are ISO times in UTC.

    At most one live run of kind generate, score, retry or lab exists in a project; the other kinds go beside it.
    """

    id: int
    kind: RunKind
    recipe_id: str | None
    profile: str
    model: str
    args: dict[str, object]
    state: RunState
    host: str
    pid: int
    started: str
    heartbeat: str
    ended: str | None
    totals: dict[str, object]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A request before it is sent: ``prompt`` is the messages as JSON, ``reserve_nano`` its highest cost."""

    key: str
    stage: Stage
    recipe_id: str | None
    run_id: int
    seed_id: int | None
    pair_id: int | None
    rate: float | None
    occurrence: int
    attempt: int
    profile: str
    model: str
    api: Literal["chat", "completions"]
    prompt: str
    params: str
    reserve_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTry:
    """A try of a call that gave nothing usable and was followed by another; what it said and cost is kept."""

    key: str
    tries: int
    reason: str
    detail: str
    raw: str | None
    cost_nano: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Money of one recipe in nano-dollars: the cap (None: none), what is spent, what is reserved in flight."""

    cap_nano: int | None = None
    spent_nano: int = 0
    reserved_nano: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over the calls of one recipe; ``cost_nano`` includes lost tries and interrupted calls."""

    answered: int = 0
    failed: int = 0
    reserved: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0


class Duplicate(NamedTuple):
    """A sentence that was there already: its line, and where it stood first."""

    line: int
    first_line: int
    first_source: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What became of one batch of sentences: how many were new, and each that was not."""

    unique: int
    duplicates: tuple[Duplicate, ...]


Sort = Literal["newest", "oldest", "score", "rate", "length", "disagreement"]
Action = Literal["accept", "reject", "pend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScore:
    """A score as it arrives: ``score`` in 0..1, what was said (``raw``, ``scale``), why, and the call's key.

    ``text_b`` is the text that was scored; None means the generated text. A score of another text than
    the current one makes the pair stale. Of a triplet the ``negative_…`` fields say the same of the anchor and the
    hard negative, where that was asked too.
    """

    score: float
    raw: str | None = None
    scale: Scale | None = None
    reason: str | None = None
    key: str | None = None
    text_b: str | None = None
    negative: float | None = None
    negative_raw: str | None = None
    negative_key: str | None = None
    negative_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPair:
    """A pair before it is stored: what it was made of, and its score where it comes with one (imports)."""

    system: str
    text_a: str
    generated: str
    kind: Kind = "llm"
    seed_id: int | None = None
    source_id: int | None = None
    line: int | None = None
    run_id: int | None = None
    recipe_id: str | None = None
    hard_negative: str | None = None
    rate: float | None = None
    occurrence: int = 0
    masked: str | None = None
    merged: bool = False
    answer_class: AnswerClass = "ok"
    model: str | None = None
    generate_key: str | None = None
    negative_key: str | None = None
    gold: float | None = None
    negative_score: float | None = None
    split: Split = "train"
    score: NewScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairQuery:
    """Which pairs, in which order. ``filter`` is the filter language, ``search`` plain words from a user.

    ``descending`` turns a sort by value around; newest and oldest stay what they are. Pairs without the
    sorted value come last either way. ``sample`` is (seed, size): a random sample in random order.
    """

    filter: str = ""
    search: str = ""
    sort: Sort = "newest"
    descending: bool = False
    sample: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreEntry:
    """One score that a pair was given, oldest first in a lineage. ``decision_id`` marks one set by hand.

    ``text_b`` and ``negative_text`` are the texts that were scored; without ``negative`` only the first was.
    """

    number: int
    score: float
    raw: str | None
    scale: Scale | None
    reason: str | None
    key: str | None
    text_b: str
    decision_id: int | None
    negative: float | None = None
    negative_raw: str | None = None
    negative_key: str | None = None
    negative_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Everything that a pair came from and went through; ``recipe`` is the recipe's JSON.

    ``source`` is what the pair was imported from, or else its seed.
    """

    pair: Pair
    seed: Seed | None
    source: Source | None
    generate_call: Call | None
    negative_call: Call | None
    score_calls: tuple[Call, ...]
    scores: tuple[ScoreEntry, ...]
    decisions: tuple[Decision, ...]
    recipe: str | None

    @property
    def seed_place(self) -> str:
        """Where the seed stands, in words; "" without one."""
        if self.seed is None:
            return ""
        own = self.source is not None and self.source.id == self.seed.source_id
        return self.source.place(self.seed.line) if self.source and own else f"line {self.seed.line:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """The names that occur among the pairs, for filter menus; each sorted."""

    models: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What one author decided pair by pair since local midnight (``bulk``: pairs decided by bulk actions)."""

    accepted: int = 0
    rejected: int = 0
    bulk: int = 0

    @property
    def decided(self) -> int:
        """Pairs looked at one by one."""
        return self.accepted + self.rejected
