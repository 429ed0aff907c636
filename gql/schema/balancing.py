"""What the balancer decided, and why a charger gets what it gets."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import Info

from domain.roles import BindingLimit, Phase
from domain.views.balancing_views import DecisionRow, decisions_by_ids
from domain.views.charger_views import chargers_by_ids
from domain.views.circuit_views import CircuitRow, circuits_by_ids
from gql.context import Context
from gql.resolvers import balancing as resolvers
from gql.schema.fields import plain, related, resolved
from gql.schema.nodes import Node, NodeKind
from gql.schema.quantities import PhaseAmpsInput

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.circuits import Circuit


@strawberry.type(description="What one charger was given in a decision.")
class Allocation:
    """Read from AllocationRow."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] = related(
        chargers_by_ids, lambda row: row.charger_id
    )
    current_a: float = strawberry.field(description="On each of `phases`; 0 is none.")
    phases: list[Phase] = strawberry.field(description="The grid lines that are used.")
    limit: BindingLimit = strawberry.field(description="What keeps it from more.")
    reason: str = strawberry.field(description="The same in words.")


async def _overloaded(root: Any, info: Info[Context, Any]) -> list[CircuitRow]:
    found = [await info.context.load(circuits_by_ids, circuit_id) for circuit_id in root.overloaded_ids]
    return [circuit for circuit in found if circuit is not None]


@strawberry.type(description="A decision of the balancer. For OWNER of the installation, SERVICE and ADMINISTRATOR.")
class BalancingDecision(Node):
    """Read from DecisionRow."""

    decided_at: datetime
    trigger: str = strawberry.field(description="What led to it: start, change or time.")
    allocations: list[Allocation]
    overloaded: list[Annotated["Circuit", strawberry.lazy("gql.schema.circuits")]] = resolved(
        _overloaded,
        list[Annotated["Circuit", strawberry.lazy("gql.schema.circuits")]],
        description="Circuits that carried more than their fuse allows, whatever was decided.",
    )
    instance: str = strawberry.field(description="The ev-balance/1 instance, as JSON, for `lade balance`.")


@strawberry.type(description="What the balancer would come to, once every charger has followed.")
class SimulatedBalancing:
    """Read from Simulated."""

    allocations: list[Allocation] = strawberry.field(description="Of every charger that would be there.")
    overloaded: list[Annotated["Circuit", strawberry.lazy("gql.schema.circuits")]] = resolved(
        _overloaded,
        list[Annotated["Circuit", strawberry.lazy("gql.schema.circuits")]],
        description="Circuits that would carry more than their fuse allows, whatever is decided.",
    )


@strawberry.input(description="A car that comes to this charger, instead of the one that may be there.")
class SimulatedCarInput:
    """Becomes the simulation's."""

    charger_id: strawberry.ID
    phases: int = 3
    max_current_a: float = 32.0
    priority: int = 0


@strawberry.input(description="The site as it is now, with these changes.")
class SimulateBalancingInput:
    """What is absent stays as it is."""

    installation_id: strawberry.ID
    available_current_a: PhaseAmpsInput | None = strawberry.UNSET
    remove_charger_ids: list[strawberry.ID] | None = strawberry.UNSET
    add_cars: list[SimulatedCarInput] | None = strawberry.UNSET


async def _simulate(info: Info[Context, Any], input: SimulateBalancingInput) -> Any:
    return await resolvers.simulate(
        info.context,
        input.installation_id,
        plain(input.available_current_a),
        input.remove_charger_ids or [],
        [(car.charger_id, car.phases, car.max_current_a, car.priority) for car in input.add_cars or []],
    )


@strawberry.type
class BalancingQueries:
    """Root fields about balancing."""

    simulate_balancing = resolved(
        _simulate,
        SimulatedBalancing | None,
        description="What the balancer would decide if these changes were made; changes nothing, stores nothing. For OWNER of the "
        "installation, SERVICE, ADMINISTRATOR and the scope SET_AVAILABLE_CURRENT. Null with an error: NOT_FOUND when the installation or "
        "a charger is not the viewer's to ask about, BAD_USER_INPUT when a change cannot be.",
    )


@strawberry.type(description="Why a charger gets what it gets.")
class AllocationExplanation:
    """Read from ExplanationRow."""

    text: str = strawberry.field(description="In words, for the driver.")
    binding_limit: BindingLimit | None = strawberry.field(
        description="This and the rest: for the owner, SERVICE and ADMINISTRATOR."
    )
    binding_circuit: Annotated["Circuit", strawberry.lazy("gql.schema.circuits")] | None = related(
        circuits_by_ids,
        lambda row: row.binding_circuit_id,
        description="Whose limit holds it back; null when no circuit does, or it is hidden.",
    )
    queue_position: int | None = strawberry.field(description="From 1; null when it does not wait.")
    next_slot_at: datetime | None = strawberry.field(
        description="When it is expected to be served; null when not known."
    )
    decided_at: datetime | None = strawberry.field(
        description="When the balancer last decided; null before it ever did."
    )


NODES = (NodeKind(BalancingDecision, DecisionRow, decisions_by_ids),)
"""Decisions."""
