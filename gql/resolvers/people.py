"""Who is asking, and signing in and out."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain import people
from domain.filters import ANYTHING, Comparison, Condition, Term
from domain.pages import Page, PageRequest
from domain.people import SignedIn
from domain.views.permission_views import PermissionRow, permissions_page
from gql.context import Context


@dataclass(frozen=True, slots=True)
class ViewerRow:
    """The person or the service account that asks."""

    user_id: UUID | None
    service_account_id: UUID | None = None


def viewer(context: Context) -> ViewerRow | None:
    """Who is asking; None when nobody is signed in."""
    actor = context.access.actor
    return None if actor is None else ViewerRow(actor.user_id, actor.service_account_id)


async def permissions_of_viewer(
    context: Context, _row: Any, request: PageRequest, *, where: Condition | None = None
) -> Page[PermissionRow]:
    """What the person who asks holds, also through groups."""
    own = Term("isOwn", Comparison.EQUALS, value=True)
    return await permissions_page(context.access, request, where=where or ANYTHING, within=own)


async def sign_in(context: Context, *, email: str, password: str) -> SignedIn:
    """A new sign-in; what is asked for of its viewer is seen by its access."""
    ports = context.ports
    signed_in = await people.sign_in(email, password, passwords=ports.passwords, tokens=ports.tokens, clock=ports.clock)
    context.access = signed_in.access
    return signed_in


async def refresh_sign_in(context: Context, *, refresh_token: str) -> SignedIn:
    """New tokens of the same sign-in."""
    ports = context.ports
    signed_in = await people.refresh_sign_in(refresh_token, tokens=ports.tokens, clock=ports.clock, bus=ports.bus)
    context.access = signed_in.access
    return signed_in


async def sign_out(context: Context, *, everywhere: bool) -> None:
    """The sign-in has ended."""
    await people.sign_out(context.access, everywhere=everywhere, bus=context.ports.bus)
