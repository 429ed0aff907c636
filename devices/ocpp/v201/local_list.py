"""The local authorization list in OCPP 2.0.1 (use cases D01 and D02). Pure."""

from collections.abc import Mapping

import msgspec

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.protocol import ListLimits, Outgoing
from devices.ocpp.v16.commands import timestamp
from devices.ocpp.v201 import messages, variables
from devices.ocpp.v201.commands import set_variables
from domain.identification.local_list_rules import Update

_ITEMS = ("LocalAuthListCtrlr", "ItemsPerMessage")
_AVAILABLE = ("LocalAuthListCtrlr", "Available")
_ASKS, _UNKNOWN = ("AuthCtrlr", "LocalPreAuthorize"), ("AuthCtrlr", "OfflineTxForUnknownIdEnabled")
_REMEMBERS = ("AuthCacheCtrlr", "Enabled")
_WANTED = {
    ("LocalAuthListCtrlr", "Enabled"): "true",
    ("AuthCtrlr", "LocalAuthorizeOffline"): "true",
    # What it remembers by itself would let in who may no longer.
    _REMEMBERS: "false",
    _ASKS: "false",
}
"""How a charger has to be set for the list to mean what it should."""


class _Version(msgspec.Struct, rename="camel"):
    version_number: int


def ask_version() -> Outgoing:
    """GetLocalListVersionRequest."""
    return Outgoing("GetLocalListVersion", messages.GetLocalListVersion())


def version_of(answer: str | None) -> int | None:
    """The version in a charger's answer; None where it keeps no list or did not understand."""
    try:
        version = msgspec.json.decode(answer or "", type=_Version, strict=False).version_number
    except UNREADABLE:
        return None
    return version if version >= 0 else None


def ask_limits() -> Outgoing:
    """GetVariablesRequest for what concerns the list."""
    return variables.ask((*_WANTED, _UNKNOWN, _ITEMS, _AVAILABLE))


def limits_of(answer: str | None) -> ListLimits:
    """What a charger says about its list; what it does not say is not known."""
    values = variables.told(answer)
    items = values.get(".".join(_ITEMS), "").strip()
    # One that keeps no list has a version nevertheless: it is to hold nothing.
    most = 0 if values.get(".".join(_AVAILABLE), "").lower() == "false" else None
    return ListLimits(most, int(items) if items.isdecimal() and int(items) > 0 else None, values)


def settings(limits: ListLimits, *, is_open: bool) -> tuple[tuple[str, str, Outgoing], ...]:
    """The calls that set what is not known to be set."""
    if limits.most_entries == 0:
        return ()
    wanted = {**_WANTED, _UNKNOWN: "true" if is_open else "false"}
    unset = [
        (component, variable, value)
        for (component, variable), value in wanted.items()
        if limits.values.get(f"{component}.{variable}", "").lower() != value
    ]
    return tuple(
        (f"{component}.{variable}", value, outgoing)
        for (component, variable, value), outgoing in zip(unset, set_variables(unset), strict=True)
    )


def asks_first(values: Mapping[str, str]) -> bool:
    """Whether the charger asks about a card of its list while it can."""
    return values.get(".".join(_ASKS), "").lower() == "false"


def remembers(values: Mapping[str, str]) -> bool:
    """Whether the station's authorization cache is in use."""
    return values.get(".".join(_REMEMBERS), "").lower() == "true"


def send(update: Update, version: int) -> Outgoing:
    """SendLocalListRequest; an entry without idTokenInfo is removed."""
    entries = [messages.AuthorizationData(id_token=_token(number)) for number in update.removed]
    for number, until in update.entries.items():
        expiry = msgspec.UNSET if until is None else timestamp(until)
        info = messages.IdTokenInfoType(status="Accepted", cache_expiry_date_time=expiry)
        entries.append(messages.AuthorizationData(id_token=_token(number), id_token_info=info))
    payload = messages.SendLocalList(
        version_number=version,
        update_type="Full" if update.is_full else "Differential",
        local_authorization_list=entries or msgspec.UNSET,
    )
    return Outgoing("SendLocalList", payload)


ISO15693_DIGITS, ISO15693_BEGINS = 16, "E0"
"""A number of ISO/IEC 15693-3 §4.1; those of ISO/IEC 14443 have 8, 14 or 20 digits."""


def _token(number: str) -> messages.IdTokenType:
    """A card's number says by its shape of which kind it is."""
    is_15693 = len(number) == ISO15693_DIGITS and number.upper().startswith(ISO15693_BEGINS)
    return messages.IdTokenType(id_token=number, type="ISO15693" if is_15693 else "ISO14443")
