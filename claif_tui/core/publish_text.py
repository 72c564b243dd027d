"""The forms of a card for the Hugging Face Hub: YAML and Markdown into which no text from data can break out.

Which facts stand in a card is not here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from claif_tui.core.text import display_text

_CC = ("2.0", "3.0", "4.0")
LICENCES = frozenset(
    (
        *(
            "apache-2.0",
            "mit",
            "bsd-2-clause",
            "bsd-3-clause",
            "mpl-2.0",
            "gpl-2.0",
            "gpl-3.0",
            "lgpl-3.0",
            "agpl-3.0",
        ),
        *(
            f"cc-{kind}-{number}"
            for kind in ("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")
            for number in _CC
        ),
        *(
            "cc0-1.0",
            "odc-by",
            "odbl",
            "pddl",
            "cdla-sharing-1.0",
            "cdla-permissive-1.0",
            "cdla-permissive-2.0",
        ),
        *("openrail", "unknown", "other"),
    )
)
"""Licences by the Hub's own words, as far as data sets and encoders commonly carry them."""

CITATION = """@inproceedings{cheng-etal-2023-improving,
    title = "Improving Contrastive Learning of Sentence Embeddings from {AI} Feedback",
    author = "Cheng, Qinyuan and Yang, Xiaogui and Sun, Tianxiang and Li, Linyang and Qiu, Xipeng",
    booktitle = "Findings of the Association for Computational Linguistics: ACL 2023",
    year = "2023",
    address = "Toronto, Canada",
    publisher = "Association for Computational Linguistics",
    pages = "11122--11138",
    doi = "10.18653/v1/2023.findings-acl.707",
}"""

_LONGEST = 300
_UNPRINTABLE = re.compile("[^\t\n -~\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SEAL = "<!-- claif-tui publish: SHA-256 of the text above: {} -->\n"
_SEALED = re.compile(r"(.*)<!-- claif-tui publish: SHA-256 of the text above: ([0-9a-f]{64}) -->\n", re.DOTALL)


def quoted(text: str) -> str:
    """A text as a YAML scalar in double quotes, on one line."""
    return json.dumps(_plain(text), ensure_ascii=False)


def code(text: str) -> str:
    """A text as a code span, in which nothing is markup; works in a cell of a table too."""
    plain = _plain(text).replace("|", "\u00a6")  # a table takes no bar, even here
    ticks = "`" * (_longest_run(plain) + 1)
    blank = " " if plain[:1] == "`" or plain[-1:] == "`" or not plain else ""
    return f"{ticks}{blank}{plain}{blank}{ticks}"


def fenced(text: str, language: str = "text") -> str:
    """A text as a code block that it cannot end."""
    plain = _UNPRINTABLE.sub("\ufffd", display_text(text))
    fence = "`" * max(3, _longest_run(plain) + 1)
    return f"{fence}{language}\n{plain}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown of ours."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def licence_lines(licence: str) -> list[str]:
    """The front matter's words on a licence; one that the Hub does not know becomes ``other`` with its name."""
    word = licence.strip().lower()
    if word in LICENCES:
        return [f"license: {word}"]
    return [
        "license: other",
        f"license_name: {quoted(re.sub(r'[^a-z0-9.-]+', '-', word).strip('-') or 'other')}",
    ]


def repo_name(text: str) -> str:
    """A name that the Hub takes, made of any text."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    return re.sub(r"([-.])[-.]+", r"\1", name).strip("-.")[:80].strip("-.") or "claif"


def without_path(name: str) -> str:
    """A model's name; of a place on somebody's disk, the last part alone."""
    local = name.startswith(("/", "~", "./", "../", "file:")) or "\\" in name
    return PurePath(name.replace("\\", "/")).name if local else name


def sealed(text: str) -> str:
    """A card with the hash of its text at its end, by which a later change by hand is seen."""
    return text + _SEAL.format(hashlib.sha256(text.encode()).hexdigest())


def edited(path: Path) -> bool:
    """Whether a card is there that is not as it was written."""
    try:
        match = _SEALED.fullmatch(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return False
    except UnicodeDecodeError:
        return True
    return match is None or hashlib.sha256(match[1].encode()).hexdigest() != match[2]


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", display_text(text, one_line=True, limit=_LONGEST))


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
