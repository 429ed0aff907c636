"""Energy inside a stretch of time, exact to the Wh."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.charging.energy_intervals import Part, intervals
from domain.roles import IntervalQuality
from domain.usage.interval_cuts import clipped

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_part_across_a_border_is_split_in_proportion_to_time() -> None:
    """Of 10 Wh in 15 minutes, 5 minutes hold 3⅓: 3 before the border and 7 after it."""
    part = Part(NOON, NOON + timedelta(minutes=15), 10, IntervalQuality.MEASURED)
    border = NOON + timedelta(minutes=5)
    pieces = [*clipped([part], NOON, border), *clipped([part], border, NOON + timedelta(hours=1))]
    assert [piece.energy_wh for piece in pieces] == [3, 7]


def test_energy_at_one_instant_is_in_the_period_that_begins_there() -> None:
    """A session without an end keeps its energy at its start."""
    parts = intervals(NOON, NOON, 500, ())
    assert list(clipped(parts, NOON, NOON + timedelta(days=1))) == parts
    assert list(clipped(parts, NOON - timedelta(days=1), NOON)) == []


@given(
    energy=st.integers(0, 200_000),
    start=st.integers(0, 10**5),
    length=st.integers(0, 10**6),
    cut=st.integers(0, 10**6),
)
def test_however_a_session_is_cut_the_pieces_add_up(energy: int, start: int, length: int, cut: int) -> None:
    """[a, c) = [a, b) + [b, c) for every b, to the Wh."""
    begin = NOON + timedelta(seconds=start)
    parts = intervals(begin, begin + timedelta(seconds=length), energy, ())
    border, far = NOON + timedelta(seconds=cut), NOON + timedelta(days=100)
    pieces = [*clipped(parts, NOON, border), *clipped(parts, border, far)]
    assert sum(piece.energy_wh for piece in pieces) == energy
