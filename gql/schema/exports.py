"""Files to take home."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.reporting.exports import ExportRow, ExportSource, exports_by_ids
from domain.roles import ExportFormat, ExportState, ReportBasis, ReportKind, UsageDimension
from gql import ids
from gql.context import Context
from gql.resolvers import exports as resolvers
from gql.resolvers.usage import question
from gql.schema.errors import (
    ConflictError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    ValidationError,
)
from gql.schema.fields import derived, resolved
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.sessions import ChargeSessionWhere
from gql.schema.usage import PeriodInput, UsageSummaryInput


def _url(root: Any, info: Info[Context, Any]) -> str | None:
    return resolvers.url(info.context, root)


@strawberry.type(description="A file that the viewer asked for; nobody else sees it. It is kept for 24 hours.")
class Export(Node):
    """Read from ExportRow."""

    kind: ReportKind
    format: ExportFormat
    state: ExportState
    created_at: datetime
    progress: float = strawberry.field(description="0 to 1.")
    row_count: int | None = strawberry.field(description="Groups of a SUMMARY, sessions of SESSIONS, lines of COST.")
    file_name: str | None = strawberry.field(description="Null until it is written, and once it is gone.")
    size_bytes: float | None = derived(
        lambda row: None if row.size_bytes is None else float(row.size_bytes), description="Null until it is written."
    )
    url = resolved(
        _url,
        str | None,
        description="Signed, works until expiresAt without other credentials: whoever has it may fetch the file. Null until READY.",
    )
    expires_at: datetime | None = strawberry.field(description="Then the file goes; null until it is written.")
    error: str | None = strawberry.field(description="Why it FAILED.")


@strawberry.input(one_of=True, description="What the file is made of.")
class ExportSourceInput:
    """Becomes an ExportSource."""

    usage: UsageSummaryInput | None = strawberry.UNSET
    locked_report_id: strawberry.ID | None = strawberry.field(
        description="The frozen figures, with what the report corrects. For OWNER of its installation.",
        default=strawberry.UNSET,
    )
    own: PeriodInput | None = strawberry.field(description="The viewer's own sessions.", default=strawberry.UNSET)
    sessions: ChargeSessionWhere | None = strawberry.field(
        description="History, as far as the viewer may see it.", default=strawberry.UNSET
    )

    def to_domain(self) -> ExportSource:
        """The same as the domain knows it."""
        if isinstance(self.usage, UsageSummaryInput):
            return ExportSource(usage=self.usage.to_domain())
        if isinstance(self.locked_report_id, str):
            path = ("source", "lockedReportId")
            return ExportSource(locked_report_id=ids.uuid_of(self.locked_report_id, "LockedReport", at=path))
        if isinstance(self.own, PeriodInput):
            by_month = (UsageDimension.CHARGER, UsageDimension.MONTH)
            asked = question(self.own.to_domain(), by_month, ReportBasis.REGISTERED, None, installation_ids=None)
            return ExportSource(usage=asked)
        where = self.sessions if isinstance(self.sessions, ChargeSessionWhere) else ChargeSessionWhere()
        return ExportSource(sessions=where.to_domain())


@strawberry.input(description="At most five files of a person are unfinished at a time.")
class CreateExportInput:
    """A file to be made."""

    source: ExportSourceInput
    kind: ReportKind = strawberry.field(
        description="SUMMARY: the groups, with their costs where there is a tariff, in XLSX with their sessions on a sheet of their own; "
        "SESSIONS: the sessions; COST: the lines of what they cost, in XLSX with what each person pays (of `usage` and `own` only).",
        default=ReportKind.SUMMARY,
    )
    format: ExportFormat = strawberry.field(
        description="XLSX, CSV, or PDF to be printed, of at most 5,000 lines.", default=ExportFormat.XLSX
    )
    user_id: strawberry.ID | None = strawberry.field(
        description="One person's part of `usage`, or of a locked report by USER, with the sessions that it is made of, for whoever pays "
        "it back; of `own` only the viewer's. Null = the whole.",
        default=strawberry.UNSET,
    )
    locale: str | None = strawberry.field(
        description="Headings, and delimiter and decimal sign of CSV, e.g. nb-NO.", default=strawberry.UNSET
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="A file that is no longer wanted.")
class CancelExportInput:
    """One of the viewer's own."""

    export_id: strawberry.ID
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The file: read it again, or follow it, until it is READY.")
class ExportSuccess:
    """Read anew."""

    export: Export


ExportResult = Annotated[
    ExportSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError | RateLimitedError,
    strawberry.union("ExportResult"),
]
_EXPORT = Thing(ExportSuccess, "export", "Export")


@strawberry.type
class ExportMutations:
    """Files asked for."""

    create_export = mutation(
        resolvers.create_export,
        CreateExportInput,
        ExportResult,
        _EXPORT,
        description="Asks for a file of a usage summary, of a locked report, of the viewer's own sessions, or of history. Rights are "
        "looked at again when it is made.",
    )
    cancel_export = mutation(
        resolvers.cancel_export,
        CancelExportInput,
        ExportResult,
        _EXPORT,
        description="A file that is not finished is not made any more; a finished one stays as it is.",
    )


NODES = (NodeKind(Export, ExportRow, exports_by_ids),)
