"""What charging costs: who sets tariffs, for whom and when they hold, and imports the prices of the hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import TARIFF_MANAGERS, Access
from domain.checks import Problems
from domain.equipment.installations import managed
from domain.errors import ErrorCode, NotFoundError, Path
from domain.ids import new_id
from domain.models import Installation, Tariff, TariffAssignment, UserGroup
from domain.pricing import parts as tariff_parts
from domain.pricing.money import MICRO, decimal_of, micro_of
from domain.pricing.parts import MOST_PRICE_MICRO, TariffPart
from domain.roles import CostUnit, Weekday

MOST_TARIFFS: Final = 100
"""Of one installation: a list of them is shown whole."""
MOST_ASSIGNMENTS: Final = 1_000
"""Of one installation: they are shown with their tariffs."""
MOST_PRICES: Final = 1_000
"""In one mutation: ten days of quarter hours."""
LONGEST_PRICE: Final = timedelta(days=31)
_EARLIEST, _LATEST = date(1970, 1, 2), date(2200, 1, 1)
_FULL_VAT: Final = 100 * MICRO
_TARIFF: Path = ("tariffId",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartWish:
    """A part of a tariff as a person writes it; None of the price is the imported one."""

    unit: CostUnit
    price: Decimal | None
    surcharge: Decimal = Decimal(0)
    weekdays: tuple[Weekday, ...] = ()
    since: time | None = None
    until: time | None = None


async def set_tariff(
    access: Access,
    installation_id: UUID,
    *,
    tariff_id: UUID | None = None,
    name: str,
    vat_percent: Decimal = Decimal(0),
    parts: Sequence[PartWish],
) -> UUID:
    """The tariff (None: a new one) says this and nothing else; what it prices and is not locked costs so from now on, the past too.

    ValidationError names every part that is wrong, overlaps another of its unit, or leaves a gap in the week.
    """
    async with in_transaction():
        await managed(access, installation_id, TARIFF_MANAGERS)
        row = Tariff(id=new_id(), installation_id=installation_id, created_at=access.now)
        before: audit.State | None = None
        if tariff_id is not None:
            row = await _tariff_at(installation_id, tariff_id)
            before = _state(row)
        problems = Problems()
        row.name = problems.text("name", name)
        row.vat_micro = _percent(problems, vat_percent)
        wished = [_part(problems, str(place), part) for place, part in enumerate(parts)]
        tariff_parts.check(problems, wished)
        row.parts = tariff_parts.written(wished)
        if before is None and await Tariff.filter(installation_id=installation_id).count() >= MOST_TARIFFS:
            message = f"An installation has at most {MOST_TARIFFS} tariffs."
            problems.add("installationId", message, ErrorCode.LIMIT_EXCEEDED)
        problems.raise_any()
        await row.save(force_create=before is None)
        await _audit(access, row, "tariff.create" if before is None else "tariff.update", before, _state(row))
    return row.id


async def _tariff_at(installation_id: UUID, tariff_id: UUID) -> Tariff:
    row = await Tariff.get_or_none(id=tariff_id, installation_id=installation_id)
    if row is None:
        raise NotFoundError(path=_TARIFF)
    return row


async def managed_tariff(access: Access, tariff_id: UUID, *, path: Path = _TARIFF) -> Tariff:
    """The tariff, its installation locked until the transaction ends. NotFoundError for all who do not manage tariffs there."""
    access.signed_in()
    row = await Tariff.get_or_none(id=tariff_id)
    if row is None or not access.sees_tariffs_of(row.installation_id):
        raise NotFoundError(path=path)
    await managed(access, row.installation_id, TARIFF_MANAGERS, path=path)
    return await Tariff.get(id=tariff_id)


def _percent(problems: Problems, value: Decimal) -> int:
    micro = micro_of(value)
    if micro is None or not 0 <= micro <= _FULL_VAT:
        problems.add("vatPercent", "This is from 0 to 100, with at most six decimals.")
        return 0
    return micro


def _part(problems: Problems, place: str, wish: PartWish) -> TariffPart:
    price = None if wish.price is None else micro_of(wish.price)
    surcharge = micro_of(wish.surcharge)
    if wish.price is not None and price is None:
        problems.add(("parts", place, "price"), "A price has at most six decimals.")
    if surcharge is None:
        problems.add(("parts", place, "surcharge"), "A surcharge has at most six decimals.")
    return TariffPart(
        wish.unit,
        0 if wish.price is not None and price is None else price,
        surcharge or 0,
        wish.weekdays,
        wish.since,
        wish.until,
    )


async def assign_tariff(
    access: Access,
    tariff_id: UUID,
    *,
    group_id: UUID | None = None,
    user_id: UUID | None = None,
    valid_from: date,
    valid_to: date | None = None,
) -> UUID:
    """The tariff holds for the person, the group, or (with neither) the whole installation, on the local dates [valid_from, valid_to).

    It takes these days from whatever held for the same ones; what begins the same day and is the same tariff, it replaces whole: so an
    end is set, moved or taken away. None of `valid_to`: until another takes its place. NotFoundError for a hidden person or group.
    """
    async with in_transaction():
        row = await managed_tariff(access, tariff_id)
        _check_assignment(group_id, user_id, valid_from, valid_to)
        await _require_holder(access, row.installation_id, group_id, user_id)
        held = await TariffAssignment.filter(
            installation_id=row.installation_id, group_id=group_id, user_id=user_id
        ).order_by("valid_from", "id")
        for one in held:
            await _give_way(one, tariff_id, valid_from, valid_to)
        if await TariffAssignment.filter(installation_id=row.installation_id).count() >= MOST_ASSIGNMENTS:
            problems = Problems()
            message = f"The tariffs of an installation are assigned at most {MOST_ASSIGNMENTS} times."
            problems.add("tariffId", message, ErrorCode.LIMIT_EXCEEDED)
            problems.raise_any()
        made = await TariffAssignment.create(
            id=new_id(),
            tariff_id=tariff_id,
            installation_id=row.installation_id,
            group_id=group_id,
            user_id=user_id,
            valid_from=valid_from,
            valid_to=valid_to,
        )
        await _audit(access, row, "tariff.assign", None, _assignment_state(made))
    return tariff_id


async def remove_tariff_assignment(access: Access, assignment_id: UUID, *, path: Path = ("id",)) -> None:
    """The assignment is gone, as if it had never been; what is wider holds in its place."""
    access.signed_in()
    async with in_transaction():
        one = await TariffAssignment.get_or_none(id=assignment_id)
        if one is None:
            raise NotFoundError(path=path)
        row = await managed_tariff(access, one.tariff_id, path=path)
        if not await TariffAssignment.filter(id=assignment_id).delete():
            raise NotFoundError(path=path)
        await _audit(access, row, "tariff.unassign", _assignment_state(one), None)


def _check_assignment(group_id: UUID | None, user_id: UUID | None, valid_from: date, valid_to: date | None) -> None:
    problems = Problems()
    if group_id is not None and user_id is not None:
        problems.add("userId", "Name a group or a person, not both; with neither it is for the whole installation.")
    if not _EARLIEST <= valid_from < _LATEST:
        problems.add("validFrom", f"Tariffs hold between {_EARLIEST} and {_LATEST}.")
    if valid_to is not None and not valid_from < valid_to <= _LATEST:
        problems.add("validTo", f"This is the first day that is no longer inside: after validFrom, at most {_LATEST}.")
    problems.raise_any()


async def _require_holder(access: Access, installation_id: UUID, group_id: UUID | None, user_id: UUID | None) -> None:
    """Returns when the group is of that installation, and the person one whom the actor may know of; else NotFoundError."""
    if group_id is not None and not await UserGroup.filter(id=group_id, installation_id=installation_id).exists():
        raise NotFoundError(path=("groupId",))
    if user_id is not None:
        arguments: list[object] = [user_id]
        visible = access.users_condition("u", arguments)
        statement = f"SELECT u.id FROM users u WHERE u.id = $1 AND u.erased_at IS NULL AND {visible}"  # noqa: S608
        if await sql.row(statement, *arguments) is None:
            raise NotFoundError(path=("userId",))


async def _give_way(one: TariffAssignment, tariff_id: UUID, valid_from: date, valid_to: date | None) -> None:
    """The assignment has the days before and after those only; it is gone when there are none."""
    if one.tariff_id == tariff_id and one.valid_from == valid_from:
        await one.delete()
        return
    ends = one.valid_to
    if (ends is not None and ends <= valid_from) or (valid_to is not None and one.valid_from >= valid_to):
        return
    is_before, is_after = one.valid_from < valid_from, valid_to is not None and (ends is None or valid_to < ends)
    if is_before and is_after and valid_to is not None:
        await TariffAssignment.create(
            id=new_id(),
            tariff_id=one.tariff_id,
            installation_id=one.installation_id,
            group_id=one.group_id,
            user_id=one.user_id,
            valid_from=valid_to,
            valid_to=ends,
        )
    if is_before:
        one.valid_to = valid_from
        await one.save(update_fields=["valid_to"])
    elif is_after and valid_to is not None:
        one.valid_from = valid_to
        await one.save(update_fields=["valid_from"])
    else:
        await one.delete()


@dataclass(frozen=True, slots=True)
class PriceWish:
    """The price of a kWh in [start_at, end_at), without VAT."""

    start_at: datetime
    end_at: datetime
    price: Decimal


async def import_prices(access: Access, tariff_id: UUID, prices: Sequence[PriceWish]) -> UUID:
    """The tariff has these prices; one that begins when another did replaces it, length and all. All of them, or none.

    ValidationError for more than a thousand, and for one that overlaps another of a different start, there or among these.
    """
    async with in_transaction():
        row = await managed_tariff(access, tariff_id)
        problems = Problems()
        if not 1 <= len(prices) <= MOST_PRICES:
            problems.add("prices", f"Import from 1 to {MOST_PRICES} prices at a time.", ErrorCode.TOO_LARGE)
            problems.raise_any()
        await _keep_prices(row.id, prices, problems)
        await _audit(access, row, "tariff.importPrices", None, prices_state(prices))
    return tariff_id


async def store_prices(tariff_id: UUID, prices: Sequence[PriceWish], *, now: datetime) -> None:
    """As `import_prices`, for an operator at the machine, and any number of them. NotFoundError when there is no such tariff."""
    async with in_transaction():
        row = await Tariff.get_or_none(id=tariff_id)
        if row is None:
            raise NotFoundError(path=_TARIFF)
        await Installation.select_for_update(no_key=True).get(id=row.installation_id)
        await _keep_prices(row.id, prices, Problems())
        await audit.record_operator("tariff.importPrices", "Tariff", row.id, now=now, after=prices_state(prices))


def prices_state(prices: Sequence[PriceWish]) -> audit.State:
    """What the log keeps of an import: how many, from when until when."""
    first, last = min(one.start_at for one in prices), max(one.end_at for one in prices)
    return {"count": len(prices), "from": first, "to": last}


async def _keep_prices(tariff_id: UUID, prices: Sequence[PriceWish], problems: Problems) -> None:
    """The prices are stored; what is wrong with any of them is raised, and nothing stored."""
    checked = [_checked_price(problems, str(place), one) for place, one in enumerate(prices)]
    problems.raise_any()
    await _check_overlaps(tariff_id, prices, problems)
    problems.raise_any()
    await sql.execute_many(
        "INSERT INTO tariff_prices (tariff_id, start_at, end_at, price_micro) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (tariff_id, start_at) DO UPDATE SET end_at = EXCLUDED.end_at, price_micro = EXCLUDED.price_micro",
        [(tariff_id, one.start_at, one.end_at, micro) for one, micro in zip(prices, checked, strict=True)],
    )


def _checked_price(problems: Problems, place: str, one: PriceWish) -> int:
    where = ("prices", place)
    micro = micro_of(one.price)
    if micro is None or abs(micro) > MOST_PRICE_MICRO:
        problems.add((*where, "pricePerKwh"), "A price is from -1000000 to 1000000, with at most six decimals.")
    start, end = (problems.aware((*where, name), at) for name, at in (("startAt", one.start_at), ("endAt", one.end_at)))
    if start.tzinfo is None or end.tzinfo is None:
        return 0
    if not _EARLIEST <= start.astimezone(UTC).date() < _LATEST:
        problems.add((*where, "startAt"), f"Prices are for times between {_EARLIEST} and {_LATEST}.")
    elif not timedelta() < end - start <= LONGEST_PRICE:
        problems.add((*where, "endAt"), "This comes after startAt, by at most 31 days.")
    return micro or 0


async def _check_overlaps(tariff_id: UUID, prices: Sequence[PriceWish], problems: Problems) -> None:
    """A price that begins twice among these, or overlaps another of a different start, is a problem."""
    spans: dict[datetime, tuple[datetime, int | None]] = {}
    first, last = min(one.start_at for one in prices), max(one.end_at for one in prices)
    known = await sql.rows(
        "SELECT start_at, end_at FROM tariff_prices WHERE tariff_id = $1 AND start_at > $2 AND start_at < $3",
        tariff_id,
        first - LONGEST_PRICE,
        last,
    )
    for row in known:
        spans[sql.instant_of(row["start_at"])] = (sql.instant_of(row["end_at"]), None)
    for place, one in enumerate(prices):
        there = spans.get(one.start_at)
        if there is not None and there[1] is not None:
            problems.add(("prices", str(place), "startAt"), f"This begins when price {there[1]} does.")
        spans[one.start_at] = (one.end_at, place)
    ordered = sorted(((start, end, number) for start, (end, number) in spans.items()), key=lambda span: span[:2])
    reaches = datetime.min.replace(tzinfo=UTC)
    holder: int | None = None
    for start, end, number in ordered:
        if start < reaches and (number is not None or holder is not None):
            other = "a price that is there already"
            if number is not None and holder is not None:
                other = f"price {holder}"
            wrong, field = (holder, "endAt") if number is None else (number, "startAt")
            message = f"This overlaps {other}: prices follow each other. The same start again replaces a price."
            problems.add(("prices", str(wrong), field), message)
        if end > reaches:
            reaches, holder = end, number


async def _audit(
    access: Access, row: Tariff, action: str, before: audit.State | None, after: audit.State | None
) -> None:
    await audit.record(
        access, action, "Tariff", row.id, installation_id=row.installation_id, before=before, after=after
    )


def _assignment_state(one: TariffAssignment) -> audit.State:
    return {
        "groupId": one.group_id,
        "userId": one.user_id,
        "validFrom": one.valid_from.isoformat(),
        "validTo": None if one.valid_to is None else one.valid_to.isoformat(),
    }


def _state(row: Tariff) -> audit.State:
    return {
        "name": row.name,
        "vatPercent": str(decimal_of(row.vat_micro)),
        "parts": [_part_state(part) for part in tariff_parts.read(row.parts)],
    }


def _part_state(part: TariffPart) -> dict[str, object]:
    return {
        "unit": part.unit,
        "price": None if part.price_micro is None else str(decimal_of(part.price_micro)),
        "surcharge": str(decimal_of(part.surcharge_micro)),
        "weekdays": list(part.weekdays),
        "from": None if part.since is None else f"{part.since:%H:%M}",
        "to": None if part.until is None else f"{part.until:%H:%M}",
    }
