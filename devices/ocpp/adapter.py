"""The protocol versions we speak, by the name of their WebSocket sub-protocol; another version is one more module and one more row."""

from devices.ocpp.protocol import Adapter
from devices.ocpp.v16.adapter import V16
from devices.ocpp.v201.adapter import V201

DIALECTS = {"ocpp2.1": "ocpp2.0.1"}
"""Spoken as far as it means the same as the other, which comes first where both are offered."""

DEFAULT_SUBPROTOCOL = "ocpp1.6"
"""What a charger speaks that names none."""

ADAPTERS: dict[str, Adapter] = {one.subprotocol: one for one in (V16(), V201(), V201("ocpp2.1"))}
