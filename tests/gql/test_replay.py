"""Clients that come back go on where they were: their state is the server's, whatever befell their line, and theirs only."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.database import Database, opened
from app.event_log import EventLog
from app.redis_bus import RedisBus
from domain.access import Access, access_of
from domain.events import AlertChanged, InstallationChanged, SessionChanged
from domain.models import Alert, ChargerStatus, ChargeSession
from domain.roles import AlertState, Role, SessionState
from gql.ids import global_id
from tests.factories import NOW, Town, a_grant, a_person, a_session, a_town, an_alert
from tests.gql.world import PATIENCE_S, Socket, World, charger, installation, status

STREAMS = {
    "chargerStatus": "chargerId charger { status { version mode powerKw sessionEnergyKwh } }",
    "sessionChanged": "sessionId session { state energyKwh }",
    "alertChanged": "alertId alert { state }",
}
TARGETS = {"chargerStatus": "StatusTarget!", "sessionChanged": "SessionTarget!", "alertChanged": "StatusTarget!"}


def _document(stream: str) -> str:
    return (
        f"subscription ($target: {TARGETS[stream]}, $after: String)"
        f" {{ {stream}(target: $target, after: $after) {{ kind cursor isResync {STREAMS[stream]} }} }}"
    )


@dataclass
class Held:
    """What a client has of one stream."""

    things: dict[str, Any] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)
    cursor: str | None = None
    is_ready: bool = False
    is_forgetting: bool = False
    """In the midst of a snapshot that replaces what was had."""
    resyncs: int = 0


@dataclass
class Client:
    """Someone who follows an installation by all streams, keeps what they are told, and comes back with their cursors."""

    token: str
    target: str
    held: dict[str, Held] = field(default_factory=lambda: {stream: Held() for stream in STREAMS})
    newest: dict[str, int] = field(default_factory=dict)
    socket: Socket | None = None

    async def come(self, world: World) -> None:
        """Connected, and following from where they were."""
        self.socket = Socket(world.app, headers=(), protocol="graphql-transport-ws")
        await self.socket.init(self.token)
        for stream, held in self.held.items():
            held.is_ready = held.is_forgetting = False
            given = {"target": {"installationId": self.target}, "after": held.cursor}
            self.socket.subscribe(_document(stream), id=stream, **given)

    async def hear(self) -> None:
        """The next event is taken."""
        assert self.socket is not None
        heard = await self.socket.hear()
        assert (heard["type"], heard["payload"].get("errors")) == ("next", None), heard
        self._take(heard["id"], heard["payload"]["data"][heard["id"]])

    def _take(self, stream: str, event: dict[str, Any]) -> None:
        held = self.held[stream]
        if event["isResync"] and not held.is_forgetting:
            held.things, held.is_ready, held.resyncs = {}, False, held.resyncs + 1
        held.is_forgetting = event["isResync"] and event["kind"] != "READY"
        held.cursor = event["cursor"]
        if event["kind"] == "READY":
            held.is_ready = True
        identity = next(value for name, value in event.items() if name in ("chargerId", "sessionId", "alertId"))
        if stream == "chargerStatus" and identity is not None and event["charger"] is not None:
            shown = event["charger"]["status"]
            assert shown["version"] >= self.newest.get(identity, 0), "an older state was shown"
            self.newest[identity] = shown["version"]
            held.things[identity] = (shown["version"], shown["mode"])
        elif stream == "sessionChanged" and event["session"] is not None:
            if event["kind"] in ("ENDED", "REPLACED"):
                held.ends.add(f"{event['kind']} {identity}")
            if event["session"]["state"] == "ACTIVE":
                held.things[identity] = event["session"]["energyKwh"]
            else:
                held.things.pop(identity, None)
        elif stream == "alertChanged" and event["alert"] is not None and event["alert"]["state"] != "RESOLVED":
            held.things[identity] = event["alert"]["state"]
        elif identity is not None:
            held.things.pop(identity, None)

    async def is_cut_off(self) -> None:
        """What was on its way is lost."""
        if self.socket is not None:
            await self.socket.hang_up()
            self.socket = None
        # Half a snapshot is none.
        for held in self.held.values():
            held.is_ready = False


@dataclass
class House:
    """Two processes of the server over the same tables and the same Redis, a town, and what happens in it."""

    worlds: list[World]
    buses: list[RedisBus]
    redis: Redis
    town: Town
    expected: dict[str, dict[str, Any]]
    ends: set[str] = field(default_factory=set)
    versions: dict[UUID, int] = field(default_factory=dict)
    sessions: dict[UUID, UUID] = field(default_factory=dict)
    alerts: list[UUID] = field(default_factory=list)
    count: int = 0

    async def happen(self, what: str, at: int) -> None:
        """One thing happens at one of the chargers, and is published by one of the processes."""
        self.count += 1
        bus, charger_id = self.buses[at % 2], (self.town.charger_id, self.town.neighbour_id)[at // 2]
        match what:
            case "status" | "unheard status":
                await self._status(charger_id, bus if what == "status" else None)
            case "session":
                await self._session(charger_id, bus)
            case "end":
                await self._end(charger_id, bus)
            case "alert":
                await self._alert(charger_id, bus)
            case "tree":
                await bus.publish(InstallationChanged(self.town.site.id))

    async def _status(self, charger_id: UUID, bus: RedisBus | None) -> None:
        version = self.versions[charger_id] = self.versions.get(charger_id, 1) + 1
        told = status(
            self.town.site.id,
            charger_id,
            version,
            power_w=11_000.0,
            session_user_id=self.town.people["USER of charger"],
            session_energy_wh=version,
        )
        await ChargerStatus.filter(charger_id=charger_id).update(version=version, mode=told.mode, is_online=True)
        self.expected["chargerStatus"][charger(charger_id)] = (version, told.mode.value)
        if bus is not None:
            await bus.publish(told)
        else:
            # Its process died before it came to publish, which another notices.
            await EventLog(self.redis, b"").break_off()

    async def _session(self, charger_id: UUID, bus: RedisBus) -> None:
        driver, known = self.town.people["USER of charger"], self.sessions.get(charger_id)
        wh = self.count * 10
        if known is None:
            known = await a_session(self.town.site, charger_id, user_id=driver, state=SessionState.ACTIVE, energy_wh=wh)
            self.sessions[charger_id] = known
            change = "STARTED"
        else:
            await ChargeSession.filter(id=known).update(energy_wh=wh)
            change = "UPDATED"
        self.expected["sessionChanged"][global_id("ChargeSession", known)] = f"{wh / 1000:.3f}"
        await bus.publish(SessionChanged(self.town.site.id, charger_id, known, driver, change))

    async def _end(self, charger_id: UUID, bus: RedisBus) -> None:
        driver, known = self.town.people["USER of charger"], self.sessions.pop(charger_id, None)
        if known is None:
            return
        identity = global_id("ChargeSession", known)
        await ChargeSession.filter(id=known).update(state=SessionState.ENDED, ended_at=NOW, registered_at=NOW)
        del self.expected["sessionChanged"][identity]
        self.ends |= {f"ENDED {identity}", f"REPLACED {identity}"}
        ended = SessionChanged(self.town.site.id, charger_id, known, driver, "ENDED")
        await bus.publish(ended, SessionChanged(self.town.site.id, charger_id, known, driver, "REPLACED"))

    async def _alert(self, charger_id: UUID, bus: RedisBus) -> None:
        if not self.alerts:
            self.alerts.append(await an_alert(self.town.site.id, charger_id))
            state = AlertState.OPEN
        else:
            row = await Alert.get(id=self.alerts[-1])
            state = AlertState.ACKNOWLEDGED if row.state is AlertState.OPEN else AlertState.RESOLVED
            is_over = state is AlertState.RESOLVED
            open_key = None if is_over else row.open_key
            await Alert.filter(id=row.id).update(state=state, resolved_at=NOW if is_over else None, open_key=open_key)
        identity = self.alerts[-1]
        self.expected["alertChanged"][global_id("Alert", identity)] = state.value
        if state is AlertState.RESOLVED:
            self.expected["alertChanged"].pop(global_id("Alert", self.alerts.pop()))
        await bus.publish(AlertChanged(identity, self.town.site.id, charger_id))

    async def is_had_by(self, client: Client) -> None:
        """What the client has becomes what is, and every end was told of unless they had to forget."""
        while any(
            held.things != self.expected[stream] or not held.is_ready for stream, held in client.held.items()
        ) or not self._ends_told(client):
            try:
                await client.hear()
            except TimeoutError:
                raise AssertionError(f"nothing more comes: {client.held}, expected {self.expected}") from None

    def _ends_told(self, client: Client) -> bool:
        held = client.held["sessionChanged"]
        return bool(held.resyncs) or self.ends <= held.ends


async def _house(database: Database, redis_url: str, stack: AsyncExitStack) -> House:
    await stack.enter_async_context(opened(database))
    buses = [await stack.enter_async_context(RedisBus(redis_url)) for _ in range(2)]
    redis = await stack.enter_async_context(Redis.from_url(redis_url))
    town = await a_town()
    shown = {
        charger(row.charger_id): (row.version, row.mode.value)
        for row in await ChargerStatus.filter(charger__installation_id=town.site.id)
    }
    expected: dict[str, dict[str, Any]] = {"chargerStatus": shown, "sessionChanged": {}, "alertChanged": {}}
    return House([World(bus) for bus in buses], buses, redis, town, expected)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop for many examples."""
    with asyncio.Runner() as one:
        yield one


@pytest.fixture
def house(runner: asyncio.Runner, sqlite_template: Path, redis_urls: dict[str, str], tmp_path: Path) -> Iterator[House]:
    """Two processes of the server, and a town."""
    database = Database(sqlite_file=Path(shutil.copy(sqlite_template, tmp_path / "lade.sqlite3")))
    stack = AsyncExitStack()
    yield runner.run(_house(database, redis_urls["sqlite"], stack))
    runner.run(stack.aclose())


WHO = "{ viewer { user { name } } }"
HAPPENINGS = ("status", "status", "session", "session", "end", "alert", "alert", "tree", "unheard status")
STEP = st.one_of(
    st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 3)),
    st.tuples(st.just("cut after"), st.integers(0, 6)),
    st.tuples(st.just("come"), st.integers(0, 1)),
    st.tuples(st.sampled_from(("stop reading", "read on", "lose a cursor")), st.just(0)),
)


async def _lived(house: House, script: list[tuple[str, int]]) -> None:
    client = Client(
        await house.worlds[0].token(house.town.people["OWNER of installation"]), installation(house.town.site.id)
    )
    client.held["sessionChanged"].ends |= house.ends
    await client.come(house.worlds[0])
    async with asyncio.timeout(PATIENCE_S * 4):
        for what, number in script:
            await _one_step(house, client, what, number)
        if client.socket is None:
            await client.come(house.worlds[1])
        assert client.socket is not None
        client.socket.is_reading.set()
        await house.is_had_by(client)
    await client.is_cut_off()


async def _one_step(house: House, client: Client, what: str, number: int) -> None:
    socket = client.socket
    match what:
        case "cut after":
            # Some of what has come is taken, the rest is lost with the line.
            for _ in range(min(number, socket.waiting if socket is not None else 0)):
                await client.hear()
            await client.is_cut_off()
        case "come" if socket is None:
            await client.come(house.worlds[number])
        case "stop reading" if socket is not None:
            socket.is_reading.clear()
        case "read on" if socket is not None:
            socket.is_reading.set()
        case "lose a cursor":
            client.held["alertChanged"].cursor = "bm9uc2Vuc2U"
        case _ if what in HAPPENINGS:
            await house.happen(what, number)
            if client.held["sessionChanged"].cursor is None:
                # Whoever has taken nothing yet begins with what there is then.
                client.held["sessionChanged"].ends |= house.ends
            if socket is not None and socket.is_reading.is_set():
                await house.is_had_by(client)


def test_one_who_is_cut_off_at_random_has_the_state_of_the_server(house: House, runner: asyncio.Runner) -> None:
    """After every event that reaches them, by whichever process they come back; nothing older is ever shown, no end skipped."""

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(script=st.lists(STEP, min_size=4, max_size=14))
    def lives(script: list[tuple[str, int]]) -> None:
        runner.run(_lived(house, script))

    lives()


GRANT = st.tuples(
    st.sampled_from((Role.OWNER, Role.USER, Role.SERVICE)), st.sampled_from(("here", "one", "other", "elsewhere"))
)
TARGET = st.sampled_from(("here", "one", "other", "elsewhere", "hidden"))


async def _looked(
    house: House, grants: set[tuple[Role, str]], targets: dict[str, str], script: list[tuple[str, int]]
) -> None:
    """One with those grants follows those targets while things happen, and comes back with cursors of the owner."""
    town, world = house.town, house.worlds[0]
    person = await a_person("Viewer")
    for role, where in sorted(grants):
        place = town.other_site if where == "elsewhere" else town.site
        charger_id = {"one": town.charger_id, "other": town.neighbour_id}.get(where)
        await a_grant(role, place, user_id=person, charger_id=charger_id)
    access = await access_of(person, now=NOW)
    objects = {
        "here": {"installationId": installation(town.site.id)},
        "one": {"chargerId": charger(town.charger_id)},
        "other": {"chargerId": charger(town.neighbour_id)},
        "elsewhere": {"installationId": installation(town.other_site.id)},
        "hidden": {"chargerId": charger(town.other_charger_id)},
    }
    heard: list[str] = []
    async with (
        world.signed_in(await world.token(town.people["OWNER of installation"])) as owner,
        world.signed_in(await world.token(person)) as viewer,
    ):
        cursors = dict.fromkeys(STREAMS, "")
        for stream in STREAMS:
            owner.subscribe(_document(stream), id=stream, target=objects["here"])
            viewer.subscribe(_document(stream), id=stream, target=objects[targets[stream]])
        for step, (what, number) in enumerate(script):
            await house.happen(what, number)
            await world.run(WHO)
            heard += [orjson.dumps(await viewer.hear()).decode() for _ in range(viewer.waiting)]
            for told in [await owner.hear() for _ in range(owner.waiting)]:
                cursors[told["id"]] = told["payload"]["data"][told["id"]]["cursor"]
            for stream in STREAMS:
                given = {"target": objects[targets[stream]], "after": cursors[stream]}
                viewer.subscribe(_document(stream), id=f"{stream} {step}", **given)
        await world.run(WHO)
        heard += [orjson.dumps(await viewer.hear()).decode() for _ in range(viewer.waiting)]
    await _is_theirs(house, access, "\n".join(heard))


async def _is_theirs(house: House, access: Access, heard: str) -> None:
    """No id of what is hidden from that person is in what they heard, and no energy that is another's."""
    town = house.town
    for site, charger_id in (
        (town.site, town.charger_id),
        (town.site, town.neighbour_id),
        (town.other_site, town.other_charger_id),
    ):
        assert access.sees_charger(charger_id, site.id) or charger(charger_id) not in heard
    for row in await ChargeSession.all():
        identity = global_id("ChargeSession", row.id)
        is_theirs = access.sees_session(
            installation_id=row.installation_id,
            charger_id=row.charger_id,
            user_id=row.user_id,
            started_at=row.started_at,
        )
        assert is_theirs or identity not in heard
    for alert in await Alert.all():
        is_theirs = access.sees_alert(installation_id=alert.installation_id, charger_id=alert.charger_id)
        assert is_theirs or global_id("Alert", alert.id) not in heard
    if not access.reads_sessions_of(town.site.id) and not access.chargers:
        assert '"sessionEnergyKwh":"' not in heard


def test_nothing_crosses_from_one_pair_of_eyes_to_another(house: House, runner: asyncio.Runner) -> None:
    """Whatever one may see, follows, and comes back with: no byte of what is hidden from them, in any of the streams."""

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        grants=st.sets(GRANT, max_size=3),
        targets=st.fixed_dictionaries(dict.fromkeys(STREAMS, TARGET)),
        script=st.lists(st.tuples(st.sampled_from(HAPPENINGS[:-1]), st.integers(0, 3)), min_size=3, max_size=8),
    )
    def looks(grants: set[tuple[Role, str]], targets: dict[str, str], script: list[tuple[str, int]]) -> None:
        runner.run(_looked(house, grants, targets, script))

    looks()
