"""What is lost when servers die: `python -m bench.crash`.

Simulated chargers of both versions of OCPP, most of them with bad habits, while the portal is killed every few seconds and the
database and Redis go away for a minute each. Afterwards the account of the cars is compared with the database: nothing that was
acknowledged may be missing, no charge may be there twice, no Wh may be off.
"""

import asyncio
import contextlib
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import asyncpg

from app.database import database_of, opened
from app.house import open_house
from app.logs import configure_logs
from app.settings import LogFormat, ServerRole, Settings, load_settings
from bench.fleet import Login, make_fleet
from bench.portals import Kept
from bench.report import Options, Report, options
from devices.simulator import Fleet, Ledger
from devices.simulator.ledger import Kind, SessionRecord
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks
from domain import sql
from domain.roles import SessionFlag
from tests.servers import PostgresCluster, PostgresServer, postgres_cluster, redis_server

HABITS: Final[dict[str, Quirks]] = {
    "as the standard says": Quirks(),
    "repeats a third": Quirks(duplicate_rate=0.3),
    "loses answers, any order": Quirks(answer_loss_rate=0.05, reorders_within=5),
    "repeats, loses, drops out": Quirks(
        duplicate_rate=0.2, answer_loss_rate=0.05, disconnects_every_s=20.0, disconnected_for_s=2.0
    ),
    "an hour ahead, no mark": Quirks(clock_offset_s=3600.0, marks_offline=False),
    "an hour behind, no zone": Quirks(clock_offset_s=-3600.0, is_zoneless=True),
    "boots again, no heartbeat": Quirks(boots_on_reconnect=True, sends_heartbeats=False),
    "begins with the cable": Quirks(begins_with_cable=True, duplicate_rate=0.1),
    "refuses profiles, slow": Quirks(refuses_profiles=True, answer_delay_s=0.3),
    "forgets ids, old statuses": Quirks(forgets_transaction_ids=True, replays_statuses=True),
    "loses power and clock": Quirks(loses_power_every_s=60.0, forgets_clock=True),
    "kWh from the start on": Quirks(meters_in_kwh=True, counts_from_start=True),
    "late readings, no memory": Quirks(late_reading_rate=0.2, memory=20),
}
"""What chargers do wrong, in turns; half of each speaks OCPP 1.6, half 2.0.1."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens. An outage in peace is one in which nobody is killed, so that the portal lives through it."""

    chargers: int
    seconds: float
    kill_every_s: tuple[float, float]
    outage_s: float
    outage_in_peace_s: float
    stay_s: tuple[float, float]
    sample_every_s: int
    drain_s: float


QUICK: Final = Size(60, 16.0, (5.0, 8.0), 2.0, 0.0, (3.0, 10.0), 1, 12.0)
FULL: Final = Size(200, 600.0, (5.0, 15.0), 60.0, 20.0, (10.0, 60.0), 2, 90.0)


@dataclass
class Backends:
    """PostgreSQL and Redis, each of which can be taken away and come back as it was."""

    cluster: PostgresCluster
    folder: Path
    url: str = ""
    redis_url: str = ""
    _postgres: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _redis: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start_postgres(self) -> None:
        """It answers; commits wait for the disk, and it will be stopped as by a crash."""
        running: AbstractContextManager[PostgresServer] = self.cluster.running(stop=signal.SIGQUIT)
        self.url = self._postgres.enter_context(running).url("bench")

    def start_redis(self) -> None:
        """It answers, with nothing in it."""
        self.redis_url = self._redis.enter_context(redis_server(self.folder))

    async def without(self, name: str, seconds: float) -> None:
        """That long one of them is gone."""
        stack, start = {
            "postgresql": (self._postgres, self.start_postgres),
            "redis": (self._redis, self.start_redis),
        }[name]
        await asyncio.to_thread(stack.close)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(start)

    def close(self) -> None:
        """Both are gone for good."""
        self._postgres.close()
        self._redis.close()


@asynccontextmanager
async def backends() -> AsyncIterator[Backends]:
    """Inside: both answer, with an empty database."""
    with (
        postgres_cluster(is_durable=True) as cluster,
        tempfile.TemporaryDirectory(prefix="lade-r-") as folder,
        contextlib.closing(Backends(cluster, Path(folder))) as both,
    ):
        both.start_postgres()
        both.start_redis()
        connection = await asyncpg.connect(both.url.replace("/bench?", "/postgres?"))
        await connection.execute("CREATE DATABASE bench")
        await connection.close()
        yield both


@dataclass
class Violence:
    """Everything bad that happens, in an order that the seed decides."""

    portal: Kept
    backends: Backends
    size: Size
    random: Random
    kills: int = 0
    outages: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """For the given time; outages lie in the middle of their parts of it."""
        peaceful = ["postgresql", "redis"] if self.size.outage_in_peace_s else []
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outages(), name="outages")
            while (passed := time.monotonic() - begun) < self.size.seconds:
                if peaceful and passed >= self.size.seconds * (1.05 - 0.2 * len(peaceful)):
                    await self._outage(peaceful.pop(0), self.size.outage_in_peace_s)
                await asyncio.sleep(self.random.uniform(*self.size.kill_every_s))
                self.kills += self.portal.kill()

    async def _outages(self) -> None:
        if not self.size.outage_s:
            return
        for name in ("postgresql", "redis"):
            await asyncio.sleep(self.size.seconds / 4 - self.size.outage_s / 2)
            await self._outage(name, self.size.outage_s)

    async def _outage(self, name: str, seconds: float) -> None:
        self.outages.append(f"{name} {seconds:g} s")
        await self.backends.without(name, seconds)


def plan_of(logins: Sequence[Login], size: Size) -> Plan:
    """The chargers' habits in turns, and cars that come all the time."""
    habits = list(HABITS.values())
    chargers = tuple(
        ChargerPlan(
            identity=login.identity,
            password=login.password,
            protocol="ocpp1.6" if (number // len(habits)) % 2 == 0 else "ocpp2.0.1",
            quirks=habits[number % len(habits)],
            first_register_wh=1_000_000 + 10_000 * number,
        )
        for number, login in enumerate(logins)
    )
    return Plan(
        chargers=chargers,
        habits=Habits(stay_s=size.stay_s, away_s=(0.5, 3.0)),
        sample_every_s=size.sample_every_s,
        connect_over_s=3.0,
        call_timeout_s=10.0,
        reconnect_after_s=(0.3, 5.0),
        drain_s=size.drain_s,
    )


@dataclass(slots=True)
class Account:
    """The cars' account beside the database's."""

    sessions: int = 0
    readings: int = 0
    ledger_wh: int = 0
    stored_wh: int = 0
    lost_sessions: int = 0
    """Ended and acknowledged, and not stored as ended by the charger's own word."""
    lost_readings: int = 0
    double: int = 0
    wh_off: int = 0
    """Sum of the differences of each session, and of its parts from its energy."""
    undelivered: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, record: SessionRecord, stored: sql.Row | None) -> None:
        """One session of the cars and its row."""
        self.sessions += 1
        if record.is_ended and not record.is_acknowledged:
            self.undelivered += 1
        if stored is None:
            is_due = record.is_acknowledged or record.readings
            self.lost_sessions += bool(is_due)
            self.lost_readings += len(record.readings)
            if is_due:
                self.notes.append(f"lost: {record}")
            return
        self._compare_readings(record, stored)
        if record.is_acknowledged:
            self._compare_end(record, stored)

    def _compare_readings(self, record: SessionRecord, stored: sql.Row) -> None:
        self.readings += len(record.readings)
        missing = len(record.readings) - int(stored["samples"])
        if missing > 0:
            self.lost_readings += missing
            self.notes.append(f"{missing} readings lost of {record.charger} {record.transaction_id}")

    def _compare_end(self, record: SessionRecord, stored: sql.Row) -> None:
        if stored["state"] != "ENDED" or SessionFlag(stored["flags"]) & SessionFlag.END_INFERRED:
            self.lost_sessions += 1
            self.notes.append(f"end lost: {record.charger} {record.transaction_id}: {dict(stored)}")
        energy_wh = stored["energy_wh"] or 0
        self.ledger_wh += record.energy_wh
        self.stored_wh += energy_wh
        off = abs(energy_wh - record.energy_wh) + abs(energy_wh - int(stored["parts_wh"]))
        if off:
            self.wh_off += off
            self.notes.append(f"{off} Wh off: {record.charger} {record.transaction_id}: {dict(stored)}")


_STORED: Final = """
SELECT s.identity, c.transaction_id, c.state, c.flags, c.meter_start_wh, c.meter_stop_wh, c.energy_wh,
  c.started_at, c.ended_at,
  (SELECT COUNT(*) FROM samples p WHERE p.session_id = c.id) AS samples,
  (SELECT COALESCE(SUM(e.energy_wh), 0) FROM energy_intervals e WHERE e.session_id = c.id) AS parts_wh
FROM charge_sessions c JOIN stations s ON s.id = c.station_id ORDER BY c.created_at, c.id
"""


async def compared(settings: Settings, ledger: Ledger, plan: Plan) -> dict[str, Account]:
    """Accounts by what the chargers do wrong."""
    async with opened(database_of(settings)):
        rows = await sql.rows(_STORED)
    named = {id(quirks): name for name, quirks in HABITS.items()}
    names = {one.identity: f"{one.protocol}: {named[id(one.quirks)]}" for one in plan.chargers}
    accounts = {name: Account() for name in sorted(names.values())}
    stored: dict[tuple[str, str], sql.Row] = {}
    for row in rows:
        key = (row["identity"], row["transaction_id"])
        if row["transaction_id"] is None or key in stored:
            _double(accounts[names[row["identity"]]], row)
        else:
            stored[key] = row
    for record in ledger.sessions:
        found = stored.pop((record.charger, str(record.transaction_id)), None)
        accounts[names[record.charger]].add(record, found)
    unanswered = Counter(one.charger for one in ledger.sessions if one.transaction_id is None)
    for (identity, _), row in stored.items():
        # A start whose answer never came back is stored under an id that its charger does not know.
        unanswered[identity] -= 1
        if unanswered[identity] < 0:
            _double(accounts[names[identity]], row)
    return accounts


def _double(account: Account, row: sql.Row) -> None:
    account.double += 1
    account.notes.append(f"double: {dict(row)}")


async def measured(given: Options, size: Size) -> Report:
    """Everything, and its table."""
    async with AsyncExitStack() as stack:
        both = await stack.enter_async_context(backends())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-")))
        environment = {
            "LADE_DATA_DIR": str(folder),
            "LADE_DATABASE_URL": both.url,
            "LADE_REDIS_URL": both.redis_url,
            "LADE_METER_INTERVAL_S": str(size.sample_every_s),
            "LADE_LOG_FORMAT": "json",
        }
        settings = load_settings(environment)
        async with open_house(settings, frozenset({ServerRole.API})) as house:
            logins = await make_fleet(house, size.chargers)
            await sql.execute("UPDATE installations SET authentication_required = $1", False)
        # Without the balancer cars charge as soon as they come: there is energy to be lost.
        portal = Kept(environment, folder / "portal.log", ("--roles", "api,devices,jobs"))
        keeping = asyncio.create_task(portal.run(), name="portal")
        plan = plan_of(logins, size)
        fleet = Fleet(f"ws://127.0.0.1:{portal.port}/ocpp", plan, seed=given.seed)
        violence = Violence(portal, both, size, Random(given.seed))
        try:
            await portal.answering.wait()
            day = asyncio.create_task(fleet.run(), name="fleet")
            begun = time.monotonic()
            await violence.run()
            minutes = (time.monotonic() - begun) / 60
            fleet.stop()
            ledger = await day
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        accounts = await compared(settings, ledger, plan)
        return _told(given, size, violence, ledger, accounts, minutes)


def _told(
    given: Options, size: Size, violence: Violence, ledger: Ledger, accounts: dict[str, Account], minutes: float
) -> Report:
    sizes = {
        "chargers": size.chargers, "seconds": size.seconds, "a kill every s": size.kill_every_s,
        "outages": violence.outages,
    }  # fmt: skip
    columns = ("chargers", "sessions", "readings", "Wh of cars", "Wh stored", "lost", "double", "Wh off")
    report = Report("crash", given, sizes, columns)
    for name, one in accounts.items():
        lost = one.lost_sessions + one.lost_readings
        report.row(name, one.sessions, one.readings, one.ledger_wh, one.stored_wh, lost, one.double, one.wh_off)
    for line in _first(note for one in accounts.values() for note in one.notes):
        print(line)
    defects = violence.portal.defects()
    for line in _first(iter(defects)):
        print(line)
    report.figures.update(
        acknowledged_lost=sum(one.lost_sessions + one.lost_readings for one in accounts.values()),
        double_sessions=sum(one.double for one in accounts.values()),
        wh_off=sum(one.wh_off for one in accounts.values()),
        kills=violence.kills,
        sessions=sum(one.sessions for one in accounts.values()),
        readings=sum(one.readings for one in accounts.values()),
        undelivered=sum(one.undelivered for one in accounts.values()),
        given_up=ledger.counts[Kind.LOST],
        misunderstood=ledger.counts[Kind.MISUNDERSTOOD],
        energy_wh=sum(one.ledger_wh for one in accounts.values()),
        minutes=minutes,
        down_s=violence.portal.down_s,
        starts=violence.portal.starts,
        defects_logged=len(defects),
    )
    return report


def _first(lines: Iterator[str], most: int = 20) -> Iterator[str]:
    for _, line in zip(range(most), lines, strict=False):
        yield line[:2000]


def main() -> None:
    """The table, and with --json the figures."""
    given = options("crash", "what is lost when servers die")
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner() as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
