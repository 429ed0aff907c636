"""Rights that change while somebody follows: streams narrow, go on with other eyes, or end."""

import asyncio
from datetime import timedelta

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from domain.events import PermissionChanged, SignInEnded
from domain.models import Charger, ChargerStatus, Permission, SignIn
from domain.roles import Role
from tests.factories import NOW, Town, a_grant, a_person
from tests.gql.following import FOLLOW_ONE, FULL, HeldLog, following, next_event, settled, until_ready
from tests.gql.world import PATIENCE_S, World, charger, installation, status


async def test_access_that_is_revoked_ends_the_stream(world: World, bus: RedisBus, town: Town) -> None:
    """At once, with a reason; the others go on."""
    lost, kept = town.people["OWNER of installation"], town.people["SERVICE"]
    async with world.signed_in(await world.token(lost)) as one, world.signed_in(await world.token(kept)) as other:
        await following(one, town.site)
        await following(other, town.site)
        await Permission.filter(user_id=lost).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=lost, installation_id=town.site.id))
        heard = await one.hear()
        assert heard["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
        assert await one.hear() == {"id": "1", "type": "complete"}
        await bus.publish(status(town.site.id, town.charger_id, 2))
        assert (await next_event(other))["charger"]["status"]["version"] == 2
        assert one.waiting == 0


async def test_who_may_see_less_hears_what_is_gone_and_sees_the_rest_with_other_eyes(
    world: World, bus: RedisBus, town: Town
) -> None:
    """An owner who is left with one charger: the other is REMOVED, and of this one only what its user sees."""
    person = town.people["OWNER of installation"]
    await a_grant(Role.USER, town.site, user_id=person, charger_id=town.charger_id)
    async with world.signed_in(await world.token(person)) as client:
        await following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 2, **FULL))
        await next_event(client)
        await Permission.filter(user_id=person, role=Role.OWNER).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.site.id))
        removed, present = await next_event(client), await next_event(client)
        assert (removed["kind"], removed["chargerId"], removed["charger"]) == (
            "REMOVED",
            charger(town.neighbour_id),
            None,
        )
        assert (present["kind"], present["charger"]["status"]["powerKw"]) == ("CHANGED", None)
        await bus.publish(status(town.site.id, town.neighbour_id, 9), status(town.site.id, town.charger_id, 3, **FULL))
        changed = await next_event(client)
        assert (changed["chargerId"], changed["charger"]["status"]["powerKw"]) == (charger(town.charger_id), None)


async def test_a_grant_ends_by_the_clock_too(world: World, bus: RedisBus, town: Town) -> None:
    """Nobody has to revoke what was given until a day."""
    guest = await a_person("Guest")
    await a_grant(Role.USER, town.site, user_id=guest, valid_to=NOW + timedelta(minutes=5))
    async with world.signed_in(await world.token(guest)) as client:
        await following(client, town.site)
        await settled(client)
        world.clock.advance(timedelta(minutes=5))
        assert (await client.hear())["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"


async def test_rights_are_read_again_each_minute(world: World, bus: RedisBus, town: Town) -> None:
    """A change of which the bus did not tell ends the stream all the same."""
    person = town.people["SERVICE"]
    async with world.signed_in(await world.token(person)) as client:
        await following(client, town.site)
        await Permission.filter(user_id=person).update(revoked_at=NOW)
        await settled(client)
        world.clock.advance(timedelta(seconds=60))
        assert (await client.hear())["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"


async def test_signing_out_ends_the_streams_of_that_sign_in(world: World, bus: RedisBus, town: Town) -> None:
    """Those of another sign-in of the same person go on."""
    person = town.people["SERVICE"]
    async with world.signed_in(await world.token(person)) as one, world.signed_in(await world.token(person)) as other:
        await following(one, town.site)
        await following(other, town.site)
        ended = await SignIn.filter(user_id=person).order_by("created_at", "id").first()
        assert ended is not None
        await SignIn.filter(id=ended.id).update(ended_at=NOW)
        await bus.publish(SignInEnded(user_id=person, sign_in_id=ended.id))
        assert (await one.hear())["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
        assert await one.hear() == {"id": "1", "type": "complete"}
        assert await one.close_code() == 4403
        await bus.publish(status(town.site.id, town.charger_id, 2))
        assert (await next_event(other))["charger"]["status"]["version"] == 2


async def test_changes_of_what_one_may_do_are_told(world: World, bus: RedisBus, town: Town) -> None:
    """Whoever has a screen open fetches it anew."""
    person = town.people["SERVICE"]
    async with world.signed_in(await world.token(person)) as client:
        client.subscribe("subscription { accessChanged { at installationIds chargerIds } }")
        client.subscribe(FOLLOW_ONE, id="2", target=charger(town.charger_id))
        for _ in range(2):
            await client.hear()
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.other_site.id))
        heard = (await client.hear())["payload"]["data"]["accessChanged"]
        assert heard == {
            "at": "2026-03-01T12:00:00Z",
            "installationIds": [installation(town.other_site.id)],
            "chargerIds": [],
        }


@pytest.mark.parametrize("goes", ["completes", "hangs up"])
async def test_who_goes_while_their_rights_change_leaves_nothing_behind(
    database: Database, bus: RedisBus, town: Town, goes: str
) -> None:
    """What they move to is told to nobody: no audience stays, and the same id hears only of what it is asked anew."""
    del database
    log = HeldLog(bus)
    world, person = World(bus, log=log), town.people["OWNER of installation"]
    await a_grant(Role.USER, town.other_site, user_id=person)
    async with world.signed_in(await world.token(person)) as client:
        client.subscribe(FOLLOW_ONE, target=charger(town.charger_id))
        await until_ready(client)
        await Charger.filter(id=town.charger_id).update(installation_id=town.other_site.id)
        await ChargerStatus.filter(charger_id=town.charger_id).update(installation_id=town.other_site.id)
        log.asked.clear()
        log.is_free.clear()
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.site.id))
        async with asyncio.timeout(PATIENCE_S):
            await log.asked.wait()
        assert (await next_event(client))["kind"] == "REMOVED"
        if goes == "hangs up":
            await client.hang_up()
        else:
            client.tell({"id": "1", "type": "complete"})
            client.tell({"type": "ping"})
            assert await client.hear() == {"type": "pong"}
            log.is_free.set()
        async with asyncio.timeout(PATIENCE_S):
            while world.edge.audiences.count:  # noqa: ASYNC110  audiences end without telling anybody
                await asyncio.sleep(0)
