"""A PromptBERT sentence encoder as a sentence-transformers module: copied into saved folders, where it stands alone.

Nothing here may import the package it was saved by. A sentence goes into a template, and its vector is the last-layer
state at the template's mask token, less that of the empty template and through a trained head where the folder says so
(Jiang et al., 2022).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer
from transformers.activations import ACT2FN
from transformers.utils import cached_file

CONFIG, HEAD = "prompt_config.json", "prompt_head.safetensors"


class MlmTransform(nn.Module):  # type: ignore[misc]
    """Dense, activation, layer norm: what a BERT applies before its vocabulary."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, states: Tensor) -> Tensor:
        """States (b, d) to (b, d)."""
        return self.LayerNorm(self.activation(self.dense(states)))


class PromptSentence(nn.Module):  # type: ignore[misc]
    """Text to vectors. `settings` is the content of prompt_config.json, `head` the trained head or None."""

    save_in_root = True

    def __init__(self, model: Any, tokenizer: Any, settings: dict[str, Any], head: nn.Module | None) -> None:
        super().__init__()
        self.model, self.tokenizer, self.settings, self.head = model, tokenizer, settings, head

    @property
    def max_seq_length(self) -> int:
        """Tokens of a sentence, the template not counted."""
        return int(self.settings["max_seq_length"])

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self.settings["max_seq_length"] = value

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    get_sentence_embedding_dimension = get_embedding_dimension
    get_word_embedding_dimension = get_embedding_dimension

    def preprocess(self, inputs: list[str], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """Token ids of each sentence in the template, padded, with their mask; `prompt` is put before the sentence."""
        known = self.settings
        texts = [(prompt or "") + text for text in inputs]
        stopped = [t + "." if t and not t.endswith(tuple(known["full_stops"])) else t for t in texts]
        ids = self.tokenizer(
            [known["blank"] + text for text in stopped],
            add_special_tokens=False,
            truncation=True,
            max_length=self.max_seq_length,
        )["input_ids"]
        rows = [[*known["before"], *sentence, *known["after"]] for sentence in ids]
        width, fill = max(map(len, rows)), self.tokenizer.pad_token_id or 0
        return {
            "input_ids": torch.tensor([row + [fill] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        }

    def tokenize(self, texts: list[str], **options: Any) -> dict[str, Tensor]:
        """The older name of `preprocess`."""
        return self.preprocess(texts, **options)

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Put ``sentence_embedding`` (b, d) beside the features."""
        ids, mask = features["input_ids"], features["attention_mask"]
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        lengths = mask.sum(1)
        rows = torch.arange(len(ids), device=ids.device)
        vectors = states[rows, lengths - self.settings["mask_from_end"]]
        if self.settings["denoise"]:
            noise = self._template_states(lengths)
            if isinstance(self.head, MlmTransform):
                vectors, noise = self.head(vectors), self.head(noise)
            vectors = vectors - noise
        if self.head is not None and not isinstance(self.head, MlmTransform):
            vectors = self.head(vectors)
        features["sentence_embedding"] = vectors
        return features

    def _template_states(self, lengths: Tensor) -> Tensor:
        """Mask states (b, d) of the empty template, its end moved to where each sentence leaves it."""
        before, after = self.settings["before"], self.settings["after"]
        size = len(before) + len(after)
        distinct, row = torch.unique(lengths - size, return_inverse=True)
        places = torch.arange(size, device=lengths.device)
        positions = places + (places >= len(before)) * distinct.unsqueeze(1) + self.settings["first_position"]
        ids = torch.tensor([*before, *after], device=lengths.device).expand(len(distinct), -1)
        states = self.model(
            input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=positions
        ).last_hidden_state
        return states[:, -self.settings["mask_from_end"]][row]

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the folder that `load` reads."""
        folder = Path(output_path)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / CONFIG).write_text(json.dumps(self.settings, indent=2) + "\n", "utf-8")
        if self.head is not None:
            save_file(
                {name: value.contiguous() for name, value in self.head.state_dict().items()}, folder / HEAD
            )
        here = Path(__file__)
        if not (folder / here.name).exists():
            shutil.copyfile(here, folder / here.name)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        **_: Any,
    ) -> PromptSentence:
        """Read a folder, or a model of a hub."""
        place = {
            "subfolder": subfolder,
            "token": token,
            "cache_dir": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
        }
        settings = json.loads(Path(cached_file(model_name_or_path, CONFIG, **place)).read_text("utf-8"))
        model = AutoModel.from_pretrained(model_name_or_path, dtype=torch.float32, **place)
        tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, **place)
        head: nn.Module | None = None
        if settings["head"] is not None:
            size = model.config.hidden_size
            mlp = nn.Sequential(nn.Linear(size, size), nn.Tanh())
            head = MlmTransform(model.config) if settings["head"] == "mlm" else mlp
            head.load_state_dict(load_file(cached_file(model_name_or_path, HEAD, **place)))
        return cls(model, tokenizer, settings, head)
