"""Locked reports as their owners see them: rows, what they say, and which sessions count otherwise by now."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from domain import sql
from domain.access import REPORTERS, Access
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.periods import Period
from domain.reporting import report_documents, report_ledger
from domain.reporting.report_documents import Content
from domain.reporting.report_ledger import Book
from domain.roles import ReportBasis, UsageDimension
from domain.sessions import sessions_by_ids
from domain.usage.sessions import CountedSession


@dataclass(frozen=True, slots=True)
class LockedReportRow:
    """A locked report, without what it says. `locked_by` is that person's present name."""

    id: UUID
    installation_id: UUID
    revision: int
    period: Period
    basis: ReportBasis
    locked_at: datetime
    locked_by: str | None
    sha256: str

    @property
    def book(self) -> Book:
        """The ledger that it stands in."""
        return Book(self.installation_id, self.basis)


_SELECT = """
SELECT r.id, r.installation_id, r.revision, r.basis, r.from_date, r.to_date, r.time_zone, r.locked_at, r.sha256, u.name AS locked_by
FROM locked_reports r LEFT JOIN users u ON u.id = r.locked_by_id WHERE
"""
_NEWEST_FIRST = (
    SortKey("r.locked_at", "locked_at", KeyKind.INSTANT, is_descending=True),
    SortKey("r.id", "id", KeyKind.ID, is_descending=True),
)


def _visible(access: Access, arguments: list[object]) -> str:
    return sql.any_of("r.installation_id", access.installations_with(REPORTERS), arguments)


async def locked_reports_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, LockedReportRow]:
    """Those among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('r.id', list(ids), arguments)} AND {_visible(access, arguments)}"
    return {row.id: row for row in map(_row, await sql.rows(f"{_SELECT} {condition}", *arguments))}


async def locked_reports_page(access: Access, installation_id: UUID, request: PageRequest) -> Page[LockedReportRow]:
    """One page of an installation's, those first that were locked last; empty for who does not own it."""
    if not access.sees_reports_of(installation_id):
        return empty_page()
    arguments: list[object] = [installation_id]
    found = keyset(_NEWEST_FIRST, request, arguments)
    statement = f"{_SELECT} r.installation_id = $1 AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}"

    async def count() -> int:
        counted = await sql.rows(
            "SELECT COUNT(*) AS number FROM locked_reports WHERE installation_id = $1", installation_id
        )
        return int(counted[0]["number"])

    return page_of(await sql.rows(statement, *arguments), found, request, _row, count=count)


async def contents_by_report_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Content]:
    """What each of these reports says, as far as they exist for this person. They are read away from the event loop."""
    documents = await documents_by_report_ids(access, ids)
    arguments: list[object] = []
    wanted = sql.any_of("report_id", sorted(documents), arguments)
    names: dict[UUID, dict[tuple[UsageDimension, UUID], str]] = {}
    for row in await sql.rows(
        f"SELECT report_id, dimension, subject_id, name FROM locked_names WHERE {wanted}",  # noqa: S608  marks only
        *arguments,
    ):
        known = names.setdefault(sql.uuid_of(row["report_id"]), {})
        known[UsageDimension(row["dimension"]), sql.uuid_of(row["subject_id"])] = row["name"]
    found = {}
    for report_id, document in documents.items():
        found[report_id] = await asyncio.to_thread(report_documents.read, document, names.get(report_id, {}))
    return found


async def documents_by_report_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """The documents of those among `ids` that exist for this person."""
    arguments: list[object] = []
    condition = f"{sql.any_of('r.id', list(ids), arguments)} AND {_visible(access, arguments)}"
    rows = await sql.rows(f"SELECT r.id, r.document FROM locked_reports r WHERE {condition}", *arguments)  # noqa: S608
    return {sql.uuid_of(row["id"]): row["document"] for row in rows}


async def corrected_session_ids(report: LockedReportRow) -> list[UUID]:
    """The sessions that count otherwise in the report's period by now than when it was locked, the oldest first."""
    found = await report_ledger.differences(report.book, report.period, until_revision=report.revision)
    return sorted({one.session_id for one in found if one.session_id is not None})


async def locked_sessions(
    access: Access, report: LockedReportRow, *, user_id: UUID | None = None
) -> AsyncIterator[Sequence[CountedSession]]:
    """The sessions behind the report in batches, each with the energy that was locked; who and when as they are now. `user_id`: those
    that count for that person.
    """
    async for some in report_ledger.locked_energies(report.book, report.period, report.revision, user_id=user_id):
        found = await sessions_by_ids(access, [one for one, _ in some])
        yield [CountedSession(found[one], energy, found[one].started_at) for one, energy in some if one in found]


def _row(row: Mapping[str, Any]) -> LockedReportRow:
    return LockedReportRow(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        revision=row["revision"],
        period=Period(sql.date_of(row["from_date"]), sql.date_of(row["to_date"]), ZoneInfo(row["time_zone"])),
        basis=ReportBasis(row["basis"]),
        locked_at=sql.instant_of(row["locked_at"]),
        locked_by=row["locked_by"],
        sha256=row["sha256"],
    )
