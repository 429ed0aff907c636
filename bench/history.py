"""Houses with a long past: sessions by the million in PostgreSQL, made by the database itself, and kept between runs where asked."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from app.house import House
from bench.houses import bench_house
from bench.site import Site, make_site
from domain.ids import new_id
from tests.servers import PostgresServer, kept_postgres_cluster

BEGAN_AT: Final = datetime(2023, 7, 1, tzinfo=UTC)
PEOPLE: Final = 90
"""Who charges at one site."""

_OPTIONS: Final = ("shared_buffers=512MB", "max_wal_size=8GB", "work_mem=32MB")
_TOLD_FROM: Final = 1_000_000
_PARTS: Final = 20
"""In so many transactions a past is made: a run that was broken off goes on after the last."""


@dataclass(frozen=True, slots=True)
class Past:
    """`sites` installations alike, each with `sessions` of them, one every `apart`; in time order, as they came."""

    sites: int
    sessions: int
    apart: timedelta
    has_intervals: bool = False

    @property
    def total(self) -> int:
        """All sessions."""
        return self.sites * self.sessions

    @property
    def ends_at(self) -> datetime:
        """Nothing began later."""
        return BEGAN_AT + self.apart * self.sessions


@dataclass(frozen=True, slots=True)
class Opened:
    """A house over such a past; `site` is the first of its installations, `url` the database's."""

    house: House
    site: Site
    url: str


@asynccontextmanager
async def house_with(past: Past, *, name: str, is_kept: bool, seed: int) -> AsyncIterator[Opened]:
    """Inside: the house. Where it is kept, its database lies in the machine's folder for temporary files, to be used by the next run."""
    with contextlib.ExitStack() as stack:
        if is_kept:
            home = Path(tempfile.gettempdir()) / f"lade-bench-{name}-{seed}"
            print(f"the database is kept in {home}; delete that folder when you need it no more", flush=True)
        else:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-pg-")))
        cluster = kept_postgres_cluster(home, options=_OPTIONS)
        running = stack.enter_context(cluster.running())
        url = await _database(running)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lade-bench-"))
        async with bench_house(Path(folder), {"LADE_DATABASE_URL": url}) as (house, _):
            connection = await asyncpg.connect(url)
            try:
                site = await _site(house, connection, seed)
                await _fill(connection, past, site)
            finally:
                await connection.close()
            yield Opened(house, site, url)


async def _database(running: PostgresServer) -> str:
    connection = await asyncpg.connect(running.url("postgres"))
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'bench'"):
        await connection.execute("CREATE DATABASE bench")
    await connection.close()
    return running.url("bench")


async def _site(house: House, connection: "asyncpg.Connection[Any]", seed: int) -> Site:
    """The site of the run before, else a new one."""
    found = await connection.fetchrow("SELECT id FROM installations ORDER BY created_at, id LIMIT 1")
    if found is None:
        return await make_site(house, sessions=0, seed=seed)
    chargers = await connection.fetch("SELECT id FROM chargers WHERE installation_id = $1 ORDER BY id", found["id"])
    return Site(found["id"], tuple(one["id"] for one in chargers), (), ())


async def _fill(connection: "asyncpg.Connection[Any]", past: Past, site: Site) -> None:
    """The past is there, whole."""
    for statement in _NOTES:
        await connection.execute(statement)
    # Foreign keys hold by how the rows are made; to look each up would take as long as all the rest.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SET maintenance_work_mem = '512MB'")
    if not await connection.fetchval("SELECT count(*) FROM bench_sites"):
        async with connection.transaction():
            await _copy_site(connection, past, site)
            await connection.execute(_NOTE_INDEXES)
            for row in await connection.fetch("SELECT name FROM bench_indexes"):
                await connection.execute(f'DROP INDEX "{row["name"]}"')
    for part in range(await connection.fetchval("SELECT count(*) FROM bench_parts"), _PARTS):
        first, last = past.sessions * part // _PARTS, past.sessions * (part + 1) // _PARTS
        async with connection.transaction():
            await connection.execute(_SESSIONS, first, last - 1, BEGAN_AT, past.apart)
            await connection.execute("INSERT INTO bench_parts VALUES ($1)", part)
        if past.total >= _TOLD_FROM:
            print(f"{past.sites * last:,} of {past.total:,} sessions", flush=True)
    if past.has_intervals and not await connection.fetchval("SELECT 1 FROM energy_intervals LIMIT 1"):
        await connection.execute(_INTERVALS, site.installation_id)
    indexes = await connection.fetch("SELECT name, made_by FROM bench_indexes")
    for row in indexes:
        async with connection.transaction():
            await connection.execute(row["made_by"])
            await connection.execute("DELETE FROM bench_indexes WHERE name = $1", row["name"])
    if indexes:
        # They have connected, as those that deliver sessions have.
        await connection.execute("UPDATE stations SET last_seen_at = $1", past.ends_at)
        await connection.execute("VACUUM ANALYZE")


async def _copy_site(connection: "asyncpg.Connection[Any]", past: Past, site: Site) -> None:
    for number in range(past.sites):
        installation_id = site.installation_id if number == 0 else new_id()
        if number:
            for statement in _COPIES:
                await connection.execute(statement, site.installation_id, installation_id, f"Garage {number}")
        await connection.execute(_NOTE_SITE, number, installation_id)


_NOTES = (
    "CREATE TABLE IF NOT EXISTS bench_sites (number int, installation_id uuid, name text, circuit_id uuid, charger_ids uuid[])",
    "CREATE TABLE IF NOT EXISTS bench_parts (part int)",
    "CREATE TABLE IF NOT EXISTS bench_indexes (name text, made_by text)",
)
_NOTE_SITE = """
INSERT INTO bench_sites
SELECT $1::int, i.id, i.name, (SELECT c.id FROM circuits c WHERE c.installation_id = i.id LIMIT 1),
    ARRAY(SELECT c.id FROM chargers c WHERE c.installation_id = i.id ORDER BY c.name, c.id)
FROM installations i WHERE i.id = $2
"""
_NOTE_INDEXES = """
INSERT INTO bench_indexes
SELECT i.indexname, i.indexdef FROM pg_indexes i
WHERE i.tablename IN ('charge_sessions', 'energy_intervals')
    AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)
"""
_COPIES = (
    "INSERT INTO installations SELECT (jsonb_populate_record(i, jsonb_build_object('id', $2::uuid, 'name', $3::text))).*"
    " FROM installations i WHERE i.id = $1",
    "INSERT INTO circuits SELECT (jsonb_populate_record(c, jsonb_build_object('id', md5($2::uuid::text || c.id::text)::uuid,"
    " 'installation_id', $2::uuid, 'name', c.name || left($3::text, 0)))).* FROM circuits c WHERE c.installation_id = $1",
    "INSERT INTO stations SELECT (jsonb_populate_record(s, jsonb_build_object('id', md5($2::uuid::text || s.id::text)::uuid,"
    " 'identity', $3::text || s.identity))).* FROM stations s JOIN chargers c ON c.station_id = s.id WHERE c.installation_id = $1",
    "INSERT INTO chargers SELECT (jsonb_populate_record(c, jsonb_build_object('id', md5($2::uuid::text || c.id::text)::uuid,"
    " 'installation_id', $2::uuid, 'circuit_id', md5($2::uuid::text || c.circuit_id::text)::uuid,"
    " 'station_id', md5($2::uuid::text || c.station_id::text)::uuid, 'name', c.name || left($3::text, 0)))).*"
    " FROM chargers c WHERE c.installation_id = $1",
    "INSERT INTO charger_statuses SELECT (jsonb_populate_record(t,"
    " jsonb_build_object('charger_id', md5($2::uuid::text || t.charger_id::text)::uuid,"
    " 'installation_id', left($3::text, 0) || $2::uuid::text))).* FROM charger_statuses t WHERE t.installation_id = $1",
)
_SESSIONS = f"""
INSERT INTO charge_sessions (
    id, installation_id, circuit_id, charger_id, user_id, card_id, installation_name, circuit_name, charger_name, user_name, card_name,
    time_zone, state, flags, started_at, ended_at, registered_at, last_event_at, energy_wh, connected_s, charging_s, stop_reason,
    external_id, is_paused, priority, created_at
)
SELECT (
        lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(noise, 1, 3) || '8' || substr(noise, 4, 15)
    )::uuid,
    s.installation_id, s.circuit_id, s.charger_ids[1 + n % cardinality(s.charger_ids)],
    CASE WHEN who < {PEOPLE - 5} THEN md5(s.number || 'person' || who)::uuid END,
    CASE WHEN who < {PEOPLE - 5} THEN md5(s.number || 'card' || who)::uuid END,
    s.name, 'Main breaker', 'Space ' || 1 + n % cardinality(s.charger_ids),
    CASE WHEN who < {PEOPLE - 5} THEN 'Person ' || who END, CASE WHEN who < {PEOPLE - 5} THEN 'Tag ' || who END,
    'Europe/Oslo', 'ENDED', CASE WHEN n % 50 = 7 THEN 1 ELSE 0 END, at, ended_at,
    ended_at + CASE WHEN n % 50 = 7 THEN interval '2 days' ELSE interval '3 seconds' END, ended_at,
    500 + chance % 60000, connected_s, connected_s / 2, 'VEHICLE_DISCONNECTED', 'S-' || n, FALSE, 0, at
FROM generate_series($1::bigint, $2::bigint) AS n CROSS JOIN bench_sites s
CROSS JOIN LATERAL (SELECT $3::timestamptz + n * $4::interval AS at, md5(s.number || '-' || n) AS noise) AS a
CROSS JOIN LATERAL (SELECT ('x' || substr(noise, 20, 7))::bit(28)::int AS chance) AS b
CROSS JOIN LATERAL (SELECT 1800 + chance % 36000 AS connected_s, (chance / 7) % {PEOPLE} AS who) AS c
CROSS JOIN LATERAL (SELECT at + connected_s * interval '1 second' AS ended_at) AS d
ORDER BY n
"""  # noqa: S608  numbers of ours
_INTERVALS = """
INSERT INTO energy_intervals (session_id, installation_id, start_at, end_at, energy_wh, quality)
SELECT s.id, s.installation_id, GREATEST(s.started_at, quarter), LEAST(s.ended_at, quarter + interval '15 minutes'),
    s.energy_wh * (k + 1) / quarters - s.energy_wh * k / quarters, 'MEASURED'
FROM charge_sessions s
CROSS JOIN LATERAL (SELECT date_bin('15 minutes', s.started_at, timestamptz '2000-01-01 00:00Z') AS first) AS a
CROSS JOIN LATERAL (SELECT 1 + floor(extract(epoch FROM s.ended_at - first - interval '1 microsecond') / 900)::int AS quarters) AS b
CROSS JOIN LATERAL generate_series(0, quarters - 1) AS k
CROSS JOIN LATERAL (SELECT first + k * interval '15 minutes' AS quarter) AS c
WHERE s.installation_id = $1
"""
