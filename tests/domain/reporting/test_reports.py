"""Locked reports: frozen, numbered, and with corrections that make them and what follows add up to the live figures."""

import asyncio
import hashlib
import json
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from domain.access import Access
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, ValidationError
from domain.ids import new_id
from domain.models import (
    AuditEntry,
    ChargeSession,
    EnergyInterval,
    LockedLine,
    LockedReport,
    Tariff,
    TariffPrice,
    User,
)
from domain.pages import PageRequest
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart, written
from domain.reporting.report_documents import Content
from domain.reporting.reports import LockWish, lock_report
from domain.roles import CostUnit, IntervalQuality, ReportBasis, SessionFlag, SessionState, UsageDimension
from domain.summaries import usage_summary
from domain.usage.question import Usage, UsageQuestion
from domain.views.report_views import (
    contents_by_report_ids,
    corrected_session_ids,
    documents_by_report_ids,
    locked_reports_by_ids,
    locked_reports_page,
)
from tests import factories
from tests.factories import Town

pytestmark = pytest.mark.usefixtures("database")

OWNER = "OWNER of installation"
LATER = datetime(2026, 8, 1, 12, tzinfo=UTC)
BASES = list(ReportBasis)
JANUARY, FEBRUARY, MARCH, APRIL = ((date(2026, month, 1), date(2026, month + 1, 1)) for month in (1, 2, 3, 4))
BY_USER = (UsageDimension.USER,)


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


async def owner_of(town: Town, *, now: datetime = LATER) -> Access:
    return await town.access(OWNER, now=now)


def wish(dates: tuple[date, date], **further: object) -> LockWish:
    return LockWish(*dates, **further)  # type: ignore[arg-type]  # tests pass fields by name


async def lock(town: Town, dates: tuple[date, date], **further: object) -> UUID:
    return await lock_report(await owner_of(town), town.site.id, wish(dates, **further))


async def content(town: Town, report_id: UUID) -> Content:
    return (await contents_by_report_ids(await owner_of(town), [report_id]))[report_id]


async def corrected(town: Town, report_id: UUID) -> list[UUID]:
    row = (await locked_reports_by_ids(await owner_of(town), [report_id]))[report_id]
    return await corrected_session_ids(row)


async def a_charge(town: Town, start: datetime, energy_wh: int, hours: float = 1, **further: object) -> UUID:
    end = start + timedelta(hours=hours)
    return await factories.a_session(
        town.site,
        town.charger_id,
        started_at=start,
        ended_at=end,
        energy_wh=energy_wh,
        **further,  # type: ignore[arg-type]  # as above
    )


def january(day: int, hour: int = 9) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def figures(found: Content) -> list[tuple[tuple[str, ...], int]]:
    return [(row.labels, row.usage.energy_wh) for row in found.summary.rows]


def corrections(found: Content) -> list[tuple[int, tuple[str, ...], int, int]]:
    return [
        (one.period.from_date.month, one.row.labels, one.row.usage.session_count, one.row.usage.energy_wh)
        for one in found.corrections
    ]


async def test_a_locked_report_never_changes(town: Town) -> None:
    """Whatever becomes of its sessions and of those who charged; the live summary follows."""
    kari = town.people["USER of charger"]
    first = await a_charge(town, january(3), 1_000, user_id=kari, user_name="Kari")
    report = await lock(town, JANUARY, group_by=BY_USER)
    before = await content(town, report)
    assert figures(before) == [(("Kari",), 1_000)]
    assert (before.revision, before.summary.made_at, before.corrections) == (1, LATER, ())
    await ChargeSession.filter(id=first).update(energy_wh=7_000, user_name="Kari Nordmann")
    await User.filter(id=kari).update(name="Kari Nordmann")
    await a_charge(town, january(4), 500)
    assert await content(town, report) == before
    question = UsageQuestion(from_date=JANUARY[0], to_date=JANUARY[1], installation_ids=(town.site.id,))
    assert (await usage_summary(await owner_of(town), question)).total.energy_wh == 7_500


async def test_the_next_report_carries_what_changed(town: Town) -> None:
    """January was locked with 1,000 Wh; then a charger delivered 400 Wh of it, and a charge of 1,000 Wh was corrected to 900."""
    kari, ended = town.people["USER of charger"], {"basis": ReportBasis.ENDED, "group_by": BY_USER}
    first = await a_charge(town, january(3), 1_000, user_id=kari, user_name="Kari")
    locked = await lock(town, JANUARY, **ended)
    late = await a_charge(town, january(20), 400, flags=SessionFlag.OFFLINE)
    await ChargeSession.filter(id=late).update(registered_at=datetime(2026, 2, 5, tzinfo=UTC))
    await ChargeSession.filter(id=first).update(energy_wh=900)
    await a_charge(town, datetime(2026, 2, 3, 9, tzinfo=UTC), 3_000, user_id=kari, user_name="Kari")
    assert await corrected(town, locked) == sorted([first, late])
    assert figures(await content(town, locked)) == [(("Kari",), 1_000)]
    found = await content(town, await lock(town, FEBRUARY, **ended))
    assert figures(found) == [(("Kari",), 3_000)]
    assert corrections(found) == [(1, ("Kari",), 0, -100), (1, ("Not identified",), 1, 400)]
    assert (found.correction_total.energy_wh, found.correction_total.offline_count) == (300, 1)
    assert await corrected(town, locked) == sorted([first, late])
    assert corrections(await content(town, await lock(town, MARCH, **ended))) == []


async def test_a_charge_that_turns_out_to_be_anothers_is_moved(town: Town) -> None:
    """One line takes it from the one, another gives it to the other."""
    session = await a_charge(town, january(3), 1_000)
    await lock(town, JANUARY, group_by=BY_USER)
    kari = town.people["USER of charger"]
    await ChargeSession.filter(id=session).update(user_id=kari, user_name="Kari")
    found = await content(town, await lock(town, FEBRUARY, group_by=BY_USER))
    assert corrections(found) == [(1, ("Kari",), 1, 1_000), (1, ("Not identified",), -1, -1_000)]


async def test_a_corrected_charge_is_void_here_and_counts_where_it_is_registered(town: Town) -> None:
    """The replaced one is taken from its month, the new one is in the month in which it came."""
    old = await a_charge(town, january(3), 1_000)
    locked = await lock(town, JANUARY)
    new = await a_charge(town, january(3), 800)
    await ChargeSession.filter(id=new).update(registered_at=datetime(2026, 2, 5, tzinfo=UTC))
    await ChargeSession.filter(id=old).update(state=SessionState.VOID, energy_wh=None, replaced_by_id=new)
    assert await corrected(town, locked) == [old]
    found = await content(town, await lock(town, FEBRUARY))
    assert figures(found) == [(("Space 1",), 800)]
    assert corrections(found) == [(1, ("Space 1",), -1, -1_000)]


async def test_a_revision_shows_all_and_says_what_was_locked_or_corrected_before(town: Town) -> None:
    """It has the next number, and corrects its own period only."""
    await a_charge(town, january(3), 1_000)
    await lock(town, JANUARY)
    await lock(town, FEBRUARY)
    await a_charge(town, january(4), 200)
    await a_charge(town, datetime(2026, 2, 3, 9, tzinfo=UTC), 50)
    found = await content(town, await lock(town, JANUARY, as_revision=True))
    assert (found.revision, figures(found), corrections(found)) == (
        3,
        [(("Space 1",), 1_200)],
        [(1, ("Space 1",), 1, 200)],
    )
    after = await content(town, await lock(town, MARCH))
    assert (after.revision, corrections(after)) == (4, [(2, ("Space 1",), 1, 50)])


@pytest.mark.parametrize(
    ("dates", "as_revision"),
    [
        (JANUARY, False),
        ((date(2026, 1, 31), date(2026, 2, 2)), False),
        ((date(2025, 12, 1), date(2026, 1, 2)), True),
        ((date(2026, 1, 5), date(2026, 1, 6)), True),
        ((date(2025, 1, 1), date(2027, 1, 1)), True),
    ],
)
async def test_periods_never_overlap(town: Town, dates: tuple[date, date], as_revision: bool) -> None:
    """Not even as a revision, unless it is the very same period; other bases have their own."""
    await lock(town, JANUARY)
    viewer = await owner_of(town, now=datetime(2027, 6, 1, tzinfo=UTC))
    with pytest.raises(ConflictError) as refused:
        await lock_report(viewer, town.site.id, wish(dates, as_revision=as_revision))
    assert (refused.value.code, refused.value.path) == (ErrorCode.PERIOD_LOCKED, ("period",))
    await lock_report(viewer, town.site.id, wish(dates, basis=ReportBasis.INTERVAL))
    assert await LockedReport.all().count() == 2


async def test_neighbours_do_not_overlap(town: Town) -> None:
    """`to` is the first day that is no longer inside; a period before or after needs no order."""
    for dates in (FEBRUARY, JANUARY, MARCH):
        await lock(town, dates)
    assert await LockedReport.all().order_by("revision").values_list("from_date", flat=True) == [
        FEBRUARY[0],
        JANUARY[0],
        MARCH[0],
    ]


async def test_one_of_many_at_once_locks_the_period(town: Town) -> None:
    """The others are told that it is locked, and their numbers have no gap."""
    await a_charge(town, january(3), 1_000)
    viewer = await owner_of(town)
    wishes = [wish(JANUARY)] * 4 + [wish((date(2026, 1, 15), date(2026, 2, 15)))] * 2
    outcomes = await asyncio.gather(*(lock_report(viewer, town.site.id, one) for one in wishes), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, ConflictError)]
    assert [one.code for one in refused] == [ErrorCode.PERIOD_LOCKED] * 5
    assert [row.revision for row in await LockedReport.all()] == [1]
    await asyncio.gather(*(lock_report(viewer, town.site.id, wish(dates)) for dates in (FEBRUARY, MARCH, APRIL)))
    assert sorted([row.revision for row in await LockedReport.all()]) == [1, 2, 3, 4]


async def test_what_is_wrong_is_said_and_nothing_is_locked(town: Town) -> None:
    """A period that is not over, by the installation's clock; another zone; too many dimensions; dates the wrong way."""
    owner = await owner_of(town, now=datetime(2026, 1, 31, 22, 59, 59, tzinfo=UTC))
    wrong = {
        "to": wish(JANUARY),
        "timeZone": wish((date(2025, 1, 1), date(2025, 2, 1)), time_zone="UTC"),
        "groupBy": wish((date(2025, 1, 1), date(2025, 2, 1)), group_by=()),
    }
    for field, one in wrong.items():
        with pytest.raises(ValidationError) as refused:
            await lock_report(owner, town.site.id, one)
        assert refused.value.path[-1] == field
    assert await LockedReport.all().count() == await LockedLine.all().count() == 0
    just_after = await owner_of(town, now=datetime(2026, 1, 31, 23, tzinfo=UTC))
    await lock_report(just_after, town.site.id, wish(JANUARY, time_zone="Europe/Oslo"))


async def test_only_an_owner_locks_and_sees(town: Town) -> None:
    """Others of the site are told that it is not theirs, strangers that there is no such site."""
    report = await lock(town, JANUARY)
    for person in factories.PEOPLE:
        viewer = await town.access(person, now=LATER)
        page = await locked_reports_page(viewer, town.site.id, PageRequest(first=10))
        is_owner = person == OWNER
        assert [row.id for row in page.rows] == ([report] if is_owner else [])
        assert list(await documents_by_report_ids(viewer, [report])) == ([report] if is_owner else [])
        if is_owner:
            continue
        with pytest.raises((NotAllowedError, NotFoundError)):
            await lock_report(viewer, town.site.id, wish(FEBRUARY))
    entry = await AuditEntry.get(action="report.lock")
    row = (await locked_reports_by_ids(await owner_of(town), [report]))[report]
    assert (entry.object_id, json.loads(entry.state_after or "")["sha256"]) == (report, row.sha256)
    assert row.locked_by == OWNER


async def test_anyone_can_make_the_digest_again(town: Town) -> None:
    """Of the document as it is given, and of the same facts written anew as docs/reports.md says; it names nobody."""
    kari = town.people["USER of charger"]
    await a_charge(town, january(3), 1_000, user_id=kari, user_name="Kari")
    report = await lock(town, JANUARY, group_by=(UsageDimension.USER, UsageDimension.DAY))
    viewer = await owner_of(town)
    document = (await documents_by_report_ids(viewer, [report]))[report]
    row = (await locked_reports_by_ids(viewer, [report]))[report]
    assert hashlib.sha256(document.encode()).hexdigest() == row.sha256
    again = json.dumps(json.loads(document), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert again == document
    assert "Kari" not in document
    assert json.loads(document)["total"]["energyWh"] == 1_000


async def test_a_charge_across_midnight_of_the_month_is_split_once_and_for_all(town: Town) -> None:
    """Under INTERVAL each month has its part, to the Wh; what is measured anew later is corrected in both."""
    start = datetime(2026, 1, 31, 22, tzinfo=UTC)
    session = await a_charge(town, start, 3_001, hours=3)
    first = await lock(town, JANUARY, basis=ReportBasis.INTERVAL)
    second = await lock(town, FEBRUARY, basis=ReportBasis.INTERVAL)
    assert figures(await content(town, first)) == [(("Space 1",), 1_000)]
    assert figures(await content(town, second)) == [(("Space 1",), 2_001)]
    for hour, energy in enumerate((2_000, 1_000, 1)):
        since = start + timedelta(hours=hour)
        await EnergyInterval.create(
            session_id=session,
            installation_id=town.site.id,
            start_at=since,
            end_at=since + timedelta(hours=1),
            energy_wh=energy,
            quality=IntervalQuality.MEASURED,
        )
    third = await content(town, await lock(town, MARCH, basis=ReportBasis.INTERVAL))
    assert corrections(third) == [(1, ("Space 1",), 0, 1_000), (2, ("Space 1",), 0, -1_000)]
    assert await corrected(town, first) == [session]


class World:
    """Charges that come, change, are corrected, and go, while months are locked."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town = town
        self.random = random.Random(seed)
        self.people: list[UUID | None] = [town.people["USER of charger"], town.people["stranger"], None]
        self.sessions: list[UUID] = []

    async def charges(self, count: int) -> None:
        """So many new ones, some offline or with a wrong clock, some across midnights."""
        for _ in range(count):
            start = datetime(2025, 12, 30, tzinfo=UTC) + timedelta(minutes=self.random.randrange(100 * 1440))
            end = start + timedelta(minutes=self.random.choice([0, 40, 300, 2_000]))
            flags = self.random.choice([0, 0, 0, SessionFlag.OFFLINE, SessionFlag.CLOCK_UNRELIABLE])
            session = await factories.a_session(
                self.town.site,
                self.random.choice([self.town.charger_id, self.town.neighbour_id]),
                user_id=self.random.choice(self.people),
                started_at=start,
                ended_at=end,
                energy_wh=self.random.choice([None, 0, self.random.randrange(1, 60_000)]),
                flags=flags,
            )
            late = timedelta(days=self.random.choice([0, 0, 1, 20])) if flags else timedelta()
            await ChargeSession.filter(id=session).update(registered_at=end + late)
            self.sessions.append(session)

    async def trouble(self) -> None:
        """Some of them are other than they were."""
        for session in self.random.sample(self.sessions, len(self.sessions) // 4):
            row = ChargeSession.filter(id=session)
            match self.random.randrange(5):
                case 0:
                    await row.update(energy_wh=self.random.randrange(60_000))
                case 1:
                    await row.update(user_id=self.random.choice(self.people))
                case 2:
                    await row.update(state=SessionState.VOID)
                case 3:
                    found = await row.get()
                    ended = (found.ended_at or found.started_at) + timedelta(hours=30)
                    await row.update(ended_at=ended, registered_at=ended, connected_s=99)
                case 4:
                    await row.update(charging_s=self.random.randrange(1_000), flags=SessionFlag.OFFLINE)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("seed", range(4))
async def test_what_was_locked_and_corrected_adds_up_to_the_live_figures(
    town: Town, basis: ReportBasis, seed: int
) -> None:
    """For every period and every person: the newest revision and all correction lines after it, to the Wh, second and minor unit."""
    world = World(town, seed)
    parts = ((CostUnit.KWH, 1), (CostUnit.SESSION, 5), (CostUnit.MONTH, 50), (CostUnit.HOUR, 2))
    tariff = await factories.a_tariff(
        town.site, *(TariffPart(unit, price * MICRO) for unit, price in parts), vat_percent=25
    )
    await factories.a_tariff_assignment(town.site, tariff)
    months = [JANUARY, FEBRUARY, MARCH]
    world.random.shuffle(months)
    reports: list[Content] = []
    for number, dates in enumerate([*months, months[0], APRIL]):
        await world.charges(12)
        await world.trouble()
        report = await lock(town, dates, basis=basis, group_by=BY_USER, as_revision=number == 3)
        reports.append(await content(town, report))
    for dates in months:
        question = UsageQuestion(
            from_date=dates[0], to_date=dates[1], installation_ids=(town.site.id,), basis=basis, group_by=BY_USER
        )
        now = await usage_summary(await owner_of(town), question, with_costs=True)
        live = {row.key: amounts(row.usage) for row in now.rows}
        assert counted(reports, dates[0]) == {key: found for key, found in live.items() if any(found)}


def amounts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.session_count,
        usage.energy_wh,
        usage.connected_s,
        usage.charging_s,
        usage.offline_count,
        usage.unreliable_count,
        *next(((one.net_minor, one.vat_minor) for one in usage.costs.sums), (0, 0)),
    )


def counted(reports: list[Content], since: date) -> dict[str, tuple[int, ...]]:
    """By group: what the newest report of the period says, with the correction lines that came after it."""
    newest = max(place for place, one in enumerate(reports) if one.summary.period.from_date == since)
    found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for row in reports[newest].summary.rows:
        found[row.key].append(amounts(row.usage))
    for report in reports[newest + 1 :]:
        for line in report.corrections:
            if line.period.from_date == since:
                found[line.row.key].append(amounts(line.row.usage))
    sums = {key: tuple(map(sum, zip(*listed, strict=True))) for key, listed in found.items()}
    return {key: one for key, one in sums.items() if any(one)}


def _minor(usage: Usage) -> tuple[int, int, int]:
    """(net, VAT, how many are not known)."""
    sums = usage.costs.sums
    return sum(one.net_minor for one in sums), sum(one.vat_minor for one in sums), usage.costs.unknown_count


async def _charge(town: Town, day: int, energy_wh: int | None, *, month: int = 1) -> UUID:
    start = datetime(2026, month, day, 9, tzinfo=UTC)
    return await factories.a_session(
        town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=1), energy_wh=energy_wh
    )


@pytest.mark.parametrize("basis", BASES)
async def test_what_is_locked_keeps_its_cost_and_what_comes_later_is_corrected_with_its_own(
    town: Town, basis: ReportBasis
) -> None:
    """Another price corrects nothing; a late session costs what it costs now, one that is void takes back what was locked."""
    tariff = await factories.a_tariff(town.site, TariffPart(CostUnit.KWH, MICRO), vat_percent=25)
    await factories.a_tariff_assignment(town.site, tariff)
    kept, gone = await _charge(town, 5, 1_000), await _charge(town, 6, 4_000)
    first = await content(town, await lock(town, JANUARY, basis=basis))
    assert _minor(first.summary.total) == (500, 125, 0)
    assert [_minor(row.usage) for row in first.summary.rows] == [(500, 125, 0)]
    await Tariff.filter(id=tariff).update(parts=written((TariffPart(CostUnit.KWH, 3 * MICRO),)))
    second = await content(town, await lock(town, FEBRUARY, basis=basis))
    assert (second.corrections, _minor(second.summary.total)) == ((), (0, 0, 0))
    await _charge(town, 7, 200)
    await ChargeSession.filter(id=gone).update(state=SessionState.VOID)
    third = await content(town, await lock(town, MARCH, basis=basis))
    assert [(line.period.from_date, _minor(line.row.usage)) for line in third.corrections] == [
        (JANUARY[0], (60 - 400, 15 - 100, 0))
    ]
    assert (await content(town, await lock(town, APRIL, basis=basis))).corrections == ()
    again = await content(town, await lock(town, JANUARY, basis=basis, as_revision=True))
    assert _minor(again.summary.total) == (300 + 60, 75 + 15, 0)
    assert _minor(again.correction_total) == (200, 50, 0)
    assert kept != gone


async def test_a_cost_that_was_not_known_is_corrected_when_it_is_and_a_monthly_fee_stays(town: Town) -> None:
    """The report says how many are missing; the next one has what they cost."""
    tariff = await factories.a_tariff(town.site, TariffPart(CostUnit.KWH, None), TariffPart(CostUnit.MONTH, 7 * MICRO))
    await factories.a_tariff_assignment(town.site, tariff, valid_to=date(2026, 2, 1))
    await factories.a_tariff_assignment(town.site, tariff, user_id=town.people[OWNER], valid_to=date(2026, 2, 1))
    await _charge(town, 5, 2_000)
    people = 1 + len(("USER of charger", "USER of installation"))
    first = await content(town, await lock(town, JANUARY, group_by=BY_USER))
    assert _minor(first.summary.total) == (700 * people, 0, 1)
    assert {row.labels[0]: _minor(row.usage) for row in first.summary.rows} == {
        "OWNER of installation": (700, 0, 0),
        "USER of charger": (700, 0, 0),
        "USER of installation": (700, 0, 0),
        "Not identified": (0, 0, 1),
    }
    at = datetime(2026, 1, 5, tzinfo=UTC)
    await TariffPrice.create(tariff_id=tariff, start_at=at, end_at=at + timedelta(days=1), price_micro=MICRO)
    second = await content(town, await lock(town, FEBRUARY, group_by=BY_USER))
    assert [(line.row.labels, _minor(line.row.usage)) for line in second.corrections] == [
        (("Not identified",), (200, 0, -1))
    ]
    assert (await content(town, await lock(town, MARCH))).corrections == ()


async def test_a_monthly_fee_by_a_charge_that_came_later_is_corrected_whatever_period_the_charge_counts_in(
    town: Town,
) -> None:
    """A guest's offline charge of January counts in February, and their fee is one of January; so is one of another half of a month."""
    tariff = await factories.a_tariff(town.site, TariffPart(CostUnit.MONTH, 50 * MICRO))
    await factories.a_tariff_assignment(town.site, tariff)
    guest = (await User.create(id=new_id(), name="Guest", created_at=LATER)).id
    owner = await owner_of(town, now=datetime(2026, 2, 1, 9, tzinfo=UTC))
    first = await content(town, await lock_report(owner, town.site.id, wish(JANUARY, group_by=BY_USER)))
    assert _minor(first.summary.total) == (10_000, 0, 0)
    late = await a_charge(town, january(31), 400, flags=SessionFlag.OFFLINE, user_id=guest, user_name="Guest")
    await ChargeSession.filter(id=late).update(registered_at=datetime(2026, 2, 3, tzinfo=UTC))
    second = await content(town, await lock(town, FEBRUARY, group_by=BY_USER))
    assert [(line.period.from_date, line.row.labels, _minor(line.row.usage)) for line in second.corrections] == [
        (JANUARY[0], ("Guest",), (5_000, 0, 0))
    ]
    assert (await content(town, await lock(town, MARCH, group_by=BY_USER))).corrections == ()


async def test_a_monthly_fee_by_a_charge_that_is_void_later_is_corrected_whatever_period_the_charge_counted_in(
    town: Town,
) -> None:
    """A guest's offline charge of January counts in February; when it is void, so is the fee of January that it made."""
    tariff = await factories.a_tariff(town.site, TariffPart(CostUnit.MONTH, 50 * MICRO))
    await factories.a_tariff_assignment(town.site, tariff)
    guest = (await User.create(id=new_id(), name="Guest", created_at=LATER)).id
    late = await a_charge(town, january(31), 400, flags=SessionFlag.OFFLINE, user_id=guest, user_name="Guest")
    await ChargeSession.filter(id=late).update(registered_at=datetime(2026, 2, 3, tzinfo=UTC))
    first = await content(town, await lock(town, JANUARY, group_by=BY_USER))
    assert _minor(first.summary.total) == (15_000, 0, 0)
    await ChargeSession.filter(id=late).update(state=SessionState.VOID, energy_wh=None)
    second = await content(town, await lock(town, FEBRUARY, group_by=BY_USER))
    assert [(line.period.from_date, line.row.labels, _minor(line.row.usage)) for line in second.corrections] == [
        (JANUARY[0], ("Guest",), (-5_000, 0, 0))
    ]
