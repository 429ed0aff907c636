"""Reports that are sent every month."""

from collections.abc import Sequence
from uuid import UUID

from domain.reporting import report_schedules
from domain.reporting.report_schedules import ScheduleRow, ScheduleWish
from domain.roles import ExportFormat, ReportBasis, ReportKind, UsageDimension
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def schedules_of_installation(context: Context, row: InstallationRow) -> Sequence[ScheduleRow]:
    """Those of an installation, for its owners."""
    return await report_schedules.schedules_of(context.access, row.id)


async def create_report_schedule(
    context: Context,
    *,
    installation_id: str,
    kind: ReportKind,
    format: ExportFormat,
    basis: ReportBasis,
    group_by: Sequence[UsageDimension],
    is_per_person: bool,
    recipients: Sequence[str],
) -> UUID:
    """The schedule."""
    wish = ScheduleWish(kind, format, basis, tuple(group_by), is_per_person, tuple(recipients))
    installation = ids.uuid_of(installation_id, "Installation", at="installationId")
    return await report_schedules.create_report_schedule(context.access, installation, wish)


async def remove_report_schedule(context: Context, *, id: str) -> None:
    """The schedule is gone."""
    await report_schedules.remove_report_schedule(context.access, ids.uuid_of(id, "ReportSchedule", at="id"))
