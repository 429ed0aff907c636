"""Charge sessions as streams: nothing is skipped that counts, and nobody hears of another's charge."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.redis_bus import RedisBus
from domain.events import PermissionChanged, SessionChanged
from domain.models import Charger, ChargerStatus, ChargeSession, Permission
from domain.roles import Role, SessionState
from gql.ids import global_id
from tests.factories import NOW, Town, a_grant, a_person, a_session
from tests.gql.world import PATIENCE_S, Socket, World

FOLLOW = """
subscription Follow($target: SessionTarget!) {
  sessionChanged(target: $target) { kind sessionId session { state energyKwh user { name } } }
}
"""


async def _event(client: Socket) -> dict[str, Any]:
    heard = await client.hear()
    assert heard["type"] == "next", heard
    assert "errors" not in heard["payload"], heard
    event: dict[str, Any] = heard["payload"]["data"]["sessionChanged"]
    return event


async def _following(client: Socket, **target: Any) -> list[dict[str, Any]]:
    client.subscribe(FOLLOW, target=target)
    events = [await _event(client)]
    while events[-1]["kind"] != "READY":
        events.append(await _event(client))
    return events[:-1]


def _site(town: Town) -> str:
    return global_id("Installation", town.site.id)


async def _charging(town: Town, driver: UUID) -> UUID:
    return await a_session(town.site, town.charger_id, user_id=driver, state=SessionState.ACTIVE)


async def _told(bus: RedisBus, town: Town, session_id: UUID, user_id: UUID, change: str) -> None:
    await bus.publish(SessionChanged(town.site.id, town.charger_id, session_id, user_id, change))


async def test_first_what_goes_on_then_every_change(world: World, bus: RedisBus, town: Town) -> None:
    """An owner is told of the charges at the site, of new ones, of readings, and of ends."""
    driver = town.people["USER of charger"]
    first = await _charging(town, driver)
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        (shown,) = await _following(client, installationId=_site(town))
        assert shown == {
            "kind": "SNAPSHOT",
            "sessionId": global_id("ChargeSession", first),
            "session": {"state": "ACTIVE", "energyKwh": "7.200", "user": {"name": "USER of charger"}},
        }
        second = await _charging(town, driver)
        await _told(bus, town, second, driver, "STARTED")
        assert (await _event(client))["kind"] == "STARTED"
        await ChargeSession.filter(id=second).update(energy_wh=8_000)
        await _told(bus, town, second, driver, "UPDATED")
        updated = await _event(client)
        assert (updated["kind"], updated["session"]["energyKwh"]) == ("UPDATED", "8.000")
        await ChargeSession.filter(id=second).update(state=SessionState.ENDED, ended_at=NOW, registered_at=NOW)
        await _told(bus, town, second, driver, "ENDED")
        ended = await _event(client)
        assert (ended["kind"], ended["session"]["state"]) == ("ENDED", "ENDED")


@pytest.mark.parametrize("target", ["installation", "charger", "session", "own"])
async def test_a_driver_hears_of_their_own_charges_only(world: World, bus: RedisBus, town: Town, target: str) -> None:
    """Whatever they follow: another's charge is not there, neither at first nor later."""
    me, other = town.people["USER of installation"], town.people["USER of charger"]
    mine, others = await _charging(town, me), await _charging(town, other)
    targets: dict[str, dict[str, Any]] = {
        "installation": {"installationId": _site(town)},
        "charger": {"chargerId": global_id("Charger", town.charger_id)},
        "session": {"sessionId": global_id("ChargeSession", mine)},
        "own": {"own": True},
    }
    async with world.signed_in(await world.token(me)) as client:
        shown = await _following(client, **targets[target])
        assert [event["sessionId"] for event in shown] == [global_id("ChargeSession", mine)]
        await _told(bus, town, others, other, "UPDATED")
        await _told(bus, town, mine, me, "UPDATED")
        assert (await _event(client))["sessionId"] == global_id("ChargeSession", mine)


async def test_who_follows_one_session_hears_of_its_corrections(world: World, bus: RedisBus, town: Town) -> None:
    """Of each, though it is another session by its id, and of no other one's."""
    driver = town.people["USER of charger"]
    followed, first, second, others = [await a_session(town.site, town.charger_id, user_id=driver) for _ in range(4)]
    corrections = [(others, second), (first, followed), (second, first)]
    async with world.signed_in(await world.token(driver)) as client:
        await _following(client, sessionId=global_id("ChargeSession", followed))
        for new, old in corrections:
            told = SessionChanged(town.site.id, town.charger_id, new, driver, "REPLACED", replaces_id=old)
            await bus.publish(told)
        heard = [await _event(client) for _ in range(2)]
    assert [(one["kind"], one["sessionId"]) for one in heard] == [
        ("REPLACED", global_id("ChargeSession", one)) for one in (first, second)
    ]


@pytest.mark.parametrize("name", ["stranger", "SERVICE"])
async def test_a_hidden_session_is_not_found(world: World, town: Town, name: str) -> None:
    """Whoever may not see it is told what is told of one that never was."""
    hidden = await _charging(town, town.people["USER of charger"])
    async with world.signed_in(await world.token(town.people[name])) as client:
        client.subscribe(FOLLOW, target={"sessionId": global_id("ChargeSession", hidden)})
        heard = await client.hear()
    assert heard["type"] == "error"
    assert heard["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_right_that_ends_ends_the_stream(world: World, bus: RedisBus, town: Town) -> None:
    """What relied on it is told so, and nothing of the charge comes after."""
    owner = town.people["OWNER of installation"]
    driver = town.people["USER of charger"]
    session = await _charging(town, driver)
    async with world.signed_in(await world.token(owner)) as client:
        await _following(client, installationId=_site(town))
        await Permission.filter(user_id=owner).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=owner, installation_id=town.site.id))
        ended = await client.hear()
        assert ended["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
        assert (await client.hear())["type"] == "complete"
        await _told(bus, town, session, driver, "UPDATED")
        assert client.waiting == 0


async def test_a_right_that_shrinks_narrows_the_stream(world: World, bus: RedisBus, town: Town) -> None:
    """An owner of the site who keeps one charger goes on with that one's charges, from when that grant began."""
    owner, driver = town.people["OWNER of installation"], await a_person("Driver")
    await a_grant(Role.OWNER, town.site, user_id=owner, charger_id=town.neighbour_id)
    here = await _charging(town, driver)
    there = await a_session(town.site, town.neighbour_id, user_id=driver, state=SessionState.ACTIVE)
    async with world.signed_in(await world.token(owner)) as client:
        assert len(await _following(client, installationId=_site(town))) == 2
        await Permission.filter(user_id=owner, charger_id=None).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=owner, installation_id=town.site.id))
        removed = await _event(client)
        assert (removed["kind"], removed["sessionId"]) == ("REMOVED", global_id("ChargeSession", here))
        kept = await _event(client)
        assert (kept["kind"], kept["sessionId"]) == ("UPDATED", global_id("ChargeSession", there))


async def test_a_target_without_a_choice_is_refused(world: World, town: Town) -> None:
    """`own: false` names nothing."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(FOLLOW, target={"own": False})
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_charger_that_moved_is_followed_where_it_is(world: World, bus: RedisBus, town: Town) -> None:
    """Also by those who ask in the same words as others did before it moved."""
    person = await a_person("Installer")
    for place in (town.site, town.other_site):
        await a_grant(Role.OWNER, place, user_id=person)
    target = {"chargerId": global_id("Charger", town.charger_id)}
    async with world.signed_in(await world.token(person)) as before, world.signed_in(await world.token(person)) as now:
        await _following(before, **target)
        await Charger.filter(id=town.charger_id).update(installation_id=town.other_site.id)
        await ChargerStatus.filter(charger_id=town.charger_id).update(installation_id=town.other_site.id)
        await _following(now, **target)
        started = await a_session(town.other_site, town.charger_id, user_id=person, state=SessionState.ACTIVE)
        await bus.publish(SessionChanged(town.other_site.id, town.charger_id, started, person, "STARTED"))
        event = await _event(now)
        assert (event["kind"], event["sessionId"]) == ("STARTED", global_id("ChargeSession", started))


async def test_a_slow_reader_hears_the_newest_last(bus: RedisBus, town: Town) -> None:
    """What is said of a charge after its end does not take the place of what was said before it."""
    world, driver = World(bus, writes_now=False), town.people["USER of charger"]
    session_id = await _charging(town, driver)
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        await _following(client, installationId=_site(town))
        client.is_reading.clear()
        changes = [("UPDATED", 8_000), ("UPDATED", 8_500), ("ENDED", 9_000), ("UPDATED", 10_000)]
        for number, (change, energy_wh) in enumerate(changes, start=world.edge.audiences.executions + 1):
            state = SessionState.ACTIVE if energy_wh < 9_000 else SessionState.ENDED
            ended = {} if state is SessionState.ACTIVE else {"ended_at": NOW, "registered_at": NOW}
            await ChargeSession.filter(id=session_id).update(energy_wh=energy_wh, state=state, **ended)
            await _told(bus, town, session_id, driver, change)
            async with asyncio.timeout(PATIENCE_S):
                while world.edge.audiences.executions < number:  # noqa: ASYNC110  audiences tell nobody but their followers
                    await asyncio.sleep(0)
        # The last is written out, too.
        for _ in range(20):
            await ChargeSession.all().count()
        client.is_reading.set()
        told = [await _event(client) for _ in range(4)]
    assert [(one["kind"], one["session"]["energyKwh"]) for one in told] == [
        ("UPDATED", "8.000"),
        ("UPDATED", "8.500"),
        ("ENDED", "9.000"),
        ("UPDATED", "10.000"),
    ]
