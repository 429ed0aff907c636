"""What of a session's energy lies inside a stretch of time, so that the pieces of any cut add up to the Wh. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from domain.charging.energy_intervals import Part

_MICROSECOND = timedelta(microseconds=1)


def energy_until(part: Part, instant: datetime) -> int:
    """How much of a part lies before the instant, in proportion to time and rounded once: however it is cut, the pieces add up to it."""
    if instant >= part.end_at:
        return part.energy_wh if instant > part.start_at else 0
    if instant <= part.start_at:
        return 0
    numerator = part.energy_wh * ((instant - part.start_at) // _MICROSECOND)
    denominator = (part.end_at - part.start_at) // _MICROSECOND
    return (2 * numerator + denominator) // (2 * denominator)


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
