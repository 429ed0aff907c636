"""The current that a schedule makes available: local time, overlaps, and what a person sets beside it."""

from datetime import UTC, datetime, time, timedelta

import pytest

from domain.current import offers
from domain.current.available_current import clear_available_current, set_available_current, set_current_schedule
from domain.current.current_schedule import MOST_ENTRIES, ScheduleEntry, read, scheduled, written
from domain.equipment.capabilities import ChargerModels
from domain.errors import NotAllowedError, NotFoundError, UnauthenticatedError, ValidationError
from domain.events import InstallationChanged
from domain.models import AuditEntry, Installation
from domain.roles import AvailableCurrentMode, Scope, Weekday
from domain.units import PhaseAmps
from domain.views.installation_views import InstallationRow, installations_by_ids
from tests.factories import NOW, PEOPLE, Town, a_program, a_town
from tests.fakes import RecordingBus

OSLO = "Europe/Oslo"
BREAKER = PhaseAmps.even(63.0)
RUNNERS = frozenset({"OWNER of installation", "SERVICE", "ADMINISTRATOR"})
MANUAL, SCHEDULE, METER = AvailableCurrentMode


def entry(days: str, since: str, until: str, amps: float) -> ScheduleEntry:
    """Days by their first two letters."""
    weekdays = tuple(day for word in days.split() for day in Weekday if day.startswith(word.upper()))
    return ScheduleEntry(weekdays, time.fromisoformat(since), time.fromisoformat(until), PhaseAmps.even(amps))


NIGHTS = entry("mo tu we th fr sa su", "22:00", "06:00", 60.0)
MORNINGS = entry("mo tu we th fr", "06:00", "09:30", 20.0)


def amps(entries: list[ScheduleEntry], at: datetime, zone: str = OSLO) -> float | None:
    found = scheduled(entries, time_zone=zone, now=at)
    return None if found is None else found.l1


def test_the_entry_of_the_local_time_is_in_force() -> None:
    """From its minute on until the minute of its end, past midnight too; in a gap the main breaker."""
    entries = [NIGHTS, MORNINGS]
    sunday = datetime(2026, 2, 1, 0, 0, tzinfo=UTC)  # 01:00 in Oslo
    found = [
        amps(entries, sunday + timedelta(hours=hours, minutes=minutes))
        for hours, minutes in ((0, 0), (4, 59), (5, 0), (20, 59), (21, 0), (28, 59), (29, 0), (32, 29), (32, 30))
    ]
    assert found == [60.0, 60.0, None, None, 60.0, 60.0, 20.0, 20.0, None]
    assert amps(entries, sunday, "Asia/Tokyo") is None


def test_a_week_ends_where_it_begins() -> None:
    """What begins on Sunday night goes on on Monday."""
    late = [entry("su", "23:00", "02:00", 10.0)]
    monday = datetime(2026, 2, 2, 0, 0, tzinfo=UTC)  # 01:00 in Oslo
    assert [amps(late, monday + timedelta(hours=hours)) for hours in (-2, -1, 0, 1)] == [10.0, 10.0, 10.0, None]
    assert amps([entry("mo", "00:00", "00:00", 10.0)], monday + timedelta(hours=22, minutes=59)) == 10.0
    assert amps([entry("mo", "00:00", "00:00", 10.0)], monday + timedelta(hours=23)) is None


def test_the_clock_on_the_wall_counts() -> None:
    """In spring 02:30 does not exist, in autumn it is there twice."""
    half_past_two = [entry("su", "02:00", "03:00", 10.0), entry("su", "03:00", "04:00", 30.0)]
    spring, autumn = datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert [amps(half_past_two, spring + timedelta(hours=hour)) for hour in range(3)] == [None, 30.0, None]
    assert [amps(half_past_two, autumn + timedelta(hours=hour)) for hour in range(-1, 4)] == [
        None,
        10.0,
        10.0,
        30.0,
        None,
    ]


def test_what_is_written_is_read() -> None:
    """Whatever the minutes and days; nothing for no entries."""
    entries = (NIGHTS, MORNINGS, entry("sa", "09:15", "00:00", 6.5))
    assert read(written(entries)) == entries
    assert (written(()), read(None)) == (None, ())


async def seen(town: Town, at: datetime = NOW) -> InstallationRow:
    viewer = await town.access("OWNER of installation", now=at)
    return (await installations_by_ids(viewer, [town.site.id]))[town.site.id]


async def balanced(town: Town, at: datetime) -> tuple[PhaseAmps | None, bool]:
    """The limit as the balancer is told, and whether a schedule sets it."""
    facts = await offers.site(town.site.id, now=at, models=ChargerModels.load())
    assert facts is not None
    return facts.available, facts.is_scheduled


pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_a_schedule_is_set_by_those_who_run_the_site(person: str) -> None:
    """OWNER, SERVICE and ADMINISTRATOR; it is in force at once, in the audit log, and the balancer is told."""
    town, bus = await a_town(), RecordingBus()
    viewer = await town.access(person)
    if person not in RUNNERS:
        refused = {"not signed in": UnauthenticatedError, "stranger": NotFoundError}.get(person, NotAllowedError)
        with pytest.raises(refused):
            await set_current_schedule(viewer, town.site.id, [NIGHTS], bus=bus)
        assert ((await Installation.get(id=town.site.id)).current_schedule, bus.published) == (None, [])
        return
    await set_current_schedule(viewer, town.site.id, [NIGHTS, MORNINGS], bus=bus)
    assert bus.published == [InstallationChanged(installation_id=town.site.id, chargers_stay=True)]
    night, noon = datetime(2026, 3, 1, 23, 0, tzinfo=UTC), datetime(2026, 3, 1, 11, 0, tzinfo=UTC)
    for at, limit, available in ((night, PhaseAmps.even(60.0), PhaseAmps.even(60.0)), (noon, None, BREAKER)):
        assert await balanced(town, at) == (limit, True)
        row = await seen(town, at)
        assert (row.available_current_a, row.available_current_mode) == (available, SCHEDULE)
        assert tuple(row.current_schedule) == (NIGHTS, MORNINGS)
    assert await AuditEntry.filter(action="installation.available_current").count() == 1


async def test_a_program_sets_a_schedule_by_its_scope() -> None:
    """SET_AVAILABLE_CURRENT."""
    town = await a_town()
    program = await a_program(town.site, scopes=[Scope.SET_AVAILABLE_CURRENT])
    await set_current_schedule(await program.access(), town.site.id, [NIGHTS], bus=RecordingBus())
    assert (await seen(town)).available_current_mode is SCHEDULE


@pytest.mark.parametrize(
    ("entries", "paths"),
    [
        ([NIGHTS, entry("tu", "05:59", "07:00", 10.0)], ["entries.1.from"]),
        ([entry("su", "20:00", "01:00", 10.0), entry("mo", "00:59", "02:00", 10.0)], ["entries.1.from"]),
        ([entry("mo mo", "01:00", "02:00", 10.0)], ["entries.0.weekdays"]),
        ([entry("", "01:00", "02:00", 10.0)], ["entries.0.weekdays"]),
        ([entry("mo", "01:00", "01:00", 10.0)], ["entries.0.to"]),
        (
            [ScheduleEntry((Weekday.MONDAY,), time(1), time(2), PhaseAmps(63.1, -1.0, float("nan")))],
            [f"entries.0.availableCurrentA.{line}" for line in ("l1", "l2", "l3")],
        ),
        ([NIGHTS] * (MOST_ENTRIES + 1), ["entries"]),
    ],
)
async def test_a_wrong_entry_is_refused(entries: list[ScheduleEntry], paths: list[str]) -> None:
    """Overlaps, days that are missing or named twice, no time, a current above the main breaker: named, and nothing changes."""
    town, bus = await a_town(), RecordingBus()
    with pytest.raises(ValidationError) as caught:
        await set_current_schedule(await town.access("SERVICE"), town.site.id, entries, bus=bus)
    assert [".".join(problem.path) for problem in caught.value.problems] == paths
    assert ((await Installation.get(id=town.site.id)).current_schedule, bus.published) == (None, [])


async def test_entries_that_touch_do_not_overlap() -> None:
    """The minute in which one ends is the first of the next, at the end of the week, too."""
    town = await a_town()
    whole = [
        entry("mo tu we th fr sa su", "00:00", "12:00", 10.0),
        entry("mo tu we th fr sa su", "12:00", "00:00", 20.0),
    ]
    await set_current_schedule(await town.access("SERVICE"), town.site.id, whole, bus=RecordingBus())
    assert (await seen(town)).available_current_mode is SCHEDULE


async def test_what_a_person_sets_ends_a_schedule_until_it_expires() -> None:
    """Then the schedule is back, at most with the fallback; cleared with its mode, it is back at once."""
    town = await a_town()
    owner, bus = await town.access("OWNER of installation"), RecordingBus()
    always = entry("mo tu we th fr sa su", "00:00", "00:00", 30.0)
    await set_current_schedule(owner, town.site.id, [always], bus=bus)
    wanted, fallback = PhaseAmps.even(50.0), PhaseAmps(25.0, 40.0, 25.0)
    await set_available_current(owner, town.site.id, wanted, valid_for_s=60, fallback=fallback, bus=bus)
    await set_available_current(owner, town.site.id, wanted, valid_for_s=60, bus=bus)
    before, after = NOW + timedelta(seconds=59), NOW + timedelta(seconds=60)
    assert await balanced(town, before) == (wanted, False)
    assert await balanced(town, after) == (PhaseAmps(25.0, 30.0, 25.0), True)
    assert [(await seen(town, at)).available_current_mode for at in (before, after)] == [MANUAL, SCHEDULE]
    await set_available_current(owner, town.site.id, wanted, bus=bus)
    assert await balanced(town, after) == (wanted, False)
    await clear_available_current(owner, town.site.id, mode=SCHEDULE, bus=bus)
    assert await balanced(town, after) == (PhaseAmps.even(30.0), True)
    await clear_available_current(owner, town.site.id, bus=bus)
    assert await balanced(town, after) == (None, False)


async def test_a_schedule_waits_for_the_end_of_what_a_person_set() -> None:
    """It decides when that has run out; without entries nothing does."""
    town = await a_town()
    owner, bus = await town.access("OWNER of installation"), RecordingBus()
    await set_available_current(owner, town.site.id, PhaseAmps.even(50.0), valid_for_s=60, bus=bus)
    always = entry("mo tu we th fr sa su", "00:00", "00:00", 30.0)
    await set_current_schedule(owner, town.site.id, [always], bus=bus)
    later = NOW + timedelta(seconds=60)
    assert [await balanced(town, at) for at in (NOW, later)] == [
        (PhaseAmps.even(50.0), False),
        (PhaseAmps.even(30.0), True),
    ]
    await set_current_schedule(owner, town.site.id, [], bus=bus)
    assert [await balanced(town, at) for at in (NOW, later)] == [(PhaseAmps.even(50.0), False), (None, False)]
    await set_current_schedule(await town.access("SERVICE", now=later), town.site.id, [always], bus=bus)
    assert await balanced(town, later) == (PhaseAmps.even(30.0), True)
    await set_current_schedule(owner, town.site.id, [], bus=bus)
    assert await balanced(town, later) == (None, False)
    with pytest.raises(ValidationError):
        await clear_available_current(owner, town.site.id, mode=SCHEDULE, bus=bus)


async def test_a_meter_decides_again_when_what_a_person_set_has_run_out() -> None:
    """Its site's limit is the main breaker, at most the fallback."""
    town = await a_town()
    owner, bus = await town.access("OWNER of installation"), RecordingBus()
    await Installation.filter(id=town.site.id).update(available_mode=METER)
    await set_available_current(
        owner, town.site.id, PhaseAmps.even(50.0), valid_for_s=60, fallback=PhaseAmps.even(16.0), bus=bus
    )
    row = await seen(town, NOW + timedelta(seconds=60))
    assert (row.available_current_mode, row.available_current_a) == (METER, PhaseAmps.even(16.0))
