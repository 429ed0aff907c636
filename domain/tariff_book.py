"""The tariffs of some installations as they are stored: which one holds for whom on which day, and imported prices."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import sql
from domain.pricing.calendar import Calendar
from domain.pricing.parts import TariffTerms, read
from domain.tariffs import LONGEST_PRICE


@dataclass(frozen=True, slots=True)
class PricedSite:
    """An installation whose charges have a price."""

    id: UUID
    name: str
    currency: str
    calendar: Calendar
    terms: tuple[TariffTerms, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """A tariff on the local dates [valid_from, valid_to)."""

    valid_from: date
    valid_to: date | None
    id: UUID
    terms: TariffTerms

    def is_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class _Stay:
    """A person was in a group; `until` None: they still are."""

    group_id: UUID
    since: datetime
    until: datetime | None


class TariffBook:
    """What holds for whom. Made by `tariff_book`; it stays as it was read."""

    def __init__(self) -> None:
        self.sites: dict[UUID, PricedSite] = {}
        self.held: dict[tuple[UUID, UUID | None], list[_Held]] = {}
        """By installation, and group or person; None: all of it."""
        self.stays: dict[UUID, list[_Stay]] = {}
        """By person, in groups that have a tariff."""
        self.groups: set[UUID] = set()
        """Those holders that are groups."""
        self._known: dict[tuple[UUID, UUID | None], dict[date, TariffTerms | None]] = {}

    def terms_of(self, installation_id: UUID, user_id: UUID | None) -> Callable[[date], TariffTerms | None]:
        """The tariff that holds for the person (None: nobody known) on a local day: theirs, their group's, the installation's."""
        known = self._known.setdefault((installation_id, user_id), {})

        def terms_on(day: date) -> TariffTerms | None:
            if day not in known:
                known[day] = self._found(installation_id, user_id, day)
            return known[day]

        return terms_on

    def holders_on(self, installation_id: UUID, day: date) -> set[UUID]:
        """The people who have a tariff of their own there on that local day, or are then in a group that has one."""
        begins = self.sites[installation_id].calendar.start(day)
        holders = {
            holder
            for (site, holder), held in self.held.items()
            if site == installation_id and holder is not None and any(one.is_on(day) for one in held)
        }
        members = {
            user_id
            for user_id, stays in self.stays.items()
            for stay in stays
            if stay.group_id in holders and stay.since <= begins and (stay.until is None or stay.until > begins)
        }
        return (holders - self.groups) | members

    def _found(self, installation_id: UUID, user_id: UUID | None, day: date) -> TariffTerms | None:
        if user_id is not None:
            own = self._of(installation_id, user_id, day) or self._of_group(installation_id, user_id, day)
            if own is not None:
                return own.terms
        everybodys = self._of(installation_id, None, day)
        return None if everybodys is None else everybodys.terms

    def _of(self, installation_id: UUID, holder: UUID | None, day: date) -> _Held | None:
        return next((one for one in self.held.get((installation_id, holder), ()) if one.is_on(day)), None)

    def _of_group(self, installation_id: UUID, user_id: UUID, day: date) -> _Held | None:
        """That of a group in which the person was when the day ended; where none has a tariff, of the one that they came into next.

        Of several, the one that has been assigned last.
        """
        stays = self.stays.get(user_id)
        if not stays:
            return None
        ends = self.sites[installation_id].calendar.end(day)
        found = [(stay, one) for stay in stays if (one := self._of(installation_id, stay.group_id, day)) is not None]
        inside = [one for stay, one in found if stay.since < ends and (stay.until is None or stay.until >= ends)]
        if inside:
            return max(inside, key=lambda one: (one.valid_from, one.id))
        later = [(stay.since, one.id, one) for stay, one in found if stay.since >= ends]
        return min(later, key=lambda item: item[:2])[2] if later else None


async def tariff_book(installation_ids: Iterable[UUID]) -> TariffBook:
    """The tariffs of these installations; those that have none are not in it."""
    book = TariffBook()
    ids = sorted(set(installation_ids))
    for some in sql.in_chunks(ids):
        await _read_tariffs(book, some)
    return book


async def _read_tariffs(book: TariffBook, ids: Sequence[UUID]) -> None:
    arguments: list[object] = []
    condition = sql.any_of("t.installation_id", ids, arguments)
    terms: dict[UUID, TariffTerms] = {}
    found: dict[UUID, tuple[str, str, str, list[TariffTerms]]] = {}
    for row in await sql.rows(
        "SELECT t.id, t.installation_id, t.name, t.vat_micro, t.parts, i.name AS site_name, i.currency, i.time_zone FROM tariffs t"  # noqa: S608
        f" JOIN installations i ON i.id = t.installation_id WHERE {condition} ORDER BY t.id",
        *arguments,
    ):
        one = TariffTerms(sql.uuid_of(row["id"]), row["name"], row["vat_micro"], read(row["parts"]))
        terms[one.id] = one
        site_id = sql.uuid_of(row["installation_id"])
        if site_id not in found:
            found[site_id] = (row["site_name"], row["currency"], row["time_zone"], [])
        found[site_id][3].append(one)
    for site_id, (name, currency, zone, own) in found.items():
        book.sites[site_id] = PricedSite(site_id, name, currency, Calendar(ZoneInfo(zone)), tuple(own))
    await _read_assignments(book, sorted(found), terms)


async def _read_assignments(book: TariffBook, ids: Sequence[UUID], terms: dict[UUID, TariffTerms]) -> None:
    arguments: list[object] = []
    condition = sql.any_of("a.installation_id", ids, arguments)
    for row in await sql.rows(
        "SELECT a.id, a.tariff_id, a.installation_id, a.group_id, a.user_id, a.valid_from, a.valid_to"  # noqa: S608
        f" FROM tariff_assignments a WHERE {condition} ORDER BY a.valid_from, a.id",
        *arguments,
    ):
        group_id, user_id = sql.optional_uuid_of(row["group_id"]), sql.optional_uuid_of(row["user_id"])
        until = None if row["valid_to"] is None else sql.date_of(row["valid_to"])
        tariff = terms[sql.uuid_of(row["tariff_id"])]
        held = _Held(sql.date_of(row["valid_from"]), until, sql.uuid_of(row["id"]), tariff)
        book.held.setdefault((sql.uuid_of(row["installation_id"]), group_id or user_id), []).append(held)
        if group_id is not None:
            book.groups.add(group_id)
    await _read_stays(book, sorted(book.groups))


async def _read_stays(book: TariffBook, group_ids: Sequence[UUID]) -> None:
    for some in sql.in_chunks(group_ids):
        arguments: list[object] = []
        condition = sql.any_of("group_id", some, arguments)
        for row in await sql.rows(
            f"SELECT group_id, user_id, added_at, NULL AS removed_at FROM group_members WHERE {condition}"  # noqa: S608
            f" UNION ALL SELECT group_id, user_id, added_at, removed_at FROM past_group_members WHERE {condition}",
            *arguments,
        ):
            stay = _Stay(
                sql.uuid_of(row["group_id"]),
                sql.instant_of(row["added_at"]),
                sql.optional_instant_of(row["removed_at"]),
            )
            book.stays.setdefault(sql.uuid_of(row["user_id"]), []).append(stay)


@dataclass(slots=True)
class _Series:
    """The prices of one tariff that were read, in order: starts, and (end, millionths)."""

    months: set[tuple[int, int]] = field(default_factory=set)
    starts: list[datetime] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    values: list[int] = field(default_factory=list)


class PriceBook:
    """Imported prices, read a month at a time as they are needed."""

    def __init__(self) -> None:
        self._series: dict[UUID, _Series] = {}

    async def reach(self, tariff_id: UUID, since: datetime, until: datetime) -> None:
        """The tariff's prices of [since, until] are here."""
        series = self._series.setdefault(tariff_id, _Series())
        first = _month(since)
        while first <= until:
            if (first.year, first.month) not in series.months:
                await _read_month(tariff_id, series, first)
            first = _following(first)

    def at(self, tariff_id: UUID, instant: datetime) -> tuple[int, datetime] | None:
        """(millionths for a kWh, until when); None where there is no price."""
        series = self._series.get(tariff_id)
        if series is None:
            return None
        place = bisect_right(series.starts, instant) - 1
        if place < 0 or series.ends[place] <= instant:
            return None
        return series.values[place], series.ends[place]

    def next_start(self, tariff_id: UUID, instant: datetime) -> datetime | None:
        """When the next price after the instant begins, as far as was read."""
        series = self._series.get(tariff_id)
        place = 0 if series is None else bisect_right(series.starts, instant)
        return None if series is None or place == len(series.starts) else series.starts[place]


def _month(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _following(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)


async def _read_month(tariff_id: UUID, series: _Series, month: datetime) -> None:
    series.months.add((month.year, month.month))
    rows = await sql.rows(
        "SELECT start_at, end_at, price_micro FROM tariff_prices WHERE tariff_id = $1 AND start_at > $2 AND start_at < $3"
        " AND end_at > $4 ORDER BY start_at",
        tariff_id,
        month - LONGEST_PRICE - timedelta(seconds=1),
        _following(month),
        month,
    )
    for row in rows:
        start = sql.instant_of(row["start_at"])
        place = bisect_left(series.starts, start)
        # One that began in the month before may be here already.
        if place == len(series.starts) or series.starts[place] != start:
            series.starts.insert(place, start)
            series.ends.insert(place, sql.instant_of(row["end_at"]))
            series.values.insert(place, row["price_micro"])
