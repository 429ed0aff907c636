"""Many clients of graphql-transport-ws in one process: a frame costs them a few microseconds, so that the server is what is measured."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

_TEXT: Final = 0x1
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_TIMEOUT_S: Final = 30.0
_AT_ONCE: Final = 50
"""Connections that are being opened at the same time."""

Heard = Callable[[bytearray, int, int], None]
"""A text frame's payload is at [start, end) of the buffer."""


@dataclass(frozen=True, slots=True)
class Following:
    """What one client subscribes to, as whom (None: not signed in)."""

    query: str
    variables: dict[str, Any]
    token: str | None


class Client(asyncio.Protocol):
    """One connection with one subscription. `ready` is done when the server has told that the present state is complete."""

    def __init__(self, port: int, following: Following, heard: Heard) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._port = port
        self._following = following
        self._heard = heard
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake of RFC 6455 is on its way."""
        # uvloop's transports do not inherit from asyncio's.
        self._transport = transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that was lost before it was ready says why."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"the server hung up: {exc or bytes(self._buffer[:400])!r}"))

    def data_received(self, data: bytes) -> None:
        """Every whole frame that has arrived is heard."""
        buffer = self._buffer
        buffer += data
        position = 0
        if not self._is_open:
            position = buffer.find(b"\r\n\r\n") + 4
            if position < 4:
                return
            self._opened(bytes(buffer[:position]))
        size = len(buffer)
        while size - position >= 2:
            length, start = buffer[position + 1], position + 2
            if length >= 126:
                extra = 2 if length == 126 else 8
                if size < start + extra:
                    break
                length = int.from_bytes(buffer[start : start + extra])
                start += extra
            if size < start + length:
                break
            self._take(buffer[position] & 0x0F, start, start + length)
            position = start + length
        del buffer[:position]

    def hang_up(self) -> None:
        """The connection is gone without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _opened(self, response: bytes) -> None:
        if not response.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"no WebSocket: {response!r}")
        self._is_open = True
        token = self._following.token
        payload = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._tell({"type": "connection_init", "payload": payload})

    def _take(self, opcode: int, start: int, end: int) -> None:
        if opcode == _TEXT:
            if self.ready.done():
                self._heard(self._buffer, start, end)
            else:
                self._begin(bytes(self._buffer[start:end]))
        elif opcode == _PING:
            self._send(_PONG, bytes(self._buffer[start:end]))
        elif opcode == _CLOSE and not self.ready.done():
            self.ready.set_exception(ConnectionError(f"closed: {bytes(self._buffer[start:end])!r}"))

    def _begin(self, text: bytes) -> None:
        message = json.loads(text)
        if message["type"] == "connection_ack":
            payload = {"query": self._following.query, "variables": self._following.variables}
            self._tell({"id": "1", "type": "subscribe", "payload": payload})
        elif message["type"] in ("error", "complete") or "errors" in message.get("payload", {}):
            self.ready.set_exception(RuntimeError(text.decode()))
        elif message["type"] == "next" and message["payload"]["data"]["chargerStatus"]["kind"] == "READY":
            self.ready.set_result(None)

    def _tell(self, message: dict[str, Any]) -> None:
        self._send(_TEXT, json.dumps(message).encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None
        # A mask of zeros leaves the payload as it is; RFC 6455 §5.3 asks for an unpredictable one against proxies, of which there is none.
        length = (
            struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
        )
        self._transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)


async def connect(port: int, followings: Sequence[Following], heard: Heard) -> list[Client]:
    """All clients are connected and have heard the present state."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(following: Following) -> Client:
        async with gate:
            _, client = await loop.create_connection(lambda: Client(port, following, heard), "127.0.0.1", port)
            async with asyncio.timeout(_TIMEOUT_S):
                await client.ready
            return client

    return list(await asyncio.gather(*(one(following) for following in followings)))
