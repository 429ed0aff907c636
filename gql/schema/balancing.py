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
from gql.schema.fields import related, resolved
from gql.schema.nodes import Node, NodeKind

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
