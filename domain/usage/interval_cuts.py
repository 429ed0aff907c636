"""What of a session's energy lies inside a stretch of time, so that the pieces of any cut add up to the Wh. Pure."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from domain.charging.energy_intervals import Part, edges_between
from domain.roles import IntervalQuality

_MICROSECOND = timedelta(microseconds=1)


def energy_until(part: Part, instant: datetime) -> int:
    """How much of a part lies before the instant, in proportion to time and rounded once: however it is cut, the pieces add up to it."""
    if instant >= part.end_at:
        return part.energy_wh if instant > part.start_at else 0
    if instant <= part.start_at:
        return 0
    return share(
        part.energy_wh, (instant - part.start_at) // _MICROSECOND, (part.end_at - part.start_at) // _MICROSECOND
    )


def share(amount: int, passed: int, whole: int) -> int:
    """`amount` times `passed` by `whole`, a half rounded up. SQLite asks it too (`share` there), whose own numbers end at 64 bits."""
    return (2 * amount * passed + whole) // (2 * whole)


def evenly(started_at: datetime, ended_at: datetime, energy_wh: int) -> Iterator[Part]:
    """A session whose energy lies evenly over its time, in parts: what lies before each of their edges is rounded once."""
    whole = Part(started_at, ended_at, energy_wh, IntervalQuality.ESTIMATED)
    return (
        part
        for since, until in itertools.pairwise(edges_between(started_at, ended_at))
        for part in ([whole] if started_at == ended_at else clipped([whole], since, until))
    )


def clipped(parts: Iterable[Part], since: datetime, until: datetime) -> Iterator[Part]:
    """What of the parts lies inside [since, until); one across a border is split in proportion to time.

    Energy at one instant (a part without length) is inside where the instant is.
    """
    for part in parts:
        start, end = max(part.start_at, since), min(part.end_at, until)
        if start < end:
            yield Part(start, end, energy_until(part, end) - energy_until(part, start), part.quality)
        elif part.start_at == part.end_at and since <= part.start_at < until:
            yield part
