"""The demo from beginning to end: seed, serve, let cars come and go, watch, and say what came of it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live as Screen

from app.database import Database, migrate, opened
from app.demo.garage import BREAKER_A, CIRCUIT_A, CIRCUITS, INSTALLER, OWNER, SIGN_INS, ZONE, Garage, make_garage
from app.demo.portal import Portal, portal_of, sign_in
from app.demo.screen import screen, welcome
from app.demo.server import SAMPLE_EVERY_S, Server, server_of
from app.demo.watch import Live, decision_count, installation_of, recorded_wh, save_workbook, watch
from app.interruption import until_interrupted
from app.settings import Settings, load_settings, prepare_data_dir
from devices.simulator import Fleet, Ledger
from devices.simulator.plan import ChargerPlan, Habits, Plan
from domain.clock import SystemClock

DRAIN_S = 8.0
"""Of the time given, for the last cars to leave and be recorded."""
REFRESH_S = 0.5
PHASES = ((1, 0.15), (2, 0.1), (3, 0.75))
"""Cars by the number of their phases and how often they are met."""
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a demo. Wh of ended sessions: by the cars' own integration, and as recorded by the portal."""

    sessionsEnded: int  # noqa: N815  the words of the JSON line
    ledgerWh: int  # noqa: N815
    recordedWh: int  # noqa: N815
    peakLineLoadA: float  # noqa: N815
    breakerA: float  # noqa: N815
    worstCircuitRatio: float  # noqa: N815
    queuedMax: int  # noqa: N815
    decisions: int
    subscriptionEvents: int  # noqa: N815
    workbook: str

    @property
    def complaint(self) -> str | None:
        """What went wrong, in words; None when the house is in order."""
        if self.ledgerWh != self.recordedWh:
            return f"the cars took {self.ledgerWh} Wh, the portal recorded {self.recordedWh} Wh"
        if self.peakLineLoadA > self.breakerA or self.worstCircuitRatio > 1:
            return "more current was offered than a breaker carries"
        return None


async def run_demo(*, port: int, for_s: float | None, seed: int, console: Console) -> Summary:
    """The summary of a demo that ran for so long, or until it was cancelled."""
    began = CLOCK.now()
    settings = _own_settings(port)
    garage = await _seeded(settings, seed)
    async with server_of(settings, port=port, log=settings.data_dir / "server.log") as server:
        console.print(welcome(server.http_url, SIGN_INS))
        async with _people(server) as (owner, installer):
            return await _day(server, garage, owner, installer, began=began, for_s=for_s, seed=seed, console=console)


def _own_settings(port: int) -> Settings:
    """A folder of the demo's own, empty: every demo begins on the same day."""
    base = load_settings()
    home = base.data_dir / "demo"
    shutil.rmtree(home, ignore_errors=True)
    prepare_data_dir(home)
    return replace(load_settings({"LADE_DATA_DIR": str(home)}, port=port), host=base.host)


async def _seeded(settings: Settings, seed: int) -> Garage:
    database = Database(sqlite_file=settings.data_dir / "lade.sqlite3")
    await migrate(database)
    async with opened(database):
        return await make_garage(secret_key=settings.secret_key, now=CLOCK.now(), seed=seed)


@asynccontextmanager
async def _people(server: Server) -> AsyncIterator[tuple[Portal, Portal]]:
    async with AsyncExitStack() as stack:
        portals = []
        for person in (OWNER, INSTALLER):
            token = await sign_in(server.graphql_url, person)
            portals.append(await stack.enter_async_context(portal_of(server.graphql_url, token)))
        yield portals[0], portals[1]


async def _day(
    server: Server,
    garage: Garage,
    owner: Portal,
    installer: Portal,
    *,
    began: datetime,
    for_s: float | None,
    seed: int,
    console: Console,
) -> Summary:
    installation, live = await installation_of(owner), Live()
    watching = asyncio.create_task(watch(owner, installation, live), name="demo-watch")
    fleet = _fleet(server, garage, seed)
    live_s = None if for_s is None else max(5.0, for_s - DRAIN_S)
    try:
        ledger = await _fleet_on_screen(fleet, live, live_s, console)
        today = CLOCK.now().astimezone(ZoneInfo(ZONE)).date()
        workbook = await save_workbook(
            owner,
            installation,
            first=today - timedelta(days=366),
            until=today + timedelta(days=1),
            folder=_folder(),
        )
        recorded = await recorded_wh(owner, since=began)
        decisions = await decision_count(installer, installation, since=began)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    if not watching.cancelled() and (error := watching.exception()) is not None:
        raise error
    return _summary(garage, ledger, live, recorded=recorded, decisions=decisions, workbook=workbook)


def _folder() -> Path:
    return load_settings().data_dir / "demo"


def _fleet(server: Server, garage: Garage, seed: int) -> Fleet:
    chargers = tuple(
        ChargerPlan(
            identity=space.identity,
            password=space.password,
            rotation=space.rotation,
            habits=Habits(id_tags=(space.card,), phases=PHASES),
        )
        for space in garage.spaces
    )
    plan = Plan(chargers=chargers, sample_every_s=SAMPLE_EVERY_S, drain_s=DRAIN_S)
    return Fleet(server.ocpp_url, plan, seed=seed)


async def _fleet_on_screen(fleet: Fleet, live: Live, live_s: float | None, console: Console) -> Ledger:
    """The fleet's ledger after its day; meanwhile the table is shown where there is a terminal."""
    ends_s = None if live_s is None else CLOCK.monotonic() + live_s
    day = asyncio.create_task(fleet.run(duration_s=live_s), name="demo-fleet")
    with until_interrupted(fleet.stop), Screen(console=console, auto_refresh=False, transient=True) as shown:
        while not day.done():
            if console.is_terminal:
                left_s = None if ends_s is None else ends_s - CLOCK.monotonic()
                shown.update(screen(live, breaker_a=BREAKER_A, left_s=left_s), refresh=True)
            await asyncio.wait([day], timeout=REFRESH_S)
    return day.result()


def _summary(garage: Garage, ledger: Ledger, live: Live, *, recorded: int, decisions: int, workbook: Path) -> Summary:
    rows = [
        ledger.peak_line_load([space.identity for space in garage.spaces if space.circuit == row])
        for row in range(CIRCUITS)
    ]
    return Summary(
        sessionsEnded=len(ledger.ended()),
        ledgerWh=ledger.energy_wh(),
        recordedWh=recorded,
        peakLineLoadA=ledger.peak_line_load(),
        breakerA=BREAKER_A,
        worstCircuitRatio=round(max(rows) / CIRCUIT_A, 4),
        queuedMax=live.queued_most,
        decisions=decisions,
        subscriptionEvents=live.events,
        workbook=str(workbook),
    )
