"""A real project with pairs in it, for the tests of Generate and Review."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from claif_tui.core.models import NewPair, NewScore
from claif_tui.core.store.store import Store
from claif_tui.core.text import storable_text
from tests.ui.hostile import HOSTILE

FLUTE = "a man is playing a large flute ."
TEXTS = (
    (FLUTE, "a man played a wooden flute.", 0.4, 0.71, 'same act, other tense; "wooden" is new'),
    (FLUTE, "a man is playing a big flute .", 0.1, 0.93, "the same, with another word for large"),
    (FLUTE, "A man sits in a large room .", 0.7, 0.33, ""),
    (FLUTE, "Put off steam", 0.8, 0.0, "nothing in common"),
    ("three men are playing chess .", "three kings are playing chess .", 0.3, 0.87, "kings instead of men"),
    ("three men are playing chess .", "Three men play chess.", 0.0, 0.98, ""),
    ("a plane is taking off .", "an aircraft is departing .", 0.0, 0.8, ""),
    ("a plane is taking off .", "Airplane is flying.", 0.5, 0.67, ""),
)
TRIPLETS = (
    ("a man is not playing a flute .", "a man is silent .", "a man is playing a flute .", 0.81, 0.12),
    (
        "three men are playing chess .",
        "three men play a board game .",
        "three men are playing football .",
        0.9,
        0.4,
    ),
    ("a plane is taking off .", "an aircraft is departing .", "a plane is landing .", None, None),
    (FLUTE, "a man plays a big flute .", "a man is selling a large flute .", 0.93, 0.35),
)


def add_pairs(store: Store, rows: list[NewPair]) -> list[int]:
    """Store pairs and return their ids."""
    return store.write(lambda conn: [store.pairs.add(conn, row)[0] for row in rows])


def new_pair(
    text_a: str, text_b: str, rate: float, score: float | None, reason: str = "", n: int = 0
) -> NewPair:
    """Make one pair as a run would."""
    return NewPair(
        system="claif",
        text_a=text_a,
        generated=text_b,
        rate=rate,
        occurrence=n,
        masked="a man <mask> a <mask> flute .",
        model="gpt-4o-mini-2024-07-18",
        recipe_id="7c1e00aa11bb",
        generate_key=f"{n:064x}",
        score=None
        if score is None
        else NewScore(score=score, raw=f"{score}", scale="0-1", reason=reason or None),
    )


def make_triplets(folder: Path) -> Path:
    """Make a project with the four triplets above as imports, ids 1 to 4, the third without scores; then one pair."""
    with Store.create(folder, author="tester") as store:
        rows = [
            NewPair(
                system="nli",
                kind="nli",
                text_a=anchor,
                generated=positive,
                hard_negative=negative,
                model="gpt-4o-mini-2024-07-18",
                score=None
                if score is None
                else NewScore(score=score, raw=f"{score}", scale="0-1", negative=low, negative_raw=f"{low}"),
            )
            for anchor, positive, negative, score, low in TRIPLETS
        ]
        add_pairs(store, [*rows, new_pair("a plane is taking off .", "Airplane is flying.", 0.5, 0.67, n=99)])
    return folder


def make_project(folder: Path, *, extra: int = 0, hostile: bool = False) -> Path:
    """Make a project with the eight pairs above, ``extra`` plain ones, and hostile ones if wanted."""
    with Store.create(folder, author="tester") as store:
        rows = [new_pair(a, b, rate, score, reason, n) for n, (a, b, rate, score, reason) in enumerate(TEXTS)]
        rows += [
            new_pair(f"seed number {n} .", f"sentence number {n} .", (n % 9) / 10, (n % 101) / 100, n=100 + n)
            for n in range(extra)
        ]
        if hostile:
            texts = [storable_text(text)[0] for text in HOSTILE]
            for n, text in enumerate(texts):
                made = new_pair(text, f"{text} again", 0.5, 0.5, text, n=10_000 + n)
                rows.append(replace(made, hard_negative=f"no {text}" if n % 2 else None))
            rows.append(new_pair("x" * 10_000, "long " * 20_000, 0.5, 0.5, "y" * 5_000, n=20_000))
        add_pairs(store, rows)
    return folder
