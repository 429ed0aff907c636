"""A central system that accepts everything: enough to see what simulated chargers do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

NOW = "2026-01-01T00:00:00.000Z"
ACCEPTED = {"status": "Accepted"}


@dataclass
class Central:
    """What was heard: (identity, message id, action, payload), and what is told."""

    heard: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    sockets: dict[str, ServerConnection] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    errors_for: set[str] = field(default_factory=set)
    port: int = 0
    _transactions: dict[str, int] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _orders: "count[int]" = field(default_factory=lambda: count(1))
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        identity = socket.request.path.rsplit("/", 1)[-1]
        self.sockets[identity] = socket
        try:
            async for text in socket:
                await self._hear(identity, socket, msgspec.json.decode(text))
        except ConnectionClosed:
            return

    async def _hear(self, identity: str, socket: ServerConnection, frame: list[Any]) -> None:
        if frame[0] == 2:
            self.heard.append((identity, frame[1], frame[2], frame[3]))
            if frame[2] in self.errors_for:
                answer = [4, frame[1], "InternalError", "", {}]
            else:
                answer = [3, frame[1], self._answer(identity, frame[2], frame[3])]
            # A charger that has gone meanwhile may have said more before it went.
            with suppress(ConnectionClosed):
                await socket.send(msgspec.json.encode(answer).decode())
        else:
            self.answers.setdefault(frame[1], []).append(frame)
        async with self._changed:
            self._changed.notify_all()

    def _answer(self, identity: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action == "BootNotification":
            return {"status": "Accepted", "currentTime": NOW, "interval": 300}
        if action == "Heartbeat":
            return {"currentTime": NOW}
        if "idToken" in payload:
            return {"idTokenInfo": ACCEPTED}
        if action == "Authorize":
            return {"idTagInfo": ACCEPTED}
        if action == "StartTransaction":
            key = f"{identity} {payload['timestamp']} {payload['meterStart']}"
            number = self._transactions.setdefault(key, next(self._numbers))
            return {"transactionId": number, "idTagInfo": ACCEPTED}
        return {}

    async def until(self, action: str, times: int = 1) -> list[dict[str, Any]]:
        """The payloads of an action, once there are so many."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.payloads(action)) >= times)
        return self.payloads(action)

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [payload for _, _, name, payload in self.heard if name == action]

    async def call(self, identity: str, action: str, payload: dict[str, Any]) -> list[Any]:
        """The charger's answer frame."""
        message_id = f"order {next(self._orders)}"
        await self.sockets[identity].send(msgspec.json.encode([2, message_id, action, payload]).decode())
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: message_id in self.answers)
        frame: list[Any] = self.answers[message_id][0]
        return frame


@asynccontextmanager
async def accepting_server() -> AsyncIterator[Central]:
    central = Central()
    spoken = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
    async with serve(central.serve, "127.0.0.1", 0, subprotocols=spoken, compression=None) as server:
        central.port = next(iter(server.sockets)).getsockname()[1]
        yield central
