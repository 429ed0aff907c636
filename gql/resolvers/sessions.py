"""Charge sessions: lists, and when their energy was taken."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.charging.energy_intervals import Part
from domain.current import session_targets
from domain.errors import invalid
from domain.filters import ANYTHING, Condition
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.sessions import (
    EVERYWHERE,
    NEWEST_FIRST,
    SessionOrder,
    SessionPlace,
    SessionRow,
    energy_details,
    sessions_page,
)
from domain.views.charger_views import ChargerRow
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def _page(
    context: Context,
    request: PageRequest,
    at: SessionPlace,
    where: Condition | None,
    order_by: Sequence[SessionOrder] | None,
) -> Page[SessionRow]:
    return await sessions_page(context.access, request, where=where or ANYTHING, order=order_by or NEWEST_FIRST, at=at)


async def sessions_list(
    context: Context,
    _root: Any,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[SessionOrder] | None = None,
) -> Page[SessionRow]:
    """All that exist for the viewer."""
    return await _page(context, request, EVERYWHERE, where, order_by)


async def sessions_of_installation(
    context: Context,
    row: InstallationRow,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[SessionOrder] | None = None,
) -> Page[SessionRow]:
    """Those of an installation, as far as they exist for the viewer."""
    return await _page(context, request, SessionPlace(installation_id=row.id), where, order_by)


async def sessions_of_charger(
    context: Context,
    row: ChargerRow,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[SessionOrder] | None = None,
) -> Page[SessionRow]:
    """Those at a charger, as far as they exist for the viewer."""
    return await _page(context, request, SessionPlace(charger_id=row.id), where, order_by)


async def sessions_of_viewer(
    context: Context,
    _row: Any,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[SessionOrder] | None = None,
) -> Page[SessionRow]:
    """The viewer's own."""
    return await _page(context, request, SessionPlace(is_own=True), where, order_by)


async def details(row: SessionRow, since: datetime | None, until: datetime | None) -> Sequence[Part]:
    """The energy over time. ValidationError when the part ends before it begins."""
    if since is not None and until is not None and until < since:
        raise invalid("to", "`to` comes after `from`.")
    return await energy_details(row, since=since, until=until)


async def set_session_priority(
    context: Context,
    *,
    session_id: str,
    priority: int | Unset | None,
    energy_target_kwh: Any,
    departure_at: datetime | Unset | None,
) -> UUID:
    """The session as it is now."""
    return await session_targets.set_session_priority(
        context.access,
        ids.uuid_of(session_id, "ChargeSession", at="sessionId"),
        session_targets.Wishes(priority=priority, energy_target_kwh=energy_target_kwh, departure_at=departure_at),
        bus=context.ports.bus,
    )
