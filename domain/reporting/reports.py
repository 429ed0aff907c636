"""Reports that are locked: frozen and numbered, with what changed in earlier ones since, so that nothing is billed twice or never."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from tortoise.exceptions import IntegrityError

from domain import audit, sql
from domain.access import REPORTERS, Access
from domain.equipment.installations import managed
from domain.errors import ConflictError, ErrorCode, invalid
from domain.ids import new_id
from domain.models import Installation, LockedName, LockedReport
from domain.periods import Period, period_of, zone_of
from domain.reporting import report_costs, report_documents, report_ledger
from domain.reporting.report_documents import Content, CorrectionLine
from domain.reporting.report_ledger import Book, Difference
from domain.roles import ReportBasis, UsageDimension
from domain.summaries import usage_summary
from domain.usage.question import GroupPart, UsageQuestion, UsageRow, label_of, ordered
from domain.usage.rows import NAMES

MOST_ROWS: Final = 20_000
"""Rows and correction lines of one report: it is read, and digested, as a whole."""


@dataclass(frozen=True, slots=True)
class LockWish:
    """What is to be locked: the local dates [from_date, to_date) of the installation's own zone."""

    from_date: date
    to_date: date
    time_zone: str | None = None
    basis: ReportBasis = ReportBasis.REGISTERED
    group_by: tuple[UsageDimension, ...] = (UsageDimension.CHARGER,)
    as_revision: bool = False


async def lock_report(access: Access, installation_id: UUID, wish: LockWish) -> UUID:
    """The period is locked under that basis, as the figures are now; the report never changes. For OWNER of the installation.

    It carries correction lines for the earlier locked periods of the installation and basis: live figures minus what was locked or
    corrected before. Of a period that is locked already a new revision is made where that is asked for, with correction lines for this
    period only; else ConflictError (PERIOD_LOCKED), as for one that overlaps a locked one. ValidationError when the period is not over,
    or in another zone than the installation's.
    """

    async def lock() -> UUID:
        await _one_at_a_time()
        return await _lock(access, installation_id, wish)

    try:
        return await sql.settled(lock)
    except IntegrityError as error:
        raise ConflictError("Another report was locked at this moment. Look at it, then try again.") from error


async def _one_at_a_time() -> None:
    """Until the transaction ends nobody else locks a report, and everything that is read is of one instant."""
    if not sql.is_sqlite():
        # In this order: what is read is of the instant of the first statement that reads.
        await sql.connection().execute_script(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; LOCK TABLE locked_reports IN SHARE ROW EXCLUSIVE MODE"
        )


async def _lock(access: Access, installation_id: UUID, wish: LockWish) -> UUID:
    site = await managed(access, installation_id, REPORTERS)
    period = _period(access, site, wish)
    book = Book(installation_id, wish.basis)
    known = await LockedReport.filter(installation_id=installation_id, basis=wish.basis).order_by("revision")
    is_revision = _is_revision(known, period, wish)
    summary = await usage_summary(access, _question(installation_id, period, wish), with_costs=True)
    own = await report_costs.all_costs(access, book, period, await report_ledger.differences(book, period))
    changes = {period: own} if is_revision else {one: await _changes(access, book, one) for one in _periods(known)}
    content = Content(
        summary=summary,
        installation_id=installation_id,
        revision=1 + max((one.revision for one in known), default=0),
        locked_by_id=access.person(),
        corrections=await _corrections(changes, wish.group_by, site),
    )
    _check_size(content)
    if not is_revision and await asyncio.to_thread(_total, own) != _sum(content):
        raise RuntimeError("the rows of a report and the sessions behind them do not add up")
    for one, found in {**changes, period: own}.items():
        await report_ledger.write(book, one, content.revision, found)
    return await _store(access, content, period, wish.basis)


async def _changes(access: Access, book: Book, period: Period) -> Sequence[Difference]:
    return await report_costs.changed_costs(access, book, period, await report_ledger.differences(book, period))


def _period(access: Access, site: Installation, wish: LockWish) -> Period:
    if wish.time_zone is not None and wish.time_zone != site.time_zone:
        message = f"A report is locked in the installation's own zone, {site.time_zone}: leave this out."
        raise invalid(("period", "timeZone"), message)
    period = period_of(wish.from_date, wish.to_date, zone_of(site.time_zone))
    if period.end_at > access.now:
        raise invalid(("period", "to"), "Only a period that is over can be locked.", ErrorCode.INVALID)
    return period


def _is_revision(known: Sequence[LockedReport], period: Period, wish: LockWish) -> bool:
    """Whether it is another revision of a locked period; ConflictError where it may not be locked."""
    overlapping = [one for one in known if one.from_date < period.to_date and period.from_date < one.to_date]
    if not overlapping:
        return False
    same = [one for one in overlapping if (one.from_date, one.to_date) == (period.from_date, period.to_date)]
    if same and wish.as_revision:
        return True
    first = overlapping[0]
    message = (
        f"{first.from_date} up to but not including {first.to_date} is locked already, by number {first.revision}."
        + (" Ask for a revision to lock the figures as they are now." if same else " Periods may not overlap.")
    )
    raise ConflictError(message, code=ErrorCode.PERIOD_LOCKED, path=("period",))


def _periods(known: Sequence[LockedReport]) -> list[Period]:
    """Every period that is locked, the oldest first."""
    found = {one.from_date: Period(one.from_date, one.to_date, zone_of(one.time_zone)) for one in known}
    return [found[one] for one in sorted(found)]


def _question(installation_id: UUID, period: Period, wish: LockWish) -> UsageQuestion:
    return UsageQuestion(
        from_date=period.from_date,
        to_date=period.to_date,
        installation_ids=(installation_id,),
        time_zone=period.zone.key,
        group_by=wish.group_by,
        basis=wish.basis,
    )


async def _corrections(
    changes: Mapping[Period, Sequence[Difference]], group_by: Sequence[UsageDimension], site: Installation
) -> tuple[CorrectionLine, ...]:
    """A line for each earlier period and group in which something is different: of the report's dimensions those that are no time."""
    dimensions = tuple(one for one in group_by if one in NAMES)
    found: list[CorrectionLine] = []
    for period, differences in changes.items():
        names = await _names(differences, dimensions, site)
        found += await asyncio.to_thread(_lines, period, differences, dimensions, site.id, names)
    return tuple(found)


def _lines(
    period: Period,
    differences: Sequence[Difference],
    dimensions: Sequence[UsageDimension],
    site_id: UUID,
    names: Mapping[tuple[UsageDimension, UUID | None], str],
) -> list[CorrectionLine]:
    rows = []
    for ids, usage in report_ledger.grouped(differences, dimensions, site_id):
        group = tuple(GroupPart(dimension, one) for dimension, one in zip(dimensions, ids, strict=True))
        labels = (label_of(part, names.get((part.dimension, part.id))) for part in group)
        rows.append(UsageRow(group, tuple(labels), usage))
    return [CorrectionLine(period, row) for row in ordered(rows)]


async def _names(
    differences: Sequence[Difference], dimensions: Sequence[UsageDimension], site: Installation
) -> dict[tuple[UsageDimension, UUID | None], str]:
    """The newest name of each group, as the sessions have it."""
    names: dict[tuple[UsageDimension, UUID | None], str] = {(UsageDimension.INSTALLATION, site.id): site.name}
    wanted = [one for one in dimensions if one in report_ledger.THINGS]
    session_ids = sorted({one.session_id for one in differences if one.session_id is not None})
    for some in sql.in_chunks(session_ids) if wanted else ():
        arguments: list[object] = []
        condition = sql.any_of("s.id", some, arguments)
        rows = await sql.rows(
            f"SELECT {_NAMED} FROM charge_sessions s WHERE {condition} ORDER BY s.registered_at, s.id",  # noqa: S608
            *arguments,
        )
        for row in rows:
            for dimension in wanted:
                identity, name = row[f"id_{dimension.lower()}"], row[f"name_{dimension.lower()}"]
                if identity is not None and name is not None:
                    names[dimension, sql.uuid_of(identity)] = name
    for user_id, name in (await _fee_names(differences)).items():
        names.setdefault((UsageDimension.USER, user_id), name)
    return names


async def _fee_names(differences: Sequence[Difference]) -> dict[UUID, str]:
    """The names of those who have a monthly fee among these: a fee has no session that would tell."""
    place = report_ledger.THINGS.index(UsageDimension.USER)
    ids = sorted({found for one in differences if one.session_id is None and (found := one.ids[place]) is not None})
    names: dict[UUID, str] = {}
    for some in sql.in_chunks(ids):
        arguments: list[object] = []
        condition = sql.any_of("id", some, arguments)
        rows = await sql.rows(f"SELECT id, name FROM users WHERE {condition}", *arguments)  # noqa: S608  marks only
        names |= {sql.uuid_of(row["id"]): row["name"] for row in rows}
    return names


_COLUMNS = {
    UsageDimension.CHARGER: "charger_id",
    UsageDimension.CIRCUIT: "circuit_id",
    UsageDimension.USER: "user_id",
    UsageDimension.CHARGE_CARD: "card_id",
}
_NAMED = ", ".join(
    f"s.{column} AS id_{dimension.lower()}, {NAMES[dimension]} AS name_{dimension.lower()}"
    for dimension, column in _COLUMNS.items()
)


def _check_size(content: Content) -> None:
    lines = len(content.summary.rows) + len(content.corrections)
    if lines > MOST_ROWS:
        message = f"That would be {lines} rows, of at most {MOST_ROWS}: lock a shorter period, or group more coarsely."
        raise invalid("groupBy", message, ErrorCode.TOO_LARGE)


def _total(found: Sequence[Difference]) -> tuple[int, int, int, int]:
    sums = [one for difference in found for one in difference.usage.costs.sums]
    money = sum(one.net_minor for one in sums), sum(one.vat_minor for one in sums)
    return sum(one.usage.energy_wh for one in found), sum(one.usage.charging_s for one in found), *money


def _sum(content: Content) -> tuple[int, int, int, int]:
    total = content.summary.total
    money = sum(one.net_minor for one in total.costs.sums), sum(one.vat_minor for one in total.costs.sums)
    return total.energy_wh, total.charging_s, *money


async def _store(access: Access, content: Content, period: Period, basis: ReportBasis) -> UUID:
    document = await asyncio.to_thread(report_documents.written, content)
    report = LockedReport(
        id=new_id(),
        installation_id=content.installation_id,
        basis=basis,
        revision=content.revision,
        from_date=period.from_date,
        to_date=period.to_date,
        time_zone=period.zone.key,
        period_start_at=period.start_at,
        period_end_at=period.end_at,
        locked_at=access.now,
        locked_by_id=content.locked_by_id,
        document=document,
        sha256=report_documents.digest(document),
    )
    await report.save(force_create=True)
    await _store_names(report.id, content)
    await audit.record(
        access,
        "report.lock",
        "LockedReport",
        report.id,
        installation_id=content.installation_id,
        after={
            "revision": report.revision,
            "basis": basis,
            "from": period.from_date.isoformat(),
            "to": period.to_date.isoformat(),
            "energyWh": content.summary.total.energy_wh,
            "sha256": report.sha256,
        },
    )
    return report.id


async def _store_names(report_id: UUID, content: Content) -> None:
    rows = [line.row for line in content.corrections]
    names = report_documents.names_in(rows) | report_documents.names_in(content.summary.rows)
    cards = sorted(one for dimension, one in names if dimension is UsageDimension.CHARGE_CARD)
    holders = await _holders(cards)
    async for some in sql.in_turns(sorted(names)):
        await LockedName.bulk_create(
            LockedName(
                report_id=report_id,
                dimension=dimension,
                subject_id=subject_id,
                user_id=subject_id if dimension is UsageDimension.USER else holders.get(subject_id),
                name=names[dimension, subject_id],
            )
            for dimension, subject_id in some
        )


async def _holders(card_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Card → the person who charged with it."""
    found: dict[UUID, UUID] = {}
    for some in sql.in_chunks(card_ids):
        arguments: list[object] = []
        condition = sql.any_of("card_id", some, arguments)
        rows = await sql.rows(
            f"SELECT DISTINCT card_id, user_id FROM charge_sessions WHERE {condition} AND user_id IS NOT NULL",  # noqa: S608
            *arguments,
        )
        found |= {sql.uuid_of(row["card_id"]): sql.uuid_of(row["user_id"]) for row in rows}
    return found
