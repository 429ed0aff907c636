"""Costs in summaries: they add up over time and over every grouping, whatever the charges and tariffs."""

import itertools
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from domain.access import Access
from domain.costs import costs_by_ids
from domain.history.history_import import HistoryImport
from domain.history.history_mapping import mapping_of
from domain.models import ChargeSession, EnergyInterval, Installation, TariffPrice, User
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart
from domain.pricing.sums import Costs, Sum
from domain.roles import (
    Actor,
    CostUnit,
    IntervalQuality,
    ReportBasis,
    Role,
    SessionFlag,
    SessionState,
    UsageDimension,
    Weekday,
)
from domain.summaries import bills, usage_summary
from domain.usage.question import UsageFilter, UsageOrder, UsageQuestion, ordered
from gql.ids import global_id
from tests import factories
from tests.factories import NOW, Site, Town
from tests.gql.asking import Api

pytestmark = pytest.mark.usefixtures("database")

KWH, HOUR, IDLE_HOUR, SESSION, MONTH = CostUnit
ROOT = Path(__file__).parents[3]
MAPPING = ROOT / "docs/mappings/norway-garages.toml"
REAL = ROOT.parent / "shared/data/norway-garages/sessions.csv"
BASES = [ReportBasis.REGISTERED, ReportBasis.ENDED, ReportBasis.INTERVAL]
FEBRUARY = (date(2026, 2, 1), date(2026, 3, 1))
START = datetime(2026, 2, 3, 9, tzinfo=UTC)


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


def question(site: Site, dates: tuple[date, date] = FEBRUARY, **further: object) -> UsageQuestion:
    return UsageQuestion(from_date=dates[0], to_date=dates[1], installation_ids=(site.id,), **further)  # type: ignore[arg-type]  # fields by name


async def owner(town: Town) -> Access:
    return await town.access("OWNER of installation")


async def session(town: Town, start: datetime = START, hours: float = 1, **further: Any) -> UUID:
    given = {"energy_wh": 1_000, **further}
    return await factories.a_session(
        town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=hours), **given
    )


async def total(town: Town, dates: tuple[date, date] = FEBRUARY, **further: object) -> Costs:
    found = await usage_summary(await owner(town), question(town.site, dates, **further), with_costs=True)
    assert sum((row.usage.costs for row in found.rows), Costs()) == found.total.costs
    return found.total.costs


def nok(net: int, vat: int = 0, unknown: int = 0) -> Costs:
    return Costs((Sum("NOK", net, vat),), unknown)


async def test_costs_are_there_when_they_are_asked_for(town: Town) -> None:
    """And empty where no tariff applies."""
    await session(town)
    assert await total(town) == Costs()
    await factories.a_tariff_assignment(town.site, await factories.a_tariff(town.site, vat_percent=25))
    assert await total(town) == nok(100, 25)
    assert (await usage_summary(await owner(town), question(town.site))).total.costs == Costs()


async def test_whole_sessions_have_all_their_lines_and_intervals_those_of_their_days(town: Town) -> None:
    """A charge from the last of January on: its fee is January's under INTERVAL, its energy each day's."""
    tariff = await factories.a_tariff(town.site, TariffPart(KWH, MICRO), TariffPart(SESSION, 5 * MICRO))
    await factories.a_tariff_assignment(town.site, tariff)
    await session(town, datetime(2026, 1, 31, 22, tzinfo=UTC), 4, energy_wh=4_000)
    january = (date(2026, 1, 1), date(2026, 2, 1))
    for basis in BASES[:2]:
        assert (await total(town, january, basis=basis), await total(town, basis=basis)) == (Costs(), nok(900))
    assert (await total(town, january, basis=BASES[2]), await total(town, basis=BASES[2])) == (nok(600), nok(300))


async def test_a_charge_with_a_wrong_clock_costs_where_it_was_registered(town: Town) -> None:
    """Whole, under every basis."""
    await factories.a_tariff_assignment(town.site, await factories.a_tariff(town.site))
    one = await session(town, datetime(2025, 5, 5, tzinfo=UTC), 50, flags=SessionFlag.CLOCK_UNRELIABLE)
    await ChargeSession.filter(id=one).update(registered_at=START)
    assert [await total(town, basis=basis) for basis in BASES] == [nok(100)] * 3
    may = (date(2025, 5, 1), date(2025, 6, 1))
    assert [await total(town, may, basis=basis) for basis in BASES] == [Costs()] * 3


@pytest.mark.parametrize("basis", BASES)
async def test_a_cost_that_is_not_known_is_counted_and_not_guessed(town: Town, basis: ReportBasis) -> None:
    """The rest is there; the API says how many are missing."""
    tariff = await factories.a_tariff(town.site, TariffPart(KWH, None))
    await factories.a_tariff_assignment(town.site, tariff)
    await TariffPrice.create(tariff_id=tariff, start_at=START, end_at=START + timedelta(hours=1), price_micro=2 * MICRO)
    await session(town)
    await session(town, START + timedelta(days=1))
    assert await total(town, basis=basis) == nok(200, unknown=1)
    document = """query ($id: ID!, $basis: ReportBasis!) { node(id: $id) { ... on Installation {
        usageSummary(period: {from: "2026-02-01", to: "2026-03-01"}, basis: $basis) { total { ...Cost } }
    } } } fragment Cost on Usage { costs { amount currency } unknownCostCount }"""
    given = {"id": global_id("Installation", town.site.id), "basis": basis.value}
    data = await Api().data(await owner(town), document, given)
    expected = {"costs": [{"amount": "2.00", "currency": "NOK"}], "unknownCostCount": 1}
    assert data["node"]["usageSummary"]["total"] == expected


async def test_rows_are_ordered_by_cost(town: Town) -> None:
    """What costs nothing comes last both ways; through a variable, too."""
    await factories.a_tariff_assignment(town.site, await factories.a_tariff(town.site), valid_from=date(2026, 2, 3))
    for name, energy in (("stranger", 300), ("SERVICE", 100), ("USER of charger", 200)):
        await session(town, user_id=town.people[name], user_name=name, energy_wh=energy)
    await session(town, START - timedelta(days=1), user_id=town.people["OWNER of charger"], user_name="Free")
    asked = question(town.site, group_by=(UsageDimension.USER,))
    rows = (await usage_summary(await owner(town), asked, with_costs=True)).rows
    priced = ["SERVICE", "USER of charger", "stranger"]
    for is_descending, names in ((False, [*priced, "Free"]), (True, [*priced[::-1], "Free"])):
        found = ordered(rows, UsageOrder.COST, is_descending=is_descending)
        assert [row.labels[0] for row in found] == names
    document = """query ($id: ID!, $order: UsageRowOrder) { usageSummary(input: {
        installationIds: [$id], period: {from: "2026-02-01", to: "2026-03-01"}, groupBy: [USER]
    }) { rows(first: 2, orderBy: $order) { nodes { labels } } } }"""
    given = {"id": global_id("Installation", town.site.id), "order": {"field": "COST"}}
    data = await Api().data(await owner(town), document, given)
    assert [row["labels"] for row in data["usageSummary"]["rows"]["nodes"]] == [["stranger"], ["USER of charger"]]


async def test_ones_own_costs_are_ones_own(town: Town) -> None:
    """A driver sees the sum of their charges and of their fee, and nobody else's."""
    tariff = await factories.a_tariff(town.site, TariffPart(KWH, MICRO), TariffPart(MONTH, 99 * MICRO))
    await factories.a_tariff_assignment(town.site, tariff)
    driver = town.people["USER of charger"]
    await session(town, user_id=driver)
    await session(town, user_id=town.people["USER of installation"], energy_wh=7_000)
    own = UsageQuestion(from_date=FEBRUARY[0], to_date=FEBRUARY[1], group_by=(UsageDimension.USER,))
    found = await usage_summary(await factories.access(driver), own, with_costs=True)
    assert found.total.costs == nok(100 + 9_900)
    assert [row.labels for row in found.rows] == [("USER of charger",)]


async def test_the_monthly_fee_falls_on_each_person_who_has_the_tariff_on_the_first(town: Town) -> None:
    """By name, as a member that day, or of the installation who may charge there or did in that month; narrower tariffs have their own."""
    fees = [await factories.a_tariff(town.site, TariffPart(MONTH, n * MICRO), name=f"Fee {n}") for n in (1, 10, 100)]
    member, named, guest, left = [await factories.a_person(name) for name in ("Member", "Named", "Guest", "Left")]
    group = await factories.a_group(town.site, member)
    await factories.a_tariff_assignment(town.site, fees[0])
    await factories.a_tariff_assignment(town.site, fees[1], group_id=group)
    await factories.a_tariff_assignment(town.site, fees[2], user_id=named)
    await factories.a_grant(Role.USER, town.site, user_id=left, valid_to=datetime(2026, 1, 20, tzinfo=UTC))
    await session(town, user_id=guest, user_name="Guest")
    asked = question(
        town.site, (date(2026, 1, 1), date(2026, 3, 1)), group_by=(UsageDimension.USER, UsageDimension.MONTH)
    )
    found = await usage_summary(await owner(town), asked, with_costs=True)
    assert {row.labels: [one.net_minor for one in row.usage.costs.sums] for row in found.rows} == {
        ("Guest", "2026-02"): [100],
        ("Left", "2026-01"): [100],
        ("Member", "2026-01"): [1_000],
        ("Member", "2026-02"): [1_000],
        ("Named", "2026-01"): [10_000],
        ("Named", "2026-02"): [10_000],
        ("USER of charger", "2026-01"): [100],
        ("USER of charger", "2026-02"): [100],
        ("USER of installation", "2026-01"): [100],
        ("USER of installation", "2026-02"): [100],
    }
    assert found.total.session_count == 1
    by_charger = await usage_summary(await owner(town), question(town.site), with_costs=True)
    assert [(row.labels[0], row.usage.costs) for row in by_charger.rows] == [
        ("Space 1", nok(0)),
        ("No charger", nok(100 + 1_000 + 10_000 + 100 + 100)),
    ]


async def test_a_fee_is_of_a_month_that_has_begun_and_a_filter_on_things_leaves_it_out(town: Town) -> None:
    """April's is not there in March; the 1st lies in the period or it does not."""
    tariff = await factories.a_tariff(town.site, TariffPart(MONTH, MICRO))
    await factories.a_tariff_assignment(town.site, tariff, user_id=town.people["USER of charger"])
    assert await total(town, (date(2026, 1, 1), date(2026, 12, 1))) == nok(300)
    assert await total(town, (date(2026, 2, 2), date(2026, 3, 1))) == Costs()
    other = UsageFilter(user_ids=(town.people["USER of installation"],))
    for where in (UsageFilter(charger_ids=(town.charger_id,)), UsageFilter(is_identified=False), other):
        assert await total(town, where=where) == Costs()
    assert await total(town, where=UsageFilter(user_ids=(town.people["USER of charger"],))) == nok(100)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A world of random charges under random tariffs."""

    town: Town
    ids: Sequence[UUID]


async def drawn(town: Town, random: Random, count: int) -> Drawn:
    """Charges around the ends of March 2025, when the clock changes, with four tariffs, two of them with prices by the hour."""
    begins = datetime(2025, 3, 27, 12, tzinfo=UTC)
    night = TariffPart(KWH, random.randrange(MICRO), 0, (), time(22), time(6, 30))
    tariffs = [
        [
            night,
            TariffPart(KWH, random.randrange(3 * MICRO), 7, (), time(6, 30), time(22)),
            TariffPart(MONTH, 12_345_678),
        ],
        [TariffPart(KWH, None, 123_456), TariffPart(IDLE_HOUR, 2_345_678), TariffPart(SESSION, 333_333)],
        [
            TariffPart(KWH, random.randrange(MICRO), 0, tuple(Weekday)[:5]),
            TariffPart(KWH, None, 0, tuple(Weekday)[5:]),
            TariffPart(HOUR, random.randrange(MICRO)),
        ],
        [TariffPart(HOUR, 1_111_111, 0, (), time(1), time(3)), TariffPart(HOUR, 0, 0, (), time(3), time(1))],
    ]
    ids = [
        await factories.a_tariff(town.site, *parts, name=f"T{n}", vat_percent=random.choice((0, 12, 25)))
        for n, parts in enumerate(tariffs)
    ]
    people = [town.people["USER of charger"], town.people["USER of installation"], await factories.a_person("Nora")]
    group = await factories.a_group(town.site, people[1])
    await factories.a_tariff_assignment(town.site, ids[0], valid_to=date(2025, 3, 30))
    await factories.a_tariff_assignment(town.site, ids[1], valid_from=date(2025, 3, 30), valid_to=date(2025, 4, 2))
    await factories.a_tariff_assignment(town.site, ids[2], group_id=group, valid_from=date(2025, 3, 29))
    await factories.a_tariff_assignment(town.site, ids[3], user_id=people[2], valid_from=date(2025, 4, 1))
    for tariff in ids[1:3]:
        for hour in range(24 * 8):
            at = begins.replace(hour=0) + timedelta(hours=hour)
            if random.random() > 0.01:
                await TariffPrice.create(
                    tariff_id=tariff,
                    start_at=at,
                    end_at=at + timedelta(hours=1),
                    price_micro=random.randrange(-MICRO, 2 * MICRO),
                )
    found = [await _drawn_session(town, random, begins, people) for _ in range(count)]
    return Drawn(town, found)


async def _drawn_session(town: Town, random: Random, begins: datetime, people: Sequence[UUID]) -> UUID:
    start = begins + timedelta(seconds=random.randrange(5 * 86_400))
    length = random.choice((0, 60, 3_600, 40_000, 200_000)) * random.random()
    user = random.choice([*people, None])
    one = await session(
        town,
        start,
        length / 3_600,
        user_id=user,
        user_name=None if user is None else (await User.get(id=user)).name,
        energy_wh=random.choice((None, 0, random.randrange(60_000)))
        if random.random() < 0.2
        else random.randrange(60_000),
        flags=random.choice((0, 0, 0, SessionFlag.OFFLINE, SessionFlag.CLOCK_UNRELIABLE)),
        state=random.choice((SessionState.ENDED,) * 8 + (SessionState.VOID,)),
    )
    row = await ChargeSession.get(id=one)
    await ChargeSession.filter(id=one).update(
        registered_at=start + timedelta(seconds=length + random.choice((0, random.randrange(200_000)))),
        charger_id=random.choice((town.charger_id, town.neighbour_id)),
    )
    if random.random() < 0.6 and row.energy_wh and row.ended_at:
        await _drawn_parts(row, row.ended_at, row.energy_wh, random)
    return one


async def _drawn_parts(row: ChargeSession, ended_at: datetime, energy_wh: int, random: Random) -> None:
    edges = [row.started_at]
    boundary = row.started_at.replace(minute=row.started_at.minute // 15 * 15, second=0, microsecond=0)
    while (boundary := boundary + timedelta(minutes=15)) < ended_at:
        edges.append(boundary)
    edges.append(ended_at)
    cuts = sorted(random.randrange(energy_wh + 1) for _ in range(len(edges) - 2))
    energies = [after - before for before, after in itertools.pairwise([0, *cuts, energy_wh])]
    for (start, end), energy in zip(itertools.pairwise(edges), energies, strict=True):
        await EnergyInterval.create(
            session_id=row.id,
            installation_id=row.installation_id,
            start_at=start,
            end_at=end,
            energy_wh=energy,
            quality=IntervalQuality.MEASURED,
        )


FIRST, LAST = date(2025, 3, 20), date(2025, 4, 20)
DIMENSIONS = [(one,) for one in UsageDimension] + [
    (UsageDimension.USER, UsageDimension.MONTH),
    (UsageDimension.DAY, UsageDimension.CHARGER),
]


@pytest.mark.parametrize("seed", range(4))
async def test_reports_add_up_in_time_and_over_every_grouping(town: Town, seed: int) -> None:
    """[a, c) = [a, b) + [b, c) in minor units for every local midnight b; the rows of every grouping have one total.

    Whole sessions cost in all what their lines add up to, summed here by hand; and so do the lines of a file.
    """
    world = await drawn(town, Random(seed), 25)
    by_hand: Counter[str] = Counter()
    found = await costs_by_ids(await owner(town), world.ids)
    for cost in found.values():
        by_hand["net"] += sum(line.net_minor for line in cost.lines)
        by_hand["vat"] += sum(line.vat_minor for line in cost.lines)
        by_hand["unknown"] += cost.unknown_because is not None
    fees = Counter[str]()
    for basis in BASES:
        whole = await total(town, (FIRST, LAST), basis=basis)
        for dimensions in DIMENSIONS:
            grouped = await total(town, (FIRST, LAST), basis=basis, group_by=dimensions)
            assert grouped.sums == whole.sums
        cut = FIRST + timedelta(days=6)
        while cut < date(2025, 4, 6):
            parts = await total(town, (FIRST, cut), basis=basis) + await total(town, (cut, LAST), basis=basis)
            assert parts.sums == whole.sums
            cut += timedelta(days=1)
        written, charged = await _bills(town, basis)
        assert written.sums == whole.sums
        fees = fees or Counter(
            net=whole.sums[0].net_minor - by_hand["net"], vat=whole.sums[0].vat_minor - by_hand["vat"]
        )
        assert (
            Counter(net=charged.sums[0].net_minor, vat=charged.sums[0].vat_minor, unknown=by_hand["unknown"]) == by_hand
        )
        assert whole.sums == nok(by_hand["net"] + fees["net"], by_hand["vat"] + fees["vat"]).sums
        if basis is not ReportBasis.INTERVAL:
            assert whole.unknown_count == by_hand["unknown"]


async def _bills(town: Town, basis: ReportBasis) -> tuple[Costs, Costs]:
    """What the lines of a file add up to, with fees and without."""
    charged = fees = Costs()
    async for bill in bills(await owner(town), question(town.site, (FIRST, LAST), basis=basis)):
        for one in bill.sessions:
            charged += Costs(tuple(Sum(line.currency, line.net_minor, line.vat_minor) for line in one.lines[:1]))
            for line in one.lines[1:]:
                charged += Costs((Sum(line.currency, line.net_minor, line.vat_minor),))
        for fee in bill.fees:
            fees += Costs((Sum(fee.line.currency, fee.line.net_minor, fee.line.vat_minor),))
    return charged + fees, charged


def test_costs_of_several_currencies_are_apart() -> None:
    """Each has its own sum, also when it is taken away again."""
    both = nok(100, 25) + Costs((Sum("EUR", 7, 1),), 2)
    assert both == Costs((Sum("EUR", 7, 1), Sum("NOK", 100, 25)), 2)
    assert [(str(one.amount), one.currency) for one in both.amounts] == [("0.08", "EUR"), ("1.25", "NOK")]
    assert both + -nok(100, 25) == Costs((Sum("EUR", 7, 1), Sum("NOK", 0, 0)), 2)
    assert not Costs()


@pytest.mark.skipif(not REAL.exists(), reason="the data lie beside the project")
async def test_the_norwegian_garages_cost_a_hundredth_for_each_watt_hour() -> None:
    """At 10.00 a kWh every garage, month and person costs as many øre as they took Wh, whole or by when it was taken."""
    with REAL.open(encoding="utf-8") as file:
        mapping = mapping_of(tomllib.loads(MAPPING.read_text()))
        await HistoryImport(mapping, now=NOW, dry_run=False, on_rejected=lambda _: None).run(file)
    sites = [site.id for site in await Installation.all()]
    for site_id in sites:
        site = Site(site_id, site_id)
        tariff = await factories.a_tariff(site, TariffPart(KWH, 10 * MICRO))
        await factories.a_tariff_assignment(site, tariff, valid_from=date(2018, 1, 1))
    actor = Actor(user_id=(await User.first() or User()).id)
    access = Access(actor=actor, now=NOW, installations=dict.fromkeys(sites, frozenset({Role.OWNER})))
    for basis in (BASES[0], BASES[2]):
        asked = UsageQuestion(
            from_date=date(2018, 12, 1),
            to_date=date(2020, 3, 1),
            installation_ids=tuple(sites),
            group_by=(UsageDimension.INSTALLATION, UsageDimension.MONTH),
            basis=basis,
        )
        found = await usage_summary(access, asked, with_costs=True)
        assert found.total.energy_wh == sum(one.net_minor for one in found.total.costs.sums) == 87_493_280
        assert all(row.usage.energy_wh == sum(one.net_minor for one in row.usage.costs.sums) for row in found.rows)
