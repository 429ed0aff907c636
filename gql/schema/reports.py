"""Reports that are locked: frozen, numbered, and corrected by the next one."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.roles import ReportBasis, UsageDimension
from domain.views.installation_views import installations_by_ids
from domain.views.report_views import LockedReportRow, locked_reports_by_ids
from gql.context import Context
from gql.resolvers import reports as resolvers
from gql.schema.connections import Connection
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import connection, related, resolved
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.sessions import ChargeSession
from gql.schema.usage import BY_CHARGER, Period, PeriodInput, Usage, UsageRow, UsageSummary

if TYPE_CHECKING:
    from gql.schema.installations import Installation


async def _summary(root: Any, info: Info[Context, Any]) -> Any:
    return await resolvers.summary(info.context, root)


async def _total(root: Any, info: Info[Context, Any]) -> Any:
    return await resolvers.total(info.context, root)


async def _correction_total(root: Any, info: Info[Context, Any]) -> Any:
    return await resolvers.correction_total(info.context, root)


async def _correction_count(root: Any, info: Info[Context, Any]) -> int:
    del info
    return await resolvers.correction_count(root)


async def _document(root: Any, info: Info[Context, Any]) -> str:
    return await resolvers.document(info.context, root)


@strawberry.type(
    description="What a group of an earlier locked period counts more by now, or less (negative figures), than was locked or corrected "
    "before."
)
class CorrectionLine:
    """Read from a domain's CorrectionLine."""

    period: Period
    row: UsageRow = strawberry.field(description="Its group, of the report's dimensions those that are no time.")


@strawberry.type(
    description="A report that never changes, whatever becomes of its sessions. Live figures are those of usageSummary. What changes later "
    "is in the correction lines of the next report of the installation and basis. For OWNER of the installation."
)
class LockedReport(Node):
    """Read from LockedReportRow."""

    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] | None = related(
        installations_by_ids, lambda row: row.installation_id, description="Null when it is hidden."
    )
    revision: int = strawberry.field(description="Counts the reports of the installation and basis, from 1.")
    period: Period
    basis: ReportBasis
    locked_at: datetime
    locked_by: str | None = strawberry.field(
        description="Who locked it, as they are called now; null when that is not known any more."
    )
    sha256: str = strawberry.field(description="Of `document` in UTF-8, in hexadecimal.")
    document = resolved(
        _document,
        str,
        description="What is locked, as JSON with sorted keys and without spaces. It knows people and cards by their ids only.",
    )
    summary = resolved(
        _summary,
        UsageSummary,
        description="As it was locked: names too, but those of people who were erased since, and the coverage of that time.",
    )
    total = resolved(_total, Usage, description="The sum of the rows, without corrections of earlier periods.")
    correction_lines = connection(
        resolvers.correction_lines,
        Connection[CorrectionLine],
        description="What it carries for earlier locked periods, by period, then label. A further revision of a period carries the "
        "difference to what was locked or corrected before.",
    )
    correction_total = resolved(_correction_total, Usage, description="The sum of the correction lines.")
    correction_count = resolved(
        _correction_count, int, description="How many sessions count otherwise in its period by now; see corrections."
    )
    corrections = connection(
        resolvers.corrections,
        Connection[ChargeSession],
        description="Sessions that count otherwise in its period by now than when it was locked: registered later, changed, or void. They "
        "are in the correction lines of the next report.",
    )


@strawberry.input(description="A period that is over.")
class LockReportInput:
    """Becomes a LockWish."""

    installation_id: strawberry.ID
    period: PeriodInput = strawberry.field(
        description="In the installation's own zone. It may not overlap a locked one of the same basis."
    )
    basis: ReportBasis = ReportBasis.REGISTERED
    group_by: list[UsageDimension] = strawberry.field(
        description="One or two dimensions.", default_factory=lambda: list(BY_CHARGER)
    )
    as_revision: bool = strawberry.field(
        description="Of a period that is locked already a further revision is made, beside the one that is there.",
        default=False,
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The report.")
class LockedReportSuccess:
    """Read anew."""

    locked_report: LockedReport


LockedReportResult = Annotated[
    LockedReportSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("LockedReportResult"),
]


@strawberry.type
class ReportMutations:
    """What is done with reports."""

    lock_report = mutation(
        resolvers.lock_report,
        LockReportInput,
        LockedReportResult,
        Thing(LockedReportSuccess, "locked_report", "LockedReport"),
        description="Freezes the figures of a period as they are now. Locked already: ConflictError (PERIOD_LOCKED), unless asRevision. "
        "For OWNER of the installation.",
    )


NODES = (NodeKind(LockedReport, LockedReportRow, locked_reports_by_ids),)
"""Locked reports as their owners see them."""
