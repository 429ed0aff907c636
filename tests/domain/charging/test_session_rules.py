"""The pure rules of charge sessions: moments, keys, matching, energy, dates."""

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.charging.energy_intervals import intervals, shares_of, snapped
from domain.charging.session_rules import (
    Hearing,
    Moment,
    OpenSession,
    Reading,
    charging_time,
    dates_of,
    moment_of,
    most_possible_wh,
    session_energy,
    session_that_ends,
    start_key,
    was_heard_live,
)
from domain.roles import IntervalQuality, SessionFlag

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIVE = Hearing(NOON - timedelta(hours=1))
LOST = datetime(1970, 1, 1, tzinfo=UTC)


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("charger_time", "received_at", "flags", "at"),
    [
        (NOON, NOON, SessionFlag(0), NOON),
        (after(2), NOON, SessionFlag(0), NOON),
        (after(6), NOON, SessionFlag.CLOCK_UNRELIABLE, NOON),
        (LOST, NOON, SessionFlag.CLOCK_UNRELIABLE, NOON),
        (datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC), NOON, SessionFlag.CLOCK_UNRELIABLE, NOON),
        (after(-90), NOON, SessionFlag.OFFLINE, after(-90)),
        (after(-60), NOON, SessionFlag(0), after(-60)),
        (None, NOON, SessionFlag(0), NOON),
    ],
)
def test_moments(charger_time: datetime | None, received_at: datetime, flags: SessionFlag, at: datetime) -> None:
    """A time is believed, corrected or replaced by its receipt; what was before the connection is offline."""
    moment = moment_of(charger_time, received_at, LIVE)
    assert (moment.flags, moment.at) == (flags, at)


def test_the_offline_flag_of_the_message_counts_by_itself() -> None:
    """OCPP 2.0.1 says offline on its own, also for a time within the connection."""
    assert moment_of(NOON, NOON, LIVE, is_marked_offline=True).flags == SessionFlag.OFFLINE


@pytest.mark.parametrize("offset_s", [-7200, -61, 61, 3600])
def test_an_offset_is_removed_and_flagged(offset_s: int) -> None:
    """A clock that is known to be wrong by more than a minute gives right dates with a flag, and is not offline for it."""
    offset = timedelta(seconds=offset_s)
    moment = moment_of(NOON - offset, NOON, Hearing(NOON, offset))
    assert (moment.at, moment.flags) == (NOON, SessionFlag.CLOCK_UNRELIABLE)


def test_start_keys_ignore_the_case_of_cards_and_the_zone_of_times() -> None:
    """The same start told in another case or zone is the same start."""
    local = NOON.astimezone(tz=None)
    assert start_key(1, "abc", NOON, 5) == start_key(1, "ABC", local, 5)
    assert start_key(1, "abc", NOON, 5) != start_key(2, "abc", NOON, 5)


def an_open(number: int, evse: int, card: str, started: float, meter: int | None = 0) -> OpenSession:
    return OpenSession(UUID(int=number), evse, card, after(started), meter)


@pytest.mark.parametrize(
    ("evse", "card", "meter", "ended", "expected"),
    [
        (None, "B", None, 30.0, 2),
        (1, None, None, 30.0, 1),
        (None, None, None, 30.0, None),
        (2, "A", None, 30.0, 2),
        (1, None, 50, 30.0, None),
        (1, None, None, -30.0, None),
    ],
)
def test_which_session_ends(
    evse: int | None, card: str | None, meter: int | None, ended: float, expected: int | None
) -> None:
    """Without a usable id: the connector or the card decides, a smaller register or an earlier end rules out, doubt is no match."""
    candidates = [an_open(1, 1, "A", 0, meter=100), an_open(2, 2, "B", 10)]
    moment = Moment(after(ended), after(ended), is_reliable=True, is_offline=False)
    found = session_that_ends(candidates, moment, evse=evse, id_token=card, meter_stop_wh=meter)
    assert found == (None if expected is None else UUID(int=expected))


@pytest.mark.parametrize(
    ("start", "stop", "registers", "limit", "expected", "is_estimated"),
    [
        (100, 350, [], 1000, 250, False),
        (100, 100, [], 1000, 0, False),
        (100, 50, [100, 140, 10, 50], 1000, 80, True),
        (None, 350, [200, 300], 1000, 100, True),
        (0, 5000, [0, 400], 1000, 400, True),
        (0, 5000, [0, 4000], 1000, None, True),
        (None, None, [], 1000, None, True),
        (0, 4_000_000_000, [], None, None, True),
        (0, 90_000, [], None, 90_000, False),
    ],
)
def test_energy(
    start: int | None,
    stop: int | None,
    registers: list[int],
    limit: int | None,
    expected: int | None,
    is_estimated: bool,
) -> None:
    """Stop - start where plausible, else the rise of the readings, else unknown."""
    energy = session_energy(meter_start_wh=start, meter_stop_wh=stop, registers=registers, limit_wh=limit)
    assert (energy.wh, energy.is_estimated) == (expected, is_estimated)


@given(
    st.none() | st.integers(-10, 5000),
    st.none() | st.integers(-10, 5000),
    st.lists(st.integers(-10, 5000), max_size=6),
    st.integers(0, 3000),
)
def test_energy_is_never_negative_nor_above_the_limit(
    start: int | None, stop: int | None, registers: list[int], limit: int
) -> None:
    """Whatever the registers say."""
    energy = session_energy(meter_start_wh=start, meter_stop_wh=stop, registers=registers, limit_wh=limit)
    assert energy.wh is None or 0 <= energy.wh <= limit


def test_a_short_charge_fits_its_rating() -> None:
    """Fifteen seconds at full power are below the limit although their stamps are whole seconds."""
    assert most_possible_wh(22_080.0, timedelta(seconds=15)) >= 92


def test_charging_time_follows_the_current_where_it_is_measured() -> None:
    """A span counts when current flowed at its end; without a current, when the register rose."""
    readings = [
        Reading(after(0), 0),
        Reading(after(5), 100, 16.0),
        Reading(after(10), 101, 0.2),
        Reading(after(15), 150),
        Reading(after(20), 150),
    ]
    assert charging_time(readings) == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("started", "device_started", "start_reliable", "ended", "expected"),
    [
        (after(0), after(0), True, Moment(after(30), after(30), True, False), (after(0), after(30), True)),
        (after(0), after(0), True, Moment(after(-1), after(-1), True, False), (after(0), after(0), False)),
        (
            after(0),
            LOST,
            False,
            Moment(after(1), LOST + timedelta(hours=2), False, False),
            (after(-119), after(1), False),
        ),
        (after(0), LOST, False, Moment(after(60), after(60), True, False), (after(0), after(60), False)),
    ],
)
def test_dates(
    started: datetime,
    device_started: datetime,
    start_reliable: bool,
    ended: Moment,
    expected: tuple[datetime, datetime, bool],
) -> None:
    """As reported where both are right, else from receipt and duration; never an end before the start."""
    dates = dates_of(started, device_started, start_reliable, ended)
    assert (dates.started_at, dates.ended_at, dates.is_reliable) == expected


@pytest.mark.parametrize("hours", [1, -1])
def test_what_a_clock_wrote_before_it_was_set_is_dated_by_how_it_was(hours: int) -> None:
    """What is older than the connection was written by the wrong clock, in an outage; what is not, by the right one."""
    wrong = timedelta(hours=hours)
    hearing = Hearing(NOON, timedelta(), is_clock_set=True, before=wrong)
    kept = moment_of(after(-30) - wrong, after(1), hearing)
    assert (kept.at, kept.is_offline, kept.is_reliable) == (after(-30), True, False)
    live = moment_of(after(10), after(10), hearing)
    assert (live.at, live.is_offline, live.is_reliable) == (after(10), False, True)


def test_a_start_that_seemed_old_was_live_where_the_clock_is_behind() -> None:
    """Only where it came over this connection, and what is known of the clock brings it there."""
    behind = Hearing(NOON, timedelta(hours=1))
    assert was_heard_live(after(-59), after(1), behind)
    assert not was_heard_live(after(-70), after(1), behind)
    assert not was_heard_live(after(-59), after(-1), behind)
    assert not was_heard_live(after(-59), after(1), Hearing(NOON))


@given(
    st.integers(0, 100_000),
    st.integers(0, 3 * 86_400),
    st.lists(st.tuples(st.integers(0, 3 * 86_400), st.integers(0, 100_000)), max_size=20),
    st.booleans(),
)
def test_intervals_add_up_and_touch(
    energy: int, seconds: int, samples: list[tuple[int, int]], is_estimated: bool
) -> None:
    """Whatever the readings: no gap, no overlap, no negative part, and the sum is the session's energy."""
    end = NOON + timedelta(seconds=seconds)
    readings = [Reading(NOON + timedelta(seconds=second), register) for second, register in samples]
    parts = intervals(NOON, end, energy, readings, is_estimated=is_estimated)
    assert sum(part.energy_wh for part in parts) == energy
    assert all(part.energy_wh >= 0 for part in parts)
    assert (parts[0].start_at, parts[-1].end_at) == (NOON, end)
    assert all(one.end_at == other.start_at for one, other in itertools.pairwise(parts))
    assert all(part.start_at.minute % 15 == 0 for part in parts[1:])


def test_a_sample_just_after_a_boundary_belongs_before_it() -> None:
    """Ten seconds after the quarter still count for the quarter that ended; eleven do not."""
    assert snapped(after(15) + timedelta(seconds=10)) == after(15)
    assert snapped(after(15) + timedelta(seconds=11)) == after(15) + timedelta(seconds=11)
    readings = [Reading(after(0), 0), Reading(after(15) + timedelta(seconds=9), 700), Reading(after(30), 1000)]
    parts = intervals(after(0), after(30), 1000, readings)
    assert [(part.energy_wh, part.quality) for part in parts] == [
        (700, IntervalQuality.MEASURED),
        (300, IntervalQuality.MEASURED),
    ]


def test_a_broken_clock_makes_no_million_of_rows() -> None:
    """A session that seems to last for years has parts of a day."""
    assert len(intervals(NOON - timedelta(days=400), NOON, 10, [])) == 401


@given(st.integers(0, 10**9), st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_shares_add_up(total: int, weights: list[float]) -> None:
    """Largest remainder: whole numbers, together the total."""
    shares = shares_of(total, weights)
    assert sum(shares) == total
    assert all(share >= 0 for share in shares)


@pytest.mark.parametrize("is_clock_set", [True, False])
def test_what_is_dated_1970_by_a_clock_that_is_right_by_now_has_waited(is_clock_set: bool) -> None:
    """It happened before the clock was set; of a clock that was never right nobody knows."""
    hearing = Hearing(NOON - timedelta(hours=1), is_clock_set=is_clock_set)
    moment = moment_of(datetime(1970, 1, 1, 0, 5, tzinfo=UTC), NOON, hearing)
    assert (moment.at, moment.is_reliable, moment.is_offline) == (NOON, False, is_clock_set)
