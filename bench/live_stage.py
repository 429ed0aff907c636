"""Clients that follow a garage, events that are published to it, and what becomes of them: one server of `bench.live_fanout` at work."""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.house import House
from bench.processes import Moment, Served, awake
from bench.report import percentile
from bench.site import Site
from bench.sockets import Client, Following, connect
from domain.events import ChargerStatusChanged
from domain.roles import OperatingMode

IN_FLIGHT: Final = 16
"""Events that may be on their way while a server is saturated: the next one is published when all have heard the one so many before it."""
_DRAIN_S: Final = 2.0
"""How long after the last event deliveries still count."""
_WARM_EVENTS: Final = 3
_LONGEST_S: Final = 60.0
_MARK: Final = b'"version":'


@dataclass(slots=True)
class Ear:
    """Deliveries as they arrive, by the version that each carries. Frames with an unknown version do not count."""

    published_at: dict[int, float] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    _wanted: int = 0
    _reached: asyncio.Future[None] | None = None

    def heard(self, buffer: bytearray, start: int, end: int) -> None:
        """One frame has arrived."""
        at = buffer.rfind(_MARK, start, end)
        if at < 0:
            return
        first = at + len(_MARK)
        published_at = self.published_at.get(int(buffer[first : buffer.index(b"}", first)]))
        if published_at is not None:
            self.latencies_s.append(time.perf_counter() - published_at)
            if self._reached is not None and len(self.latencies_s) >= self._wanted and not self._reached.done():
                self._reached.set_result(None)

    async def has_heard(self, count: int, *, within_s: float) -> bool:
        """Whether so many deliveries have arrived, now or by then."""
        if len(self.latencies_s) < count:
            self._wanted, self._reached = count, asyncio.get_running_loop().create_future()
            await asyncio.wait([self._reached], timeout=within_s)
            self._reached = None
        return len(self.latencies_s) >= count

    def forget(self) -> None:
        """Nothing was published or heard."""
        self.published_at.clear()
        self.latencies_s.clear()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one server did in one run. Latencies are of the middle, of 99 % and the longest, in ms."""

    due: int
    deliveries: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
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
        return self.deliveries / self.due

    @property
    def per_cpu_s(self) -> float:
        """Deliveries for each CPU second of the server: what others take of its core does not count."""
        return self.deliveries / (self.user_s + self.system_s)

    @property
    def cpu(self) -> float:
        """Share of its core that the server took."""
        return (self.user_s + self.system_s) / self.seconds

    @property
    def per_s(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds


class Generator:
    """Status events of the site's chargers, one after the other; versions rise over all of them."""

    def __init__(self, house: House, site: Site, *, seed: int) -> None:
        self._house = house
        self._site = site
        self._chance = random.Random(seed)
        self._version = 1_000_000

    async def open_loop(self, ear: Ear, *, count: int, events_per_s: int) -> None:
        """That many events are published, at their times whatever becomes of them."""
        begin = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(begin + number / events_per_s - time.perf_counter())
            await self.publish(ear)

    async def closed_loop(self, ear: Ear, *, seconds: float, followers: int) -> int:
        """How many events were published in that time: always so many that the server has some to do."""
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            await self.publish(ear)
            count += 1
            enough = await ear.has_heard((count - IN_FLIGHT + 1) * followers, within_s=_LONGEST_S)
            assert enough, "events got lost on the way"
        return count

    async def publish(self, ear: Ear) -> None:
        """One event is on its way."""
        event = self._event(self._site.charger_ids[self._version % len(self._site.charger_ids)])
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


@dataclass(slots=True)
class Stage:
    """Subscribers who follow a server, and events for them."""

    served: Served
    clients: Sequence[Client]
    ear: Ear
    generator: Generator
    connect_s: float
    kb_per_connection: float = 0.0

    async def paced(self, seconds: float, *, events_per_s: int) -> Outcome:
        """What becomes of the events of that many seconds, until all have arrived or `_DRAIN_S` after the last (open loop)."""
        count = round(seconds * events_per_s)
        with awake(), _Measured(self) as measured:
            await self.generator.open_loop(self.ear, count=count, events_per_s=events_per_s)
            await self.ear.has_heard(count * len(self.clients), within_s=_DRAIN_S)
        return await measured.outcome(count)

    async def saturated(self, seconds: float) -> Outcome:
        """What the server delivers when there is always something to deliver, and nothing left of before."""
        self.ear.forget()
        await self.warm()
        with awake(), _Measured(self) as measured:
            count = await self.generator.closed_loop(self.ear, seconds=seconds, followers=len(self.clients))
            await self.ear.has_heard(count * len(self.clients), within_s=_LONGEST_S)
        return await measured.outcome(count)

    async def warm(self) -> None:
        """The first events have come through. RuntimeError when they do not."""
        for number in range(1, _WARM_EVENTS + 1):
            await self.generator.publish(self.ear)
            if not await self.ear.has_heard(number * len(self.clients), within_s=_LONGEST_S):
                raise RuntimeError("not even the first events came through")


class _Measured:
    """Inside: the server is watched from without."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._begin = 0.0
        self._seconds = 0.0
        self._before: Moment | None = None
        self._after: Moment | None = None
        self._latencies_s: list[float] = []
        self._executions = 0

    def __enter__(self) -> "_Measured":
        self._stage.ear.forget()
        gc.disable()
        self._executions = self._stage.served.executions()
        self._before, self._begin = self._stage.served.moment(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._after, self._seconds = self._stage.served.moment(), time.perf_counter() - self._begin
        self._latencies_s = sorted(self._stage.ear.latencies_s)
        gc.enable()

    async def outcome(self, events: int) -> Outcome:
        """What was seen."""
        stage, before, after = self._stage, self._before, self._after
        assert before is not None
        assert after is not None
        latencies_s = self._latencies_s or [float("inf")]
        return Outcome(
            due=events * len(stage.clients),
            deliveries=len(self._latencies_s),
            p50_ms=percentile(latencies_s, 0.5) * 1000,
            p99_ms=percentile(latencies_s, 0.99) * 1000,
            longest_ms=latencies_s[-1] * 1000,
            seconds=self._seconds,
            user_s=after.user_s - before.user_s,
            system_s=after.system_s - before.system_s,
            others=before.others(after, self._seconds),
            executions_per_event=(stage.served.executions() - self._executions) / events,
            kb_per_connection=stage.kb_per_connection,
            connect_s=stage.connect_s,
        )


@asynccontextmanager
async def staged(served: Served, followings: Sequence[Following], generator: Generator) -> AsyncIterator[Stage]:
    """Inside: all of them follow, and the first events have come through."""
    ear, alone, begin = Ear(), served.moment(), time.perf_counter()
    clients = await connect(served.port, followings, ear.heard)
    connect_s = time.perf_counter() - begin
    try:
        stage = Stage(served, clients, ear, generator, connect_s)
        await stage.warm()
        stage.kb_per_connection = (served.moment().resident_kb - alone.resident_kb) / len(followings)
        yield stage
    finally:
        for client in clients:
            client.hang_up()
