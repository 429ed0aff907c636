"""The protocol versions we speak, by the name of their WebSocket sub-protocol; another version is one more module and one more row."""

from devices.ocpp.protocol import Adapter
from devices.ocpp.v16.adapter import V16

DEFAULT_SUBPROTOCOL = "ocpp1.6"
"""What a charger speaks that names none."""

ADAPTERS: dict[str, Adapter] = {V16.subprotocol: V16()}
