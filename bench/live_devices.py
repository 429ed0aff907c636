"""From a charger's message at one process to the subscriber at another: a part of `bench.live_fanout`.

`lade serve --roles devices` and `lade serve --roles api` over PostgreSQL and a Redis of its own. A reading is durable before it is told of.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from app.house import House, open_house
from app.settings import ServerRole, load_settings
from bench.charger_sockets import connect, plug_in
from bench.fleet import Meter, make_fleet
from bench.ocpp_messages import postgresql
from bench.portals import Kept
from bench.report import percentile
from bench.site import token_of
from bench.sockets import Following
from bench.sockets import connect as follow
from domain import sql
from gql.ids import global_id
from tests.servers import redis_server

_PATIENCE_S: Final = 5.0
_START_S: Final = 90.0
_WARM_S: Final = 1.0

QUERY: Final = """
subscription ($installationId: ID!) {
  chargerStatus(target: {installationId: $installationId}) { kind charger { name status { observedAt version } } }
}
"""

_Told = tuple[str, datetime]
"""A charger, and when it measured."""


@dataclass(frozen=True, slots=True)
class TwoProcesses:
    """What became of the readings. Latencies in ms, from the message's sending to the arrival at the subscriber."""

    sent: int
    heard: int
    seconds: float
    p50_ms: float
    p99_ms: float
    longest_ms: float

    @property
    def share(self) -> float:
        """Readings that the subscriber heard of."""
        return self.heard / self.sent

    @property
    def per_s(self) -> float:
        """Readings a second."""
        return self.sent / self.seconds


@dataclass(slots=True)
class _Watch:
    """When readings were sent, and how long each took."""

    sent_at: dict[_Told, float] = field(default_factory=dict)
    latencies_s: dict[_Told, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether all that was sent was heard."""
        return all(one in self.latencies_s for one in self.sent_at)

    def heard(self, buffer: bytearray, start: int, end: int) -> None:
        """One frame has arrived."""
        now, event = time.perf_counter(), orjson.loads(buffer[start:end])["payload"]["data"]["chargerStatus"]
        charger = event["charger"]
        if charger is None or charger["status"]["observedAt"] is None:
            return
        told = (charger["name"], datetime.fromisoformat(charger["status"]["observedAt"]))
        if told in self.sent_at and told not in self.latencies_s:
            self.latencies_s[told] = now - self.sent_at[told]


class _NotedMeter(Meter):
    """A meter that says when it was read."""

    __slots__ = ("_name", "_watch")

    def __init__(self, name: str, watch: _Watch, *, seed: int) -> None:
        super().__init__(name, seed=seed)
        self._name = name
        self._watch = watch

    def message(self, now: datetime) -> bytes:
        """The next CALL, which is noted."""
        told = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._watch.sent_at[self._name, told] = time.perf_counter()
        return super().message(now)


async def two_processes(chargers: int, per_s: float, seconds: float, *, seed: int) -> TwoProcesses:
    """So many chargers report at that rate, whatever becomes of it, and each of their garages has somebody who looks."""
    watch = _Watch()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        environment = {
            "LADE_DATA_DIR": str(folder),
            "LADE_REDIS_URL": stack.enter_context(redis_server(folder)),
            **(await stack.enter_async_context(postgresql()) or {}),
        }
        house = await stack.enter_async_context(open_house(load_settings(environment), frozenset({ServerRole.API})))
        logins = await make_fleet(house, chargers)
        quiet = {**environment, "LADE_LOG_FORMAT": "json", "LADE_LOG_LEVEL": "error"}
        devices = await stack.enter_async_context(_portal(Kept(quiet, folder / "devices.log", ("--roles", "devices"))))
        api = await stack.enter_async_context(_portal(Kept(quiet, folder / "api.log", ("--roles", "api"))))
        clients = await follow(api.port, await _followings(house), watch.heard)
        load = await connect(devices.port, logins, seed=seed)
        for socket, login in zip(load.sockets, logins, strict=True):
            socket.meter = _NotedMeter(login.identity, watch, seed=seed)
        await plug_in(load)
        await load.keep_pace(per_s, seconds=_WARM_S)
        await load.rest()
        watch.sent_at.clear()
        began = time.perf_counter()
        await load.keep_pace(per_s, seconds=seconds)
        lasted = time.perf_counter() - began
        await load.rest()
        patience = time.perf_counter() + _PATIENCE_S
        while not watch.is_complete and time.perf_counter() < patience:  # noqa: ASYNC110  arrivals set no event
            await asyncio.sleep(0.02)
        for client in clients:
            client.hang_up()
    latencies_s = [watch.latencies_s[one] for one in watch.sent_at if one in watch.latencies_s] or [float("inf")]
    return TwoProcesses(
        sent=len(watch.sent_at),
        heard=sum(one in watch.latencies_s for one in watch.sent_at),
        seconds=lasted,
        p50_ms=percentile(latencies_s, 0.5) * 1000,
        p99_ms=percentile(latencies_s, 0.99) * 1000,
        longest_ms=max(latencies_s) * 1000,
    )


@asynccontextmanager
async def _portal(portal: Kept) -> AsyncIterator[Kept]:
    """Inside: it answers."""
    running = asyncio.create_task(portal.run(), name="portal")
    try:
        async with asyncio.timeout(_START_S):
            await portal.answering.wait()
        yield portal
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _followings(house: House) -> list[Following]:
    """An administrator at each garage."""
    (user,) = await sql.rows("SELECT id FROM users")
    token = await token_of(house, sql.uuid_of(user["id"]))
    garages = await sql.rows("SELECT id FROM installations ORDER BY id")
    ids = [global_id("Installation", sql.uuid_of(one["id"])) for one in garages]
    return [Following(QUERY, {"installationId": one}, token) for one in ids]
