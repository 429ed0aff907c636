"""Written days of a site: which circuits, chargers and cars, what goes wrong, and what must hold; read from `scenarios/*.json`.

Currents are ampere per conductor, lists of three are [L1, L2, L3] of the grid, seconds count from the start of the day.
"""

import json
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from domain.roles import NetworkType, PhaseRotation

FOLDER: Final = Path(__file__).parent / "scenarios"
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarPlan:
    """A car and when it comes. `draws_extra_a`: what it draws beyond what it is offered."""

    phases: int = 3
    most_a: float = 32.0
    needs_kwh: float = 100.0
    plugs_at_s: int = 60
    leaves_at_s: int | None = None
    ramp: float = 2.0
    """Ampere a second, up and down."""
    tapers_below: float = 0.0
    """The part of its need that it takes ever more slowly, at the end."""
    draws_extra_a: float = 0.0
    extra_from_s: int = 0
    is_two_converters: bool = False
    """Where there is no neutral: one converter between its first line and its second, one between its first and its third."""
    says_charging: bool = False
    """Its charger says that it charges also when it is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerPlan:
    """A charger and the car that comes to it."""

    name: str
    circuit: str
    rotation: PhaseRotation = PhaseRotation.RST
    min_a: float = 6.0
    max_a: float = 32.0
    fallback_a: float | None = None
    measures_every_s: int | None = 10
    can_switch: bool = False
    takes_phase_to_use: bool = False
    keeps_schedules: bool = True
    priority: int = 0
    car: CarPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPlan:
    """A fuse, what else flows through it (from each instant on), and how often its meter reads, if it has one."""

    name: str
    fuse_a: Vector
    parent: str | None = None
    household_a: tuple[tuple[int, Vector], ...] = ()
    assumed_a: Vector = (0.0, 0.0, 0.0)
    safe_a: Vector = (0.0, 0.0, 0.0)
    meter_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something is out of reach for a while: `charger` or `meter` by names, or the whole `portal`."""

    what: str
    at_s: int
    for_s: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """How bad the lines are: the part of messages that is lost, each way, and how late the others are at worst."""

    lost: float = 0.0
    late_s: float = 1.0

    @property
    def is_bad(self) -> bool:
        """Whether a reduction may have to be said again."""
        return self.lost > 0 or self.late_s > 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """What must hold beside what always must; None asks nothing."""

    longest_wait_min: float | None = None
    places: int | None = None
    """How many of its cars, all equal, the site can serve at once: by that the longest wait is judged."""
    first_wait_min: float | None = None
    """Until current is offered for the first time."""
    wait_of: str | None = None
    """Whose waits are asked about; everybody's by default."""
    least_energy: float | None = None
    """Of the offline bound."""
    most_switches: int | None = None
    """Of phases, of any one car."""
    least_kwh: dict[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One day."""

    name: str
    claims: str
    minutes: int
    short_minutes: int | None = None
    """How much of it shows the claim, too."""
    circuits: tuple[CircuitPlan, ...]
    chargers: tuple[ChargerPlan, ...]
    network: NetworkType = NetworkType.TN_3_PHASE
    losses: tuple[Loss, ...] = ()
    link: LinkPlan = LinkPlan()
    asks: Asks = Asks()
    three_to_one_switch_a: float | None = None
    loses_every_subset: bool = False
    """The first loss befalls each set of its names in turn."""
    is_every_order: bool = False
    """After the portal's loss the watchdogs run out in every order."""

    @property
    def is_disturbed(self) -> bool:
        """Whether anything is lost or out of reach."""
        return bool(self.losses) or self.link.is_bad

    def variants(self, *, quick: bool) -> list["Scenario"]:
        """The scenario, or one for each set of chargers that its loss may befall; quick: each alone, and all."""
        day = replace(self, minutes=self.short_minutes) if quick and self.short_minutes else self
        if not day.loses_every_subset:
            return [day]
        first, *others = day.losses
        sizes = (1, len(first.names)) if quick else range(1, len(first.names) + 1)
        sets = [names for size in sizes for names in combinations(first.names, size)]
        return [
            replace(day, name=f"{self.name} {'+'.join(names)}", losses=(replace(first, names=names), *others))
            for names in sets
        ]


def scenarios() -> list[Scenario]:
    """Every written day, by name."""
    return [read(path) for path in sorted(FOLDER.glob("*.json"))]


def read(path: Path) -> Scenario:
    """The day in that file; an unknown word in it is a TypeError."""
    written: dict[str, Any] = json.loads(path.read_text("utf-8"))
    fields = dict(written)
    fields["network"] = NetworkType(fields.get("network", "TN_3_PHASE"))
    fields["circuits"] = tuple(_circuit(one) for one in written["circuits"])
    fields["chargers"] = tuple(charger for one in written["chargers"] for charger in _chargers(one))
    fields["losses"] = tuple(Loss(**{**one, "names": tuple(one.get("names", ()))}) for one in written.get("losses", ()))
    fields["link"] = LinkPlan(**written.get("link", {}))
    fields["asks"] = Asks(**written.get("asks", {}))
    return Scenario(name=path.stem, **fields)


def _circuit(written: dict[str, Any]) -> CircuitPlan:
    fields = dict(written)
    fields["household_a"] = tuple((at_s, _vector(value)) for at_s, value in written.get("household_a", ()))
    for name in ("fuse_a", "assumed_a", "safe_a"):
        if name in fields:
            fields[name] = _vector(fields[name])
    return CircuitPlan(**fields)


def _chargers(written: dict[str, Any]) -> list[ChargerPlan]:
    """As many as are written; of several each has its number behind its name, and its own rotation of those in a list."""
    fields = dict(written)
    count = fields.pop("count", 1)
    rotations = fields.pop("rotation", "RST")
    if isinstance(rotations, str):
        rotations = [rotations]
    car = fields.pop("car", None)
    every_s = fields.pop("comes_every_s", 0)
    found = []
    for number in range(count):
        plan = None if car is None else CarPlan(**{**car, "plugs_at_s": car.get("plugs_at_s", 60) + number * every_s})
        name = fields["name"] if count == 1 else f"{fields['name']}{number + 1}"
        rotation = PhaseRotation(rotations[number % len(rotations)])
        found.append(ChargerPlan(**{**fields, "name": name, "rotation": rotation, "car": plan}))
    return found


def _vector(value: float | list[float]) -> Vector:
    first, second, third = value if isinstance(value, list) else [value] * 3
    return (float(first), float(second), float(third))
