"""Which part of a tariff holds when: the local week laid on real time, over every change of the clock. Pure.

A time of the week is one on the wall: where a clock is put back the repeated hour has its price twice, where it is put forward the
missing one has none.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.periods import offsets, start_of
from domain.pricing.parts import DAY, WEEK, TariffTerms
from domain.roles import CostUnit

Segment = tuple[datetime, datetime, int | None]
"""[start, end) in UTC, and the place of the part that holds; None where the unit costs nothing."""

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


class Calendar:
    """The days of one zone; what was laid out once is kept."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._starts: dict[date, datetime] = {}
        self._schedules: dict[tuple[UUID, CostUnit, date], Sequence[Segment]] = {}

    def start(self, day: date) -> datetime:
        """The first instant of the local date."""
        known = self._starts.get(day)
        if known is None:
            known = self._starts[day] = start_of(day, self.zone)
        return known

    def end(self, day: date) -> datetime:
        """The first instant after the local date."""
        return self.start(day + _DAY)

    def day_of(self, instant: datetime) -> date:
        """The local date."""
        return instant.astimezone(self.zone).date()

    def days(self, since: datetime, until: datetime) -> list[date]:
        """The local dates of which some lies in [since, until), in order; that of `since` in any case."""
        day = self.day_of(since)
        found = [day]
        while self.end(day) < until:
            day += _DAY
            found.append(day)
        return found

    def schedule(self, terms: TariffTerms, unit: CostUnit, day: date) -> Sequence[Segment]:
        """The parts of that unit over the local date, in order and without gaps."""
        key = (terms.id, unit, day)
        known = self._schedules.get(key)
        if known is None:
            known = self._schedules[key] = self._laid(terms, unit, day)
        return known

    def _laid(self, terms: TariffTerms, unit: CostUnit, day: date) -> Sequence[Segment]:
        start, end = self.start(day), self.end(day)
        numbered = terms.numbered(unit)
        if not numbered:
            return [(start, end, None)]
        if len(numbered) == 1:
            return [(start, end, numbered[0][0])]
        week = sorted((since, until, place) for place, part in numbered for since, until in part.minutes())
        found: list[Segment] = []
        changes = offsets(self.zone, start, end)
        for number, offset in enumerate(changes):
            until = changes[number + 1].since if number + 1 < len(changes) else end
            _lay(week, offset.since, until, timedelta(seconds=offset.seconds), found)
        return found


def _lay(
    week: Sequence[tuple[int, int, int]], since: datetime, until: datetime, offset: timedelta, found: list[Segment]
) -> None:
    """The segments of a stretch in which the clock does not change are in `found`, one that goes on in one piece."""
    at = since
    while at < until:
        wall = (at + offset).replace(tzinfo=UTC)
        minute = wall.weekday() * DAY + wall.hour * 60 + wall.minute
        ends, place = next(((end, part) for start, end, part in week if start <= minute < end), (WEEK, None))
        following = at.replace(second=0, microsecond=0) + (ends - minute) * _MINUTE
        border = min(following, until)
        if found and found[-1][2] == place and found[-1][1] == at:
            found[-1] = (found[-1][0], border, place)
        else:
            found.append((at, border, place))
        at = border
