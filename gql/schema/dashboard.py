"""A site at a glance, asked or followed."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.roles import BindingLimit, OperatingMode, Phase
from domain.units import kwh
from domain.views.charger_views import chargers_by_ids
from domain.views.dashboard_views import DashboardRow, dashboards_by_ids
from domain.views.installation_views import installations_by_ids
from gql.context import Context
from gql.live import Source
from gql.resolvers import dashboard as resolvers
from gql.schema.fields import derived, related
from gql.schema.live import followed
from gql.schema.nodes import Node, NodeKind

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.installations import Installation


@strawberry.type(description="How many chargers do this.")
class ModeCount:
    """Read from ModeCountRow."""

    mode: OperatingMode
    count: int


@strawberry.type(description="A line of the main breaker, in ampere.")
class PhaseLoad:
    """Read from PhaseLoadRow."""

    phase: Phase
    measured_a: float | None = strawberry.field(
        description="All that flows there by the meter's last reading, export negative; null without a meter."
    )
    allocated_a: float = strawberry.field(description="What all chargers together are offered now.")
    available_a: float = strawberry.field(description="The limit in force: the breaker, or less.")
    breaker_a: float = strawberry.field(description="The breaker's rating.")


@strawberry.type(description="A car that waits for current.")
class QueueEntry:
    """Read from QueueRow."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] = related(
        chargers_by_ids, lambda row: row.charger_id
    )
    position: int = strawberry.field(description="1 is next.")
    since: datetime = strawberry.field(description="When it began to wait.")
    limit: BindingLimit
    reason: str = strawberry.field(description="The same in words.")


@strawberry.enum(description="STOPPED: chargers do what is safe without it.")
class BalancerState(StrEnum):
    """How the balancing of a site goes."""

    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    STOPPED = "STOPPED"


@strawberry.type(description="How the balancing of the installation goes.")
class BalancerStatus:
    """Read from BalancerStatusRow."""

    state: BalancerState = derived(lambda row: BalancerState(row.state))
    last_decision_at: datetime | None = strawberry.field(
        description="When something was last decided otherwise than before; null before the first decision."
    )
    reason: str | None = strawberry.field(description="Why it is not RUNNING; null while it is.")


@strawberry.type(
    description="An installation at a glance. One per installation; its id lets a client's cache join the query and the subscription. "
    "For OWNER of the installation, SERVICE and ADMINISTRATOR."
)
class Dashboard(Node):
    """Read from DashboardRow."""

    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] = related(
        installations_by_ids, lambda row: row.id
    )
    at: datetime = strawberry.field(description="When it was so.")
    charger_count: int
    online_count: int
    modes: list[ModeCount] = strawberry.field(description="What the chargers do; modes of no charger are left out.")
    phases: list[PhaseLoad] = strawberry.field(description="L1, L2 and L3 of the main breaker.")
    meter_observed_at: datetime | None = strawberry.field(
        description="When the main breaker's meter was last read; null without one."
    )
    power_kw: float = strawberry.field(description="What the chargers that are online take, as they last measured it.")
    active_session_count: int
    queue_length: int = strawberry.field(description="How many cars wait for current.")
    queue: list[QueueEntry] = strawberry.field(description="The first 100 waiting.")
    balancer: BalancerStatus
    open_alert_count: int = strawberry.field(
        description="Alerts that are not resolved; a part of one about the whole installation is not counted beside it."
    )
    energy_today_kwh: Decimal = derived(
        lambda row: kwh(row.energy_today_wh),
        description="Charged since midnight in the installation's zone, also by sessions that still go on: those that the viewer may see, "
        "which are all for OWNER, and for SERVICE and ADMINISTRATOR their own.",
    )


async def _dashboard(info: Info[Context, Any], installation_id: strawberry.ID) -> Source:
    return await resolvers.dashboard(info.context, installation_id)


@strawberry.type
class DashboardStreams:
    """Root fields to follow."""

    dashboard = followed(
        _dashboard,
        Dashboard,
        description="The whole present state, now and when anything changes: at most once a second, and at least every 30 s. An error with "
        "code ACCESS_ENDED and the end when access is lost. A hidden installation is NOT_FOUND.",
    )


NODES = (NodeKind(Dashboard, DashboardRow, dashboards_by_ids),)
"""Dashboards."""
