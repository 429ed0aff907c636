"""One edge over real tables and a real bus, and clients of it: over HTTP, and over WebSocket without a network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
from starlette.applications import Starlette

from app.auth import SignedTokens
from app.redis_bus import RedisBus
from domain.events import ChargerStatusChanged, Event
from domain.ids import new_id
from domain.models import SignIn
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict, EventBus, EventLog
from domain.roles import OperatingMode
from exports.links import ExportLinks
from gql.context import Ports
from gql.edge import PATH, Edge
from gql.ids import global_id
from gql.protocol import PROTOCOL
from gql.socket import WRITE_NOW
from tests.factories import NOW
from tests.fakes import NoCallOuts, NothingSent, OpenSeals, PlainPasswords, UnlimitedAttempts

PUBLIC_URL = "http://lade.example:8080"
SECRET = "a secret key of thirty-two letters and more"
PATIENCE_S = 5.0


class LabClock:
    """A Clock moved by hand; who sleeps wakes when the hand has passed."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), woken))
        await woken

    def advance(self, by: timedelta) -> None:
        self._now += by
        for at, woken in self._sleepers:
            if at <= self._now and not woken.done():
                woken.set_result(None)


class NoChargers:
    """ChargerCommands where every charger is off."""

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        return DeviceAnswer(DeviceVerdict.OFFLINE)


@dataclass
class World:
    """The edge and who talks to it."""

    bus: RedisBus
    clock: LabClock = field(default_factory=LabClock)
    points_per_minute: int = 100_000
    heartbeat_s: float = 25.0
    init_timeout_s: float = 10.0
    most_subscriptions: int = 1_000
    log: EventLog | None = None
    """Where places are kept, if not on the bus."""
    writes_now: bool = True
    """Whether the server of sockets has the extension WRITE_NOW, as ours does."""
    tokens: SignedTokens = field(default_factory=lambda: SignedTokens(SECRET))

    def __post_init__(self) -> None:
        ports = Ports(
            bus=self.bus,
            log=self.log or self.bus,
            clock=self.clock,
            tokens=self.tokens,
            sealer=OpenSeals(),
            call_outs=NoCallOuts(),
            attempts=UnlimitedAttempts(),
            passwords=PlainPasswords(),
            commands=NoChargers(),
            dispatch=NothingSent(),
            export_links=ExportLinks(SECRET, PUBLIC_URL),
            public_url=PUBLIC_URL,
            secret_key=SECRET,
        )
        self.edge = Edge(
            ports,
            points_per_minute=self.points_per_minute,
            heartbeat_s=self.heartbeat_s,
            init_timeout_s=self.init_timeout_s,
            most_subscriptions=self.most_subscriptions,
        )
        self.app = Starlette(routes=self.edge.routes())

    async def token(self, user_id: UUID) -> str:
        """An access token of a new sign-in of that person."""
        now = self.clock.now()
        row = await SignIn.create(
            id=new_id(),
            user_id=user_id,
            refresh_hash=new_id().hex,
            created_at=now,
            refreshed_at=now,
            expires_at=now + timedelta(days=30),
        )
        return self.tokens.issue(user_id, row.id, now=now).token

    async def http(self, method: str = "POST", *, token: str | None = None, **request: Any) -> httpx.Response:
        """One HTTP request."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **request.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=PUBLIC_URL) as client:
            return await client.request(method, PATH, headers=headers, **request)

    async def run(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The whole response to an operation."""
        response = await self.http(token=token, json={"query": query, "variables": variables})
        body: dict[str, Any] = response.json()
        return body

    @asynccontextmanager
    async def socket(
        self, *, headers: tuple[tuple[str, str], ...] = (), protocol: str = PROTOCOL
    ) -> AsyncIterator["Socket"]:
        """A WebSocket to the edge."""
        client = Socket(self.app, headers=headers, protocol=protocol, writes_now=self.writes_now)
        try:
            yield client
        finally:
            await client.hang_up()

    @asynccontextmanager
    async def signed_in(self, token: str | None) -> AsyncIterator["Socket"]:
        """A WebSocket that is acknowledged."""
        async with self.socket() as client:
            await client.init(token)
            yield client


class Socket:
    """An ASGI WebSocket, from the client's side."""

    def __init__(
        self, app: Starlette, *, headers: tuple[tuple[str, str], ...], protocol: str, writes_now: bool = True
    ) -> None:
        self.closed: tuple[int, str] | None = None
        self.accepted: str | None = None
        self.heard_before_close: list[dict[str, Any]] = []
        self.cursor: str | None = None
        """Of the last event taken, for whoever keeps it here."""
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        self._to_server: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._to_client: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        scope = {
            "type": "websocket",
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": "ws",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "subprotocols": [protocol],
            "client": ("127.0.0.1", 1),
            "extensions": {WRITE_NOW: self._write_now} if writes_now else {},
        }
        self._to_server.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._serve(app(scope, self._to_server.get, self._send)))

    async def _serve(self, work: Awaitable[None]) -> None:
        await work

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.is_reading.wait()
        self._to_client.put_nowait(message)

    def _write_now(self, text: str) -> bool:
        if self.is_reading.is_set():
            self._to_client.put_nowait({"type": "websocket.send", "text": text})
        return self.is_reading.is_set()

    def tell(self, message: Any) -> None:
        """The client sends this: JSON, or a text or bytes as they are."""
        if isinstance(message, bytes):
            self._to_server.put_nowait({"type": "websocket.receive", "bytes": message})
            return
        text = message if isinstance(message, str) else orjson.dumps(message).decode()
        self._to_server.put_nowait({"type": "websocket.receive", "text": text})

    def subscribe(self, query: str, *, id: str = "1", **variables: Any) -> None:
        """The client starts an operation."""
        self.tell({"id": id, "type": "subscribe", "payload": {"query": query, "variables": variables}})

    async def hear(self) -> dict[str, Any]:
        """The next message of the protocol. AssertionError when the connection was closed instead."""
        message = await self._next()
        assert message["type"] == "websocket.send", (message, self.closed)
        assert isinstance(message["text"], str)
        heard: dict[str, Any] = orjson.loads(message["text"])
        return heard

    async def close_code(self) -> int:
        """The code with which the server ends the connection."""
        while self.closed is None:
            message = await self._next()
            if message["type"] == "websocket.send":
                self.heard_before_close.append(orjson.loads(message["text"]))
        return self.closed[0]

    def is_reading_in(self, seconds: float) -> None:
        """The client reads again then."""
        asyncio.get_running_loop().call_later(seconds, self.is_reading.set)

    async def init(self, token: str | None = None) -> None:
        """Acknowledged, as the holder of that token."""
        payload = {"Authorization": f"Bearer {token}"} if token else {}
        self.tell({"type": "connection_init", "payload": payload})
        assert await self.hear() == {"type": "connection_ack"}

    async def _next(self) -> MutableMapping[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message = await self._to_client.get()
        if message["type"] == "websocket.accept":
            self.accepted = message.get("subprotocol")
            return await self._next()
        if message["type"] == "websocket.close":
            self.closed = (message["code"], message.get("reason") or "")
        return message

    @property
    def waiting(self) -> int:
        """Messages that have arrived and are not heard yet."""
        return self._to_client.qsize()

    async def hang_up(self) -> None:
        """The client is gone, and the server has noticed."""
        self.is_reading.set()
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(PATIENCE_S):
            await self._task


def status(installation_id: UUID, charger_id: UUID, version: int, **values: Any) -> ChargerStatusChanged:
    """A charger's new status."""
    known = {"mode": OperatingMode.CHARGING, "is_online": True, **values}
    return ChargerStatusChanged(installation_id=installation_id, charger_id=charger_id, version=version, **known)


async def publish(bus: EventBus, *events: Event) -> None:
    """Everybody who listens hears of it."""
    await bus.publish(*events)


def charger(identity: UUID) -> str:
    """The charger's global id."""
    return global_id("Charger", identity)


def installation(identity: UUID) -> str:
    """The installation's global id."""
    return global_id("Installation", identity)
