"""A simulated charger at a server of this process, and its inside."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tortoise.queryset import QuerySet

from devices.simulator.fleet import Fleet
from devices.simulator.plan import ChargerPlan, Plan, Quirks
from devices.simulator.station import Station
from tests.devices.server import Registered, Server

LIMIT_S = 20.0
NO_QUIRKS = Quirks()
PROTOCOLS = ("ocpp1.6", "ocpp2.0.1")
PLAN = Plan(
    chargers=(),
    step_s=0.02,
    connect_over_s=0.0,
    retry_after_s=0.01,
    reconnect_after_s=(0.01, 0.05),
    restart_s=0.05,
    drain_s=5.0,
)


@asynccontextmanager
async def simulated(
    server: Server,
    charger: Registered,
    *,
    protocol: str = "ocpp1.6",
    quirks: Quirks = NO_QUIRKS,
    values: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[Fleet, Station]]:
    """A simulated charger with these values in its configuration, and its inside."""
    one = ChargerPlan(identity=charger.identity, visits=(), password=charger.password, protocol=protocol, quirks=quirks)
    fleet = Fleet(f"ws://127.0.0.1:{server.port}/ocpp", replace(PLAN, chargers=(one,)))
    station = fleet.chargers[charger.identity].station
    station.configuration.values.update(values or {})
    task = asyncio.create_task(fleet.run())
    try:
        yield fleet, station
        fleet.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    """Returns when it holds."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def stored(rows: "QuerySet[Any]") -> None:
    """Returns when there is such a row."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await rows.exists():
                return
            await asyncio.sleep(0.01)
