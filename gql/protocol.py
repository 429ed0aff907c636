"""The messages of graphql-transport-ws: how they are read, and why a connection is ended."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import orjson
from starlette.types import Message

from gql.http import bearer
from gql.limits import MAX_BODY_BYTES

PROTOCOL: Final = "graphql-transport-ws"
_MAX_ID: Final = 128
_MAX_REASON_BYTES: Final = 123
"""A close frame's reason (RFC 6455 §5.5)."""
_OPTIONAL: Final[Mapping[str, type[Any]]] = {"operationName": str, "variables": dict, "extensions": dict}
_CALLED: Final[Mapping[type[Any], str]] = {str: "a string", dict: "an object"}


class CloseCode(IntEnum):
    """Why the server ends a connection (graphql-transport-ws, and RFC 6455)."""

    TOO_BIG = 1009
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITS = 4429
    INTERNAL = 4500


class ClosedError(Exception):
    """The connection is to be ended."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

    @property
    def message(self) -> Message:
        """The ASGI message that ends the connection."""
        reason = self.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        return {"type": "websocket.close", "code": int(self.code), "reason": reason}


def decoded(message: Message, most: int | None = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object in a frame of at most so many characters (None: of any length). ClosedError when there is none."""
    text = message.get("text")
    if text is None:
        raise ClosedError(CloseCode.BAD_REQUEST, "Messages are JSON in text frames.")
    if most is not None and len(text) > most:
        raise ClosedError(CloseCode.TOO_BIG, f"A message has at most {most // 1024} KiB.")
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ClosedError(CloseCode.BAD_REQUEST, "This message is no JSON.") from error
    if not isinstance(decoded, dict):
        raise ClosedError(CloseCode.BAD_REQUEST, "A message is a JSON object with a type.")
    return decoded


def identity_of(message: dict[str, Any]) -> str:
    """The operation's id. ClosedError when it is no good."""
    identity = message.get("id")
    if not isinstance(identity, str) or not 1 <= len(identity) <= _MAX_ID:
        raise ClosedError(CloseCode.BAD_REQUEST, f"`id` is a string of 1 to {_MAX_ID} characters.")
    return identity


def payload_of(message: dict[str, Any]) -> dict[str, Any] | None:
    """The payload of a greeting, a ping or a pong; None when it has none. ClosedError when it is no object."""
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise ClosedError(CloseCode.BAD_REQUEST, "`payload` is an object or null.")
    return payload


def request_payload_of(message: dict[str, Any]) -> dict[str, Any]:
    """The operation that is asked for. ClosedError when it has not the form that the protocol gives it."""
    payload = message.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        raise ClosedError(CloseCode.BAD_REQUEST, "`payload` is an object with a `query`, which is a string.")
    for name, kind in _OPTIONAL.items():
        if not isinstance(payload.get(name), kind | None):
            raise ClosedError(CloseCode.BAD_REQUEST, f"`{name}` is {_CALLED[kind]} or null.")
    return payload


def token_of(payload: dict[str, Any]) -> str | None:
    """The access token of connection_init: `{"Authorization": "Bearer …"}`, in any case, or `{"token": "…"}`."""
    for name, value in payload.items():
        if name.lower() == "authorization" and isinstance(value, str):
            return bearer(value)
        if name == "token" and isinstance(value, str):
            return value
    return None
