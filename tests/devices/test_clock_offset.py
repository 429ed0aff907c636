"""What is learnt of a charger's clock from the times of its messages."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.clock_offset import ClockOffset

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = pytest.mark.parametrize("wrong_by_s", [3600, -3600, 90, -86_400])


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


@HOURLY
def test_a_wrong_clock_is_learnt_from_messages_in_real_time(wrong_by_s: int) -> None:
    """Readings that follow each other as fast as they arrive were not queued: their difference is the clock's."""
    offset, wrong = ClockOffset(NOON), timedelta(seconds=wrong_by_s)
    for number in (0, 10, 20):
        offset.learn(second(number) - wrong, second(number + 0.1))
    assert offset.value == wrong + timedelta(seconds=0.1)


@HOURLY
def test_an_answer_to_a_question_tells_the_clock_at_once(wrong_by_s: int) -> None:
    """What was asked for was not queued, unless something newer was heard before it."""
    offset, wrong = ClockOffset(NOON), timedelta(seconds=wrong_by_s)
    offset.learn(second(-900) - wrong, second(1))
    offset.learn(second(2) - wrong, second(2), is_live=True)
    offset.learn(second(-300) - wrong, second(3), is_live=True)
    assert offset.value == wrong


def test_a_queue_teaches_nothing() -> None:
    """Old messages delivered at once are no sign of a clock that is behind, however close to each other they were made."""
    for step in (1, 2, 5, 60):
        offset = ClockOffset(NOON)
        for number in range(50):
            offset.learn(second(number * step), second(3600 + number / 100))
        assert offset.value is None
        assert offset.is_doubtful


def test_two_bundles_that_are_equally_late_teach_nothing() -> None:
    """One step in real time may be chance."""
    offset = ClockOffset(NOON)
    for late in (0, 300):
        for number in range(2):
            offset.learn(second(late + number * 60), second(late + 150))
    offset.learn(second(360), second(450))
    assert offset.value is None


def test_the_first_live_message_after_a_queue_corrects_the_estimate() -> None:
    """The smallest difference counts: a clock that is right is found right."""
    offset = ClockOffset(NOON)
    for number in (0, 60):
        offset.learn(second(number), second(3600))
    for number in (3601, 3661, 3721):
        offset.learn(second(number), second(number))
    assert (offset.value, offset.is_doubtful) == (None, False)


def test_a_clock_that_is_ahead_betrays_itself_at_once() -> None:
    """No message can arrive before it was sent."""
    offset = ClockOffset(NOON)
    offset.learn(second(7200), second(0))
    assert offset.value == timedelta(seconds=-7200)


def test_small_differences_and_lost_clocks_count_as_none() -> None:
    """Network delays are no offset, and 1970 teaches nothing."""
    offset = ClockOffset(NOON)
    for number in (0, 10, 20):
        offset.learn(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number), second(number))
        offset.learn(second(number), second(number + 30))
    assert offset.value is None


@pytest.mark.parametrize("hours", [1, -1])
def test_what_an_earlier_connection_had_found_holds_until_something_else_is_known(hours: int) -> None:
    """So the queue that comes first is judged by the clock that wrote it; a clock that was set meanwhile shows in what is asked for."""
    wrong = hours * HOUR
    offset = ClockOffset(NOON, wrong)
    offset.learn(second(-1800) - wrong, second(0))
    found = [offset.value]
    offset.learn(second(1), second(1), is_live=True)
    offset.learn(second(-600) - wrong, second(2))
    assert [*found, offset.value] == [wrong, None]
    assert offset.before == wrong


def test_a_clock_that_is_put_back_is_noticed_when_it_goes_on_like_that() -> None:
    """Four readings in real time, all of them ten minutes late, were not late."""
    offset = ClockOffset(NOON)
    for number in range(0, 300, 30):
        offset.learn(second(number), second(number))
    late = []
    for number in range(300, 450, 30):
        offset.learn(second(number - 600), second(number))
        late.append(offset.value)
    assert late == [None, None, None, timedelta(minutes=10), timedelta(minutes=10)]
