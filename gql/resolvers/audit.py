"""What was done at a site, and a person's own data."""

from domain.filters import ANYTHING, Condition
from domain.identity import erasure, own_data
from domain.identity.erasure import Proof
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.views.audit_views import AuditRow, audit_page
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def audit_of_installation(
    context: Context, row: InstallationRow, request: PageRequest, *, where: Condition | None = None
) -> Page[AuditRow]:
    """What was done there, for who rules it."""
    return await audit_page(context.access, row.id, request, where=where or ANYTHING)


async def erase_person(context: Context, *, user_id: str | Unset | None, password: str | Unset | None) -> None:
    """They are forgotten."""
    named = None if isinstance(user_id, Unset) else user_id
    proof = Proof(
        context.ports.passwords,
        context.ports.attempts,
        context.address,
        password if isinstance(password, str) else None,
    )
    identity = ids.optional_uuid_of(named, "User", at="userId")
    await erasure.erase_person(context.access, identity, proof=proof, bus=context.ports.bus)


async def export_my_data(context: Context) -> str:
    """All of it."""
    return await own_data.export_my_data(context.access)
