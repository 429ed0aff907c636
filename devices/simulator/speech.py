"""What a simulated charge point has to tell, whatever version it speaks: facts, and the protocol that puts them into words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

import msgspec

from devices.ocpp.v16.messages import Context, Reason, StatusNotificationStatus
from devices.simulator.ledger import SessionRecord
from devices.simulator.plan import ChargerPlan
from devices.simulator.troubles import Trouble

Status = StatusNotificationStatus
"""A connector's state; OCPP 1.6 has a word for each, 2.0.1 says them in two messages."""

CONNECTOR = 1
STATION = 0
MAX_SERIAL = 25


class Said(NamedTuple):
    """A CALL to be made; `is_kept`: it is one of a transaction, and waits for the next connection."""

    action: str
    payload: msgspec.Struct
    is_kept: bool = False


@dataclass(slots=True)
class Transaction:
    """The session that runs; `sequence` counts what was told of it."""

    id_tag: str
    """Empty until somebody is authorised."""
    record: SessionRecord
    started_s: float
    next_sample_s: float
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The charge point at one instant."""

    timestamp: str
    status: Status
    register_wh: float
    zero_wh: int
    """What the charger's register showed when its count began."""
    is_in_kwh: bool
    currents: tuple[float, float, float]
    transaction: Transaction | None
    is_operative: bool
    is_online: bool
    trouble: Trouble | None = None
    """What it finds wrong with itself."""


class Speech(Protocol):
    """A version of OCPP as a charge point speaks it: pure but for the counting of a transaction's messages."""

    @property
    def subprotocol(self) -> str:
        """Its name in the WebSocket handshake."""
        ...

    @property
    def calls(self) -> Mapping[str, type[msgspec.Struct]]:
        """What can be asked of it."""
        ...

    @property
    def results(self) -> Mapping[str, type[msgspec.Struct]]:
        """What its own messages are answered with."""
        ...

    def new_transaction_id(self, random: Random) -> str | None:
        """The id of the next transaction, where the charge point makes it itself."""
        ...

    def boot(self, plan: ChargerPlan) -> Said:
        """Who it is."""
        ...

    def heartbeat(self) -> Said:
        """It is there."""
        ...

    def authorize(self, id_tag: str) -> Said:
        """May this card charge?"""
        ...

    def asked(self, payload: msgspec.Struct) -> str | None:
        """The card, where the message asks about one."""
        ...

    def statuses(self, facts: Facts) -> Sequence[Said]:
        """How everything is, after it came online."""
        ...

    def changed(self, before: Status, facts: Facts) -> Sequence[Said]:
        """The status is another one."""
        ...

    def started(self, facts: Facts) -> Said:
        """The transaction has begun."""
        ...

    def claimed(self, facts: Facts) -> Sequence[Said]:
        """The transaction that had begun without a card has one."""
        ...

    def metered(self, facts: Facts, context: Context = "Sample.Periodic") -> Said:
        """The meter, of the transaction if one runs."""
        ...

    def troubled(self, facts: Facts, trouble: Trouble, number: int, *, is_over: bool) -> Sequence[Said]:
        """Something is wrong with it, or is not any more, beside what its status says of that. `number` counts such news."""
        ...

    def worried(self, facts: Facts, event: str) -> Said:
        """Something concerns its security."""
        ...

    def ended(self, facts: Facts, reason: Reason, id_tag: str | None) -> Said:
        """The transaction is over; its record is complete."""
        ...
