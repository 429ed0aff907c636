"""Local dates as instants: when a day, week, month or hour begins and ends in a zone, and a zone's offsets over time. Pure.

A local date begins at the first instant that bears it: a day may have 23 or 25 hours, and where the clock skips midnight it begins later.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from domain.errors import invalid
from domain.roles import UsageDimension

LONGEST_PERIOD = timedelta(days=3_660)
_EARLIEST, _LATEST = date(1970, 1, 2), date(2200, 1, 1)
_STEP = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open local dates [from_date, to_date) in a zone."""

    from_date: date
    to_date: date
    zone: ZoneInfo

    @property
    def start_at(self) -> datetime:
        """The first instant inside, in UTC."""
        return start_of(self.from_date, self.zone)

    @property
    def end_at(self) -> datetime:
        """The first instant after, in UTC."""
        return start_of(self.to_date, self.zone)


def period_of(from_date: date, to_date: date, zone: ZoneInfo, *, path: tuple[str, ...] = ("period",)) -> Period:
    """The period, checked: at least a day, at most about ten years. ValidationError says what is wrong."""
    if to_date <= from_date:
        raise invalid((*path, "to"), "`to` is the first day that is no longer inside, so it comes after `from`.")
    if from_date < _EARLIEST or to_date > _LATEST:
        raise invalid((*path, "from"), f"A period lies between {_EARLIEST} and {_LATEST}.")
    if to_date - from_date > LONGEST_PERIOD:
        raise invalid(path, "A period is at most ten years long; ask for the years one after another.")
    return Period(from_date, to_date, zone)


def zone_of(name: str, *, path: tuple[str, ...] = ("period", "timeZone")) -> ZoneInfo:
    """The IANA zone of that name; ValidationError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(
            path, f"{name[:60]!r} is not the name of a time zone; write one of the IANA list, e.g. Europe/Oslo."
        ) from error


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local date, in UTC."""
    midnight = datetime.combine(day, time.min, zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    # The clock skips midnight. Read with the offsets of either side of the gap, it gives instants around the one where the day begins.
    before = midnight.replace(fold=1).astimezone(UTC)
    return _change_between(min(before, instant), max(before, instant), zone)


@dataclass(frozen=True, slots=True)
class Offset:
    """From `since` on, local time is UTC plus `seconds`."""

    since: datetime
    seconds: int


def offsets(zone: ZoneInfo, start: datetime, end: datetime) -> list[Offset]:
    """The zone's offsets from `start` until `end`, in order; the first begins at `start`."""
    known = [Offset(start, _offset_s(start, zone))]
    at = start
    while at < end:
        following = min(at + _STEP, end)
        if _offset_s(following, zone) != known[-1].seconds:
            change = _change_between(at, following, zone)
            known.append(Offset(change, _offset_s(change, zone)))
        at = following
    return [one for one in known if one.since < end]


def _offset_s(instant: datetime, zone: ZoneInfo) -> int:
    offset = instant.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant with another offset than `before`; there is one until `after`, and only one."""
    old = _offset_s(before, zone)
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        before, after = (middle, after) if _offset_s(middle, zone) == old else (before, middle)
    return after


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """A stretch of time that a summary groups by. `label` is its local date, month, or hour; [start_at, end_at) are its instants."""

    label: str
    start_at: datetime
    end_at: datetime


TIME_DIMENSIONS = frozenset({UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH})


def bucket_at(instant: datetime, dimension: UsageDimension, zone: ZoneInfo) -> Bucket:
    """The local hour, day, week (from Monday, ISO 8601) or month that the instant lies in."""
    local = instant.astimezone(zone)
    if dimension is UsageDimension.HOUR:
        return _hour(local, zone)
    first, following, label = _dates(local.date(), dimension)
    return Bucket(label, start_of(first, zone), start_of(following, zone))


def _dates(day: date, dimension: UsageDimension) -> tuple[date, date, str]:
    if dimension is UsageDimension.DAY:
        return day, day + timedelta(days=1), day.isoformat()
    if dimension is UsageDimension.WEEK:
        monday = day - timedelta(days=day.weekday())
        year, week, _ = day.isocalendar()
        return monday, monday + timedelta(days=7), f"{year}-W{week:02}"
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1), f"{first:%Y-%m}"


def _hour(local: datetime, zone: ZoneInfo) -> Bucket:
    """The hour on the clock; of an autumn night's two hours 02 each is one, and a change of the clock ends it."""
    started = local - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    into = local.replace(tzinfo=None) - started.replace(tzinfo=None)
    instant = local.astimezone(UTC)
    start, end = instant - into, instant - into + timedelta(hours=1)
    inside = offsets(zone, start, end)
    for change in inside[1:]:
        start, end = (change.since, end) if change.since <= instant else (start, min(end, change.since))
    return Bucket(f"{started:%Y-%m-%d %H:00}", start, end)


def edges(period: Period, dimensions: Collection[UsageDimension]) -> list[datetime]:
    """Where stretches of these kinds cut the period, in order: the first is its start, the last its end, and between two that follow each
    other lies time of one stretch of each kind.
    """
    found = {period.start_at, period.end_at}
    for dimension in dimensions:
        found |= _hours(period) if dimension is UsageDimension.HOUR else _first_instants(period, dimension)
    return sorted(found)


def _hours(period: Period) -> set[datetime]:
    """Each full hour on the clock, and each change of the clock; ten years of them take a tenth of a second."""
    found = set()
    stretches = offsets(period.zone, period.start_at, period.end_at)
    for stretch, until in zip(stretches, [*(one.since for one in stretches[1:]), period.end_at], strict=True):
        found.add(stretch.since)
        into = (stretch.since - _EPOCH + timedelta(seconds=stretch.seconds)) % _HOUR
        at = stretch.since - into + _HOUR
        while at < until:
            found.add(at)
            at += _HOUR
    return found


def _first_instants(period: Period, dimension: UsageDimension) -> set[datetime]:
    found = set()
    day = _dates(period.from_date, dimension)[1]
    while day < period.to_date:
        found.add(start_of(day, period.zone))
        day = _dates(day, dimension)[1]
    return found


def buckets(period: Period, dimension: UsageDimension) -> Iterator[Bucket]:
    """Every bucket that the period touches, in order; the first and last are whole and may reach beyond it."""
    at = period.start_at
    while at < period.end_at:
        bucket = bucket_at(at, dimension, period.zone)
        yield bucket
        at = bucket.end_at
