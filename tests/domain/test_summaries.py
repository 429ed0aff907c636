"""Who used how much."""

import csv
import itertools
import re
import tomllib
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from domain.access import Access
from domain.errors import NotFoundError, ValidationError
from domain.history.history_import import HistoryImport
from domain.history.history_mapping import mapping_of
from domain.ids import new_id
from domain.models import ChargerStatus, ChargeSession, EnergyInterval, Installation, Station, User
from domain.roles import Actor, IntervalQuality, ReportBasis, Role, SessionFlag, SessionState, UsageDimension
from domain.summaries import usage_summary
from domain.usage.question import EmptyReason, UsageFilter, UsageOrder, UsageQuestion, UsageSummary, ordered
from tests import factories
from tests.factories import NOW, Site, Town

pytestmark = pytest.mark.usefixtures("database")

ROOT = Path(__file__).parents[2]
MAPPING = ROOT / "docs/mappings/norway-garages.toml"
REAL = ROOT.parent / "shared/data/norway-garages/sessions.csv"
FEBRUARY = (date(2026, 2, 1), date(2026, 3, 1))
BASES = [ReportBasis.REGISTERED, ReportBasis.ENDED, ReportBasis.INTERVAL]


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


def _question(site: Site, dates: tuple[date, date] = FEBRUARY, **further: object) -> UsageQuestion:
    return UsageQuestion(from_date=dates[0], to_date=dates[1], installation_ids=(site.id,), **further)  # type: ignore[arg-type]  # tests pass fields by name


async def _owner(town: Town) -> Access:
    return await town.access("OWNER of installation")


async def _session(
    town: Town, start: datetime, hours: float = 1, *, charger: UUID | None = None, **further: object
) -> UUID:
    end = start + timedelta(hours=hours)
    return await factories.a_session(town.site, charger or town.charger_id, started_at=start, ended_at=end, **further)  # type: ignore[arg-type]  # as above


def _figures(summary: UsageSummary) -> list[tuple[tuple[str, ...], int, int]]:
    return [(row.labels, row.usage.session_count, row.usage.energy_wh) for row in summary.rows]


async def test_groups_are_keyed_by_id_and_labelled_by_the_newest_name(town: Town) -> None:
    """A charger that was renamed is one group; sessions of nobody known are kept."""
    first = await _session(town, datetime(2026, 2, 3, 9, tzinfo=UTC), energy_wh=1_000)
    second = await _session(town, datetime(2026, 2, 4, 9, tzinfo=UTC), energy_wh=2_500)
    await ChargeSession.filter(id=first).update(charger_name="Space one")
    kari = town.people["USER of charger"]
    await ChargeSession.filter(id=second).update(charger_name="Space 1", user_id=kari, user_name="Kari")
    owner = await _owner(town)
    assert _figures(await usage_summary(owner, _question(town.site))) == [(("Space 1",), 2, 3_500)]
    by_user = await usage_summary(owner, _question(town.site, group_by=(UsageDimension.USER,)))
    assert _figures(by_user) == [(("Kari",), 1, 2_500), (("Not identified",), 1, 1_000)]
    assert by_user.total.energy_wh == 3_500
    by_card = await usage_summary(owner, _question(town.site, group_by=(UsageDimension.CHARGE_CARD,)))
    assert _figures(by_card) == [(("No card",), 2, 3_500)]


@pytest.mark.parametrize("basis", BASES)
async def test_only_ended_sessions_count(town: Town, basis: ReportBasis) -> None:
    """Active and void sessions never do; a session without energy is counted."""
    start = datetime(2026, 2, 3, 9, tzinfo=UTC)
    await _session(town, start, state=SessionState.ACTIVE)
    await _session(town, start, state=SessionState.VOID)
    await _session(town, start, energy_wh=0)
    await _session(town, start, energy_wh=None)
    summary = await usage_summary(await _owner(town), _question(town.site, basis=basis))
    assert _figures(summary) == [(("Space 1",), 2, 0)]


async def test_an_offline_session_counts_when_it_was_registered_and_under_ended_when_it_ended(town: Town) -> None:
    """A session with a wrong clock counts when it was registered under every basis."""
    offline = await _session(town, datetime(2026, 1, 31, 20, tzinfo=UTC), energy_wh=1_000, flags=SessionFlag.OFFLINE)
    unreliable = await _session(
        town, datetime(2026, 1, 31, 20, tzinfo=UTC), energy_wh=20, flags=SessionFlag.CLOCK_UNRELIABLE
    )
    await ChargeSession.filter(id__in=[offline, unreliable]).update(registered_at=datetime(2026, 2, 5, tzinfo=UTC))
    owner = await _owner(town)
    energies = {
        basis: (await usage_summary(owner, _question(town.site, basis=basis))).total.energy_wh for basis in BASES
    }
    assert energies == {ReportBasis.REGISTERED: 1_020, ReportBasis.ENDED: 20, ReportBasis.INTERVAL: 20}
    total = (await usage_summary(owner, _question(town.site))).total
    assert (total.offline_count, total.unreliable_count) == (1, 1)


async def test_interval_takes_the_part_of_a_session_that_lies_inside(town: Town) -> None:
    """Midnight in Oslo is 23:00 UTC: of the two measured hours one is January's, of the estimated 4 kWh a quarter."""
    measured = await _session(town, datetime(2026, 1, 31, 22, tzinfo=UTC), 2, energy_wh=5_000)
    for start, energy in ((22, 1_000), (23, 4_000)):
        at = datetime(2026, 1, 31, start, tzinfo=UTC)
        await EnergyInterval.create(
            session_id=measured,
            installation_id=town.site.id,
            start_at=at,
            end_at=at + timedelta(hours=1),
            energy_wh=energy,
            quality=IntervalQuality.MEASURED,
        )
    await _session(town, datetime(2026, 1, 31, 22, tzinfo=UTC), 4, energy_wh=4_000)
    owner = await _owner(town)
    inside = await usage_summary(owner, _question(town.site, basis=ReportBasis.INTERVAL))
    assert inside.total.energy_wh == 4_000 + 3_000
    assert inside.total.connected_s == 3_600 + 3 * 3_600
    january = _question(town.site, (date(2026, 1, 1), date(2026, 2, 1)), basis=ReportBasis.INTERVAL)
    assert (await usage_summary(owner, january)).total.energy_wh == 1_000 + 1_000


@pytest.mark.parametrize("basis", BASES)
async def test_a_report_of_a_whole_time_is_the_sum_of_its_parts_wherever_it_is_cut(
    town: Town, basis: ReportBasis
) -> None:
    """Also at both changes of the clock, and by the hour."""
    for number, start in enumerate(
        (datetime(2025, 3, 29, 22, 30, tzinfo=UTC), datetime(2025, 10, 25, 22, 17, 9, 123456, tzinfo=UTC))
    ):
        for step in range(6):
            await _session(town, start + timedelta(hours=step * 5), 7.3, energy_wh=7_777 + number * 13 + step)
    owner = await _owner(town)

    async def energy(since: date, until: date, group_by: UsageDimension = UsageDimension.CHARGER) -> int:
        question = _question(town.site, (since, until), basis=basis, group_by=(group_by,))
        summary = await usage_summary(owner, question)
        assert sum(row.usage.energy_wh for row in summary.rows) == summary.total.energy_wh
        return summary.total.energy_wh

    whole = await energy(date(2025, 3, 1), date(2025, 11, 1))
    assert whole == 6 * 7_777 * 2 + 6 * 13 + 2 * sum(range(6))
    for cut in (date(2025, 3, 30), date(2025, 3, 31), date(2025, 10, 26), date(2025, 10, 27)):
        assert await energy(date(2025, 3, 1), cut) + await energy(cut, date(2025, 11, 1)) == whole
    for dimension in (UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH):
        assert await energy(date(2025, 3, 1), date(2025, 11, 1), dimension) == whole


async def test_time_is_grouped_by_the_local_clock(town: Town) -> None:
    """23:30 UTC is the next day in Oslo; the two hours 02 of the autumn night are two rows with one label."""
    for hour, minute in ((0, 30), (1, 30)):
        await _session(town, datetime(2025, 10, 26, hour, minute, tzinfo=UTC), 0, energy_wh=1_000)
    await _session(town, datetime(2025, 10, 26, 23, 30, tzinfo=UTC), 0.25, energy_wh=300)
    owner = await _owner(town)
    dates = (date(2025, 10, 1), date(2025, 11, 1))
    by_hour = await usage_summary(owner, _question(town.site, dates, group_by=(UsageDimension.HOUR,)))
    assert _figures(by_hour) == [
        (("2025-10-26 02:00",), 1, 1_000),
        (("2025-10-26 02:00",), 1, 1_000),
        (("2025-10-27 00:00",), 1, 300),
    ]
    assert len({row.key for row in by_hour.rows}) == 3
    assert [row.start_at for row in by_hour.rows][:2] == [
        datetime(2025, 10, 26, 0, tzinfo=UTC),
        datetime(2025, 10, 26, 1, tzinfo=UTC),
    ]
    by_week = await usage_summary(
        owner, _question(town.site, dates, group_by=(UsageDimension.CHARGER, UsageDimension.WEEK))
    )
    assert _figures(by_week) == [(("Space 1", "2025-W43"), 2, 2_000), (("Space 1", "2025-W44"), 1, 300)]


async def test_filters_narrow_and_an_empty_summary_says_that_they_did(town: Town) -> None:
    """By charger, person, identification, flag and energy."""
    kari = town.people["USER of charger"]
    start = datetime(2026, 2, 3, 9, tzinfo=UTC)
    await _session(town, start, energy_wh=1_000, user_id=kari, user_name="Kari", flags=SessionFlag.SIGNED)
    await _session(town, start, energy_wh=3_000, charger=town.neighbour_id)
    owner = await _owner(town)

    async def energy(**where: object) -> int:
        question = _question(town.site, where=UsageFilter(**where))  # type: ignore[arg-type]  # fields by name
        return (await usage_summary(owner, question)).total.energy_wh

    assert await energy(charger_ids=(town.neighbour_id,)) == 3_000
    assert await energy(user_ids=(kari,)) == 1_000
    assert await energy(is_identified=False) == 3_000
    assert await energy(flags=(SessionFlag.SIGNED, SessionFlag.OFFLINE)) == 1_000
    assert await energy(min_energy_wh=1_001) == 3_000
    nothing = await usage_summary(owner, _question(town.site, where=UsageFilter(min_energy_wh=9_999)))
    assert nothing.empty_because is not None
    assert nothing.empty_because.reason is EmptyReason.FILTERED_OUT


async def test_an_empty_summary_says_why(town: Town) -> None:
    """No sessions at all; none in the period, with the nearest; chargers that were silent."""
    owner = await _owner(town)

    async def reason(dates: tuple[date, date] = FEBRUARY) -> tuple[EmptyReason, datetime | None]:
        because = (await usage_summary(owner, _question(town.site, dates))).empty_because
        assert because is not None
        return because.reason, because.nearest_session_at

    assert await reason() == (EmptyReason.NO_SESSIONS, None)
    at = datetime(2026, 1, 5, 10, tzinfo=UTC)
    await _session(town, at - timedelta(hours=1), 1)
    await ChargerStatus.all().update(is_online=True)
    assert await reason() == (EmptyReason.NONE_IN_PERIOD, at)
    assert await reason((date(2025, 11, 1), date(2025, 12, 1))) == (EmptyReason.NONE_IN_PERIOD, at)
    await ChargerStatus.all().update(is_online=False)
    await Station.all().update(last_seen_at=at)
    assert await reason() == (EmptyReason.CHARGERS_OFFLINE, at)


async def test_coverage_names_the_chargers_that_may_still_deliver(town: Town) -> None:
    """Longest silent first; a connected charger has delivered, and so has one heard after the period."""
    owner = await _owner(town)
    last = datetime(2026, 2, 20, tzinfo=UTC)
    await ChargerStatus.filter(charger_id=town.neighbour_id).update(is_online=True)
    await Station.all().update(last_seen_at=last)
    february = (await usage_summary(owner, _question(town.site))).coverage
    assert [(one.charger_id, one.since) for one in february.silent] == [(town.charger_id, last)]
    assert not february.is_complete
    january = await usage_summary(owner, _question(town.site, (date(2026, 1, 1), date(2026, 2, 1))))
    assert january.coverage.is_complete


async def test_coverage_is_worked_out_only_for_who_looks_at_it(town: Town) -> None:
    """The figures are the same without; that it was not asked for is never taken for complete, and an empty summary says why."""
    owner, question = await _owner(town), _question(town.site)
    empty = await usage_summary(owner, question, with_coverage=False)
    assert empty.empty_because is not None
    assert empty.empty_because.reason is EmptyReason.NO_SESSIONS
    start = datetime(2026, 2, 3, 9, tzinfo=UTC)
    await factories.a_session(town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=1))
    bare, whole = [await usage_summary(owner, question, with_coverage=wanted) for wanted in (False, True)]
    assert (bare.rows, bare.total) == (whole.rows, whole.total)
    with pytest.raises(LookupError):
        _ = bare.coverage


async def test_coverage_of_ones_own_charging_tells_nothing_of_others(town: Town) -> None:
    """A charger that was never connected counts from one's own newest session, not from a neighbour's."""
    driver = town.people["USER of charger"]
    mine = datetime(2026, 1, 5, 10, tzinfo=UTC)
    for user_id, ended_at in ((driver, mine), (town.people["USER of installation"], mine + timedelta(days=20))):
        await _session(town, ended_at - timedelta(hours=1), user_id=user_id)
    question = UsageQuestion(from_date=FEBRUARY[0], to_date=FEBRUARY[1])
    covered = (await usage_summary(await factories.access(driver), question)).coverage
    assert [(one.charger_id, one.since) for one in covered.silent] == [(town.charger_id, mine)]


async def test_idle_things_appear_when_asked_for(town: Town) -> None:
    """Every charger, and every month, with nothing in it; people and cards that may charge through a group, too."""
    await _session(town, datetime(2026, 2, 3, 9, tzinfo=UTC), energy_wh=1_000)
    owner = await _owner(town)
    idle = await usage_summary(owner, _question(town.site, include_idle=True))
    assert _figures(idle) == [(("Space 1",), 1, 1_000), (("Space 2",), 0, 0)]
    dates = (date(2026, 1, 1), date(2026, 3, 1))
    months = _question(town.site, dates, include_idle=True, group_by=(UsageDimension.CHARGER, UsageDimension.MONTH))
    assert _figures(await usage_summary(owner, months)) == [
        (("Space 1", "2026-01"), 0, 0),
        (("Space 1", "2026-02"), 1, 1_000),
        (("Space 2", "2026-01"), 0, 0),
        (("Space 2", "2026-02"), 0, 0),
    ]
    member = await factories.a_person("Member")
    await factories.a_card(member, name="Member's card")
    await factories.a_grant(Role.USER, town.site, group_id=await factories.a_group(town.site, member))
    people = await usage_summary(owner, _question(town.site, include_idle=True, group_by=(UsageDimension.USER,)))
    assert {row.labels for row in people.rows} >= {("SERVICE",), ("Member",), ("Not identified",)}
    cards = await usage_summary(owner, _question(town.site, include_idle=True, group_by=(UsageDimension.CHARGE_CARD,)))
    assert ("Member's card",) in {row.labels for row in cards.rows}


async def test_idle_hours_of_many_years_are_too_many(town: Town) -> None:
    """A year of them is made, two are refused before they are."""
    owner = await _owner(town)
    year = _question(
        town.site, (date(2025, 1, 1), date(2026, 1, 1)), include_idle=True, group_by=(UsageDimension.HOUR,)
    )
    assert len((await usage_summary(owner, year)).rows) == 365 * 24
    years = _question(
        town.site, (date(2024, 1, 1), date(2026, 1, 1)), include_idle=True, group_by=(UsageDimension.HOUR,)
    )
    with pytest.raises(ValidationError, match="too many empty rows"):
        await usage_summary(owner, years)


async def test_rows_are_ordered_as_asked(town: Town) -> None:
    """By energy, and by label with what is not identified last."""
    start = datetime(2026, 2, 3, 9, tzinfo=UTC)
    for person, energy in (("SERVICE", 10), ("stranger", 30), ("USER of charger", 20)):
        await _session(town, start, energy_wh=energy, user_id=town.people[person], user_name=person)
    await _session(town, start, energy_wh=25)
    summary = await usage_summary(await _owner(town), _question(town.site, group_by=(UsageDimension.USER,)))
    assert [row.labels[0] for row in summary.rows] == ["SERVICE", "stranger", "USER of charger", "Not identified"]
    by_energy = ordered(summary.rows, UsageOrder.ENERGY, is_descending=True)
    assert [row.usage.energy_wh for row in by_energy] == [30, 25, 20, 10]


@pytest.mark.parametrize("person", [name for name in factories.PEOPLE if name != "OWNER of installation"])
async def test_only_an_owner_of_the_installation_may_ask(town: Town, person: str) -> None:
    """For all others it looks as if it did not exist, and so does one of several."""
    access = await town.access(person)
    with pytest.raises(NotFoundError) as hidden:
        await usage_summary(access, _question(town.site))
    with pytest.raises(NotFoundError) as absent:
        await usage_summary(
            access, UsageQuestion(from_date=FEBRUARY[0], to_date=FEBRUARY[1], installation_ids=(new_id(),))
        )
    assert (hidden.value.message, hidden.value.path) == (absent.value.message, absent.value.path)


async def test_one_hidden_installation_or_filter_id_hides_the_whole(town: Town) -> None:
    """Hidden and absent ids of chargers, people, cards and circuits look the same."""
    owner = await _owner(town)
    both = UsageQuestion(
        from_date=FEBRUARY[0], to_date=FEBRUARY[1], installation_ids=(town.site.id, town.other_site.id)
    )
    with pytest.raises(NotFoundError):
        await usage_summary(owner, both)
    stranger = town.people["stranger"]
    card = await factories.a_card(stranger)
    for where in (
        UsageFilter(charger_ids=(town.charger_id, town.other_charger_id)),
        UsageFilter(charger_ids=(new_id(),)),
        UsageFilter(user_ids=(stranger,)),
        UsageFilter(charge_card_ids=(card,)),
        UsageFilter(circuit_ids=(town.other_site.root_id,)),
    ):
        with pytest.raises(NotFoundError):
            await usage_summary(owner, _question(town.site, where=where))


async def test_ones_own_sessions_are_summed_everywhere_and_nothing_else(town: Town) -> None:
    """Also at installations where one has no role any more; circuits stay hidden from those who may not see them."""
    me = town.people["USER of charger"]
    start = datetime(2026, 2, 3, 9, tzinfo=UTC)
    await _session(town, start, energy_wh=1_000, user_id=me, user_name="Me")
    await _session(town, start, energy_wh=9_000)
    await factories.a_session(
        town.other_site,
        town.other_charger_id,
        user_id=me,
        started_at=start,
        ended_at=start + timedelta(hours=1),
        energy_wh=50,
    )
    own = UsageQuestion(from_date=FEBRUARY[0], to_date=FEBRUARY[1], group_by=(UsageDimension.CIRCUIT,))
    access = await town.access("USER of charger")
    assert _figures(await usage_summary(access, own)) == [(("No circuit",), 2, 1_050)]
    await Installation.filter(id=town.other_site.id).update(time_zone="Europe/Helsinki")
    with pytest.raises(ValidationError) as caught:
        await usage_summary(access, own)
    assert caught.value.path == ("period", "timeZone")


async def test_questions_that_make_no_sense_are_refused(town: Town) -> None:
    """No dimension, twice the same, three of them."""
    owner = await _owner(town)
    chargers = UsageDimension.CHARGER
    for group_by in ((), (chargers, chargers), (chargers, UsageDimension.USER, UsageDimension.DAY)):
        with pytest.raises(ValidationError):
            await usage_summary(owner, _question(town.site, group_by=group_by))


async def test_the_documented_example_counts_where_the_documentation_says(town: Town) -> None:
    """docs/reports.md: one offline session under every basis; with a lost clock all of it where it was registered."""
    text = (ROOT / "docs/reports.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (REGISTERED|ENDED|INTERVAL) \| (\d) kWh \| (\d) kWh \| (\d) kWh \|$", text, re.MULTILINE)
    documented = {ReportBasis(basis): [int(one) * 1_000 for one in months] for basis, *months in lines}
    session = await _session(town, datetime(2026, 1, 31, 19, tzinfo=UTC), 6, energy_wh=6_000, flags=SessionFlag.OFFLINE)
    await ChargeSession.filter(id=session).update(registered_at=datetime(2026, 3, 3, 12, tzinfo=UTC))
    owner = await _owner(town)
    firsts = [date(2026, month, 1) for month in (1, 2, 3, 4)]

    async def counted(basis: ReportBasis) -> list[int]:
        return [
            (await usage_summary(owner, _question(town.site, dates, basis=basis))).total.energy_wh
            for dates in itertools.pairwise(firsts)
        ]

    assert {basis: await counted(basis) for basis in ReportBasis} == documented
    await ChargeSession.filter(id=session).update(flags=SessionFlag.OFFLINE | SessionFlag.CLOCK_UNRELIABLE)
    assert [await counted(basis) for basis in ReportBasis] == [[0, 0, 6_000]] * 3


async def test_no_user_is_not_identified_and_never_dropped_so_totals_by_user_equal_totals_by_charger(
    town: Town,
) -> None:
    """Under every basis."""
    for number, user in enumerate((None, town.people["USER of charger"], None)):
        await _session(
            town,
            datetime(2026, 2, 3 + number, 9, tzinfo=UTC),
            charger=town.neighbour_id if number else town.charger_id,
            user_id=user,
            user_name="Kari" if user else None,
            energy_wh=1_000 + number,
        )
    owner = await _owner(town)
    for basis in BASES:
        by_user = await usage_summary(owner, _question(town.site, group_by=(UsageDimension.USER,), basis=basis))
        by_charger = await usage_summary(owner, _question(town.site, basis=basis))
        assert _figures(by_user) == [(("Kari",), 1, 1_001), (("Not identified",), 2, 2_002)]
        assert by_user.total == by_charger.total


async def test_a_replaced_session_counts_once_as_the_one_that_replaces_it(town: Town) -> None:
    """The replaced one is VOID: what it had counts no more, the correction where it was registered itself."""
    start = datetime(2026, 1, 30, 9, tzinfo=UTC)
    old = await _session(town, start, energy_wh=None, state=SessionState.VOID)
    new = await _session(town, start, energy_wh=1_234)
    await ChargeSession.filter(id=old).update(replaced_by_id=new)
    await ChargeSession.filter(id=new).update(registered_at=datetime(2026, 2, 2, tzinfo=UTC))
    owner = await _owner(town)
    assert _figures(await usage_summary(owner, _question(town.site))) == [(("Space 1",), 1, 1_234)]


async def test_under_interval_durations_are_clipped_and_a_session_over_a_border_counts_on_both_sides(
    town: Town,
) -> None:
    """Three hours of which one lies in January: energy and durations add up, the number of sessions does not."""
    session = await _session(town, datetime(2026, 1, 31, 22, tzinfo=UTC), 3, energy_wh=3_000)
    await ChargeSession.filter(id=session).update(charging_s=5_400)
    owner = await _owner(town)
    months = (date(2026, 1, 1), date(2026, 2, 1)), FEBRUARY, (date(2026, 1, 1), date(2026, 3, 1))
    totals = [
        (await usage_summary(owner, _question(town.site, dates, basis=ReportBasis.INTERVAL))).total for dates in months
    ]
    assert [(one.session_count, one.energy_wh, one.connected_s, one.charging_s) for one in totals] == [
        (1, 1_000, 3_600, 1_800),
        (1, 2_000, 7_200, 3_600),
        (1, 3_000, 10_800, 5_400),
    ]


@pytest.mark.parametrize("days", [28, 30, 31, 400])
async def test_a_session_that_began_long_ago_is_in_every_period_that_it_touches(town: Town, days: int) -> None:
    """Under INTERVAL, 10 Wh for each quarter of an hour: also one that spans more than the period."""
    start = datetime(2026, 1, 31, 23, tzinfo=UTC) - timedelta(days=days - 1)
    await _session(town, start, 24 * days, energy_wh=960 * days)
    owner = await _owner(town)
    summary = await usage_summary(owner, _question(town.site, basis=ReportBasis.INTERVAL))
    assert _figures(summary) == [(("Space 1",), 1, 960)]
    within = _question(town.site, (date(2026, 1, 20), date(2026, 1, 21)), basis=ReportBasis.INTERVAL)
    assert (await usage_summary(owner, within)).total.energy_wh == 960


async def test_installations_in_different_zones_need_an_explicit_time_zone(town: Town) -> None:
    """Without one nobody could say which the days are; with one they are that zone's."""
    other = await factories.a_site("Helsinki", time_zone="Europe/Helsinki")
    await factories.a_grant(Role.OWNER, other, user_id=town.people["OWNER of installation"])
    at = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)
    await factories.a_session(other, await factories.a_charger(other), started_at=at, ended_at=at, energy_wh=500)
    owner = await _owner(town)
    both = UsageQuestion(from_date=FEBRUARY[0], to_date=FEBRUARY[1], installation_ids=(town.site.id, other.id))
    with pytest.raises(ValidationError) as caught:
        await usage_summary(owner, both)
    assert caught.value.path == ("period", "timeZone")
    energies = [
        (await usage_summary(owner, msgspec.structs.replace(both, time_zone=zone))).total.energy_wh
        for zone in ("Europe/Helsinki", "Europe/Oslo")
    ]
    assert energies == [500, 0]


async def test_periods_that_make_no_sense_are_refused(town: Town) -> None:
    """One that ends before it begins, or at once; of fifty years; in a zone that nobody knows."""
    owner = await _owner(town)
    for dates, zone in (
        ((date(2026, 2, 1), date(2026, 1, 1)), None),
        ((date(2026, 2, 1), date(2026, 2, 1)), None),
        ((date(1990, 1, 1), date(2040, 1, 1)), None),
        (FEBRUARY, "Europe/Atlantis"),
    ):
        with pytest.raises(ValidationError):
            await usage_summary(owner, _question(town.site, dates, time_zone=zone))


@pytest.mark.skipif(not REAL.exists(), reason="the data lie beside the project")
@pytest.mark.parametrize("basis", BASES)
async def test_the_norwegian_garages_add_up_by_charger_and_by_person(basis: ReportBasis) -> None:
    """Per garage and month as an independent sum over the file; under INTERVAL in all."""
    with REAL.open(encoding="utf-8") as file:
        mapping = mapping_of(tomllib.loads(MAPPING.read_text()))
        await HistoryImport(mapping, now=NOW, dry_run=False, on_rejected=lambda _: None).run(file)
    sites = [site.id for site in await Installation.all()]
    actor = Actor(user_id=(await User.first() or User()).id)
    owner = Access(actor=actor, now=NOW, installations=dict.fromkeys(sites, frozenset({Role.OWNER})))

    async def totals(thing: UsageDimension) -> Counter[tuple[str, ...]]:
        found: Counter[tuple[str, ...]] = Counter()
        for site in await Installation.all():
            question = UsageQuestion(
                from_date=date(2018, 12, 1),
                to_date=date(2020, 3, 1),
                installation_ids=(site.id,),
                group_by=(UsageDimension.MONTH, thing),
                basis=basis,
            )
            for row in (await usage_summary(owner, question)).rows:
                found[site.name, *row.labels] += row.usage.energy_wh
        return found

    by_charger, by_person = await totals(UsageDimension.CHARGER), await totals(UsageDimension.USER)
    assert sum(by_charger.values()) == sum(by_person.values()) == 87_493_280
    if basis is not ReportBasis.INTERVAL:
        assert (by_charger, by_person) == _expected()


def _expected() -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Wh by (garage, month, charger) and by (garage, month, person), from nothing but the file."""
    chargers: Counter[tuple[str, ...]] = Counter()
    people: Counter[tuple[str, ...]] = Counter()
    with REAL.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            at = row["Start_plugin"] if row["End_plugout"] == "NA" else row["End_plugout"]
            month, energy = f"{at[6:10]}-{at[3:5]}", int(Decimal(row["El_kWh"].replace(",", ".")) * 1000)
            charger = row["User_ID"] if row["Shared_ID"] == "NA" else row["Shared_ID"]
            chargers[row["Garage_ID"], month, charger] += energy
            people[row["Garage_ID"], month, row["User_ID"]] += energy
    return chargers, people
