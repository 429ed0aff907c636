"""What a charger's MeterValues costs: `python -m bench.ocpp_messages`.

Our whole path without its database against a WebSocket echo, in rounds by turns on the same core; our link against the `ocpp`
package in one process; then with SQLite and PostgreSQL, where an answer means that the reading is durable.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
import uvloop

from app.embedded import EmbeddedValkey
from app.house import House, open_house
from app.logs import configure_logs
from app.settings import LogFormat, ServerRole, load_settings
from bench.charger_sockets import Load, connect, plug_in
from bench.fleet import Login, Meter, make_fleet
from bench.ocpp_package import ours_us, package_us
from bench.processes import Served, awake, server, take_cores
from bench.report import Options, Report, median, options, percentile
from domain import sql
from domain.equipment.stations import hash_charger_key
from domain.ids import new_id
from domain.lifecycle import StationCredentials
from tests.servers import postgres_server

Environment = dict[str, str]

_NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_SETTLE_S: Final = 0.5
_PACE: Final = 0.7
"""Of the rate that was reached, what is then asked at fixed times."""
OURS: Final = "chargers unstored"
ECHO: Final = "charger echo"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    seconds: float
    connections: int
    frames: int
    chargers: int
    stored_rounds: int
    stored_seconds: float


QUICK: Final = Size(3, 1.2, 200, 1_000, 500, 1, 2.0)
FULL: Final = Size(15, 4.0, 200, 10_000, 500, 5, 12.0)


@dataclass(frozen=True, slots=True)
class Round:
    """What one server did in one round."""

    per_s: float
    cpu_us: float
    others: float
    latencies_s: Sequence[float] = ()

    def ms(self, share: float) -> float:
        """Latency of that share of the messages, in ms."""
        return percentile(self.latencies_s, share) * 1000


@dataclass(slots=True)
class Stored:
    """What one database did. `paced` are the latencies at fixed times, from when a message was due."""

    rounds: list[Round] = field(default_factory=list)
    paced: list[Round] = field(default_factory=list)
    acknowledged: int = 0
    rows: int = 0


async def one_round(served: Served, load: Load, *, seconds: float) -> Round:
    """As many messages as the server answers: each charger says the next when the last is answered."""
    heard = load.heard
    load.repeat()
    await asyncio.sleep(_SETTLE_S)
    heard.latencies_s.clear()
    gc.disable()
    heard.is_timed, answers, before, begin = True, heard.answers, served.moment(), time.perf_counter()
    await asyncio.sleep(seconds)
    after, lasted, answers = served.moment(), time.perf_counter() - begin, heard.answers - answers
    heard.is_timed = False
    gc.enable()
    await load.rest()
    return _round(served, load, answers, lasted, before.cpu_s, after.cpu_s, before.others(after, lasted))


def _round(
    served: Served, load: Load, answers: int, seconds: float, cpu_before_s: float, cpu_after_s: float, others: float
) -> Round:
    if load.heard.errors or not answers:
        raise RuntimeError(f"{load.heard.errors} errors and {answers} answers from process {served.pid}")
    return Round(answers / seconds, (cpu_after_s - cpu_before_s) / answers * 1e6, others, tuple(load.heard.latencies_s))


async def paced_round(served: Served, load: Load, *, per_s: float, seconds: float) -> Round:
    """Messages at fixed times: no answer that is late delays the next message's clock."""
    heard = load.heard
    heard.latencies_s.clear()
    heard.is_timed, answers, before, begin = True, heard.answers, served.moment(), time.perf_counter()
    await load.keep_pace(per_s, seconds=seconds)
    await load.rest()
    after, lasted = served.moment(), time.perf_counter() - begin
    heard.is_timed = False
    answers = heard.answers - answers
    return _round(served, load, answers, lasted, before.cpu_s, after.cpu_s, before.others(after, lasted))


@asynccontextmanager
async def bench_house(folder: Path, more: Environment | None = None) -> AsyncIterator[tuple[House, Environment]]:
    """A house of our own, and the environment in which servers share its database and its Valkey."""
    async with EmbeddedValkey(folder) as valkey:
        environment = {"LADE_DATA_DIR": str(folder), "LADE_REDIS_URL": valkey.url, **(more or {})}
        async with open_house(load_settings(environment), frozenset({ServerRole.DEVICES})) as house:
            yield house, environment


async def against_echo(
    environment: Environment, logins: Sequence[Login], size: Size, *, core: int | None, seed: int
) -> dict[str, list[Round]]:
    """Both servers are up, and are asked by turns."""
    rounds: dict[str, list[Round]] = {ECHO: [], OURS: []}
    async with AsyncExitStack() as stack:
        loads: dict[str, tuple[Served, Load]] = {}
        for name in rounds:
            served = await stack.enter_async_context(server(name, core=core, environment=environment))
            load = await connect(served.port, logins[: size.connections], seed=seed, is_echo=name == ECHO)
            stack.callback(served.kill)
            loads[name] = served, load
            await one_round(served, load, seconds=_SETTLE_S)
        for _ in range(size.rounds):
            for name, (served, load) in loads.items():
                with awake():
                    rounds[name].append(await one_round(served, load, seconds=size.seconds))
    return rounds


async def in_process(house: House, size: Size, *, seed: int) -> dict[str, list[float]]:
    """CPU of a message in µs by turns: ours, the package in the loop, and as it comes with threads."""
    meter = Meter("in process", seed=seed)
    frames = [meter.message(house.clock.now()).decode() for _ in range(size.frames)]
    found: dict[str, list[float]] = {"ours": [], "package": [], "package, threads": []}
    await ours_us(house, frames)
    await package_us(frames[:100], in_threads=False)
    for _ in range(size.rounds):
        found["ours"].append(await ours_us(house, frames))
        found["package"].append(await package_us(frames[: size.frames // 10], in_threads=False))
        found["package, threads"].append(await package_us(frames[: size.frames // 10], in_threads=True))
    return found


async def durable(
    environment: Environment, logins: Sequence[Login], size: Size, *, core: int | None, seed: int
) -> Stored:
    """Chargers in transactions, as fast as the server answers, then at fixed times."""
    stored = Stored()
    async with server("chargers", core=core, environment=environment) as served:
        load = await connect(served.port, logins, seed=seed)
        await plug_in(load)
        await one_round(served, load, seconds=2 * _SETTLE_S)
        for _ in range(size.stored_rounds):
            stored.rounds.append(await one_round(served, load, seconds=size.stored_seconds))
            per_s = _PACE * stored.rounds[-1].per_s
            stored.paced.append(await paced_round(served, load, per_s=per_s, seconds=size.stored_seconds))
        stored.acknowledged = load.heard.answers
        served.kill()
    row = await sql.row("SELECT COUNT(*) AS n FROM samples")
    assert row is not None
    stored.rows = int(row["n"])
    if stored.rows < stored.acknowledged:
        raise RuntimeError(f"{stored.acknowledged} readings were acknowledged, {stored.rows} are stored")
    return stored


def password_check_us() -> tuple[float, float]:
    """µs for a password that fits, and for one that does not."""
    secret, key = "a secret of at least thirty-two signs", "0123456789abcdef0123456789abcdef"
    credentials = StationCredentials(new_id(), "bench", hash_charger_key(key, secret), None)
    found = []
    for offered in (key.encode(), b"f" * 32):
        count, begin = 20_000, time.thread_time()
        for _ in range(count):
            credentials.accepts(offered, secret)
        found.append((time.thread_time() - begin) / count * 1e6)
    return found[0], found[1]


@asynccontextmanager
async def postgresql() -> AsyncIterator[Environment | None]:
    """A PostgreSQL that syncs at every commit, None where none is installed."""
    async with AsyncExitStack() as stack:
        try:
            running = stack.enter_context(postgres_server(is_durable=True))
        except RuntimeError:
            yield None
            return
        connection = await asyncpg.connect(running.url("postgres"))
        await connection.execute("CREATE DATABASE bench")
        await connection.close()
        yield {"LADE_DATABASE_URL": running.url("bench")}


async def measured(given: Options, size: Size) -> Report:
    """Everything, and its table."""
    report = Report("ocpp_messages", given, _sizes(size), ("", "per s", "CPU µs", "p50 ms", "p99 ms", "others"))
    async with postgresql() as postgres:
        core = take_cores()
        with tempfile.TemporaryDirectory(prefix="lade-bench-") as name:
            async with bench_house(Path(name)) as (house, environment):
                logins = await make_fleet(house, size.chargers)
                _tell_echo(report, await against_echo(environment, logins, size, core=core, seed=given.seed))
                _tell_package(report, await in_process(house, size, seed=given.seed))
                report.figures["password_check_us"], report.figures["password_refused_us"] = password_check_us()
                stored = await durable(environment, logins, size, core=core, seed=given.seed)
                _tell_stored(report, "sqlite", stored)
        if postgres is not None:
            with tempfile.TemporaryDirectory(prefix="lade-bench-") as name:
                async with bench_house(Path(name), postgres) as (house, environment):
                    logins = await make_fleet(house, size.chargers)
                    stored = await durable(environment, logins, size, core=core, seed=given.seed)
                    _tell_stored(report, "postgresql", stored)
    return report


def _sizes(size: Size) -> dict[str, object]:
    message = Meter("size", seed=1).message(_NOON)
    return {
        "bytes": len(message), "connections": size.connections, "rounds": size.rounds, "seconds": size.seconds,
        "frames in process": size.frames, "chargers in transactions": size.chargers,
        "stored rounds": size.stored_rounds, "stored seconds": size.stored_seconds,
    }  # fmt: skip


def _tell_echo(report: Report, rounds: dict[str, list[Round]]) -> None:
    for name, ones in rounds.items():
        for one in ones:
            _tell_round(report, name, one)
    ours, echo = (median([one.cpu_us for one in rounds[name]]) for name in (OURS, ECHO))
    report.figures.update(
        meter_values_vs_echo=ours / echo,
        meter_values_cpu_us=ours,
        echo_cpu_us=echo,
        others_share_of_core=max(one.others for ones in rounds.values() for one in ones),
    )


def _tell_round(report: Report, title: str, one: Round) -> None:
    report.row(title, one.per_s, one.cpu_us, one.ms(0.5), one.ms(0.99), f"{one.others:.0%}")


def _tell_package(report: Report, found: dict[str, list[float]]) -> None:
    for name, values in found.items():
        report.row(f"in process: {name}", 1e6 / median(values), median(values), "", "", "")
    report.figures.update(
        ocpp_package_vs_meter_values=median(found["package"]) / median(found["ours"]),
        ocpp_package_in_threads_vs_meter_values=median(found["package, threads"]) / median(found["ours"]),
    )


def _tell_stored(report: Report, name: str, stored: Stored) -> None:
    for full, paced in zip(stored.rounds, stored.paced, strict=True):
        _tell_round(report, f"durable, {name}", full)
        _tell_round(report, f"durable, {name}, paced", paced)
    report.figures[f"durable_per_s_{name}"] = median([one.per_s for one in stored.rounds])
    report.figures[f"p99_ms_{name}"] = median([one.ms(0.99) for one in stored.rounds])
    report.figures[f"paced_per_s_{name}"] = median([one.per_s for one in stored.paced])
    report.figures[f"paced_p99_ms_{name}"] = median([one.ms(0.99) for one in stored.paced])
    report.figures[f"acknowledged_{name}"] = stored.acknowledged
    report.figures[f"rows_{name}"] = stored.rows


def main() -> None:
    """The table, and with --json the figures."""
    given = options("ocpp_messages", "what a charger's MeterValues costs")
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
