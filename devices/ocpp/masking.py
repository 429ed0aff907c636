"""What is kept of a message for people to read: as it was, but for card numbers and passwords. Pure."""

import re
from typing import Any, Final

import msgspec

from devices.ocpp.frames import UNREADABLE
from domain.identification.cards import masked

HIDDEN: Final = "…"
LONGEST: Final = 32_768
"""Characters of a payload that are kept."""

_TELLING: Final = (
    b"idtag",
    b"id_tag",
    b"idtoken",
    b"id_token",
    b"authorizationkey",
    b"password",
    b"@",
    b'"data"',
    b"signeddata",
    b"signedmeter",
)
"""Only payloads in which one of these stands are looked at closely: of a thousand meter readings none. One search for each costs
a tenth of one regular expression for all.
"""
_TOKENS: Final = frozenset({"idtag", "parentidtag", "idtoken", "additionalidtoken"})
_SECRETS: Final = frozenset({"authorizationkey", "basicauthpassword", "password", "signedmeterdata"})
"""Also what a meter signs: the whole number of a card may be in it. It is kept with its session."""
_SIGN_IN: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""Who signs in, in the address of a file (RFC 3986 §3.2.1)."""


def readable(action: str, payload: msgspec.Raw | bytes) -> str:
    """The payload as people may read it. What is no JSON is left out."""
    content = bytes(payload)
    lowered = content.lower()
    if any(word in lowered for word in _TELLING):
        try:
            content = msgspec.json.encode(_shown(msgspec.json.decode(content), is_transfer=action == "DataTransfer"))
        except UNREADABLE:
            return HIDDEN
    return content.decode(errors="replace")[:LONGEST]


def _shown(value: Any, *, is_transfer: bool) -> Any:
    match value:
        case dict():
            is_secret = _names_a_secret(value) or value.get("format") == "SignedData"
            return {
                name: _field(name.lower(), one, is_secret=is_secret, is_transfer=is_transfer)
                for name, one in value.items()
            }
        case list():
            return [_shown(one, is_transfer=is_transfer) for one in value]
        case str():
            return _SIGN_IN.sub(HIDDEN, value)
    return value


def _field(name: str, value: Any, *, is_secret: bool, is_transfer: bool) -> Any:
    if isinstance(value, str):
        if name in _TOKENS:
            return masked(value)
        if name in _SECRETS or (is_secret and name in ("value", "attributevalue")):
            return HIDDEN
    if is_transfer and name == "data":
        return HIDDEN  # Nobody knows what a vendor puts there.
    return _shown(value, is_transfer=is_transfer)


def _names_a_secret(value: dict[str, Any]) -> bool:
    """Whether it is a setting whose value is a password: `key` in OCPP 1.6, `variable.name` in 2.0.1."""
    variable = value.get("variable")
    named = variable.get("name") if isinstance(variable, dict) else value.get("key")
    return isinstance(named, str) and named.lower() in _SECRETS
