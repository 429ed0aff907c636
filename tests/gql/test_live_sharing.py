"""What is read once and written once for many shows each of them no more, and no less, than is theirs."""

from contextlib import AsyncExitStack
from random import Random
from typing import Any
from uuid import UUID

import pytest

from app.redis_bus import RedisBus
from domain.events import ChargerStatusChanged, InstallationChanged
from domain.ids import new_id
from domain.models import Charger
from domain.roles import Role, Scope
from tests.factories import Town, a_grant, a_person, a_program
from tests.gql.following import next_event, until_ready
from tests.gql.world import Socket, World, charger, installation, status

FOLLOW = """subscription ($t: ID!) { chargerStatus(target: { installationId: $t }) { kind cursor chargerId charger {
  name identity status { version powerKw currentA { l1 } allocatedA allocatedPhases sessionEnergyKwh } } } }"""
_VALUES: dict[str, Any] = {
    "power_w": 11_000.0,
    "currents": (16.0, 15.0, 14.0),
    "allocated_a": 16.0,
    "allocated_phases": ("L1",),
    "session_energy_wh": 1_500,
}
_FOLLOWERS = 14
_EVENTS = 12


class _Follower:
    """One who follows, and what they hold at the site and at its chargers."""

    def __init__(self, user_id: UUID | None, rights: dict[UUID | None, set[Role | Scope]], client: Socket) -> None:
        self.user_id, self.client, self._rights = user_id, client, rights

    def held(self, charger_id: UUID) -> set[Role | Scope]:
        return self._rights.get(None, set()) | self._rights.get(charger_id, set())

    def shown(self, one: ChargerStatusChanged) -> dict[str, Any] | None:
        """The charger as domain.md §2 and §4 have it: None where it does not exist for them."""
        held = self.held(one.charger_id)
        if not held:
            return None
        is_own = self.user_id is not None and self.user_id == one.session_user_id
        is_full = is_own or not held.isdisjoint({Role.OWNER, Scope.READ_SESSIONS})
        is_electrical = is_full or not held.isdisjoint({Role.SERVICE, Scope.READ_STATUS})
        staff = {Role.OWNER, Role.SERVICE, Scope.READ_STATUS, Scope.SET_AVAILABLE_CURRENT}
        return {
            "identity": held.isdisjoint(staff),
            "status": {
                "version": one.version,
                "powerKw": 11.0 if is_electrical else None,
                "currentA": {"l1": 16.0} if is_electrical else None,
                "allocatedA": 16.0 if is_electrical else None,
                "allocatedPhases": ["L1"] if is_electrical else [],
                "sessionEnergyKwh": "1.500" if is_full else None,
            },
        }


async def _a_follower(world: World, town: Town, chance: Random, client: Socket) -> _Follower:
    site, places = town.site, (None, town.charger_id, town.neighbour_id)
    rights: dict[UUID | None, set[Role | Scope]] = {}
    if chance.random() < 0.25:
        scopes = chance.sample([Scope.READ_STATUS, Scope.READ_SESSIONS, Scope.MANAGE_CARDS], chance.randrange(1, 3))
        program = await a_program(site, scopes=scopes)
        await client.init(program.secret)
        return _Follower(None, {None: set(scopes)}, client)
    person = await a_person("Somebody")
    for place in chance.sample(places, chance.randrange(1, 4)):
        role = chance.choice(
            [Role.USER, Role.USER, Role.OWNER, Role.SERVICE] if place is None else [Role.USER, Role.OWNER]
        )
        await a_grant(role, site, user_id=person, charger_id=place)
        rights.setdefault(place, set()).add(role)
    if chance.random() < 0.5:
        await a_grant(Role.OWNER, town.other_site, user_id=person)
    await client.init(await world.token(person))
    return _Follower(person, rights, client)


@pytest.mark.parametrize("seed", range(3))
async def test_no_byte_crosses_visibility(world: World, bus: RedisBus, town: Town, seed: int) -> None:
    """Random rights, all following in the same words, random charges among them: each hears what is theirs of each, and nothing else."""
    chance = Random(seed)
    async with AsyncExitStack() as stack:
        followers = []
        for _ in range(_FOLLOWERS):
            client = await stack.enter_async_context(world.socket())
            followers.append(await _a_follower(world, town, chance, client))
            client.subscribe(FOLLOW, t=installation(town.site.id))
            seen = await until_ready(client)
            there = [charger(one) for one in (town.charger_id, town.neighbour_id) if followers[-1].held(one)]
            assert [one["chargerId"] for one in seen] == [*there, None]
        people = [one.user_id for one in followers if one.user_id is not None]
        for version in range(2, 2 + _EVENTS):
            where = chance.choice([town.charger_id, town.neighbour_id])
            driver = chance.choice([*people, new_id(), None])
            one = status(town.site.id, where, version, session_user_id=driver, **_VALUES)
            await bus.publish(one)
            for follower in followers:
                await _hears(follower, one)
        assert world.edge.audiences.executions < world.edge.audiences.counts.roots["chargerStatus"].frames


async def _hears(follower: _Follower, one: ChargerStatusChanged) -> None:
    wanted = follower.shown(one)
    if wanted is None:
        assert follower.client.waiting == 0
        return
    event = await next_event(follower.client)
    shown = event["charger"]
    assert (event["chargerId"], shown["status"]) == (charger(one.charger_id), wanted["status"])
    assert (shown["identity"] is None) == wanted["identity"]


async def test_a_program_that_reads_sessions_is_told_no_more_of_chargers(world: World, town: Town) -> None:
    """What a charger is called on the wire is for who sees what it is, though an owner follows in the same words."""
    program = await a_program(town.site, scopes=[Scope.READ_SESSIONS])
    owner = await world.token(town.people["OWNER of installation"])
    async with world.signed_in(owner) as one, world.signed_in(program.secret) as two:
        told = []
        for client in (one, two):
            client.subscribe(FOLLOW, t=installation(town.site.id))
            told.append([event["charger"]["identity"] for event in (await until_ready(client))[:-1]])
    assert all(told[0])
    assert told[1] == [None, None]


async def test_a_change_of_the_site_is_read_once_for_all(world: World, bus: RedisBus, town: Town) -> None:
    """Each is told what they see of it, whatever they hold."""
    people = ("OWNER of installation", "SERVICE", "USER of installation", "USER of charger")
    async with AsyncExitStack() as stack:
        clients = []
        for name in people:
            clients.append(await stack.enter_async_context(world.signed_in(await world.token(town.people[name]))))
            clients[-1].subscribe(FOLLOW, t=installation(town.site.id))
            await until_ready(clients[-1])
        await Charger.filter(id=town.charger_id).update(name="Space 1 A")
        await bus.publish(InstallationChanged(town.site.id))
        told = [(await next_event(client))["charger"] for client in clients]
    assert [one["name"] for one in told] == ["Space 1 A"] * 4
    assert [one["identity"] is None for one in told] == [False, False, True, True]
