"""Circuits of a site, and the changes that installers make to them."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain import units
from domain.views.circuit_views import CircuitRow, circuits_by_ids
from domain.views.installation_views import installations_by_ids
from gql.context import Context
from gql.resolvers import circuits as resolvers
from gql.schema.chargers import ChargerOrder, ChargerWhere
from gql.schema.connections import Connection
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import connection, related, resolved
from gql.schema.mutations import REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.quantities import PhaseAmps, PhaseAmpsInput
from gql.schema.removal import RemoveInput, RemoveResult

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.installations import Installation


async def _allocated(root: Any, info: Info[Context, Any]) -> units.PhaseAmps:
    load = await resolvers.load_of(info.context, root)
    return load.allocated_a if load else units.PhaseAmps.even(0.0)


async def _other_load(root: Any, info: Info[Context, Any]) -> units.PhaseAmps | None:
    load = await resolvers.load_of(info.context, root)
    return load.other_load_a if load else None


@strawberry.type(
    description="A fuse and what hangs below it. Seen by OWNER of the installation, SERVICE and ADMINISTRATOR."
)
class Circuit(Node):
    """Read from CircuitRow."""

    name: str
    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] = related(
        installations_by_ids, lambda row: row.installation_id
    )
    parent: Annotated["Circuit", strawberry.lazy("gql.schema.circuits")] | None = related(
        circuits_by_ids, lambda row: row.parent_id, description="Null at the root, the main breaker."
    )
    breaker_a: PhaseAmps = strawberry.field(description="The breaker's rating on each line.")
    safe_current_a: PhaseAmps = strawberry.field(
        description="What the chargers below share while a meter's readings are missing or stale."
    )
    assumed_other_load_a: PhaseAmps = strawberry.field(
        description="What else is assumed to flow where there is no meter."
    )
    chargers = connection(
        resolvers.chargers_of,
        Connection[Annotated["Charger", strawberry.lazy("gql.schema.chargers")]],
        further={"where": ChargerWhere | None, "order_by": list[ChargerOrder] | None},
        description="On this circuit itself, not on those below it.",
    )
    measured_a: PhaseAmps | None = strawberry.field(description="The last reading of a meter here; null without one.")
    measured_at: datetime | None = strawberry.field(
        description="When the meter was last read; null when it never was, or there is none."
    )
    other_load_a = resolved(
        _other_load,
        PhaseAmps | None,
        description="What flows here and is no charger of ours; null without a meter.",
    )
    allocated_a = resolved(
        _allocated, PhaseAmps, description="What the chargers on this circuit and below it are allotted, by line."
    )


@strawberry.input(
    description="Null parentId = the main breaker. Its breaker may exceed the parent's, which still protects it."
)
class CreateCircuitInput:
    """A new branch."""

    installation_id: strawberry.ID
    parent_id: strawberry.ID | None = strawberry.field(description="Null = the main breaker.", default=strawberry.UNSET)
    name: str
    breaker_a: PhaseAmpsInput
    safe_current_a: PhaseAmpsInput | None = strawberry.UNSET
    assumed_other_load_a: PhaseAmpsInput | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="An absent field stays; null parentId = directly below the main breaker, null currents = 0 A."
)
class UpdateCircuitInput:
    """Changes of a branch or the root."""

    circuit_id: strawberry.ID
    parent_id: strawberry.ID | None = strawberry.UNSET
    name: str | None = strawberry.UNSET
    breaker_a: PhaseAmpsInput | None = strawberry.UNSET
    safe_current_a: PhaseAmpsInput | None = strawberry.UNSET
    assumed_other_load_a: PhaseAmpsInput | None = strawberry.UNSET
    has_meter: bool | None = strawberry.field(
        description="False = the meter was taken away: its readings are forgotten, and assumedOtherLoadA counts again. "
        "A circuit gets one by its first reading (reportMeter), not by true.",
        default=strawberry.UNSET,
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="What flows through the fuse of a circuit, cars and all else, on each line; export is negative. From its first reading "
    "on a circuit is metered: while none comes, its chargers share its safeCurrentA. A meter that is taken away for good is removed by "
    "updateCircuit with hasMeter: false."
)
class ReportMeterInput:
    """One reading."""

    circuit_id: strawberry.ID
    current_a: PhaseAmpsInput
    measured_at: datetime | None = strawberry.field(
        description="When it was measured, by the portal's time; null = now.", default=strawberry.UNSET
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The circuit as it is now.")
class CircuitSuccess:
    """Read anew."""

    circuit: Circuit


CircuitResult = Annotated[
    CircuitSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("CircuitResult"),
]
_CIRCUIT = Thing(CircuitSuccess, "circuit", "Circuit")


@strawberry.type
class CircuitMutations:
    """Changes of the tree."""

    create_circuit = mutation(
        resolvers.create_circuit,
        CreateCircuitInput,
        CircuitResult,
        _CIRCUIT,
        description="Adds a circuit. For SERVICE and ADMINISTRATOR.",
    )
    update_circuit = mutation(
        resolvers.update_circuit,
        UpdateCircuitInput,
        CircuitResult,
        _CIRCUIT,
        description="Changes a circuit or hangs it elsewhere in its tree. For SERVICE and ADMINISTRATOR.",
    )
    report_meter = mutation(
        resolvers.report_meter,
        ReportMeterInput,
        CircuitResult,
        _CIRCUIT,
        description="A reading of the building's meter at a circuit; an older one than the last is ignored. Report every 5 to 10 seconds: "
        "a reading that is older than 15 seconds (or three of the meter's periods) is stale. For OWNER, SERVICE, ADMINISTRATOR and the "
        "scope SET_AVAILABLE_CURRENT.",
    )
    remove_circuit = mutation(
        resolvers.remove_circuit,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description="Removes a circuit on which nothing hangs (else IN_USE). For SERVICE and ADMINISTRATOR.",
    )


NODES = (NodeKind(Circuit, CircuitRow, circuits_by_ids),)
