"""Many chargers' sockets in one process, cheap enough that the server is what is measured. One CALL of a charger is out at a time."""

import asyncio
import base64
import json
import os
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from bench.fleet import Login, Meter
from domain.clock import SystemClock

_TEXT: Final = 0x1
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_TIMEOUT_S: Final = 30.0
_AT_ONCE: Final = 25
_TICK_S: Final = 0.001

_clock = SystemClock()


@dataclass(slots=True)
class Heard:
    """What came back to all sockets of a load. `latencies_s` is kept only while `is_timed`."""

    answers: int = 0
    errors: int = 0
    is_timed: bool = False
    is_repeating: bool = False
    """Whether an answer is followed by the next message at once."""
    latencies_s: list[float] = field(default_factory=list)


class ChargerSocket(asyncio.Protocol):
    """One charger. Behind an echo every frame is an answer; otherwise CALLs of the portal are accepted and results are."""

    def __init__(self, port: int, login: Login, heard: Heard, *, seed: int, is_echo: bool) -> None:
        self.meter = Meter(login.identity, seed=seed)
        self.is_idle = True
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.due: deque[float] = deque()
        self._port = port
        self._login = login
        self._heard = heard
        self._is_echo = is_echo
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._since = 0.0
        self._result: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is on its way, with sub-protocol and password."""
        # uvloop's transports do not inherit from asyncio's.
        self._transport = transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        credentials = base64.b64encode(f"{self._login.identity}:{self._login.password}".encode()).decode()
        transport.write(
            f"GET /ocpp/{self._login.identity} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Basic {credentials}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns that nothing more will come."""
        for waiting in (self.opened, self._result):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError(f"the server hung up: {exc or bytes(self._buffer[:400])!r}"))
        self._heard.errors += not self.is_idle

    def data_received(self, data: bytes) -> None:
        """Every whole frame that has arrived is taken."""
        buffer = self._buffer
        buffer += data
        position = 0
        if not self._is_open:
            position = buffer.find(b"\r\n\r\n") + 4
            if position < 4:
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(f"no WebSocket: {bytes(buffer)!r}"))
                return
            self._is_open = True
            self.opened.set_result(None)
        size = len(buffer)
        while size - position >= 2:
            length, start = buffer[position + 1], position + 2
            if length == 126:
                length, start = int.from_bytes(buffer[start : start + 2]), start + 2
            if size < start + length:
                break
            self._take(buffer[position] & 0x0F, start, start + length)
            position = start + length
        del buffer[:position]

    def begin(self, since: float) -> None:
        """The next reading goes out; its latency counts from `since`."""
        self.is_idle = False
        self._since = since
        self._send(_TEXT, self.meter.message(_clock.now()))

    async def call(self, action: str, payload: dict[str, object]) -> dict[str, object]:
        """What the CALLRESULT to this says."""
        self._result = asyncio.get_running_loop().create_future()
        self._send(_TEXT, json.dumps([2, action, action, payload]).encode())
        async with asyncio.timeout(_TIMEOUT_S):
            frame = json.loads(await self._result)
        self._result = None
        if frame[0] != 3:
            raise RuntimeError(f"{action}: {frame}")
        answer: dict[str, object] = frame[2]
        return answer

    def _take(self, opcode: int, start: int, end: int) -> None:
        if opcode == _TEXT:
            kind = 0x33 if self._is_echo else self._buffer[start + 1]
            if kind == 0x32:
                self._accept(bytes(self._buffer[start:end]))
            elif self._result is not None:
                self._result.set_result(bytes(self._buffer[start:end]))
            else:
                self._answered(is_error=kind != 0x33)
        elif opcode == _PING:
            self._send(_PONG, bytes(self._buffer[start:end]))
        elif opcode == _CLOSE:
            self._heard.errors += 1

    def _answered(self, *, is_error: bool) -> None:
        heard, now = self._heard, time.perf_counter()
        heard.answers += 1
        heard.errors += is_error
        if heard.is_timed:
            heard.latencies_s.append(now - self._since)
        if self.due:
            self.begin(self.due.popleft())
        elif heard.is_repeating:
            self.begin(now)
        else:
            self.is_idle = True

    def _accept(self, text: bytes) -> None:
        message_id = json.loads(text)[1]
        self._send(_TEXT, json.dumps([3, message_id, {"status": "Accepted"}]).encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None
        # A mask of zeros leaves the payload as it is; the server takes it off all the same.
        length = (
            struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
        )
        self._transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)


@dataclass(frozen=True, slots=True)
class Load:
    """Connected chargers of one server, and what they hear."""

    sockets: Sequence[ChargerSocket]
    heard: Heard

    def repeat(self) -> None:
        """From now on every charger sends its next reading when the last one was answered (closed loop)."""
        self.heard.is_repeating = True
        for socket in self.sockets:
            socket.begin(time.perf_counter())

    async def rest(self) -> None:
        """Nobody sends any more, and everything that was sent is answered."""
        self.heard.is_repeating = False
        async with asyncio.timeout(_TIMEOUT_S):
            while not all(socket.is_idle for socket in self.sockets):  # noqa: ASYNC110  the load must not pay for an event
                await asyncio.sleep(0.01)

    async def keep_pace(self, per_s: float, *, seconds: float) -> None:
        """Readings fall due at that rate whatever becomes of them (open loop); latencies count from when they were due."""
        begin, sent, count = time.perf_counter(), 0, round(per_s * seconds)
        while sent < count:
            now = time.perf_counter()
            while sent < count and (due := begin + sent / per_s) <= now:
                socket = self.sockets[sent % len(self.sockets)]
                if socket.is_idle:
                    socket.begin(due)
                else:
                    socket.due.append(due)
                sent += 1
            await asyncio.sleep(_TICK_S)


async def connect(port: int, logins: Sequence[Login], *, seed: int, is_echo: bool = False) -> Load:
    """All chargers are connected, and booted where there is someone to tell."""
    loop, gate, heard = asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE), Heard()

    async def one(login: Login) -> ChargerSocket:
        async with gate:
            _, socket = await loop.create_connection(
                lambda: ChargerSocket(port, login, heard, seed=seed, is_echo=is_echo), "127.0.0.1", port
            )
            async with asyncio.timeout(_TIMEOUT_S):
                await socket.opened
            if not is_echo:
                await socket.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"})
            return socket

    return Load(await asyncio.gather(*(one(login) for login in logins)), heard)


async def plug_in(load: Load) -> None:
    """Every charger has begun a transaction, and its readings are of it."""

    async def one(socket: ChargerSocket) -> None:
        payload: dict[str, object] = {
            "connectorId": 1, "idTag": "BENCH", "meterStart": socket.meter.register_wh,
            "timestamp": _clock.now().isoformat(timespec="seconds"),
        }  # fmt: skip
        answer = await socket.call("StartTransaction", payload)
        socket.meter.transaction_id = cast(int, answer["transactionId"])

    await asyncio.gather(*(one(socket) for socket in load.sockets))
