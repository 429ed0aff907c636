"""What the other side's answers do to a simulated charge point."""

from collections.abc import Callable
from typing import Any

import msgspec

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.v16 import messages
from devices.simulator.ledger import Kind, SessionRecord
from devices.simulator.outbox import Message
from devices.simulator.station import Station

Effect = Callable[[Station, Message, Any], None]


def take(station: Station, message: Message, payload: msgspec.Raw) -> bool:
    """The answer has had its effect. False where it breaks the standard: then it counts as an error."""
    try:
        answer = msgspec.json.decode(payload, type=messages.RESULTS[message.action])
    except UNREADABLE as error:
        station.note(Kind.MISUNDERSTOOD, f"answer to {message.action}: {error}")
        return False
    effect = EFFECTS.get(message.action)
    if effect is not None:
        effect(station, message, answer)
    return True


def _authorized(station: Station, message: Message, answer: messages.AuthorizeResponse) -> None:
    if answer.id_tag_info.status != "Accepted":
        station.note(Kind.DENIED, answer.id_tag_info.status)
    elif isinstance(message.payload, messages.Authorize):
        station.begin(message.payload.id_tag)


def _started(station: Station, message: Message, answer: messages.StartTransactionResponse) -> None:
    record = _record(message)
    if record.transaction_id is None:
        record.transaction_id = answer.transaction_id
    elif record.transaction_id != answer.transaction_id:
        station.note(Kind.MISUNDERSTOOD, f"a repeated start got {answer.transaction_id}, not {record.transaction_id}")
    running = station.transaction
    if answer.id_tag_info.status != "Accepted" and running is not None and running.record is record:
        station.note(Kind.DENIED, answer.id_tag_info.status)
        station.end("DeAuthorized")


def _stopped(station: Station, message: Message, _: messages.StopTransactionResponse) -> None:
    record = _record(message)
    if not record.is_acknowledged:
        record.is_acknowledged = True
        station.note(Kind.ACKNOWLEDGED, f"{record.energy_wh} Wh")


def _record(message: Message) -> SessionRecord:
    if message.record is None:
        raise ValueError(f"{message.action} without its session")
    return message.record


EFFECTS: dict[str, Effect] = {
    "Authorize": _authorized,
    "StartTransaction": _started,
    "StopTransaction": _stopped,
}
