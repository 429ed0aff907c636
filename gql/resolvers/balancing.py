"""The balancer's decisions, and what it would decide."""

from collections.abc import Sequence

from balancing.simulation import Changes, Simulated, SimulatedCar
from balancing.simulation import simulate as simulated
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.units import PhaseAmps
from domain.views.balancing_views import DecisionRow, decisions_page
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def decisions_of(context: Context, row: InstallationRow, request: PageRequest) -> Page[DecisionRow]:
    """Those of a site, newest first."""
    return await decisions_page(context.access, row.id, request)


async def simulate(
    context: Context,
    installation_id: str,
    available_a: PhaseAmps | Unset | None,
    removed: Sequence[str],
    cars: Sequence[tuple[str, int, float, int]],
) -> Simulated:
    """What would come of these changes. A car is (charger, phases, most current in A, priority)."""
    changes = Changes(
        available=None if isinstance(available_a, Unset) else available_a,
        removed=[ids.uuid_of(one, "Charger", at=("removeChargerIds", str(place))) for place, one in enumerate(removed)],
        cars=[
            SimulatedCar(
                ids.uuid_of(charger, "Charger", at=("addCars", str(place), "chargerId")), phases, most_a, priority
            )
            for place, (charger, phases, most_a, priority) in enumerate(cars)
        ],
    )
    return await simulated(context.access, ids.uuid_of(installation_id, "Installation", at="installationId"), changes)
