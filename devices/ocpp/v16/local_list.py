"""The local authorization list in OCPP 1.6 (§3.5.2, §5.6, §5.15, §9.2). Pure."""

from collections.abc import Mapping

import msgspec

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.protocol import ListLimits, Outgoing
from devices.ocpp.v16 import configuration, messages
from devices.ocpp.v16.commands import timestamp
from domain.identification.local_list_rules import Update

_MAX_LENGTH, _MAX_SENT = "LocalAuthListMaxLength", "SendLocalListMaxLength"
_ASKS, _UNKNOWN = "LocalPreAuthorize", "AllowOfflineTxForUnknownId"
_REMEMBERS = "AuthorizationCacheEnabled"
_WANTED: Mapping[str, str] = {
    "LocalAuthListEnabled": "true",
    "LocalAuthorizeOffline": "true",
    # What it remembers by itself would let in who may no longer.
    _REMEMBERS: "false",
    _ASKS: "false",
}
"""How a charger has to be set for the list to mean what it should."""
_KEYS = (*_WANTED, _UNKNOWN, _MAX_LENGTH, _MAX_SENT)
_KEEPS_NONE = -1


class _Version(msgspec.Struct, rename="camel"):
    list_version: int


def ask_version() -> Outgoing:
    """GetLocalListVersion.req."""
    return Outgoing("GetLocalListVersion", messages.GetLocalListVersion())


def version_of(answer: str | None) -> int | None:
    """The version in a charger's answer; None where it keeps no list (-1) or did not understand."""
    try:
        version = msgspec.json.decode(answer or "", type=_Version, strict=False).list_version
    except UNREADABLE:
        return None
    return version if version > _KEEPS_NONE else None


def ask_limits() -> Outgoing:
    """GetConfiguration.req for what concerns the list."""
    return configuration.ask(_KEYS)


def limits_of(answer: str | None) -> ListLimits:
    """What a charger says about its list; what it does not say is not known."""
    values = configuration.told(answer)
    return ListLimits(_whole(values.get(_MAX_LENGTH)), _whole(values.get(_MAX_SENT)), values)


def settings(limits: ListLimits, *, is_open: bool) -> tuple[tuple[str, str, Outgoing], ...]:
    """The calls that set what is not known to be set."""
    wanted = {**_WANTED, _UNKNOWN: "true" if is_open else "false"}
    return tuple(
        (key, value, Outgoing("ChangeConfiguration", messages.ChangeConfiguration(key=key, value=value)))
        for key, value in wanted.items()
        if limits.values.get(key, "").lower() != value
    )


def asks_first(values: Mapping[str, str]) -> bool:
    """Whether the charger asks about a card of its list while it can (§9.1.15)."""
    return values.get(_ASKS, "").lower() == "false"


def remembers(values: Mapping[str, str]) -> bool:
    """Whether the charger's authorization cache is in use (§9.1.2)."""
    return values.get(_REMEMBERS, "").lower() == "true"


def send(update: Update, version: int) -> Outgoing:
    """SendLocalList.req; an entry without idTagInfo is removed."""
    entries = [messages.LocalAuthorizationList(id_tag=number) for number in update.removed]
    for number, until in update.entries.items():
        expiry = msgspec.UNSET if until is None else timestamp(until)
        info = messages.IdTagInfo(status="Accepted", expiry_date=expiry)
        entries.append(messages.LocalAuthorizationList(id_tag=number, id_tag_info=info))
    payload = messages.SendLocalList(
        list_version=version,
        update_type="Full" if update.is_full else "Differential",
        local_authorization_list=entries or msgspec.UNSET,
    )
    return Outgoing("SendLocalList", payload)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() and int(text) > 0 else None
