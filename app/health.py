"""What a process says of itself to those who operate it: alive, ready, figures. Never a person's data or a secret."""

import asyncio
from collections.abc import Awaitable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.database import check_database
from app.house import House
from app.metrics import CONTENT_TYPE, exposition
from app.supervisor import ServiceState
from domain.errors import UnavailableError

_CHECK_TIMEOUT_S = 3.0
_WELL = "ok"


def health_routes(house: House) -> list[BaseRoute]:
    """`/livez`, `/readyz` and `/metrics` of this process."""

    async def livez(_request: Request) -> Response:
        return _json({"live": True}, 200)

    async def readyz(_request: Request) -> Response:
        database, bus = await asyncio.gather(_found(check_database()), _found(house.bus.check()))
        services = _services(house)
        ready = all(word == _WELL for word in (database, bus, *services.values()))
        found = {"ready": ready, "roles": sorted(house.roles), "database": database, "bus": bus, "services": services}
        return _json(found, 200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(exposition(house.metrics), headers={"content-type": CONTENT_TYPE})

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


async def _found(check: Awaitable[None]) -> str:
    """`ok`, or what is wrong."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check
    except UnavailableError as error:
        return error.message
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_S:.0f} s"
    return _WELL


def _services(house: House) -> dict[str, str]:
    """Every service by name: `ok`, or its state with the class of what crashed it."""
    return {
        name: _WELL if health.state is ServiceState.RUNNING else f"{health.state.value.lower()} after {health.reason}"
        for name, health in house.supervisor.health().items()
    }


def _json(content: object, status: int) -> Response:
    return Response(
        orjson.dumps(content),
        status_code=status,
        headers={"content-type": "application/json", "cache-control": "no-store"},
    )
