"""What an OCPP 1.6 charger says of its configuration (§5.8, §9). Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.protocol import Outgoing
from devices.ocpp.v16 import messages


class _Key(msgspec.Struct, rename="camel"):
    key: str
    value: str | None = None


class _Configuration(msgspec.Struct, rename="camel"):
    configuration_key: list[_Key] = []


def ask(keys: Sequence[str]) -> Outgoing:
    """GetConfiguration.req for these keys: some firmware crashes where it is asked for all of them."""
    return Outgoing("GetConfiguration", messages.GetConfiguration(key=list(keys)))


def told(answer: str | None) -> Mapping[str, str]:
    """The values that it tells, by their keys."""
    try:
        keys = msgspec.json.decode(answer or "", type=_Configuration, strict=False).configuration_key
    except UNREADABLE:
        return {}
    return {one.key: one.value or "" for one in keys}
