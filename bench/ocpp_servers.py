"""The servers of ocpp_messages: chargers with our whole path or without its database, and a WebSocket echo."""

import asyncio

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.house import House
from devices.endpoint import Endpoint
from devices.ingest import Ingestor
from devices.kinds import Kinds
from devices.link import Settings, Surroundings
from devices.registry import Registry
from devices.service import DeviceService, commands_only
from domain.authorization.authorizer import Authorizer, AuthorizerPorts
from domain.charging.reports import Outcome, Report
from domain.equipment.capabilities import ChargerModels
from domain.ids import new_id

_STORED = Outcome()


class AtOnce(Ingestor):
    """Says of every report at once that it is durable, and forgets it."""

    def submit(self, report: Report) -> "asyncio.Future[Outcome]":  # noqa: ARG002
        """It is done."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        outcome.set_result(_STORED)
        return outcome


def at_once(house: House) -> AtOnce:
    """An ingest without a database."""
    return AtOnce(bus=house.bus, clock=house.clock, on_away=lambda: None)


def asks(house: House) -> Authorizer:
    """Who would ask external systems, if a site had one."""
    router = commands_only(bus=house.bus)
    return Authorizer(
        AuthorizerPorts(
            bus=house.bus, clock=house.clock, call_outs=house.call_outs, sealer=house.sealer, commands=router
        )
    )


def unstored_routes(house: House) -> list[BaseRoute]:
    """Chargers come in as they always do; what they say is forgotten."""
    shared = Surroundings(at_once(house), house.clock, Settings(), asks(house))
    return Endpoint(
        Registry(),
        shared,
        house.bus,
        str(new_id()),
        house.settings.secret_key,
        Kinds(ChargerModels.load(), house.clock),
    ).routes()


def stored(house: House) -> DeviceService:
    """What `lade serve --roles devices` lets chargers in with."""
    return DeviceService(
        secret=house.settings.secret_key,
        bus=house.bus,
        clock=house.clock,
        call_outs=house.call_outs,
        sealer=house.sealer,
    )


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="ocpp1.6")
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return


def echo_routes() -> list[BaseRoute]:
    """Every text comes back."""
    return [WebSocketRoute("/ocpp/{identity}", _echo)]
