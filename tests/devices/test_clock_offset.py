"""What is learnt of a charger's clock from the times of its messages."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.clock_offset import ClockOffset

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


@pytest.mark.parametrize("wrong_by_s", [3600, -3600, 90, -86_400])
def test_a_wrong_clock_is_learnt_from_messages_in_real_time(wrong_by_s: int) -> None:
    """Readings that follow each other as fast as they arrive were not queued: their difference is the clock's."""
    offset, wrong = ClockOffset(), timedelta(seconds=wrong_by_s)
    for number in (0, 10, 20):
        offset.learn(second(number) - wrong, second(number + 0.1), is_periodic=True)
    assert offset.value == wrong + timedelta(seconds=0.1)


def test_a_queue_teaches_nothing() -> None:
    """Old messages delivered at once are no sign of a clock that is behind."""
    offset = ClockOffset()
    for number in range(0, 600, 60):
        offset.learn(second(number), second(3600 + number / 100), is_periodic=True)
    assert offset.value is None


def test_two_bundles_that_are_equally_late_teach_nothing() -> None:
    """One step in real time may be chance."""
    offset = ClockOffset()
    for late in (0, 300):
        for number in range(2):
            offset.learn(second(late + number * 60), second(late + 150), is_periodic=True)
    offset.learn(second(360), second(450), is_periodic=True)
    assert offset.value is None


def test_the_first_live_message_after_a_queue_corrects_the_estimate() -> None:
    """The smallest difference counts: a clock that is right is found right."""
    offset = ClockOffset()
    for number in (0, 60):
        offset.learn(second(number), second(3600), is_periodic=True)
    for number in (3601, 3661):
        offset.learn(second(number), second(number), is_periodic=True)
    assert offset.value is None


def test_a_clock_that_is_ahead_betrays_itself_at_once() -> None:
    """No message can arrive before it was sent."""
    offset = ClockOffset()
    offset.learn(second(7200), second(0))
    assert offset.value == timedelta(seconds=-7200)


def test_small_differences_and_lost_clocks_count_as_none() -> None:
    """Network delays are no offset, and 1970 teaches nothing."""
    offset = ClockOffset()
    for number in (0, 10, 20):
        offset.learn(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number), second(number), is_periodic=True)
        offset.learn(second(number), second(number + 30), is_periodic=True)
    assert offset.value is None
