"""A set of pair ids as runs of neighbours: what a bulk decision keeps of a million pairs, in a few bytes. No SQL."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdSet:
    """Disjoint runs of consecutive ids, ascending: run i holds ``starts[i] .. starts[i] + lengths[i] - 1``."""

    starts: array[int]
    lengths: array[int]

    @classmethod
    def of(cls, ids: Iterable[int]) -> IdSet:
        """Build from ids in any order; repeated ones count once."""
        import numpy as np

        values = np.unique(np.fromiter(ids, dtype=np.int64) if not isinstance(ids, array) else np.asarray(ids))
        if not len(values):
            return cls(array("q"), array("q"))
        first = np.flatnonzero(np.diff(values, prepend=values[0] - 2) != 1)
        lengths = np.diff(first, append=len(values))
        return cls(array("q", values[first].tobytes()), array("q", lengths.astype(np.int64).tobytes()))

    @classmethod
    def single(cls, pair_id: int) -> IdSet:
        """The set of one id, without loading numpy."""
        return cls.run(pair_id, pair_id)

    @classmethod
    def run(cls, first: int, last: int) -> IdSet:
        """All ids from ``first`` to ``last``."""
        return cls(array("q", [first]), array("q", [last - first + 1]))

    def __len__(self) -> int:
        return sum(self.lengths)

    def __contains__(self, pair_id: object) -> bool:
        from bisect import bisect_right

        if not isinstance(pair_id, int):
            return False
        at = bisect_right(self.starts, pair_id) - 1
        return at >= 0 and pair_id < self.starts[at] + self.lengths[at]

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the first and last id of each run."""
        for start, length in zip(self.starts, self.lengths, strict=True):
            yield start, start + length - 1

    def ids(self) -> array[int]:
        """All ids, ascending."""
        import numpy as np

        starts, lengths = np.asarray(self.starts), np.asarray(self.lengths)
        ends = np.cumsum(lengths)
        flat = np.arange(len(self), dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
        return array("q", flat.tobytes())

    def common(self, other: IdSet) -> IdSet:
        """The ids that are in both."""
        if len(self.starts) > len(other.starts):
            return other.common(self)
        if len(self) == 1:
            return self if self.starts[0] in other else IdSet(array("q"), array("q"))
        if len(self.starts) == 1 and len(other.starts) == 1:
            first = max(self.starts[0], other.starts[0])
            last = min(self.starts[0] + self.lengths[0], other.starts[0] + other.lengths[0]) - 1
            return IdSet.run(first, last) if last >= first else IdSet(array("q"), array("q"))
        import numpy as np

        both = np.intersect1d(np.asarray(self.ids()), np.asarray(other.ids()), assume_unique=True)
        return IdSet.of(array("q", both.astype(np.int64).tobytes()))

    def encode(self) -> bytes:
        """Compress: the number of runs, the gaps between their starts and their lengths, little-endian."""
        import numpy as np

        gaps = np.diff(np.asarray(self.starts, dtype=np.int64), prepend=0)
        lengths = np.asarray(self.lengths, dtype=np.int64)
        return zlib.compress(np.concatenate([[len(gaps)], gaps, lengths]).astype("<i8").tobytes(), 6)

    @classmethod
    def decode(cls, blob: bytes) -> IdSet:
        """Read what ``encode`` wrote."""
        import numpy as np

        flat = np.frombuffer(zlib.decompress(blob), dtype="<i8").astype(np.int64)
        count = int(flat[0])
        starts = np.cumsum(flat[1 : count + 1])
        return cls(array("q", starts.tobytes()), array("q", flat[count + 1 :].tobytes()))
