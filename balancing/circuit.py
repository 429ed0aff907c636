"""One balancing question and its answer as facts: ev-balance/1 instances, strictly read, and allocations.

Currents are ampere RMS per conductor; vectors are (L1, L2, L3) of the grid, never of a charger's terminals.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

FORMAT = "ev-balance/1"
ALLOCATION_FORMAT = "ev-balance-allocation/1"

Vector = tuple[float, float, float]
NO_CURRENT: Vector = (0.0, 0.0, 0.0)


class InstanceError(ValueError):
    """The instance does not describe a site; the message starts with the field that is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def below(self, place: str) -> "InstanceError":
        """The same, seen from one level further up: `place` is a name or, in a list, [0]."""
        joint = "." if self.field and not self.field.startswith("[") else ""
        return InstanceError(f"{place}{joint}{self.field}", self.problem)


class Word(StrEnum):
    """A word of the format, with the hash of the text that it equals."""

    __hash__ = str.__hash__


class Line(Word):
    """A conductor of the grid."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"

    @property
    def place(self) -> int:
        """Its index in a vector."""
        return _PLACES[self]


_PLACES = {Line.L1: 0, Line.L2: 1, Line.L3: 2}
LINES = (Line.L1, Line.L2, Line.L3)
Lines = tuple[Line, ...]
"""A set of grid lines in grid order; `ChargerInput.wiring` alone is in terminal order."""


class Network(Word):
    """How the site is fed."""

    TN_3 = "TN_3"
    IT_3 = "IT_3"
    TN_1 = "TN_1"
    IT_1 = "IT_1"

    @property
    def is_it(self) -> bool:
        """Without a neutral: a one-phase car hangs between two lines."""
        return self in (Network.IT_3, Network.IT_1)

    @property
    def is_one_phase(self) -> bool:
        """One line and neutral, or one pair."""
        return self in (Network.TN_1, Network.IT_1)


class LineCurrentModel(Word):
    """How currents of an IT network add on a line."""

    ARITHMETIC = "arithmetic"
    VECTOR = "vector"


class Switching(Word):
    """Which lines a charger can close."""

    NONE = "none"
    THREE_TO_ONE = "three_to_one"
    ANY_PHASE = "any_phase"


class ChargerState(Word):
    """What the balancer owes a charger: current, nothing, or a reservation."""

    CHARGING = "charging"
    QUEUED = "queued"
    IDLE = "idle"
    FINISHED = "finished"
    OFFLINE = "offline"

    @property
    def wants_current(self) -> bool:
        """Charging and queued are treated alike."""
        return self in (ChargerState.CHARGING, ChargerState.QUEUED)

    @property
    def is_controllable(self) -> bool:
        """Whether a command reaches it."""
        return self is not ChargerState.OFFLINE


class Limit(Word):
    """What keeps a set-point from being higher."""

    NONE = "NONE"
    CAR = "CAR"
    CHARGER = "CHARGER"
    CIRCUIT = "CIRCUIT"
    """A circuit's line that this charger has to itself."""
    FAIR_SHARE = "FAIR_SHARE"
    """A circuit's line that it shares with others."""
    ROTATION = "ROTATION"
    """It fits alone; others were admitted before it."""
    OVERLOAD = "OVERLOAD"
    """A line that is already above its fuse."""
    PAUSED = "PAUSED"
    """It does not want current now."""
    OFFLINE_RESERVE = "OFFLINE_RESERVE"
    """It cannot be controlled: its fallback is reserved."""
    OTHER = "OTHER"
    """No mode exists: its minimum is above its maximum, or no mode is allowed now."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A fuse and what flows through it besides managed chargers, inclusive of what is below."""

    id: str
    parent: str | None
    fuse: Vector
    other_load: Vector = NO_CURRENT


@dataclass(frozen=True, slots=True)
class Vehicle:
    """The car as far as it is known; `phases` None counts as three, `max_current` None is no cap."""

    phases: int | None = None
    max_current: float | None = None


@dataclass(frozen=True, slots=True)
class Previous:
    """The last commanded allocation; 0 A is off whatever its lines."""

    current: float
    phases: Lines


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a charger draws when nobody controls it."""

    current: float
    phases: Lines


@dataclass(frozen=True, slots=True)
class ChargerInput:
    """A charger, its car and its place in the queue; `modes` None allows every mode."""

    id: str
    circuit: str
    wiring: Lines
    switching: Switching = Switching.NONE
    min_current: float = 6.0
    max_current: float = 32.0
    max_current_1p: float | None = None
    current_step: float = 0.0
    state: ChargerState = ChargerState.CHARGING
    vehicle: Vehicle = Vehicle()
    priority: int = 0
    tier: int = 0
    weight: float = 1.0
    credit: float = 0.0
    modes: tuple[Lines, ...] | None = None
    previous: Previous | None = None
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """Everything that an allocation depends on."""

    id: str
    circuits: tuple[Circuit, ...]
    chargers: tuple[ChargerInput, ...]
    network: Network = Network.TN_3
    line_current_model: LineCurrentModel = LineCurrentModel.ARITHMETIC
    installation_id: str = ""
    installation_name: str = ""

    @property
    def uses_vectors(self) -> bool:
        """Line currents are phasor sums; the model is a word about IT networks only."""
        return self.network.is_it and self.line_current_model is LineCurrentModel.VECTOR


class Setpoint(NamedTuple):
    """What one charger may draw, and what binds it; a charger at 0 A has no lines.

    `limiting_circuit` and `limiting_line` are set when a circuit is what binds.
    """

    charger: str
    current: float
    phases: Lines
    limit: Limit = Limit.NONE
    limiting_circuit: str | None = None
    limiting_line: Line | None = None


@dataclass(frozen=True, slots=True)
class Overload:
    """A line on which other load and offline reservations alone are above the fuse, by `excess` ampere."""

    circuit: str
    line: Line
    excess: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """The answer: one set-point a charger, by charger id, and what no set-point can cure."""

    instance: str
    setpoints: tuple[Setpoint, ...]
    overloaded: tuple[Overload, ...] = ()

    def by_charger(self) -> dict[str, Setpoint]:
        """Charger id → set-point."""
        return {setpoint.charger: setpoint for setpoint in self.setpoints}


def in_grid_order(lines: Iterable[Line]) -> Lines:
    """The lines as a set, in grid order."""
    present = set(lines)
    return tuple(line for line in LINES if line in present)


def downwards(circuits: Sequence[Circuit]) -> tuple[Circuit, ...]:
    """The circuits from the root downwards, those at one depth by id.

    Raises InstanceError unless they are one tree.
    """
    below: dict[str | None, list[Circuit]] = {}
    for circuit in circuits:
        below.setdefault(circuit.parent, []).append(circuit)
    found: list[Circuit] = []
    level = below.get(None, [])
    while level:
        found += level
        level = sorted((child for circuit in level for child in below.get(circuit.id, ())), key=lambda one: one.id)
        if len(found) > len(circuits):
            break
    reached = {circuit.id for circuit in found}
    if not len(reached) == len(found) == len(circuits) or len(below.get(None, ())) != 1:
        raise _no_tree(circuits, reached)
    return tuple(found)


def _no_tree(circuits: Sequence[Circuit], reached: Set[str]) -> InstanceError:
    """What is wrong with circuits of which one cannot reach the others downwards, or not once."""
    index_of: dict[str, int] = {}
    for index, circuit in enumerate(circuits):
        if circuit.id in index_of:
            return InstanceError(
                f"circuits[{index}].id", f"{circuit.id!r} is repeated: each circuit has an id of its own"
            )
        index_of[circuit.id] = index
    roots = [circuit.id for circuit in circuits if circuit.parent is None]
    if len(roots) > 1:
        return InstanceError(
            f"circuits[{index_of[roots[1]]}].parent",
            f"{roots[0]!r} and {roots[1]!r} are both roots: only one has no parent",
        )
    for index, circuit in enumerate(circuits):
        if circuit.parent is not None and circuit.parent not in index_of:
            return InstanceError(f"circuits[{index}].parent", f"no circuit has the id {circuit.parent!r}")
    for index, circuit in enumerate(circuits):
        if circuit.id not in reached:
            return InstanceError(
                f"circuits[{index}].parent",
                f"{circuit.id!r} lies on or below a cycle: no root is above it",
            )
    return InstanceError("circuits", "a site has at least one circuit")


def ancestors(circuits: Sequence[Circuit]) -> dict[str, tuple[str, ...]]:
    """Circuit id → itself and every circuit above it, nearest first.

    Raises InstanceError unless the circuits are one tree.
    """
    paths: dict[str | None, tuple[str, ...]] = {None: ()}
    for circuit in downwards(circuits):
        paths[circuit.id] = (circuit.id, *paths[circuit.parent])
    return {circuit.id: paths[circuit.id] for circuit in circuits}


LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""Beyond these, shares of one site differ by more than a float can hold."""

LEAST_STEP_A = 1e-3
"""No charger takes finer ones, and a current is many of them."""


def check(instance: Instance) -> tuple[Circuit, ...]:
    """The circuits from the root downwards, or InstanceError where a relation between fields does not hold."""
    circuits = downwards(instance.circuits)
    names = {circuit.id for circuit in circuits}
    known: set[Lines] = set()
    seen: set[str] = set()
    for index, charger in enumerate(instance.chargers):
        if charger.id in seen:
            raise InstanceError(
                f"chargers[{index}].id", f"{charger.id!r} is repeated: each charger has an id of its own"
            )
        seen.add(charger.id)
        if charger.circuit not in names:
            raise InstanceError(f"chargers[{index}].circuit", f"no circuit has the id {charger.circuit!r}")
        if charger.wiring not in known:
            problem = WIRING_RULES[instance.network](charger.wiring)
            if problem:
                raise InstanceError(f"chargers[{index}].wiring", problem)
            known.add(charger.wiring)
        if not LEAST_WEIGHT <= charger.weight <= MOST_WEIGHT:
            raise InstanceError(
                f"chargers[{index}].weight", f"is {charger.weight:g}, not from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}"
            )
        if charger.current_step and not charger.current_step >= LEAST_STEP_A:
            raise InstanceError(
                f"chargers[{index}].current_step",
                f"is {charger.current_step:g}, neither 0 nor at least {LEAST_STEP_A:g}",
            )
    return circuits


def _tn_3(wiring: Lines) -> str:
    return "" if len(wiring) in (1, 3) else "takes one or three lines in a TN network"


def _it_3(wiring: Lines) -> str:
    return "" if len(wiring) in (2, 3) else "takes two or three lines in an IT network"


def _tn_1(wiring: Lines) -> str:
    return "" if wiring == (Line.L1,) else 'takes only ["L1"] in a TN_1 network'


def _it_1(wiring: Lines) -> str:
    return "" if in_grid_order(wiring) == (Line.L1, Line.L2) else 'takes only ["L1", "L2"] in an IT_1 network'


WIRING_RULES: dict[Network, Callable[[Lines], str]] = {
    Network.TN_3: _tn_3,
    Network.IT_3: _it_3,
    Network.TN_1: _tn_1,
    Network.IT_1: _it_1,
}
