"""Usage summaries: the question as the domain takes it, and the rows in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from domain.pages import Page, PageRequest, page_of_list
from domain.roles import ReportBasis, UsageDimension
from domain.summaries import usage_summary
from domain.usage.question import UsageFilter, UsageOrder, UsageQuestion, UsageRow, UsageSummary, ordered
from domain.views.installation_views import InstallationRow
from gql.context import Context


@dataclass(frozen=True, slots=True)
class Dates:
    """A period as the client writes it."""

    from_date: date
    to_date: date
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class RowOrder:
    """How rows are ordered."""

    field: UsageOrder
    is_descending: bool


def question(
    period: Dates,
    group_by: Sequence[UsageDimension],
    basis: ReportBasis,
    where: UsageFilter | None,
    *,
    installation_ids: tuple[UUID, ...] | None,
    include_idle: bool = False,
) -> UsageQuestion:
    """The question; `installation_ids` None: the viewer's own sessions."""
    return UsageQuestion(
        from_date=period.from_date,
        to_date=period.to_date,
        time_zone=period.time_zone,
        installation_ids=installation_ids,
        group_by=tuple(group_by),
        basis=basis,
        where=where or UsageFilter(),
        include_idle=include_idle,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at of a summary, beside its figures; what is not is not worked out."""

    costs: bool
    coverage: bool


async def summary(context: Context, asked: UsageQuestion, wanted: Wanted) -> UsageSummary:
    """The summary; NotFoundError and ValidationError as the domain says."""
    return await usage_summary(context.access, asked, with_costs=wanted.costs, with_coverage=wanted.coverage)


async def summary_of_viewer(context: Context, asked: UsageQuestion, wanted: Wanted) -> UsageSummary | None:
    """The summary of the person's own charges; None for programs, which have none."""
    if context.access.user_id is None:
        return None
    return await summary(context, asked, wanted)


async def summary_of_installation(
    context: Context, row: InstallationRow, asked: UsageQuestion, wanted: Wanted
) -> UsageSummary | None:
    """The summary, for an owner of the installation; None for others."""
    if not context.access.reads_sessions_of(row.id):
        return None
    return await summary(context, asked, wanted)


async def rows_of(
    _context: Context, row: Any, request: PageRequest, *, order_by: RowOrder | None = None
) -> Page[UsageRow]:
    """A page of the rows; by label, then time, unless ordered."""
    rows: Sequence[UsageRow] = row.rows
    if order_by is not None:
        rows = ordered(rows, order_by.field, is_descending=order_by.is_descending)
    return page_of_list(rows, request, lambda one: one.id)
