"""uvicorn's WebSockets, with a way to write a text at once and little memory, for those who are many and mostly listen."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from devices import endpoint
from gql import socket

_TEXT: Final = 0x81
"""FIN and the opcode of a text (RFC 6455 §5.2)."""
_SHORT, _MEDIUM = 125, 0xFFFF
"""Longest payloads whose length stands in the frame's second octet, and in two more."""


_MOST_UNWRITTEN: Final = 64 * 1024
"""Octets that wait for the end of the loop's turn; more are written before it, so that the transport can say that it is full."""


class _Received:
    """What the client has sent and nobody has taken: an asyncio.Queue for one reader, in a tenth of its memory while it is empty."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: deque[Message] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._messages

    def put_nowait(self, message: Message) -> None:
        """The message waits."""
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Message:
        """The next message, as soon as there is one."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
        return message


class _Gate:
    """An asyncio.Event that is nearly always set, without memory for those who wait."""

    __slots__ = ("_closed",)

    def __init__(self) -> None:
        self._closed: asyncio.Event | None = None

    def is_set(self) -> bool:
        """Whether it is open."""
        return self._closed is None

    def set(self) -> None:
        """It is open, and whoever waited goes on."""
        closed, self._closed = self._closed, None
        if closed is not None:
            closed.set()

    def clear(self) -> None:
        """It is closed."""
        if self._closed is None:
            self._closed = asyncio.Event()

    async def wait(self) -> bool:
        """It has been open."""
        if self._closed is not None:
            await self._closed.wait()
        return True


class DirectWebSocket(WebSocketsSansIOProtocol):
    """One connection; its scope's extensions WRITE_NOW, KEEP_ALIVE and GO_ON are `write_now`, `keep_alive` and `go_on`."""

    on_pong: Callable[[], None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The originals take four kilobytes a connection.
        self.queue: Any = _Received()
        self.writable: Any = _Gate()
        self._unwritten: list[bytes] = []
        self._unwritten_size = 0
        self._next: Callable[[], Awaitable[None]] | None = None

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
        extensions[socket.GO_ON] = self.go_on
        extensions[endpoint.ABORT] = self.transport.abort
        application: Any = self.app

        async def quiet_when_refused(scope: Scope, receive: Receive, send: Send) -> None:
            await application(scope, receive, send)
            if self.initial_response is not None and self.close_sent:
                # A refusal was written whole. uvicorn would log an error for each: a charger with a wrong password
                # comes back every minute.
                self.handshake_complete = True
            if self._next is not None:
                await self._next()

        self.app = quiet_when_refused
        await super().run_asgi()

    def go_on(self, work: Callable[[], Awaitable[None]]) -> tuple[Receive, Send]:
        """When the application has returned the connection goes on with this work, which receives and sends by what it is given here.

        All that is around an application takes five kilobytes a connection for as long as it runs.
        """
        bound = structlog.contextvars.get_contextvars()

        async def go_on() -> None:
            structlog.contextvars.bind_contextvars(**bound)
            await work()

        self._next = go_on
        # uvicorn's types of messages are narrower than Starlette's.
        receive: Any = self.receive
        return receive, self.send

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
        """Whether the text is on its way. If not, nothing happened: the connection is not open, or the client reads too slowly.

        What is told in one turn of the loop is written together: the kernel asks as much for one message as for several.
        """
        if not self.writable.is_set() or not self._takes_frames() or self.conn.extensions:
            return False
        payload = text.encode()
        unwritten = self._unwritten
        if not unwritten:
            self.loop.call_soon(self._write_together)
        unwritten.append(_header(len(payload)))
        unwritten.append(payload)
        self._unwritten_size += len(payload)
        if self._unwritten_size > _MOST_UNWRITTEN:
            self._write_together()
        return True

    async def send(self, message: Any) -> None:
        """As uvicorn does, after what was told before; and what the handshake was made of is let go."""
        self._write_together()
        await super().send(message)
        if message["type"] == "websocket.accept":
            # The parser keeps the request for good.
            self.request.headers.clear()
            del self.request, self.response

    def shutdown(self) -> None:
        """As uvicorn does, after what was told before."""
        self._write_together()
        super().shutdown()

    def _takes_frames(self) -> bool:
        return (
            self.handshake_complete and not self.close_sent and not self.disconnected and self.conn.state is State.OPEN
        )

    def _write_together(self) -> None:
        unwritten = self._unwritten
        if unwritten:
            self._unwritten, self._unwritten_size = [], 0
            if self._takes_frames():
                self.transport.write(b"".join(unwritten))


def _header(length: int) -> bytes:
    """Of an unmasked, unfragmented text frame."""
    if length <= _SHORT:
        return bytes((_TEXT, length))
    if length <= _MEDIUM:
        return b"\x81\x7e" + length.to_bytes(2)
    return bytes((_TEXT, 127)) + length.to_bytes(8)
