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

from app.house import House
from app.logs import configure_logs
from app.settings import LogFormat
from bench.houses import bench_house
from bench.processes import Served, server, take_cores
from bench.report import Options, Report, median, options, percentile
from bench.site import CHARGERS, Site, make_site
from bench.sockets import Client, Following, connect
from domain.events import ChargerStatusChanged
from domain.roles import OperatingMode
from gql.ids import global_id

EVENTS_PER_S: Final = 20
SUBSCRIBERS: Final = 1_000
SLOW_EVENTS_PER_S: Final = 2
"""What plain subscriptions can keep up with on one core."""
ONE, TEN, PLAIN, PLAIN_SLOW = "ours, 1 group", "ours, 10 groups", "plain", "plain at 2/s"
_DRAIN_S: Final = 2.0
"""How long after the last event deliveries still count."""
_WARM_S: Final = 1.0
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
    """How much is asked of the servers."""

    seconds: float
    plain_seconds: float
    rounds: int
    is_plain_slow_too: bool = True
    """Whether plain subscriptions are also shown at a rate that they can keep up with."""
    subscribers: int = SUBSCRIBERS


QUICK: Final = Size(seconds=3.0, plain_seconds=2.0, rounds=1, is_plain_slow_too=False)
FULL: Final = Size(seconds=30.0, plain_seconds=20.0, rounds=5)


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
    def cpu(self) -> float:
        """Share of its core that the server took."""
        return (self.user_s + self.system_s) / self.seconds

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


@dataclass(slots=True)
class Stage:
    """A server with its followers connected."""

    served: Served
    clients: Sequence[Client]
    ear: Ear
    generator: Generator
    connect_s: float
    kb_per_connection: float = 0.0

    async def run(self, seconds: float, *, events_per_s: int = EVENTS_PER_S) -> Outcome:
        """What becomes of the events of that many seconds, until all have arrived or `_DRAIN_S` after the last."""
        ear, events = self.ear, round(seconds * events_per_s)
        due = events * len(self.clients)
        executions = await self.served.executions()
        ear.published_at.clear()
        ear.latencies_s.clear()
        gc.disable()
        before, begin = self.served.moment(), time.perf_counter()
        await self.generator.run(ear, count=events, events_per_s=events_per_s)
        patience = time.perf_counter() + _DRAIN_S
        while len(ear.latencies_s) < due and time.perf_counter() < patience:  # noqa: ASYNC110  arrivals set no event: each costs
            await asyncio.sleep(0.02)
        after, ended, latencies = self.served.moment(), time.perf_counter(), list(ear.latencies_s)
        gc.enable()
        return Outcome(
            due=due,
            latencies_s=latencies,
            seconds=ended - begin,
            user_s=after.user_s - before.user_s,
            system_s=after.system_s - before.system_s,
            others=before.others(after, ended - begin),
            executions_per_event=(await self.served.executions() - executions) / events,
            kb_per_connection=self.kb_per_connection,
            connect_s=self.connect_s,
        )


@asynccontextmanager
async def staged(served: Served, followings: Sequence[Following], generator: Generator) -> AsyncIterator[Stage]:
    """Inside: all of them follow, and the first events have come through."""
    ear, alone, begin = Ear(), served.moment(), time.perf_counter()
    clients = await connect(served.port, followings, ear.heard)
    connect_s = time.perf_counter() - begin
    try:
        stage = Stage(served, clients, ear, generator, connect_s)
        warm = await stage.run(_WARM_S, events_per_s=SLOW_EVENTS_PER_S)
        assert warm.share == 1.0, "not even the first events came through"
        stage.kb_per_connection = (served.moment().resident_kb - alone.resident_kb) / len(followings)
        yield stage
    finally:
        for client in clients:
            client.hang_up()


def followings(installation_id: str, tokens: Sequence[str | None], count: int) -> list[Following]:
    """That many clients, spread over the holders of these tokens."""
    variables = {"installationId": installation_id}
    return [Following(QUERY, variables, tokens[number % len(tokens)]) for number in range(count)]


Outcomes = dict[str, list[Outcome]]
"""By what was measured, one for each round."""


async def measured(size: Size, *, seed: int) -> Outcomes:
    """Every server in its turn, as many rounds as the size says."""
    core = take_cores()
    outcomes: Outcomes = {}
    with tempfile.TemporaryDirectory(prefix="lade-bench-") as folder:
        async with bench_house(Path(folder)) as (house, environment):
            site = await make_site(house, seed=seed)
            generator = Generator(house, site, seed=seed)
            ours = global_id("Installation", site.installation_id)
            groups = (
                (ONE, followings(ours, site.owner_tokens, size.subscribers)),
                (TEN, followings(ours, site.user_tokens, size.subscribers)),
            )
            for _ in range(size.rounds):
                for title, clients in groups:
                    async with (
                        server("ours", core=core, environment=environment) as served,
                        staged(served, clients, generator) as stage,
                    ):
                        outcomes.setdefault(title, []).append(await stage.run(size.seconds))
                clients = followings(str(site.installation_id), [None], size.subscribers)
                async with (
                    server("plain", core=core, environment=environment) as served,
                    staged(served, clients, generator) as stage,
                ):
                    if size.is_plain_slow_too:
                        slow = await stage.run(size.plain_seconds, events_per_s=SLOW_EVENTS_PER_S)
                        outcomes.setdefault(PLAIN_SLOW, []).append(slow)
                    outcomes.setdefault(PLAIN, []).append(await stage.run(size.plain_seconds))
    return outcomes


def reported(given: Options, size: Size, outcomes: Outcomes) -> Report:
    """The table, one line for each run, and the figures: medians over the rounds."""
    sizes = {
        "subscribers": size.subscribers, "fields": 12, "events/s": EVENTS_PER_S, "chargers": CHARGERS,
        "seconds": size.seconds, "rounds": size.rounds,
    }  # fmt: skip
    columns = (
        "", "delivered", "per s", "per CPU s", "p50 ms", "p99 ms", "CPU", "others", "runs/event", "kB each", "connect s",
    )  # fmt: skip
    report = Report("live_fanout", given, sizes, columns)
    for title, rounds in outcomes.items():
        for one in rounds:
            report.row(
                title, f"{one.share:.1%}", f"{one.per_s:,.0f}", f"{one.per_cpu_s:,.0f}", one.ms(0.5), one.ms(0.99), f"{one.cpu:.0%}",
                f"{one.others:.0%}", one.executions_per_event, one.kb_per_connection, one.connect_s,
            )  # fmt: skip
    per_cpu_s = {title: median([one.per_cpu_s for one in rounds]) for title, rounds in outcomes.items()}
    p99_ms = {title: median([one.ms(0.99) for one in rounds]) for title, rounds in outcomes.items()}
    report.figures.update(
        deliveries_vs_plain=per_cpu_s[ONE] / per_cpu_s[PLAIN],
        deliveries_vs_plain_10=per_cpu_s[TEN] / per_cpu_s[PLAIN],
        deliveries_per_cpu_s=per_cpu_s[ONE],
        deliveries_per_cpu_s_10=per_cpu_s[TEN],
        deliveries_per_cpu_s_plain=per_cpu_s[PLAIN],
        p99_ms_1000=p99_ms[ONE],
        p99_ms_1000_10=p99_ms[TEN],
        p99_ms_plain=p99_ms[PLAIN],
        delivered=min(one.share for one in (*outcomes[ONE], *outcomes[TEN])),
        delivered_plain=median([one.share for one in outcomes[PLAIN]]),
        executions_per_event=max(one.executions_per_event for one in outcomes[ONE]),
        executions_per_event_10=max(one.executions_per_event for one in outcomes[TEN]),
        kb_per_connection=median([one.kb_per_connection for one in outcomes[ONE]]),
        others_share_of_core=max(one.others for rounds in outcomes.values() for one in rounds),
    )
    if PLAIN_SLOW in p99_ms:
        report.figures["p99_ms_plain_at_2"] = p99_ms[PLAIN_SLOW]
    return report


def main() -> None:
    """Measured and shown."""
    given = options("live_fanout", "1,000 subscribers of live statuses: ours against plain Strawberry subscriptions.")
    configure_logs(LogFormat.AUTO, "warning")
    size = QUICK if given.quick else FULL
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(measured(size, seed=given.seed))
    reported(given, size, outcomes).show()


if __name__ == "__main__":
    main()
