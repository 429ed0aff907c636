"""Whoever was away comes back with a cursor, or with one that leads nowhere."""

from app.redis_bus import RedisBus
from domain.events import InstallationChanged, PermissionChanged, Place
from domain.ids import new_id
from domain.models import ChargerStatus
from gql.cursors import Cursors
from tests.factories import Town
from tests.gql.following import COME_BACK, FOLLOW_ONE, next_event, until_ready
from tests.gql.world import SECRET, World, charger, installation, status


async def test_who_comes_back_with_a_cursor_is_told_what_they_missed(world: World, bus: RedisBus, town: Town) -> None:
    """The newest of each charger that changed, with the cursor of before, then READY; in the audience of those who were there."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(COME_BACK, id="1", target=installation(town.site.id))
        cursor = (await until_ready(client))[-1]["cursor"]
        for version in (2, 3):
            await bus.publish(status(town.site.id, town.charger_id, version))
        told = [await next_event(client) for _ in range(2)]
        for after, versions in ((cursor, [3]), (told[0]["cursor"], [3]), (told[1]["cursor"], [])):
            client.subscribe(COME_BACK, id="2", target=installation(town.site.id), after=after)
            *missed, ready = await until_ready(client)
            assert [event["charger"]["status"]["version"] for event in missed] == versions
            assert {event["cursor"] for event in missed} <= {after}
            assert (ready["kind"], ready["isResync"], ready["cursor"]) == ("READY", False, told[1]["cursor"])
            client.tell({"id": "2", "type": "complete"})
        counts = world.edge.audiences.counts.roots["chargerStatus"]
        assert (counts.replays, counts.resyncs) == (3, 0)
        assert world.edge.audiences.count == 1


async def test_a_cursor_that_leads_nowhere_is_told_the_present(world: World, bus: RedisBus, town: Town) -> None:
    """Garbage, of last year, of the midst of a snapshot, of another target, other rights or another portal: isResync, no word why."""
    people, place = town.people, Place("0123abcd", 7)
    owner, site = people["OWNER of installation"], ("chargerStatus", town.site.id, None, "owner")
    async with world.signed_in(await world.token(owner)) as client:
        client.subscribe(COME_BACK, target=installation(town.site.id))
        *snapshot, ready = await until_ready(client)
        genuine = ready["cursor"]
        async with world.signed_in(await world.token(people["SERVICE"])) as other:
            other.subscribe(COME_BACK, target=installation(town.site.id))
            others = (await until_ready(other))[-1]["cursor"]
        client.subscribe(FOLLOW_ONE.replace("kind", "kind cursor"), id="one", target=charger(town.charger_id))
        of_one = [(await next_event(client))["cursor"] for _ in range(2)][-1]
        flipped = genuine[:20] + ("A" if genuine[20] != "A" else "B") + genuine[21:]
        worthless = [
            "",
            "%%%",
            "\u00e6",
            "A" * 32,
            "x" * 9_000,
            genuine[:-4],
            flipped,
            genuine + "AAAA",
            others,
            of_one,
        ]
        worthless += [
            snapshot[0]["cursor"],
            Cursors(SECRET, site).at(place),
            Cursors("another portal's", site).at(place),
        ]
        for number, after in enumerate(worthless):
            client.subscribe(COME_BACK, id=str(number + 2), target=installation(town.site.id), after=after)
            events = await until_ready(client)
            assert [(event["kind"], event["isResync"]) for event in events] == [
                ("SNAPSHOT", True),
                ("SNAPSHOT", True),
                ("READY", True),
            ], after
        assert world.edge.audiences.counts.roots["chargerStatus"].resyncs == len(worthless)
        client.subscribe(COME_BACK, id="100", target=installation(town.site.id), after=genuine)
        assert [event["isResync"] for event in await until_ready(client)] == [False]
        await bus.publish(InstallationChanged(town.site.id))
        client.subscribe(COME_BACK, id="101", target=installation(town.site.id), after=genuine)
        assert [event["isResync"] for event in await until_ready(client)] == [True] * 3


async def test_a_slow_reader_may_go_on_from_whatever_it_took(bus: RedisBus, town: Town) -> None:
    """A newer status that took the place of one that waited has the cursor of that one: what waits behind it is not had yet."""
    world = World(bus, writes_now=False)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(COME_BACK, target=installation(town.site.id))
        await until_ready(client)
        client.is_reading.clear()
        for version in (2, 3):
            for one in (town.charger_id, town.neighbour_id):
                await bus.publish(status(town.site.id, one, version))
        await _settled_while_silent(bus, town)
        client.is_reading.set()
        first = await next_event(client)
        client.subscribe(COME_BACK, id="2", target=installation(town.site.id), after=first["cursor"])
        seen: dict[str, int] = {first["chargerId"]: first["charger"]["status"]["version"]}
        while True:
            heard = await client.hear()
            event = heard["payload"]["data"]["chargerStatus"]
            if heard["id"] == "2" and event["kind"] == "READY":
                break
            if heard["id"] == "2":
                seen[event["chargerId"]] = event["charger"]["status"]["version"]
    assert seen == {charger(town.charger_id): 3, charger(town.neighbour_id): 3}
    assert world.edge.audiences.counts.coalesced >= 1


async def _settled_while_silent(bus: RedisBus, town: Town) -> None:
    """Everything that was published to the installation has been heard in this process."""
    async with bus.follow(f"installation:{town.site.id}") as heard:
        await bus.publish(PermissionChanged(user_id=new_id(), installation_id=town.site.id))
        await anext(heard)
    for _ in range(20):
        await ChargerStatus.all().count()
