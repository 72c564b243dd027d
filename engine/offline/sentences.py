"""Sentences from nothing: skeletons with gaps, a topic in each, filled by the masked model. No protocol, no threads.

A stand-in for a model that writes: good for trying the workflow, not for data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from engine.offline.fill import Filler, Sampling

TRIES = 4
"""How often a sentence that was there already is written anew before it is left out."""
SKELETONS = (
    "a <mask> <mask> is talking about {topic} .",
    "The <mask> wants to <mask> more about {topic}.",
    "my <mask> never liked {topic} , but my <mask> does .",
    "After the <mask>, we talked about {topic} for <mask> hours.",
    "what do you <mask> about {topic} and <mask> ?",
    "{topic} and <mask> are the <mask> of this <mask> .",
    "There is a new <mask> about {topic} in the <mask>.",
    "the <mask> <mask> a report on {topic} last <mask> .",
    "Without {topic}, the <mask> would be <mask>.",
    "two <mask> are reading a <mask> about {topic} in the <mask> .",
    "she left the <mask> because of {topic} .",
    "Because of {topic}, the <mask> was <mask> all <mask>.",
    "please <mask> the <mask> before you ask about {topic} .",
    "Nobody in the <mask> knew anything about {topic} or <mask>.",
    "first <mask> the <mask> , then think of {topic} .",
    "They <mask> us that {topic} would <mask> the <mask>.",
    "a <mask> in a <mask> shirt has a picture of {topic} .",
    "For <mask> years, he has been <mask> about {topic}.",
    "in the <mask> , {topic} and <mask> go together .",
    "Thank you for your <mask> <mask> about {topic}.",
    "why does the <mask> <mask> {topic} so much ?",
    "Our <mask> on {topic} begins at <mask> in the <mask>.",
)


def write(
    filler: Filler, topics: Sequence[str], count: int, sampling: Sampling, told: Callable[[str], None]
) -> str:
    """Return up to ``count`` different sentences, one a line; ``told`` gets each line and may raise to stop.

    All follows from ``topics``, ``count`` and the sampling's seed.
    """
    rng = random.Random(sampling.seed)
    written: dict[str, None] = {}
    for _ in range(count):
        for _ in range(TRIES):
            skeleton, topic = rng.choice(SKELETONS), rng.choice(topics)
            own = Sampling(temperature=sampling.temperature, top_p=sampling.top_p, seed=rng.getrandbits(63))
            text = filler.fill(skeleton.replace("{topic}", topic), own, lambda _: told(""))
            sentence = text[:1].upper() + text[1:] if skeleton[0].isupper() else text
            if sentence not in written:
                written[sentence] = None
                told(f"{sentence}\n")
                break
    return "\n".join(written)
