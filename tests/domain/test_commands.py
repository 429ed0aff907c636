"""What people may ask of chargers, and what becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from domain.access import Access
from domain.command_dispatch import CommandDispatcher
from domain.commands import (
    Target,
    authorize_charging,
    pause_charging,
    restart_charger,
    resume_charging,
    start_charging,
    stop_charging,
    unlock_connector,
)
from domain.errors import (
    ChargerOfflineError,
    ChargerStateError,
    ConflictError,
    DomainError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    UnauthenticatedError,
    ValidationError,
)
from domain.events import CommandChanged, InstallationChanged
from domain.identity.people import PersonKey
from domain.ids import new_id
from domain.models import AuditEntry, Charger, ChargerStatus, ChargeSession, Command, Offer, Permission
from domain.observations import ConnectorStatus
from domain.pages import PageRequest
from domain.ports import DeviceAnswer, DeviceCommand, DeviceVerdict, Restart, StartCharging, StopCharging, Unlock
from domain.roles import CommandAction, CommandState, OperatingMode, Role, Scope, SessionState
from domain.views.command_views import commands_by_ids, commands_page
from tests import factories
from tests.factories import NOW, Town
from tests.fakes import HandClock, NobodyAsked, RecordingBus

pytestmark = pytest.mark.usefixtures("database")

ROLES = [*factories.PEOPLE, "not signed in"]


class Wire:
    """ChargerCommands that answer as told, and remember."""

    def __init__(self, verdict: DeviceVerdict = DeviceVerdict.ACCEPTED) -> None:
        self.verdict = verdict
        self.sent: list[tuple[UUID, DeviceCommand]] = []
        self.before_answer: Callable[[], Awaitable[object]] | None = None

    async def send(self, charger_id: UUID, command: DeviceCommand, *, timeout_s: float) -> DeviceAnswer:
        assert 0 < timeout_s <= 600
        self.sent.append((charger_id, command))
        if self.before_answer is not None:
            await self.before_answer()
        return DeviceAnswer(self.verdict, self.verdict.capitalize())


class Desk:
    """A bus, and a dispatch that keeps ids instead of sending."""

    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.queued: list[UUID] = []
        self.clock = HandClock(NOW)
        self.wire = Wire()

    def send_soon(self, command_id: UUID) -> None:
        self.queued.append(command_id)

    async def carry_out(self, command_id: UUID) -> CommandState:
        await CommandDispatcher(commands=self.wire, asks=NobodyAsked(), bus=self.bus, clock=self.clock).carry_out(
            command_id
        )
        return (await Command.get(id=command_id)).state

    async def start(self, access: Access, charger_id: UUID, **further: object) -> UUID:
        return await start_charging(access, charger_id, bus=self.bus, dispatch=self, **further)  # type: ignore[arg-type]  # by name

    async def stop(self, access: Access, charger_id: UUID, session_id: UUID | None = None) -> UUID:
        return await stop_charging(access, charger_id, session_id=session_id, bus=self.bus, dispatch=self)

    async def pause(self, access: Access, charger_id: UUID) -> UUID:
        return await pause_charging(access, charger_id, bus=self.bus, dispatch=self)

    async def resume(self, access: Access, charger_id: UUID) -> UUID:
        return await resume_charging(access, charger_id, bus=self.bus, dispatch=self)

    async def open(self, access: Access, charger_id: UUID, user_id: UUID) -> UUID:
        person = PersonKey(user_id=user_id)
        return await authorize_charging(access, charger_id, person=person, bus=self.bus, dispatch=self)

    async def restart(self, access: Access, charger_id: UUID) -> UUID:
        return await restart_charger(access, charger_id, bus=self.bus, dispatch=self)

    async def unlock(self, access: Access, charger_id: UUID) -> UUID:
        return await unlock_connector(access, charger_id, bus=self.bus, dispatch=self)


@pytest.fixture
async def town(database: object) -> Town:
    town = await factories.a_town()
    await ChargerStatus.all().update(is_online=True, mode=OperatingMode.AWAITING_AUTHORIZATION)
    return town


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def _active(town: Town, user_id: UUID | None = None, charger_id: UUID | None = None) -> UUID:
    session = await factories.a_session(
        town.site, charger_id or town.charger_id, user_id=user_id, state=SessionState.ACTIVE, started_at=NOW
    )
    await ChargeSession.filter(id=session).update(transaction_id="41")
    return session


async def _outcome(ask: Awaitable[UUID]) -> str:
    try:
        await ask
    except DomainError as error:
        return type(error).__name__
    return "done"


MAY_START = {
    "USER of charger": "done",
    "USER of installation": "done",
    "OWNER of charger": "done",
    "OWNER of installation": "done",
    "SERVICE": "NotAllowedError",
    "ADMINISTRATOR": "NotAllowedError",
    "stranger": "NotFoundError",
    "not signed in": "UnauthenticatedError",
}
MAY_CONTROL = {
    "USER of charger": "NotAllowedError",
    "USER of installation": "NotAllowedError",
    "OWNER of charger": "done",
    "OWNER of installation": "done",
    "SERVICE": "done",
    "ADMINISTRATOR": "done",
    "stranger": "NotFoundError",
    "not signed in": "UnauthenticatedError",
}


@pytest.mark.parametrize("person", ROLES)
async def test_each_role_may_do_what_the_table_says(town: Town, desk: Desk, person: str) -> None:
    """Start; stop, pause and resume another's charge; restart and unlock. What is refused leaves no command."""
    access = await town.access(person)
    assert await _outcome(desk.start(access, town.charger_id)) == MAY_START[person]
    session = await _active(town, new_id())
    for ask in (desk.pause, desk.resume, desk.stop, desk.restart, desk.unlock):
        assert await _outcome(ask(access, town.charger_id)) == MAY_CONTROL[person]
    done = (MAY_START[person] == "done") + 5 * (MAY_CONTROL[person] == "done")
    assert await Command.all().count() == await AuditEntry.all().count() == len(desk.queued) == done
    assert not (await ChargeSession.get(id=session)).is_paused


@pytest.mark.parametrize("person", ROLES)
async def test_hidden_and_absent_chargers_look_the_same(town: Town, desk: Desk, person: str) -> None:
    """To everybody but the administrator, who sees them all."""
    access = await town.access(person)
    for ask in (desk.start, desk.stop, desk.pause, desk.restart, desk.unlock):
        absent = await _outcome(ask(access, new_id()))
        assert absent == ("UnauthenticatedError" if person == "not signed in" else "NotFoundError")
        if person != "ADMINISTRATOR":
            assert await _outcome(ask(access, town.other_charger_id)) == absent


async def test_drivers_stop_and_pause_their_own_charge_also_after_their_right_has_ended(town: Town, desk: Desk) -> None:
    """Whoever is plugged in can leave."""
    me = town.people["USER of charger"]
    await _active(town, me)
    access = await town.access("USER of charger")
    assert await _outcome(desk.pause(access, town.charger_id)) == "done"
    await Permission.filter(user_id=me).update(revoked_at=NOW - timedelta(seconds=1))
    later = await town.access("USER of charger")
    assert await _outcome(desk.stop(later, town.charger_id)) == "done"
    assert await _outcome(desk.start(later, town.charger_id)) == "NotFoundError"


async def test_a_start_is_sent_once_under_a_token_of_its_own(town: Town, desk: Desk) -> None:
    """The token is what the session is known by; a second dispatcher finds nothing to do."""
    access = await town.access("USER of charger")
    command_id = await desk.start(access, town.charger_id)
    row = await Command.get(id=command_id)
    assert row.id_token is not None
    assert len(row.id_token) == 20
    assert (row.for_user_id, row.state, row.deadline) == (
        access.user_id,
        CommandState.QUEUED,
        NOW + timedelta(seconds=60),
    )
    assert await desk.carry_out(command_id) is CommandState.ACCEPTED
    assert await desk.carry_out(command_id) is CommandState.ACCEPTED
    assert desk.wire.sent == [(town.charger_id, StartCharging(row.id_token))]
    states = [event.state for event in desk.bus.published if isinstance(event, CommandChanged)]
    assert states == [CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED]


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (DeviceVerdict.REJECTED, CommandState.REJECTED),
        (DeviceVerdict.TIMEOUT, CommandState.TIMEOUT),
        (DeviceVerdict.ERROR, CommandState.ERROR),
        (DeviceVerdict.OFFLINE, CommandState.OFFLINE),
    ],
)
async def test_a_charger_that_does_not_do_it_ends_the_command(
    town: Town, desk: Desk, verdict: DeviceVerdict, state: CommandState
) -> None:
    """With its own word for it."""
    desk.wire.verdict = verdict
    command_id = await desk.start(await town.access("USER of charger"), town.charger_id)
    assert await desk.carry_out(command_id) is state
    row = await Command.get(id=command_id)
    assert (row.finished_at, row.detail) == (NOW, verdict.capitalize())


async def test_an_effect_that_comes_before_the_answer_is_not_taken_back(town: Town, desk: Desk) -> None:
    """A charger may begin the session before it answers the request."""
    command_id = await desk.start(await town.access("USER of charger"), town.charger_id)
    desk.wire.before_answer = lambda: Command.filter(id=command_id).update(state=CommandState.CONFIRMED)
    assert await desk.carry_out(command_id) is CommandState.CONFIRMED


async def test_a_command_whose_deadline_has_passed_is_not_sent(town: Town, desk: Desk) -> None:
    """Nobody wants a charge to start an hour later."""
    command_id = await desk.start(await town.access("USER of charger"), town.charger_id)
    desk.clock.advance(timedelta(seconds=60))
    assert await desk.carry_out(command_id) is CommandState.QUEUED
    assert desk.wire.sent == []


async def test_stop_restart_and_unlock_say_their_word_on_the_wire(town: Town, desk: Desk) -> None:
    """A stop names the transaction; an unlock is confirmed by its answer."""
    owner = await town.access("OWNER of installation")
    await _active(town)
    assert await desk.carry_out(await desk.stop(owner, town.charger_id)) is CommandState.ACCEPTED
    assert await desk.carry_out(await desk.restart(owner, town.charger_id)) is CommandState.ACCEPTED
    assert await desk.carry_out(await desk.unlock(owner, town.charger_id)) is CommandState.CONFIRMED
    assert [command for _, command in desk.wire.sent] == [StopCharging("41"), Restart(), Unlock()]
    stop = await desk.stop(owner, town.charger_id)
    await ChargeSession.all().update(state=SessionState.ENDED)
    assert await desk.carry_out(stop) is CommandState.ERROR


async def test_a_late_retry_never_stops_anothers_car(town: Town, desk: Desk) -> None:
    """A session that is not the active one there is refused; one that may not be seen looks absent."""
    owner = await town.access("OWNER of installation")
    active, old = await _active(town), await factories.a_session(town.site, town.charger_id)
    with pytest.raises(ConflictError) as caught:
        await desk.stop(owner, town.charger_id, old)
    assert caught.value.code is ErrorCode.OTHER_SESSION
    assert await _outcome(desk.stop(owner, town.charger_id, active)) == "done"
    elsewhere = await factories.a_session(town.other_site, town.other_charger_id)
    for session in (elsewhere, new_id()):
        with pytest.raises(NotFoundError) as hidden:
            await desk.stop(owner, town.charger_id, session)
        assert hidden.value.path == ("sessionId",)


async def test_a_charger_that_is_known_to_be_off_gets_nothing(town: Town, desk: Desk) -> None:
    """When it was last heard is told to who controls it only."""
    await ChargerStatus.all().update(is_online=False)
    await _active(town)
    with pytest.raises(ChargerOfflineError) as owners:
        await desk.stop(await town.access("OWNER of installation"), town.charger_id)
    assert owners.value.last_seen_at is None
    for access in (await town.access("USER of charger"), await town.access("OWNER of charger")):
        with pytest.raises(ChargerOfflineError):
            await desk.start(access, town.charger_id)
    assert await Command.all().count() == 0


async def test_a_charge_starts_only_where_one_can(town: Town, desk: Desk) -> None:
    """Not at a charger that is faulted, disabled, or charging; nor is one stopped where none is."""
    access = await town.access("OWNER of charger")
    with pytest.raises(ChargerStateError) as caught:
        await desk.stop(access, town.charger_id)
    assert caught.value.mode is OperatingMode.AWAITING_AUTHORIZATION
    await ChargerStatus.all().update(mode=OperatingMode.FAULTED)
    assert await _outcome(desk.start(access, town.charger_id)) == "ChargerStateError"
    await ChargerStatus.all().update(mode=OperatingMode.DISCONNECTED)
    await Charger.all().update(is_enabled=False)
    assert await _outcome(desk.start(access, town.charger_id)) == "ChargerStateError"
    await Charger.all().update(is_enabled=True)
    assert await _outcome(desk.start(access, town.charger_id)) == "done"
    await _active(town)
    assert await _outcome(desk.start(access, town.charger_id)) == "ChargerStateError"


async def test_owners_start_for_others_who_may_charge_there(town: Town, desk: Desk) -> None:
    """People whom the owner does not know look absent; others start for themselves only."""
    owner, driver = await town.access("OWNER of charger"), town.people["USER of charger"]
    command = await Command.get(id=await desk.start(owner, town.charger_id, person=PersonKey(user_id=driver)))
    assert command.for_user_id == driver
    for person in (PersonKey(user_id=town.people["stranger"]), PersonKey(user_id=new_id()), PersonKey(email="x@y.zz")):
        with pytest.raises(NotFoundError):
            await desk.start(owner, town.charger_id, person=person)
    me = await town.access("USER of charger")
    assert await _outcome(desk.start(me, town.charger_id, person=PersonKey(user_id=driver))) == "done"
    assert (
        await _outcome(desk.start(me, town.charger_id, person=PersonKey(user_id=town.people["SERVICE"])))
        == "NotFoundError"
    )
    site_owner = await town.access("OWNER of installation")
    with pytest.raises(NotAllowedError):
        await desk.start(site_owner, town.charger_id, person=PersonKey(user_id=town.people["SERVICE"]))


async def test_members_of_a_group_that_may_charge_can_be_started_for(town: Town, desk: Desk) -> None:
    """As long as they are in it; a program names them by its own id for them."""
    owner, member = await town.access("OWNER of installation"), await factories.a_person("Member")
    group = await factories.a_group(town.site, member)
    program = await factories.a_program(town.site, scopes=[Scope.CONTROL_CHARGING])
    await program.knows(member, "tenant 7")
    with pytest.raises(NotAllowedError):
        await desk.start(owner, town.charger_id, person=PersonKey(user_id=member))
    await factories.a_grant(Role.USER, town.site, group_id=group, charger_id=town.charger_id)
    for asker, person in (
        (owner, PersonKey(user_id=member)),
        (await program.access(), PersonKey(external_id="tenant 7")),
    ):
        command = await Command.get(id=await desk.start(asker, town.charger_id, person=person))
        assert command.for_user_id == member
    assert (
        await _outcome(desk.start(owner, town.charger_id, person=PersonKey(external_id="tenant 7"))) == "NotFoundError"
    )


async def test_wrong_deadlines_and_targets_are_refused(town: Town, desk: Desk) -> None:
    """From 5 seconds to ten minutes; a target above nothing, a departure to come."""
    access = await town.access("USER of charger")
    for further in (
        {"deadline_s": 4},
        {"deadline_s": 601},
        {"target": Target(energy_wh=0)},
        {"target": Target(departure_at=NOW)},
    ):
        with pytest.raises(ValidationError):
            await desk.start(access, town.charger_id, **further)


async def test_a_paused_charge_is_confirmed_when_the_offer_of_nothing_is(town: Town, desk: Desk) -> None:
    """The balancer is told at once; the command waits for what the charger has acknowledged."""
    session = await _active(town)
    owner = await town.access("OWNER of charger")
    pause = await desk.pause(owner, town.charger_id)
    assert (await ChargeSession.get(id=session)).is_paused
    assert InstallationChanged(installation_id=town.site.id, chargers_stay=True) in desk.bus.published
    offer = Offer.filter(charger_id=town.charger_id)
    await offer.update(confirmed_a=0, decided_at=NOW)
    assert await desk.carry_out(pause) is CommandState.CONFIRMED
    resume = await desk.resume(owner, town.charger_id)
    assert not (await ChargeSession.get(id=session)).is_paused
    assert await desk.carry_out(resume) is CommandState.UNCONFIRMED
    desk.clock = HandClock(NOW)
    again = await desk.resume(owner, town.charger_id)
    await offer.update(confirmed_a=10)
    assert await desk.carry_out(again) is CommandState.CONFIRMED


async def test_a_driver_s_target_becomes_the_session_s(town: Town, desk: Desk) -> None:
    """Once the session that follows the start is known."""
    access = await town.access("USER of charger")
    target = Target(energy_wh=10_000, departure_at=NOW + timedelta(hours=8))
    command_id = await desk.start(access, town.charger_id, target=target)
    session = await _active(town, access.user_id)
    desk.wire.before_answer = lambda: Command.filter(id=command_id).update(session_id=session)
    await desk.carry_out(command_id)
    row = await ChargeSession.get(id=session)
    assert (row.energy_target_wh, row.departure_at) == (10_000, NOW + timedelta(hours=8))


async def test_a_running_dispatcher_takes_up_what_was_left_and_sends_what_comes(town: Town, desk: Desk) -> None:
    """Commands of a process that ended before it sent them are not lost."""
    owner = await town.access("OWNER of installation")
    left = await desk.start(owner, town.charger_id)
    dispatcher = CommandDispatcher(commands=desk.wire, asks=NobodyAsked(), bus=desk.bus, clock=desk.clock)
    running = asyncio.create_task(dispatcher.run(), name="commands")
    came = await start_charging(owner, town.neighbour_id, bus=desk.bus, dispatch=dispatcher)
    async with asyncio.timeout(5):
        while await Command.filter(id__in=[left, came], state=CommandState.ACCEPTED).count() < 2:  # noqa: ASYNC110  rows are the only sign
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {charger for charger, _ in desk.wire.sent} == {town.charger_id, town.neighbour_id}


class StillClock(HandClock):
    """Nobody waits to the end."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def _running(dispatcher: CommandDispatcher, command_id: UUID, state: CommandState) -> None:
    """The dispatcher has run until the command is there."""
    running = asyncio.create_task(dispatcher.run(), name="commands")
    async with asyncio.timeout(5):
        while not await Command.filter(id=command_id, state=state).exists():
            assert not running.done()
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_charger_is_opened_for_one_at_a_time(town: Town, desk: Desk) -> None:
    """Opened anew it is no longer open for the one before, who is told."""
    owner = await town.access("OWNER of charger")
    first = await desk.open(owner, town.charger_id, town.people["USER of charger"])
    second = await desk.open(owner, town.charger_id, town.people["OWNER of charger"])
    states = {row.id: row.state for row in await Command.all()}
    assert states == {first: CommandState.UNCONFIRMED, second: CommandState.QUEUED}
    assert CommandChanged(first, town.charger_id, CommandState.UNCONFIRMED) in desk.bus.published


async def test_open_chargers_hold_up_no_stop(town: Town, desk: Desk) -> None:
    """However many wait for a car; the one whose car comes begins."""
    owner = await town.access("OWNER of installation")
    await _active(town)
    stop = await desk.stop(owner, town.charger_id)
    await ChargeSession.all().delete()
    opened = await desk.open(owner, town.charger_id, town.people["USER of charger"])
    waiting = await Command.get(id=opened)
    await Command.bulk_create(
        [
            Command(
                id=new_id(),
                installation_id=town.site.id,
                charger_id=town.charger_id,
                action=CommandAction.AUTHORIZE,
                id_token=f"OPEN{number}",
                for_user_id=waiting.for_user_id,
                requested_at=NOW,
                deadline=NOW + timedelta(hours=1),
            )
            for number in range(600)
        ]
    )
    session = await _active(town, charger_id=town.charger_id)
    await Command.filter(id=stop).update(session_id=session)
    dispatcher = CommandDispatcher(commands=desk.wire, asks=NobodyAsked(), bus=desk.bus, clock=StillClock(NOW))
    for row in await Command.filter(action=CommandAction.AUTHORIZE):
        dispatcher.send_soon(row.id)
    await _running(dispatcher, stop, CommandState.ACCEPTED)
    assert [command for _, command in desk.wire.sent] == [StopCharging("41")]


async def test_an_open_charger_begins_with_the_car_that_comes(town: Town, desk: Desk) -> None:
    """Not before; once."""
    owner = await town.access("OWNER of charger")
    opened = await desk.open(owner, town.charger_id, town.people["USER of charger"])
    assert await desk.carry_out(opened) is CommandState.QUEUED
    assert desk.wire.sent == []
    await ChargerStatus.filter(charger_id=town.charger_id).update(connector_status=ConnectorStatus.PREPARING)
    dispatcher = CommandDispatcher(commands=desk.wire, asks=NobodyAsked(), bus=desk.bus, clock=StillClock(NOW))
    await _running(dispatcher, opened, CommandState.ACCEPTED)
    token = (await Command.get(id=opened)).id_token
    assert desk.wire.sent == [(town.charger_id, StartCharging(token or ""))]


async def test_a_command_that_fails_ends_no_other(town: Town, desk: Desk) -> None:
    """One that is gone, one at which the database goes away: whatever it is."""
    owner = await town.access("OWNER of charger")
    dispatcher = CommandDispatcher(commands=desk.wire, asks=NobodyAsked(), bus=desk.bus, clock=StillClock(NOW))

    async def away() -> None:
        if isinstance(desk.wire.sent[-1][1], StartCharging):
            raise ConnectionResetError

    desk.wire.before_answer = away
    await start_charging(owner, town.charger_id, bus=desk.bus, dispatch=dispatcher)
    dispatcher.send_soon(new_id())
    restart = await restart_charger(owner, town.charger_id, bus=desk.bus, dispatch=dispatcher)
    await _running(dispatcher, restart, CommandState.ACCEPTED)
    assert (await Command.get(action=CommandAction.START)).state is CommandState.SENT


async def test_commands_are_seen_by_who_asked_and_who_controls_the_charger(town: Town, desk: Desk) -> None:
    """By id and in lists; unfinished ones can be told apart."""
    mine = await desk.start(await town.access("USER of charger"), town.charger_id)
    seen = {"USER of charger", "OWNER of charger", "OWNER of installation", "SERVICE", "ADMINISTRATOR"}
    for person in ROLES:
        access = await town.access(person)
        page = await commands_page(access, PageRequest(first=10), charger_id=town.charger_id)
        expected = [mine] if person in seen else []
        assert [row.id for row in page.rows] == list(await commands_by_ids(access, [mine])) == expected
        asked = await commands_page(access, PageRequest(first=10), is_final=False)
        assert [row.id for row in asked.rows] == ([mine] if person == "USER of charger" else [])
    await Command.all().update(state=CommandState.CONFIRMED)
    access = await town.access("USER of charger")
    assert (await commands_page(access, PageRequest(first=10), is_final=False)).rows == []
    row = (await commands_by_ids(access, [mine]))[mine]
    assert (row.action, row.is_final) == (CommandAction.START, True)


async def test_nobody_signed_in_asks_for_nothing(desk: Desk) -> None:
    """Without a person there is no command."""
    with pytest.raises(UnauthenticatedError):
        await desk.start(Access.nobody(NOW), new_id())
