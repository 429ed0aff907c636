"""A server that takes chargers in, in this process, and chargers that speak raw OCPP 1.6 to it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.proxies import ProxiesMiddleware, TrustedProxies
from app.settings import Network
from app.websockets import DirectWebSocket
from devices.service import DeviceOptions, DeviceService
from domain.clock import Clock, SystemClock
from domain.equipment.stations import hash_charger_key, new_charger_key
from domain.models import Charger, Station
from domain.ports import CallOuts, EventBus
from tests.factories import Site, a_charger
from tests.fakes import NoCallOuts, OpenSeals
from tests.servers import free_port

CARD = "04A1B2C3"
"""A resident's."""
SECRET = "a secret of at least thirty-two signs"
LIMIT_S = 10.0
CERTIFICATE_HEADER = "X-Client-Cert"


@dataclass
class Server:
    """A running device service."""

    service: DeviceService
    port: int

    def url(self, identity: str) -> str:
        """Where that charger connects."""
        return f"ws://127.0.0.1:{self.port}/ocpp/{identity}"


@asynccontextmanager
async def a_server(
    bus: EventBus,
    *,
    process: str = "p1",
    options: DeviceOptions | None = None,
    port: int = 0,
    is_orderly: bool = True,
    proxies: Sequence[Network] = (),
    clock: Clock | None = None,
    call_outs: CallOuts | None = None,
) -> AsyncIterator[Server]:
    """A server on a free port; afterwards it is gone with all its tasks. `proxies` are believed, also with CERTIFICATE_HEADER."""
    service = DeviceService(
        secret=SECRET,
        bus=bus,
        clock=clock or SystemClock(),
        call_outs=call_outs or NoCallOuts(),
        sealer=OpenSeals(),
        process=process,
        options=options or DeviceOptions(check_every_s=3600),
    )
    config = uvicorn.Config(
        ProxiesMiddleware(Starlette(routes=service.routes()), TrustedProxies(proxies), CERTIFICATE_HEADER),
        host="127.0.0.1",
        port=port or free_port(),
        lifespan="off",
        proxy_headers=False,
        ws=DirectWebSocket,
        ws_per_message_deflate=False,
        log_config=None,
    )
    server = uvicorn.Server(config)
    tasks = [asyncio.create_task(run(), name=name) for name, run in service.services()]
    serving = asyncio.create_task(server._serve())
    while not server.started:
        assert not serving.done(), f"no server on port {config.port}"
        await asyncio.sleep(0.005)
    try:
        yield Server(service, server.servers[0].sockets[0].getsockname()[1])
    finally:
        if is_orderly:
            await service.close()
        server.should_exit = True
        server.force_exit = not is_orderly
        for task in () if is_orderly else tasks:
            task.cancel()
        await serving
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Registered:
    """A charger as the portal knows it, with its password."""

    charger_id: UUID
    station_id: UUID
    identity: str
    password: str


async def a_registered_charger(site: Site, name: str = "Space 1", *, identity: str | None = None) -> Registered:
    """A charger with a password."""
    password = new_charger_key()
    charger_id = await a_charger(site, name, identity=identity, password_hash=hash_charger_key(password, SECRET))
    charger = await Charger.get(id=charger_id)
    assert charger.station_id is not None
    station = await Station.get(id=charger.station_id)
    return Registered(charger_id, station.id, station.identity, password)


def authorization(user: str, password: str | bytes) -> dict[str, str]:
    """The header of HTTP Basic."""
    raw = password if isinstance(password, bytes) else password.encode()
    return {"Authorization": "Basic " + base64.b64encode(user.encode() + b":" + raw).decode()}


@dataclass
class RawCharger:
    """A charger's end of a socket: frames out, frames in; answers calls by `on_call`."""

    socket: ClientConnection
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: "asyncio.Queue[tuple[str, str, dict[str, Any]]]" = field(default_factory=asyncio.Queue)
    _waiting: dict[str, "asyncio.Future[list[Any]]"] = field(default_factory=dict)
    _number: int = 0

    async def read(self) -> None:
        """Until the socket closes: our answers go to who asked, the portal's calls are answered or queued."""
        async for text in self.socket:
            frame = json.loads(text)
            if frame[0] == 2:
                action = frame[2]
                if action in self.answers:
                    await self.socket.send(json.dumps([3, frame[1], self.answers[action]]))
                self.calls.put_nowait((frame[1], action, frame[3]))
            elif frame[1] in self._waiting:
                self._waiting.pop(frame[1]).set_result(frame)

    def begin(
        self, action: str, payload: dict[str, Any], *, message_id: str | None = None
    ) -> "asyncio.Future[list[Any]]":
        """Sends a call; its answer, when it comes."""
        self._number += 1
        message_id = message_id or f"m{self._number}"
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = answer
        self._sending = asyncio.ensure_future(self.socket.send(json.dumps([2, message_id, action, payload])))
        return answer

    async def frame(self, action: str, payload: dict[str, Any]) -> list[Any]:
        """The whole frame that answers a call."""
        async with asyncio.timeout(LIMIT_S):
            return await self.begin(action, payload)

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What a CALLRESULT says."""
        frame = await self.frame(action, payload)
        assert frame[0] == 3, frame
        result: dict[str, Any] = frame[2]
        return result

    async def next_call(self, action: str) -> dict[str, Any]:
        """The portal's next call with that action; others before it are passed over."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                _, found, payload = await self.calls.get()
                if found == action:
                    return payload


ACCEPTING = {
    action: {"status": "Accepted"}
    for action in (
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "SetChargingProfile",
        "ClearChargingProfile",
        "ClearCache",
        "ChangeConfiguration",
        "TriggerMessage",
        "Reset",
    )
} | {"GetLocalListVersion": {"listVersion": -1}}


@asynccontextmanager
async def a_raw_charger(
    server: Server,
    charger: Registered,
    *,
    subprotocols: tuple[str, ...] = ("ocpp1.6",),
    password: str | bytes | None = None,
) -> AsyncIterator[RawCharger]:
    """A connected charger that accepts every command."""
    headers = authorization(charger.identity, charger.password if password is None else password)
    async with a_raw_socket(server, charger.identity, headers, subprotocols=subprotocols) as raw:
        yield raw


@asynccontextmanager
async def a_raw_socket(
    server: Server, identity: str, headers: dict[str, str], *, subprotocols: tuple[str, ...] = ("ocpp1.6",)
) -> AsyncIterator[RawCharger]:
    """A connection with these headers, by whoever it is; every command is accepted."""
    async with connect(
        server.url(identity),
        additional_headers=headers,
        subprotocols=[Subprotocol(one) for one in subprotocols] or None,
        compression=None,
        open_timeout=LIMIT_S,
    ) as socket:
        raw = RawCharger(socket, dict(ACCEPTING))
        reading = asyncio.create_task(raw.read())
        try:
            yield raw
        finally:
            await socket.close()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
