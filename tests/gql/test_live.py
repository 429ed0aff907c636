"""Charger statuses as streams: one execution for all who see the same, never an older status, never more than is theirs."""

from datetime import timedelta

import pytest

from app.redis_bus import RedisBus
from domain.events import CommandChanged, InstallationChanged
from domain.ids import new_id
from domain.models import Charger, ChargerStatus, Command
from domain.roles import CommandAction, CommandState, Role
from gql.ids import global_id
from tests.factories import NOW, Town, a_grant, a_person
from tests.gql.following import FOLLOW, FOLLOW_ONE, FULL, following, next_event, until_ready
from tests.gql.world import Socket, World, charger, installation, status


async def test_first_the_present_then_what_changes(world: World, bus: RedisBus, town: Town) -> None:
    """A snapshot of each charger, READY, then each change with its whole status."""
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        events = await until_ready(client)
        assert [event["kind"] for event in events] == ["SNAPSHOT", "SNAPSHOT", "READY"]
        assert {event["chargerId"] for event in events[:2]} == {charger(town.charger_id), charger(town.neighbour_id)}
        assert events[2] == {
            "kind": "READY",
            "cursor": events[2]["cursor"],
            "isResync": False,
            "chargerId": None,
            "charger": None,
        }
        await bus.publish(status(town.site.id, town.charger_id, 2, **FULL))
        assert (await next_event(client))["charger"] == {
            "id": charger(town.charger_id),
            "name": "Space 1",
            "status": {
                "mode": "CHARGING",
                "isOnline": True,
                "powerKw": 11.0,
                "currentA": {"l1": 16.0, "l2": 16.0, "l3": 16.0},
                "allocatedA": 16.0,
                "allocatedPhases": ["L1", "L2", "L3"],
                "sessionEnergyKwh": "1.500",
                "warnings": [],
                "version": 2,
            },
        }


@pytest.mark.parametrize(
    ("person", "sees"),
    [
        ("USER of charger", "little"),
        ("USER of installation", "little"),
        ("OWNER of charger", "all"),
        ("OWNER of installation", "all"),
        ("SERVICE", "electrical"),
        ("ADMINISTRATOR", "electrical"),
    ],
)
async def test_each_role_sees_what_is_theirs(world: World, bus: RedisBus, town: Town, person: str, sees: str) -> None:
    """Live status by domain.md §2, alike in the stream and in a query: another's energy is nobody else's."""
    async with world.signed_in(await world.token(town.people[person])) as client:
        await following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 2, session_user_id=new_id(), **FULL))
        shown = (await next_event(client))["charger"]["status"]
        is_electrical = sees in ("all", "electrical")
        assert shown["powerKw"] == (11.0 if is_electrical else None)
        assert shown["currentA"] == ({"l1": 16.0, "l2": 16.0, "l3": 16.0} if is_electrical else None)
        assert shown["allocatedA"] == (16.0 if is_electrical else None)
        assert shown["allocatedPhases"] == (["L1", "L2", "L3"] if is_electrical else [])
        assert shown["sessionEnergyKwh"] == ("1.500" if sees == "all" else None)


async def test_a_driver_sees_their_own_session_whole(world: World, bus: RedisBus, town: Town) -> None:
    """And no longer once another charges there."""
    me = town.people["USER of charger"]
    async with world.signed_in(await world.token(me)) as client:
        await following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 2, session_user_id=me, **FULL))
        assert (await next_event(client))["charger"]["status"]["sessionEnergyKwh"] == "1.500"
        await bus.publish(status(town.site.id, town.charger_id, 3, session_user_id=new_id(), **FULL))
        assert (await next_event(client))["charger"]["status"]["sessionEnergyKwh"] is None


async def test_who_holds_one_charger_follows_that_one_only(world: World, bus: RedisBus, town: Town) -> None:
    """The neighbour's does not exist for them, in the snapshot and after it."""
    async with world.signed_in(await world.token(town.people["USER of charger"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        events = await until_ready(client)
        assert [event["chargerId"] for event in events] == [charger(town.charger_id), None]
        await bus.publish(status(town.site.id, town.neighbour_id, 2), status(town.site.id, town.charger_id, 2))
        assert (await next_event(client))["chargerId"] == charger(town.charger_id)


@pytest.mark.parametrize("person", ["stranger", "not signed in"])
async def test_a_hidden_target_is_an_absent_target(world: World, town: Town, person: str) -> None:
    """Hidden, never there, of another type and damaged: word for word the same."""
    token = await world.token(town.people[person]) if person in town.people else None
    targets = [
        (FOLLOW, installation(town.site.id)),
        (FOLLOW, installation(new_id())),
        (FOLLOW, charger(town.charger_id)),
        (FOLLOW, "bm9uc2Vuc2U"),
        (FOLLOW_ONE, charger(town.charger_id)),
        (FOLLOW_ONE, charger(new_id())),
        (FOLLOW_ONE, "%%%"),
    ]
    async with world.signed_in(token) as client:
        heard = []
        for query, target in targets:
            client.subscribe(query, target=target)
            heard.append(await client.hear())
    assert [one["type"] for one in heard] == ["error"] * len(targets)
    assert all(one["payload"] == heard[0]["payload"] for one in heard)
    assert heard[0]["payload"][0]["extensions"]["code"] == "NOT_FOUND"
    assert world.edge.audiences.count == 0


async def test_versions_only_rise(world: World, bus: RedisBus, town: Town) -> None:
    """A status that comes late is dropped."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 5))
        assert (await next_event(client))["charger"]["status"]["version"] == 5
        await bus.publish(*(status(town.site.id, town.charger_id, version) for version in (3, 5, 4)))
        await bus.publish(status(town.site.id, town.neighbour_id, 2))
        assert (await next_event(client))["chargerId"] == charger(town.neighbour_id)


async def test_identical_subscriptions_are_executed_once(world: World, bus: RedisBus, town: Town) -> None:
    """Whoever sees the same gets the same text, whatever id they gave it: one execution, one channel, however many there are."""
    second = await a_person("Second owner")
    await a_grant(Role.OWNER, town.site, user_id=second)
    tokens = [await world.token(town.people["OWNER of installation"]), await world.token(second)]
    clients = []
    for number in range(20):
        client = Socket(world.app, headers=(), protocol="graphql-transport-ws")
        await client.init(tokens[number % 2])
        await following(client, town.site, id=f"op {number}")
        clients.append(client)
    assert world.edge.audiences.count == 1
    assert world.edge.audiences.executions == 3
    before = world.edge.audiences.executions
    await bus.publish(status(town.site.id, town.charger_id, 2, **FULL))
    heard = [await client.hear() for client in clients]
    assert world.edge.audiences.executions == before + 1
    assert [one.pop("id") for one in heard] == [f"op {number}" for number in range(20)]
    assert all(one == heard[0] for one in heard)
    assert bus.channel_count == 1 + len(tokens)
    for client in clients:
        await client.hang_up()
    assert (world.edge.audiences.count, bus.channel_count) == (0, 0)


async def test_what_depends_on_the_viewer_is_not_shared(world: World, bus: RedisBus, town: Town) -> None:
    """Two owners of the same installation who ask for their own roles have an audience each."""
    second = await a_person("Second owner")
    await a_grant(Role.OWNER, town.site, user_id=second)
    query = "subscription ($t: ID!) { chargerStatus(target: {installationId: $t}) { kind charger { viewerRoles } } }"
    async with (
        world.signed_in(await world.token(town.people["OWNER of installation"])) as one,
        world.signed_in(await world.token(second)) as other,
    ):
        for client in (one, other):
            client.subscribe(query, t=installation(town.site.id))
            await until_ready(client)
        assert world.edge.audiences.count == 2


async def test_a_slow_reader_gets_the_newest_and_nobody_waits_for_it(world: World, bus: RedisBus, town: Town) -> None:
    """Of each charger the newest status; the other reader has had all of them."""
    token = await world.token(town.people["OWNER of installation"])
    async with world.signed_in(token) as slow, world.signed_in(token) as quick:
        await following(slow, town.site)
        await following(quick, town.site)
        slow.is_reading.clear()
        for version in range(2, 40):
            await bus.publish(
                status(town.site.id, town.charger_id, version), status(town.site.id, town.neighbour_id, version)
            )
            assert (await next_event(quick))["charger"]["status"]["version"] == version
            assert (await next_event(quick))["charger"]["status"]["version"] == version
        slow.is_reading.set()
        # One message was already being written when the reader stopped.
        versions: dict[str, list[int]] = {}
        while [seen[-1] for seen in versions.values()] != [39, 39]:
            event = await next_event(slow)
            versions.setdefault(event["chargerId"], []).append(event["charger"]["status"]["version"])
        assert all(seen == sorted(set(seen)) for seen in versions.values())
        assert sum(len(seen) for seen in versions.values()) <= 3


async def test_a_charger_that_is_taken_away_is_removed_and_a_renamed_one_told(
    world: World, bus: RedisBus, town: Town
) -> None:
    """Changes of the tree reach those who follow it."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await following(client, town.site)
        await Charger.filter(id=town.neighbour_id).update(removed_at=NOW)
        await Charger.filter(id=town.charger_id).update(name="Space 1 A")
        await bus.publish(InstallationChanged(installation_id=town.site.id))
        removed, renamed = await next_event(client), await next_event(client)
        assert (removed["kind"], removed["chargerId"]) == ("REMOVED", charger(town.neighbour_id))
        assert (renamed["kind"], renamed["charger"]["name"]) == ("CHANGED", "Space 1 A")


async def test_a_heartbeat_is_sent_in_silence(bus: RedisBus, town: Town) -> None:
    """With a cursor; what was published while nobody heard it is told with it."""
    world = World(bus, heartbeat_s=0.05)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await following(client, town.site)
        await ChargerStatus.filter(charger_id=town.charger_id).update(version=7)
        events = [await next_event(client)]
        while events[-1]["kind"] != "CHANGED":
            events.append(await next_event(client))
        assert events[-1]["charger"]["status"]["version"] == 7
        assert (await next_event(client))["kind"] == "HEARTBEAT"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "subscription ($t: ID!) { chargerStatus(target: {installationId: $t}) { charger { permissions(first: 2) { nodes { id } } } } }",
            "`permissions` is a list in pages",
        ),
        ("subscription ($t: ID!) { chargerStatus(target: {installationId: $t}) { kind } accessChanged { at } }", "one"),
        ("subscription ($t: ID!) { chargerStatus(target: {installationId: $t, chargerId: $t}) { kind } }", "one"),
        ("subscription ($t: ID!) { chargerStatus(target: {installationId: $t}) { knd } }", "Cannot query field 'knd'"),
    ],
)
async def test_subscriptions_that_cannot_be_followed_are_refused(
    world: World, town: Town, query: str, words: str
) -> None:
    """One root field, one target, no pages below it."""
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        client.subscribe(query, t=installation(town.site.id))
        heard = await client.hear()
        assert heard["type"] == "error"
        assert words in heard["payload"][0]["message"]
        assert heard["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_command_is_followed_to_its_end(world: World, bus: RedisBus, town: Town) -> None:
    """The present state, each change once, complete after the final one; a stranger finds nothing."""
    person = town.people["OWNER of installation"]
    row = await Command.create(
        installation_id=town.site.id,
        charger_id=town.charger_id,
        requested_by_id=person,
        action=CommandAction.PAUSE,
        requested_at=NOW,
        deadline=NOW + timedelta(minutes=1),
    )
    query = "subscription ($id: ID!) { commandChanged(commandId: $id) { state isFinal charger { name } } }"
    identity = global_id("Command", row.id)
    async with world.signed_in(await world.token(person)) as client:
        client.tell({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": {"id": identity}}})
        seen = [await client.hear()]
        for state in (CommandState.SENT, CommandState.SENT, CommandState.CONFIRMED):
            await Command.filter(id=row.id).update(state=state)
            await bus.publish(CommandChanged(command_id=row.id, charger_id=town.charger_id, state=state))
            if state.value != seen[-1]["payload"]["data"]["commandChanged"]["state"]:
                seen.append(await client.hear())
        assert await client.hear() == {"id": "1", "type": "complete"}
        client.tell({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": {"id": identity}}})
        again = await client.hear()
        assert await client.hear() == {"id": "1", "type": "complete"}
    states = [one["payload"]["data"]["commandChanged"] for one in seen]
    assert states == [
        {"state": "QUEUED", "isFinal": False, "charger": {"name": "Space 1"}},
        {"state": "SENT", "isFinal": False, "charger": {"name": "Space 1"}},
        {"state": "CONFIRMED", "isFinal": True, "charger": {"name": "Space 1"}},
    ]
    assert again["payload"]["data"]["commandChanged"]["state"] == "CONFIRMED"
    async with world.signed_in(await world.token(town.people["stranger"])) as client:
        client.tell({"id": "1", "type": "subscribe", "payload": {"query": query, "variables": {"id": identity}}})
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "NOT_FOUND"
