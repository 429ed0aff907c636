"""Files that people ask for."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.pages import Page, PageRequest
from domain.reporting import exports
from domain.reporting.exports import ExportRow, ExportSource, exports_page
from domain.roles import ExportFormat, ExportState, ReportKind, Unset
from gql import ids
from gql.context import Context


async def exports_of_viewer(context: Context, _row: Any, request: PageRequest) -> Page[ExportRow]:
    """The viewer's own."""
    return await exports_page(context.access, request)


def url(context: Context, row: ExportRow) -> str | None:
    """The signed link; None until the file is ready, and when its time is over."""
    if row.state is not ExportState.READY or row.expires_at is None:
        return None
    return context.ports.export_links.url(row.id, row.expires_at)


async def create_export(
    context: Context,
    *,
    kind: ReportKind,
    format: ExportFormat,
    source: ExportSource,
    user_id: str | Unset | None,
    locale: str | Unset | None,
) -> UUID:
    """The file that will be made."""
    if isinstance(user_id, str):
        source = replace(source, person_id=ids.uuid_of(user_id, "User", at="userId"))
    return await exports.create_export(
        context.access,
        source,
        kind=kind,
        format=format,
        locale=locale if isinstance(locale, str) else None,
        bus=context.ports.bus,
    )


async def cancel_export(context: Context, *, export_id: str) -> UUID:
    """The file that is not made any more."""
    return await exports.cancel_export(
        context.access, ids.uuid_of(export_id, "Export", at="exportId"), bus=context.ports.bus
    )
