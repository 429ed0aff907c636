"""GraphQL over SSE, in distinct connections mode: one operation a request, its results as events (graphql-sse, PROTOCOL.md).

For clients without WebSockets. What follows rights, shares executions and keeps slow readers bounded is the same Connection as that of
a socket: here its client is us, who says the greeting and the one operation and writes down what it tells as events.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gql.engine import Request
from gql.http import EVENT_STREAM
from gql.socket import Connection

ALIVE_EVERY_S: Final = 12.0
"""A comment is sent this often, so that nobody on the way takes the silence of a stream for its end."""

_ID: Final = "1"
_NEXT: Final = f'{{"id":"{_ID}","type":"next","payload":'
_COMPLETE: Final = "event: complete\ndata:\n\n"
_ALIVE: Final = ":\n\n"
_PATIENCE_S: Final = 1.0
_HEADERS: Final = {
    "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
    "Cache-Control": "no-store",
    # Of nginx and others that would wait for the whole of it.
    "X-Accel-Buffering": "no",
}

Connect = Callable[[Receive, Send], Connection]


class EventStreams:
    """The streams of this process."""

    def __init__(self) -> None:
        self._streams: set[EventStream] = set()

    @property
    def count(self) -> int:
        """Streams at this moment."""
        return len(self._streams)

    def stream(self, connect: Connect, request: Request, token: str | None) -> "EventStream":
        """The response to that operation."""
        return EventStream(self._streams, connect, request, token)

    async def close(self) -> None:
        """Every stream has been told to end: its client comes back, elsewhere or later."""
        for stream in list(self._streams):
            stream.end()


class EventStream(Response):
    """The results of one operation, until it is complete, the client is gone, or its rights are."""

    def __init__(self, streams: "set[EventStream]", connect: Connect, request: Request, token: str | None) -> None:
        super().__init__(headers=dict(_HEADERS))
        self._streams = streams
        self._connect = connect
        self._token = token
        self._asked = {
            "query": request.query,
            "variables": request.variables,
            "operationName": request.operation_name,
        }
        self._greeted = asyncio.Event()
        self._over = asyncio.Event()

    def end(self) -> None:
        """Nothing more is told."""
        self._over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Returns when the stream has ended."""
        del scope
        headers = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        said = self._said(receive)

        async def hear() -> Message:
            return await anext(said)

        async def tell(message: Message) -> None:
            if message["type"] == "websocket.send":
                text = self._events(message["text"])
                await _write(send, text)
                # Not before it is written: whoever does not hear that it is complete asks for it again.
                if text.endswith(_COMPLETE):
                    self._over.set()

        self._streams.add(self)
        alive = asyncio.create_task(_stay_alive(send), name="event stream")
        try:
            await self._connect(hear, tell).run()
        finally:
            self._streams.discard(self)
            alive.cancel()
            await asyncio.wait([alive])
            await said.aclose()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await _write(send, "", is_last=True)

    async def _said(self, receive: Receive) -> Any:
        """What a client of the socket would say, one message after the other."""
        yield _said({"type": "connection_init", "payload": {} if self._token is None else {"token": self._token}})
        await self._greeted.wait()
        yield _said({"id": _ID, "type": "subscribe", "payload": self._asked})
        gone = asyncio.create_task(_gone(receive), name="event stream's client")
        over = asyncio.create_task(self._over.wait(), name="event stream's end")
        try:
            await asyncio.wait([gone, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            over.cancel()
        yield {"type": "websocket.disconnect", "code": 1001}

    def _events(self, text: str) -> str:
        """A message of the socket as it is told here."""
        if text.startswith(_NEXT):
            return f"event: next\ndata: {text[len(_NEXT) : -1]}\n\n"
        message = orjson.loads(text)
        match message["type"]:
            case "connection_ack":
                self._greeted.set()
                return _ALIVE
            case "error":
                return f"event: next\ndata: {_text({'errors': message['payload']})}\n\n{_COMPLETE}"
            case "complete":
                return _COMPLETE
        return ""


def _said(message: Mapping[str, Any]) -> Message:
    return {"type": "websocket.receive", "text": _text(message)}


def _text(content: Mapping[str, Any]) -> str:
    return orjson.dumps(content).decode()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stay_alive(send: Send) -> None:
    with contextlib.suppress(OSError):
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            await _write(send, _ALIVE)


async def _write(send: Send, text: str, *, is_last: bool = False) -> None:
    if text or is_last:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": not is_last})
