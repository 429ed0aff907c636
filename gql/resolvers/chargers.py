"""Chargers: lists, and the changes that people make."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from domain.equipment import adoption, chargers, meter_signatures
from domain.equipment.adoption import OfferedPassword
from domain.equipment.chargers import ChargerChanges, Electrical, NewCharger
from domain.errors import invalid
from domain.filters import ANYTHING, Comparison, Condition, Every, Term
from domain.pages import Page, PageRequest
from domain.roles import PhaseRotation, Unset
from domain.views.charger_views import BY_NAME, ChargerOrder, ChargerRow, chargers_page
from domain.views.permission_views import PermissionRow, permissions_page
from domain.views.unknown_charger_views import UnknownChargerRow, unknown_chargers_page
from gql import ids
from gql.context import Context
from gql.made import Made


async def chargers_list(
    context: Context,
    _root: Any,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[ChargerOrder] | None = None,
) -> Page[ChargerRow]:
    """The chargers that exist for the viewer."""
    return await chargers_page(context.access, request, where=where or ANYTHING, order=order_by or BY_NAME)


async def permissions_of(
    context: Context, row: ChargerRow, request: PageRequest, *, where: Condition | None = None
) -> Page[PermissionRow]:
    """Grants on just this charger, given where it stands, as far as they exist for the viewer."""
    here = Every(
        (
            Term("chargerId", Comparison.EQUALS, row.id),
            Term("installationId", Comparison.EQUALS, row.installation_id),
        )
    )
    return await permissions_page(context.access, request, where=where or ANYTHING, within=here)


async def unknown_chargers(context: Context, _root: Any, request: PageRequest) -> Page[UnknownChargerRow]:
    """Those who knocked and whom nobody has added, for administrators."""
    return await unknown_chargers_page(context.access, request)


async def unknown_charger(context: Context, identity: str) -> UnknownChargerRow | None:
    """The one by exactly that identity, for who may add chargers somewhere."""
    return await adoption.find_unknown_charger(context.access, identity, attempts=context.ports.attempts)


async def add_charger(
    context: Context,
    *,
    circuit_id: str,
    name: str,
    identity: str,
    evse: int,
    phase_rotation: PhaseRotation,
    min_current_a: float,
    max_current_a: float,
    offline_current_a: float | Unset | None,
    can_switch_phases: bool,
) -> Made:
    """The new charger, with its password."""
    electrical = _electrical(phase_rotation, min_current_a, max_current_a, offline_current_a, can_switch_phases)
    added = await chargers.add_charger(
        context.access,
        ids.uuid_of(circuit_id, "Circuit", at="circuitId"),
        name=name,
        identity=identity,
        evse=evse,
        electrical=electrical,
        secret=context.ports.secret_key,
        bus=context.ports.bus,
    )
    return Made(added.charger_id, {"password": added.password})


async def adopt_charger(
    context: Context,
    *,
    circuit_id: str,
    name: str,
    identity: str,
    evse: int,
    keeps_password: bool,
    password: str | Unset | None,
    phase_rotation: PhaseRotation,
    min_current_a: float,
    max_current_a: float,
    offline_current_a: float | Unset | None,
    can_switch_phases: bool,
) -> Made:
    """The adopted charger, with its password if it was given a new one."""
    electrical = _electrical(phase_rotation, min_current_a, max_current_a, offline_current_a, can_switch_phases)
    adopted = await adoption.adopt_charger(
        context.access,
        ids.uuid_of(circuit_id, "Circuit", at="circuitId"),
        NewCharger(name=name, identity=identity, evse=evse, electrical=electrical),
        OfferedPassword(is_kept=keeps_password, typed=None if isinstance(password, Unset) else password),
        attempts=context.ports.attempts,
        secret=context.ports.secret_key,
        bus=context.ports.bus,
    )
    return Made(adopted.charger_id, {"password": adopted.password})


def _electrical(
    phase_rotation: PhaseRotation,
    min_current_a: float,
    max_current_a: float,
    offline_current_a: float | Unset | None,
    can_switch_phases: bool,
) -> Electrical:
    return Electrical(
        phase_rotation=phase_rotation,
        min_current_a=min_current_a,
        max_current_a=max_current_a,
        offline_current_a=None if isinstance(offline_current_a, Unset) else offline_current_a,
        can_switch_phases=can_switch_phases,
    )


async def update_charger(
    context: Context,
    *,
    charger_id: str,
    name: str | Unset | None,
    phase_rotation: PhaseRotation | Unset | None,
    min_current_a: float | Unset | None,
    max_current_a: float | Unset | None,
    offline_current_a: float | Unset | None,
    can_switch_phases: bool | Unset | None,
    authentication_required: bool | Unset | None,
    is_enabled: bool | Unset | None,
    minimum_security_profile: int | Unset | None,
) -> UUID:
    """The changed charger."""
    changes = ChargerChanges(
        name=name,
        phase_rotation=phase_rotation,
        min_current_a=min_current_a,
        max_current_a=max_current_a,
        offline_current_a=offline_current_a,
        can_switch_phases=can_switch_phases,
        authentication_required=authentication_required,
        is_enabled=is_enabled,
        minimum_security_profile=minimum_security_profile,
    )
    charger = ids.uuid_of(charger_id, "Charger", at="chargerId")
    return await chargers.update_charger(context.access, charger, changes, bus=context.ports.bus)


async def rotate_charger_password(context: Context, *, charger_id: str) -> Made:
    """The charger, with its new password."""
    charger = ids.uuid_of(charger_id, "Charger", at="chargerId")
    rotated = await chargers.rotate_charger_password(context.access, charger, secret=context.ports.secret_key)
    return Made(rotated.charger_id, {"password": rotated.password})


async def confirm_meter_key(context: Context, *, charger_id: str, public_key: str | Unset | None) -> UUID:
    """The charger, with its meter's key."""
    if isinstance(public_key, Unset):
        raise invalid("publicKey", "Name the key, or null.")
    charger = ids.uuid_of(charger_id, "Charger", at="chargerId")
    return await meter_signatures.confirm_meter_key(context.access, charger, public_key)


async def move_charger(context: Context, *, charger_id: str, circuit_id: str) -> UUID:
    """The charger where it hangs now."""
    charger = ids.uuid_of(charger_id, "Charger", at="chargerId")
    circuit = ids.uuid_of(circuit_id, "Circuit", at="circuitId")
    return await chargers.move_charger(context.access, charger, circuit, bus=context.ports.bus)


async def remove_charger(context: Context, *, id: str) -> None:
    """The charger is gone."""
    await chargers.remove_charger(context.access, ids.uuid_of(id, "Charger", at="id"), bus=context.ports.bus)
