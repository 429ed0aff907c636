"""Local dates as instants."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ValidationError
from domain.periods import Period, bucket_at, buckets, edges, offsets, period_of, start_of, zone_of
from domain.roles import UsageDimension

OSLO = ZoneInfo("Europe/Oslo")
ZONES = [
    "Europe/Oslo",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "UTC",
]


def _hours(day: date, zone: ZoneInfo) -> float:
    return (start_of(day + timedelta(days=1), zone) - start_of(day, zone)) / timedelta(hours=1)


def test_the_days_of_both_changes_of_the_clock_have_23_and_25_hours() -> None:
    """A day is as long as its zone makes it."""
    assert _hours(date(2019, 3, 31), OSLO) == 23
    assert _hours(date(2019, 10, 27), OSLO) == 25
    assert _hours(date(2019, 6, 1), OSLO) == 24


def test_a_day_whose_midnight_is_skipped_begins_when_the_clock_goes_on() -> None:
    """In São Paulo the clock went from 23:59:59 to 01:00."""
    zone = ZoneInfo("America/Sao_Paulo")
    assert start_of(date(2018, 11, 4), zone) == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert _hours(date(2018, 11, 4), zone) == 23


def test_the_two_hours_02_of_an_autumn_night_are_two_buckets() -> None:
    """Buckets with the same label are told apart by their instants."""
    night = Period(date(2019, 10, 27), date(2019, 10, 28), OSLO)
    hours = list(buckets(night, UsageDimension.HOUR))
    assert len(hours) == 25
    assert [hour.start_at.hour for hour in hours if hour.label == "2019-10-27 02:00"] == [0, 1]


def test_weeks_begin_on_monday_and_are_numbered_as_iso_8601_says() -> None:
    """The first days of 2021 belong to the last week of 2020."""
    week = bucket_at(datetime(2021, 1, 2, tzinfo=UTC), UsageDimension.WEEK, OSLO)
    assert (week.label, week.start_at) == ("2020-W53", datetime(2020, 12, 27, 23, tzinfo=UTC))
    month = bucket_at(datetime(2019, 12, 31, 23, 30, tzinfo=UTC), UsageDimension.MONTH, OSLO)
    assert (month.label, month.start_at) == ("2020-01", datetime(2019, 12, 31, 23, tzinfo=UTC))


def test_offsets_of_a_year_change_where_the_clock_does() -> None:
    """Local time is UTC plus the offset in force."""
    year = Period(date(2019, 1, 1), date(2020, 1, 1), OSLO)
    assert [(one.since, one.seconds) for one in offsets(OSLO, year.start_at, year.end_at)] == [
        (datetime(2018, 12, 31, 23, tzinfo=UTC), 3600),
        (datetime(2019, 3, 31, 1, tzinfo=UTC), 7200),
        (datetime(2019, 10, 27, 1, tzinfo=UTC), 3600),
    ]


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2010, 1, 1), date(2030, 1, 1)),
    dimension=st.sampled_from([UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH]),
)
def test_buckets_leave_no_gap_and_do_not_overlap(zone: str, day: date, dimension: UsageDimension) -> None:
    """Each bucket ends where the next begins, and an instant inside one finds it."""
    period = Period(day, day + timedelta(days=3), ZoneInfo(zone))
    found = list(buckets(period, dimension))
    assert found[0].start_at <= period.start_at
    assert found[-1].end_at >= period.end_at
    for before, after in pairwise(found):
        assert before.end_at == after.start_at
    for one in found:
        assert bucket_at(one.start_at, dimension, period.zone) == one
        assert bucket_at(one.end_at - timedelta(microseconds=1), dimension, period.zone) == one


@given(
    zone=st.sampled_from([*ZONES, "Africa/Monrovia"]),
    day=st.dates(date(1971, 1, 1), date(2030, 1, 1)),
    length=st.sampled_from((1, 3, 40)),
    dimensions=st.sets(
        st.sampled_from([UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH])
    ),
)
def test_edges_are_where_one_stretch_ends_and_the_next_begins(
    zone: str, day: date, length: int, dimensions: set[UsageDimension]
) -> None:
    """Those of the period, and of every bucket that begins in it; also where the clock changes by half an hour or some seconds."""
    period = Period(day, day + timedelta(days=length), ZoneInfo(zone))
    begun = {one.start_at for dimension in dimensions for one in buckets(period, dimension)}
    inside = {at for at in begun if period.start_at <= at}
    assert edges(period, dimensions) == sorted(inside | {period.start_at, period.end_at})


@given(zone=st.sampled_from(ZONES), day=st.dates(date(2010, 1, 1), date(2030, 1, 1)))
def test_a_day_begins_at_the_first_instant_that_bears_its_date(zone: str, day: date) -> None:
    """One microsecond earlier it is still the day before."""
    place = ZoneInfo(zone)
    start = start_of(day, place)
    assert start.astimezone(place).date() == day
    assert (start - timedelta(microseconds=1)).astimezone(place).date() == day - timedelta(days=1)


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    """The error names the field that is wrong."""
    with pytest.raises(ValidationError) as caught:
        period_of(date(2020, 1, 2), date(2020, 1, 2), OSLO)
    assert caught.value.path == ("period", "to")
    with pytest.raises(ValidationError):
        zone_of("Norway/Trondheim")
    with pytest.raises(ValidationError):
        zone_of("../../etc/passwd")
