"""A fleet with bad habits against the portal: what the cars took is what is stored, to the Wh, in one session each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from devices.service import DeviceOptions
from devices.simulator.fleet import Fleet
from devices.simulator.ledger import Kind
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks
from domain import sql
from domain.models import ChargeSession, EnergyInterval
from domain.roles import Role, SessionState
from tests.devices.server import Registered, Server, a_registered_charger, a_server
from tests.factories import Site, a_card, a_grant, a_person, a_site

HABITS = Habits(stay_s=(0.3, 0.9), away_s=(0.0, 0.3))


BOTH = ("ocpp1.6", "ocpp2.0.1")


def a_fleet(server: Server, chargers: list[Registered], quirks: Quirks, *, protocols: tuple[str, ...] = BOTH) -> Fleet:
    plan = Plan(
        chargers=tuple(
            ChargerPlan(
                identity=one.identity,
                password=one.password,
                protocol=protocols[number % len(protocols)],
                quirks=quirks,
                first_register_wh=5_000 * number,
            )
            for number, one in enumerate(chargers, start=1)
        ),
        habits=HABITS,
        step_s=0.05,
        sample_every_s=1,
        connect_over_s=0.2,
        retry_after_s=0.02,
        reconnect_after_s=(0.02, 0.2),
        drain_s=10.0,
    )
    return Fleet(f"ws://127.0.0.1:{server.port}/ocpp", plan, seed=3)


async def agree(fleet: Fleet, chargers: list[Registered]) -> None:
    """Sessions and Wh by charger, and the intervals of each session."""
    stored = await sql.rows(
        "SELECT station_id, COUNT(*) AS sessions, SUM(energy_wh) AS wh FROM charge_sessions GROUP BY station_id"
    )
    by_station = {sql.uuid_of(row["station_id"]): (int(row["sessions"]), int(row["wh"])) for row in stored}
    for one in chargers:
        told = [record for record in fleet.ledger.ended() if record.charger == one.identity]
        assert by_station.get(one.station_id, (0, 0)) == (len(told), sum(record.energy_wh for record in told))
    assert len(fleet.ledger.ended()) == len(fleet.ledger.sessions) > len(chargers)
    for session in await ChargeSession.all():
        assert session.state is SessionState.ENDED
        parts = await EnergyInterval.filter(session_id=session.id)
        assert sum(part.energy_wh for part in parts) == session.energy_wh


async def a_garage(count: int = 6) -> tuple[Site, list[Registered]]:
    site = await a_site(authentication_required=False)
    return site, [await a_registered_charger(site, f"Space {number}") for number in range(1, count + 1)]


@pytest.mark.parametrize("protocol", BOTH)
async def test_retries_lost_answers_and_broken_links_cost_no_wh(
    database: Database, bus: RedisBus, protocol: str
) -> None:
    """Every message once or twice, answers lost, links broken all the time: one session a charge, not a Wh off."""
    quirks = Quirks(duplicate_rate=0.3, answer_loss_rate=0.1, disconnects_every_s=1.0, disconnected_for_s=0.2)
    async with a_server(bus) as server:
        _, chargers = await a_garage()
        fleet = a_fleet(server, chargers, quirks, protocols=(protocol,))
        await fleet.run(duration_s=4.0)
        await agree(fleet, chargers)
        assert (fleet.ledger.counts[Kind.MISUNDERSTOOD], fleet.ledger.counts[Kind.LOST]) == (0, 0)


async def test_a_card_that_comes_after_the_start_costs_no_wh(database: Database, bus: RedisBus) -> None:
    """Transactions that begin with the cable are claimed later, in between broken links: each is its card's, to the Wh."""
    quirks = Quirks(
        begins_with_cable=True,
        duplicate_rate=0.3,
        answer_loss_rate=0.1,
        disconnects_every_s=1.0,
        disconnected_for_s=0.2,
    )
    async with a_server(bus) as server:
        site = await a_site()
        user_id = await a_person("Kari Nordmann")
        await a_card(user_id, number="04A1B2C3D4")
        await a_grant(Role.USER, site, user_id=user_id)
        chargers = [await a_registered_charger(site, f"Space {number}") for number in range(1, 5)]
        fleet = a_fleet(server, chargers, quirks, protocols=("ocpp2.0.1",))
        await fleet.run(duration_s=4.0)
        await agree(fleet, chargers)
        assert (fleet.ledger.counts[Kind.MISUNDERSTOOD], fleet.ledger.counts[Kind.LOST]) == (0, 0)
    claimed = [record for record in fleet.ledger.ended() if record.id_tag]
    assert await ChargeSession.filter(user_id=user_id).count() == len(claimed) > len(chargers)


# On SQLite the dead and the living server would share this process' one connection, and a transaction that was cut off
# in it; there tests/live/test_crash.py kills a process of its own.
@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_server_that_dies_and_returns_costs_no_wh(database: Database, bus: RedisBus) -> None:
    """The server goes without a word in the middle of charges; nothing that it acknowledged is missing, the charges go on."""
    _, chargers = await a_garage()
    async with dying(bus) as server:
        fleet = a_fleet(server, chargers, Quirks(duplicate_rate=0.1))
        running = asyncio.create_task(fleet.run(duration_s=5.0))
        done, _ = await asyncio.wait([running], timeout=2.0)
        assert not done
    async with a_server(bus, process="p2", port=server.port, options=DeviceOptions(check_every_s=3600)):
        await running
        await agree(fleet, chargers)


@asynccontextmanager
async def dying(bus: RedisBus) -> AsyncIterator[Server]:
    """A server that ends without storing that its chargers are offline."""
    async with a_server(bus, is_orderly=False) as server:
        yield server
