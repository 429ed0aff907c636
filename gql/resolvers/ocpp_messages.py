"""Messages of chargers."""

from domain.pages import Page, PageRequest
from domain.views.charger_views import ChargerRow
from domain.views.ocpp_message_views import OcppMessageRow, messages_page
from gql.context import Context


async def messages_of(context: Context, row: ChargerRow, request: PageRequest) -> Page[OcppMessageRow]:
    """Of the charger's station."""
    return await messages_page(context.access, row.id, request)
