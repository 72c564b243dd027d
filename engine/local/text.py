"""Between text and tokens: a request's messages as prompt tokens, and an answer's tokens as a stream of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.local.model import LocalModel

Message = tuple[str, str]


def prompt_tokens(model: LocalModel, messages: Sequence[Message], form: str) -> list[int]:
    """Token ids of a request. ``chat``: through the tokenizer's chat template, where it has one; else, and for
    ``completions``, the contents as plain text, a line break between them.
    """
    tokenizer = model.tokenizer
    if form == "chat" and tokenizer.chat_template:
        return list(tokenizer(_templated(tokenizer, messages), add_special_tokens=False)["input_ids"])
    ids = list(tokenizer("\n".join(content for _, content in messages))["input_ids"])
    while ids and not model.seq2seq and ids[-1] in model.ends and len(ids) > 1:
        ids.pop()  # some tokenizers end every text, which is not to end here
    return ids


def _templated(tokenizer: Any, messages: Sequence[Message]) -> str:
    from jinja2 import TemplateError

    def rendered(turns: Sequence[Message]) -> str:
        told = [{"role": role, "content": content} for role, content in turns]
        # Templates that know no thinking ignore the word.
        return str(
            tokenizer.apply_chat_template(
                told, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    try:
        return rendered(messages)
    except TemplateError:
        # Some templates know no system turn: its words then open the user's.
        if len(messages) < 2 or messages[0][0] != "system":
            raise
        (_, system), (role, first), *rest = messages
        return rendered([(role, f"{system}\n\n{first}"), *rest])


class Stream:
    """The text of one answer, token by token, up to the first stop string."""

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stops = [stop for stop in stops if stop]
        self._sent = 0
        self.text = ""
        self.stopped = False

    def take(self, tokens: Sequence[int], *, last: bool) -> str:
        """Read the tokens so far; return what is certain and was not returned before."""
        text = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, last = True, True
            text = text[: min(found)]
        self.text = text
        sure = len(text) if last else len(text) - self._unsure(text)
        piece = text[self._sent : sure] if sure > self._sent else ""
        self._sent = max(self._sent, sure)
        return piece

    def _unsure(self, text: str) -> int:
        """How many characters at the end may still change: half a character, or the beginning of a stop string."""
        whole = text.rstrip("\ufffd")
        broken = len(text) - len(whole)
        longest = max(map(len, self._stops), default=1) - 1
        for size in range(min(longest, len(whole)), 0, -1):
            if any(stop.startswith(whole[-size:]) for stop in self._stops):
                return size + broken
        return broken
