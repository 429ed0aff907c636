"""A thousand people look at one garage while its chargers report: `python -m bench.live_fanout`.

Ours and plain Strawberry subscriptions over real sockets, one after the other on the same core, with the same generator on
another; the bus is a real Valkey. Latency is from before PUBLISH to the arrival at each client.
"""

import asyncio
import gc
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import uvloop

from app.embedded import EmbeddedValkey
from app.house import House, open_house
from app.logs import configure_logs
from app.settings import LogFormat, ServerRole, load_settings
from bench.houses import bench_house
from bench.processes import Served, server, take_cores
from bench.report import Options, Report, options, percentile
from bench.site import PEOPLE, Site, make_site
from bench.sockets import Client, Following, connect
from domain.events import ChargerStatusChanged
from domain.roles import OperatingMode
from gql.ids import global_id

EVENTS_PER_S: Final = 20
SUBSCRIBERS: Final = 1_000
_DRAIN_S: Final = 1.0
"""How long after the last event deliveries still count."""
_WARM_EVENTS: Final = 10
_MARK: Final = b'"version":'

QUERY: Final = """
subscription ($installationId: ID!) {
  chargerStatus(target: {installationId: $installationId}) {
    kind chargerId
    charger {
      name
      status {
        mode isOnline powerKw allocatedA allocatedPhases sessionEnergyKwh observedAt receivedAt version
      }
    }
  }
}
"""
"""Twelve fields with a value."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked of one server."""

    seconds: float
    plain_seconds: float
    subscribers: int = SUBSCRIBERS
    events_per_s: int = EVENTS_PER_S


@dataclass(slots=True)
class Ear:
    """Deliveries as they arrive, by the version that each carries. Frames with an unknown version do not count."""

    published_at: dict[int, float] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)

    def heard(self, buffer: bytearray, start: int, end: int) -> None:
        """One frame has arrived."""
        at = buffer.rfind(_MARK, start, end)
        if at < 0:
            return
        first = at + len(_MARK)
        published_at = self.published_at.get(int(buffer[first : buffer.index(b"}", first)]))
        if published_at is not None:
            self.latencies_s.append(time.perf_counter() - published_at)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one server did in one run."""

    due: int
    latencies_s: Sequence[float]
    seconds: float
    user_s: float
    system_s: float
    others: float
    executions_per_event: float
    kb_per_connection: float
    connect_s: float

    @property
    def share(self) -> float:
        """Deliveries of those that were due."""
        return len(self.latencies_s) / self.due

    @property
    def per_cpu_s(self) -> float:
        """Deliveries for each CPU second of the server."""
        return len(self.latencies_s) / (self.user_s + self.system_s)

    @property
    def per_s(self) -> float:
        """Deliveries a second."""
        return len(self.latencies_s) / self.seconds

    def ms(self, share: float) -> float:
        """Latency of that share of the deliveries, in ms."""
        return percentile(self.latencies_s, share) * 1000


class Generator:
    """Status events of the site's chargers, one after the other; versions rise over all of them."""

    def __init__(self, house: House, site: Site, *, seed: int) -> None:
        self._house = house
        self._site = site
        self._chance = random.Random(seed)
        self._version = 1_000_000

    async def run(self, ear: Ear, *, count: int, events_per_s: int) -> None:
        """That many events are published, at their times whatever becomes of them (open loop)."""
        begin = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(begin + number / events_per_s - time.perf_counter())
            event = self._event(self._site.charger_ids[number % len(self._site.charger_ids)])
            ear.published_at[event.version] = time.perf_counter()
            await self._house.bus.publish(event)

    def _event(self, charger_id: UUID) -> ChargerStatusChanged:
        self._version += 1
        now = self._house.clock.now()
        current_a = round(self._chance.uniform(6, 32), 1)
        return ChargerStatusChanged(
            installation_id=self._site.installation_id,
            charger_id=charger_id,
            version=self._version,
            mode=OperatingMode.CHARGING,
            is_online=True,
            power_w=round(current_a * 690.0, 1),
            currents=(current_a, current_a, current_a),
            allocated_a=32.0,
            allocated_phases=("L1", "L2", "L3"),
            session_energy_wh=self._chance.randrange(60_000),
            observed_at=now - timedelta(seconds=1),
            received_at=now,
        )


async def measured(
    served: Served, followings: Sequence[Following], generator: Generator, *, seconds: float, events_per_s: int
) -> Outcome:
    """What the server does with these followers and events."""
    ear, alone, begin = Ear(), served.moment(), time.perf_counter()
    clients = await connect(served.port, followings, ear.heard)
    connect_s = time.perf_counter() - begin
    await generator.run(Ear(), count=_WARM_EVENTS, events_per_s=events_per_s)
    await asyncio.sleep(_DRAIN_S)
    events, executions = round(seconds * events_per_s), await served.executions()
    gc.disable()
    before, begin = served.moment(), time.perf_counter()
    await generator.run(ear, count=events, events_per_s=events_per_s)
    await asyncio.sleep(_DRAIN_S)
    after, ended, latencies = served.moment(), time.perf_counter(), list(ear.latencies_s)
    gc.enable()
    executions = await served.executions() - executions
    hang_up(clients)
    return Outcome(
        due=events * len(followings),
        latencies_s=latencies,
        seconds=ended - begin,
        user_s=after.user_s - before.user_s,
        system_s=after.system_s - before.system_s,
        others=before.others(after, ended - begin),
        executions_per_event=executions / events,
        kb_per_connection=(before.resident_kb - alone.resident_kb) / len(followings),
        connect_s=connect_s,
    )


def hang_up(clients: Sequence[Client]) -> None:
    """All of them are gone."""
    for client in clients:
        client.hang_up()


def followings(installation_id: str, tokens: Sequence[str | None], count: int) -> list[Following]:
    """That many clients, spread over the holders of these tokens."""
    variables = {"installationId": installation_id}
    return [Following(QUERY, variables, tokens[number % len(tokens)]) for number in range(count)]


async def run(size: Size, *, seed: int) -> dict[str, Outcome]:
    """The outcomes by what was measured."""
    core = take_cores()
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="lade-bench-") as folder:
        async with bench_house(Path(folder)) as (house, environment):
            site = await make_site(house, seed=seed)
            generator = Generator(house, site, seed=seed)
            ours = global_id("Installation", site.installation_id)
            plain = str(site.installation_id)
            steps = (
                ("ours", "ours, one group", followings(ours, site.owner_tokens, size.subscribers), size.seconds),
                ("ours", "ours, ten groups", followings(ours, site.user_tokens, size.subscribers), size.seconds),
                ("plain", "plain", followings(plain, [None], size.subscribers), size.plain_seconds),
            )
            for name, title, clients, seconds in steps:
                async with server(name, core=core, environment=environment) as served:
                    outcomes[title] = await measured(
                        served, clients, generator, seconds=seconds, events_per_s=size.events_per_s
                    )
    return outcomes
