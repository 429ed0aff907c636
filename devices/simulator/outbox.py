"""What a simulated charger has to say: in order, transaction messages kept until they are answered (OCPP 1.6 §3.7.1)."""

import itertools
from collections import deque
from dataclasses import dataclass, field
from random import Random

import msgspec

from devices.ocpp.v16.messages import MeterValues, StopTransaction
from devices.ocpp.v201.messages import TransactionEvent
from devices.simulator.ledger import SessionRecord

MAX_KEPT = 2_000
UNKNOWN_TRANSACTION = -1
"""What firmware sends when the answer to its StartTransaction was given up."""


@dataclass(slots=True, eq=False)
class Message:
    """A CALL to be made. `record` is set on transaction messages: they survive a loss of the connection."""

    action: str
    payload: msgspec.Struct
    record: SessionRecord | None = None
    errors: int = 0
    is_repeated: bool = False
    not_before_s: float = 0.0

    @property
    def is_kept(self) -> bool:
        """Whether it waits for the next connection."""
        return self.record is not None

    def resolved(self, *, hides_id: bool = False) -> msgspec.Struct:
        """The payload with the transaction's id, which may have become known after the message was made; 0 with `hides_id`."""
        if self.record is None or not isinstance(self.payload, (MeterValues, StopTransaction)):
            return self.payload
        if hides_id:
            return msgspec.structs.replace(self.payload, transaction_id=0)
        known = self.record.transaction_id
        known = known if isinstance(known, int) else UNKNOWN_TRANSACTION
        return msgspec.structs.replace(self.payload, transaction_id=known)

    @property
    def is_reading(self) -> bool:
        """Whether it tells no more than how the meter stood."""
        is_update = isinstance(self.payload, TransactionEvent) and self.payload.event_type == "Updated"
        return self.action == "MeterValues" or is_update


@dataclass(slots=True)
class Outbox:
    """First in, first out."""

    waiting: deque[Message] = field(default_factory=deque)
    most: int = MAX_KEPT

    def put(self, message: Message) -> None:
        """Behind all others; when too many wait, meter values give way, never starts and stops."""
        if len(self.waiting) >= self.most:
            doomed = next((held for held in self.waiting if held.is_reading), None)
            if doomed is not None:
                self.waiting.remove(doomed)
        self.waiting.append(message)

    def take(self, within: int, random: Random) -> Message:
        """One of the first so many, gone from here. What cannot be told yet, as its transaction has no id, keeps its place."""
        movable = 0
        for message in itertools.islice(self.waiting, within):
            if message.record is None or message.record.transaction_id is None:
                break
            movable += 1
        place = random.randrange(movable) if movable > 1 else 0
        message = self.waiting[place]
        del self.waiting[place]
        return message

    def put_first(self, messages: list[Message]) -> None:
        """Before all others, in this order."""
        self.waiting.extendleft(reversed(messages))

    def keep_records(self) -> None:
        """The connection is lost: only transaction messages stay."""
        self.waiting = deque(message for message in self.waiting if message.is_kept)

    @property
    def has_records(self) -> bool:
        """Whether a transaction message waits."""
        return any(message.is_kept for message in self.waiting)
