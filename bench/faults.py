"""Whether bad lines change the truth: `python -m bench.faults`.

Chargers of both versions of OCPP tell the same day twice, over real sockets, each time to an empty database: once well, and once with
every message of a transaction one to three times under new ids, reordered within five, and with one answer in twenty lost. Afterwards
both databases say the same. Then chargers whose clocks are wrong, each in its way, have their day: every session says of its dates what
is true of them.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from app.database import Database, migrate, opened
from app.embedded import EmbeddedValkey
from app.logs import configure_logs
from app.redis_bus import RedisBus
from app.settings import LogFormat
from bench.clocks import Chaos, Judged, chaos, judged
from bench.report import Options, Report, options
from bench.scripts import HandClock, Script, scripts
from bench.telling import BAD, GOOD, Faults, Teller, Told, tell_all
from devices.service import DeviceOptions
from domain import sql
from domain.ports import EventBus
from domain.roles import Role
from tests.devices.server import a_registered_charger, a_server
from tests.factories import Site, a_card, a_grant, a_person, a_site

CARDS: Final = ("04A1B2C3", "04D4E5F6", "04070809")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is told."""

    chargers: int
    visits: int
    every_life: int = 1
    """Of the lives with wrong clocks only each so many-th."""


QUICK: Final = Size(24, 3, every_life=3)
FULL: Final = Size(120, 60)

Row = tuple[object, ...]

_SESSIONS: Final = """
SELECT s.identity, c.started_at, c.ended_at, c.authorized_at, c.state, c.flags, c.energy_wh, c.meter_start_wh, c.meter_stop_wh,
  c.connected_s, c.charging_s, c.stop_reason, c.id_token, c.user_name, c.card_name, c.charger_name,
  CASE WHEN s.protocol = 'ocpp1.6' THEN NULL ELSE c.transaction_id END AS own_id
FROM charge_sessions c JOIN stations s ON s.id = c.station_id WHERE c.replaced_by_id IS NULL
"""
_INTERVALS: Final = """
SELECT s.identity, c.started_at, i.start_at, i.end_at, i.energy_wh, i.quality
FROM energy_intervals i JOIN charge_sessions c ON c.id = i.session_id JOIN stations s ON s.id = c.station_id
"""
_SAMPLES: Final = """
SELECT s.identity, c.started_at, p.at, p.context, p.register_wh, p.power_w, p.current_l1, p.current_l2, p.current_l3
FROM samples p JOIN chargers h ON h.id = p.charger_id JOIN stations s ON s.id = h.station_id
LEFT JOIN charge_sessions c ON c.id = p.session_id
"""
TABLES: Final = {"sessions": _SESSIONS, "intervals": _INTERVALS, "samples": _SAMPLES}
_INSTANTS: Final = frozenset({"started_at", "ended_at", "authorized_at", "at", "start_at", "end_at"})


async def stored(prefix: str = "") -> dict[str, list[Row]]:
    """What is true of chargers whose identity begins so, without our own ids and without when we heard of it."""
    found = {name: [_row(one) for one in await sql.rows(text)] for name, text in TABLES.items()}
    return {
        name: sorted(
            ((str(row[0]).removeprefix(prefix), *row[1:]) for row in rows if str(row[0]).startswith(prefix)), key=repr
        )
        for name, rows in found.items()
    }


def _row(row: sql.Row) -> Row:
    return tuple(sql.optional_instant_of(row[name]) if name in _INSTANTS else row[name] for name in row)


def different(one: dict[str, list[Row]], other: dict[str, list[Row]]) -> list[str]:
    """Every row that only one of them has, with its table and whose it is."""
    lines = []
    for name in TABLES:
        left, right = Counter(map(repr, one[name])), Counter(map(repr, other[name]))
        lines += [f"{name}, well told only: {row}" for row in (left - right).elements()]
        lines += [f"{name}, badly told only: {row}" for row in (right - left).elements()]
    return sorted(lines)


async def a_garage() -> Site:
    """A site whose people may charge as often at once as they like."""
    site = await a_site()
    for number, card in enumerate(CARDS):
        user_id = await a_person(f"Person {number}")
        await a_card(user_id, number=card)
        await a_grant(Role.USER, site, user_id=user_id)
    await sql.execute("UPDATE installations SET allows_concurrent = $2 WHERE id = $1", site.id, True)
    return site


async def tell(
    bus: EventBus, site: Site, day: Sequence[Script], faults: Faults, *, seed: int, prefix: str = ""
) -> Told:
    """The day was told like this by chargers whose identities begin so."""
    chargers = [
        await a_registered_charger(site, f"Space {script.number}", identity=f"{prefix}{script.number:03d}")
        for script in day
    ]
    heard, clock = Told(), HandClock()
    async with a_server(bus, clock=clock, options=DeviceOptions(check_every_s=3600)) as server:
        tellers = [
            Teller(script, server, charger, faults, heard, Random(f"{seed}:{script.number}"), clock)
            for script, charger in zip(day, chargers, strict=True)
        ]
        await tell_all(tellers, clock)
    return heard


async def _to_an_empty_database(
    file: Path, bus: EventBus, day: Sequence[Script], faults: Faults, seed: int
) -> tuple[Told, dict[str, list[Row]]]:
    database = Database(sqlite_file=file)
    await migrate(database)
    async with opened(database):
        heard = await tell(bus, await a_garage(), day, faults, seed=seed)
        return heard, await stored()


async def _with_wrong_clocks(file: Path, bus: EventBus, lives: Sequence[Chaos]) -> Judged:
    database = Database(sqlite_file=file)
    await migrate(database)
    async with opened(database):
        return await judged(bus, await a_garage(), lives)


async def measured(given: Options, size: Size) -> Report:
    """Both days, and what differs."""
    lives = chaos(CARDS[0])[:: size.every_life]
    day = scripts(size.chargers, visits=size.visits, cards=CARDS, seed=given.seed)
    with tempfile.TemporaryDirectory(prefix="lade-bench-") as name:
        folder = Path(name)
        async with EmbeddedValkey(folder) as valkey, RedisBus(valkey.url) as bus:
            good, well = await _to_an_empty_database(folder / "well.sqlite3", bus, day, GOOD, given.seed)
            bad, badly = await _to_an_empty_database(folder / "badly.sqlite3", bus, day, BAD, given.seed)
            clocks = await _with_wrong_clocks(folder / "clocks.sqlite3", bus, lives)
    lines = different(well, badly)
    errors = good.errors + bad.errors + clocks.errors
    for line in (lines + errors + clocks.flags + clocks.dates)[:20]:
        print(line[:1000])
    sizes = {
        "clocks": len(lives),
        "chargers": size.chargers,
        "visits": size.visits,
        "copies": "1 to 3",
        "within": 5,
        "answers lost": "5 %",
    }
    report = Report("faults", given, sizes, ("told", "messages", "again", "out of order", "answers lost", *TABLES))
    for name, one, rows in (("well", good, well), ("badly", bad, badly)):
        found = (len(rows[table]) for table in TABLES)
        report.row(name, one.messages, one.duplicates, one.reordered, one.lost_answers, *found)
    report.figures.update(
        sessions=len(badly["sessions"]),
        messages=bad.messages,
        duplicates=bad.duplicates,
        reordered=bad.reordered,
        lost_answers=bad.lost_answers,
        call_errors=len(errors),
        differences=len(lines),
        clock_sessions=clocks.sessions,
        wrong_flags=len(clocks.flags),
        wrong_dates=len(clocks.dates),
    )
    return report


def main() -> None:
    """The table, and with --json the figures."""
    given = options("faults", "whether bad lines change the truth")
    configure_logs(LogFormat.AUTO, "warning")
    with asyncio.Runner() as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
