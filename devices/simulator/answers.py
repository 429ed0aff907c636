"""What the other side's answers do to a simulated charge point."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.v16 import messages
from devices.ocpp.v201 import messages as messages201
from devices.simulator.ledger import Kind, SessionRecord
from devices.simulator.outbox import Message
from devices.simulator.station import Station

Effect = Callable[[Station, Message, Any], None]


def take(station: Station, message: Message, payload: msgspec.Raw) -> bool:
    """The answer has had its effect. False where it breaks the standard: then it counts as an error."""
    try:
        answer = msgspec.json.decode(payload, type=station.speech.results[message.action])
    except UNREADABLE as error:
        station.note(Kind.MISUNDERSTOOD, f"answer to {message.action}: {error}")
        return False
    effect = EFFECTS[station.speech.subprotocol].get(message.action)
    if effect is not None:
        effect(station, message, answer)
    return True


def _authorized(station: Station, message: Message, answer: messages.AuthorizeResponse) -> None:
    if answer.id_tag_info.status != "Accepted":
        station.note(Kind.DENIED, answer.id_tag_info.status)
    elif isinstance(message.payload, messages.Authorize):
        station.let_in(message.payload.id_tag)


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


def _stopped(station: Station, message: Message, _: object) -> None:
    record = _record(message)
    if not record.is_acknowledged:
        record.is_acknowledged = True
        station.note(Kind.ACKNOWLEDGED, f"{record.energy_wh} Wh")


def _metered(_: Station, message: Message, __: object) -> None:
    if message.record is not None and isinstance(message.payload, messages.MeterValues):
        message.record.readings.update(value.timestamp for value in message.payload.meter_value)


def _record(message: Message) -> SessionRecord:
    if message.record is None:
        raise ValueError(f"{message.action} without its session")
    return message.record


def _authorized_201(station: Station, message: Message, answer: messages201.AuthorizeResponse) -> None:
    id_tag = station.speech.asked(message.payload)
    if answer.id_token_info.status != "Accepted":
        station.note(Kind.DENIED, answer.id_token_info.status)
    elif id_tag is not None:
        station.let_in(id_tag)


def _told_201(station: Station, message: Message, answer: messages201.TransactionEventResponse) -> None:
    """The final record is answered for; a token learns how it stands."""
    event = message.payload
    if not isinstance(event, messages201.TransactionEvent):
        return
    if event.event_type == "Ended":
        _stopped(station, message, answer)
    elif event.event_type == "Updated" and not isinstance(event.meter_value, UnsetType):
        _record(message).readings.update(value.timestamp for value in event.meter_value)
    info, running = answer.id_token_info, station.transaction
    if (info is UNSET) is not (event.id_token is UNSET):
        station.note(Kind.MISUNDERSTOOD, "an answer about a token that was not shown, or none about one that was")
    elif not isinstance(info, UnsetType) and info.status != "Accepted" and event.event_type != "Ended":
        station.note(Kind.DENIED, info.status)
        if running is not None and running.record is message.record:
            station.end("DeAuthorized")


EFFECTS: dict[str, dict[str, Effect]] = {
    "ocpp1.6": {
        "Authorize": _authorized,
        "StartTransaction": _started,
        "MeterValues": _metered,
        "StopTransaction": _stopped,
    },
    "ocpp2.0.1": {"Authorize": _authorized_201, "TransactionEvent": _told_201},
}
