"""One server of a bench: `python -m bench.hosting NAME`, settings from the environment, until its input ends."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import orjson
import uvicorn
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.asgi import create_app
from app.composition import compose
from app.house import House, open_house
from app.logs import configure_logs
from app.serve import http_config, keep_program, listen
from app.settings import LogFormat, ServerRole, load_settings
from bench import ocpp_servers, orjson_endpoint, plain_subscriptions

_ROLES = frozenset({ServerRole.API})


@dataclass(frozen=True, slots=True)
class Hosted:
    """Routes, and how many executions were made behind them."""

    routes: list[BaseRoute]
    executions: Callable[[], int] = lambda: 0


@asynccontextmanager
async def _ours(house: House) -> AsyncIterator[Hosted]:
    """What `lade serve --roles api` is made of."""
    whole = compose(house)
    edge = whole.edge
    assert edge is not None
    for name, service in whole.services:
        house.supervisor.run(name, service)
    yield Hosted(whole.routes, lambda: edge.audiences.executions)
    for close in whole.closers:
        await close()


@asynccontextmanager
async def _plain(house: House) -> AsyncIterator[Hosted]:
    """Plain Strawberry subscriptions, fed from the same bus."""
    async with plain_subscriptions.served(house.bus) as (routes, executions):
        yield Hosted(routes, executions)


@asynccontextmanager
async def _orjson(house: House) -> AsyncIterator[Hosted]:
    """The endpoints written by hand, on the same database."""
    async with orjson_endpoint.served(house) as routes:
        yield Hosted(routes)


@asynccontextmanager
async def _stored(house: House) -> AsyncIterator[Hosted]:
    """Chargers come in, and what they say is durable before it is answered."""
    service = ocpp_servers.stored(house)
    for name, run in service.services():
        house.supervisor.run(name, run)
    yield Hosted(service.routes())
    await service.close()


@asynccontextmanager
async def _unstored(house: House) -> AsyncIterator[Hosted]:
    """Chargers come in, and what they say is forgotten."""
    yield Hosted(ocpp_servers.unstored_routes(house))


@asynccontextmanager
async def _echo(_: House) -> AsyncIterator[Hosted]:
    """Chargers hear what they say."""
    yield Hosted(ocpp_servers.echo_routes())


SERVERS: Mapping[str, Callable[[House], AbstractAsyncContextManager[Hosted]]] = {
    "ours": _ours,
    "plain": _plain,
    "orjson": _orjson,
    "chargers": _stored,
    "chargers unstored": _unstored,
    "charger echo": _echo,
}


def _told(executions: Callable[[], int]) -> BaseRoute:
    async def told(_request: Request) -> Response:
        return Response(orjson.dumps(executions()), media_type="application/json")

    return Route("/executions", told)


async def _host(name: str) -> None:
    configure_logs(LogFormat.AUTO, "warning")
    async with open_house(load_settings(), _ROLES) as house, SERVERS[name](house) as hosted:
        listening = listen("127.0.0.1", 0)
        serving = uvicorn.Server(http_config(create_app([*hosted.routes, _told(hosted.executions)])))
        task = asyncio.create_task(serving.serve(sockets=[listening]), name="http")
        keep_program()  # as `lade serve` does, for the peers, too
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        serving.should_exit = serving.force_exit = True
        await task


def main() -> None:
    """The server of that name runs until standard input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_host(sys.argv[1]))


if __name__ == "__main__":
    main()
