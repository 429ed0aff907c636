"""How many readings a second become durable before they are answered: `python -m bench.ingest`.

Chargers in transactions speak to one process over PostgreSQL, as fast as they are answered and then at fixed times; in the same run
the same rows go by raw COPY into the same table, in commits of the same size.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import uvloop

from app.logs import configure_logs
from app.settings import LogFormat
from bench.charger_sockets import connect, plug_in
from bench.fleet import Login, make_fleet
from bench.ocpp_messages import Environment, Round, bench_house, one_round, paced_round, postgresql
from bench.processes import awake, server, take_cores
from bench.report import Options, Report, median, options
from devices.ingest import BATCH_LIMIT
from domain import sql
from domain.ids import new_id

ASKED_PER_S: Final = 5_000.0
LIMIT_MS: Final = 150.0
_WARM_UP_S: Final = 2.0
_PACE: Final = 0.8
"""Of the rate that was reached, what is then asked at fixed times, but never more than what is asked of us."""
_SAMPLED: Final = (
    "installation_id", "charger_id", "session_id", "at", "received_at", "context", "register_wh", "power_w", "current_l1",
    "current_l2", "current_l3",
)  # fmt: skip
_BEGAN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    chargers: int
    rounds: int
    seconds: float


QUICK: Final = Size(500, 2, 4.0)
FULL: Final = Size(500, 8, 15.0)


@dataclass(slots=True)
class Found:
    """What was measured, by turns."""

    full: list[Round] = field(default_factory=list)
    paced: list[Round] = field(default_factory=list)
    copied_per_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    rows: int = 0


class Copying:
    """Rows as the chargers' readings, by COPY; each commit waits for the disk."""

    def __init__(self, connection: "asyncpg.Connection", installation_id: UUID, charger_ids: Sequence[UUID]) -> None:
        self._connection = connection
        self._installation_id = installation_id
        self._charger_ids = charger_ids
        self._session_ids = [new_id() for _ in charger_ids]
        self._at = _BEGAN_AT

    async def per_s(self, seconds: float) -> float:
        """Rows a second, in commits as large as the portal's largest."""
        begin, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - begin) < seconds:
            await self._connection.copy_records_to_table("samples", records=self._rows(), columns=_SAMPLED)
            count += BATCH_LIMIT
        return count / passed

    def _rows(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for number in range(BATCH_LIMIT):
            if number % len(self._charger_ids) == 0:
                self._at += timedelta(seconds=1)
            place = number % len(self._charger_ids)
            rows.append(
                (self._installation_id, self._charger_ids[place], self._session_ids[place], self._at, self._at, "Sample.Periodic",
                 1_000_000 + number, 11_000.0, 15.9, 16.0, 16.1)
            )  # fmt: skip
        return rows


async def measured_rounds(
    environment: Environment, logins: Sequence[Login], size: Size, *, core: int | None, seed: int
) -> Found:
    """The portal as fast as it can, at fixed times, and COPY, by turns."""
    found = Found()
    row = await sql.row("SELECT id, installation_id FROM chargers ORDER BY id LIMIT 1")
    ids = [sql.uuid_of(one["id"]) for one in await sql.rows("SELECT id FROM chargers ORDER BY id")]
    assert row is not None
    connection = await asyncpg.connect(environment["LADE_DATABASE_URL"])
    copying = Copying(connection, sql.uuid_of(row["installation_id"]), ids)
    async with server("chargers", core=core, environment=environment) as served:
        load = await connect(served.port, logins, seed=seed)
        await plug_in(load)
        await one_round(served, load, seconds=_WARM_UP_S)
        for _ in range(size.rounds):
            with awake():
                found.full.append(await one_round(served, load, seconds=size.seconds))
            per_s = min(ASKED_PER_S, _PACE * found.full[-1].per_s)
            found.paced.append(await paced_round(served, load, per_s=per_s, seconds=size.seconds))
            found.copied_per_s.append(await copying.per_s(size.seconds / 2))
        found.acknowledged = load.heard.answers
        served.kill()
    await connection.close()
    counted = await sql.row("SELECT COUNT(*) AS n FROM samples WHERE at >= $1", _BEGAN_AT + timedelta(days=120))
    assert counted is not None
    found.rows = int(counted["n"])
    return found


async def measured(given: Options, size: Size) -> Report:
    """Everything, and its table. RuntimeError where less is stored than was acknowledged."""
    sizes = {"chargers": size.chargers, "rounds": size.rounds, "seconds": size.seconds, "rows of a COPY": BATCH_LIMIT}
    report = Report("ingest", given, sizes, ("", "per s", "CPU µs", "p50 ms", "p99 ms", "others"))
    core = take_cores()
    async with postgresql() as postgres:
        if postgres is None:
            raise SystemExit("PostgreSQL is not installed here: apt-get install postgresql")
        with tempfile.TemporaryDirectory(prefix="lade-bench-") as name:
            async with bench_house(Path(name), postgres) as (house, environment):
                logins = await make_fleet(house, size.chargers)
                found = await measured_rounds(environment, logins, size, core=core, seed=given.seed)
    if found.rows < found.acknowledged:
        raise RuntimeError(f"{found.acknowledged} readings were acknowledged, {found.rows} are stored")
    _tell(report, found)
    return report


def _tell(report: Report, found: Found) -> None:
    for full, paced, copied in zip(found.full, found.paced, found.copied_per_s, strict=True):
        for title, one in (("as fast as answered", full), ("at fixed times", paced)):
            report.row(title, one.per_s, one.cpu_us, one.ms(0.5), one.ms(0.99), f"{one.others:.0%}")
        report.row("raw COPY", copied, "", "", "", "")
    per_s, copied = median([one.per_s for one in found.full]), median(found.copied_per_s)
    report.figures.update(
        durable_per_s=per_s,
        p50_ms=median([one.ms(0.5) for one in found.full]),
        p99_ms=median([one.ms(0.99) for one in found.full]),
        paced_per_s=median([one.per_s for one in found.paced]),
        paced_p99_ms=median([one.ms(0.99) for one in found.paced]),
        cpu_us=median([one.cpu_us for one in found.full]),
        copy_rows_per_s=copied,
        copy_vs_durable=copied / per_s,
        acknowledged=found.acknowledged,
        rows=found.rows,
        others_share_of_core=max(one.others for one in (*found.full, *found.paced)),
        limit_per_s=ASKED_PER_S,
        limit_ms=LIMIT_MS,
        is_within_limits=per_s >= ASKED_PER_S and median([one.ms(0.99) for one in found.full]) <= LIMIT_MS,
    )


def main() -> None:
    """The table, and with --json the figures."""
    given = options("ingest", "how many readings a second become durable before they are answered")
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
