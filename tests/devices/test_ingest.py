"""Lanes of the ingest: stations side by side, each in its own order, and cards one after the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from app.database import Database
from devices.ingest import LANES, Ingestor
from domain.charging.reports import Report
from domain.charging.session_rules import Hearing
from domain.clock import SystemClock
from domain.models import Charger, ChargeSession
from domain.observations import Metered, SessionStarted
from domain.roles import AuthorizationDecision, Role
from tests.domain.rig import CARD, reading
from tests.factories import a_card, a_charger, a_grant, a_person, a_site, arrived
from tests.fakes import RecordingBus

ACCEPTED, CONCURRENT = AuthorizationDecision.ACCEPTED, AuthorizationDecision.CONCURRENT

clock = SystemClock()


@asynccontextmanager
async def running(ingestor: Ingestor) -> AsyncIterator[None]:
    """Inside: reports are stored."""
    task = asyncio.create_task(ingestor.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def stations(count: int) -> list[UUID]:
    """So many connected stations of one site, of each lane as many, where one resident may charge."""
    site = await a_site()
    user_id = await a_person("Kari Nordmann")
    await a_card(user_id, number=CARD)
    await a_grant(Role.USER, site, user_id=user_id)
    lanes: list[list[UUID]] = [[] for _ in range(LANES)]
    while min(map(len, lanes)) < count // LANES:
        charger = await Charger.get(id=await a_charger(site, f"Space {sum(map(len, lanes))}"))
        assert charger.station_id is not None
        await arrived(charger.station_id, process="p1", protocol="ocpp1.6", now=clock.now())
        lanes[charger.station_id.int % LANES].append(charger.station_id)
    return [one for lane in lanes for one in lane[: count // LANES]]


def started(station_id: UUID) -> Report:
    """The resident's card begins a charge there, now."""
    now = clock.now()
    observation = SessionStarted(charger_time=now, received_at=now, evse=1, id_token=CARD, meter_start_wh=1000)
    return Report(station_id, 1, Hearing(now), observation)


async def test_a_card_at_two_chargers_of_different_lanes_at_once_charges_at_one(database: Database) -> None:
    """Whatever lanes are under way, of the same card at the same moment one start is accepted and every other is concurrent."""
    here = await stations(2 * LANES)
    ingestor = Ingestor(bus=RecordingBus(), clock=clock, on_away=lambda: None, lanes=LANES)
    async with running(ingestor):
        outcomes = await asyncio.gather(*(ingestor.submit(started(one)) for one in here))
    decisions = [one.decision for one in outcomes]
    assert (decisions.count(ACCEPTED), decisions.count(CONCURRENT)) == (1, len(here) - 1)


async def test_every_lane_keeps_the_order_of_its_stations(database: Database) -> None:
    """Readings that follow each other without waiting leave each session with its last one."""
    here = await stations(2 * LANES)
    ingestor = Ingestor(bus=RecordingBus(), clock=clock, on_away=lambda: None, lanes=LANES)
    async with running(ingestor):
        begun = [await ingestor.submit(started(one)) for one in here]
        now = clock.now()
        await asyncio.gather(
            *(
                ingestor.submit(Report(station_id, 1, Hearing(now), metered(outcome.transaction_id, number)))
                for number in range(1, 21)
                for station_id, outcome in zip(here, begun, strict=True)
            )
        )
    assert {one.energy_wh for one in await ChargeSession.all()} == {20}
    assert ingestor.counts.refused == 0


def metered(transaction_id: str | None, number: int) -> Metered:
    """The register, one watt-hour on every second."""
    at = clock.now() + timedelta(seconds=number)
    samples = (reading(1000 + number, at),)
    return Metered(charger_time=at, received_at=at, evse=1, transaction_id=transaction_id, samples=samples)
