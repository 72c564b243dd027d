"""The objectives against reference numbers (float64, from numpy) and against what must hold whatever the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.errors import ConfigError
from engine.losses import (
    MULTICSR_BCE,
    PER_DEVICE_NORMALISER,
    SMOOTH_ALL_ZERO_TEST,
    bce,
    contrastive_logits,
    cosine,
    cosine_matrix,
    cosine_mse,
    info_nce,
    keep_matrix,
    mask_tokens,
    masked_info_nce,
    mlm,
    soft_info_nce,
    soft_targets,
)

INFO_NCE = ["infonce_tau_0.05", "infonce_tau_0.5"]
HARD_NEGATIVES = ["infonce_hardneg_tau_0.05", "infonce_hardneg_tau_0.5", "infonce_hardneg_tau_0.5_hnw_0.7"]
SOFT = ["soft_infonce_hardneg_tau_0.05", "soft_infonce_hardneg_tau_0.5"]
VARIANTS = ["no_smooth", "smooth_positive", "smooth_all"]
ZERO_SCORE, DEVICES = "soft_infonce_smooth_all_zero_score", "soft_infonce_world_size_scale"
MULTICSR, TAUS = "multicsr_masked_infonce", ["tau_0.05", "tau_0.5"]

TESTED = {
    *("claif_mse", "bce_cross", ZERO_SCORE, DEVICES, MULTICSR, *INFO_NCE, *HARD_NEGATIVES, *SOFT),
    *(f"{ZERO_SCORE}/{kind}" for kind in ("correct", "official_code")),
    *(f"{case}/variants" for case in SOFT),
    *(f"{case}/variants/{variant}" for case in SOFT for variant in VARIANTS),
    f"{MULTICSR}/by_tau",
    *(f"{MULTICSR}/by_tau/{tau}" for tau in TAUS),
    *(f"{MULTICSR}/by_tau/{tau}/recommended_masked_infonce" for tau in TAUS),
}
ELSEWHERE = {
    "label_smoothing": "post-processing",
    "claif_mask_counts": "masking",
    "dino_self_debiasing_step": "decoding",
    "multicsr_contrastive_logits": "decoding",
    "sts_aggregation": "evaluation",
    "whitening": "the baselines",
    "warmup_linear": "the schedule",
}
GIVEN = {
    *("formula", "note", "tau", "hard_negative_weight", "phi", "h", "h2", "y"),
    *("z1", "z2", "z3", "m1", "m2", "m3", "global_batch", "world_size"),
}


@pytest.fixture(scope="module")
def cases(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_dir / "loss_reference.json").read_text())["cases"]
    return found


def wide(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def same(found: Any, expected: Any) -> None:
    """Nearer than the file's 1e-9, which would not see most of its small values."""
    np.testing.assert_allclose(torch.as_tensor(found).detach().numpy(), expected, rtol=1e-9, atol=1e-13)


def check(case: dict[str, Any], **found: Any) -> None:
    """Every number that the file gives for this case is among `found`, and is the same."""
    figures = {key: value for key, value in case.items() if key not in GIVEN and not isinstance(value, dict)}
    assert set(found) == set(figures)
    for key, value in figures.items():
        same(found[key], value)


def matrix(case: dict[str, Any], letter: str = "z") -> Tensor:
    """The cosines of the first texts with [second | third], as a leaf."""
    others = [wide(case[letter + number]) for number in "23" if letter + number in case]
    return cosine_matrix(wide(case[letter + "1"]), torch.cat(others)).detach().requires_grad_()


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, of, retain_graph=True)
    return found


def own_columns(logits: Tensor) -> Tensor:
    return torch.arange(len(logits))


def rows(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, own_columns(logits), reduction="none")


def test_every_case_of_the_file_is_tested_here_or_named_as_belonging_elsewhere(cases: dict[str, Any]) -> None:
    def paths(node: dict[str, Any], prefix: str = "") -> set[str]:
        inner = {prefix + key: value for key, value in node.items() if isinstance(value, dict)}
        return set(inner) | {path for key, value in inner.items() for path in paths(value, key + "/")}

    assert {path for path in paths(cases) if path.split("/")[0] not in ELSEWHERE} == TESTED
    assert set(ELSEWHERE) <= set(cases)


def test_cosine_mse(cases: dict[str, Any]) -> None:
    case = cases["claif_mse"]
    h, h2, y = wide(case["h"]).requires_grad_(), wide(case["h2"]), wide(case["y"])
    cosines = cosine(h, h2)
    loss = cosine_mse(cosines, y)
    items = torch.stack([cosine_mse(cosines[i : i + 1], y[i : i + 1]) for i in range(len(y))])
    check(case, cos=cosines, per_item=items, loss=loss, grad_h=gradient(loss, h))


@pytest.mark.parametrize("name", INFO_NCE)
def test_info_nce_over_twins(cases: dict[str, Any], name: str) -> None:
    case = cases[name]
    similarities, tau = matrix(case), case["tau"]
    logits, loss = contrastive_logits(similarities, tau), info_nce(similarities, tau)
    check(case, logits=logits, per_row=rows(logits), loss=loss, grad_logits=gradient(loss, similarities) * tau)


@pytest.mark.parametrize("name", HARD_NEGATIVES)
def test_info_nce_with_hard_negatives(cases: dict[str, Any], name: str) -> None:
    case = cases[name]
    similarities, tau, weight = matrix(case), case["tau"], case["hard_negative_weight"]
    logits = contrastive_logits(similarities, tau, weight)
    loss = info_nce(similarities, tau, hard_negative_weight=weight)
    check(case, logits=logits, per_row=rows(logits), loss=loss)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SOFT)
def test_soft_info_nce(cases: dict[str, Any], name: str, variant: Any) -> None:
    case = cases[name]
    similarities, y, tau = matrix(case), wide(case["y"]), case["tau"]
    logits = contrastive_logits(similarities, tau)
    if variant == "no_smooth":
        loss, targets = info_nce(similarities, tau), torch.eye(*logits.shape)
    else:
        loss = soft_info_nce(similarities, y, tau, smooth=variant)
        targets = soft_targets(y, logits.shape[1], smooth=variant)
    check(
        case["variants"][variant],
        targets=targets,
        target_row_sums=targets.sum(1),
        per_row=F.cross_entropy(logits, targets.double(), reduction="none"),
        loss=loss,
        grad_logits=gradient(loss, similarities) * tau,
    )
    check(case, logits=logits, eq2_by_loops=soft_info_nce(similarities, y, tau))


def test_scored_negatives_are_targets_of_their_own_columns_alone(cases: dict[str, Any]) -> None:
    """smooth_negative is ours: its formula by loops, its gradient by autograd and by the softmax's own formula."""
    case = cases[SOFT[1]]
    similarities, y, tau = matrix(case), wide(case["y"]), case["tau"]
    n = len(y)
    negatives = wide([0.0, 0.25, 1.0, 0.6][:n])
    loss = soft_info_nce(similarities, y, tau, smooth="smooth_negative", negative_scores=negatives)
    p = (similarities / tau).softmax(1)
    by_loops = -sum(y[i] * p[i, i].log() + negatives[i] * p[i, n + i].log() for i in range(n)) / n
    same(loss, by_loops.detach())
    # dL/ds_ij = ((y_i + n_i) p_ij - t_ij) / (n tau)
    targets = torch.cat([torch.diag(y), torch.diag(negatives)], dim=1)
    same(soft_targets(y, 2 * n, smooth="smooth_negative", negative_scores=negatives), targets)
    expected = ((y + negatives)[:, None] * p.detach() - targets) / (n * tau)
    same(gradient(loss, similarities), expected)
    same(gradient(by_loops, similarities), expected)
    # Without anything on the negatives it is CLHAIF's loss, to the last bit.
    plain = soft_info_nce(similarities, y, tau)
    none = soft_info_nce(similarities, y, tau, smooth="smooth_negative", negative_scores=torch.zeros(n))
    assert torch.equal(plain, none) and torch.equal(gradient(plain, similarities), gradient(none, similarities))
    for wrong in (None, negatives[1:]):
        with pytest.raises(ValueError, match="hard negative and its score"):
            soft_info_nce(similarities, y, tau, smooth="smooth_negative", negative_scores=wrong)
    with pytest.raises(ValueError, match="hard negative and its score"):
        soft_targets(y, n, smooth="smooth_negative", negative_scores=negatives)


@pytest.mark.parametrize(
    ("kind", "compat"), [("correct", ()), ("official_code", (SMOOTH_ALL_ZERO_TEST, "another-name"))]
)
def test_a_score_of_zero_under_smooth_all(cases: dict[str, Any], kind: str, compat: tuple[str, ...]) -> None:
    case = cases[ZERO_SCORE]
    check(case)
    y = wide(case["y"])
    targets = soft_targets(y, 8, smooth="smooth_all", compat=compat)
    loss = soft_info_nce(matrix(case), y, case["tau"], smooth="smooth_all", compat=compat)
    check(case[kind], targets=targets, target_row_sums=targets.sum(1), loss=loss)


def test_the_normaliser_of_several_devices(cases: dict[str, Any]) -> None:
    case, inputs = cases[DEVICES], cases["soft_infonce_hardneg_tau_0.5"]
    similarities, y, devices = matrix(inputs), wide(inputs["y"]), case["world_size"]
    assert len(y) == case["global_batch"]
    loss = soft_info_nce(similarities, y, inputs["tau"], devices=devices)
    official = soft_info_nce(similarities, y, inputs["tau"], devices=devices, compat={PER_DEVICE_NORMALISER})
    check(case, mean_over_global_batch=loss, official_code_value=official)
    with pytest.raises(ValueError, match="4 rows cannot be shared out evenly over 3 devices"):
        soft_info_nce(similarities, y, 0.5, devices=3)


def test_bce(cases: dict[str, Any]) -> None:
    case = cases["bce_cross"]
    x, y = wide(case["logits"]).requires_grad_(), wide(case["y"])
    best = torch.logit(y, eps=1e-15)
    loss = bce(x, y)
    check(
        case,
        logits=x,
        per_item=torch.stack([bce(x[i : i + 1], y[i : i + 1]) for i in range(len(y))]),
        loss=loss,
        loss_first_four=bce(x[:4], y[:4]),
        lowest_possible_per_item=torch.stack([bce(best[i : i + 1], y[i : i + 1]) for i in range(len(y))]),
        lowest_possible_mean=bce(best, y),
        grad_logits=gradient(loss, x),
    )


def test_the_mask_of_multicsr(cases: dict[str, Any]) -> None:
    case = cases[MULTICSR]
    cosines = matrix(case, "m")
    keep = keep_matrix(cosines, case["phi"])
    check(case, mask_model_cos=cosines, keep=keep)
    assert (cosines.diagonal() > case["phi"]).any(), "some own positive would be masked but for the rule"
    assert not keep[3, 7], "an own hard negative can be masked"


@pytest.mark.parametrize("tau_name", TAUS)
def test_masked_info_nce(cases: dict[str, Any], tau_name: str) -> None:
    case = cases[MULTICSR]
    wanted = case["by_tau"][tau_name]
    similarities, masks, phi, tau = matrix(case), matrix(case, "m"), case["phi"], wanted["tau"]
    logits, keep = contrastive_logits(similarities, tau), keep_matrix(masks, phi)
    check(
        wanted,
        logits=logits,
        unmasked_infonce=masked_info_nce(similarities, masks, tau, threshold=1.0),
        official_zeroed_logit_ce=info_nce(similarities * keep, tau),
        official_code_loss_bce_over_softmax_mean_N_by_2N=masked_info_nce(
            similarities, masks, tau, threshold=phi, compat={MULTICSR_BCE}
        ),
    )
    loss = masked_info_nce(similarities, masks, tau, threshold=phi)
    check(wanted["recommended_masked_infonce"], per_row=rows(logits.masked_fill(~keep, -math.inf)), loss=loss)
    assert (gradient(loss, similarities)[~keep] == 0).all()


# What must hold whatever the numbers.

sizes = st.integers(2, 6)
seeds = st.integers(0, 10_000)
temperatures = st.sampled_from([0.05, 0.1, 0.5, 1.0])


def drawn(seed: int, n: int, columns: int = 2) -> tuple[Tensor, Tensor]:
    """Cosines (n, columns · n) of random vectors, as a leaf, and scores (n,)."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn((1 + columns) * n, 5, generator=generator, dtype=torch.float64)
    scores = torch.rand(n, generator=generator, dtype=torch.float64)
    return cosine_matrix(vectors[:n], vectors[n:]).requires_grad_(), scores


@given(seed=seeds, n=sizes, tau=temperatures, smooth=st.sampled_from(["smooth_positive", "smooth_all"]))
def test_scores_of_one_give_plain_info_nce(seed: int, n: int, tau: float, smooth: Any) -> None:
    similarities, _ = drawn(seed, n)
    ones = torch.ones(n, dtype=torch.float64)
    found = soft_info_nce(similarities, ones, tau, smooth=smooth, hard_negative_weight=0.3)
    plain = info_nce(similarities, tau, hard_negative_weight=0.3)
    same(found, plain.item())
    same(gradient(found, similarities), gradient(plain, similarities).numpy())


@given(seed=seeds, n=sizes, tau=temperatures, scale=st.floats(0.01, 1.0))
def test_scaling_the_scores_scales_the_loss(seed: int, n: int, tau: float, scale: float) -> None:
    similarities, y = drawn(seed, n)
    same(soft_info_nce(similarities, y * scale, tau), scale * soft_info_nce(similarities, y, tau).item())


@given(seed=seeds, n=sizes, tau=temperatures, row=st.integers(0, 5))
def test_a_score_of_zero_has_no_gradient_as_anchor_and_still_is_a_negative(
    seed: int, n: int, tau: float, row: int
) -> None:
    row %= n
    similarities, y = drawn(seed, n)
    y[row] = 0.0
    found = gradient(soft_info_nce(similarities, y, tau), similarities)
    assert (found[row] == 0).all()
    others = torch.arange(n) != row
    assert (found[others][:, [row, n + row]] > 0).all()


@given(seed=seeds, n=sizes, tau=temperatures, row=st.integers(0, 5))
def test_the_order_of_the_other_rows_negatives_does_not_matter_to_a_row(
    seed: int, n: int, tau: float, row: int
) -> None:
    row %= n
    similarities, _ = drawn(seed, n)
    alone = torch.zeros(n, dtype=torch.float64)
    alone[row] = 1.0
    others = [i for i in range(n) if i != row]
    order = torch.arange(2 * n)
    order[[n + i for i in others]] = torch.tensor([n + i for i in others[1:] + others[:1]])
    before = soft_info_nce(similarities, alone, tau, hard_negative_weight=0.7)
    same(soft_info_nce(similarities[:, order], alone, tau, hard_negative_weight=0.7), before.item())
    replaced = similarities.detach().clone()
    replaced[row, n + others[0]] = 1.0
    assert soft_info_nce(replaced, alone, tau, hard_negative_weight=0.7) > before


@given(seed=seeds, n=sizes, weight=st.floats(-3, 3))
def test_the_weight_counts_the_own_hard_negative_exp_weight_times(seed: int, n: int, weight: float) -> None:
    similarities, _ = drawn(seed, n)
    s = similarities.detach() / 0.5
    own = s.diagonal()
    own_negative = s.diagonal(n).exp()
    total = s.exp().sum(1) + (math.exp(weight) - 1) * own_negative
    same(info_nce(similarities, 0.5, hard_negative_weight=weight), (total.log() - own).mean().item())


@given(seed=seeds, n=sizes, threshold=st.floats(-1, 1))
def test_the_mask_knows_no_temperature_and_takes_no_gradient(seed: int, n: int, threshold: float) -> None:
    similarities, _ = drawn(seed, n)
    masks, _ = drawn(seed + 1, n)
    keep = keep_matrix(masks, threshold)
    assert keep.diagonal().all()
    for tau in (0.05, 0.5, 2.0):
        loss = masked_info_nce(similarities, masks, tau, threshold=threshold)
        found = gradient(loss, similarities)
        assert ((found != 0) <= keep).all()
        left = [s[k].exp().sum().log() for s, k in zip(similarities / tau, keep, strict=True)]
        same(loss, (torch.stack(left) - similarities.diagonal() / tau).mean().item())
        with pytest.raises(RuntimeError, match="not have been used"):
            gradient(masked_info_nce(similarities, masks, tau, threshold=threshold), masks)


def test_no_rounding_moves_a_cell_over_the_threshold() -> None:
    assert keep_matrix(torch.full((2, 4), 1.0000002), 1.0).all()
    assert keep_matrix(torch.full((2, 4), 0.99), 0.95).sum() == 2
    # The bfloat16 nearest to 0.952 is 0.953125: a threshold rounded to it would keep what is above 0.952.
    assert keep_matrix(torch.full((2, 4), 0.953125, dtype=torch.bfloat16), 0.952).sum() == 2


def test_the_official_multicsr_loss_is_finite_where_a_softmax_value_rounds_to_one() -> None:
    similarities = torch.full((2, 4), -1.0)
    for column in (0, 2):
        ones = similarities.clone()
        ones[:, column] = 1.0
        ones.requires_grad_()
        loss = masked_info_nce(ones, torch.zeros(2, 4), 0.01, compat={MULTICSR_BCE})
        assert math.isfinite(loss.item())
        assert gradient(loss, ones).isfinite().all()
    # Row 0: the positive is right, all others lose 2e-87; row 1 has 200 for its positive and 200 - log 3 for the rest.
    first = torch.tensor([[1.0, -1, -1, -1], [1, -1, -1, -1]], dtype=torch.float64)
    found = masked_info_nce(first, torch.zeros(2, 4), 0.01, compat={MULTICSR_BCE})
    assert found.item() == pytest.approx((200 + 200 - math.log(3)) / 8)


@pytest.mark.parametrize("compat", [(), (MULTICSR_BCE,)])
def test_gradients_of_the_masked_losses_are_those_of_finite_differences(compat: tuple[str, ...]) -> None:
    for seed in range(5):
        similarities, _ = drawn(seed, 4)
        masks, _ = drawn(seed + 1, 4)

        def loss(values: Tensor, masks: Tensor = masks) -> Tensor:
            return masked_info_nce(values, masks.detach(), 0.5, threshold=0.3, compat=compat)

        assert not keep_matrix(masks, 0.3).all()
        assert torch.autograd.gradcheck(loss, (similarities,))


# Precision.


def every_loss(vectors: Tensor, y: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """vectors (3, n, d): anchors, positives, hard negatives."""
    anchors, positives = vectors[0], vectors[1]
    pairs = cosine(anchors, positives)
    similarities = cosine_matrix(anchors, vectors[1:].reshape(-1, vectors.shape[-1]))
    return {
        "cosine": pairs,
        "cosine_matrix": similarities,
        "cosine_mse": cosine_mse(pairs, y),
        "bce": bce(anchors[:, 0], y),
        "info_nce": info_nce(similarities, 0.05),
        "smooth_positive": soft_info_nce(similarities, y, 0.05),
        "smooth_all": soft_info_nce(similarities, y, 0.05, smooth="smooth_all"),
        "masked": masked_info_nce(similarities, masks, 0.05, threshold=0.3),
        "official MultiCSR": masked_info_nce(similarities, masks, 0.05, threshold=0.3, compat={MULTICSR_BCE}),
        "mlm": mlm(anchors, torch.arange(len(y))),
    }


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_in_is_float32_computed_and_out(dtype: Any, autocast: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(3, 8, 16, generator=generator).to(dtype).requires_grad_()
    high = low.detach().double().requires_grad_()
    y = torch.rand(8, generator=generator, dtype=torch.float64)
    masks = drawn(1, 8)[0].detach()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = every_loss(low, y, masks)
    for name, expected in every_loss(high, y, masks).items():
        assert (found[name].dtype, expected.dtype) == (torch.float32, torch.float64)
        np.testing.assert_allclose(
            found[name].detach().numpy(), expected.detach().numpy(), rtol=2e-5, atol=2e-6, err_msg=name
        )
        back, exact = gradient(found[name].sum(), low), gradient(expected.sum(), high)
        assert back.dtype == dtype
        # Half a unit in the last place, for the one rounding at the end, and float32 noise below that.
        np.testing.assert_allclose(
            back.double().numpy(), exact.numpy(), rtol=torch.finfo(dtype).eps, atol=1e-5, err_msg=name
        )


def test_a_zero_vector_has_cosine_zero_and_a_finite_gradient() -> None:
    u = torch.zeros(2, 3, requires_grad=True)
    v = torch.ones(2, 3)
    for found in (cosine(u, v), cosine_matrix(u, v)):
        assert (found == 0).all()
        assert gradient(found.sum(), u).isfinite().all()
    assert cosine(v, -2 * v).tolist() == pytest.approx([-1.0, -1.0])


# The masked language model.


def test_mlm_is_the_mean_over_the_asked_tokens_only() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[-100, 4, -100], [0, -100, 6]])
    log_p = logits.detach().log_softmax(-1)
    expected = -(log_p[0, 1, 4] + log_p[1, 0, 0] + log_p[1, 2, 6]) / 3
    loss = mlm(logits, targets)
    same(loss, expected.item())
    asked = targets != -100
    same(mlm(logits[asked], targets[asked]), expected.item())
    assert (gradient(loss, logits)[~asked] == 0).all()


def test_mlm_with_nothing_asked_is_zero() -> None:
    logits = torch.randn(2, 3, 7, requires_grad=True)
    loss = mlm(logits, torch.full((2, 3), -100))
    assert loss == 0
    assert (gradient(loss, logits) == 0).all()


MASK, VOCABULARY = 103, 1000


def masked(
    seed: int, share: float = 0.15, shape: tuple[int, int] = (400, 100)
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    ids = torch.randint(200, VOCABULARY, shape, generator=torch.Generator().manual_seed(5))
    special = torch.zeros(shape, dtype=torch.bool)
    special[:, 0] = special[:, -10:] = True
    before = ids.clone()
    read, targets = mask_tokens(
        ids,
        special,
        mask_id=MASK,
        vocabulary=VOCABULARY,
        generator=torch.Generator().manual_seed(seed),
        share=share,
    )
    assert (ids == before).all()
    return ids, special, read, targets


def test_masking_chooses_fifteen_percent_and_shares_them_out_80_10_10() -> None:
    ids, special, read, targets = masked(0)
    chosen = targets != -100
    assert not (chosen & special).any()
    assert (read[~chosen] == ids[~chosen]).all()
    assert (targets[chosen] == ids[chosen]).all()

    def near(found: Tensor, share: float, of: int) -> bool:
        """Within five standard deviations of the binomial."""
        return abs(int(found.sum()) - share * of) < 5 * math.sqrt(of * share * (1 - share))

    count = int(chosen.sum())
    assert near(chosen, 0.15, int((~special).sum()))
    hidden, kept = chosen & (read == MASK), chosen & (read == ids)
    assert near(hidden, 0.8, count)
    assert near(kept, 0.1, count)
    others = read[chosen & ~hidden & ~kept]
    assert near(torch.ones(len(others)), 0.1, count)
    # A uniform draw from 1,000 ids: a fifth of them below 200, where no id of the text lies.
    assert near(others < 200, 0.2, len(others))


def test_masking_depends_on_the_generator_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = masked(3), masked(3), masked(4)
    assert (torch.random.get_rng_state() == state).all()
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[3] != other[3]).any()


def test_masking_of_nothing_and_of_all() -> None:
    ids, special, read, targets = masked(0, share=0.0, shape=(4, 30))
    assert (read == ids).all() and (targets == -100).all()
    ids, special, read, targets = masked(0, share=1.0, shape=(4, 30))
    assert ((targets != -100) == ~special).all()


# What is refused.


@pytest.mark.parametrize("columns", [1, 2])
def test_one_row_has_no_in_batch_negatives(columns: int) -> None:
    one, y = torch.ones(1, columns), torch.ones(1)
    calls: list[Callable[[], Tensor]] = [
        lambda: info_nce(one, 0.05),
        lambda: soft_info_nce(one, y, 0.05),
        lambda: masked_info_nce(one, one, 0.05),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="one row only") as caught:
            call()
        assert "batch_size" in caught.value.hint
    assert cosine_mse(y, y) == 0
    assert math.isfinite(bce(y, y))


@pytest.mark.parametrize("shape", [(4, 5), (4, 12), (4, 1), (0, 0), (4,), (2, 2, 2)])
def test_a_matrix_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    wrong = torch.zeros(shape)
    calls: list[Callable[[], Tensor]] = [
        lambda: info_nce(wrong, 0.05),
        lambda: soft_info_nce(wrong, torch.ones(4), 0.05),
        lambda: masked_info_nce(wrong, wrong, 0.05),
        lambda: keep_matrix(wrong, 0.9),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\(n, n\) or \(n, 2n\) matrix is needed, not"):
            call()


def test_tensors_that_do_not_belong_together_are_refused() -> None:
    y, column, square = torch.ones(4), torch.ones(4, 1), torch.zeros(4, 4)
    for values, scores in [(column, y), (y, column), (y, y[:3]), (column, column), (y[:0], y[:0])]:
        with pytest.raises(ValueError, match="cosine_mse needs two"):
            cosine_mse(values, scores)
        with pytest.raises(ValueError, match="bce needs two"):
            bce(values, scores)
    with pytest.raises(ValueError, match="one score a row"):
        soft_info_nce(square, column, 0.05)
    with pytest.raises(ValueError, match="n or 2n columns"):
        soft_targets(y, 5, smooth="smooth_all")
    with pytest.raises(ValueError, match="of one shape"):
        masked_info_nce(square, torch.zeros(4, 8), 0.05)
    with pytest.raises(ValueError, match="of one shape"):
        cosine(square, y)
    with pytest.raises(ValueError, match=r"\(n, d\) and \(m, d\)"):
        cosine_matrix(square, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="vocabulary"):
        mlm(square, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="special must be bool"):
        mask_tokens(square.long(), square, mask_id=1, vocabulary=5, generator=torch.Generator())


@pytest.mark.parametrize("value", [0.0, -0.05, math.nan, math.inf])
def test_a_temperature_that_is_no_divisor_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="temperature is"):
        info_nce(torch.zeros(2, 2), value)


def test_settings_that_do_not_go_together_are_refused() -> None:
    square, wide_matrix, y = torch.zeros(2, 2), torch.zeros(2, 4), torch.ones(2)
    with pytest.raises(ConfigError, match="no hard negatives"):
        info_nce(square, 0.05, hard_negative_weight=0.5)
    with pytest.raises(ConfigError, match="reproduces code that ignores it"):
        masked_info_nce(wide_matrix, wide_matrix, 0.05, hard_negative_weight=0.5, compat={MULTICSR_BCE})
    with pytest.raises(ConfigError, match="mask_threshold is 19"):
        masked_info_nce(wide_matrix, wide_matrix, 0.05, threshold=19)
    unknown: Any = "no_smooth"
    with pytest.raises(ConfigError, match="smooth_positive, smooth_all"):
        soft_info_nce(wide_matrix, y, 0.05, smooth=unknown)
    with pytest.raises(ConfigError, match="share of masked tokens"):
        mask_tokens(y.long(), y.bool(), mask_id=1, vocabulary=5, generator=torch.Generator(), share=1.5)
