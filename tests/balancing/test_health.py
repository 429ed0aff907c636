"""What of a site is told to people, and for how long."""

import pytest

from balancing.failsafe import MeterState
from balancing.health import CircuitWarnings, Lasting, SiteHealth


@pytest.mark.parametrize(
    ("present", "told"),
    [
        ("1" * 19, "0" * 19),
        ("1" * 22, "0" * 20 + "1" * 2),
        ("1" * 15 + "0" + "1" * 15, "0" * 31),
        ("1" * 21 + "0" * 8 + "1", "0" * 20 + "1" * 10),
        ("1" * 21 + "0" * 12, "0" * 20 + "1" * 11 + "0" * 2),
    ],
)
def test_a_fact_is_told_when_it_lasts_and_until_it_has_been_over(present: str, told: str) -> None:
    """Twenty seconds without a break begin it, ten without it end it; each figure is a second."""
    lasting = Lasting(begins_after_s=20.0, ends_after_s=10.0)
    seen = ["A" in lasting.look({"A"} if now == "1" else set(), float(second)) for second, now in enumerate(present)]
    assert "".join("1" if one else "0" for one in seen) == told


def test_what_another_process_told_goes_on() -> None:
    """Until it has been over for as long."""
    lasting = Lasting(begins_after_s=20.0, ends_after_s=10.0, told={"A"})
    assert lasting.look(set(), 100.0) == {"A"}
    assert lasting.look({"A"}, 109.0) == {"A"}
    assert lasting.look(set(), 110.0) == {"A"}
    assert lasting.look(set(), 120.0) == frozenset()


def test_a_meter_that_is_late_is_not_lost() -> None:
    """Only after a minute without a reading: that is when the chargers share what is safe."""
    warnings = CircuitWarnings()
    for second, state, unread in ((0.0, MeterState.STALE, ""), (1.0, MeterState.LOST, "A")):
        assert warnings.look(SiteHealth({"A": state}), second) == (frozenset(), frozenset(unread))
