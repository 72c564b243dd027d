"""A snapshot as a data set of the Hugging Face Hub: a JSON Lines file a split, the recipe, and the card."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from claif_tui.core import recipe_file
from claif_tui.core.errors import FilterError, InputError
from claif_tui.core.export import COLUMNS
from claif_tui.core.publish_rating import rating_words
from claif_tui.core.publish_text import (
    CITATION,
    code,
    fenced,
    licence_lines,
    quoted,
    sealed,
    table,
    without_path,
)
from claif_tui.core.recipes import Recipe
from claif_tui.core.snapshot import EXAMPLES, Snapshot
from claif_tui.core.store.contributors import Reviewer
from claif_tui.core.store.filters import FIELDS, And, Comparison, Filter, Node, Not, Or, parse

SPLITS = {"train": "train", "dev": "validation"}
"""Which split of ours goes under which name of the Hub. Test rows go nowhere."""
_ABOUT = {
    "sentence1": "the original sentence",
    "sentence2": "the sentence it is compared with",
    "hard_negative": "a sentence that contradicts the original",
    "score": "similarity, 0 to 1, to train on",
    "raw_score": "the score as it was given, 0 to 1, before smoothing",
    "negative_score": "similarity of the original and the hard negative, 0 to 1",
    "kind": "llm: made and scored by a model; human: labelled by people; zero: two sentences put together at random; "
    "nli: from a natural language inference corpus",
    "pair_id": "identity of the pair, made from its content",
}
_NUMBERS = {"score", "raw_score", "negative_score"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_ENGLISH = frozenset(
    ["the", "of", "to", "and", "for", "with", "that", "are", "is", "on", "it", "was", "you", "what", "a", "in"]
)
_ENGLISH_SHARE, _SAMPLE = 0.05, 400
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What a card says beside its rows; ``models`` are (stage, name, answers), reviewers as they may be shown."""

    name: str
    licence: str
    snapshot: Snapshot
    models: tuple[tuple[str, str, int], ...]
    reviewers: tuple[Reviewer, ...]
    anonymous: bool


@dataclass(slots=True)
class _Written:
    rows: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    columns: tuple[str, ...] = ()
    test: int = 0
    english: bool = False


def write(facts: DataFacts, folder: Path) -> list[str]:
    """Fill a new folder from a snapshot that was found whole; return what is to be said. Raises ``InputError``."""
    written = _rows(facts.snapshot, folder)
    notes = []
    if written.test:
        notes.append(f"{written.test:,} rows of a test split are left out")
    if not written.english:
        notes.append("the language of the sentences is not known; add it to the card: language: [..]")
    recipe = _recipe(facts.snapshot.manifest)
    if recipe is not None:
        (folder / "recipe.toml").write_text(_shared(recipe), "utf-8")
    (folder / "README.md").write_text(sealed(_card(facts, written, recipe)), "utf-8")
    return notes


def shown_filter(expression: str, names: Mapping[str, str] | None) -> str:
    """A filter as it may be published: files by their last part, and authors under other ``names`` unless None.

    One that cannot be read is not shown.
    """
    try:
        found = parse(expression)
    except FilterError:
        return "(one that cannot be read)"

    def renamed(node: Node) -> Node:
        if isinstance(node, Comparison):
            if isinstance(node.value, str) and FIELDS[node.field].kind == "path":
                return replace(node, value=PurePath(node.value).name)
            if isinstance(node.value, str) and node.field == "author" and names is not None:
                return replace(node, value=names.get(node.value, "somebody"))
            return node
        if isinstance(node, Not):
            return Not(renamed(node.item))
        items = tuple(map(renamed, node.items))
        return And(items) if isinstance(node, And) else Or(items)

    return str(Filter(None if found.root is None else renamed(found.root)))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict) or row.get("split") not in ("train", "dev", "test"):
                raise InputError(f"{path}, line {number}: not a row of a snapshot", "Make the snapshot again.")
            yield number, row


def _rows(snapshot: Snapshot, folder: Path) -> _Written:
    """Write the rows of each split with the same columns, as the Hub's reader wants them."""
    path, written = snapshot.path / EXAMPLES, _Written()
    found: set[str] = set()
    words: list[str] = []
    for number, row in _lines(path):
        if row["split"] == "test":
            continue
        found |= {name for name, value in row.items() if value is not None}
        if number <= _SAMPLE:
            words += _WORD.findall(str(row.get("sentence1")).lower())
    written.columns = tuple(name for name in COLUMNS if name in found and name != "split")
    written.english = bool(words) and sum(word in _ENGLISH for word in words) / len(words) >= _ENGLISH_SHARE
    encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode
    (folder / "data").mkdir()
    files = {}
    try:
        for _, row in _lines(path):
            split = SPLITS.get(row["split"])
            if split is None:
                written.test += 1
                continue
            if split not in files:
                files[split] = (folder / "data" / f"{split}.jsonl").open("w", encoding="utf-8")
            values = {name: row.get(name) for name in written.columns}
            for name in _NUMBERS & values.keys():
                values[name] = None if values[name] is None else float(row[name])
            files[split].write(encode(values) + "\n")
            written.rows[split] += 1
            written.kinds[str(row.get("kind"))] += 1
    finally:
        for file in files.values():
            file.close()
    if not written.rows:
        why = f"; its {written.test:,} rows are of a test split" if written.test else ""
        raise InputError(f"snapshot {snapshot.id} holds nothing to publish{why}", "Freeze rows to train on.")
    return written


def _recipe(manifest: Mapping[str, Any]) -> Recipe | None:
    about = manifest.get("recipe")
    if not isinstance(about, dict) or not isinstance(about.get("toml"), str):
        return None
    found = recipe_file.parse(about["toml"], "the snapshot's recipe")
    return replace(found, model=without_path(found.model))


def _shared(recipe: Recipe) -> str:
    """The recipe as a file, without the name that somebody gave to an endpoint."""
    lines = recipe_file.dump(recipe).split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith("profile = "))
    return "\n".join(lines[: at - 1] + lines[at + 1 :])


def _card(facts: DataFacts, written: _Written, recipe: Recipe | None) -> str:
    total = sum(written.rows.values())
    parts = [
        *_front(facts, written, total),
        f"# {code(facts.name)}",
        f"{total:,} {'rows' if 'hard_negative' in written.columns else 'pairs of sentences'} to train sentence "
        f"embeddings on, frozen as snapshot {code(facts.snapshot.id)} by "
        f"{code(str(facts.snapshot.manifest.get('made_by')))}.",
        *_content(written),
        *_making(facts, written, recipe),
        *_processing(facts),
        *_review(facts),
        "## Human evaluation",
        *rating_words(facts.snapshot.manifest.get("rating")),
        *_limits(written, recipe),
        "## Licence",
        _licence(facts.licence),
        "## Citation",
        "The method is CLAIF:",
        fenced(CITATION, "bibtex"),
    ]
    return "\n\n".join(parts) + "\n"


def _front(facts: DataFacts, written: _Written, total: int) -> list[str]:
    lines = ["---", *licence_lines(facts.licence)]
    if written.english:
        lines += ["language:", "- en"]
    size = next((name for limit, name in _SIZES if total < limit), "1M<n<10M")
    lines += [f"pretty_name: {quoted(facts.name)}", "size_categories:", f"- {size}"]
    lines += ["task_categories:", "- sentence-similarity", "task_ids:", "- semantic-similarity-scoring"]
    lines += ["tags:", "- sentence-transformers", "- claif", "- claif-tui"]
    if written.kinds["llm"]:
        lines.append("- synthetic")
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in written.rows:
        lines += [f"  - split: {split}", f"    path: data/{split}.jsonl"]
    lines += ["dataset_info:", "  config_name: default", "  features:"]
    for name in written.columns:
        lines += [f"  - name: {name}", f"    dtype: {'float64' if name in _NUMBERS else 'string'}"]
    return ["\n".join([*lines, "---"])]


def _content(written: _Written) -> list[str]:
    splits = [(split, f"{count:,}") for split, count in written.rows.items()]
    kinds = [(code(kind), f"{count:,}") for kind, count in sorted(written.kinds.items())]
    left = (
        f"{written.test:,} rows of a test split were left out: test data do not belong into what is trained on."
        if written.test
        else "No row is of a test split."
    )
    return [
        "## What is in it",
        table(("split", "rows"), splits),
        left,
        table(("kind", "rows"), kinds),
        table(("column", "meaning"), [(code(name), _ABOUT[name]) for name in written.columns]),
        fenced(
            'from datasets import load_dataset\n\ndata = load_dataset("path/or/name/of/this/dataset")', "python"
        ),
    ]


def _making(facts: DataFacts, written: _Written, recipe: Recipe | None) -> list[str]:
    parts = ["## How it was made"]
    if facts.models:
        parts.append("Models that answered, as the endpoint named them, over all pairs of these recipes:")
        parts.append(
            table(
                ("stage", "model", "answers"),
                [(s, code(without_path(m)), f"{n:,}") for s, m, n in facts.models],
            )
        )
    elif written.kinds["llm"]:
        parts.append(
            "Which model made the pairs is not known: they were imported, or the project no longer has them."
        )
    others = sum(count for kind, count in written.kinds.items() if kind in ("human", "nli"))
    if others:
        parts.append(f"{others:,} rows were imported from elsewhere; the terms of their source apply to them.")
    if recipe is None:
        return [*parts, "No recipe applied: the rows are as they were in the project."]
    known = facts.snapshot.manifest.get("recipe") or {}
    parts.append(
        f"Recipe {code(str(known.get('id')))}, in full in `recipe.toml` (but for the name of the endpoint's profile), "
        f"system {code(recipe.system)}:"
    )
    chat = recipe.api == "chat"
    score = f"{'chat' if chat else 'completions'}_{recipe.score_prompt.replace('-', '_')}"
    parts.append(
        table(
            ("setting", "value"),
            [
                ("model asked for", code(recipe.model)),
                ("mask rates", code(", ".join(f"{rate:g}" for rate in recipe.rates))),
                (
                    "temperature, generating and scoring",
                    f"{recipe.fill_temperature:g}, {recipe.score_temperature:g}",
                ),
                ("top_p", f"{recipe.top_p:g}"),
                ("seed", str(recipe.seed)),
            ],
        )
    )
    prompts = [("above rate 0", recipe.chat_fill if chat else recipe.completions_fill)]
    prompts.append(("at rate 0", recipe.chat_paraphrase if chat else recipe.completions_paraphrase))
    prompts.append(("for the score", getattr(recipe, score)))
    if chat and recipe.system_line:
        prompts.insert(0, ("system line when generating", recipe.system_line))
    for what, prompt in prompts:
        parts += [f"Prompt, {what}:", fenced(prompt)]
    return parts


def _processing(facts: DataFacts) -> list[str]:
    about = facts.snapshot.manifest
    funnel, rules = about.get("funnel") or {}, about.get("rules") or {}
    rows = [(code(name), f"{count:,}", rules.get(name, "")) for name, count in funnel.items() if count]
    smoothing = about.get("smoothing") or {}
    epsilon = smoothing.get("epsilon")
    smoothed = (
        f"Scores are smoothed: `score` = (1 - e) `raw_score` + e/2 with e = {epsilon:g}; random pairs keep 0."
        if smoothing.get("applied") and isinstance(epsilon, int | float)
        else "Scores are not smoothed."
    )
    return [
        "## Post-processing",
        "From the project's pairs to the rows of the snapshot (a rule's count is what it took out):",
        table(("step", "rows", "meaning"), [(name, count, _words(meaning)) for name, count, meaning in rows]),
        smoothed,
    ]


def _review(facts: DataFacts) -> list[str]:
    review = facts.snapshot.manifest.get("review") or {}
    project = {name: int(count) for name, count in (review.get("project") or {}).items()}
    counts = ", ".join(f"{count:,} {_words(name)}" for name, count in project.items())
    parts = [
        "## Review",
        f"Of the project's pairs, {counts or 'none was counted'} when the snapshot was frozen. "
        f"{int(review.get('chosen', 0)):,} were chosen, "
        f"of which {int(review.get('edited', 0)):,} had been edited by a person.",
    ]
    expression = str(facts.snapshot.manifest.get("filter") or "")
    if expression:
        parts.append(f"Chosen by the filter {code(expression)}.")
    if facts.reviewers:
        parts.append("By whom, as the review journal stood at publication:")
        parts.append(
            table(
                ("reviewer", "accepted", "rejected", "edited"),
                [
                    (code(r.author), f"{r.accepted:,}", f"{r.rejected:,}", f"{r.edited:,}")
                    for r in facts.reviewers
                ],
            )
        )
        if facts.anonymous:
            parts.append("Reviewers are numbered in place of their names.")
    else:
        parts.append("Nobody reviewed single pairs.")
    return parts


def _limits(written: _Written, recipe: Recipe | None) -> list[str]:
    lines = []
    if written.kinds["llm"]:
        lines.append(
            "- Sentences and scores by a language model carry its errors and biases; a score is no human judgement."
        )
    if recipe is not None and recipe.model == "offline":
        lines.append(
            "- Made with the offline model of claif-tui, which is for trying things out: not for real training."
        )
    if written.kinds["zero"]:
        lines.append("- Random pairs have the score 0 whether or not their sentences happen to be related.")
    lines.append(
        "- The original sentences were not checked against evaluation sets here; look for overlap before you evaluate."
    )
    return ["## Known limits", "\n".join(lines)]


def _licence(licence: str) -> str:
    if licence == "unknown":
        return "Unknown: whoever published this did not state one. Ask before you use it."
    return (
        f"{code(licence)}, as stated by whoever published this. The original sentences and a model's answers may stand "
        "under terms of their own."
    )


def _words(text: object) -> str:
    """Words of a manifest, which anyone can write, as plain words."""
    return re.sub(r"[^\w ,.()'-]+", " ", str(text))[:120]
