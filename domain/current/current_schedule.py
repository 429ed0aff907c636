"""How much current a site may draw by the day of the week and the time of day, in its own time zone. Pure.

A day of a schedule is a day on the wall: where a clock is put back the repeated hour counts twice, where it is put forward the
missing one not at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

import msgspec

from domain.checks import Problems
from domain.roles import Weekday
from domain.units import PhaseAmps

MOST_ENTRIES = 168
"""One for each hour of the week."""
_DAY = 24 * 60
_WEEK = 7 * _DAY
_WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """On these days, from then until then, this much.

    00:00 in `until` is the end of the day; an `until` before `since` is on the next day.
    """

    weekdays: tuple[Weekday, ...]
    since: time
    until: time
    available: PhaseAmps

    def minutes(self) -> Iterator[tuple[int, int]]:
        """Parts of the week that it covers, in minutes since Monday 00:00, half-open; one that passes Sunday's end is in two parts."""
        since, until = _minute(self.since), _minute(self.until) or _DAY
        for weekday in self.weekdays:
            start = _WEEKDAYS.index(weekday) * _DAY + since
            end = start + (until - since if until > since else until - since + _DAY)
            yield start, min(end, _WEEK)
            if end > _WEEK:
                yield 0, end - _WEEK


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def scheduled(entries: Sequence[ScheduleEntry], *, time_zone: str, now: datetime) -> PhaseAmps | None:
    """What the entry in force allows; None in a gap: the main breaker."""
    local = now.astimezone(ZoneInfo(time_zone))
    minute = local.weekday() * _DAY + local.hour * 60 + local.minute
    for entry in entries:
        if any(start <= minute < end for start, end in entry.minutes()):
            return entry.available
    return None


def check(problems: Problems, entries: Sequence[ScheduleEntry], breaker: PhaseAmps) -> None:
    """Every wrong entry is a problem: without days, without time, above the main breaker, or overlapping an earlier one."""
    if len(entries) > MOST_ENTRIES:
        problems.add("entries", f"A schedule has at most {MOST_ENTRIES} entries.")
        return
    taken: list[tuple[int, int, int]] = []
    for number, entry in enumerate(entries):
        where = ("entries", str(number))
        if not entry.weekdays:
            problems.add((*where, "weekdays"), "Name at least one day.")
        if len(set(entry.weekdays)) < len(entry.weekdays):
            problems.add((*where, "weekdays"), "This names a day twice.")
        if entry.since == entry.until != time(0):
            problems.add((*where, "to"), "This is the same time as `from`; the whole day is from 00:00 to 00:00.")
        problems.within((*where, "availableCurrentA"), entry.available, breaker, of="the main breaker")
        mine = list(entry.minutes())
        clash = next((other for start, end in mine for other, s, e in taken if start < e and s < end), None)
        if clash is not None and len(set(entry.weekdays)) == len(entry.weekdays):
            problems.add((*where, "from"), f"This overlaps entry {clash}: at each time only one may be in force.")
        taken += [(number, start, end) for start, end in mine]


class _Stored(msgspec.Struct, frozen=True):
    weekdays: list[Weekday]
    since: str
    until: str
    available: tuple[float, float, float]


_decoder = msgspec.json.Decoder(list[_Stored])


def written(entries: Sequence[ScheduleEntry]) -> str | None:
    """As it is stored; None for no schedule."""
    rows = [
        _Stored(list(entry.weekdays), f"{entry.since:%H:%M}", f"{entry.until:%H:%M}", entry.available.as_tuple())
        for entry in entries
    ]
    return msgspec.json.encode(rows).decode() if rows else None


def read(text: str | None) -> tuple[ScheduleEntry, ...]:
    """What was stored."""
    if text is None:
        return ()
    return tuple(
        ScheduleEntry(
            tuple(row.weekdays), time.fromisoformat(row.since), time.fromisoformat(row.until), PhaseAmps(*row.available)
        )
        for row in _decoder.decode(text)
    )
