"""OCPP-J frames (OCPP-J 1.6 §4): which of three kinds a text is, and what can be answered when it is none of them.

A payload stays undecoded bytes until its action is known, so that it is decoded once, into the action's own type.
"""

import re
from enum import StrEnum

import msgspec

EMPTY_OBJECT = msgspec.Raw(b"{}")
MAX_ERROR_TEXT = 255
"""OCPP-J 1.6 §4.2.3: errorDescription has at most 255 characters."""


class ErrorCode(StrEnum):
    """Why a CALL was not carried out; the spelling is the standard's (OCPP-J 1.6 §4.2.3, the last three OCPP-J 2.0.1 §4.3)."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"
    FORMAT_VIOLATION = "FormatViolation"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"


class Call(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """A request; a missing payload counts as an empty one."""

    message_id: str
    action: str
    payload: msgspec.Raw = EMPTY_OBJECT


class CallResult(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """The answer to the CALL with this id."""

    message_id: str
    payload: msgspec.Raw = EMPTY_OBJECT


class CallError(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """The CALL with this id was not carried out; `code` is as it came, known to the standard or not."""

    message_id: str
    code: str = ErrorCode.GENERIC_ERROR.value
    description: str = ""
    details: msgspec.Raw = EMPTY_OBJECT


class Malformed(msgspec.Struct, frozen=True):
    """No frame. `message_id` is set where the sender waits for an answer and its id can be read: then, and only then, a CALLERROR
    with `code` and `description` goes back.
    """

    message_id: str | None
    code: ErrorCode
    description: str


Frame = Call | CallResult | CallError | Malformed

UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""Everything that msgspec raises for bytes that are not what was asked for: wrong JSON, wrong type, wrong UTF-8, nested too deep."""

_FRAMES: msgspec.json.Decoder[Call | CallResult | CallError] = msgspec.json.Decoder(Call | CallResult | CallError)
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_NUMBER = msgspec.json.Decoder(int)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_CHARACTER = re.compile(f"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}")
"""An escape that is half of a pair (RFC 8259 §8.2): firmware that cuts a text at a length makes such."""


def parse(text: str | bytes) -> Frame:
    """What the text is. Never raises, whatever is in it. Half characters become U+FFFD, so that their message is understood."""
    try:
        return _FRAMES.decode(text)
    except UNREADABLE as error:
        whole = _HALF_CHARACTER.sub(r"\\ufffd", text if isinstance(text, str) else text.decode(errors="replace"))
        return _malformed(text, str(error)) if whole == text else _parse_whole(whole)


def _parse_whole(text: str) -> Frame:
    try:
        return _FRAMES.decode(text)
    except UNREADABLE as error:
        return _malformed(text, str(error))


def _malformed(text: str | bytes, reason: str) -> Malformed:
    try:
        elements = _ELEMENTS.decode(text)
    except UNREADABLE:
        return Malformed(None, ErrorCode.FORMATION_VIOLATION, _clipped(f"not an OCPP-J frame: {reason}"))
    kind = _first(elements, 0, _NUMBER)
    message_id = _first(elements, 1, _TEXT)
    is_call = kind == "2"
    return Malformed(
        message_id if is_call else None, ErrorCode.PROTOCOL_ERROR, _clipped(f"not an OCPP-J frame: {reason}")
    )


def _first(
    elements: list[msgspec.Raw], index: int, decoder: msgspec.json.Decoder[str] | msgspec.json.Decoder[int]
) -> str | None:
    if index >= len(elements):
        return None
    try:
        return str(decoder.decode(elements[index]))
    except UNREADABLE:
        return None


def _clipped(text: str) -> str:
    return text[:MAX_ERROR_TEXT]


def encode_call(message_id: str, action: str, payload: msgspec.Struct) -> str:
    """The text of a CALL."""
    return _ENCODER.encode((2, message_id, action, payload)).decode()


def encode_result(message_id: str, payload: msgspec.Struct) -> str:
    """The text of a CALLRESULT."""
    return _ENCODER.encode((3, message_id, payload)).decode()


def encode_error(message_id: str, code: ErrorCode, description: str = "") -> str:
    """The text of a CALLERROR; a description that is too long is cut."""
    return _ENCODER.encode((4, message_id, code, _clipped(description), {})).decode()
