"""Circuits: what hangs below them, and the changes that installers make."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.equipment import circuits, meters
from domain.equipment.circuits import CircuitChanges
from domain.filters import ANYTHING, Comparison, Condition, Term
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.units import PhaseAmps
from domain.views.charger_views import BY_NAME, ChargerOrder, ChargerRow, chargers_page
from domain.views.circuit_views import CircuitLoad, CircuitRow, circuit_loads
from gql import ids
from gql.context import Context


async def load_of(context: Context, row: CircuitRow) -> CircuitLoad | None:
    """What the circuit carries now."""
    return await context.load(circuit_loads, row.id)


async def chargers_of(
    context: Context,
    row: CircuitRow,
    request: PageRequest,
    *,
    where: Condition | None = None,
    order_by: Sequence[ChargerOrder] | None = None,
) -> Page[ChargerRow]:
    """The chargers that hang on this circuit itself."""
    here = Term("circuitId", Comparison.EQUALS, row.id)
    return await chargers_page(context.access, request, where=where or ANYTHING, order=order_by or BY_NAME, within=here)


async def create_circuit(
    context: Context,
    *,
    installation_id: str,
    parent_id: str | Unset | None,
    name: str,
    breaker_a: PhaseAmps,
    safe_current_a: PhaseAmps | Unset | None,
    assumed_other_load_a: PhaseAmps | Unset | None,
) -> UUID:
    """The new circuit."""
    parent = None if isinstance(parent_id, Unset) else parent_id
    return await circuits.create_circuit(
        context.access,
        ids.uuid_of(installation_id, "Installation", at="installationId"),
        name=name,
        breaker=breaker_a,
        parent_id=ids.optional_uuid_of(parent, "Circuit", at="parentId"),
        safe_current=None if isinstance(safe_current_a, Unset) else safe_current_a,
        assumed_other_load=None if isinstance(assumed_other_load_a, Unset) else assumed_other_load_a,
        bus=context.ports.bus,
    )


async def update_circuit(
    context: Context,
    *,
    circuit_id: str,
    parent_id: str | Unset | None,
    name: str | Unset | None,
    breaker_a: PhaseAmps | Unset | None,
    safe_current_a: PhaseAmps | Unset | None,
    assumed_other_load_a: PhaseAmps | Unset | None,
    has_meter: bool | Unset | None,
) -> UUID:
    """The changed circuit."""
    changes = CircuitChanges(
        parent_id=parent_id
        if isinstance(parent_id, Unset)
        else ids.optional_uuid_of(parent_id, "Circuit", at="parentId"),
        name=name,
        breaker=breaker_a,
        safe_current=safe_current_a,
        assumed_other_load=assumed_other_load_a,
        has_meter=has_meter,
    )
    circuit = ids.uuid_of(circuit_id, "Circuit", at="circuitId")
    return await circuits.update_circuit(context.access, circuit, changes, bus=context.ports.bus)


async def report_meter(
    context: Context, *, circuit_id: str, current_a: PhaseAmps, measured_at: datetime | Unset | None
) -> UUID:
    """The circuit with its new reading."""
    return await meters.report_meter(
        context.access,
        ids.uuid_of(circuit_id, "Circuit", at="circuitId"),
        current_a,
        measured_at=None if isinstance(measured_at, Unset) else measured_at,
        bus=context.ports.bus,
    )


async def remove_circuit(context: Context, *, id: str) -> None:
    """The circuit is gone."""
    await circuits.remove_circuit(context.access, ids.uuid_of(id, "Circuit", at="id"), bus=context.ports.bus)
