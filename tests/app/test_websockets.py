import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame

from app.serve import http_config, listen
from devices.endpoint import KEEP_ALIVE
from gql.socket import WRITE_NOW

PATIENCE_S = 10.0
FAR_TOO_MANY = 10_000


@asynccontextmanager
async def served(then: Callable[[Callable[[str], bool]], None]) -> AsyncIterator[str]:
    """A server that accepts a socket and hands its `write_now` over."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        then(scope["extensions"][WRITE_NOW])
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async with serving(app) as url:
        yield url


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """A server of that application, at this address."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(http_config(app))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("length", [0, 1, 125, 126, 0xFFFF, 0x10000, 300_000])
async def test_texts_of_every_length_arrive_as_they_were_written(length: int) -> None:
    """A text written at once arrives whole, whatever the form of its frame's length."""
    texts = [("æ" * length)[:length], "the next"]

    def write(write_now: Callable[[str], bool]) -> None:
        assert write_now(texts[0])
        write_now(texts[1])

    async with asyncio.timeout(PATIENCE_S), served(write) as url, connect(url) as client:
        assert await client.recv() == texts[0]


async def test_nothing_is_written_to_one_who_does_not_read() -> None:
    """Once the connection's buffer is full a text is declined, and what was taken arrives in order."""
    taken: list[int] = []

    def write(write_now: Callable[[str], bool]) -> None:
        for number in range(FAR_TOO_MANY):
            if not write_now(f"{number:08}" * 1_000):
                return
            taken.append(number)

    async with asyncio.timeout(PATIENCE_S), served(write) as url, connect(url) as client:
        first = await client.recv()
        assert 0 < len(taken) < FAR_TOO_MANY
        assert [first, *[await client.recv() for _ in taken[1:]]] == [f"{number:08}" * 1_000 for number in taken]


async def test_nothing_is_written_to_one_who_has_gone() -> None:
    """After the client has closed, a text is declined."""
    writers: list[Callable[[str], bool]] = []
    async with asyncio.timeout(PATIENCE_S), served(writers.append) as url:
        async with connect(url) as client:
            await client.ping()
            assert writers[0]("hello")
            assert await client.recv() == "hello"
        assert not writers[0]("are you there?")


class Deaf:
    """A client that has answered so many pings and says nothing from then on."""

    def __init__(self, client: ClientConnection, *, after: int) -> None:
        self._send = client.protocol.send_frame
        self._left = after
        self.pings = 0
        self._more = asyncio.Event()
        client.protocol.send_frame = self.send  # type: ignore[method-assign]  # there is no other way not to answer

    def send(self, frame: Frame) -> None:
        """A pong, if there is one left."""
        self.pings += 1
        self._more.set()
        if self.pings <= self._left:
            self._send(frame)

    async def is_pinged(self, times: int) -> None:
        """It has been, so often."""
        while self.pings < times:
            self._more.clear()
            await self._more.wait()


async def test_who_answers_no_ping_is_not_closed_where_silence_is_judged_elsewhere() -> None:
    """Every pong is told, pings go on whether or not they are answered, and the connection stays open."""
    pongs: list[str] = []
    goes_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        scope["extensions"][KEEP_ALIVE](0.01, lambda: pongs.append("pong"))
        await goes_on.wait()
        await send({"type": "websocket.send", "text": "still here"})
        await receive()

    async with asyncio.timeout(PATIENCE_S), serving(app) as url, connect(url, ping_interval=None) as client:
        deaf = Deaf(client, after=2)
        await deaf.is_pinged(6)
        goes_on.set()
        assert await client.recv() == "still here"
        client.transport.abort()
    assert pongs == ["pong", "pong"]


async def test_who_is_not_to_be_pinged_is_not() -> None:
    """Some firmware does not survive a ping."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        keep_alive = scope["extensions"][KEEP_ALIVE]
        keep_alive(0.001, lambda: None)
        keep_alive(None, lambda: None)
        await receive()
        await send({"type": "websocket.send", "text": "heard"})

    async with asyncio.timeout(PATIENCE_S), serving(app) as url, connect(url, ping_interval=None) as client:
        deaf = Deaf(client, after=100)
        await client.ping()
        await client.send("hello")
        assert await client.recv() == "heard"
        assert deaf.pings == 2


async def test_a_refused_upgrade_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Who may not come in gets status and words; nothing about it is logged as an error, unlike an application that says nothing."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/refused":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"Who are you?"})

    async with asyncio.timeout(PATIENCE_S), serving(refuse) as url:
        assert await refusal(f"{url}/refused") == (401, b"Who are you?")
        assert caplog.records == []
        assert (await refusal(f"{url}/silent"))[0] == 500
        assert [one.levelname for one in caplog.records] == ["ERROR"]


async def refusal(url: str) -> tuple[int, bytes]:
    """What the client is told."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(url)
    return caught.value.response.status_code, bytes(caught.value.response.body)
