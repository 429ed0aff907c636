"""Which security events of a charger somebody has to look into, and in which words. Pure."""

from datetime import datetime
from typing import Final

from domain.observations import FaultReported
from domain.roles import AlertKind

WORRYING: Final = {
    "TamperDetectionActivated": "Somebody may have opened it.",
    "SecurityLogWasCleared": "Its security log was emptied.",
    "MemoryExhaustion": "Its memory is used up.",
    "InvalidFirmwareSignature": "It was given firmware that its maker has not signed.",
    "MaintenanceLoginFailed": "Somebody tried to sign in to it on the spot.",
}
"""Of those that a version of OCPP calls critical (2.0.1 appendix 1; 1.6 security whitepaper), not what every restart, update and setting of
the clock says, too. What a charger writes beside the type is left out: it may name people and addresses, and all there see a warning.
"""


def observed(name: str | None, *, charger_time: datetime | None, received_at: datetime) -> tuple[FaultReported, ...]:
    """What such an event means; nothing where it is no reason to worry."""
    words = WORRYING.get(name or "")
    if words is None:
        return ()
    return (
        FaultReported(
            charger_time=charger_time,
            received_at=received_at,
            evse=0,
            kind=AlertKind.SECURITY,
            is_cleared=False,
            vendor_code=name,
            info=words,
        ),
    )
