"""What the charges of a usage summary cost, in its groups; and the lines behind these sums.

Under REGISTERED and ENDED a charge's lines go with it; under INTERVAL each line belongs to where it stands in time: its day, on the
charge's first day its beginning. The monthly fee of each person is a line of its own on the 1st, by the clock of the installation.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.costs import CHARGED_COLUMNS, Charged, Till, charged_of, first_days
from domain.periods import Bucket, Period, bucket_at
from domain.pricing.lines import Cost, CostLine, monthly_fee
from domain.pricing.sums import NO_COSTS, UNKNOWN, Costs, Sum
from domain.roles import CostUnit, ReportBasis, Role, SessionState, UsageDimension
from domain.tariff_book import PricedSite, TariffBook, tariff_book
from domain.usage.batches import charges_behind
from domain.usage.question import (
    OF_OLD,
    Group,
    GroupPart,
    Snapshot,
    Tally,
    Usage,
    UsageFilter,
    UsageQuestion,
    time_dimensions,
)
from domain.usage.rows import NAMES, LocalTime, Scope, id_column


@dataclass(frozen=True, slots=True)
class MonthlyFee:
    """What a person pays for a month, whether or not they charged."""

    installation_id: UUID
    installation_name: str
    user_id: UUID
    user_name: str
    line: CostLine


async def book_for(access: Access, question: UsageQuestion, site_ids: Iterable[UUID]) -> TariffBook:
    """The tariffs of the installations asked about; for one's own charges also of those where one may have a monthly fee."""
    ids = set(site_ids)
    if question.installation_ids is None:
        ids |= {sql.uuid_of(row["id"]) for row in await sql.rows(_OWN_SITES, access.person())}
    return await tariff_book(ids)


_OWN_SITES = """
SELECT a.installation_id AS id FROM tariff_assignments a WHERE a.user_id = $1
UNION SELECT g.installation_id FROM group_members m JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = $1
UNION SELECT g.installation_id FROM past_group_members m JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = $1
UNION SELECT p.installation_id FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id
    WHERE COALESCE(p.user_id, m.user_id) = $1
"""


async def add_costs(
    question: UsageQuestion, period: Period, scope: Scope, book: TariffBook, tallies: dict[Group, Tally]
) -> None:
    """The groups have what their charges cost; without tariffs nothing is read."""
    if not book.sites:
        return
    groups = _Groups(question, period)
    till = Till(book)
    async for batch in _batches(question, period, scope, groups.things):
        costs = await till.costs([one.charged for one in batch])
        for one, cost in zip(batch, costs, strict=True):
            if cost is not None:
                for at, sums in _placed(one, cost, question.basis, period, groups):
                    groups.add(one, at, sums)
    groups.into(tallies)


def add_fees(
    question: UsageQuestion,
    period: Period,
    fees: Sequence[MonthlyFee],
    tallies: dict[Group, Tally],
    *,
    with_costs: bool,
) -> None:
    """Each fee has the group of its person and day, and is in it where costs are asked for; no charger, card or circuit has it."""
    groups = _Groups(question, period)
    for fee in fees:
        ids = {UsageDimension.INSTALLATION: fee.installation_id, UsageDimension.USER: fee.user_id}
        names = {UsageDimension.INSTALLATION: fee.installation_name, UsageDimension.USER: fee.user_name}
        known = tuple(
            (dimension, Snapshot(OF_OLD, names[dimension])) for dimension in groups.things if dimension in names
        )
        row = _Row(None, fee.line.at, {one: ids.get(one) for one in groups.things}, known)
        groups.add(row, fee.line.at, sum_of(fee.line) if with_costs else NO_COSTS)
    groups.into(tallies)


def sum_of(*lines: CostLine) -> Costs:
    """The lines added up."""
    return sum((Costs((Sum(one.currency, one.net_minor, one.vat_minor),)) for one in lines), NO_COSTS)


def lines_inside(cost: Cost, basis: ReportBasis, period: Period) -> tuple[CostLine, ...]:
    """The lines that count in the period, of a charge that does."""
    if basis is not ReportBasis.INTERVAL:
        return cost.lines
    return tuple(line for line in cost.lines if period.start_at <= line.at < period.end_at)


@dataclass(frozen=True, slots=True)
class _Row:
    """What groups are made of. `at` puts a whole charge into the period."""

    charge: Charged | None
    at: datetime
    ids: dict[UsageDimension, UUID | None]
    names: tuple[tuple[UsageDimension, Snapshot], ...]

    @property
    def charged(self) -> Charged:
        assert self.charge is not None  # noqa: S101  rows of charges have one
        return self.charge


async def _batches(
    question: UsageQuestion, period: Period, scope: Scope, things: Sequence[UsageDimension]
) -> AsyncIterator[Sequence[_Row]]:
    """The charges that count, oldest first by the instant of the basis."""

    def columns(arguments: list[object]) -> str:
        keys = [f"{id_column(dimension, scope, arguments)} AS id_{place}" for place, dimension in enumerate(things)]
        names = [f"{NAMES[dimension]} AS name_{place}" for place, dimension in enumerate(things)]
        return "".join(f"{column}, " for column in [*keys, *names]) + CHARGED_COLUMNS

    async for rows in charges_behind(question, period, scope, columns):
        yield [_row(row, things) for row in rows]


def _row(row: sql.Record, things: Sequence[UsageDimension]) -> _Row:
    charge = charged_of(row)
    named = [(dimension, row[f"name_{place}"]) for place, dimension in enumerate(things)]
    return _Row(
        charge,
        sql.instant_of(row["counted_at"]),
        {dimension: sql.optional_uuid_of(row[f"id_{place}"]) for place, dimension in enumerate(things)},
        tuple((dimension, Snapshot(OF_OLD, name)) for dimension, name in named if name),
    )


def _placed(
    one: _Row, cost: Cost, basis: ReportBasis, period: Period, groups: "_Groups"
) -> Iterable[tuple[datetime, Costs]]:
    """(when, how much) of a charge, inside the period. One whose cost is not known says so in every group that it touches."""
    if basis is not ReportBasis.INTERVAL:
        found = UNKNOWN if cost.unknown_because is not None else sum_of(*cost.lines)
        yield one.at, found or Costs((Sum(cost.currency, 0, 0),))
        return
    if cost.unknown_because is not None:
        for at in groups.touched(*one.charged.span):
            yield at, UNKNOWN
        return
    begins = max(one.charged.span[0], period.start_at)
    yield begins, Costs((Sum(cost.currency, 0, 0),))
    for line in lines_inside(cost, basis, period):
        yield line.at, sum_of(line)


class _Groups:
    """Sums by group, until they go into the tallies."""

    def __init__(self, question: UsageQuestion, period: Period) -> None:
        self.things = tuple(dimension for dimension in question.group_by if dimension in NAMES)
        self._dimensions = question.group_by
        self._times = time_dimensions(question)
        self._period = period
        self._buckets: dict[UsageDimension, Bucket] = {}
        self._found: dict[Group, tuple[list[Costs], _Row]] = {}

    def add(self, row: _Row, at: datetime, costs: Costs) -> None:
        """The sum is in the group of that row at that instant."""
        group = tuple(
            GroupPart(dimension, bucket=self._bucket(at, dimension))
            if dimension in self._times
            else GroupPart(dimension, row.ids[dimension])
            for dimension in self._dimensions
        )
        self._found.setdefault(group, ([], row))[0].append(costs)

    def touched(self, since: datetime, until: datetime) -> Iterable[datetime]:
        """An instant in each stretch of time grouped by that the charge touches, inside the period."""
        at = max(since, self._period.start_at)
        ends = min(max(until, since + timedelta.resolution), self._period.end_at)
        while at < ends:
            yield at
            borders = [self._bucket(at, dimension).end_at for dimension in self._times]
            at = min(borders, default=ends)

    def into(self, tallies: dict[Group, Tally]) -> None:
        """The tallies have the sums."""
        for group, (costs, row) in self._found.items():
            tallies.setdefault(group, Tally()).add(Usage(costs=_total(costs)), row.names)

    def _bucket(self, at: datetime, dimension: UsageDimension) -> Bucket:
        known = self._buckets.get(dimension)
        if known is None or not known.start_at <= at < known.end_at:
            known = self._buckets[dimension] = bucket_at(at, dimension, self._period.zone)
        return known


def _total(costs: Iterable[Costs]) -> Costs:
    sums: dict[str, tuple[int, int]] = {}
    unknown = 0
    for one in costs:
        unknown += one.unknown_count
        for currency, net_minor, vat_minor in one.sums:
            net, vat = sums.get(currency, (0, 0))
            sums[currency] = (net + net_minor, vat + vat_minor)
    return Costs(tuple(Sum(currency, net, vat) for currency, (net, vat) in sorted(sums.items())), unknown)


async def monthly_fees(access: Access, question: UsageQuestion, period: Period, book: TariffBook) -> list[MonthlyFee]:
    """The fees of the months that begin in the period and have begun, by installation, day and name.

    They fall on each person who has the tariff on the 1st: by name, as a member of its group that day, or of the whole installation as one
    who then may charge there (USER) or who charged there in that month. A filter on anything but people leaves them out.
    """
    where = question.where
    if where.is_identified is False or where != UsageFilter(user_ids=where.user_ids, is_identified=where.is_identified):
        return []
    until = min(period.end_at, access.now)
    chosen = None if where.user_ids is None else set(where.user_ids)
    if question.installation_ids is None:
        chosen = {access.person()} if chosen is None else chosen & {access.person()}
    found: list[tuple[PricedSite, UUID, CostLine]] = []
    for site in book.sites.values():
        firsts = first_days(site.calendar, period.start_at, until)
        if firsts and any(terms.numbered(CostUnit.MONTH) for terms in site.terms):
            payers = await _payers(book, site, firsts)
            found += [
                (site, user_id, line)
                for day in firsts
                for user_id in sorted(payers[day] if chosen is None else payers[day] & chosen)
                if (line := _fee(book, site, user_id, day)) is not None
            ]
    names = await _names({user_id for _, user_id, _ in found})
    fees = [MonthlyFee(site.id, site.name, user_id, names.get(user_id, ""), line) for site, user_id, line in found]
    return sorted(fees, key=lambda fee: (fee.installation_name, fee.line.day, fee.user_name, fee.user_id))


def _fee(book: TariffBook, site: PricedSite, user_id: UUID, day: date) -> CostLine | None:
    terms = book.terms_of(site.id, user_id)(day)
    return None if terms is None else monthly_fee(terms, day, site.calendar.start(day), site.currency)


async def _payers(book: TariffBook, site: PricedSite, firsts: Sequence[date]) -> dict[date, set[UUID]]:
    """Whoever may have a tariff of the site on each of these firsts."""
    found = {day: book.holders_on(site.id, day) for day in firsts}
    starts = {day: site.calendar.start(day) for day in firsts}
    for row in await sql.rows(_MAY_CHARGE, site.id):
        user_id, since = sql.uuid_of(row["id"]), sql.instant_of(row["since"])
        ends = [sql.optional_instant_of(row[name]) for name in ("valid_to", "revoked_at", "removed_at")]
        for day, at in starts.items():
            if since <= at and all(end is None or end > at for end in ends):
                found[day].add(user_id)
    first, last = starts[firsts[0]], site.calendar.start(_next_month(firsts[-1]))
    local = LocalTime(Period(firsts[0], _next_month(firsts[-1]), site.calendar.zone), (UsageDimension.MONTH,))
    arguments: list[object] = [site.id, first, last]
    (column,) = local.columns("s.started_at", arguments)
    for row in await sql.rows(_CHARGED.format(local=column), *arguments):
        day = sql.date_of(row["local"])
        if day in found:
            found[day].add(sql.uuid_of(row["id"]))
    return found


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


_MAY_CHARGE = f"""
SELECT COALESCE(p.user_id, m.user_id) AS id, CASE WHEN m.added_at > p.valid_from THEN m.added_at ELSE p.valid_from END AS since,
    p.valid_to, p.revoked_at, m.removed_at
FROM permissions p LEFT JOIN (
    SELECT group_id, user_id, added_at, NULL AS removed_at FROM group_members
    UNION ALL SELECT group_id, user_id, added_at, removed_at FROM past_group_members
) m ON m.group_id = p.group_id
WHERE p.installation_id = $1 AND p.role = '{Role.USER}' AND COALESCE(p.user_id, m.user_id) IS NOT NULL
"""  # noqa: S608  an enum's value
_CHARGED = f"""
SELECT DISTINCT s.user_id AS id, {{local}} FROM charge_sessions s
WHERE s.installation_id = $1 AND s.started_at >= $2 AND s.started_at < $3 AND s.state = '{SessionState.ENDED}' AND s.user_id IS NOT NULL
"""  # noqa: S608  an enum's value


async def _names(user_ids: Iterable[UUID]) -> dict[UUID, str]:
    names: dict[UUID, str] = {}
    for some in sql.in_chunks(sorted(user_ids)):
        arguments: list[object] = []
        condition = sql.any_of("id", some, arguments)
        rows = await sql.rows(f"SELECT id, name FROM users WHERE {condition}", *arguments)  # noqa: S608  marks only
        names.update((sql.uuid_of(row["id"]), row["name"]) for row in rows)
    return names
