"""What chargers may fall back to when nobody reaches them, and which of it may be told anew: reductions before raises."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from balancing.circuit import Fallback, Lines, Vector, in_grid_order
from balancing.failsafe import SLACK, on_lines, per_line
from balancing.site import NETWORKS, capacity_of, fallbacks_of, wiring_of
from domain.current.offers import SiteFacts


@dataclass(slots=True)
class Fallbacks:
    """The fallbacks that a charger's default profile and its session's profile may carry, each with its serial number, oldest first.

    The first one is in force for all that is known, the others are on their way. None: nobody knows.
    """

    default: list[tuple[int, float | None]]
    session: list[tuple[int, float | None]] = field(default_factory=list)

    @property
    def highest(self) -> float | None:
        """The largest that may be in force; None while that is not known."""
        values = [value for _, value in (*self.default, *self.session)]
        known = [value for value in values if value is not None]
        return max(known) if len(known) == len(values) else None

    def on(self, wiring: Lines) -> Fallback | None:
        """The largest one, on all wired lines."""
        highest = self.highest
        return None if highest is None else Fallback(highest, wiring)

    def sent(self, serial: int, value: float, *, is_default: bool) -> None:
        """It may be in force from here on."""
        profile = self.default if is_default else self.session
        if len(profile) > 1 and profile[-1][1] == value:
            profile.pop()
        profile.append((serial, value))

    def accepted(self, serial: int, *, is_default: bool) -> None:
        """What was sent before it is past: a link delivers in order or not at all."""
        profile = self.default if is_default else self.session
        profile[:] = [one for one in profile if one[0] >= serial] or profile[-1:]


def fallbacks_in_turn(facts: SiteFacts, held: Mapping[UUID, float | None]) -> dict[UUID, float]:
    """Charger → the fallback that it may be told now. `held` is the largest that may be in force there, None unknown.

    A lower one at once. A higher one only where it fits every fuse beside the largest that all others may hold, so that
    the fuses hold on the day when nobody is reached, also in the middle of a change of plan.
    """
    planned = fallbacks_of(facts)
    network = NETWORKS[facts.network_type]
    parents = {str(circuit.id): circuit.parent_id for circuit in facts.circuits}
    left = {name: found.available for name, found in capacity_of(facts).items()}
    paths = {charger.id: _path(charger.circuit_id, parents) for charger in facts.chargers}
    lines = {charger.id: in_grid_order(wiring_of(charger, network)) for charger in facts.chargers}
    level = {key: value if (value := held.get(key)) is not None else planned[key] for key in paths}
    for key, path in paths.items():
        _take(left, path, on_lines(level[key], lines[key]))
    told = {}
    for key, path in paths.items():
        more = on_lines(planned[key] - level[key], lines[key])
        is_raise = planned[key] > level[key]
        if is_raise and any(min(per_line(lambda room, rise: room - rise, left[one], more)) < -SLACK for one in path):
            told[key] = level[key]
            continue
        told[key] = planned[key]
        if is_raise:
            _take(left, path, more)
    return told


def _path(circuit_id: UUID, parents: Mapping[str, UUID | None]) -> list[str]:
    path = [str(circuit_id)]
    while (above := parents[path[-1]]) is not None:
        path.append(str(above))
    return path


def _take(left: dict[str, Vector], path: list[str], current: Vector) -> None:
    for one in path:
        left[one] = per_line(lambda room, taken: room - taken, left[one], current)
