"""Which phase rotations exist in which network: a charger hangs on lines that the site has."""

from uuid import UUID

from domain import sql
from domain.roles import NetworkType, PhaseRotation

_THREE_PHASE = frozenset(
    {
        PhaseRotation.RST,
        PhaseRotation.STR,
        PhaseRotation.TRS,
        PhaseRotation.RTS,
        PhaseRotation.SRT,
        PhaseRotation.TSR,
    }
)
_TO_NEUTRAL = frozenset({PhaseRotation.L1, PhaseRotation.L2, PhaseRotation.L3})
_BETWEEN_LINES = frozenset({PhaseRotation.L1L2, PhaseRotation.L2L3, PhaseRotation.L3L1})

_ROTATIONS = {
    NetworkType.TN_3_PHASE: _THREE_PHASE | _TO_NEUTRAL,
    NetworkType.IT_3_PHASE: _THREE_PHASE | _BETWEEN_LINES,  # no neutral: one phase hangs between two lines
    NetworkType.TN_1_PHASE: frozenset({PhaseRotation.L1}),
    NetworkType.IT_1_PHASE: frozenset({PhaseRotation.L1L2}),
}


def fits(rotation: PhaseRotation, network: NetworkType) -> bool:
    """Whether a charger can be wired so in such a network."""
    return rotation in _ROTATIONS[network]


def is_three_phase(rotation: PhaseRotation) -> bool:
    """Whether the charger hangs on all three lines."""
    return rotation in _THREE_PHASE


def choices(network: NetworkType) -> str:
    """The rotations of a network, as one says them to a person."""
    return ", ".join(rotation.value for rotation in PhaseRotation if fits(rotation, network))


async def unfit_chargers(installation_id: UUID, network: NetworkType) -> list[str]:
    """Names of the site's chargers that could not be wired as they are if the network were this."""
    found = await sql.rows(
        "SELECT name, phase_rotation FROM chargers WHERE installation_id = $1 AND removed_at IS NULL ORDER BY name, id",
        installation_id,
    )
    return [row["name"] for row in found if not fits(PhaseRotation(row["phase_rotation"]), network)]
