"""Charger statuses as streams: one execution for all who see the same, never an older status, never more than is theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from asyncpg import ConnectionDoesNotExistError

from app.database import Database
from app.redis_bus import RedisBus
from domain import sql
from domain.events import CommandChanged, Heard, InstallationChanged, Kept, PermissionChanged, Place, SignInEnded
from domain.ids import new_id
from domain.models import Charger, ChargerStatus, Command, Permission, SignIn
from domain.ports import EventLog
from domain.roles import CommandAction, CommandState, Role
from gql.cursors import Cursors
from gql.ids import global_id
from tests.factories import NOW, Site, Town, a_grant, a_person
from tests.gql.world import PATIENCE_S, SECRET, Socket, World, charger, installation, status

FOLLOW = """
subscription Live($target: ID!) {
  chargerStatus(target: { installationId: $target }) {
    kind cursor isResync chargerId
    charger { id name status { mode isOnline powerKw allocatedA allocatedPhases sessionEnergyKwh version
      currentA { l1 l2 l3 } warnings { kind } } }
  }
}
"""
FOLLOW_ONE = "subscription One($target: ID!) { chargerStatus(target: { chargerId: $target }) { kind chargerId } }"
FULL: dict[str, Any] = {
    "power_w": 11_000.0,
    "currents": (16.0, 16.0, 16.0),
    "allocated_a": 16.0,
    "allocated_phases": ("L1", "L2", "L3"),
    "session_energy_wh": 1_500,
}


async def _event(client: Socket) -> dict[str, Any]:
    heard = await client.hear()
    assert heard["type"] == "next", heard
    assert "errors" not in heard["payload"], heard
    event: dict[str, Any] = heard["payload"]["data"]["chargerStatus"]
    return event


async def _until_ready(client: Socket) -> list[dict[str, Any]]:
    events = [await _event(client)]
    while events[-1]["kind"] != "READY":
        events.append(await _event(client))
    return events


async def _following(client: Socket, site: Site, id: str = "1") -> None:
    client.subscribe(FOLLOW, id=id, target=installation(site.id))
    await _until_ready(client)


async def test_first_the_present_then_what_changes(world: World, bus: RedisBus, town: Town) -> None:
    """A snapshot of each charger, READY, then each change with its whole status."""
    async with world.signed_in(await world.token(town.people["OWNER of installation"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        events = await _until_ready(client)
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
        assert (await _event(client))["charger"] == {
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
        await _following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 2, session_user_id=new_id(), **FULL))
        shown = (await _event(client))["charger"]["status"]
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
        await _following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 2, session_user_id=me, **FULL))
        assert (await _event(client))["charger"]["status"]["sessionEnergyKwh"] == "1.500"
        await bus.publish(status(town.site.id, town.charger_id, 3, session_user_id=new_id(), **FULL))
        assert (await _event(client))["charger"]["status"]["sessionEnergyKwh"] is None


async def test_who_holds_one_charger_follows_that_one_only(world: World, bus: RedisBus, town: Town) -> None:
    """The neighbour's does not exist for them, in the snapshot and after it."""
    async with world.signed_in(await world.token(town.people["USER of charger"])) as client:
        client.subscribe(FOLLOW, target=installation(town.site.id))
        events = await _until_ready(client)
        assert [event["chargerId"] for event in events] == [charger(town.charger_id), None]
        await bus.publish(status(town.site.id, town.neighbour_id, 2), status(town.site.id, town.charger_id, 2))
        assert (await _event(client))["chargerId"] == charger(town.charger_id)


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
        await _following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 5))
        assert (await _event(client))["charger"]["status"]["version"] == 5
        await bus.publish(*(status(town.site.id, town.charger_id, version) for version in (3, 5, 4)))
        await bus.publish(status(town.site.id, town.neighbour_id, 2))
        assert (await _event(client))["chargerId"] == charger(town.neighbour_id)


async def test_identical_subscriptions_are_executed_once(world: World, bus: RedisBus, town: Town) -> None:
    """Whoever sees the same gets the same text, whatever id they gave it: one execution, one channel, however many there are."""
    second = await a_person("Second owner")
    await a_grant(Role.OWNER, town.site, user_id=second)
    tokens = [await world.token(town.people["OWNER of installation"]), await world.token(second)]
    clients = []
    for number in range(20):
        client = Socket(world.app, headers=(), protocol="graphql-transport-ws")
        await client.init(tokens[number % 2])
        await _following(client, town.site, id=f"op {number}")
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
            await _until_ready(client)
        assert world.edge.audiences.count == 2


async def test_a_slow_reader_gets_the_newest_and_nobody_waits_for_it(world: World, bus: RedisBus, town: Town) -> None:
    """Of each charger the newest status; the other reader has had all of them."""
    token = await world.token(town.people["OWNER of installation"])
    async with world.signed_in(token) as slow, world.signed_in(token) as quick:
        await _following(slow, town.site)
        await _following(quick, town.site)
        slow.is_reading.clear()
        for version in range(2, 40):
            await bus.publish(
                status(town.site.id, town.charger_id, version), status(town.site.id, town.neighbour_id, version)
            )
            assert (await _event(quick))["charger"]["status"]["version"] == version
            assert (await _event(quick))["charger"]["status"]["version"] == version
        slow.is_reading.set()
        # One message was already being written when the reader stopped.
        versions: dict[str, list[int]] = {}
        while [seen[-1] for seen in versions.values()] != [39, 39]:
            event = await _event(slow)
            versions.setdefault(event["chargerId"], []).append(event["charger"]["status"]["version"])
        assert all(seen == sorted(set(seen)) for seen in versions.values())
        assert sum(len(seen) for seen in versions.values()) <= 3


async def test_access_that_is_revoked_ends_the_stream(world: World, bus: RedisBus, town: Town) -> None:
    """At once, with a reason; the others go on."""
    lost, kept = town.people["OWNER of installation"], town.people["SERVICE"]
    async with world.signed_in(await world.token(lost)) as one, world.signed_in(await world.token(kept)) as other:
        await _following(one, town.site)
        await _following(other, town.site)
        await Permission.filter(user_id=lost).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=lost, installation_id=town.site.id))
        heard = await one.hear()
        assert heard["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
        assert await one.hear() == {"id": "1", "type": "complete"}
        await bus.publish(status(town.site.id, town.charger_id, 2))
        assert (await _event(other))["charger"]["status"]["version"] == 2
        assert one.waiting == 0


async def test_who_may_see_less_hears_what_is_gone_and_sees_the_rest_with_other_eyes(
    world: World, bus: RedisBus, town: Town
) -> None:
    """An owner who is left with one charger: the other is REMOVED, and of this one only what its user sees."""
    person = town.people["OWNER of installation"]
    await a_grant(Role.USER, town.site, user_id=person, charger_id=town.charger_id)
    async with world.signed_in(await world.token(person)) as client:
        await _following(client, town.site)
        await bus.publish(status(town.site.id, town.charger_id, 2, **FULL))
        await _event(client)
        await Permission.filter(user_id=person, role=Role.OWNER).update(revoked_at=NOW)
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.site.id))
        removed, present = await _event(client), await _event(client)
        assert (removed["kind"], removed["chargerId"], removed["charger"]) == (
            "REMOVED",
            charger(town.neighbour_id),
            None,
        )
        assert (present["kind"], present["charger"]["status"]["powerKw"]) == ("CHANGED", None)
        await bus.publish(status(town.site.id, town.neighbour_id, 9), status(town.site.id, town.charger_id, 3, **FULL))
        changed = await _event(client)
        assert (changed["chargerId"], changed["charger"]["status"]["powerKw"]) == (charger(town.charger_id), None)


class HeldLog:
    """An EventLog that lets nobody follow while it is held, or (`error`) cannot be read."""

    error: Exception | None = None

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.asked, self.is_free = asyncio.Event(), asyncio.Event()
        self.is_free.set()

    @asynccontextmanager
    async def follow(self, channel: str, *, limit: int = 1024) -> AsyncIterator[AsyncIterator[Heard]]:
        self.asked.set()
        await self.is_free.wait()
        async with self._log.follow(channel, limit=limit) as heard:
            yield heard

    async def read(self, channel: str, after: Place | None = None) -> Kept:
        if self.error is not None:
            raise self.error
        return await self._log.read(channel, after)


@pytest.mark.parametrize("goes", ["completes", "hangs up"])
async def test_who_goes_while_their_rights_change_leaves_nothing_behind(
    database: Database, bus: RedisBus, town: Town, goes: str
) -> None:
    """What they move to is told to nobody: no audience stays, and the same id hears only of what it is asked anew."""
    del database
    log = HeldLog(bus)
    world, person = World(bus, log=log), town.people["OWNER of installation"]
    await a_grant(Role.USER, town.site, user_id=person, charger_id=town.charger_id)
    async with world.signed_in(await world.token(person)) as client:
        await _following(client, town.site)
        await Permission.filter(user_id=person, role=Role.OWNER).update(revoked_at=NOW)
        log.asked.clear()
        log.is_free.clear()
        await bus.publish(PermissionChanged(user_id=person, installation_id=town.site.id))
        async with asyncio.timeout(PATIENCE_S):
            await log.asked.wait()
        assert (await _event(client))["kind"] == "REMOVED"
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


@pytest.mark.parametrize("follows", [True, False])
async def test_streams_that_miss_the_database_are_to_come_back(
    database: Database, bus: RedisBus, town: Town, follows: bool
) -> None:
    """1013 for the connection: an error and `complete` would be the end of them for their clients. The next try goes well."""
    del database
    log = HeldLog(bus)
    world = World(bus, log=log, heartbeat_s=0.05)
    token = await world.token(town.people["SERVICE"])
    away = ConnectionDoesNotExistError("connection was closed in the middle of operation")
    async with world.signed_in(token) as client:
        if follows:
            await _following(client, town.site)
        log.error = away
        if not follows:
            client.subscribe(FOLLOW, target=installation(town.site.id))
        assert await client.close_code() == 1013
        assert all(one["type"] == "next" for one in client.heard_before_close)
    log.error = None
    async with world.signed_in(token) as client:
        await _following(client, town.site)


async def test_who_joins_while_it_fails_is_told_why(database: Database, bus: RedisBus, town: Town) -> None:
    """Nobody is shown what may be old, and that it is complete."""
    del database
    log = HeldLog(bus)
    world = World(bus, log=log)
    token = await world.token(town.people["SERVICE"])
    async with world.signed_in(token) as client, world.signed_in(token) as late:
        client.subscribe(COME_BACK, target=installation(town.site.id))
        await _until_ready(client)
        log.error = ConnectionDoesNotExistError("connection was closed in the middle of operation")
        late.subscribe(COME_BACK, target=installation(town.site.id), after="of another time")
        assert await late.close_code() == await client.close_code() == 1013
        assert late.heard_before_close == []


async def test_what_went_wrong_is_tried_again_for_the_next(world: World, bus: RedisBus, town: Town) -> None:
    """An event is written out once for all who see it, but not where a part of it could not be read."""
    query = "subscription ($t: ID!) { chargerStatus(target: { chargerId: $t }) { kind charger { meterKey { publicKey } } } }"
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await sql.execute("ALTER TABLE meter_keys RENAME TO meter_keys_away")
        client.subscribe(query, t=charger(town.charger_id))
        first = [await client.hear() for _ in range(2)]
        await sql.execute("ALTER TABLE meter_keys_away RENAME TO meter_keys")
        client.subscribe(query, id="2", t=charger(town.charger_id))
        second = [await client.hear() for _ in range(2)]
    assert ["errors" in one["payload"] for one in (*first, *second)] == [True, False, False, False]


async def test_a_grant_ends_by_the_clock_too(world: World, bus: RedisBus, town: Town) -> None:
    """Nobody has to revoke what was given until a day."""
    guest = await a_person("Guest")
    await a_grant(Role.USER, town.site, user_id=guest, valid_to=NOW + timedelta(minutes=5))
    async with world.signed_in(await world.token(guest)) as client:
        await _following(client, town.site)
        await _settled(client)
        world.clock.advance(timedelta(minutes=5))
        assert (await client.hear())["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"


async def test_rights_are_read_again_each_minute(world: World, bus: RedisBus, town: Town) -> None:
    """A change of which the bus did not tell ends the stream all the same."""
    person = town.people["SERVICE"]
    async with world.signed_in(await world.token(person)) as client:
        await _following(client, town.site)
        await Permission.filter(user_id=person).update(revoked_at=NOW)
        await _settled(client)
        world.clock.advance(timedelta(seconds=60))
        assert (await client.hear())["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"


async def _settled(client: Socket) -> None:
    """The server has heard everything so far, and asked its database for what it needs."""
    client.subscribe("{ chargers(first: 1) { totalCount } }", id="settled")
    while (await client.hear())["type"] != "complete":
        pass


async def test_signing_out_ends_the_streams_of_that_sign_in(world: World, bus: RedisBus, town: Town) -> None:
    """Those of another sign-in of the same person go on."""
    person = town.people["SERVICE"]
    async with world.signed_in(await world.token(person)) as one, world.signed_in(await world.token(person)) as other:
        await _following(one, town.site)
        await _following(other, town.site)
        ended = await SignIn.filter(user_id=person).order_by("created_at", "id").first()
        assert ended is not None
        await SignIn.filter(id=ended.id).update(ended_at=NOW)
        await bus.publish(SignInEnded(user_id=person, sign_in_id=ended.id))
        assert (await one.hear())["payload"]["errors"][0]["extensions"]["code"] == "ACCESS_ENDED"
        assert await one.hear() == {"id": "1", "type": "complete"}
        assert await one.close_code() == 4403
        await bus.publish(status(town.site.id, town.charger_id, 2))
        assert (await _event(other))["charger"]["status"]["version"] == 2


async def test_a_charger_that_is_taken_away_is_removed_and_a_renamed_one_told(
    world: World, bus: RedisBus, town: Town
) -> None:
    """Changes of the tree reach those who follow it."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await _following(client, town.site)
        await Charger.filter(id=town.neighbour_id).update(removed_at=NOW)
        await Charger.filter(id=town.charger_id).update(name="Space 1 A")
        await bus.publish(InstallationChanged(installation_id=town.site.id))
        removed, renamed = await _event(client), await _event(client)
        assert (removed["kind"], removed["chargerId"]) == ("REMOVED", charger(town.neighbour_id))
        assert (renamed["kind"], renamed["charger"]["name"]) == ("CHANGED", "Space 1 A")


COME_BACK = FOLLOW.replace("$target: ID!", "$target: ID!, $after: String").replace(
    "{ installationId: $target }", "{ installationId: $target }, after: $after"
)


async def test_who_comes_back_with_a_cursor_is_told_what_they_missed(world: World, bus: RedisBus, town: Town) -> None:
    """The newest of each charger that changed, with the cursor of before, then READY; in the audience of those who were there."""
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(COME_BACK, id="1", target=installation(town.site.id))
        cursor = (await _until_ready(client))[-1]["cursor"]
        for version in (2, 3):
            await bus.publish(status(town.site.id, town.charger_id, version))
        told = [await _event(client) for _ in range(2)]
        for after, versions in ((cursor, [3]), (told[0]["cursor"], [3]), (told[1]["cursor"], [])):
            client.subscribe(COME_BACK, id="2", target=installation(town.site.id), after=after)
            *missed, ready = await _until_ready(client)
            assert [event["charger"]["status"]["version"] for event in missed] == versions
            assert {event["cursor"] for event in missed} <= {after}
            assert (ready["kind"], ready["isResync"], ready["cursor"]) == ("READY", False, told[1]["cursor"])
            client.tell({"id": "2", "type": "complete"})
        assert world.edge.audiences.count == 1


async def test_a_cursor_that_leads_nowhere_is_told_the_present(world: World, bus: RedisBus, town: Town) -> None:
    """Garbage, of last year, of the midst of a snapshot, of another target, other rights or another portal: isResync, no word why."""
    people, place = town.people, Place("0123abcd", 7)
    owner, site = people["OWNER of installation"], ("chargerStatus", town.site.id, None, "owner")
    async with world.signed_in(await world.token(owner)) as client:
        client.subscribe(COME_BACK, target=installation(town.site.id))
        *snapshot, ready = await _until_ready(client)
        genuine = ready["cursor"]
        async with world.signed_in(await world.token(people["SERVICE"])) as other:
            other.subscribe(COME_BACK, target=installation(town.site.id))
            others = (await _until_ready(other))[-1]["cursor"]
        client.subscribe(FOLLOW_ONE.replace("kind", "kind cursor"), id="one", target=charger(town.charger_id))
        of_one = [(await _event(client))["cursor"] for _ in range(2)][-1]
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
            events = await _until_ready(client)
            assert [(event["kind"], event["isResync"]) for event in events] == [
                ("SNAPSHOT", True),
                ("SNAPSHOT", True),
                ("READY", True),
            ], after
        client.subscribe(COME_BACK, id="100", target=installation(town.site.id), after=genuine)
        assert [event["isResync"] for event in await _until_ready(client)] == [False]
        await bus.publish(InstallationChanged(town.site.id))
        client.subscribe(COME_BACK, id="101", target=installation(town.site.id), after=genuine)
        assert [event["isResync"] for event in await _until_ready(client)] == [True] * 3


async def test_a_slow_reader_may_go_on_from_whatever_it_took(bus: RedisBus, town: Town) -> None:
    """A newer status that took the place of one that waited has the cursor of that one: what waits behind it is not had yet."""
    world = World(bus, writes_now=False)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        client.subscribe(COME_BACK, target=installation(town.site.id))
        await _until_ready(client)
        client.is_reading.clear()
        for version in (2, 3):
            for one in (town.charger_id, town.neighbour_id):
                await bus.publish(status(town.site.id, one, version))
        await _settled_while_silent(bus, town)
        client.is_reading.set()
        first = await _event(client)
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


async def _settled_while_silent(bus: RedisBus, town: Town) -> None:
    """Everything that was published to the installation has been heard in this process."""
    async with bus.follow(f"installation:{town.site.id}") as heard:
        await bus.publish(PermissionChanged(user_id=new_id(), installation_id=town.site.id))
        await anext(heard)
    for _ in range(20):
        await ChargerStatus.all().count()


async def test_a_heartbeat_is_sent_in_silence(bus: RedisBus, town: Town) -> None:
    """With a cursor; what was published while nobody heard it is told with it."""
    world = World(bus, heartbeat_s=0.05)
    async with world.signed_in(await world.token(town.people["SERVICE"])) as client:
        await _following(client, town.site)
        await ChargerStatus.filter(charger_id=town.charger_id).update(version=7)
        events = [await _event(client)]
        while events[-1]["kind"] != "CHANGED":
            events.append(await _event(client))
        assert events[-1]["charger"]["status"]["version"] == 7
        assert (await _event(client))["kind"] == "HEARTBEAT"


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
