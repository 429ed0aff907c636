"""SQL against a naive count in Python: random sessions (offline, void, replaced, with wrong clocks) around ends of months and both
changes of the clock, under every basis and grouping, on both databases.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ids import new_id
from domain.models import ChargeSession, EnergyInterval
from domain.roles import IntervalQuality, ReportBasis, SessionFlag, SessionState, UsageDimension
from domain.summaries import counted_sessions, usage_summary
from domain.usage.question import UsageQuestion, UsageSummary
from tests import factories
from tests.factories import Town

OSLO = ZoneInfo("Europe/Oslo")
EDGES = (
    datetime(2024, 10, 27, 1, tzinfo=UTC),
    datetime(2024, 12, 31, 23, tzinfo=UTC),
    datetime(2025, 3, 30, 1, tzinfo=UTC),
    datetime(2025, 3, 31, 22, tzinfo=UTC),
)
"""Fall back, a year's end in the middle of the next one's first week, spring forward, a month's end."""
FIRST, CUTS, LAST = (
    date(2024, 10, 1),
    (date(2024, 10, 27), date(2025, 1, 1), date(2025, 3, 30), date(2025, 4, 1)),
    date(2025, 5, 1),
)
TIMES = (UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH)
GROUPINGS = [
    *((one,) for one in (UsageDimension.CHARGER, UsageDimension.USER, UsageDimension.INSTALLATION, *TIMES)),
    (UsageDimension.USER, UsageDimension.MONTH),
    (UsageDimension.DAY, UsageDimension.CHARGER),
    (UsageDimension.WEEK, UsageDimension.MONTH),
]
SITE = "site"
FLAGS = (
    SessionFlag(0),
    SessionFlag.OFFLINE,
    SessionFlag.CLOCK_UNRELIABLE,
    SessionFlag.OFFLINE | SessionFlag.CLOCK_UNRELIABLE,
)


@dataclass(frozen=True, slots=True)
class Charged:
    """A session, and when its energy was taken: (from, to, Wh)."""

    charger: int
    person: int | None
    start: datetime
    end: datetime
    registered: datetime
    energy: int | None
    flags: SessionFlag
    state: SessionState
    parts: tuple[tuple[datetime, datetime, int], ...]

    @property
    def is_reliable(self) -> bool:
        return SessionFlag.CLOCK_UNRELIABLE not in self.flags

    def span(self) -> tuple[datetime, datetime]:
        """Where it lies under INTERVAL."""
        return (self.start, self.end) if self.is_reliable else (self.registered, self.registered)

    def at(self, basis: ReportBasis) -> datetime:
        """Where it lies under the other two."""
        return self.end if basis is ReportBasis.ENDED and self.is_reliable else self.registered


@st.composite
def sessions(draw: st.DrawFn) -> Charged:
    """One around an edge, from nothing to seven weeks long."""
    start = draw(st.sampled_from(EDGES)) + timedelta(
        seconds=draw(st.integers(-90_000, 30_000)), milliseconds=draw(st.integers(0, 999))
    )
    length = draw(st.sampled_from((0, 1, 600, 7_200, 40_000, 604_800, 4_000_000)))
    end = start + timedelta(seconds=length * draw(st.sampled_from((1, 0.37))))
    energy = draw(st.none() | st.integers(0, 60_000))
    flags = draw(st.sampled_from(FLAGS))
    state = draw(st.sampled_from((SessionState.ENDED,) * 5 + (SessionState.VOID,)))
    stored: tuple[tuple[datetime, datetime, int], ...] = ()
    if energy and end > start and draw(st.booleans()):
        middle = start + (end - start) * draw(st.sampled_from((0.25, 0.5)))
        share = draw(st.integers(0, energy))
        stored = ((start, middle, share), (middle, end, energy - share))
    delay = draw(st.sampled_from((0, 3, 200_000)))
    return Charged(
        draw(st.integers(0, 1)), draw(st.sampled_from((None, 0, 1))), start, end, end + timedelta(seconds=delay),
        energy, flags, state, stored,
    )  # fmt: skip


def _share(amount: int, span: tuple[datetime, datetime], since: datetime, until: datetime) -> int:
    """What of an amount that lies evenly over the span lies in [since, until): cut at both ends, each end rounded half up."""
    start, end = span
    if start == end:
        return amount if since <= start < until else 0

    def before(instant: datetime) -> int:
        passed = Fraction((min(max(instant, start), end) - start) / timedelta.resolution)
        whole = Fraction((end - start) / timedelta.resolution)
        return math.floor(amount * passed / whole + Fraction(1, 2))

    return before(until) - before(since)


def _energy(one: Charged, since: datetime, until: datetime) -> int:
    if not one.is_reliable:
        return _share(one.energy or 0, one.span(), since, until)
    parts = one.parts or ((one.start, one.end, one.energy or 0),)
    return sum(_share(energy, (start, end), since, until) for start, end, energy in parts)


def _touches(one: Charged, since: datetime, until: datetime) -> bool:
    start, end = one.span()
    return since <= start < until if start == end else start < until and end > since


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, OSLO).astimezone(UTC)


def _stretches(dimension: UsageDimension, since: date, until: date) -> Iterator[tuple[datetime, datetime]]:
    """Every stretch of that kind in the period, counted out one by one."""
    if dimension is UsageDimension.HOUR:
        at = _midnight(since)
        while at < _midnight(until):
            yield at, at + timedelta(hours=1)
            at += timedelta(hours=1)
        return
    starts: dict[UsageDimension, Callable[[date], bool]] = {
        UsageDimension.DAY: lambda _: True,
        UsageDimension.WEEK: lambda day: day.weekday() == 0,
        UsageDimension.MONTH: lambda day: day.day == 1,
    }
    days = [since + timedelta(days=number) for number in range(-40, (until - since).days + 40)]
    edges = [_midnight(day) for day in days if starts[dimension](day)]
    yield from itertools.pairwise(edges)


Key = tuple[object, ...]
Figures = tuple[int, int, int, int, int]


class Naive:
    """The answer, counted out."""

    def __init__(self, charged: Sequence[Charged], basis: ReportBasis, group_by: Sequence[UsageDimension]) -> None:
        self._charged = [one for one in charged if one.state is SessionState.ENDED]
        self._basis = basis
        self._group_by = group_by

    def rows(self, since: date, until: date) -> dict[Key, Figures]:
        """(sessions, Wh, connected seconds, offline, unreliable) by group: a thing's number, or when a stretch begins."""
        found: dict[Key, Figures] = {}
        times = [dimension for dimension in self._group_by if dimension in TIMES]
        inside = (_midnight(since), _midnight(until))
        choices = itertools.product(*(list(_stretches(dimension, since, until)) for dimension in times))
        for one, chosen in itertools.product(self._charged, list(choices)):
            from_at = max((inside[0], *(start for start, _ in chosen)))
            to_at = min((inside[1], *(end for _, end in chosen)))
            if from_at < to_at and (figures := self._figures(one, from_at, to_at)) is not None:
                things: dict[UsageDimension, object] = {
                    UsageDimension.CHARGER: one.charger,
                    UsageDimension.USER: one.person,
                    UsageDimension.INSTALLATION: SITE,
                }
                things |= {dimension: start for dimension, (start, _) in zip(times, chosen, strict=True)}
                key = tuple(things[dimension] for dimension in self._group_by)
                known = found.get(key, (0, 0, 0, 0, 0))
                found[key] = (
                    known[0] + figures[0], known[1] + figures[1], known[2] + figures[2], known[3] + figures[3], known[4] + figures[4]
                )  # fmt: skip
        return found

    def _figures(self, one: Charged, since: datetime, until: datetime) -> Figures | None:
        offline, unreliable = int(SessionFlag.OFFLINE in one.flags), int(not one.is_reliable)
        connected = int((one.end - one.start).total_seconds())
        if self._basis is ReportBasis.INTERVAL:
            if not _touches(one, since, until):
                return None
            return 1, _energy(one, since, until), _share(connected, one.span(), since, until), offline, unreliable
        if not since <= one.at(self._basis) < until:
            return None
        return 1, one.energy or 0, connected, offline, unreliable


async def _kept(town: Town, charged: Sequence[Charged], people: Sequence[UUID]) -> None:
    await EnergyInterval.all().delete()
    await ChargeSession.all().delete()
    chargers = (town.charger_id, town.neighbour_id)
    for one in charged:
        row = await ChargeSession.create(
            id=new_id(), installation_id=town.site.id, circuit_id=town.site.root_id, charger_id=chargers[one.charger],
            user_id=None if one.person is None else people[one.person], user_name=None if one.person is None else f"P{one.person}",
            installation_name="Garage", charger_name=f"Space {one.charger}", time_zone="Europe/Oslo", state=one.state,
            flags=one.flags, started_at=one.start, ended_at=one.end, registered_at=one.registered,
            energy_wh=None if one.state is SessionState.VOID else one.energy,
            connected_s=int((one.end - one.start).total_seconds()), created_at=one.start,
            replaced_by_id=new_id() if one.state is SessionState.VOID else None,
        )  # fmt: skip
        for start, end, energy in one.parts:
            await EnergyInterval.create(
                session_id=row.id, installation_id=town.site.id, start_at=start, end_at=end, energy_wh=energy,
                quality=IntervalQuality.MEASURED,
            )  # fmt: skip


def _rows(summary: UsageSummary, town: Town, people: Sequence[UUID]) -> dict[Key, Figures]:
    numbers: dict[UUID | None, object] = {None: None, town.charger_id: 0, town.neighbour_id: 1, town.site.id: SITE}
    numbers |= {user_id: number for number, user_id in enumerate(people)}
    return {
        tuple(part.bucket.start_at if part.bucket is not None else numbers[part.id] for part in row.group): (
            row.usage.session_count, row.usage.energy_wh, row.usage.connected_s, row.usage.offline_count, row.usage.unreliable_count,
        )
        for row in summary.rows
    }  # fmt: skip


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(charged=st.lists(sessions(), min_size=1, max_size=14))
async def test_sql_equals_a_naive_count(town: Town, charged: list[Charged]) -> None:
    """Every figure of every group; one total over all groupings; report[a, c) = report[a, b) + report[b, c) in Wh; the sessions behind."""
    people = (town.people["USER of charger"], town.people["USER of installation"])
    await _kept(town, charged, people)
    owner = await town.access("OWNER of installation")

    async def asked(basis: ReportBasis, group_by: Sequence[UsageDimension], since: date, until: date) -> UsageSummary:
        question = UsageQuestion(
            from_date=since, to_date=until, installation_ids=(town.site.id,), group_by=tuple(group_by), basis=basis
        )  # fmt: skip
        return await usage_summary(owner, question)

    for basis in ReportBasis:
        totals = set()
        for group_by in GROUPINGS:
            whole = await asked(basis, group_by, FIRST, LAST)
            assert _rows(whole, town, people) == Naive(charged, basis, group_by).rows(FIRST, LAST)
            totals.add(whole.total.energy_wh)
        assert len(totals) == 1
        for cut in CUTS:
            parts = [(await asked(basis, GROUPINGS[0], *dates)).total for dates in ((FIRST, cut), (cut, LAST))]
            assert sum(part.energy_wh for part in parts) == next(iter(totals))
            question = UsageQuestion(from_date=cut, to_date=LAST, installation_ids=(town.site.id,), basis=basis)
            behind = [one async for batch in counted_sessions(owner, question) for one in batch]
            assert (len(behind), sum(one.energy_wh for one in behind)) == (parts[1].session_count, parts[1].energy_wh)
