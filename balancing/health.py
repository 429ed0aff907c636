"""What is amiss at a site for want of readings or of fuse, to be told when it begins and when it ends. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from balancing.circuit import Allocation
from balancing.failsafe import MeterState

Fact = tuple[str, str, Mapping[str, object]]
"""Circuit, what is said of it, and what goes with that."""


@dataclass(frozen=True, slots=True)
class SiteHealth:
    """As of one decision: metered circuit → how far its meter can be trusted, and by how much which circuit is overloaded, in A."""

    meters: Mapping[str, MeterState] = field(default_factory=dict)
    overloads: Mapping[str, float] = field(default_factory=dict)

    def since(self, before: "SiteHealth") -> Iterator[Fact]:
        """What has changed."""
        for circuit, state in self.meters.items():
            if before.meters.get(circuit, MeterState.FRESH) is not state:
                is_back = state is MeterState.FRESH
                yield circuit, "a meter is read again" if is_back else "a meter is not read", {"state": state.value}
        for circuit, excess in self.overloads.items():
            if circuit not in before.overloads:
                yield circuit, "a circuit is overloaded", {"excess_a": round(excess, 1)}
        for circuit in before.overloads:
            if circuit not in self.overloads:
                yield circuit, "a circuit is no longer overloaded", {}


def health_of(meters: Mapping[str, MeterState], allocation: Allocation) -> SiteHealth:
    """The site's, of its largest excess on any line."""
    overloads: dict[str, float] = {}
    for overload in allocation.overloaded:
        overloads[overload.circuit] = max(overload.excess, overloads.get(overload.circuit, 0.0))
    return SiteHealth(meters, overloads)


@dataclass(frozen=True, slots=True)
class BalancerFigures:
    """Of all sites that are balanced here."""

    sites: int
    meters: Mapping[MeterState, int]
    overloaded_circuits: int


def figures_of(sites: Iterable[SiteHealth]) -> BalancerFigures:
    """Added up."""
    found = list(sites)
    states = (MeterState.FRESH, MeterState.STALE, MeterState.LOST)
    meters = {state: sum(list(site.meters.values()).count(state) for site in found) for state in states}
    return BalancerFigures(len(found), meters, sum(len(site.overloads) for site in found))
