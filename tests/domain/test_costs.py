"""What stored charges cost: whose tariff, from which energy, by which prices."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from domain.costs import Till, charged_of, costs_by_ids, first_days
from domain.membership.groups import leave_groups
from domain.models import ChargeSession, EnergyInterval, GroupMember, HeldSpan, Installation, Offer, TariffPrice
from domain.pricing.calendar import Calendar
from domain.pricing.lines import Cost
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart
from domain.roles import CostUnit, IntervalQuality, SessionFlag, SessionState
from domain.tariff_book import tariff_book
from gql.ids import global_id
from tests import factories
from tests.factories import Site, Town
from tests.gql.asking import Api

pytestmark = pytest.mark.usefixtures("database")

KWH = CostUnit.KWH
START = datetime(2026, 2, 3, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


async def tariff(site: Site, price: int, **assigned: object) -> UUID:
    """A flat tariff that holds for whom is named."""
    tariff_id = await factories.a_tariff(site, TariffPart(KWH, price * MICRO), name=f"Price {price}")
    await factories.a_tariff_assignment(site, tariff_id, **assigned)  # type: ignore[arg-type]  # fields by name
    return tariff_id


async def session(town: Town, start: datetime = START, hours: float = 1, **further: object) -> UUID:
    return await factories.a_session(
        town.site,
        town.charger_id,
        started_at=start,
        ended_at=start + hours * HOUR,
        **{"energy_wh": 1_000, **further},  # type: ignore[arg-type]  # as above
    )


async def costs(town: Town, *ids: UUID) -> Mapping[UUID, Cost]:
    return await costs_by_ids(await town.access("OWNER of installation"), ids)


async def minor(town: Town, session_id: UUID) -> int | None:
    """What it costs in øre; None where it has no cost."""
    found = (await costs(town, session_id)).get(session_id)
    return None if found is None else sum(line.total_minor for line in found.lines)


async def test_the_narrowest_tariff_holds(town: Town) -> None:
    """Of the person, of their group, of the installation; nobody known has the installation's, and another site's never holds."""
    person, member = town.people["USER of charger"], town.people["USER of installation"]
    ids = [await session(town, user_id=one) for one in (person, member, None)]
    assert await costs(town, *ids) == {}
    await tariff(town.other_site, 9)
    await tariff(town.site, 1)
    group = await factories.a_group(town.site, person, member)
    await tariff(town.site, 2, group_id=group)
    await tariff(town.site, 3, user_id=person)
    assert [await minor(town, one) for one in ids] == [300, 200, 100]


async def test_a_tariff_holds_on_its_days_by_the_local_clock(town: Town) -> None:
    """23:30 UTC on the last of January is February in Oslo; a charge over midnight has both tariffs, each on its day."""
    await tariff(town.site, 1, valid_to=date(2026, 2, 1))
    await tariff(town.site, 5, valid_from=date(2026, 2, 1))
    late = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    over = await session(town, late - HOUR, energy_wh=2_000)
    assert [await minor(town, await session(town, at, 0.25)) for at in (late - HOUR, late)] == [100, 500]
    assert await minor(town, over) == 100 + 500


async def test_a_group_is_that_in_which_the_person_was_and_leaving_it_changes_nothing_that_was(town: Town) -> None:
    """Who moved to another group has the tariff of each on its days; who came in later has it from the tariff's first day."""
    person = town.people["USER of charger"]
    first, second = await factories.a_group(town.site, person, name="A"), await factories.a_group(town.site, name="B")
    await tariff(town.site, 1, group_id=first)
    await tariff(town.site, 2, group_id=second)
    moved = datetime(2026, 2, 10, 12, tzinfo=UTC)
    ids = [await session(town, moved + timedelta(days=day), user_id=person) for day in (-9, -1, 1)]
    assert [await minor(town, one) for one in ids] == [100, 100, 100]
    await leave_groups(person, [first], now=moved)
    await GroupMember.create(group_id=second, user_id=person, added_at=moved)
    assert [await minor(town, one) for one in ids] == [100, 100, 200]
    newcomer = town.people["USER of installation"]
    before = await session(town, moved - timedelta(days=1), user_id=newcomer)
    assert await minor(town, before) is None
    await GroupMember.create(group_id=second, user_id=newcomer, added_at=moved)
    assert await minor(town, before) == 200


async def test_only_ended_charges_that_one_may_see_have_a_cost(town: Town) -> None:
    """Not active ones, not void ones; a driver sees their own, the site's service none."""
    await tariff(town.site, 1)
    driver = town.people["USER of charger"]
    own, other = await session(town, user_id=driver), await session(town)
    for state in (SessionState.ACTIVE, SessionState.VOID):
        assert await minor(town, await session(town, state=state)) is None
    for person, seen in (("USER of charger", {own}), ("OWNER of installation", {own, other}), ("SERVICE", set())):
        assert set(await costs_by_ids(await town.access(person), [own, other])) == seen


async def stored_parts(session_id: UUID, site: Site, start: datetime, *energies: int, quality: IntervalQuality) -> None:
    for number, energy in enumerate(energies):
        since = start + number * timedelta(minutes=15)
        await EnergyInterval.create(
            session_id=session_id,
            installation_id=site.id,
            start_at=since,
            end_at=since + timedelta(minutes=15),
            energy_wh=energy,
            quality=quality,
        )


@pytest.mark.parametrize(
    ("quality", "is_paused", "idle"),
    [
        (IntervalQuality.MEASURED, False, "0.5"),
        (IntervalQuality.MEASURED, True, None),
        (IntervalQuality.ESTIMATED, False, None),
    ],
)
async def test_idle_time_begins_with_the_last_interval_in_which_energy_was_taken(
    town: Town, quality: IntervalQuality, is_paused: bool, idle: str | None
) -> None:
    """A break before it is none; nor what is only estimated, nor a charge that a person paused."""
    tariff_id = await factories.a_tariff(town.site, TariffPart(CostUnit.IDLE_HOUR, MICRO))
    await factories.a_tariff_assignment(town.site, tariff_id)
    one = await session(town, hours=1.25, energy_wh=700)
    await ChargeSession.filter(id=one).update(is_paused=is_paused)
    await stored_parts(one, town.site, START, 300, 0, 400, 0, 0, quality=quality)
    cost = (await costs(town, one))[one]
    assert [str(line.quantity) for line in cost.lines] == ([idle] if idle else [])


async def test_nobody_pays_for_waiting_that_the_portal_caused(town: Town) -> None:
    """Idle time is without the times in which nothing was offered; the line says how much that was, and the parts of two days add up."""
    tariff_id = await factories.a_tariff(town.site, TariffPart(CostUnit.IDLE_HOUR, MICRO))
    await factories.a_tariff_assignment(town.site, tariff_id)
    start = datetime(2026, 2, 3, 22, tzinfo=UTC)
    one = await session(town, start, 4, energy_wh=300)
    await stored_parts(one, town.site, start, 300, *[0] * 15, quality=IntervalQuality.MEASURED)
    spans = ((-60, 5), (30, 45), (50, 75), (75, 80), (200, 900))
    for since, until in spans[:-1]:
        await HeldSpan.create(
            charger_id=town.charger_id, since=start + timedelta(minutes=since), until=start + timedelta(minutes=until)
        )
    await Offer.filter(charger_id=town.charger_id).update(held_since=start + timedelta(minutes=spans[-1][0]))
    lines = (await costs(town, one))[one].lines
    assert [(line.day, str(line.quantity)) for line in lines] == [
        (date(2026, 2, 3), "0.333333"),
        (date(2026, 2, 4), "2"),
    ]
    held_minutes = (25, 60)
    assert [line.text for line in lines] == [
        f"Time connected after charging on {line.day}, without {held // 60}:{held % 60:02} h in which it was held back (Standard)"
        for line, held in zip(lines, held_minutes, strict=True)
    ]


async def test_the_energy_of_each_hour_has_the_price_of_that_hour(town: Town) -> None:
    """From the stored intervals, with prices of two months; without one of them the cost is unknown, and with it known again."""
    tariff_id = await factories.a_tariff(town.site, TariffPart(KWH, None, MICRO // 10))
    await factories.a_tariff_assignment(town.site, tariff_id)
    start = datetime(2026, 1, 31, 23, tzinfo=UTC)
    one = await session(town, start, 2, energy_wh=3_000)
    await stored_parts(one, town.site, start, 1_000, 0, 0, 0, 2_000, 0, 0, 0, quality=IntervalQuality.MEASURED)
    await TariffPrice.create(tariff_id=tariff_id, start_at=start, end_at=start + HOUR, price_micro=MICRO)
    found = (await costs(town, one))[one]
    assert (found.lines, found.total) == ((), None)
    assert found.unknown_because == "The tariff Standard has no price for 2026-02-01 01:00: import it."
    await TariffPrice.create(tariff_id=tariff_id, start_at=start + HOUR, end_at=start + 2 * HOUR, price_micro=3 * MICRO)
    (line,) = (await costs(town, one))[one].lines
    assert (line.net_minor, line.unit_price_micro) == (110 + 620, 2_433_333)


async def test_a_charge_with_a_wrong_clock_is_priced_when_it_was_registered(town: Town) -> None:
    """Whole, by the tariff of that day, whatever its dates say."""
    await tariff(town.site, 1, valid_to=date(2026, 2, 1))
    await tariff(town.site, 5, valid_from=date(2026, 2, 1))
    one = await session(town, datetime(2026, 1, 10, tzinfo=UTC), 70, flags=SessionFlag.CLOCK_UNRELIABLE)
    await ChargeSession.filter(id=one).update(registered_at=datetime(2026, 2, 5, 12, tzinfo=UTC))
    (line,) = (await costs(town, one))[one].lines
    assert (line.day, line.net_minor) == (date(2026, 2, 5), 500)


async def test_parts_that_do_not_add_up_are_not_billed(town: Town) -> None:
    """Then the energy lies evenly over the charge: what is billed is what was taken."""
    await tariff(town.site, 1, valid_to=date(2026, 2, 1))
    await tariff(town.site, 2, valid_from=date(2026, 2, 1))
    start = datetime(2026, 1, 31, 22, tzinfo=UTC)
    one = await session(town, start, 2, energy_wh=2_000)
    await stored_parts(one, town.site, start, 5, quality=IntervalQuality.MEASURED)
    assert await minor(town, one) == 100 + 200


async def test_many_charges_are_priced_in_their_order(town: Town) -> None:
    """In batches, those without a tariff too."""
    await tariff(town.site, 2, valid_from=date(2026, 2, 4))
    ids = [await session(town, START + timedelta(hours=number), 0.5, energy_wh=number * 10) for number in range(48)]
    rows = {row["id"]: charged_of(row) for row in await ChargeSession.all().values()}
    till = Till(await tariff_book([town.site.id]))
    found = await till.costs([rows[one] for one in ids])
    expected = [None if START + timedelta(hours=n) < datetime(2026, 2, 3, 23, tzinfo=UTC) else n * 2 for n in range(48)]
    assert [cost and sum(line.net_minor for line in cost.lines) for cost in found] == expected


async def test_the_firsts_of_months_are_by_the_local_clock() -> None:
    """Half-open, over the end of the year."""
    calendar = Calendar(ZoneInfo("Europe/Oslo"))
    since, until = datetime(2025, 11, 30, 23, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC)
    assert first_days(calendar, since, until) == [date(2025, 12, 1), date(2026, 1, 1)]
    assert first_days(calendar, since + timedelta(seconds=1), until + timedelta(seconds=1)) == [
        date(2026, 1, 1),
        date(2026, 2, 1),
    ]


async def test_the_api_shows_the_cost_of_a_charge_line_by_line(town: Town) -> None:
    """To its driver, in the installation's currency; why it is not known where it is not."""
    await Installation.filter(id=town.site.id).update(currency="KWD")
    tariff_id = await factories.a_tariff(town.site, TariffPart(KWH, 1_234_567), vat_percent=25)
    await factories.a_tariff_assignment(town.site, tariff_id)
    driver = town.people["USER of charger"]
    one, unknown = await session(town, user_id=driver), await session(town, user_id=driver, energy_wh=None)
    document = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ChargeSession {
        cost { amount currency } costUnknownBecause
        costLines { text day quantity unit unitPrice { amount } amount { amount } netAmount { amount } vatAmount { amount } vatPercent }
    } } }"""
    ids = [global_id("ChargeSession", found) for found in (one, unknown)]
    data = await Api().data(await town.access("USER of charger"), document, {"ids": ids})
    assert data["nodes"] == [
        {
            "cost": {"amount": "1.544", "currency": "KWD"},
            "costUnknownBecause": None,
            "costLines": [
                {
                    "text": "Energy on 2026-02-03 (Standard)",
                    "day": "2026-02-03",
                    "quantity": "1.000",
                    "unit": "KWH",
                    "unitPrice": {"amount": "1.234567"},
                    "amount": {"amount": "1.544"},
                    "netAmount": {"amount": "1.235"},
                    "vatAmount": {"amount": "0.309"},
                    "vatPercent": "25",
                }
            ],
        },
        {"cost": None, "costUnknownBecause": "How much energy was taken is not known.", "costLines": []},
    ]
    assert Decimal("1.235") + Decimal("0.309") == Decimal("1.544")
