"""What a stream shows of a thing is what a query shows of it, field by field, whoever asks and whoever else follows in the same words."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from app.redis_bus import RedisBus
from domain.access import anyone_holding
from domain.equipment.charger_statuses import statuses_by_charger_ids
from domain.events import AlertChanged, Event, PermissionChanged, SessionChanged
from domain.models import Alert, ChargerStatus, ChargeSession, Permission
from domain.roles import AlertState, OperatingMode, Role, Scope, SessionState
from gql.ids import global_id
from gql.resolvers import alert_stream, dashboard, session_stream, status_stream
from gql.schema.public import public_schema
from tests.factories import NOW, Town, a_card, a_grant, a_person, a_program, a_session, an_alert
from tests.gql.world import Socket, World, installation

_DEEPEST = 3


def _selection(kind: str, is_wanted: Callable[[str], bool], depth: int = 0) -> str:
    """Every wanted field (`Type.field`) without arguments, and of other objects every wanted field of theirs."""
    found = public_schema()._schema.get_type(kind)
    assert isinstance(found, GraphQLObjectType)
    names = ["__typename"]
    for name, field in found.fields.items():
        inner = get_named_type(field.type)
        if field.args or not is_wanted(f"{kind}.{name}"):
            continue
        if not isinstance(inner, GraphQLObjectType):
            names.append(name)
        elif depth < _DEEPEST:
            names.append(f"{name} {{ {_selection(inner.name, is_wanted, depth + 1)} }}")
    return " ".join(names)


_STREAMS = {
    "chargerStatus": ("Charger", "charger", status_stream.SHARED_FIELDS),
    "sessionChanged": ("ChargeSession", "session", session_stream.SHARED_FIELDS),
    "alertChanged": ("Alert", "alert", alert_stream.SHARED_FIELDS),
    "dashboard": ("Dashboard", None, dashboard.SHARED_FIELDS),
}


class _Stream:
    """One stream, in words that ask for all that is shared, or for whatever there is."""

    def __init__(self, name: str, *, is_shared: bool) -> None:
        self.name = name
        self.kind, self.thing, shared = _STREAMS[name]
        self.selection = _selection(
            self.kind, shared.__contains__ if is_shared else lambda _path: True, 0 if is_shared else 2
        )

    def follow(self, town: Town) -> str:
        """The subscription, of everything at the town's site."""
        site = f'"{installation(town.site.id)}"'
        if self.thing is None:
            return f"subscription {{ dashboard(installationId: {site}) {{ {self.selection} }} }}"
        return (
            f"subscription {{ {self.name}(target: {{ installationId: {site} }}) "
            f"{{ kind {self.thing} {{ {self.selection} }} }} }}"
        )

    def taken(self, heard: dict[str, Any]) -> tuple[str, Any]:
        """The event's kind, and the thing that it shows."""
        if heard["type"] != "next":
            return heard["type"], None
        event = heard["payload"]["data"][self.name]
        return ("SNAPSHOT", event) if self.thing is None else (event["kind"], event[self.thing])

    async def asked(self, world: World, token: str, identity: str) -> Any:
        """The same by a query."""
        found = await world.run(
            f"query ($id: ID!) {{ node(id: $id) {{ ... on {self.kind} {{ {self.selection} }} }} }}", token, id=identity
        )
        assert "errors" not in found, found
        return found["data"]["node"]


async def _callers(world: World, town: Town) -> dict[str, str]:
    """One for each role and each scope, and two with several; by name."""
    both = await a_person("USER and OWNER")
    await a_grant(Role.USER, town.site, user_id=both)
    await a_grant(Role.OWNER, town.site, user_id=both, charger_id=town.charger_id)
    everywhere = await a_person("OWNER everywhere")
    await a_grant(Role.OWNER, town.site, user_id=everywhere)
    await a_grant(Role.OWNER, town.other_site, user_id=everywhere)
    town.people.update({"USER and OWNER": both, "OWNER everywhere": everywhere})
    found = {name: await world.token(user_id) for name, user_id in town.people.items()}
    for scope in Scope:
        found[scope.name] = (await a_program(town.site, scopes=[scope], name=scope.name)).secret
    return found


async def _happens(town: Town, driver: str, version: int) -> dict[str, tuple[Event, str]]:
    """That person charges at Space 1, and somebody looks after an alert there; what is told of it, and of what, by type."""
    user_id = town.people[driver]
    await ChargeSession.filter(state=SessionState.ACTIVE).update(state=SessionState.ENDED, ended_at=NOW)
    card = await a_card(user_id, number=f"04A1B2{version:02}")
    session = await a_session(
        town.site, town.charger_id, user_id=user_id, user_name=driver, card_id=card, state=SessionState.ACTIVE
    )
    await ChargeSession.filter(id=session).update(external_id=f"external {version}", card_name="Blue tag")
    await ChargerStatus.filter(charger_id=town.charger_id).update(
        mode=OperatingMode.CHARGING,
        is_online=True,
        power_w=11_000.0,
        current_l1=16.0,
        current_l2=15.0,
        current_l3=14.0,
        allocated_a=16.0,
        allocated_phases="L1L2L3",
        session_id=session,
        session_energy_wh=1_500,
        version=version,
    )
    await Alert.all().delete()
    alert = await an_alert(town.site.id, town.charger_id)
    await Alert.filter(id=alert).update(
        state=AlertState.ACKNOWLEDGED, acknowledged_by_id=user_id, acknowledged_at=NOW, note="Mine."
    )
    everyone = anyone_holding(Role.OWNER, town.site.id, now=NOW)
    status = (await statuses_by_charger_ids(everyone, [town.charger_id]))[town.charger_id]
    told = SessionChanged(town.site.id, town.charger_id, session, user_id, "STARTED")
    return {
        "Charger": (status, global_id("Charger", town.charger_id)),
        "ChargeSession": (told, global_id("ChargeSession", session)),
        "Alert": (AlertChanged(alert, town.site.id, town.charger_id), global_id("Alert", alert)),
    }


async def _until_ready(client: Socket, stream: _Stream) -> list[Any]:
    """What is shown first; nothing where it is refused."""
    found: list[Any] = []
    while True:
        kind, thing = stream.taken(await client.hear())
        if kind in ("READY", "error"):
            return found
        found.append(thing)
        if stream.thing is None:
            return found


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("name", _STREAMS)
async def test_a_stream_shows_what_a_query_shows(
    world: World, bus: RedisBus, town: Town, name: str, is_shared: bool
) -> None:
    """First, when something happens, and with other rights; to whom a query shows nothing, nothing is told."""
    stream = _Stream(name, is_shared=is_shared)
    tokens = await _callers(world, town)
    await _happens(town, "SERVICE", 2)
    async with AsyncExitStack() as stack:
        clients = {who: await stack.enter_async_context(world.signed_in(token)) for who, token in tokens.items()}
        for who, client in clients.items():
            client.subscribe(stream.follow(town))
            for thing in await _until_ready(client, stream):
                assert thing == await stream.asked(world, tokens[who], thing["id"]), who
        if stream.thing is None:
            return
        for version, driver in enumerate(("OWNER of installation", "USER and OWNER", "ADMINISTRATOR"), start=3):
            if driver == "ADMINISTRATOR":
                for who in await _swapped(town, bus):
                    await _moved(clients[who], stream, town)
            event, identity = (await _happens(town, driver, version))[stream.kind]
            await bus.publish(event)
            wanted = {who: await stream.asked(world, tokens[who], identity) for who in clients}
            for who, client in clients.items():
                if wanted[who] is not None:
                    assert stream.taken(await client.hear())[1] == wanted[who], (driver, who)
            assert [who for who, client in clients.items() if client.waiting] == []


async def _swapped(town: Town, bus: RedisBus) -> tuple[str, str]:
    """Who owned the installation may only charge there, and the other way round."""
    names = ("OWNER of installation", "USER of installation")
    owner, user = (town.people[name] for name in names)
    await Permission.filter(user_id=owner).update(user_id=user)
    await Permission.filter(user_id=user, role=Role.USER).update(user_id=owner)
    await bus.publish(*(PermissionChanged(user_id=one, installation_id=town.site.id) for one in (owner, user)))
    return names


async def _moved(client: Socket, stream: _Stream, town: Town) -> None:
    """The client follows with its present rights, and has heard what they show and take away."""
    # One frame at least tells of it; who follows anew waits until all is told.
    await client.hear()
    client.subscribe(stream.follow(town), id="after it")
    while stream.taken(heard := await client.hear())[0] != "READY" or heard["id"] != "after it":
        pass
    client.tell({"id": "after it", "type": "complete"})
    client.tell({"type": "ping"})
    while (await client.hear())["type"] != "pong":
        pass
