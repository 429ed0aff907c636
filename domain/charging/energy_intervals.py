"""When a session's energy was taken: parts aligned to the clock whose sum is the session's energy exactly (domain.md §5). Pure."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.charging.session_rules import Reading
from domain.roles import IntervalQuality

INTERVAL = timedelta(minutes=15)
BOUNDARY_TOLERANCE = timedelta(seconds=10)
"""A sample stamped up to this long after a boundary belongs to the interval before it: chargers stamp when they send."""

LONG_SESSION = timedelta(days=62)
"""Beyond this a session gets parts of a day: a broken clock must not make a million rows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Energy in [start_at, end_at)."""

    start_at: datetime
    end_at: datetime
    energy_wh: int
    quality: IntervalQuality


def intervals(
    started_at: datetime, ended_at: datetime, energy_wh: int, readings: Sequence[Reading], *, is_estimated: bool = False
) -> list[Part]:
    """The parts of a session; their energies add up to `energy_wh`.

    `readings` include the registers at start and stop where they are known. Without two usable ones the energy is spread evenly
    over the session's time and ESTIMATED. A part is MEASURED when both its edges carry a reading.
    """
    edges = edges_between(started_at, ended_at)
    points = _points(readings, started_at, ended_at)
    is_spread = is_estimated or len(points) < 2 or points[-1][1] <= points[0][1]
    if is_spread:
        points = [(edges[0], 0), (edges[-1], 1)]
    at_edges = [_register_at(points, edge) for edge in edges]
    shares = [after - before for before, after in itertools.pairwise(at_edges)]
    energies = shares_of(energy_wh, shares)
    known = {at for at, _ in points}
    parts = []
    for start, end, energy in zip(edges, edges[1:], energies, strict=False):
        measured = IntervalQuality.MEASURED if {start, end} <= known else IntervalQuality.INTERPOLATED
        parts.append(Part(start, end, energy, IntervalQuality.ESTIMATED if is_spread else measured))
    return parts


def shares_of(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainder, the earlier one first)."""
    whole = sum(weights)
    if not weights:
        return []
    if whole <= 0:
        return shares_of(total, [1.0] * len(weights))
    exact = [total * weight / whole for weight in weights]
    given = [int(one) for one in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: (given[index] - exact[index], index))
    for index in by_remainder[: total - sum(given)]:
        given[index] += 1
    return given


def edges_between(started_at: datetime, ended_at: datetime) -> list[datetime]:
    """Where the parts of a session begin and end, in order."""
    if ended_at <= started_at:
        return [started_at, started_at]
    step = timedelta(days=1) if ended_at - started_at > LONG_SESSION else INTERVAL
    boundary = started_at - (started_at - _EPOCH) % step + step
    edges = [started_at]
    while boundary < ended_at:
        edges.append(boundary)
        boundary += step
    return [*edges, ended_at]


def _points(readings: Sequence[Reading], started_at: datetime, ended_at: datetime) -> list[tuple[datetime, int]]:
    """(instant, register) inside the session, one an instant, registers that never fall."""
    points: list[tuple[datetime, int]] = []
    for one in sorted(readings, key=lambda reading: reading.at):
        if one.register_wh is None or not started_at <= one.at <= ended_at:
            continue
        at = snapped(one.at) if started_at < one.at < ended_at else one.at
        at = max(at, started_at)
        if points and one.register_wh < points[-1][1]:
            continue
        if points and at <= points[-1][0]:
            points[-1] = (points[-1][0], one.register_wh)
        else:
            points.append((at, one.register_wh))
    return points


def snapped(at: datetime) -> datetime:
    """The instant, or the boundary that it follows within the tolerance."""
    past = (at - _EPOCH) % INTERVAL
    return at - past if past <= BOUNDARY_TOLERANCE else at


def _register_at(points: Sequence[tuple[datetime, int]], at: datetime) -> float:
    """The register at an instant, straight between its neighbours, level outside of them."""
    low, high = 0, len(points) - 1
    if at <= points[0][0]:
        return float(points[0][1])
    if at >= points[-1][0]:
        return float(points[-1][1])
    while high - low > 1:
        middle = (low + high) // 2
        if points[middle][0] <= at:
            low = middle
        else:
            high = middle
    (before, register), (after, later) = points[low], points[high]
    return register + (later - register) * ((at - before) / (after - before))
