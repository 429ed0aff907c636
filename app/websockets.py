"""uvicorn's WebSockets, with a way to write a text at once: a message to a thousand followers costs half as much by it."""

from collections.abc import Callable
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from devices import endpoint
from gql import socket

_TEXT: Final = 0x81
"""FIN and the opcode of a text (RFC 6455 §5.2)."""
_SHORT, _MEDIUM = 125, 0xFFFF
"""Longest payloads whose length stands in the frame's second octet, and in two more."""


class DirectWebSocket(WebSocketsSansIOProtocol):
    """One connection; its scope's extensions WRITE_NOW and KEEP_ALIVE are `write_now` and `keep_alive`."""

    on_pong: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """As uvicorn does; but a request that is too long to be read is answered (414, 431) and closed, where it would hang for ever."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    async def run_asgi(self) -> None:
        """As uvicorn does, with the extensions in the scope, and without a complaint about a refused upgrade."""
        extensions: dict[str, Any] | None = self.scope["extensions"]
        assert extensions is not None  # noqa: S101  for the type checker: uvicorn has set it
        extensions[socket.WRITE_NOW] = extensions[endpoint.WRITE_NOW] = self.write_now
        extensions[endpoint.KEEP_ALIVE] = self.keep_alive
        extensions[endpoint.ABORT] = self.transport.abort
        application: Any = self.app

        async def quiet_when_refused(scope: Scope, receive: Receive, send: Send) -> None:
            await application(scope, receive, send)
            if self.initial_response is not None and self.close_sent:
                # A refusal was written whole. uvicorn would log an error for each: a charger with a wrong password
                # comes back every minute.
                self.handshake_complete = True

        self.app = quiet_when_refused
        await super().run_asgi()

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        """From now on the client is pinged so often (None: never), every pong is told, and silence is the caller's to judge."""
        self.stop_keepalive()
        self.on_pong = on_pong
        self.ping_interval, self.ping_timeout = ping_every_s, None
        self.start_keepalive()

    def handle_pong(self, event: Frame) -> None:
        """As uvicorn does, and whoever wants to know is told."""
        super().handle_pong(event)
        if self.on_pong is not None:
            self.on_pong()

    def write_now(self, text: str) -> bool:
        """Whether the text is on its way. If not, nothing happened: the connection is not open, or the client reads too slowly."""
        if (
            not self.writable.is_set()
            or not self.handshake_complete
            or self.close_sent
            or self.disconnected
            or self.conn.state is not State.OPEN
            or self.conn.extensions
        ):
            return False
        payload = text.encode()
        self.transport.write(_header(len(payload)) + payload)
        return True


def _header(length: int) -> bytes:
    """Of an unmasked, unfragmented text frame."""
    if length <= _SHORT:
        return bytes((_TEXT, length))
    if length <= _MEDIUM:
        return bytes((_TEXT, 126)) + length.to_bytes(2)
    return bytes((_TEXT, 127)) + length.to_bytes(8)
