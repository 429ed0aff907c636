"""Which grid lines a simulated charger loads (pure)."""

from domain.roles import NetworkType, PhaseRotation

LINES: dict[PhaseRotation, tuple[int, ...]] = {
    PhaseRotation.RST: (0, 1, 2),
    PhaseRotation.STR: (1, 2, 0),
    PhaseRotation.TRS: (2, 0, 1),
    PhaseRotation.RTS: (0, 2, 1),
    PhaseRotation.SRT: (1, 0, 2),
    PhaseRotation.TSR: (2, 1, 0),
    PhaseRotation.L1: (0,),
    PhaseRotation.L2: (1,),
    PhaseRotation.L3: (2,),
    PhaseRotation.L1L2: (0, 1),
    PhaseRotation.L2L3: (1, 2),
    PhaseRotation.L3L1: (2, 0),
}
"""The grid line (0 = L1) at each wired terminal."""

IT_NETWORKS = {NetworkType.IT_3_PHASE, NetworkType.IT_1_PHASE}


def loaded_lines(rotation: PhaseRotation, *, phases: int, network: NetworkType) -> tuple[int, ...]:
    """The lines that carry the current of a car on this many terminals.

    Without a neutral a car on one or two terminals hangs between the first two lines and loads both.
    """
    wired = LINES[rotation]
    used = min(phases, len(wired))
    if used and len(wired) > 1 and (network in IT_NETWORKS or len(wired) == 2):
        used = max(used, 2)
    return wired[:used]
