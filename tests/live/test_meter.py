"""A row of a garage with a meter: when the building takes more, every car of that row gets less, at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from app.demo.garage import CIRCUIT_A, OWNER, Garage
from app.demo.portal import Json, portal_of, sign_in
from app.demo.portal import Portal as Socket
from devices.simulator import Fleet
from devices.simulator.car import CarSpec
from devices.simulator.plan import ChargerPlan, Plan, Visit
from gql.ids import global_id
from tests.live.house import running_portal

CARS = 3
PERIOD_S = 5.0
HAPPENS_WITHIN_S = 120.0
"""A reading between a car's first ampere and its charger's word of it costs a minute: it is taken for other load."""
AT_ONCE_S = 1.0
QUIET_A, BUSY_A = 2.0, 13.0
"""What flows in the row besides its cars. 3 cars at their minimum of 6 A fit beside the second."""

ROWS = """
query($site: ID!) { node(id: $site) { ... on Installation { circuits { id name measuredA { l1 } otherLoadA { l1 } } } } }
"""
REPORT = """
mutation($row: ID!, $amps: PhaseAmpsInput!) { reportMeter(input: {circuitId: $row, currentA: $amps}) {
  ... on CircuitSuccess { circuit { measuredA { l1 } } } ... on UserError { code message } } }
"""


def three_cars(url: str, garage: Garage) -> Fleet:
    """Every charger is there, and knows that it may offer nothing by itself when three cars come to the first row."""

    def visits(number: int, card: str) -> tuple[Visit, ...]:
        car = CarSpec(phases=3, max_current_a=32.0)
        return (Visit(after_s=4.0, stay_s=600.0, car=car, id_tag=card),) if number < CARS else ()

    chargers = tuple(
        ChargerPlan(
            identity=space.identity,
            password=space.password,
            rotation=space.rotation,
            visits=visits(number, space.card),
        )
        for number, space in enumerate(garage.spaces)
    )
    return Fleet(url, Plan(chargers=chargers, step_s=0.1, sample_every_s=1, connect_over_s=0.5))


class Row:
    """The first row, as its meter and its chargers see it."""

    def __init__(self, owner: Socket, row: str, fleet: Fleet, garage: Garage) -> None:
        self._owner, self._row, self._fleet = owner, row, fleet
        self._names = [space.identity for space in garage.spaces[:CARS]]
        self.other_a = QUIET_A

    def offered(self) -> list[float]:
        """What each of the cars is offered now, in ampere."""
        newest = {change.charger: max(change.usable) / 1000 for change in self._fleet.ledger.offers}
        return [newest.get(name, 0.0) for name in self._names]

    def drawn(self) -> list[float]:
        """What each of the cars draws, in ampere."""
        cars = [self._fleet.chargers[name].station.car for name in self._names]
        return [car.current_a for car in cars if car is not None]

    async def until(self, wanted: Callable[[], bool], *, within_s: float) -> None:
        """Returns when it is so."""
        try:
            async with asyncio.timeout(within_s):
                while not wanted():  # noqa: ASYNC110  a ledger tells nobody that it grew
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            newest = self._fleet.ledger.offers[-20:]
            raise AssertionError(f"what was wanted was not offered: {newest}") from error

    async def read(self) -> None:
        """The meter tells what flows, on the line that carries most."""
        total = self.other_a + sum(self.drawn())
        answer = await self._owner.ask(REPORT, row=self._row, amps={"l1": total, "l2": total, "l3": total})
        assert answer["reportMeter"]["circuit"] == {"measuredA": {"l1": total}}

    async def reading(self) -> None:
        """Until cancelled, as often as meters do."""
        while True:
            await self.read()
            await asyncio.sleep(PERIOD_S)


async def row_of(owner: Socket, garage: Garage, name: str) -> Json:
    """That circuit."""
    answer = await owner.ask(ROWS, site=global_id("Installation", garage.installation_id))
    (found,) = (circuit for circuit in answer["node"]["circuits"] if circuit["name"] == name)
    row: Json = found
    return row


@asynccontextmanager
async def at_work(fleet: Fleet, row: Row) -> AsyncIterator[None]:
    """Inside: cars come and the meter reads."""
    day, reading = asyncio.create_task(fleet.run()), asyncio.create_task(row.reading())
    try:
        yield
    finally:
        reading.cancel()
        fleet.stop()
        await asyncio.wait([day, reading])


async def test_a_meter_that_jumps_lowers_every_car_of_its_row_at_once(home: Path) -> None:
    """Within a second of the reading each of the three is offered less, and soon no more than the row's fuse has left."""
    async with running_portal(home, LADE_METER_INTERVAL_S="1") as portal:
        token = await sign_in(portal.graphql_url, OWNER)
        async with portal_of(portal.graphql_url, token) as owner:
            fleet = three_cars(portal.ocpp_url, portal.garage)
            row = Row(owner, (await row_of(owner, portal.garage, "Row A"))["id"], fleet, portal.garage)
            async with at_work(fleet, row):
                await row.until(lambda: sum(row.drawn()) >= CARS * 9.0, within_s=HAPPENS_WITHIN_S)
                before, row.other_a = row.offered(), BUSY_A
                await row.read()
                await row.until(
                    lambda: all(now < then for now, then in zip(row.offered(), before, strict=True)),
                    within_s=AT_ONCE_S,
                )
                await row.until(lambda: sum(row.offered()) <= CIRCUIT_A - BUSY_A, within_s=HAPPENS_WITHIN_S)
            assert (await row_of(owner, portal.garage, "Row A"))["measuredA"]["l1"] >= BUSY_A
        assert '"level": "error"' not in portal.log
