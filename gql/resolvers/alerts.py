"""Alerts: their lists, and what people do about them."""

from uuid import UUID

from domain import alerts
from domain.filters import ANYTHING, Condition
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.views.alert_views import AlertPlace, AlertRow, alerts_page
from domain.views.charger_views import ChargerRow
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def alerts_of_installation(
    context: Context, row: InstallationRow, request: PageRequest, *, where: Condition | None = None
) -> Page[AlertRow]:
    """Those at the site that exist for the viewer."""
    place = AlertPlace(installation_id=row.id)
    return await alerts_page(context.access, request, place, where=where or ANYTHING)


async def alerts_of_charger(
    context: Context, row: ChargerRow, request: PageRequest, *, where: Condition | None = None
) -> Page[AlertRow]:
    """Those of the charger that exist for the viewer."""
    return await alerts_page(context.access, request, AlertPlace(charger_id=row.id), where=where or ANYTHING)


async def acknowledge(context: Context, *, alert_id: str, note: str | Unset | None) -> UUID:
    """The alert."""
    return await alerts.acknowledge_alert(
        context.access,
        ids.uuid_of(alert_id, "Alert", at="alertId"),
        note=note if isinstance(note, str) else None,
        bus=context.ports.bus,
    )
