"""That people are to be told of an alert, written with the alert and carried out later, so that nobody waits for it. Machines only."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from domain import outbox

NEWS = "alert"
"""The outbox's kind; the payload is News as JSON."""
DAMPED_FROM = 3
"""The third opening of the same alert within an hour sends no mail of its own."""


class Occasion(StrEnum):
    """Why people are told."""

    OPENED = "OPENED"
    AGAIN = "AGAIN"
    RESOLVED = "RESOLVED"


class News(msgspec.Struct, frozen=True):
    """What happened to an alert."""

    alert_id: UUID
    occasion: Occasion
    at: datetime


async def put(alert_id: UUID, occasion: Occasion, *, now: datetime) -> None:
    """It will be told to whoever wants to know; call inside the transaction of its cause."""
    await outbox.put(NEWS, msgspec.json.encode(News(alert_id, occasion, now)).decode(), now=now)
