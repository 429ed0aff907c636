"""What is amiss at a site for want of readings or of fuse, to be told when it begins and when it ends. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from balancing.circuit import Circuit
from balancing.failsafe import SLACK, MeterState

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


class Lasting:
    """Which of some facts have held long enough to be told, and are told until they have been over for a while."""

    def __init__(self, *, begins_after_s: float, ends_after_s: float, told: Iterable[str] = ()) -> None:
        self._begins_after_s = begins_after_s
        self._ends_after_s = ends_after_s
        self._told = set(told)
        self._turned_s: dict[str, float] = {}

    def look(self, present: Collection[str], now_s: float) -> frozenset[str]:
        """What is told, when these hold at that second."""
        turning = {one for one in {*present, *self._told} if (one in present) != (one in self._told)}
        self._turned_s = {one: self._turned_s.get(one, now_s) for one in turning}
        for one, since_s in list(self._turned_s.items()):
            wait_s = self._begins_after_s if one in present else self._ends_after_s
            if now_s - since_s >= wait_s:
                self._told ^= {one}
                del self._turned_s[one]
        return frozenset(self._told)


OVERLOAD_BEGINS_S = 20.0
"""A fuse carries a little too much for an hour (IEC 60898-1: 1.13 times), and the balancer takes back what it can within seconds."""
OVERLOAD_ENDS_S = 60.0
UNREAD_ENDS_S = 10.0


class CircuitWarnings:
    """Which circuits are to have an alert: by how much they are overloaded, and whose meter is lost. `told`: those that have one."""

    def __init__(self, *, overloaded: Iterable[str] = (), unread: Iterable[str] = ()) -> None:
        self._overloaded = Lasting(begins_after_s=OVERLOAD_BEGINS_S, ends_after_s=OVERLOAD_ENDS_S, told=overloaded)
        # A meter is lost only after a minute without a reading: that is long enough.
        self._unread = Lasting(begins_after_s=0.0, ends_after_s=UNREAD_ENDS_S, told=unread)

    def look(self, health: SiteHealth, now_s: float) -> tuple[frozenset[str], frozenset[str]]:
        """(overloaded circuits, those without readings) to be told of at that second."""
        lost = {circuit for circuit, state in health.meters.items() if state is MeterState.LOST}
        return self._overloaded.look(health.overloads.keys(), now_s), self._unread.look(lost, now_s)


def health_of(meters: Mapping[str, MeterState], circuits: Iterable[Circuit]) -> SiteHealth:
    """The site's, of the largest excess on any line: by what flows there beside what is offered.

    What is only kept free for chargers that nobody reaches is no overload: perhaps they are not even built yet.
    """
    excesses = {
        one.id: max(other - fuse for fuse, other in zip(one.fuse, one.other_load, strict=True)) for one in circuits
    }
    return SiteHealth(meters, {circuit: excess for circuit, excess in excesses.items() if excess > SLACK})


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
