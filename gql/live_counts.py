"""What streams have told since this process began, by their root field."""

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class RootCounts:
    """Of one root field; `followers` is of this moment."""

    followers: int = 0
    executions: int = 0
    """Events that were written out; each may have gone to many."""
    frames: int = 0
    """Events that were told, each to one follower."""
    resyncs: int = 0
    """Followers who had to begin anew."""
    replays: int = 0
    """Followers who came back and were told what they missed."""


@dataclass(slots=True)
class LiveCounts:
    """Of all streams of this process."""

    roots: defaultdict[str, RootCounts] = field(default_factory=lambda: defaultdict(RootCounts))
    coalesced: int = 0
    """Events that a slow reader was not told, because a newer one about the same took their place."""

    @property
    def executions(self) -> int:
        """Of all roots."""
        return sum(one.executions for one in self.roots.values())
