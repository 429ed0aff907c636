"""Sites: lists, and the changes that people make."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from domain.current import available_current
from domain.current.current_schedule import ScheduleEntry
from domain.equipment import installations
from domain.equipment.installations import Address, InstallationChanges
from domain.filters import ANYTHING, Comparison, Condition, Term
from domain.pages import Page, PageRequest
from domain.roles import AvailableCurrentMode, InstallationCategory, NetworkType, Unset
from domain.units import PhaseAmps
from domain.views.charger_views import BY_NAME as CHARGERS_BY_NAME
from domain.views.charger_views import ChargerOrder, ChargerRow, chargers_page
from domain.views.circuit_views import CircuitRow, circuits_of_installations
from domain.views.installation_views import BY_NAME, InstallationOrder, InstallationRow, installations_page
from domain.views.permission_views import PermissionRow, permissions_page
from gql import ids
from gql.context import Context


async def installations_list(
    context: Context,
    _root: Any,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[InstallationOrder] | None = None,
) -> Page[InstallationRow]:
    """The sites that exist for the viewer."""
    return await installations_page(context.access, request, where=where or ANYTHING, order=order_by or BY_NAME)


async def circuits_of(context: Context, row: InstallationRow) -> Sequence[CircuitRow]:
    """The site's whole tree, parents first."""
    return await context.load(circuits_of_installations, row.id) or ()


async def chargers_of(
    context: Context,
    row: InstallationRow,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[ChargerOrder] | None = None,
) -> Page[ChargerRow]:
    """The site's chargers that exist for the viewer."""
    here = Term("installationId", Comparison.EQUALS, row.id)
    order = order_by or CHARGERS_BY_NAME
    return await chargers_page(context.access, request, where=where or ANYTHING, order=order, within=here)


async def permissions_of(
    context: Context, row: InstallationRow, request: PageRequest, *, where: Condition | None = None
) -> Page[PermissionRow]:
    """Grants at the site and at its chargers, as far as they exist for the viewer."""
    here = Term("installationId", Comparison.EQUALS, row.id)
    return await permissions_page(context.access, request, where=where or ANYTHING, within=here)


async def create_installation(
    context: Context,
    *,
    name: str,
    address: Address,
    time_zone: str,
    currency: str,
    category: InstallationCategory,
    network_type: NetworkType,
    main_breaker_a: float,
) -> UUID:
    """The new site."""
    return await installations.create_installation(
        context.access,
        name=name,
        address=address,
        time_zone=time_zone,
        currency=currency,
        category=category,
        network_type=network_type,
        main_breaker_a=main_breaker_a,
        bus=context.ports.bus,
        is_open_to_all=context.ports.is_creation_open,
    )


async def update_installation(
    context: Context,
    *,
    installation_id: str,
    name: str | Unset | None,
    address: Address | Unset | None,
    category: InstallationCategory | Unset | None,
    network_type: NetworkType | Unset | None,
    main_breaker_a: float | Unset | None,
    three_to_one_phase_switch_current_a: float | Unset | None,
    is_active: bool | Unset | None,
) -> UUID:
    """The changed site."""
    changes = InstallationChanges(
        name=name,
        address=address,
        category=category,
        network_type=network_type,
        main_breaker_a=main_breaker_a,
        three_to_one_switch_a=three_to_one_phase_switch_current_a,
        is_active=is_active,
    )
    site = ids.uuid_of(installation_id, "Installation", at="installationId")
    return await installations.update_installation(context.access, site, changes, bus=context.ports.bus)


async def set_available_current(
    context: Context,
    *,
    installation_id: str,
    available_current_a: PhaseAmps,
    valid_for_seconds: int | Unset | None,
    fallback_current_a: PhaseAmps | Unset | None,
) -> UUID:
    """The site with its new limit."""
    site = ids.uuid_of(installation_id, "Installation", at="installationId")
    await available_current.set_available_current(
        context.access,
        site,
        available_current_a,
        valid_for_s=None if isinstance(valid_for_seconds, Unset) else valid_for_seconds,
        fallback=None if isinstance(fallback_current_a, Unset) else fallback_current_a,
        bus=context.ports.bus,
    )
    return site


async def set_current_schedule(context: Context, *, installation_id: str, entries: Sequence[ScheduleEntry]) -> UUID:
    """The site with its new schedule."""
    site = ids.uuid_of(installation_id, "Installation", at="installationId")
    await available_current.set_current_schedule(context.access, site, entries, bus=context.ports.bus)
    return site


async def clear_available_current(context: Context, *, installation_id: str, mode: AvailableCurrentMode) -> UUID:
    """The site without a limit that a person set."""
    site = ids.uuid_of(installation_id, "Installation", at="installationId")
    await available_current.clear_available_current(context.access, site, mode=mode, bus=context.ports.bus)
    return site
