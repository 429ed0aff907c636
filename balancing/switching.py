"""When a charger may close other lines for its car, and in which steps: off, empty, told, rested, on again.

Numbers from the time layer of the balancer (docs/balancing.md §2). A contactor that opens under load burns, and many cars
take a switch within seconds for a fault; so it happens without current, seldom, and only where it is worth it. Pure.
"""

import math
from dataclasses import dataclass, replace

from balancing.circuit import Line, Lines, Network, Switching, Vector, in_grid_order
from balancing.failsafe import NO_OFFER
from balancing.phases import loaded_lines
from balancing.staging import MEASUREMENT_COUNTS_S, ChargerStage

SWITCHES_A_SESSION = 5
NOT_BEFORE_S = 120.0
APART_S = 600.0
WORTH = 1.05
WORTH_FOR_S = 600.0
"""A share that is 5 % larger, for ten minutes: what is better for a moment only is no reason to interrupt a charge."""

EMPTY_A = 0.5
EMPTY_AFTER_S = 10.0
UNMEASURED_EMPTY_S = 30.0
GIVES_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Turning:
    """A switch under way to `position`: since when the charger is being emptied, and with which offer it was told, confirmed when."""

    position: Lines
    since_s: float
    number: int | None = None
    confirmed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Which grid lines a charger has closed in this session, and what switching it took.

    `closed` None: all that are wired. `better`: the lines that would give it more, since `better_since_s`.
    """

    closed: Lines | None = None
    session_since_s: float = -math.inf
    switches: int = 0
    last_s: float = -math.inf
    turning: Turning | None = None
    better: Lines | None = None
    better_since_s: float = -math.inf

    def loads(self, wiring: Lines, phases: int | None, network: Network) -> Lines:
        """The grid lines that its car loads."""
        return loaded_lines(wiring, phases, network) if self.closed is None else self.closed

    def will_load(self, wiring: Lines, phases: int | None, network: Network) -> Lines:
        """The same once the switch that is under way is done."""
        if self.turning is None:
            return self.loads(wiring, phases, network)
        return replace(self, closed=_narrow(self.turning.position, wiring)).loads(wiring, phases, network)

    @property
    def told(self) -> Lines | None:
        """The lines that every offer from now on names; None for all."""
        if self.turning is None or self.turning.number is None:
            return self.closed
        return self.turning.position if len(self.turning.position) < len(Line) else None

    @property
    def is_turning(self) -> bool:
        """Whether nothing may be offered until a switch is done."""
        return self.turning is not None


WHOLE = Position()


def _narrow(position: Lines, wiring: Lines) -> Lines | None:
    return None if position == in_grid_order(wiring) else position


def switching_of(*, can_switch: bool, takes_phase_to_use: bool, wiring: Lines) -> Switching:
    """What the charger's installer and its model say: OCPP 1.6 knows how many phases, 2.0.1 may also know which."""
    if not can_switch or len(wiring) != 3:
        return Switching.NONE
    return Switching.ANY_PHASE if takes_phase_to_use else Switching.THREE_TO_ONE


def terminal_of(lines: Lines, wiring: Lines) -> int | None:
    """The terminal, from 1, that feeds a car on these lines alone; of a pair the one whose other end is the next."""
    for first in range(len(wiring)):
        turned = wiring[first:] + wiring[:first]
        if in_grid_order(turned[: len(lines)]) == in_grid_order(lines):
            return first + 1
    return None


def may_switch(position: Position, now_s: float) -> bool:
    """Whether the session's budget has a switch now."""
    return (
        position.turning is None
        and position.switches < SWITCHES_A_SESSION
        and now_s - position.session_since_s >= NOT_BEFORE_S
        and now_s - position.last_s >= APART_S
    )


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a charger gets as it is, and what it would get if it could switch: lines, and κ·I in units of 230 W."""

    lines: Lines
    power: float
    other_lines: Lines
    other_power: float

    @property
    def frees_an_unfit_car(self) -> bool:
        """Whether the car gets nothing on three lines, and something on fewer."""
        return self.power <= 0 < self.other_power and len(self.other_lines) < len(self.lines)

    @property
    def is_better(self) -> bool:
        """Whether the other lines give enough more to be worth a switch, if it lasts."""
        return bool(self.other_lines) and self.other_lines != self.lines and self.other_power >= WORTH * self.power


def weighed(position: Position, prospect: Prospect, now_s: float) -> tuple[Position, bool]:
    """The position with how long the prospect has been better, and whether the charger may switch for it now."""
    if prospect.frees_an_unfit_car:
        return position, True
    if not (prospect.is_better and prospect.other_power > 0):
        return replace(position, better=None), False
    since_s = position.better_since_s if position.better == prospect.other_lines else now_s
    return replace(position, better=prospect.other_lines, better_since_s=since_s), now_s - since_s >= WORTH_FOR_S


def begun(
    position: Position, lines: Lines, wiring: Lines, phases: int | None, network: Network, now_s: float
) -> Position:
    """A switch to where the car loads those lines begins: the charger is to be emptied first."""
    wide = in_grid_order(wiring)
    target = wide if loaded_lines(wiring, phases, network) == lines else lines
    return replace(position, turning=Turning(target, now_s), better=None)


def is_empty(stage: ChargerStage, now_s: float) -> bool:
    """Whether nothing flows any more: told so, acknowledged, and measured below 0.5 A after 10 s; 30 s where nothing is measured."""
    if stage.confirmed != NO_OFFER or stage.latest != NO_OFFER:
        return False
    heard_s = stage.targets[-1].acknowledged_s if stage.targets else stage.confirmed_s
    if heard_s is None:
        return False
    if stage.measured is None or now_s - stage.measured_s > MEASUREMENT_COUNTS_S:
        return now_s - heard_s >= UNMEASURED_EMPTY_S
    return now_s - heard_s >= EMPTY_AFTER_S and max(stage.measured) < EMPTY_A


def advanced(position: Position, stage: ChargerStage, wiring: Lines, *, cools_s: float, now_s: float) -> Position:
    """The position as time goes on: a charger that does not become empty is not switched, one that was told rests a while."""
    turning = position.turning
    if turning is None:
        return position
    if not stage.is_online or stage.confirmed is None:
        return called_off(position, now_s)
    if turning.number is None:
        if now_s - turning.since_s >= GIVES_UP_S and not is_empty(stage, now_s):
            return called_off(position, now_s)
        return position
    if turning.confirmed_s is None or now_s - turning.confirmed_s < cools_s:
        return position
    return replace(
        position,
        closed=_narrow(turning.position, wiring),
        switches=position.switches + 1,
        last_s=now_s,
        turning=None,
    )


def called_off(position: Position, now_s: float) -> Position:
    """The switch does not take place; the next one is not tried at once. One that was told may have happened all the same."""
    turning = position.turning
    if turning is None:
        return position
    return replace(position, turning=None, last_s=now_s, switches=position.switches + 1)


def must_tell(position: Position, stage: ChargerStage, now_s: float) -> bool:
    """Whether the charger is to be told of its new lines now, with an offer of nothing."""
    return position.turning is not None and position.turning.number is None and is_empty(stage, now_s)


def told(position: Position, number: int) -> Position:
    """It was sent an offer of nothing on its new lines, under that number."""
    turning = position.turning
    return position if turning is None else replace(position, turning=replace(turning, number=number))


def confirmed(position: Position, number: int, now_s: float) -> Position:
    """It acknowledged that offer, or a later one that says the same."""
    turning = position.turning
    if turning is None or turning.number is None or number < turning.number or turning.confirmed_s is not None:
        return position
    return replace(position, turning=replace(turning, confirmed_s=now_s))


def is_contradicted(position: Position, draw: Vector) -> bool:
    """Whether current flows on a line that is said to be open."""
    if position.closed is None:
        return False
    closed = {line.place for line in position.closed}
    return any(drawn >= EMPTY_A for place, drawn in enumerate(draw) if place not in closed)


def distrusted(position: Position, now_s: float) -> Position:
    """Its word on lines is not worth anything in this session: all wired ones count, and it is not switched any more."""
    return replace(position, closed=None, turning=None, switches=SWITCHES_A_SESSION, last_s=now_s)
