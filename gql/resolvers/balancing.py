"""The balancer's decisions."""

from domain.pages import Page, PageRequest
from domain.views.balancing_views import DecisionRow, decisions_page
from domain.views.installation_views import InstallationRow
from gql.context import Context


async def decisions_of(context: Context, row: InstallationRow, request: PageRequest) -> Page[DecisionRow]:
    """Those of a site, newest first."""
    return await decisions_page(context.access, row.id, request)
