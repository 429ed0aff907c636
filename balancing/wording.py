"""How offers are said to a charger: periods of a schedule, and which phases they name. Pure."""

from balancing.circuit import Switching
from balancing.failsafe import Schedule
from balancing.site import NETWORKS, wiring_of
from balancing.switching import Position, switching_of, terminal_of
from domain.current.offers import ChargerFacts, SiteFacts
from domain.ports import OfferStep


def switching_at(charger: ChargerFacts, position: Position, facts: SiteFacts) -> Switching:
    """Which lines the charger can close. Where the site keeps phases, all that are wired; one that was switched before can come back."""
    wiring = wiring_of(charger, NETWORKS[facts.network_type])
    is_wanted = facts.three_to_one_switch_a is not None or position.told is not None or position.closed is not None
    takes = charger.capabilities.takes_phase_to_use
    return switching_of(can_switch=charger.can_switch_phases and is_wanted, takes_phase_to_use=takes, wiring=wiring)


def phases_told(charger: ChargerFacts, position: Position, facts: SiteFacts) -> tuple[int | None, int | None]:
    """How many phases an offer names, and the terminal of the only one; nothing to a charger that cannot switch."""
    switching = switching_at(charger, position, facts)
    if position.told is None:
        # Who was told once is told always: some take an offer without a word on phases as one to stay as they are.
        has_been_told = charger.can_switch_phases and position.switches > 0
        return (None, None) if switching is Switching.NONE and not has_been_told else (3, None)
    if switching is Switching.THREE_TO_ONE:
        return 1, None
    return 1, terminal_of(position.told, wiring_of(charger, NETWORKS[facts.network_type]))


def periods(schedule: Schedule, phases: int | None = None, phase_to_use: int | None = None) -> tuple[OfferStep, ...]:
    """The schedule as the wire knows it; periods that change nothing are left out."""
    found: list[OfferStep] = []
    for period in schedule:
        if not found or found[-1].current_a != period.current:
            found.append(OfferStep(int(period.start_s), period.current, phases, phase_to_use))
    return tuple(found)
