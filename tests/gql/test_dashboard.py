"""A site at a glance: exact, the same asked or followed, and for those only who look after the site."""

from datetime import timedelta
from typing import Any

import pytest

from app.redis_bus import RedisBus
from domain.current.offers import lease_of
from domain.events import InstallationChanged, PermissionChanged
from domain.models import (
    BalancingDecision,
    ChargerStatus,
    Circuit,
    EnergyInterval,
    Installation,
    Lease,
    Offer,
    Permission,
)
from domain.roles import AlertKind, IntervalQuality, OperatingMode, Role, SessionState
from gql.ids import global_id
from tests.factories import NOW, Town, a_grant, a_person, a_session, a_town, an_alert
from tests.gql.asking import Api, charger_id, installation_id
from tests.gql.world import Socket, World

FIELDS = """
id at chargerCount onlineCount modes { mode count } phases { phase measuredA allocatedA availableA breakerA }
meterObservedAt powerKw activeSessionCount queueLength queue { charger { id } position since limit reason }
balancer { state lastDecisionAt reason } openAlertCount energyTodayKwh
"""
ASK = f"query ($id: ID!) {{ node(id: $id) {{ ... on Installation {{ dashboard {{ {FIELDS} }} }} }} }}"
FOLLOW = f"subscription ($site: ID!) {{ dashboard(installationId: $site) {{ {FIELDS} }} }}"


async def _busy(town: Town) -> None:
    """One charges with 16 A on three lines, one waits; the meter was read, and a part of an alert is folded."""
    site = town.site.id
    session = await a_session(
        town.site, town.charger_id, started_at=NOW - timedelta(hours=1), state=SessionState.ACTIVE, energy_wh=4_000
    )
    await ChargerStatus.filter(charger_id=town.charger_id).update(
        mode=OperatingMode.CHARGING,
        is_online=True,
        power_w=11_000.0,
        allocated_a=16.0,
        allocated_phases="L1L2L3",
        session_id=session,
    )
    await ChargerStatus.filter(charger_id=town.neighbour_id).update(mode=OperatingMode.AWAITING_CURRENT, is_online=True)
    await Offer.filter(charger_id=town.neighbour_id).update(
        queue_position=1,
        waiting_since=NOW - timedelta(minutes=3),
        binding_limit="ROTATION",
        reason="Others charge first.",
        decided_at=NOW,
    )
    await Circuit.filter(installation_id=site, parent_id=None).update(
        meter_l1=20.0, meter_l2=21.0, meter_l3=-1.5, metered_at=NOW - timedelta(seconds=4)
    )
    ended = await a_session(
        town.site,
        town.charger_id,
        started_at=NOW - timedelta(hours=3),
        ended_at=NOW - timedelta(hours=2),
        energy_wh=6_000,
    )
    await EnergyInterval.create(
        session_id=ended,
        installation_id=site,
        start_at=NOW - timedelta(hours=3),
        end_at=NOW - timedelta(hours=2),
        energy_wh=6_000,
        quality=IntervalQuality.MEASURED,
    )
    await Lease.create(name=lease_of(site), holder="p1", fence=1, until=NOW + timedelta(seconds=10))
    await BalancingDecision.create(
        installation_id=site, decided_at=NOW - timedelta(seconds=9), triggered_by="time", instance="{}", allocation="{}"
    )
    whole = await an_alert(site, kind=AlertKind.INSTALLATION_OFFLINE)
    await an_alert(site, town.charger_id, kind=AlertKind.CHARGER_OFFLINE, folded_into=whole)


async def _asked(town: Town, person: str) -> Any:
    found = await Api().data(await town.access(person), ASK, {"id": installation_id(town.site.id)})
    return found["node"] and found["node"]["dashboard"]


@pytest.mark.usefixtures("database")
async def test_it_tells_what_happens_at_the_site() -> None:
    """Counts, currents, the queue, the balancer, alerts and the energy of the day are those of the rows."""
    town = await a_town()
    await _busy(town)
    shown = await _asked(town, "OWNER of installation")
    lines = [(one["phase"], one["measuredA"], one["allocatedA"]) for one in shown.pop("phases")]
    assert lines == [("L1", 20.0, 16.0), ("L2", 21.0, 16.0), ("L3", -1.5, 16.0)]
    assert shown == {
        "id": global_id("Dashboard", town.site.id),
        "at": NOW.isoformat().replace("+00:00", "Z"),
        "chargerCount": 2,
        "onlineCount": 2,
        "modes": [{"mode": "AWAITING_CURRENT", "count": 1}, {"mode": "CHARGING", "count": 1}],
        "meterObservedAt": (NOW - timedelta(seconds=4)).isoformat().replace("+00:00", "Z"),
        "powerKw": 11.0,
        "activeSessionCount": 1,
        "queueLength": 1,
        "queue": [
            {
                "charger": {"id": charger_id(town.neighbour_id)},
                "position": 1,
                "since": (NOW - timedelta(minutes=3)).isoformat().replace("+00:00", "Z"),
                "limit": "ROTATION",
                "reason": "Others charge first.",
            }
        ],
        "balancer": {
            "state": "RUNNING",
            "lastDecisionAt": (NOW - timedelta(seconds=9)).isoformat().replace("+00:00", "Z"),
            "reason": None,
        },
        "openAlertCount": 1,
        "energyTodayKwh": "10.000",
    }


@pytest.mark.usefixtures("database")
async def test_a_balancer_that_is_hindered_or_away_says_why() -> None:
    """DEGRADED with the alert's words while something is wrong; STOPPED when its lease has run out, or nobody may charge."""
    town = await a_town()
    await _busy(town)
    await an_alert(town.site.id, kind=AlertKind.METER_STALE)
    assert (await _asked(town, "SERVICE"))["balancer"]["state"] == "DEGRADED"
    await Lease.all().update(until=NOW)
    gone = (await _asked(town, "SERVICE"))["balancer"]
    assert (gone["state"], gone["reason"].split(";")[0]) == (
        "STOPPED",
        "Nothing balances this installation at the moment",
    )
    await Installation.filter(id=town.site.id).update(is_active=False)
    assert (await _asked(town, "SERVICE"))["balancer"][
        "reason"
    ] == "The installation is out of use, so nobody may charge."


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("person", ["SERVICE", "ADMINISTRATOR"])
async def test_energy_is_that_of_sessions_that_the_viewer_may_see(person: str) -> None:
    """Who looks after the site has no right to what others charged, nor to its sum; where they charge themselves, to that."""
    town = await a_town()
    await _busy(town)
    assert (await _asked(town, person))["energyTodayKwh"] == "0.000"
    await a_session(
        town.site,
        town.charger_id,
        user_id=town.people[person],
        started_at=NOW - timedelta(hours=1),
        state=SessionState.ACTIVE,
        energy_wh=500,
    )
    assert (await _asked(town, person))["energyTodayKwh"] == "0.500"


async def test_owners_are_one_audience_and_installers_another(world: World, town: Town) -> None:
    """What is written for those who may see the energy never reaches those who may not."""
    await _busy(town)
    other = await a_person("Second owner")
    await a_grant(Role.OWNER, town.site, user_id=other)
    tokens = [await world.token(one) for one in (town.people["OWNER of installation"], other, town.people["SERVICE"])]
    async with (
        world.signed_in(tokens[0]) as one,
        world.signed_in(tokens[1]) as two,
        world.signed_in(tokens[2]) as three,
    ):
        seen = []
        for client in (one, two, three):
            client.subscribe(FOLLOW, site=installation_id(town.site.id))
            seen.append((await _event(client))["energyTodayKwh"])
        assert seen == ["10.000", "10.000", "0.000"]
        assert world.edge.audiences.count == 2


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("person", ["USER of installation", "OWNER of charger", "USER of charger", "stranger"])
async def test_it_is_for_those_who_look_after_the_site(person: str) -> None:
    """Nobody else learns even a count."""
    town = await a_town()
    await _busy(town)
    assert await _asked(town, person) is None


async def _event(client: Socket) -> dict[str, Any]:
    heard = await client.hear()
    assert "errors" not in heard["payload"], heard
    event: dict[str, Any] = heard["payload"]["data"]["dashboard"]
    return event


async def test_it_is_followed_at_most_once_a_second(world: World, bus: RedisBus, town: Town) -> None:
    """First the same as asked; what changes within the second is told once, when that is over; what changes nothing is not told."""
    await _busy(town)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(FOLLOW, site=installation_id(town.site.id))
        assert await _event(client) == await _asked(town, "SERVICE")
        changed = InstallationChanged(installation_id=town.site.id)
        await ChargerStatus.filter(charger_id=town.charger_id).update(power_w=2_000.0)
        await bus.publish(changed, changed)
        assert (await _event(client))["powerKw"] == 2.0
        world.clock.advance(timedelta(seconds=2))
        await bus.publish(changed)
        await ChargerStatus.filter(charger_id=town.charger_id).update(power_w=3_000.0)
        world.clock.advance(timedelta(seconds=2))
        await bus.publish(changed)
        assert (await _event(client))["powerKw"] == 3.0


async def test_it_ends_with_the_right_to_see_it(world: World, bus: RedisBus, town: Town) -> None:
    """An owner who is one no more is told so; a stranger is told that there is no such installation."""
    owner = town.people["OWNER of installation"]
    async with world.signed_in(await world.token(owner)) as client:
        client.subscribe(FOLLOW, site=installation_id(town.site.id))
        await _event(client)
        await Permission.filter(user_id=owner).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=owner, installation_id=town.site.id))
        ended = await client.hear()
        assert ended["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
    async with world.signed_in(await world.token(town.people["stranger"])) as client:
        client.subscribe(FOLLOW, site=installation_id(town.site.id))
        refused = await client.hear()
        assert refused["payload"][0]["extensions"]["code"] == "NOT_FOUND"
