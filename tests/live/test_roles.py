"""The portal over two processes, on PostgreSQL and Redis: people at one, chargers at the other, as if they were one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook

from app.database import Database, opened
from app.demo.garage import OWNER, ZONE, Garage, make_garage
from app.demo.portal import Json, portal_of, sign_in
from app.demo.portal import Portal as Socket
from app.demo.watch import installation_of, save_workbook
from devices.simulator import Fleet
from devices.simulator.car import CarSpec
from devices.simulator.plan import ChargerPlan, Plan, Visit
from domain.clock import SystemClock
from gql.ids import global_id
from tests.conftest import BACKENDS
from tests.live.house import Portal

SECRET = "a secret that both processes know well"
APPEARS_WITHIN_S = 15.0
CAR_A = 16.0

STATUS = """
subscription Status($charger: ID!) {
  chargerStatus(target: {chargerId: $charger}) {
    kind
    charger {
      activeSession { id user { name } }
      status { mode isOnline allocatedA version currentA { l1 l2 l3 } }
    }
  }
}
"""

COMMAND = """
mutation Command($charger: ID!) {
  %s(input: {chargerId: $charger}) {
    ... on CommandSuccess { command { id } }
    ... on UserError { message }
  }
}
"""

OUTCOME = "subscription Outcome($command: ID!) { commandChanged(commandId: $command) { state detail session { id } } }"

SESSION = "query Session($id: ID!) { node(id: $id) { ... on ChargeSession { state energyKwh charger { id } } } }"


class Seen:
    """What the subscription told of one charger, in order."""

    def __init__(self) -> None:
        self.chargers: list[Json] = []
        self._told = asyncio.Condition()

    async def watch(self, owner: Socket, charger: str) -> None:
        """Until the subscription ends."""
        async for data in owner.follow(STATUS, charger=charger):
            event = data["chargerStatus"]
            if event["charger"] is not None:
                async with self._told:
                    self.chargers.append(event["charger"])
                    self._told.notify_all()

    async def until(self, wanted: Callable[[Json], bool]) -> Json:
        """The charger as it is told, from when the newest status is as wanted."""
        try:
            async with asyncio.timeout(APPEARS_WITHIN_S), self._told:
                await self._told.wait_for(lambda: bool(self.chargers) and wanted(self.chargers[-1]))
                return self.chargers[-1]
        except TimeoutError as error:
            raise AssertionError(f"what was wanted did not come; the last were {self.chargers[-3:]}") from error

    @property
    def versions(self) -> list[int]:
        """In the order in which they came."""
        return [charger["status"]["version"] for charger in self.chargers]


@asynccontextmanager
async def two_processes(folder: Path, garage: Garage, settings: dict[str, str]) -> AsyncIterator[tuple[Portal, Portal]]:
    """Inside: people's process and chargers' process serve."""
    portals = []
    for name, roles in (("people", "api"), ("chargers", "devices,balancer,jobs")):
        (folder / name).mkdir()
        portals.append(Portal(folder / name, garage, roles=roles, settings=settings))
    try:
        await asyncio.gather(*(portal.start() for portal in portals))
        yield portals[0], portals[1]
    finally:
        await asyncio.gather(*(portal.stop() for portal in portals if portal.process is not None))


def one_waiting_car(url: str, garage: Garage) -> Fleet:
    """Every charger is there: one that is not known to be idle is counted as if it drew its most. One car, without a card."""
    visit = Visit(after_s=0.0, stay_s=600.0, car=CarSpec(phases=3, max_current_a=CAR_A), id_tag=None)
    chargers = tuple(
        ChargerPlan(
            identity=space.identity,
            password=space.password,
            rotation=space.rotation,
            visits=(visit,) if space is garage.spaces[0] else (),
        )
        for space in garage.spaces
    )
    return Fleet(url, Plan(chargers=chargers, step_s=0.1, sample_every_s=1, connect_over_s=0.5))


@asynccontextmanager
async def at_work(fleet: Fleet) -> AsyncIterator[None]:
    """Inside: the fleet lives; afterwards its last records are delivered."""
    day = asyncio.create_task(fleet.run())
    try:
        yield
    finally:
        fleet.stop()
        await day


async def commanded(owner: Socket, name: str, charger: str) -> Json:
    """What became of a command."""
    answer = (await owner.ask(COMMAND % name, charger=charger))[name]
    assert "command" in answer, answer
    async with asyncio.timeout(APPEARS_WITHIN_S):
        states = [data["commandChanged"] async for data in owner.follow(OUTCOME, command=answer["command"]["id"])]
    assert states
    last: Json = states[-1]
    return last


@pytest.fixture
async def garage(database_location: Database) -> Garage:
    """A garage with people in it."""
    async with opened(database_location):
        return await make_garage(secret_key=SECRET, now=SystemClock().now(), seed=1)


@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend == "postgresql"])
async def test_a_charge_is_led_from_one_process_at_a_charger_of_the_other(
    database_location: Database, redis_url: str, garage: Garage, tmp_path: Path
) -> None:
    """Online, started, given its current, paused, resumed, stopped and in the workbook: asked and seen here, done there."""
    settings = {
        "LADE_DATABASE_URL": str(database_location.postgresql_url),
        "LADE_REDIS_URL": redis_url,
        "LADE_SECRET_KEY": SECRET,
        "LADE_DATA_DIR": str(tmp_path / "shared"),
        "LADE_METER_INTERVAL_S": "1",
    }
    today = SystemClock().now().astimezone(ZoneInfo(ZONE)).date()
    seen, charger = Seen(), global_id("Charger", garage.spaces[0].charger_id)
    async with AsyncExitStack() as stack:
        people, chargers = await stack.enter_async_context(two_processes(tmp_path, garage, settings))
        token = await sign_in(people.graphql_url, OWNER)
        owner = await stack.enter_async_context(portal_of(people.graphql_url, token))
        watching = asyncio.create_task(seen.watch(owner, charger))
        stack.callback(watching.cancel)
        assert not (await seen.until(lambda _: True))["status"]["isOnline"]
        fleet = one_waiting_car(chargers.ocpp_url, garage)
        await stack.enter_async_context(at_work(fleet))
        session = await _led(owner, charger, seen, fleet)
        await _taken_home(owner, tmp_path, first=today, energy_wh=fleet.ledger.energy_wh())
    assert seen.versions == sorted(seen.versions)
    assert session["charger"]["id"] == charger
    (record,) = fleet.ledger.sessions
    assert (session["state"], round(float(session["energyKwh"]) * 1000)) == ("ENDED", record.energy_wh)
    assert record.reason == "Remote"


async def _led(owner: Socket, charger: str, seen: Seen, fleet: Fleet) -> Json:
    """The session after it was started, paused, resumed and stopped."""
    await seen.until(lambda one: one["status"]["isOnline"] and one["status"]["mode"] == "AWAITING_AUTHORIZATION")
    started = await commanded(owner, "startCharging", charger)
    assert started["state"] == "CONFIRMED", started
    charging = await seen.until(_is_charging)
    assert charging["activeSession"] == {"id": started["session"]["id"], "user": {"name": "Ole Owner"}}
    await seen.until(lambda one: max((one["status"]["currentA"] or {"l1": 0}).values()) > 0)

    paused = await commanded(owner, "pauseCharging", charger)
    assert paused["state"] == "CONFIRMED", paused
    await seen.until(lambda one: one["status"]["mode"] == "PAUSED" and one["status"]["allocatedA"] == 0)
    assert fleet.ledger.offers[-1].wired == (0, 0, 0)

    resumed = await commanded(owner, "resumeCharging", charger)
    assert resumed["state"] == "CONFIRMED", resumed
    await seen.until(_is_charging)

    stopped = await commanded(owner, "stopCharging", charger)
    assert stopped["state"] == "CONFIRMED", stopped
    await seen.until(lambda one: one["activeSession"] is None and one["status"]["mode"] != "CHARGING")
    assert stopped["session"]["id"] == started["session"]["id"]
    session: Json = (await owner.ask(SESSION, id=started["session"]["id"]))["node"]
    return session


async def _taken_home(owner: Socket, folder: Path, *, first: date, energy_wh: int) -> None:
    """The workbook that the other process made is handed out by this one, and ends with today's session."""
    site = await installation_of(owner)
    path = await save_workbook(owner, site, first=first, until=first + timedelta(days=2), folder=folder)
    total = load_workbook(path)["Sessions"]
    assert [cell.value for cell in list(total.rows)[-1] if cell.value is not None] == [
        "Total of 1 sessions",
        energy_wh / 1000,
    ]


def _is_charging(charger: Json) -> bool:
    status = charger["status"]
    return status["mode"] == "CHARGING" and (status["allocatedA"] or 0) >= CAR_A
