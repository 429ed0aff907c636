"""What is noticed in passing while reports are stored: a card that nobody knows again and again, and charges that arrive late.

Machines only; call everything here inside the transaction of what was noticed.
"""

from datetime import datetime, timedelta

from domain import sql
from domain.alerting import faults
from domain.alerting.faults import Fault
from domain.charging.live import Connector
from domain.events import Event
from domain.roles import AlertKind, AuthorizationDecision

UNKNOWN_CARDS = 3
UNKNOWN_CARDS_WITHIN = timedelta(hours=1)
"""The same card so often in so long is somebody who wants to charge; an hour without it is the end of it."""

UNKNOWN_CARD = Fault(AlertKind.UNKNOWN_CARD_REPEATED, None, None)
OFFLINE_CHARGES = Fault(AlertKind.OFFLINE_SESSIONS_RECEIVED, None, None)

_TRIED = f"""
SELECT COUNT(*) AS n FROM authorization_attempts
WHERE charger_id = $1 AND at > $2 AND token = $3 AND user_id IS NULL AND decision = '{AuthorizationDecision.INVALID}'
"""  # noqa: S608  enums' values


async def unknown_card(connector: Connector, token: str, *, now: datetime) -> list[Event]:
    """A card of nobody was held to the charger; for the third time within an hour that is an alert."""
    tried = await sql.row(_TRIED, connector.place.charger_id, now - UNKNOWN_CARDS_WITHIN, token)
    if tried is None or int(tried["n"]) < UNKNOWN_CARDS:
        return []
    return await faults.open_alert(connector, UNKNOWN_CARD, now=now)


async def offline_charge(connector: Connector, *, now: datetime) -> list[Event]:
    """A charge has arrived that happened while there was no connection."""
    return await faults.open_alert(connector, OFFLINE_CHARGES, now=now)
