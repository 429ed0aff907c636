"""The live status of a charger, as far as the viewer may see it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from domain import units
from domain.roles import AlertKind, OperatingMode, Phase, Severity
from gql.schema.fields import derived
from gql.schema.quantities import PhaseAmps


@strawberry.type(description="Something is wrong with the charger.")
class ChargerWarning:
    """Read from StatusWarning."""

    kind: AlertKind
    severity: Severity
    message: str
    since: datetime
    vendor_code: str | None = strawberry.field(description="The vendor's own code; null when the charger sent none.")


def _power_kw(status: Any) -> float | None:
    return None if status.power_w is None else status.power_w / 1000


def _currents(status: Any) -> units.PhaseAmps | None:
    return None if status.currents is None else units.PhaseAmps(*status.currents)


def _energy_kwh(status: Any) -> Decimal | None:
    return None if status.session_energy_wh is None else units.kwh(status.session_energy_wh)


_OWN = "Null for those who may not see the active session."


@strawberry.type(
    description="`version` counts the changes of one charger, across restarts and processes; drop an older one. Whoever may not "
    "see the active session has null for powerKw, currentA, allocatedA and sessionEnergyKwh, and no allocatedPhases: they tell "
    "another's energy. SERVICE and ADMINISTRATOR see power and currents."
)
class ChargerStatus:
    """Read from ChargerStatusChanged, already masked."""

    mode: OperatingMode
    is_online: bool
    power_kw: float | None = derived(_power_kw, description=_OWN)
    current_a: PhaseAmps | None = derived(_currents, description=f"Measured, per grid line. {_OWN}")
    allocated_a: float | None = strawberry.field(description=f"What the balancer lets it draw on each phase. {_OWN}")
    allocated_phases: list[Phase] = derived(
        lambda status: [Phase(phase) for phase in status.allocated_phases],
        description="Empty where allocatedA is null.",
    )
    session_energy_kwh: Decimal | None = derived(_energy_kwh, description=_OWN)
    warnings: list[ChargerWarning] = strawberry.field(description="Alerts that are not resolved, oldest first.")
    observed_at: datetime | None = strawberry.field(description="By the charger's clock.")
    received_at: datetime | None = strawberry.field(description="When the portal last heard of it.")
    version: int
