"""Energy over time, exact to the Wh."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.intervals import EnergyPart, clipped, largest_remainder, uniform_parts
from domain.roles import IntervalQuality

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_parts_are_aligned_to_the_quarter_hour_and_largest_remainders_get_what_is_left() -> None:
    """10 Wh over 12:10 to 12:40 are 1⅔, 5 and 3⅓ Wh: the largest remainder is rounded up."""
    parts = uniform_parts(10, NOON + timedelta(minutes=10), NOON + timedelta(minutes=40))
    assert [(part.start_at.minute, part.end_at.minute, part.energy_wh) for part in parts] == [
        (10, 15, 2),
        (15, 30, 5),
        (30, 40, 3),
    ]


def test_energy_at_one_instant_is_one_part_without_length() -> None:
    """A session without an end keeps its energy at its start, and a period that begins there has it."""
    parts = uniform_parts(500, NOON, NOON)
    assert parts == [EnergyPart(NOON, NOON, 500, IntervalQuality.ESTIMATED)]
    assert list(clipped(parts, NOON, NOON + timedelta(days=1))) == parts
    assert list(clipped(parts, NOON - timedelta(days=1), NOON)) == []


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_parts_add_up_to_the_whole(total: int, weights: list[int]) -> None:
    """No part is further than one unit from its share."""
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


@given(
    energy=st.integers(0, 200_000),
    start=st.integers(0, 10**5),
    length=st.integers(0, 10**6),
    cut=st.integers(0, 10**6),
)
def test_however_a_session_is_cut_the_pieces_add_up(energy: int, start: int, length: int, cut: int) -> None:
    """[a, c) = [a, b) + [b, c) for every b, to the Wh."""
    begin = NOON + timedelta(seconds=start)
    parts = uniform_parts(energy, begin, begin + timedelta(seconds=length))
    border, far = NOON + timedelta(seconds=cut), NOON + timedelta(days=100)
    pieces = [*clipped(parts, NOON, border), *clipped(parts, border, far)]
    assert sum(piece.energy_wh for piece in pieces) == energy
