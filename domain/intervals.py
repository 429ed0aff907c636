"""How a session's energy lies over its time, in stretches that add up to it exactly. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.roles import IntervalQuality

INTERVAL = timedelta(minutes=15)
"""The settlement period of European electricity markets; every zone's midnight is a multiple of it in UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EnergyPart:
    """The energy of [start_at, end_at); both are the same for energy at one instant."""

    start_at: datetime
    end_at: datetime
    energy_wh: int
    quality: IntervalQuality


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Whole parts in proportion to the weights, together `total`; what is left goes to the largest remainders, earliest first."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def aligned(start_at: datetime, end_at: datetime, length: timedelta = INTERVAL) -> Iterator[tuple[datetime, datetime]]:
    """[start_at, end_at) cut at the multiples of `length` in UTC; itself when it has no length."""
    if start_at == end_at:
        yield start_at, end_at
    while start_at < end_at:
        following = min(_EPOCH + ((start_at - _EPOCH) // length + 1) * length, end_at)
        yield start_at, following
        start_at = following


def uniform_parts(energy_wh: int, start_at: datetime, end_at: datetime) -> list[EnergyPart]:
    """The ESTIMATED parts of a session without samples: even over its time, aligned, together `energy_wh`."""
    spans = list(aligned(start_at, end_at))
    weights = [(after - before) // _MICROSECOND for before, after in spans]
    energies = largest_remainder(energy_wh, weights) if any(weights) else [energy_wh]
    return [EnergyPart(*span, energy, IntervalQuality.ESTIMATED) for span, energy in zip(spans, energies, strict=True)]


def energy_until(part: EnergyPart, instant: datetime) -> int:
    """How much of a part lies before the instant, in proportion to time and rounded once: however it is cut, the pieces add up to it."""
    if instant >= part.end_at:
        return part.energy_wh if instant > part.start_at else 0
    if instant <= part.start_at:
        return 0
    numerator = part.energy_wh * ((instant - part.start_at) // _MICROSECOND)
    denominator = (part.end_at - part.start_at) // _MICROSECOND
    return (2 * numerator + denominator) // (2 * denominator)


def clipped(parts: Iterable[EnergyPart], since: datetime, until: datetime) -> Iterator[EnergyPart]:
    """What of the parts lies inside [since, until); one across a border is split in proportion to time."""
    for part in parts:
        start, end = max(part.start_at, since), min(part.end_at, until)
        if start < end:
            yield EnergyPart(start, end, energy_until(part, end) - energy_until(part, start), part.quality)
        elif part.start_at == part.end_at and since <= part.start_at < until:
            yield part
