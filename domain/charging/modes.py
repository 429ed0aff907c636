"""What a charger is doing, in one word for people: the only place that derives it. Pure."""

import msgspec

from domain.observations import ConnectorStatus
from domain.roles import OperatingMode, PhaseRotation

Lines = tuple[float, float, float]
"""Ampere on L1, L2, L3."""


class ModeFacts(msgspec.Struct, frozen=True, gc=False):
    """What the mode follows from. `allocated_a` None: the balancer has not spoken, so nothing keeps the charger back."""

    status: ConnectorStatus
    has_session: bool
    is_paused: bool
    allocated_a: float | None
    is_unclaimed: bool = False
    """The session (OCPP 2.0.1) has begun and nobody has shown a card yet."""


def operating_mode(facts: ModeFacts) -> OperatingMode:
    """The mode; a status that nobody knows is UNKNOWN, never an exception."""
    match facts.status:
        case ConnectorStatus.FAULTED:
            return OperatingMode.FAULTED
        case ConnectorStatus.AVAILABLE | ConnectorStatus.RESERVED:
            return OperatingMode.DISCONNECTED
        case ConnectorStatus.FINISHING:
            return OperatingMode.FINISHED
        case ConnectorStatus.UNAVAILABLE | ConnectorStatus.UNKNOWN if not facts.has_session:
            return OperatingMode.UNKNOWN
    return _connected(facts)


def _connected(facts: ModeFacts) -> OperatingMode:
    if not facts.has_session or (facts.is_unclaimed and facts.status is not ConnectorStatus.CHARGING):
        return OperatingMode.AWAITING_AUTHORIZATION
    if facts.is_paused:
        return OperatingMode.PAUSED
    is_held = facts.allocated_a is not None and facts.allocated_a <= 0
    if facts.status is ConnectorStatus.CHARGING:
        # The offer of nothing may still be on its way: what flows is what is shown.
        return OperatingMode.CHARGING
    if is_held or facts.status is ConnectorStatus.SUSPENDED_EVSE:
        return OperatingMode.AWAITING_CURRENT
    return OperatingMode.FINISHED if facts.status is ConnectorStatus.SUSPENDED_EV else OperatingMode.CHARGING


_LINES: dict[PhaseRotation, tuple[tuple[int, ...], ...]] = {
    PhaseRotation.RST: ((0,), (1,), (2,)),
    PhaseRotation.STR: ((1,), (2,), (0,)),
    PhaseRotation.TRS: ((2,), (0,), (1,)),
    PhaseRotation.RTS: ((0,), (2,), (1,)),
    PhaseRotation.SRT: ((1,), (0,), (2,)),
    PhaseRotation.TSR: ((2,), (1,), (0,)),
    PhaseRotation.L1: ((0,), (), ()),
    PhaseRotation.L2: ((1,), (), ()),
    PhaseRotation.L3: ((2,), (), ()),
    # Between two lines the same current flows in both (IT networks, IEC 60364-1 §312.2.3).
    PhaseRotation.L1L2: ((0, 1), (), ()),
    PhaseRotation.L2L3: ((1, 2), (), ()),
    PhaseRotation.L3L1: ((2, 0), (), ()),
}
"""Terminal → grid lines that it loads."""


def line_currents(terminals: tuple[float | None, float | None, float | None], rotation: PhaseRotation) -> Lines | None:
    """Currents at a charger's terminals as currents on the grid lines; None unless every wired terminal was read.

    A line that is not measured is not a line without current: no car may be taken for one-phase on such evidence.
    """
    lines = [0.0, 0.0, 0.0]
    for current, targets in zip(terminals, _LINES[rotation], strict=True):
        if targets and current is None:
            return None
        for line in targets:
            lines[line] += current or 0.0
    return (lines[0], lines[1], lines[2])
