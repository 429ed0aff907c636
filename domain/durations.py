"""How long things take: counted by bucket, so that somebody can watch for what becomes slow. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds, each at most 2.5 times the one before; longer ones are beyond the last."""


@dataclass(slots=True)
class Durations:
    """Of one kind of deed, since the process began."""

    total_s: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def note(self, seconds: float) -> None:
        """One more took so long."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def up_to(self) -> Sequence[tuple[float, int]]:
        """(bound in seconds, how many took at most so long), the last bound being infinite."""
        so_far, found = 0, []
        for bound, count in zip((*BOUNDS_S, float("inf")), self._counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found
