"""Reports that are sent every month."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.reporting.report_schedules import ScheduleRow, schedules_by_ids
from domain.roles import DeliveryState, ExportFormat, ReportBasis, ReportKind, UsageDimension
from domain.views.installation_views import installations_by_ids
from gql.resolvers import report_schedules as resolvers
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import related
from gql.schema.mutations import REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.removal import RemoveInput, RemoveResult
from gql.schema.usage import BY_CHARGER, Period

if TYPE_CHECKING:
    from gql.schema.installations import Installation

strawberry.enum(
    DeliveryState,
    description="WAITING: it is made, or the mail server did not take it yet (see error). FAILED: it will not be sent.",
)


@strawberry.type(description="What became of the report of one month to one recipient.")
class ReportDelivery:
    """Read from DeliveryRow."""

    period: Period
    recipient: str = strawberry.field(description="An address of the schedule, or the person whose own part it is.")
    state: DeliveryState
    at: datetime | None = strawberry.field(description="When it was sent, failed, or was last tried; null before that.")
    error: str | None = strawberry.field(description="Why it failed, or waits; null when it was sent.")


@strawberry.type(
    description="Sent on the first of the month at six, in the installation's zone, for the month before; later where the portal was down. "
    "Files are made by the right of the owner who made the schedule: once they own the installation no more nothing is sent. For OWNER."
)
class ReportSchedule(Node):
    """Read from ScheduleRow."""

    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] | None = related(
        installations_by_ids, lambda row: row.installation_id, description="Null when it is hidden."
    )
    kind: ReportKind
    format: ExportFormat
    basis: ReportBasis
    group_by: list[UsageDimension]
    is_per_person: bool = strawberry.field(
        description="Whether everybody who charged in the month gets their own part, at their own proven address."
    )
    recipients: list[str] = strawberry.field(description="Addresses that get the whole report.")
    next_at: datetime
    deliveries: list[ReportDelivery] = strawberry.field(description="The last 24, newest first.")


@strawberry.input(description="What is sent, to whom.")
class CreateReportScheduleInput:
    """Becomes a ScheduleWish."""

    installation_id: strawberry.ID
    kind: ReportKind = ReportKind.SUMMARY
    format: ExportFormat = ExportFormat.XLSX
    basis: ReportBasis = ReportBasis.REGISTERED
    group_by: list[UsageDimension] = strawberry.field(
        description="One or two dimensions.", default_factory=lambda: list(BY_CHARGER)
    )
    is_per_person: bool = strawberry.field(
        description="Everybody who charged in the month gets their own part, at their own proven address.",
        default=False,
    )
    recipients: list[str] = strawberry.field(
        description="At most 20 e-mail addresses that get the whole report; may be empty with isPerPerson. Whoever reads mail there sees "
        "all that is in it."
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The schedule.")
class ReportScheduleSuccess:
    """Read anew."""

    report_schedule: ReportSchedule


ReportScheduleResult = Annotated[
    ReportScheduleSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ReportScheduleResult"),
]


@strawberry.type
class ReportScheduleMutations:
    """What is done with schedules."""

    create_report_schedule = mutation(
        resolvers.create_report_schedule,
        CreateReportScheduleInput,
        ReportScheduleResult,
        Thing(ReportScheduleSuccess, "report_schedule", "ReportSchedule"),
        description="Sends a report every month from now on, as a file that goes with a mail (above 5 MiB as a link that works for a day). "
        "For OWNER of the installation.",
    )
    remove_report_schedule = mutation(
        resolvers.remove_report_schedule,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description="Sends nothing more, nor what waits to be sent. For OWNER of the installation.",
    )


NODES = (NodeKind(ReportSchedule, ScheduleRow, schedules_by_ids),)
"""Schedules as their owners see them."""
