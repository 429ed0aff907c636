"""Tariffs set, assigned and fed with prices."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from domain.access import Access
from domain.errors import ErrorCode, NotAllowedError, NotFoundError, UnauthenticatedError, ValidationError
from domain.identity.own_data import export_my_data
from domain.membership.groups import leave_groups
from domain.models import AuditEntry, PastGroupMember, Tariff, TariffAssignment, TariffPrice
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart
from domain.roles import CostUnit, Scope
from domain.tariffs import (
    MOST_TARIFFS,
    PartWish,
    PriceWish,
    assign_tariff,
    import_prices,
    remove_tariff_assignment,
    set_tariff,
)
from domain.views.tariff_views import tariffs_by_ids, tariffs_of_installations
from tests import factories
from tests.factories import PEOPLE, Town

pytestmark = pytest.mark.usefixtures("database")

FLAT = PartWish(unit=CostUnit.KWH, price=Decimal("1.25"))
DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


async def owner(town: Town) -> Access:
    return await town.access("OWNER of installation")


async def test_a_tariff_is_made_changed_and_shown(town: Town) -> None:
    """A change says all of it anew; both are in the audit log."""
    viewer = await owner(town)
    tariff_id = await set_tariff(viewer, town.site.id, name=" Standard ", vat_percent=Decimal("25"), parts=[FLAT])
    night = PartWish(unit=CostUnit.KWH, price=None, surcharge=Decimal("-0.05"), since=time(22), until=time(6))
    day = PartWish(unit=CostUnit.KWH, price=Decimal("2"), since=time(6), until=time(22))
    again = await set_tariff(viewer, town.site.id, tariff_id=tariff_id, name="Spot", parts=[night, day])
    assert again == tariff_id
    (row,) = (await tariffs_of_installations(viewer, [town.site.id]))[town.site.id]
    assert (row.name, row.currency, row.vat_percent) == ("Spot", "NOK", Decimal(0))
    assert row.parts == (
        TariffPart(CostUnit.KWH, None, -50_000, (), time(22), time(6)),
        TariffPart(CostUnit.KWH, 2 * MICRO, 0, (), time(6), time(22)),
    )
    actions = [entry.action for entry in await AuditEntry.all().order_by("id")]
    assert actions == ["tariff.create", "tariff.update"]


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in"])
async def test_tariffs_are_the_owners(town: Town, person: str) -> None:
    """All others neither see nor change them, administrators and the site's service among them."""
    tariff_id = await factories.a_tariff(town.site)
    viewer = await town.access(person)
    is_owner = person == "OWNER of installation"
    assert set(await tariffs_by_ids(viewer, [tariff_id])) == ({tariff_id} if is_owner else set())
    if is_owner:
        return
    for wrong in (
        assign_tariff(viewer, tariff_id, valid_from=date(2026, 1, 1)),
        import_prices(viewer, tariff_id, [PriceWish(DAY, DAY + HOUR, Decimal(1))]),
        set_tariff(viewer, town.site.id, name="Mine", parts=[FLAT]),
    ):
        with pytest.raises((NotFoundError, NotAllowedError, UnauthenticatedError)):
            await wrong
    assert await Tariff.all().count() == 1
    assert await TariffAssignment.all().count() == await TariffPrice.all().count() == 0


async def test_a_program_manages_tariffs_by_its_scope(town: Town) -> None:
    """MANAGE_TARIFFS at the installation; another scope shows nothing."""
    able = await factories.a_program(town.site, scopes=[Scope.MANAGE_TARIFFS])
    tariff_id = await set_tariff(await able.access(), town.site.id, name="Spot", parts=[FLAT])
    reader = await factories.a_program(town.site, scopes=[Scope.READ_SESSIONS], name="Reader")
    assert await tariffs_by_ids(await reader.access(), [tariff_id]) == {}
    with pytest.raises(NotAllowedError):
        await set_tariff(await reader.access(), town.site.id, name="Spot", parts=[FLAT])


async def test_what_is_wrong_with_a_tariff_is_named_at_once_and_nothing_is_stored(town: Town) -> None:
    """Name, VAT and every part."""
    seven = PartWish(unit=CostUnit.HOUR, price=Decimal("0.1234567"), surcharge=Decimal("0.0000001"))
    half = PartWish(unit=CostUnit.KWH, price=Decimal(1), since=time(6), until=time(22))
    with pytest.raises(ValidationError) as caught:
        await set_tariff(await owner(town), town.site.id, name=" ", vat_percent=Decimal(101), parts=[half, seven])
    assert [one.path for one in caught.value.problems] == [
        ("name",),
        ("vatPercent",),
        ("parts", "1", "price"),
        ("parts", "1", "surcharge"),
        *[("parts", "0", "to")] * 8,
    ]
    assert await Tariff.all().count() == 0


async def test_another_installations_tariff_is_not_there(town: Town) -> None:
    """Neither to change nor to assign; an installation has at most a hundred."""
    other = await factories.a_tariff(town.other_site)
    viewer = await owner(town)
    with pytest.raises(NotFoundError):
        await set_tariff(viewer, town.site.id, tariff_id=other, name="Mine", parts=[FLAT])
    with pytest.raises(NotFoundError):
        await assign_tariff(viewer, other, valid_from=date(2026, 1, 1))
    for number in range(MOST_TARIFFS):
        await factories.a_tariff(town.site, name=f"Tariff {number}")
    with pytest.raises(ValidationError) as caught:
        await set_tariff(viewer, town.site.id, name="One more", parts=[FLAT])
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED


async def held(town: Town, **whom: object) -> list[tuple[str, str, str | None]]:
    """(name of the tariff, first day, day after the last) of what holds for the site, a group or a person."""
    given = {"group_id": None, "user_id": None, **whom}
    rows = (
        await TariffAssignment.filter(installation_id=town.site.id, **given)
        .order_by("valid_from")
        .prefetch_related("tariff")
    )
    return [(row.tariff.name, str(row.valid_from), str(row.valid_to) if row.valid_to else None) for row in rows]


async def two_tariffs(town: Town) -> tuple[UUID, UUID]:
    return await factories.a_tariff(town.site, name="Old"), await factories.a_tariff(town.site, name="New")


async def test_an_assignment_takes_its_days_from_what_held_before(town: Town) -> None:
    """From the front, the end or the middle; other people, groups and the rest of the site keep theirs."""
    viewer, (old, new) = await owner(town), await two_tariffs(town)
    driver = town.people["USER of charger"]
    await assign_tariff(viewer, old, user_id=driver, valid_from=date(2026, 1, 1))
    await assign_tariff(viewer, old, valid_from=date(2026, 1, 1))
    await assign_tariff(viewer, new, valid_from=date(2026, 3, 1), valid_to=date(2026, 6, 1))
    assert await held(town) == [
        ("Old", "2026-01-01", "2026-03-01"),
        ("New", "2026-03-01", "2026-06-01"),
        ("Old", "2026-06-01", None),
    ]
    await assign_tariff(viewer, new, valid_from=date(2026, 2, 1))
    assert await held(town) == [("Old", "2026-01-01", "2026-02-01"), ("New", "2026-02-01", None)]
    assert await held(town, user_id=driver) == [("Old", "2026-01-01", None)]


async def test_the_same_tariff_from_the_same_day_gets_another_end(town: Town) -> None:
    """So it is ended, and goes on again."""
    viewer, (old, _) = await owner(town), await two_tariffs(town)
    for ends in (None, date(2026, 4, 1), date(2026, 2, 1), None):
        await assign_tariff(viewer, old, valid_from=date(2026, 1, 1), valid_to=ends)
        assert await held(town) == [("Old", "2026-01-01", ends and str(ends))]


async def test_an_assignment_can_be_taken_away(town: Town) -> None:
    """By its id; once it is gone it is not there."""
    viewer, (old, _) = await owner(town), await two_tariffs(town)
    await assign_tariff(viewer, old, valid_from=date(2026, 1, 1))
    row = await TariffAssignment.get()
    with pytest.raises(NotFoundError):
        await remove_tariff_assignment(await town.access("SERVICE"), row.id)
    await remove_tariff_assignment(viewer, row.id)
    assert await held(town) == []
    with pytest.raises(NotFoundError):
        await remove_tariff_assignment(viewer, row.id)


async def test_an_assignment_names_a_group_or_a_person_of_the_place(town: Town) -> None:
    """Not both, nobody hidden, no group of another site, and days that make sense."""
    viewer, (old, _) = await owner(town), await two_tariffs(town)
    first = date(2026, 1, 1)
    group = await factories.a_group(town.site)
    elsewhere = await factories.a_group(town.other_site)
    with pytest.raises(NotFoundError):
        await assign_tariff(viewer, old, valid_from=first, user_id=town.people["stranger"])
    with pytest.raises(NotFoundError):
        await assign_tariff(viewer, old, valid_from=first, group_id=elsewhere)
    with pytest.raises(ValidationError):
        await assign_tariff(viewer, old, group_id=group, user_id=town.people["USER of charger"], valid_from=first)
    for since, until in ((first, first), (date(1, 1, 1), None), (first, date(9999, 1, 1))):
        with pytest.raises(ValidationError):
            await assign_tariff(viewer, old, valid_from=since, valid_to=until)
    await assign_tariff(viewer, old, group_id=group, valid_from=first)
    assert await held(town, group_id=group) == [("Old", "2026-01-01", None)]
    assert await held(town) == []


def hours(first: int, count: int, price: str = "1", start: datetime = DAY) -> list[PriceWish]:
    return [PriceWish(start + HOUR * n, start + HOUR * (n + 1), Decimal(price)) for n in range(first, first + count)]


async def prices(tariff_id: UUID) -> list[tuple[datetime, datetime, int]]:
    rows = await TariffPrice.filter(tariff_id=tariff_id).order_by("start_at")
    return [(row.start_at, row.end_at, row.price_micro) for row in rows]


async def test_prices_are_kept_and_the_same_start_again_replaces_one(town: Town) -> None:
    """Hours become quarter hours; a day has as many as it has, also 25; one entry in the log for an import."""
    viewer, tariff_id = await owner(town), await factories.a_tariff(town.site)
    await import_prices(viewer, tariff_id, hours(0, 25))
    quarters = [
        PriceWish(DAY + timedelta(minutes=15 * n), DAY + timedelta(minutes=15 * (n + 1)), Decimal("-0.25"))
        for n in range(4)
    ]
    await import_prices(viewer, tariff_id, quarters)
    stored = await prices(tariff_id)
    assert len(stored) == 28
    assert stored[3:5] == [
        (DAY + timedelta(minutes=45), DAY + HOUR, -250_000),
        (DAY + HOUR, DAY + 2 * HOUR, MICRO),
    ]
    assert [entry.action for entry in await AuditEntry.all()] == ["tariff.importPrices"] * 2


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ([], ("prices",)),
        (hours(0, 1_001), ("prices",)),
        ([PriceWish(DAY, DAY, Decimal(1))], ("prices", "0", "endAt")),
        ([PriceWish(DAY, DAY + timedelta(days=32), Decimal(1))], ("prices", "0", "endAt")),
        ([PriceWish(DAY - timedelta(days=99_999), DAY, Decimal(1))], ("prices", "0", "startAt")),
        ([PriceWish(DAY, DAY + HOUR, Decimal("0.1234567"))], ("prices", "0", "pricePerKwh")),
        ([*hours(5, 1), *hours(5, 1)], ("prices", "1", "startAt")),
        ([PriceWish(DAY + HOUR / 2, DAY + HOUR, Decimal(1))], ("prices", "0", "startAt")),
        ([PriceWish(DAY - HOUR, DAY + HOUR, Decimal(1))], ("prices", "0", "endAt")),
        ([PriceWish(DAY, DAY + 2 * HOUR, Decimal(1))], ("prices", "0", "endAt")),
    ],
)
async def test_prices_that_do_not_fit_are_refused_as_a_whole(
    town: Town, wrong: list[PriceWish], path: tuple[str, ...]
) -> None:
    """Too many, without length, too long, twice, or overlapping what is there."""
    viewer, tariff_id = await owner(town), await factories.a_tariff(town.site)
    await import_prices(viewer, tariff_id, hours(0, 3))
    with pytest.raises(ValidationError) as caught:
        await import_prices(viewer, tariff_id, wrong)
    assert caught.value.path == path
    assert len(await prices(tariff_id)) == 3


async def test_who_leaves_a_group_is_remembered_to_have_been_in_it(town: Town) -> None:
    """What charging cost before does not change by it."""
    driver = town.people["USER of charger"]
    group = await factories.a_group(town.site, driver)
    await leave_groups(driver, [group], now=DAY)
    (row,) = await PastGroupMember.all()
    assert (row.group_id, row.user_id, row.added_at, row.removed_at) == (group, driver, factories.LONG_AGO, DAY)


async def test_what_is_assigned_to_a_person_is_in_their_own_data(town: Town) -> None:
    """By the names of tariff and installation; the groups that they left, too."""
    driver = town.people["USER of charger"]
    viewer, (old, _) = await owner(town), await two_tariffs(town)
    await assign_tariff(viewer, old, user_id=driver, valid_from=date(2026, 1, 1))
    group = await factories.a_group(town.site, driver)
    await leave_groups(driver, [group], now=DAY)
    kept = json.loads(await export_my_data(await factories.access(driver)))
    assert kept["tariffs"] == [
        {"installation": "Fjordveien garage", "tariff": "Old", "valid_from": "2026-01-01", "valid_to": None}
    ]
    assert [one["user_group"] for one in kept["formerGroups"]] == ["First floor"]
