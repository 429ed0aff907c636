"""Locked reports: what they say, and what counts otherwise by now."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from domain.pages import Page, PageRequest, page_of_list
from domain.reporting import reports
from domain.reporting.report_documents import Content, CorrectionLine
from domain.reporting.reports import LockWish
from domain.roles import ReportBasis, UsageDimension
from domain.sessions import SessionRow, sessions_by_ids
from domain.usage.question import Coverage, Usage, UsageSummary
from domain.views.charger_views import chargers_by_ids
from domain.views.installation_views import InstallationRow
from domain.views.report_views import (
    LockedReportRow,
    contents_by_report_ids,
    corrected_session_ids,
    documents_by_report_ids,
    locked_reports_page,
)
from gql import ids
from gql.context import Context
from gql.resolvers.usage import Dates


async def reports_of_installation(
    context: Context, row: InstallationRow, request: PageRequest
) -> Page[LockedReportRow]:
    """Those of an installation, for its owners."""
    return await locked_reports_page(context.access, row.id, request)


async def _content(context: Context, row: LockedReportRow) -> Content:
    found = await context.load(contents_by_report_ids, row.id)
    if found is None:
        raise LookupError("a report that is seen has a document")
    return found


async def summary(context: Context, row: LockedReportRow) -> UsageSummary:
    """As it was locked; of the chargers that were silent those that are still there."""
    found = (await _content(context, row)).summary
    wanted = [one.charger_id for one in found.coverage.silent]
    there = await chargers_by_ids(context.access, wanted)
    silent = tuple(one for one in found.coverage.silent if one.charger_id in there)
    return replace(found, covered=Coverage(silent, unlisted=len(wanted) - len(silent)))


async def total(context: Context, row: LockedReportRow) -> Usage:
    """The sum of its rows."""
    return (await _content(context, row)).summary.total


async def correction_lines(context: Context, row: LockedReportRow, request: PageRequest) -> Page[CorrectionLine]:
    """A page of what it corrects."""
    return page_of_list((await _content(context, row)).corrections, request, lambda line: line.id)


async def correction_total(context: Context, row: LockedReportRow) -> Usage:
    """The sum of its correction lines."""
    return (await _content(context, row)).correction_total


async def document(context: Context, row: LockedReportRow) -> str:
    """The text that the digest is of."""
    return await context.load(documents_by_report_ids, row.id) or ""


async def correction_count(row: LockedReportRow) -> int:
    """How many sessions count otherwise by now."""
    return len(await corrected_session_ids(row))


async def corrections(context: Context, row: LockedReportRow, request: PageRequest) -> Page[SessionRow]:
    """A page of them."""
    page = page_of_list(await corrected_session_ids(row), request, lambda one: one)
    found = await sessions_by_ids(context.access, page.rows)
    shown = [(found[one], cursor) for one, cursor in zip(page.rows, page.cursors, strict=True) if one in found]
    return Page(
        [one for one, _ in shown], [cursor for _, cursor in shown], page.has_next, page.has_previous, page.count
    )


async def lock_report(
    context: Context,
    *,
    installation_id: str,
    period: Dates,
    basis: ReportBasis,
    group_by: Sequence[UsageDimension],
    as_revision: bool,
) -> UUID:
    """The report that is locked."""
    wish = LockWish(
        period.from_date,
        period.to_date,
        time_zone=period.time_zone,
        basis=basis,
        group_by=tuple(group_by),
        as_revision=as_revision,
    )
    installation = ids.uuid_of(installation_id, "Installation", at="installationId")
    return await reports.lock_report(context.access, installation, wish)
