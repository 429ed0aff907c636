"""A power cut at the server in the middle of a garage's evening: nothing that was acknowledged is missing."""

import asyncio
from pathlib import Path

from app.demo.garage import OWNER
from app.demo.portal import portal_of, sign_in
from app.demo.watch import recorded_wh
from devices.simulator import Fleet
from devices.simulator.ledger import Kind
from devices.simulator.plan import ChargerPlan, Habits, Plan
from domain.clock import SystemClock
from tests.live.house import Portal, running_portal

BEFORE_S = 7.0
AFTER_S = 7.0


def fleet_of(portal: Portal) -> Fleet:
    """Short stays, so that many sessions begin, end and go on across the cut."""
    chargers = tuple(
        ChargerPlan(
            identity=space.identity,
            password=space.password,
            rotation=space.rotation,
            habits=Habits(stay_s=(4.0, 12.0), away_s=(0.5, 2.0), id_tags=(space.card,)),
        )
        for space in portal.garage.spaces
    )
    plan = Plan(
        chargers=chargers,
        sample_every_s=1,
        connect_over_s=0.5,
        call_timeout_s=5.0,
        reconnect_after_s=(0.2, 1.0),
        drain_s=15.0,
    )
    return Fleet(portal.ocpp_url, plan, seed=7)


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(home: Path) -> None:
    """After kill -9 and a restart sessions go on, and the portal's Wh are those of the cars."""
    began = SystemClock().now()
    async with running_portal(home) as portal:
        fleet = fleet_of(portal)
        day = asyncio.create_task(fleet.run(duration_s=BEFORE_S + AFTER_S))
        await asyncio.sleep(BEFORE_S)
        acknowledged_before = [session for session in fleet.ledger.sessions if session.is_acknowledged]
        running_before = [session for session in fleet.ledger.sessions if not session.is_ended]
        await portal.kill()
        await portal.start()
        ledger = await day
        token = await sign_in(portal.graphql_url, OWNER)
        async with portal_of(portal.graphql_url, token) as owner:
            recorded = await recorded_wh(owner, since=began)
    assert acknowledged_before
    assert running_before
    assert all(session.is_acknowledged for session in ledger.sessions)
    assert ledger.counts[Kind.LOST] == 0
    assert ledger.counts[Kind.MISUNDERSTOOD] == 0
    assert recorded == ledger.energy_wh()
