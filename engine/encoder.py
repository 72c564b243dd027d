"""Sentence encoders and cross-encoders: text to vectors and to pair scores. No training loop, no data, no saving.

`forward` is the plain padded path and the reference; `forward_ids` is packed where the architecture allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import backbone, checkpoint, heads, packed, prompting
from engine import pooling as pools
from engine.errors import ConfigError, ModelError

CPU_BATCH_TOKENS, DEVICE_BATCH_TOKENS = 2048, 65_536
"""Tokens a batch when encoding: small on a CPU, where they should stay in its caches; large on an accelerator."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_POOLER_MAY_GO = ("BertModel", "RobertaModel", "XLMRobertaModel", "CamembertModel", "MPNetModel", "AlbertModel")
"""Models whose forward skips a pooler that is None."""

_CLASSIFIER = ("classifier.", "pre_classifier.", "score.", "pooler.", "bert.pooler.")
"""Parameters that a backbone lacks and a fresh cross-encoder draws."""

Item = TypeVar("Item")


class Pair(NamedTuple):
    """One tokenised pair: token ids with special tokens, and which sentence (0 or 1) each belongs to."""

    ids: list[int]
    types: list[int]


class Prepared(NamedTuple):
    """Tokenised texts: the token ids of each different text, and by text which of them it is."""

    ids: list[list[int]]
    places: list[int]


def pad(rows: Sequence[Sequence[int]], value: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids as one matrix (b, t) filled up with `value`, and its mask (b, t) of ones and zeros."""
    length = max((len(row) for row in rows), default=0)
    ids = torch.tensor([[*row, *[value] * (length - len(row))] for row in rows], dtype=torch.long)
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], dtype=torch.long)
    return ids.to(device), mask.to(device)


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Indices in batches of at most `tokens` tokens as padded (one sentence at least), longest first."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


@contextmanager
def _evaluating(module: nn.Module, device: torch.device, precision: str) -> Iterator[None]:
    """Dropout off, no gradients, the precision wanted; the module's mode is put back afterwards."""
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: {precision!r} is unknown.", f"One of: {', '.join(PRECISIONS)}.")
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32"),
        ):
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def _in_batches(
    items: Sequence[Item],
    lengths: Sequence[int],
    tokens: int | None,
    device: torch.device,
    run: Callable[[list[Item]], Tensor],
    out: NDArray[np.float32],
) -> None:
    """Write what `run` gives for each item into its row of `out`."""
    default = CPU_BATCH_TOKENS if device.type == "cpu" else DEVICE_BATCH_TOKENS
    limit = default if tokens is None else tokens
    if limit < 1:
        raise ConfigError(f"batch_tokens: {limit} is less than 1.", "Name a number of tokens, say 2048.")
    for batch in _batches(lengths, limit):
        out[batch] = run([items[place] for place in batch]).float().cpu().numpy()


def _token_ids(tokenizer: Any, texts: list[str], limit: int, *, specials: bool) -> list[list[int]]:
    """Token ids of each text, cut to `limit`."""
    if not texts:
        return []
    found = tokenizer(
        texts,
        add_special_tokens=specials,
        truncation=True,
        max_length=limit,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return list(found["input_ids"])


class Encoder(nn.Module):  # type: ignore[misc]
    """A transformer with its tokenizer, a pooling, and what follows it: a trained head, unit length.

    `head` is a module on (b, d), None for poolings that have none. With `head_only_in_training` it is skipped in
    evaluation mode and not saved (SimCSE's unsupervised form). `normalise` brings vectors to unit length, as some
    sentence-transformers folders do. `prompt` holds the templates of the prompt pooling. `remarks` says in words what
    had to be done differently from the method. `slow_because` says why there is no packed path (None: there is one);
    `fast` may be set to False to take the padded path all the same. `dimension` is the length of a vector.
    """

    def __init__(
        self,
        *,
        spec: str,
        model: Any,
        tokenizer: Any,
        pooling: str,
        max_seq_length: int,
        head: nn.Module | None = None,
        head_only_in_training: bool = False,
        normalise: bool = False,
        prompt: prompting.Prompt | None = None,
        remarks: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.spec, self.pooling, self.max_seq_length = spec, pools.check(pooling), max_seq_length
        self.model, self.tokenizer, self.head, self.prompt = model, tokenizer, head, prompt
        self.head_only_in_training, self.normalise, self.remarks = head_only_in_training, normalise, remarks
        self.slow_because = packed.obstacle(model)
        self.fast = self.slow_because is None
        last = head[0] if isinstance(head, nn.Sequential) else None
        self.dimension = int(model.config.hidden_size if last is None else last.out_features)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.model.parameters()).device

    def tokenise(
        self, texts: Sequence[str], *, max_length: int | None = None, view: int = 0, for_test: bool = False
    ) -> list[list[int]]:
        """Token ids of each text with special tokens, cut to `max_length` tokens (default: the encoder's own).

        The prompt pooling cuts the sentence and then puts it into the template of `view`; `for_test` adds the full stop
        that its authors add at test time alone.
        """
        limit = self.max_seq_length if max_length is None else min(max_length, self.max_seq_length)
        if self.prompt is None:
            return _token_ids(self.tokenizer, list(texts), limit, specials=True)
        template = self.prompt.template(view)
        sentences = [self.prompt.blank + (prompting.with_full_stop(t) if for_test else t) for t in texts]
        return [template.around(ids) for ids in _token_ids(self.tokenizer, sentences, limit, specials=False)]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *, view: int = 0) -> Tensor:
        """Vectors (b, d) of padded token ids (b, t) with their mask (b, t): the model's own forward, the reference."""
        all_layers = pools.layers(self.pooling) != (-1,)
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=all_layers)
        states = output.hidden_states if all_layers else (output.last_hidden_state,)
        lengths, where = attention_mask.sum(1), attention_mask
        if self.prompt is not None:
            where = F.one_hot(lengths - self.prompt.template(view).mask_from_end, attention_mask.shape[1])
        return self._finish(pools.pool(self.pooling, states, where), lengths, view)

    def forward_ids(self, ids: Sequence[Sequence[int]], *, view: int = 0) -> Tensor:
        """Vectors (b, d) of tokenised texts (as `tokenise` gives them), packed where the architecture allows it."""
        if not self.fast or not packed.suits(ids, self.model):
            return self.forward(*pad(ids, self.tokenizer.pad_token_id or 0, self.device), view=view)
        sentences = packed.pack(ids, self.model)
        if self.prompt is None:
            return self._finish(packed.pool(self.model, sentences, self.pooling), None, view)
        lengths = torch.tensor([len(sentence) for sentence in ids], device=self.device)
        offsets = lengths - self.prompt.template(view).mask_from_end
        return self._finish(pools.full(packed.at_token(self.model, sentences, offsets)), lengths, view)

    def _finish(self, pooled: Tensor, lengths: Tensor | None, view: int) -> Tensor:
        """What follows the pooling: denoising, the head, unit length. `lengths` (b,) count templates in."""
        head = None if self.head_only_in_training and not self.training else self.head
        if self.prompt is not None and lengths is not None and self.prompt.denoised(training=self.training):
            noise = self._template_states(self.prompt.template(view), lengths)
            if head is not None and heads.is_mlm_transform(head):
                return head(pooled) - head(noise)
            pooled = pooled - noise
        if head is not None:
            pooled = head(pooled)
        return F.normalize(pooled, dim=-1) if self.normalise else pooled

    def _template_states(self, template: prompting.Template, lengths: Tensor) -> Tensor:
        """Mask states (b, d) of the empty template, its end moved to where the sentence of each row leaves it.

        Equal lengths share one state. Positions start where the model's own do: 0 for BERT, 2 for RoBERTa.
        """
        distinct, row = torch.unique(lengths - len(template), return_inverse=True)
        places = torch.arange(len(template), device=lengths.device)
        moved = (places >= len(template.before)) * distinct.unsqueeze(1)
        ids = torch.tensor(template.around(()), device=lengths.device).expand(len(distinct), -1)
        output = self.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=places + moved + backbone.first_position(self.model),
        )
        return pools.full(output.last_hidden_state[:, -template.mask_from_end])[row]

    def prepare(self, texts: Sequence[str]) -> Prepared:
        """Texts tokenised for `encode`, for whoever encodes them again and again."""
        places = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        return Prepared(self.tokenise(list(places), for_test=True), [places[text] for text in texts])

    def encode(
        self, texts: Sequence[str] | Prepared, *, batch_tokens: int | None = None, precision: str = "fp32"
    ) -> NDArray[np.float32]:
        """Vectors (n, d) in float32, in the order given. Dropout is off; equal texts are encoded once.

        `batch_tokens` bounds a batch (default 2,048 on a CPU); `precision` is fp32, bf16 or fp16 (autocast).
        """
        ids, places = texts if isinstance(texts, Prepared) else self.prepare(texts)
        vectors = np.empty((len(ids), self.dimension), dtype=np.float32)
        with _evaluating(self, self.device, precision):
            _in_batches(ids, [len(i) for i in ids], batch_tokens, self.device, self.forward_ids, vectors)
        return vectors if len(ids) == len(places) else vectors[places]


class CrossEncoder(nn.Module):  # type: ignore[misc]
    """A sequence classifier with one output: the logit of how similar a pair of sentences is.

    `model` is the transformers model with its standard head, `slow_because` and `fast` as in `Encoder`.
    """

    def __init__(self, *, spec: str, model: Any, tokenizer: Any, max_seq_length: int) -> None:
        super().__init__()
        self.spec, self.model, self.tokenizer, self.max_seq_length = spec, model, tokenizer, max_seq_length
        self.slow_because = packed.classifier_obstacle(model)
        self.fast = self.slow_because is None

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.model.parameters()).device

    @property
    def _typed(self) -> bool:
        """Whether the model tells the two sentences apart by token types, as its tokenizer has it."""
        return "token_type_ids" in self.tokenizer.model_input_names

    def tokenise_pairs(
        self, first: Sequence[str], second: Sequence[str], *, max_length: int | None = None
    ) -> list[Pair]:
        """Both sentences of each pair in one sequence, the longer one cut first above `max_length` tokens."""
        if len(first) != len(second):
            raise ValueError(f"{len(first)} sentences against {len(second)}")
        if not first:
            return []
        limit = self.max_seq_length if max_length is None else min(max_length, self.max_seq_length)
        found = self.tokenizer(
            list(first),
            list(second),
            truncation="longest_first",
            max_length=limit,
            return_attention_mask=False,
            return_token_type_ids=True,
        )
        if not self._typed:
            return [Pair(ids, [0] * len(ids)) for ids in found["input_ids"]]
        return [Pair(*row) for row in zip(found["input_ids"], found["token_type_ids"], strict=True)]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits (b,) of padded token ids (b, t), their mask, and their token types (None: the model's default)."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        return pools.full(logits.squeeze(-1))

    def forward_ids(self, pairs: Sequence[Pair]) -> Tensor:
        """Logits (b,) of tokenised pairs, packed where the architecture allows it."""
        ids, types = [pair.ids for pair in pairs], [pair.types for pair in pairs]
        if self.fast and packed.suits(ids, packed.base(self.model)):
            return pools.full(packed.classify(self.model, ids, types))
        input_ids, mask = pad(ids, self.tokenizer.pad_token_id or 0, self.device)
        return self.forward(input_ids, mask, pad(types, 0, self.device)[0] if self._typed else None)

    def predict(
        self,
        first: Sequence[str],
        second: Sequence[str],
        *,
        batch_tokens: int | None = None,
        precision: str = "fp32",
    ) -> NDArray[np.float32]:
        """Logits (n,) in float32, in the order given, dropout off. The score in 0..1 is their sigmoid."""
        pairs = self.tokenise_pairs(first, second)
        return self.predict_pairs(pairs, batch_tokens=batch_tokens, precision=precision)

    def predict_pairs(
        self, pairs: Sequence[Pair], *, batch_tokens: int | None = None, precision: str = "fp32"
    ) -> NDArray[np.float32]:
        """The same for pairs that are tokenised already."""
        logits = np.empty(len(pairs), dtype=np.float32)
        with _evaluating(self, self.device, precision):
            lengths = [len(pair.ids) for pair in pairs]
            _in_batches(pairs, lengths, batch_tokens, self.device, self.forward_ids, logits)
        return logits


def _length(source: backbone.Source, loaded: backbone.Loaded, asked: int | None, stored: int | None) -> int:
    """The sequence length: what was asked for, else what the folder says, else what the model allows."""
    limit = backbone.position_limit(loaded.model)
    if asked is not None and not 3 <= asked <= limit:
        raise ConfigError(f"max_seq_length: {asked} is outside 3..{limit}, the positions of {source.spec}.")
    return asked or min(limit, stored or int(loaded.tokenizer.model_max_length))


def _drop_pooler(model: Any) -> None:
    """Take away the pooler that no pooling here reads, or freeze it where the model cannot do without."""
    pooler = getattr(model, "pooler", None)
    if not isinstance(pooler, nn.Module):
        return
    if type(model).__name__ in _POOLER_MAY_GO:
        model.pooler = None
    else:
        pooler.requires_grad_(False)


def _cls_head(
    source: backbone.Source, loaded: backbone.Loaded, *, for_training: bool, own_pooler: bool
) -> nn.Module:
    """The MLP of ``cls`` where no trained one is stored: from the pooler if that was asked for, else fresh to train."""
    head = heads.mlp(loaded.model.config)
    if own_pooler:
        lost = [name for name in loaded.missing if name.startswith("pooler.")]
        pooler = getattr(getattr(loaded.model, "pooler", None), "dense", None)
        if lost or pooler is None:
            raise ModelError(
                f"{source.spec}: pooler.dense is missing, so there is no trained head for the pooling cls.",
                "Ask for cls_before_pooler or mean, or name a checkpoint that keeps its pooler.",
            )
        head[0].load_state_dict(pooler.state_dict())
    elif not for_training:
        raise ModelError(
            f"{source.spec}: the trained head of the pooling cls (Linear + tanh) is missing.",
            "Ask for cls_before_pooler or mean. Where the checkpoint keeps that head as its pooler (converted SimCSE "
            "models do), say so with own_pooler.",
        )
    return head


def load(
    spec: str,
    *,
    pooling: str | None = None,
    max_seq_length: int | None = None,
    for_training: bool = False,
    allow_pickle: bool = False,
    own_pooler: bool = False,
    head_only_in_training: bool = False,
    prompt: str | None = None,
) -> Encoder:
    """Load ``minilm``, ``minilm:K``, a Hugging Face folder or hub name, or a sentence-transformers folder, on the CPU.

    A sentence-transformers folder brings its pooling, head, unit length and `max_seq_length` along; the first three
    are dropped when another `pooling` is asked for. The default elsewhere is ``mean`` and the model's own length.
    ``cls`` takes the trained head of the folder; without one it is fresh `for_training` and a ModelError otherwise; the
    backbone's pooler serves as the head only if `own_pooler` says that it is one. With `head_only_in_training` the
    head is left out of evaluation (SimCSE unsupervised). `prompt` is the way that the pooling ``prompt`` uses
    templates: ``manual`` (default), ``unsup`` or ``sup``. Draws from torch's generator where a head is fresh.
    """
    source = backbone.resolve(spec)
    stored = checkpoint.read(source, allow_pickle=allow_pickle)
    name = pools.check(pooling or (stored.pooling if stored else "mean"))
    if stored is not None and stored.below:
        source = source.inside(stored.below)
    if name == "prompt":
        return _load_prompt(
            source, stored, prompt, max_seq_length, for_training=for_training, allow_pickle=allow_pickle
        )
    loaded = backbone.load(source, "AutoModel", allow_pickle=allow_pickle)
    backbone.require(source, loaded.missing, but=("pooler.",))
    if stored is not None and stored.lower:
        backbone.lower_case(loaded.tokenizer)
    own = stored if stored is not None and stored.pooling == name else None
    head = own.head if own else None
    if name == "cls" and head is None:
        head = _cls_head(source, loaded, for_training=for_training, own_pooler=own_pooler)
    _drop_pooler(loaded.model)
    encoder = Encoder(
        spec=spec,
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        pooling=name,
        max_seq_length=_length(source, loaded, max_seq_length, stored.max_seq_length if stored else None),
        head=head,
        head_only_in_training=head_only_in_training and head is not None,
        normalise=bool(own and own.normalise),
    )
    encoder.train(for_training)
    return encoder


def _load_prompt(
    source: backbone.Source,
    stored: checkpoint.Stored | None,
    asked: str | None,
    max_seq_length: int | None,
    *,
    for_training: bool,
    allow_pickle: bool,
) -> Encoder:
    """An encoder with templates: as it was stored, or made from a backbone."""
    own = stored.prompt if stored else None
    kind = prompting.check(asked or (own.kind if own else "manual"))
    remarks: tuple[str, ...] = ()
    head: nn.Module | None = None
    loaded = backbone.load(source, "AutoModel", allow_pickle=allow_pickle)
    backbone.require(source, loaded.missing, but=("pooler.",))
    if own is not None and own.kind == kind and own.head is not None:
        head = own.head(loaded.model.config)
    elif kind == "sup" and not for_training:
        raise ModelError(
            f"{source.spec}: the trained head of the supervised prompt pooling is missing.",
            "Train it first, or ask for the prompt manual, which has no head.",
        )
    elif for_training and kind != "manual":
        head = _mlm_head(source, loaded, allow_pickle) if kind == "sup" else None
        if head is None:
            head = heads.mlp(loaded.model.config)
            if kind == "sup" and not prompting.is_roberta(loaded.model):
                remarks = (
                    f"{source.spec} has no masked-language-model weights: the supervised prompt uses RoBERTa's head "
                    "(Linear + tanh) in place of BERT's transform.",
                )
    _drop_pooler(loaded.model)
    templates = prompting.build(kind, loaded.model, loaded.tokenizer)
    room = backbone.position_limit(loaded.model) - max(map(len, templates.templates))
    length = _length(source, loaded, max_seq_length, stored.max_seq_length if stored else None)
    encoder = Encoder(
        spec=source.spec,
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        pooling="prompt",
        max_seq_length=min(length, room),
        head=head,
        head_only_in_training=kind == "unsup" and head is not None,
        prompt=templates,
        remarks=remarks,
    )
    encoder.train(for_training)
    return encoder


def _mlm_head(source: backbone.Source, loaded: backbone.Loaded, allow_pickle: bool) -> nn.Module | None:
    """BERT's pre-trained transform of the masked language model; None where the weights do not hold one."""
    if loaded.model.config.model_type != "bert":
        return None
    masked = backbone.load(source, "AutoModelForMaskedLM", allow_pickle=allow_pickle)
    if any(name.startswith("cls.predictions.transform.") for name in masked.missing):
        return None
    head: nn.Module = masked.model.cls.predictions.transform
    return head


def load_cross(
    spec: str, *, max_seq_length: int | None = None, for_training: bool = False, allow_pickle: bool = False
) -> CrossEncoder:
    """Load a cross-encoder folder or hub name; `for_training` also a backbone, which gets a fresh head with one output.

    ModelError where the classifier has another number of outputs, or is missing at evaluation.
    """
    source = backbone.resolve(spec)
    config = backbone.read_json(source, "config.json") or {}
    trained = any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())
    changes = {} if trained else {"num_labels": 1}
    loaded = backbone.load(source, "AutoModelForSequenceClassification", allow_pickle=allow_pickle, **changes)
    if loaded.model.config.num_labels != 1:
        raise ModelError(
            f"{spec}: the classifier has {loaded.model.config.num_labels} outputs; a similarity has one.",
            "Name a cross-encoder with one output, or a backbone to train.",
        )
    backbone.require(source, loaded.missing, but=_CLASSIFIER if for_training else ())
    settings = backbone.read_json(source, "sentence_bert_config.json") if trained else None
    length = _length(source, loaded, max_seq_length, (settings or {}).get("max_seq_length"))
    encoder = CrossEncoder(spec=spec, model=loaded.model, tokenizer=loaded.tokenizer, max_seq_length=length)
    encoder.train(for_training)
    return encoder
