"""Every training objective as a pure function of tensors, so that each can be held against reference numbers.

No model, no tokeniser, no weights between objectives and no reading of settings belongs here.

Lower precision comes in, float32 is computed: cosines, softmaxes and cross-entropies of bfloat16 or float16 input
(under autocast too) are float32, and so is the scalar that is returned; float64 stays float64. Scores are taken to
the type of the similarities. The values of scores are not checked here, as that would hold up a GPU at every step.
For float32 gradients too, the backward pass must run outside autocast, and float32 matrix products must be left exact
(no TF32: it can move a cosine by 1e-3, which a temperature of 0.05 makes twenty times as much).

`similarities` are raw cosines: row i is anchor i, columns 0..n-1 are all positives, columns n..2n-1 (where there are
any) all hard negatives, and the positive of row i is column i. The temperature divides them exactly once, inside.

`compat` may hold any names; a function looks only for those it explains, which are the constants below.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.errors import ConfigError

Smooth = Literal["smooth_positive", "smooth_all", "smooth_negative"]

SMOOTH_ALL_ZERO_TEST = "smooth-all-zero-test"
"""The official soft InfoNCE tests "is this target 0" where "is this the positive column" is meant."""

PER_DEVICE_NORMALISER = "per-device-normaliser"
"""The official soft InfoNCE sums over the gathered batch but divides by the rows of one device."""

MULTICSR_BCE = "multicsr-bce"
"""The official MultiCSR loss: masked logits set to 0, binary cross-entropy over every cell of the softmax."""

IGNORED = -100
"""The target of a token that the masked language model is not asked for."""


def cosine(u: Tensor, v: Tensor, eps: float = 1e-8) -> Tensor:
    """u·v / (‖u‖‖v‖) of each pair of rows: (n, d), (n, d) -> (n,) in -1..1.

    Each norm is taken as at least `eps`, so that a zero vector has cosine 0 and a finite gradient.
    """
    if u.shape != v.shape or u.dim() != 2:
        raise ValueError(f"cosine needs two (n, d) tensors of one shape, not {_shape(u)} and {_shape(v)}")
    return (_unit(u, eps) * _unit(v, eps)).sum(-1)


def cosine_matrix(u: Tensor, v: Tensor, eps: float = 1e-8) -> Tensor:
    """The cosine of every row of u with every row of v: (n, d), (m, d) -> (n, m), each as in `cosine`.

    Autocast is off inside, since it would hand the product to the lower precision again.
    """
    if u.dim() != 2 or v.dim() != 2 or u.shape[1] != v.shape[1]:
        raise ValueError(f"cosine_matrix needs (n, d) and (m, d), not {_shape(u)} and {_shape(v)}")
    with torch.autocast(device_type=u.device.type, enabled=False):
        return _unit(u, eps) @ _unit(v, eps).T


def cosine_mse(cosines: Tensor, scores: Tensor) -> Tensor:
    """mean_i (c_i - y_i)², the objective of the CLAIF bi-encoder: CLAIF paper, eq. 1.

    cosines (n,) raw, in -1..1; scores (n,) in 0..1; n at least 1. The gradient at c_i is 2 (c_i - y_i) / n.
    """
    _check_pairs("cosine_mse", cosines, scores)
    wide = _wide(cosines)
    return F.mse_loss(wide, scores.to(wide.dtype))


def bce(logits: Tensor, scores: Tensor) -> Tensor:
    """mean_i -(y_i log σ(x_i) + (1 - y_i) log(1 - σ(x_i))), the CLAIF cross-encoder: CLAIF paper, eq. 3.

    logits (n,) of any size, as log σ is never formed; scores (n,) in 0..1; n at least 1. Its least value is the
    entropy of the scores, not 0.
    """
    _check_pairs("bce", logits, scores)
    wide = _wide(logits)
    return F.binary_cross_entropy_with_logits(wide, scores.to(wide.dtype))


def nli_features(u: Tensor, v: Tensor) -> Tensor:
    """[u; v; |u - v|] of each pair of rows: (n, d), (n, d) -> (n, 3d). SBERT paper, section 3."""
    if u.shape != v.shape or u.dim() != 2:
        raise ValueError(f"nli_features needs two (n, d) tensors of one shape, not {_shape(u)} and {_shape(v)}")
    u, v = _wide(u), _wide(v)
    return torch.cat([u, v, (u - v).abs()], dim=1)


def softmax_nli(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a pair's NLI label, SBERT's classification objective: SBERT paper, section 3.

    logits (n, 3), of a linear layer over ``nli_features``; labels (n,) are class numbers, whole and in 0..2, in any
    number type; n at least 1.
    """
    if logits.dim() != 2 or labels.shape != (len(logits),) or len(logits) == 0:
        raise ValueError(
            f"(n, classes) logits and (n,) labels are needed, not {_shape(logits)} and {_shape(labels)}"
        )
    return F.cross_entropy(_wide(logits), labels.long())


def contrastive_logits(similarities: Tensor, temperature: float, hard_negative_weight: float = 0.0) -> Tensor:
    """Similarities / temperature, with the log-weight added at each row's own hard negative: same shape as given.

    similarities (n, n) or (n, 2n), n at least 2; temperature above 0. `hard_negative_weight` is added at (i, n + i)
    only, so a row's own hard negative counts exp(weight) times in the softmax (SimCSE's code).
    """
    _check_in_batch(similarities)
    if not (math.isfinite(temperature) and temperature > 0):
        raise ConfigError(
            f"temperature is {temperature}, but it divides the cosines and must be above 0", "0.05 is usual."
        )
    logits = _wide(similarities) / temperature
    if hard_negative_weight == 0.0:
        return logits
    rows, columns = logits.shape
    if rows == columns:
        raise ConfigError(
            f"hard_negative_weight is {hard_negative_weight}, but this batch has no hard negatives",
            "Set it to 0, or train on data with a hard negative in every row.",
        )
    return torch.diagonal_scatter(logits, logits.diagonal(rows) + hard_negative_weight, rows)


def info_nce(similarities: Tensor, temperature: float, *, hard_negative_weight: float = 0.0) -> Tensor:
    """mean_i -log( e^{s_ii/τ} / Σ_j e^{s_ij/τ} ) over all columns: SimCSE paper, eq. 4 (n) and eq. 5 (2n).

    similarities (n, n), as for two dropout views of each sentence, or (n, 2n) with hard negatives; τ and the weight as
    in `contrastive_logits`. Needs at least two rows: with one there is nothing to tell the positive from.
    """
    logits = contrastive_logits(similarities, temperature, hard_negative_weight)
    return F.cross_entropy(logits, _own_columns(logits))


def soft_targets(
    scores: Tensor,
    columns: int,
    *,
    smooth: Smooth,
    negative_scores: Tensor | None = None,
    compat: Collection[str] = (),
) -> Tensor:
    """What each column of each row is worth in `soft_info_nce`: scores (n,) in 0..1 -> (n, columns).

    `smooth_positive` gives the positive column y_i and the others 0. `smooth_all` gives the positive column y_i and
    each other (1 - y_i) / (columns - 1), so that rows sum to 1. Under the compat name `smooth-all-zero-test` a positive
    column whose score is exactly 0 gets 1 / (columns - 1) as well, as in the official code; such a row sums to
    columns / (columns - 1).

    `smooth_negative` is ours, no paper's: the positive column gets y_i, the row's own hard negative n_i of
    `negative_scores` (n,) in 0..1, and the others 0; columns must be 2n. Rows sum to y_i + n_i, so that one whose two
    pairs score 0 has no gradient as an anchor. With n = 0 everywhere it is `smooth_positive`.
    """
    if smooth not in get_args(Smooth):
        raise ConfigError(
            f"smooth is {smooth!r}, but it must be one of {', '.join(get_args(Smooth))}",
            "Without smoothing the objective is plain InfoNCE.",
        )
    if scores.dim() != 1 or columns not in (len(scores), 2 * len(scores)):
        raise ValueError(f"(n,) scores and n or 2n columns are needed, not {_shape(scores)} and {columns}")
    own = scores[:, None]
    positive = torch.eye(len(scores), columns, dtype=torch.bool, device=scores.device)
    if smooth == "smooth_positive":
        return own * positive
    if smooth == "smooth_negative":
        if negative_scores is None or negative_scores.shape != scores.shape or columns == len(scores):
            raise ValueError("smooth_negative needs a hard negative and its score for each row")
        return own * positive + negative_scores[:, None] * positive.roll(len(scores), dims=1)
    if SMOOTH_ALL_ZERO_TEST in compat:
        positive = positive & (own != 0)
    return torch.where(positive, own, (1 - own) / (columns - 1))


def soft_info_nce(
    similarities: Tensor,
    scores: Tensor,
    temperature: float,
    *,
    smooth: Smooth = "smooth_positive",
    negative_scores: Tensor | None = None,
    hard_negative_weight: float = 0.0,
    compat: Collection[str] = (),
    devices: int = 1,
) -> Tensor:
    """mean_i -Σ_j t_ij log softmax_j(s_i/τ), t from `soft_targets`: CLAIF paper, eq. 2 (CLHAIF), for smooth_positive.

    similarities (n, 2n) or (n, n); scores (n,) in 0..1, the similarity of each row's positive pair. With
    smooth_positive row i is InfoNCE times y_i, divided by n and not by Σy: a row of score 0 has no gradient as an
    anchor, and its sentences still are negatives of the others. `smooth_all` is in the official CLHAIF code only.
    `smooth_negative`, which alone reads `negative_scores` (n,), is ours.

    The compat name `smooth-all-zero-test` is explained in `soft_targets`. `per-device-normaliser` divides the sum over
    all rows by the rows of one of `devices` equal devices, n / devices, as the official code does: the value is
    `devices` times the mean. Without that name `devices` changes nothing.
    """
    logits = contrastive_logits(similarities, temperature, hard_negative_weight)
    rows, columns = logits.shape
    if scores.shape != (rows,):
        raise ValueError(f"one score a row is needed: {rows} rows, but scores of shape {_shape(scores)}")
    if devices < 1 or rows % devices:
        raise ValueError(f"{rows} rows cannot be shared out evenly over {devices} devices")
    negatives = None if negative_scores is None else negative_scores.to(logits.dtype)
    targets = soft_targets(
        scores.to(logits.dtype), columns, smooth=smooth, negative_scores=negatives, compat=compat
    )
    loss = F.cross_entropy(logits, targets)
    return loss * devices if PER_DEVICE_NORMALISER in compat else loss


def keep_matrix(mask_cosines: Tensor, threshold: float) -> Tensor:
    """Which cells stay in the softmax of `masked_info_nce`: cosines (n, n) or (n, 2n) -> bool of that shape.

    A cell is kept if the frozen model's cosine, unscaled, is at most `threshold` (-1..1; 1 keeps all), and a row's own
    positive always. The own hard negative can go.
    """
    _check_in_batch(mask_cosines)
    if not -1.0 <= threshold <= 1.0:
        raise ConfigError(
            f"mask_threshold is {threshold}, but it is compared with cosines and must be in -1..1",
            "0.95 is usual. It is not divided by the temperature.",
        )
    # Rounding takes the cosine of a text with itself a little over 1.
    keep = _wide(mask_cosines).clamp(max=1.0) <= threshold
    return keep | torch.eye(*keep.shape, dtype=torch.bool, device=keep.device)


def masked_info_nce(
    similarities: Tensor,
    mask_cosines: Tensor,
    temperature: float,
    *,
    threshold: float = 0.95,
    hard_negative_weight: float = 0.0,
    compat: Collection[str] = (),
) -> Tensor:
    """mean_i -log( e^{s_ii/τ} / Σ_{j kept} e^{s_ij/τ} ), kept as in `keep_matrix`: MultiCSR, stage 3.

    similarities and mask_cosines (n, 2n) or (n, n), of one shape; the latter are cosines of the same texts under a
    frozen model in eval mode, and get no gradient.

    The compat name `multicsr-bce` reproduces the official code instead: logits are multiplied by the mask, so that a
    masked cell still adds e^0 = 1 to the sum, and binary cross-entropy is applied to each of the n × 2n softmax
    values and averaged over all of them. Where the official code gives nan because a softmax value rounds to 1, this
    gives the true value. That code ignores `hard_negative_weight`, so it must be 0 there.
    """
    if similarities.shape != mask_cosines.shape:
        raise ValueError(
            f"similarities {_shape(similarities)} and mask_cosines {_shape(mask_cosines)} must be of one shape"
        )
    logits = contrastive_logits(similarities, temperature, hard_negative_weight)
    keep = keep_matrix(mask_cosines, threshold)
    if MULTICSR_BCE not in compat:
        return F.cross_entropy(logits.masked_fill(~keep, -math.inf), _own_columns(logits))
    if hard_negative_weight != 0.0:
        raise ConfigError(
            f"hard_negative_weight is {hard_negative_weight}, but {MULTICSR_BCE} reproduces code that ignores it",
            f"Set it to 0, or leave out {MULTICSR_BCE}.",
        )
    return _bce_over_softmax(logits * keep)


def mlm(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the tokens asked for: the masked language model beside a contrastive loss, as in SimCSE.

    logits (…, vocabulary); targets (…) are token ids, or -100 where nothing is asked, as `mask_tokens` gives them. The
    head may be run on the asked tokens only, (k, vocabulary) and (k,), which is the same and takes less memory. With no
    token asked for the loss is 0, not nan.
    """
    if logits.shape[:-1] != targets.shape or logits.dim() < 2:
        raise ValueError(
            f"(…, vocabulary) logits and (…) targets are needed, not {_shape(logits)} and {_shape(targets)}"
        )
    flat, asked = logits.flatten(0, -2), targets.flatten()
    total = F.cross_entropy(_wide(flat), asked, ignore_index=IGNORED, reduction="sum")
    return total / (asked != IGNORED).sum().clamp(min=1)


def mask_tokens(
    ids: Tensor,
    special: Tensor,
    *,
    mask_id: int,
    vocabulary: int,
    generator: torch.Generator,
    share: float = 0.15,
) -> tuple[Tensor, Tensor]:
    """BERT's masking for `mlm`: the ids to read and the ids to guess, both of the shape of `ids`; `ids` is unchanged.

    Each token that is not `special` (bool, same shape: true at [CLS], [SEP] and padding) is chosen with probability
    `share` (0..1). Of the chosen, 80 % are read as `mask_id`, 10 % as a random one of the `vocabulary` ids and 10 % as
    they are (Devlin et al. 2019, 3.1). Targets are the original ids at chosen places and -100 elsewhere. Draws come
    from `generator` alone, three to a token whatever is chosen, so a CPU generator gives one result for ids on any
    device.
    """
    if ids.shape != special.shape or special.dtype != torch.bool:
        raise ValueError(
            f"special must be bool and {_shape(ids)} like the ids, not {special.dtype} {_shape(special)}"
        )
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"the share of masked tokens is {share}, but it must be in 0..1", "0.15 is usual.")
    place = generator.device
    chance, kind = torch.rand((2, *ids.shape), generator=generator, device=place).to(ids.device)
    others = torch.randint(vocabulary, ids.shape, generator=generator, device=place).to(ids.device, ids.dtype)
    chosen = (chance < share) & ~special
    read = torch.where(chosen & (kind < 0.8), mask_id, ids)
    read = torch.where(chosen & (kind >= 0.8) & (kind < 0.9), others, read)
    return read, torch.where(chosen, ids, IGNORED)


def _wide(values: Tensor) -> Tensor:
    """The values in the precision that losses are computed in: float64 as it is, all else float32."""
    return values if values.dtype == torch.float64 else values.float()


def _unit(vectors: Tensor, eps: float) -> Tensor:
    """Rows (n, d) at length 1; rows shorter than eps are divided by eps."""
    return F.normalize(_wide(vectors), dim=-1, eps=eps)


def _own_columns(logits: Tensor) -> Tensor:
    """The positive column of each row, (n,)."""
    return torch.arange(len(logits), device=logits.device)


def _bce_over_softmax(logits: Tensor) -> Tensor:
    """Mean over all cells (n, m) of -log p at the own column and -log(1 - p) elsewhere, p the softmax of the row."""
    log_p = logits.log_softmax(-1)
    top = log_p.argmax(-1, keepdim=True)
    # Only the largest p of a row can exceed 1/2 and lose its complement to rounding: that one comes from the others.
    rest = log_p.scatter(1, top, -math.inf)
    log_complement = torch.log1p(-rest.exp()).scatter(1, top, rest.logsumexp(-1, keepdim=True))
    positive = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
    return -torch.where(positive, log_p, log_complement).mean()


def _check_pairs(name: str, values: Tensor, scores: Tensor) -> None:
    """Refuse what would be broadcast, (n, 1) against (n,) above all, and the mean of nothing."""
    if values.dim() != 1 or values.shape != scores.shape or len(values) == 0:
        raise ValueError(
            f"{name} needs two (n,) tensors with n at least 1, not {_shape(values)} and {_shape(scores)}"
        )


def _check_in_batch(matrix: Tensor) -> None:
    """Refuse a matrix that is neither (n, n) nor (n, 2n), and one row."""
    if matrix.dim() != 2 or matrix.shape[1] not in (len(matrix), 2 * len(matrix)) or len(matrix) == 0:
        raise ValueError(f"an (n, n) or (n, 2n) matrix is needed, not {_shape(matrix)}")
    if len(matrix) == 1:
        raise ConfigError(
            "an in-batch loss compares a row with the other rows, but this batch has one row only",
            "Set batch_size to 2 or more, and leave out a last batch of a single row.",
        )


def _shape(values: Tensor) -> str:
    return str(tuple(values.shape))
