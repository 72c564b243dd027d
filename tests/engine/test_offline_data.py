"""The offline model on real data: its scores follow people's, and fall as more is masked."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest

from tests.engine.offline_child import Child, needs_model

pytestmark = [pytest.mark.data, needs_model]


@pytest.fixture(scope="module")
def senteval(data_dir: Path) -> Path:
    return data_dir / "senteval"


def test_scores_agree_with_people_on_stsb_dev(senteval: Path) -> None:
    from scipy.stats import spearmanr

    from engine.offline.corpus import read_pairs

    pairs = read_pairs(senteval, "dev")[::5]
    assert len(pairs) == 300
    with Child() as child:
        answers = child.ask(*({"op": "score", "text_a": p.first, "text_b": p.second} for p in pairs))
    scores = [events[-1]["score"] for events in answers]
    assert spearmanr(scores, [p.gold for p in pairs]).statistic >= 0.80


def test_scores_fall_with_the_mask_rate_and_few_fills_repeat_the_original(senteval: Path) -> None:
    from claif_tui.core.masking import mask_sentence
    from engine.offline.corpus import normalise, read_sentences

    sentences = list(dict.fromkeys(read_sentences(senteval, "STS/STSBenchmark/sts-train.csv")))[::350]
    rates = (0.1, 0.5, 0.8)
    with Child() as child:
        work = [(s, r, mask_sentence(s, r, 42).text) for s in sentences for r in rates]
        filled = [
            events[-1]["text"]
            for events in child.ask(
                *({"op": "fill", "text": masked, "seed": n} for n, (_, _, masked) in enumerate(work))
            )
        ]
        scored = child.ask(
            *({"op": "score", "text_a": s, "text_b": b} for (s, _, _), b in zip(work, filled, strict=True))
        )
    scores = [events[-1]["score"] for events in scored]
    by_rate = {r: mean(s for s, (_, rate, _) in zip(scores, work, strict=True) if rate == r) for r in rates}
    assert by_rate[0.1] - by_rate[0.8] >= 0.2
    assert by_rate[0.1] > by_rate[0.5] > by_rate[0.8]
    high = [(s, b) for (s, r, _), b in zip(work, filled, strict=True) if r >= 0.5]
    assert mean(normalise(s) == normalise(b) for s, b in high) < 0.05


def test_the_card_tells_the_measured_overlap(senteval: Path) -> None:
    from claif_tui.core.paths import asset
    from engine.offline.corpus import overlap, stsb_train_in_sts12_16

    card = asset("offline/MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{100 * stsb_train_in_sts12_16(senteval):.0f} %" in card
    for name, (shared, total, share) in overlap(senteval).items():
        assert f"| {name} | {total:,} | {shared:,} | {100 * share:.1f} % |" in card


def test_nothing_trained_on_is_held_out_and_no_test_split_is_named(senteval: Path) -> None:
    from engine.offline.corpus import TRAIN_FILES, is_held_out, normalise, training_sentences

    sentences = training_sentences(senteval)
    held = {normalise(s) for s in sentences if is_held_out(s)}
    assert len(held) > 500
    assert not held & {normalise(s) for s in sentences if not is_held_out(s)}
    assert not any("test" in file for files in TRAIN_FILES.values() for file in files)
