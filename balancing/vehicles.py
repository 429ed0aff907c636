"""How many lines a car uses, learnt from what it draws: fewer than all wired lines only on evidence, line by line.

A car that is unknown counts as three-phase, because a current that was not booked is a current that no fuse was asked about.
"""

import math
from dataclasses import dataclass, replace

from balancing.circuit import Lines, Network
from balancing.phases import loaded_lines

DRAWS_A = 3.0
UNUSED_BELOW_A = 0.5
EVIDENCE_S = 30.0
EVEN = 1.25
"""The lines of one converter carry the same; where one carries √3 of the others, two converters share it."""

LONGEST_GAP_S = 90.0
"""Samples further apart prove nothing about the time between them."""

BEYOND_A = 1.0
BEYOND_FOR_S = 10.0
"""Draw so far above the offer for so long is no lag and no noise."""

Measured = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class CarEvidence:
    """What a session's samples have shown so far; dropped at unplug and at every phase switch.

    `phases` None is unknown. `seems` is the number of lines that the newest samples speak for, since `since_s`.
    """

    phases: int | None = None
    seems: int | None = None
    since_s: float = 0.0
    last_s: float = 0.0
    beyond_since_s: float | None = None
    """Since when every sample has shown more than was offered."""
    is_disobedient: bool = False
    """Whether that went on: the car counts as three-phase until it is unplugged."""


NOTHING_KNOWN = CarEvidence()


def lines_used(measured: Measured, wiring: Lines) -> int | None:
    """How many terminals, from the first, draw a car's current while all others draw none; None when that is not seen."""
    draws = [measured[line.place] for line in wiring]
    if any(draw is None for draw in draws):
        return None
    used = [draw is not None and draw >= DRAWS_A for draw in draws]
    count = sum(used)
    if count == 0 or not all(used[:count]):
        return None
    rest_is_unused = all(draw is not None and draw < UNUSED_BELOW_A for draw in draws[count:])
    if not rest_is_unused:
        return None
    known = [draw for draw in draws[:count] if draw is not None]
    return count if max(known) <= EVEN * min(known) else None


def draws_beside(measured: Measured, wiring: Lines, phases: int) -> bool:
    """Whether current flows on a terminal that a car of so many phases does not use."""
    return any((measured[line.place] or 0.0) >= UNUSED_BELOW_A for line in wiring[phases:])


def learnt(evidence: CarEvidence, *, measured: Measured, wiring: Lines, at_s: float) -> CarEvidence:
    """The evidence after one more sample, taken at `at_s`; an older or repeated one changes nothing."""
    if at_s <= evidence.last_s:
        return evidence
    if evidence.phases is not None and draws_beside(measured, wiring, evidence.phases):
        return replace(evidence, phases=None, seems=None, last_s=at_s)
    seen = lines_used(measured, wiring)
    if seen is None or evidence.is_disobedient:
        return replace(evidence, seems=None, last_s=at_s)
    goes_on = seen == evidence.seems and at_s - evidence.last_s <= LONGEST_GAP_S
    since_s = evidence.since_s if goes_on else at_s
    phases = seen if at_s - since_s >= EVIDENCE_S else evidence.phases
    return replace(evidence, phases=phases, seems=seen, since_s=since_s, last_s=at_s)


def judged(evidence: CarEvidence, *, beyond_a: float, at_s: float) -> CarEvidence:
    """The evidence after a sample, taken at `at_s`, that shows so much more than was offered on its worst line."""
    if beyond_a <= BEYOND_A:
        return replace(evidence, beyond_since_s=None)
    since_s = at_s if evidence.beyond_since_s is None else evidence.beyond_since_s
    if at_s - since_s < BEYOND_FOR_S:
        return replace(evidence, beyond_since_s=since_s)
    return replace(evidence, beyond_since_s=since_s, phases=None, seems=None, is_disobedient=True)


def phases_on(lines: Lines, wiring: Lines, network: Network) -> int | None:
    """How many phases a car has that loads those grid lines of a charger with all lines closed; None where that is not known from them."""
    if len(lines) >= len(wiring):
        return None
    return next((phases for phases in (1, 2) if loaded_lines(wiring, phases, network) == lines), None)


def spread(phases: int | None, lines: Lines, network: Network) -> float:
    """What a line may carry for each ampere that is offered to a car on these lines.

    Without a neutral, two converters of one car may share a line: it carries √3 of what each draws. Until the car is known, or
    where it showed more than it was offered, that counts.
    """
    return math.sqrt(3) if network is Network.IT_3 and len(lines) == 3 and phases is None else 1.0
