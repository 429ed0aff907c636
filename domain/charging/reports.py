"""What chargers report, and what each report ends in: what goes into a batch and what comes out of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from domain.charging.session_rules import Hearing
from domain.equipment.ocpp_messages import Message
from domain.observations import (
    AnyObservation,
    SessionClaimed,
    SessionStarted,
    TokenPresented,
)
from domain.roles import AuthorizationDecision


class Report(msgspec.Struct, frozen=True, gc=False):
    """An observation, which station made it, and over which of its connections it came."""

    station_id: UUID
    epoch: int
    hearing: Hearing
    observation: AnyObservation
    message: Message | None = None
    """That it was said in, kept with it; None where another report of the same message has it."""


@dataclass(frozen=True, slots=True)
class Question:
    """An external system is to be asked; `is_shadow`: only to compare, nobody waits for the answer."""

    request_id: UUID
    installation_id: UUID
    expires_at: datetime
    is_shadow: bool = False
    is_new: bool = False
    """Whether it was just written, by who is to call the system about it; else another has it in hand."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the charger is to be told. `refusal` says why nothing was stored; otherwise everything is durable.

    With a `question` that is no shadow, `decision` holds until it is answered: a start goes on, a card waits.
    """

    transaction_id: str | None = None
    decision: AuthorizationDecision = AuthorizationDecision.ACCEPTED
    refusal: str | None = None
    question: Question | None = None


WITH_TOKEN = SessionStarted | SessionClaimed | TokenPresented
"""What asks for a decision about a card."""
