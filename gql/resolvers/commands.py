"""Commands to chargers: asked for, and how far they have come."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain import commands
from domain.commands import Target
from domain.identity.people import PersonKey
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.units import wh
from domain.views.charger_views import ChargerRow
from domain.views.command_views import CommandRow, commands_page
from gql import ids
from gql.context import Context


async def commands_of_charger(
    context: Context, row: ChargerRow, request: PageRequest, *, is_final: bool | None = None
) -> Page[CommandRow]:
    """Those to a charger, as far as they exist for the viewer."""
    return await commands_page(context.access, request, charger_id=row.id, is_final=is_final)


async def commands_of_viewer(
    context: Context, _row: Any, request: PageRequest, *, is_final: bool | None = None
) -> Page[CommandRow]:
    """Those that the viewer asked for."""
    return await commands_page(context.access, request, is_final=is_final)


async def start_charging(
    context: Context,
    *,
    charger_id: str,
    person: PersonKey | Unset | None,
    energy_target_kwh: Decimal | Unset | None,
    departure_at: datetime | Unset | None,
    deadline_seconds: int,
) -> UUID:
    """The command that asks for a charge."""
    target = Target(
        energy_wh=wh(energy_target_kwh) if isinstance(energy_target_kwh, Decimal) else None,
        departure_at=departure_at if isinstance(departure_at, datetime) else None,
    )
    return await commands.start_charging(
        context.access,
        ids.uuid_of(charger_id, "Charger", at="chargerId"),
        person=person if isinstance(person, PersonKey) else None,
        target=target,
        deadline_s=deadline_seconds,
        bus=context.ports.bus,
        dispatch=context.ports.dispatch,
    )


async def _ask(
    use_case: Any, context: Context, charger_id: str, session_id: str | Unset | None, deadline_seconds: int
) -> UUID:
    session = None if isinstance(session_id, Unset) else session_id
    asked: UUID = await use_case(
        context.access,
        ids.uuid_of(charger_id, "Charger", at="chargerId"),
        session_id=ids.optional_uuid_of(session, "ChargeSession", at="sessionId"),
        deadline_s=deadline_seconds,
        bus=context.ports.bus,
        dispatch=context.ports.dispatch,
    )
    return asked


async def pause_charging(
    context: Context, *, charger_id: str, session_id: str | Unset | None, deadline_seconds: int
) -> UUID:
    """The command that holds a charge."""
    return await _ask(commands.pause_charging, context, charger_id, session_id, deadline_seconds)


async def resume_charging(
    context: Context, *, charger_id: str, session_id: str | Unset | None, deadline_seconds: int
) -> UUID:
    """The command that lets a charge go on."""
    return await _ask(commands.resume_charging, context, charger_id, session_id, deadline_seconds)


async def stop_charging(
    context: Context, *, charger_id: str, session_id: str | Unset | None, deadline_seconds: int
) -> UUID:
    """The command that ends a charge."""
    return await _ask(commands.stop_charging, context, charger_id, session_id, deadline_seconds)


async def restart_charger(
    context: Context, *, charger_id: str, session_id: str | Unset | None, deadline_seconds: int
) -> UUID:
    """The command that restarts a station."""
    return await _ask(commands.restart_charger, context, charger_id, session_id, deadline_seconds)


async def unlock_connector(
    context: Context, *, charger_id: str, session_id: str | Unset | None, deadline_seconds: int
) -> UUID:
    """The command that releases a plug."""
    return await _ask(commands.unlock_connector, context, charger_id, session_id, deadline_seconds)


async def update_firmware(context: Context, *, charger_id: str, url: str, retrieve_at: datetime | Unset | None) -> UUID:
    """The command that brings new firmware to a station."""
    return await commands.update_firmware(
        context.access,
        ids.uuid_of(charger_id, "Charger", at="chargerId"),
        url=url,
        retrieve_at=None if isinstance(retrieve_at, Unset) else retrieve_at,
        bus=context.ports.bus,
        dispatch=context.ports.dispatch,
    )


async def request_diagnostics(context: Context, *, charger_id: str, url: str) -> UUID:
    """The command that fetches a station's log."""
    return await commands.request_diagnostics(
        context.access,
        ids.uuid_of(charger_id, "Charger", at="chargerId"),
        url=url,
        bus=context.ports.bus,
        dispatch=context.ports.dispatch,
    )
