"""A thousand people look at one garage while its chargers report: `python -m bench.live_fanout`.

Ours, plain Strawberry subscriptions and graphql-ws on Node over real sockets, one after the other on the same core, with the same
generator on another; the bus is a real Valkey. First at fixed times (latency from before PUBLISH to the arrival at each client), then
with always something to deliver, where deliveries for each CPU second of the server count. Last comes the way from a charger's message at
one process to the subscriber at another (`bench.live_devices`). The full run keeps what is done in `bench/.results` and goes on there.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from app.logs import configure_logs
from app.settings import LogFormat
from bench.houses import bench_house
from bench.live_devices import TwoProcesses, two_processes
from bench.live_stage import IN_FLIGHT, Generator, Outcome, Stage, staged
from bench.node_peer import install, node_server
from bench.processes import Served, server, take_cores
from bench.report import Options, Report, median, options
from bench.site import CHARGERS, Site, make_site
from bench.sockets import Following
from gql.ids import global_id

EVENTS_PER_S: Final = 20
SLOW_EVENTS_PER_S: Final = 2
"""What plain subscriptions can keep up with on one core."""
SUBSCRIBERS: Final = 1_000
MANY: Final = 5_000
ONE, TEN, DISTINCT = "ours, 1 group", "ours, 10 groups", "ours, each their own"
ONE_MANY, TEN_MANY = "ours, 1 group, 5,000", "ours, 10 groups, 5,000"
PLAIN, NODE = "plain Strawberry", "graphql-ws on Node"
PACED, FULL_SPEED = "paced", "saturated"
_RESULTS: Final = Path(__file__).parent / ".results"

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
class Case:
    """One server with so many subscribers. `drivers`: how many different people they are, of whom no two
    hold the same, 0: owners, who all see the same.
    """

    title: str
    subscribers: int
    drivers: int = 0
    events_per_s: int = EVENTS_PER_S


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked of the servers: each list of cases has a house of its own."""

    seconds: float
    saturated_s: float
    rounds: tuple[tuple[Case, ...], ...]
    chargers: int
    events_per_s: int
    two_process_s: float


_PEERS: Final = (
    Case(ONE, SUBSCRIBERS),
    Case(PLAIN, SUBSCRIBERS, events_per_s=SLOW_EVENTS_PER_S),
    Case(NODE, SUBSCRIBERS),
)
QUICK: Final = Size(
    seconds=2.0,
    saturated_s=1.0,
    rounds=((*_PEERS, Case(DISTINCT, 100, 100)),),
    chargers=100,
    events_per_s=500,
    two_process_s=2.5,
)
FULL: Final = Size(
    seconds=20.0,
    saturated_s=10.0,
    rounds=(
        _PEERS,
        _PEERS,
        _PEERS,
        (Case(TEN, SUBSCRIBERS, 10), Case(ONE_MANY, MANY), Case(TEN_MANY, MANY, 10)),
        (Case(DISTINCT, SUBSCRIBERS, SUBSCRIBERS),),
    ),
    chargers=500,
    events_per_s=500,
    two_process_s=30.0,
)

Kept = dict[str, Any]
"""What is done, by the name of the step."""


@dataclass(frozen=True, slots=True)
class Theatre:
    """A house with a garage in it, and servers that share both."""

    environment: dict[str, str]
    site: Site
    generator: Generator
    core: int | None

    @asynccontextmanager
    async def at_work(self, case: Case) -> AsyncIterator[Stage]:
        """Inside: the case's server, with its subscribers."""
        async with (
            self._served(case) as served,
            staged(served, self._followings(case), self.generator) as stage,
        ):
            yield stage

    @asynccontextmanager
    async def _served(self, case: Case) -> AsyncIterator[Served]:
        if case.title == NODE:
            async with node_server(self.environment["LADE_REDIS_URL"], core=self.core) as served:
                yield served
        else:
            name = "plain" if case.title == PLAIN else "ours"
            async with server(name, core=self.core, environment=self.environment) as served:
                yield served

    def _followings(self, case: Case) -> list[Following]:
        tokens: Sequence[str | None] = [None]
        if case.title in (PLAIN, NODE):
            variables = {"installationId": str(self.site.installation_id)}
        else:
            variables = {"installationId": global_id("Installation", self.site.installation_id)}
            tokens = self.site.user_tokens[: case.drivers] if case.drivers else self.site.owner_tokens
        return [Following(QUERY, variables, tokens[number % len(tokens)]) for number in range(case.subscribers)]


@asynccontextmanager
async def theatre(cases: Sequence[Case], *, core: int | None, seed: int) -> AsyncIterator[Theatre]:
    """Inside: a garage with as many people as the cases need; their tokens are good for a quarter of an hour."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        house, environment = await stack.enter_async_context(bench_house(folder))
        site = await make_site(house, seed=seed, people=max(one.drivers for one in cases))
        yield Theatre(environment, site, Generator(house, site, seed=seed), core)


async def measure(size: Size, kept: Kept, keep: Callable[[], None], *, seed: int) -> str | None:
    """Every case in its turn; what is kept already is not done again. Why there is no Node, if there is none."""
    why_no_node = await install()
    if TWO not in kept:
        kept[TWO] = asdict(await two_processes(size.chargers, size.events_per_s, size.two_process_s, seed=seed))
        keep()
    # Only now: what is started afterwards stays on the cores of whoever starts it.
    core = take_cores()
    for number, cases in enumerate(size.rounds):
        todo = [
            one
            for one in cases
            if _step(number, one, FULL_SPEED) not in kept and not (one.title == NODE and why_no_node)
        ]
        if not todo:
            continue
        async with theatre(cases, core=core, seed=seed + number) as house:
            for case in todo:
                async with house.at_work(case) as stage:
                    kept[_step(number, case, PACED)] = asdict(
                        await stage.paced(size.seconds, events_per_s=case.events_per_s)
                    )
                    kept[_step(number, case, FULL_SPEED)] = asdict(await stage.saturated(size.saturated_s))
                keep()
    return why_no_node


TWO: Final = "two processes"


def _step(number: int, case: Case, way: str) -> str:
    return f"{number} {case.title} {way}"


def _title(case: Case, way: str) -> str:
    return f"{case.title}, {way}" + (f", {case.events_per_s}/s" if way == PACED else "")


def reported(given: Options, size: Size, kept: Kept) -> Report:
    """The table, one line for each run, and the figures: medians over the rounds."""
    sizes = {
        "subscribers": " and ".join(sorted({f"{one.subscribers:,}" for cases in size.rounds for one in cases})),
        "fields": 12, "events/s": EVENTS_PER_S, "chargers": CHARGERS, "seconds": size.seconds, "saturated for": size.saturated_s,
        "events in flight": IN_FLIGHT, "two processes": f"{size.chargers} chargers, {size.events_per_s} events/s, {size.two_process_s} s",
    }  # fmt: skip
    columns = (
        "", "delivered", "per s", "per CPU s", "p50 ms", "p99 ms", "CPU", "others", "runs/event", "kB each", "connect s",
    )  # fmt: skip
    report = Report("live_fanout", given, sizes, columns)
    found: dict[tuple[str, str], list[Outcome]] = {}
    for number, cases in enumerate(size.rounds):
        for case in cases:
            for way in (PACED, FULL_SPEED):
                if (plain := kept.get(_step(number, case, way))) is not None:
                    one = Outcome(**plain)
                    found.setdefault((case.title, way), []).append(one)
                    report.row(
                        _title(case, way), f"{one.share:.1%}", f"{one.per_s:,.0f}", f"{one.per_cpu_s:,.0f}", one.p50_ms, one.p99_ms,
                        f"{one.cpu:.0%}", f"{one.others:.0%}", one.executions_per_event, one.kb_per_connection, one.connect_s,
                    )  # fmt: skip
    two = TwoProcesses(**kept[TWO])
    report.row(TWO, f"{two.share:.1%}", f"{two.per_s:,.0f}", "", two.p50_ms, two.p99_ms, "", "", "", "", "")
    _tell(report, found, two)
    return report


def _tell(report: Report, found: dict[tuple[str, str], list[Outcome]], two: TwoProcesses) -> None:
    def middle(title: str, way: str, of: Callable[[Outcome], float]) -> float:
        return median([of(one) for one in found[title, way]])

    figures = report.figures
    ours = middle(ONE, FULL_SPEED, lambda one: one.per_cpu_s)
    for peer, name in ((PLAIN, "plain"), (NODE, "node")):
        if (peer, FULL_SPEED) in found:
            figures[f"deliveries_vs_{name}"] = ours / middle(peer, FULL_SPEED, lambda one: one.per_cpu_s)
            figures[f"deliveries_per_s_vs_{name}"] = middle(ONE, FULL_SPEED, lambda one: one.per_s) / middle(
                peer, FULL_SPEED, lambda one: one.per_s
            )
            figures[f"p99_ms_{name}"] = middle(peer, PACED, lambda one: one.p99_ms)
    figures.update(
        p99_ms_1000=middle(ONE, PACED, lambda one: one.p99_ms),
        kb_per_connection=middle(ONE, PACED, lambda one: one.kb_per_connection),
        two_process_p99_ms=two.p99_ms,
        two_process_delivered=two.share,
        deliveries_per_cpu_s=ours,
        deliveries_per_s=middle(ONE, FULL_SPEED, lambda one: one.per_s),
    )
    for title, name in ((TEN, "10_groups"), (DISTINCT, "distinct"), (ONE_MANY, "5000"), (TEN_MANY, "5000_10_groups")):
        if (title, PACED) in found:
            figures[f"p99_ms_{name}"] = middle(title, PACED, lambda one: one.p99_ms)
            figures[f"delivered_{name}"] = middle(title, PACED, lambda one: one.share)
            figures[f"deliveries_per_cpu_s_{name}"] = middle(title, FULL_SPEED, lambda one: one.per_cpu_s)
    everything = [one for ones in found.values() for one in ones]
    figures["others_share_of_core"] = max(one.others for one in everything)
    figures["limits"] = "vs_plain ≥ 15, vs_node ≥ 2, p99_ms_1000 < 20, kb_per_connection ≤ 30, two_process_p99_ms ≤ 100"


def main() -> None:
    """Measured and shown."""
    given = options("live_fanout", "1,000 subscribers of live statuses: ours, plain Strawberry, graphql-ws on Node.")
    configure_logs(LogFormat.AUTO, "warning")
    size = QUICK if given.quick else FULL
    path = None if given.quick else _RESULTS / f"live_fanout-{given.seed}.json"
    kept: Kept = {}
    if path is not None and path.exists():
        kept = json.loads(path.read_text())
        print(f"goes on after {len(kept)} runs that are kept in {path}")

    def keep() -> None:
        if path is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(kept))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        why_no_node = runner.run(measure(size, kept, keep, seed=given.seed))
    if path is not None:
        path.unlink(missing_ok=True)
    if why_no_node is not None:
        print(why_no_node)
    reported(given, size, kept).show()


if __name__ == "__main__":
    main()
