"""What each objective learns from: the columns it reads, how they become vectors, its loss. No loop, no optimiser.

A new objective is one entry of ``OBJECTIVES``, with its loss in ``engine.losses`` and its needs in ``engine.columns``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import losses
from engine.columns import columns as columns
from engine.columns import in_batch as in_batch
from engine.columns import learnt as learnt
from engine.columns import unused as unused
from engine.config import TrainConfig
from engine.datafiles.nli import LABELS
from engine.distributed import Alone
from engine.encoder import PRECISIONS, CrossEncoder, Encoder, load, load_cross
from engine.errors import ConfigError
from engine.masked_words import MaskedWords
from engine.prompt_faults import NAME as PROMPT_BERT
from engine.prompt_faults import reproduce

_ROWS_TO_JUDGE = 4
"""A smaller batch may be alike by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of the training data, tokenised: one list of texts (or of pairs) for each view that is encoded.

    ``rows`` (n,) are their indices; ``scores`` are what is learnt, (n,), or (n, 2) where hard negatives have a score
    of their own; ``masked`` are the texts in the tokens of the mask model, if there is one.
    With several processes these are the rows of one. ``step`` (N,) are those of all, and ``words`` their texts where
    words are to be masked; both are empty with one process, which has all of them.
    """

    rows: NDArray[np.int64]
    texts: tuple[list[Any], ...]
    scores: Tensor | None = None
    masked: tuple[list[list[int]], ...] = ()
    step: NDArray[np.int64] | None = None
    words: tuple[list[Any], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def parts(self, size: int) -> Iterator[Batch]:
        """Yield the batch in pieces of at most ``size`` rows."""
        for start in range(0, len(self), size):
            yield self.cut(slice(start, start + size))

    def cut(self, part: slice) -> Batch:
        """Some of the rows."""
        return Batch(
            rows=self.rows[part],
            texts=tuple(side[part] for side in self.texts),
            scores=None if self.scores is None else self.scores[part],
            masked=tuple(side[part] for side in self.masked),
        )

    @property
    def of_all(self) -> NDArray[np.int64]:
        """The rows of the step, those of other processes among them."""
        return self.rows if self.step is None else self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a loss reads: vectors (n, d) of each view, or logits (n,), and scores as in ``Batch``.

    ``mask_cosines`` are those of the mask model; ``classifier`` maps ``losses.nli_features`` to logits.
    """

    outputs: Sequence[Tensor]
    scores: Tensor | None = None
    mask_cosines: Tensor | None = None
    classifier: nn.Module | None = None

    @property
    def labels(self) -> Tensor:
        """The scores, of an objective that reads them."""
        return cast(Tensor, self.scores)

    @property
    def similarities(self) -> Tensor:
        """Cosines (n, n) or (n, 2n) of every anchor with all positives, then all hard negatives."""
        return similarities(self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A loss; what it asks of the data stands in ``engine.columns``, which is read before torch is."""

    loss: Callable[[Given, TrainConfig], Tensor]


def similarities(vectors: Sequence[Tensor]) -> Tensor:
    """Cosines of the first view's vectors (n, d) with all others', the second view's columns first."""
    anchors, *others = vectors
    return losses.cosine_matrix(anchors, torch.cat(others))


def together(views: Sequence[Tensor], team: Alone, rows: int) -> list[Tensor]:
    """The vectors (n, d) of each view with those of all processes, (rows, d), sent at once."""
    if team.size == 1:
        return list(views)
    return list(team.gather(torch.cat(list(views), dim=1), rows).split(views[0].shape[1], dim=1))


def _mse(given: Given, config: TrainConfig) -> Tensor:
    return losses.cosine_mse(losses.cosine(*given.outputs), given.labels)


def _cross(given: Given, config: TrainConfig) -> Tensor:
    return losses.bce(given.outputs[0], given.labels)


def _infonce(given: Given, config: TrainConfig) -> Tensor:
    return losses.info_nce(
        given.similarities, config.temperature, hard_negative_weight=config.hard_negative_weight
    )


def _softmax_nli(given: Given, config: TrainConfig) -> Tensor:
    classify = cast(nn.Module, given.classifier)
    return losses.softmax_nli(classify(losses.nli_features(*given.outputs)), given.labels)


def _soft_infonce(given: Given, config: TrainConfig) -> Tensor:
    positive, negative = given.labels.unbind(1) if given.labels.dim() == 2 else (given.labels, None)
    return losses.soft_info_nce(
        given.similarities,
        positive,
        config.temperature,
        smooth=cast(losses.Smooth, config.smooth),
        negative_scores=negative,
        hard_negative_weight=config.hard_negative_weight,
        compat=config.compat,
    )


def _masked_infonce(given: Given, config: TrainConfig) -> Tensor:
    return losses.masked_info_nce(
        given.similarities,
        cast(Tensor, given.mask_cosines),
        config.temperature,
        threshold=config.mask_threshold,
        compat=config.compat,
    )


OBJECTIVES = {
    "mse": Objective(loss=_mse),
    "cross": Objective(loss=_cross),
    "softmax-nli": Objective(loss=_softmax_nli),
    "infonce": Objective(loss=_infonce),
    "soft-infonce": Objective(loss=_soft_infonce),
    "masked-infonce": Objective(loss=_masked_infonce),
}
"""Every objective of ``engine.config.OBJECTIVES``."""


class Learner(nn.Module):  # type: ignore[misc]
    """The model that is trained, with what its objective needs beside it.

    ``encoder`` is saved; ``words`` is the auxiliary masked language model and ``classifier`` SBERT's layer over pairs,
    both trained and not saved; the frozen mask model is no part of this module: it never changes its mode, and is
    never saved.
    """

    def __init__(self, config: TrainConfig, encoder: Encoder | CrossEncoder) -> None:
        super().__init__()
        self.config, self.objective = config, OBJECTIVES[config.objective]
        self.encoder = encoder
        self.words: MaskedWords | None = None
        self.classifier: nn.Linear | None = None
        self._frozen: list[Encoder] = []

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.encoder.device

    def freeze(self, mask: Encoder) -> None:
        """Take a mask model: for good in evaluation mode and without gradients."""
        mask.eval()
        mask.requires_grad_(False)
        self._frozen = [mask]

    def tokenise(
        self,
        rows: NDArray[np.int64],
        texts: Sequence[list[str]],
        scores: Sequence[float] | Sequence[tuple[float, ...]] | None,
    ) -> Batch:
        """Turn texts by column into a batch; no tensor leaves the CPU here, so it may run beside a step."""
        sides = [*texts, *texts] if self.config.twins else [*texts]
        masked = tuple(mask.tokenise(side) for mask in self._frozen for side in sides)
        labels = None if scores is None else torch.tensor(scores, dtype=torch.float32)
        if isinstance(self.encoder, CrossEncoder):
            tokens: tuple[list[Any], ...] = (self.encoder.tokenise_pairs(sides[0], sides[1]),)
        else:
            # Only PromptBERT without labels has a template for each view; elsewhere all views are the first.
            views = range(len(sides)) if self.config.twins else [0] * len(sides)
            tokens = tuple(
                self.encoder.tokenise(side, view=view) for side, view in zip(sides, views, strict=True)
            )
        return Batch(rows=rows, texts=tokens, scores=labels, masked=masked)

    def outputs(self, texts: Sequence[list[Any]]) -> list[Tensor]:
        """Vectors (n, d) of each view, or the logits (n,) of the pairs. Views that share a template go in one pass.

        Without rows, as one of several processes may be: vectors (0, d), which nothing was computed for.
        """
        if not texts[0]:
            shape = (0, self.encoder.dimension) if isinstance(self.encoder, Encoder) else (0,)
            return [next(self.parameters()).new_zeros(shape) for _ in texts]
        prompt = getattr(self.encoder, "prompt", None)
        if isinstance(self.encoder, Encoder) and prompt is not None and self.config.twins:
            return [self.encoder.forward_ids(side, view=view) for view, side in enumerate(texts)]
        joined = self.encoder.forward_ids([text for side in texts for text in side])
        return list(joined.split([len(side) for side in texts]))

    def mask_cosines(self, batch: Batch, team: Alone) -> Tensor | None:
        """The mask model's cosines (n, n) or (n, 2n) of the whole step, None where the objective has no mask model."""
        if not self._frozen:
            return None
        mask = self._frozen[0]
        with torch.no_grad():
            own = [
                mask.forward_ids(side) if side else torch.zeros(0, mask.dimension, device=mask.device)
                for side in batch.masked
            ]
            return similarities(together(own, team, len(batch.of_all)))

    def check_mask(self, batch: Batch, team: Alone) -> None:
        """Raise ``ConfigError`` where the mask leaves a batch nothing to contrast with: every loss would be 0."""
        cosines = self.mask_cosines(batch, team)
        if cosines is None:
            return
        config, rows = self.config, cosines.shape[0]
        keep = losses.keep_matrix(cosines, config.mask_threshold)
        if rows < _ROWS_TO_JUDGE or keep.sum() > rows:
            return
        raise ConfigError(
            f"mask_model {config.mask_model} finds all {rows} rows of the first batch alike (cosines above "
            f"{config.mask_threshold:g}): nothing is left to contrast with, and the loss would be 0",
            "Name one whose raw CLS vectors tell sentences apart, as minilm's do, or those of a model that learnt long "
            "enough with simcse-unsup: --mask-model runs/NAME/checkpoints/best",
        )

    def loss(
        self, outputs: Sequence[Tensor], scores: Tensor | None, mask_cosines: Tensor | None = None
    ) -> Tensor:
        """The objective of rows from what ``outputs`` gave for them, and their scores as in ``Batch``."""
        scores = None if scores is None else scores.to(outputs[0].device)
        given = Given(outputs=outputs, scores=scores, mask_cosines=mask_cosines, classifier=self.classifier)
        return self.objective.loss(given, self.config)


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    """The precision of forward passes; losses and backward passes stay outside of it."""
    context: AbstractContextManager[None] = torch.autocast(
        device.type, PRECISIONS[config.precision], enabled=config.precision != "fp32"
    )
    return context


def build(config: TrainConfig, device: torch.device) -> Learner:
    """Load what ``config`` trains, in training mode on ``device``; draws fresh heads from torch's generator."""
    if config.precision == "fp16" and device.type != "cuda":
        raise ConfigError(
            "precision is fp16, which needs a CUDA GPU, and there is none",
            "Set precision to bf16 (or fp32): bf16 is the half precision of CPUs.",
        )
    encoder = _encoder(config)
    encoder.max_seq_length = min(config.max_seq_length, encoder.max_seq_length)
    encoder.fast = encoder.fast and config.packed
    if PROMPT_BERT in config.compat and isinstance(encoder, Encoder):
        reproduce(encoder)
    _set_dropout(encoder, config.dropout)
    learner = Learner(config, encoder)
    if config.mlm_weight and isinstance(encoder, Encoder):
        learner.words = MaskedWords(config.model, encoder)
    if config.objective == "softmax-nli" and isinstance(encoder, Encoder):
        learner.classifier = nn.Linear(3 * encoder.dimension, len(LABELS))
    learner.to(device)
    if config.mask_model:
        learner.freeze(_mask_model(config).to(device))
    learner.train()
    return learner


def _encoder(config: TrainConfig) -> Encoder | CrossEncoder:
    if config.objective == "cross":
        return load_cross(config.model, for_training=True)
    prompt = ("unsup" if config.twins else "sup") if config.pooling == "prompt" else None
    return load(
        config.model,
        pooling=config.pooling,
        for_training=True,
        own_pooler=config.own_pooler,
        head_only_in_training=config.mlp_only_train,
        prompt=prompt,
    )


def _mask_model(config: TrainConfig) -> Encoder:
    mask = load(config.mask_model, pooling="cls_before_pooler")
    mask.max_seq_length = min(config.max_seq_length, mask.max_seq_length)
    mask.fast = mask.fast and config.packed
    return mask


def _set_dropout(encoder: nn.Module, dropout: float) -> None:
    layers = [part for part in encoder.modules() if isinstance(part, nn.Dropout)]
    if not layers:
        raise ConfigError(
            f"dropout is {dropout:g}, but the model has no dropout layers that could be set",
            "Use a BERT or RoBERTa model.",
        )
    for layer in layers:
        layer.p = dropout
