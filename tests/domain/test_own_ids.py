"""Transactions whose id is the charger's own (OCPP 2.0.1): told in any order, claimed by a token that comes later, faults one by one."""

from datetime import datetime
from itertools import permutations

import msgspec
import pytest

from app.database import Database
from domain.charging.reports import Outcome
from domain.events import SessionChanged
from domain.ids import new_id
from domain.models import Alert, AuthorizationAttempt, ChargeSession, Command
from domain.observations import (
    AnyObservation,
    Booted,
    ConnectorStatus,
    FaultReported,
    Metered,
    Sample,
    SessionClaimed,
    SessionEnded,
    SessionStarted,
    StatusReported,
)
from domain.roles import (
    AlertKind,
    AlertState,
    AuthorizationDecision,
    CommandAction,
    CommandState,
    OperatingMode,
    SessionFlag,
    SessionState,
    StopReason,
)
from tests.domain.rig import CARD, Rig, a_rig, at, reading
from tests.factories import NOW


@pytest.fixture
async def rig(database: Database) -> Rig:
    return await a_rig()


def started(
    when: datetime, *, transaction: str = "T1", card: str | None = CARD, meter: int | None = 1000
) -> SessionStarted:
    return SessionStarted(
        charger_time=when, received_at=when, evse=1, id_token=card, meter_start_wh=meter, transaction_id=transaction
    )


def metered(when: datetime, *samples: Sample, transaction: str = "T1") -> Metered:
    return Metered(
        charger_time=when, received_at=when, evse=1, transaction_id=transaction, samples=samples, is_own_id=True
    )


def claimed(when: datetime, card: str = CARD, *, is_stop: bool = False) -> SessionClaimed:
    return SessionClaimed(
        charger_time=when, received_at=when, evse=1, transaction_id="T1", id_token=card, is_stop=is_stop
    )


def ended(
    when: datetime,
    *,
    transaction: str = "T1",
    meter: int | None = 1050,
    card: str | None = None,
    received: datetime | None = None,
) -> SessionEnded:
    return SessionEnded(
        charger_time=when,
        received_at=received or when,
        evse=1,
        transaction_id=transaction,
        meter_stop_wh=meter,
        reason=StopReason.VEHICLE_DISCONNECTED,
        id_token=card,
        is_own_id=True,
    )


def status(when: datetime, status: ConnectorStatus) -> StatusReported:
    return StatusReported(charger_time=when, received_at=when, evse=1, status=status, is_coarse=True)


def activity(when: datetime, status: ConnectorStatus, *, received: datetime | None = None) -> StatusReported:
    return StatusReported(
        charger_time=when,
        received_at=received or when,
        evse=1,
        status=status,
        is_coarse=True,
        transaction_id="T1",
    )


def fault(kind: AlertKind, when: datetime, *, is_cleared: bool = False, evse: int = 1) -> FaultReported:
    return FaultReported(charger_time=when, received_at=when, evse=evse, kind=kind, is_cleared=is_cleared)


async def one(rig: Rig, observation: AnyObservation) -> Outcome:
    return (await rig.say(observation)).outcomes[0]


async def test_a_transaction_keeps_the_chargers_id(rig: Rig) -> None:
    """The id that the charger made is the session's, and no number of ours is given."""
    assert (await one(rig, started(at(0)))).transaction_id == "T1"
    await rig.say(metered(at(5), reading(1020, at(5))))
    await rig.say(ended(at(10)))
    session = await rig.session()
    assert (session.transaction_id, session.energy_wh, session.start_key) == ("T1", 50, None)
    assert (session.user_id, session.state) == (rig.user_id, SessionState.ENDED)


ORDER = (0, 1, 2, 3)


@pytest.mark.parametrize("order", list(permutations(ORDER)))
async def test_any_order_and_any_repetition_is_one_session(rig: Rig, order: tuple[int, ...]) -> None:
    """Start, token, reading and end make the same session in whatever order they come, twice each."""
    messages: list[AnyObservation] = [
        started(at(0), card=None),
        claimed(at(1)),
        metered(at(5), reading(1020, at(5))),
        ended(at(10), received=at(10)),
    ]
    for index in (*order, *order):
        await rig.say(messages[index], now=at(11))
    session = await rig.session()
    assert (session.state, session.energy_wh, session.id_token) == (SessionState.ENDED, 50, CARD)
    assert (session.started_at, session.ended_at, session.user_id) == (at(0), at(10), rig.user_id)
    assert SessionFlag.START_UNKNOWN not in session.flag_set
    assert sum(part.energy_wh for part in await rig.intervals()) == 50


async def test_a_transaction_that_begins_with_the_cable_waits_for_its_token(rig: Rig) -> None:
    """Until a card comes the session is nobody's and no attempt is noted; then it is that person's, from that moment."""
    await rig.say(started(at(0), card=None), activity(at(0), ConnectorStatus.SUSPENDED_EVSE))
    session = await rig.session()
    assert (session.user_id, session.authorized_at, session.id_token) == (None, None, None)
    assert (await rig.live()).mode is OperatingMode.AWAITING_AUTHORIZATION
    assert await AuthorizationAttempt.all().count() == 0
    outcome = await one(rig, claimed(at(2)))
    assert (outcome.decision, outcome.transaction_id) == (AuthorizationDecision.ACCEPTED, "T1")
    session = await rig.session()
    assert (session.user_id, session.authorized_at, session.started_at) == (rig.user_id, at(2), at(0))
    assert (await rig.live()).mode is OperatingMode.AWAITING_CURRENT
    assert [one.change for one in rig.events if isinstance(one, SessionChanged)] == ["STARTED", "UPDATED"]
    assert (await AuthorizationAttempt.get()).session_id == session.id


async def test_a_denied_token_does_not_hold_the_session(rig: Rig) -> None:
    """After a card that may not charge, the next one that may has the session; a third one changes nothing."""
    await rig.say(started(at(0), card=None))
    assert (await one(rig, claimed(at(1), "UNKNOWN"))).decision is AuthorizationDecision.INVALID
    assert (await rig.session()).authorized_at is None
    assert (await one(rig, claimed(at(2)))).decision is AuthorizationDecision.ACCEPTED
    assert (await one(rig, claimed(at(3), "UNKNOWN"))).decision is AuthorizationDecision.INVALID
    assert (await rig.session()).id_token == CARD


async def test_a_token_that_stops_is_no_claim(rig: Rig) -> None:
    """A card shown to end a session that nobody claimed does not make it that person's."""
    await rig.say(started(at(0), card=None))
    assert (await one(rig, claimed(at(1), is_stop=True))).decision is AuthorizationDecision.ACCEPTED
    assert (await rig.session()).user_id is None


async def test_where_nobody_identifies_himself_a_start_without_token_is_permitted(database: Database) -> None:
    """The session may charge at once."""
    rig = await a_rig(authentication_required=False)
    await rig.say(started(at(0), card=None), activity(at(0), ConnectorStatus.SUSPENDED_EVSE))
    assert (await rig.session()).authorized_at == at(0)
    assert (await rig.live()).mode is OperatingMode.AWAITING_CURRENT


async def test_a_start_from_afar_is_confirmed_by_a_later_token(rig: Rig) -> None:
    """The command's token comes to a transaction that had begun with the cable."""
    command = await Command.create(
        id=new_id(),
        installation_id=rig.site.id,
        charger_id=rig.charger_id,
        requested_by_id=rig.user_id,
        action=CommandAction.START,
        state=CommandState.ACCEPTED,
        id_token=CARD,
        requested_at=NOW,
        deadline=at(5),
    )
    await rig.say(started(at(0), card=None))
    assert (await Command.get(id=command.id)).state is CommandState.ACCEPTED
    await rig.say(claimed(at(1)))
    command = await Command.get(id=command.id)
    assert (command.state, command.session_id) == (CommandState.CONFIRMED, (await rig.session()).id)


async def test_an_end_without_its_start_is_a_session_of_its_own(rig: Rig) -> None:
    """An unknown id of the charger's never ends the charge that goes on there."""
    await rig.say(started(at(0)))
    await rig.say(ended(at(5), transaction="T0"))
    first, second = await rig.sessions()
    assert (first.transaction_id, first.state) == ("T1", SessionState.ACTIVE)
    assert (second.transaction_id, second.state) == ("T0", SessionState.ENDED)
    assert SessionFlag.START_UNKNOWN in second.flag_set


async def test_readings_of_an_unknown_transaction_are_not_the_others(rig: Rig) -> None:
    """They begin a session whose start is not known, and count for no other; its end makes it whole."""
    await rig.say(started(at(0)))
    await rig.say(metered(at(5), reading(7000, at(5)), transaction="T2"))
    first, second = await rig.sessions()
    assert (first.energy_wh, second.transaction_id, second.state) == (0, "T2", SessionState.ACTIVE)
    await rig.say(ended(at(20), transaction="T2", meter=7100))
    assert (await ChargeSession.get(id=second.id)).energy_wh == 100


async def test_the_register_at_the_start_may_come_with_the_end(rig: Rig) -> None:
    """What was taken before the first reading is not lost, where the final record says where the meter stood."""
    await rig.say(started(at(0), meter=None))
    await rig.say(metered(at(5), reading(1040, at(5))))
    final = msgspec.structs.replace(
        ended(at(10), meter=1100),
        samples=(reading(1000, at(0), context="Transaction.Begin"), reading(1100, at(10), context="Transaction.End")),
    )
    await rig.say(final)
    session = await rig.session()
    assert (session.meter_start_wh, session.energy_wh) == (1000, 100)


async def test_an_id_that_an_ended_charge_had_may_come_again(rig: Rig) -> None:
    """A charger that counts from the beginning again loses no charge; a repetition of the old start is still none."""
    await rig.say(started(at(0), transaction="1"))
    await rig.say(ended(at(10), transaction="1"))
    await rig.say(started(at(0), transaction="1"))
    assert len(await rig.sessions()) == 1
    await rig.say(started(at(20), transaction="1", meter=1050))
    await rig.say(ended(at(30), transaction="1", meter=1080))
    first, second = await rig.sessions()
    assert [(one.transaction_id, one.energy_wh) for one in (first, second)] == [(None, 50), ("1", 30)]


async def test_the_token_of_an_end_is_judged(rig: Rig) -> None:
    """A charger keeps the answer, so a card that may not charge is not called accepted."""
    await rig.say(started(at(0)))
    assert (await one(rig, ended(at(5), card="UNKNOWN"))).decision is AuthorizationDecision.INVALID
    assert (await one(rig, ended(at(5), card=CARD))).decision is AuthorizationDecision.ACCEPTED


async def test_occupied_says_only_that_a_car_is_there(rig: Rig) -> None:
    """A car that comes is preparing; what its transaction says stays until the connector is free."""
    await rig.say(status(at(0), ConnectorStatus.AVAILABLE))
    await rig.say(status(at(1), ConnectorStatus.PREPARING))
    live = await rig.live()
    assert (live.connector_status, live.status_received_at) == (ConnectorStatus.PREPARING, at(1))
    await rig.say(started(at(2)), activity(at(2), ConnectorStatus.CHARGING))
    await rig.say(status(at(3), ConnectorStatus.PREPARING))
    live = await rig.live()
    assert (live.connector_status, live.mode) == (ConnectorStatus.CHARGING, OperatingMode.CHARGING)
    await rig.say(ended(at(4)))
    await rig.say(status(at(5), ConnectorStatus.PREPARING))
    assert (await rig.live()).connector_status is ConnectorStatus.FINISHING
    await rig.say(status(at(6), ConnectorStatus.AVAILABLE))
    assert (await rig.live()).mode is OperatingMode.DISCONNECTED


async def test_what_a_transaction_does_shows_though_it_is_told_late(rig: Rig) -> None:
    """After a reconnect the connector says Occupied before the queued events come: they say what the car does, the newest last."""
    await rig.say(started(at(-90)), activity(at(-90), ConnectorStatus.CHARGING))
    await rig.say(status(at(1), ConnectorStatus.PREPARING))
    assert (await rig.live()).connector_status is ConnectorStatus.CHARGING
    await rig.say(metered(at(-5)), activity(at(-5), ConnectorStatus.SUSPENDED_EV, received=at(2)))
    assert (await rig.live()).connector_status is ConnectorStatus.SUSPENDED_EV
    await rig.say(activity(at(-9), ConnectorStatus.CHARGING, received=at(3)))
    assert (await rig.live()).connector_status is ConnectorStatus.SUSPENDED_EV


async def test_a_transaction_that_is_only_told_now_is_what_occupies(rig: Rig) -> None:
    """A car of which we knew nothing but that it is there charges, and has since before we listened."""
    await rig.say(status(at(1), ConnectorStatus.PREPARING))
    await rig.say(started(at(-30)), activity(at(-30), ConnectorStatus.CHARGING, received=at(2)))
    live = await rig.live()
    assert (live.connector_status, live.mode) == (ConnectorStatus.CHARGING, OperatingMode.CHARGING)
    assert live.status_received_at == at(2)


async def test_what_an_ended_transaction_did_does_not_show(rig: Rig) -> None:
    """A repetition of its last word leaves the connector as it is."""
    await rig.say(started(at(0)), activity(at(0), ConnectorStatus.CHARGING))
    await rig.say(ended(at(5)))
    await rig.say(metered(at(4)), activity(at(4), ConnectorStatus.CHARGING, received=at(6)))
    live = await rig.live()
    assert (live.connector_status, live.mode) == (ConnectorStatus.FINISHING, OperatingMode.FINISHED)


async def test_a_fault_shows_whatever_the_transaction_does(rig: Rig) -> None:
    """Until the connector itself says that it is over; then nobody knows whether the contactor is open."""
    await rig.say(started(at(0)), activity(at(0), ConnectorStatus.CHARGING))
    await rig.say(status(at(1), ConnectorStatus.FAULTED))
    await rig.say(activity(at(2), ConnectorStatus.SUSPENDED_EVSE))
    assert (await rig.live()).mode is OperatingMode.FAULTED
    await rig.say(status(at(3), ConnectorStatus.PREPARING))
    live = await rig.live()
    assert (live.connector_status, live.status_received_at) == (ConnectorStatus.PREPARING, None)


async def test_a_word_without_a_reading_keeps_a_session_going(rig: Rig) -> None:
    """It is heard of until then, so that no older status makes its end awaited."""
    await rig.say(started(at(0)))
    await rig.say(metered(at(10)))
    await rig.say(status(at(9), ConnectorStatus.AVAILABLE))
    session = await rig.session()
    assert (session.last_event_at, session.inferred_end_due_at) == (at(10), None)


async def test_a_car_that_was_there_before_is_no_evidence_of_an_open_contactor(rig: Rig) -> None:
    """It may draw in a transaction that has not been told yet: its status does not count as heard."""
    await rig.say(status(at(1), ConnectorStatus.PREPARING))
    live = await rig.live()
    assert (live.connector_status, live.status_received_at) == (ConnectorStatus.PREPARING, None)
    assert live.mode is OperatingMode.AWAITING_AUTHORIZATION


async def test_faults_open_and_end_one_by_one(rig: Rig) -> None:
    """Each kind is an alert of its own that only its own end closes, also within one message; a status closes none of them."""
    await rig.say(fault(AlertKind.READER_FAULT, at(1)), fault(AlertKind.GROUND_FAULT, at(1), evse=0))
    await rig.say(fault(AlertKind.READER_FAULT, at(2)), fault(AlertKind.GROUND_FAULT, at(2), is_cleared=True))
    await rig.say(status(at(3), ConnectorStatus.AVAILABLE))
    states = {alert.kind: alert.state for alert in await Alert.all()}
    assert states == {AlertKind.READER_FAULT: AlertState.OPEN, AlertKind.GROUND_FAULT: AlertState.RESOLVED}
    await rig.say(fault(AlertKind.VOLTAGE, at(4)), fault(AlertKind.VOLTAGE, at(4), is_cleared=True), now=at(4))
    assert (await Alert.get(kind=AlertKind.VOLTAGE)).state is AlertState.RESOLVED


async def test_a_mere_faulted_status_is_an_alert_until_something_says_more(rig: Rig) -> None:
    """Faulted alone is an internal error; a named fault takes its place, and a status ends only what a status opened."""
    await rig.say(status(at(1), ConnectorStatus.FAULTED))
    assert (await Alert.get(state=AlertState.OPEN)).kind is AlertKind.INTERNAL
    await rig.say(fault(AlertKind.CONTACTOR_WELDED, at(2)))
    await rig.say(status(at(3), ConnectorStatus.FAULTED))
    assert (await Alert.get(state=AlertState.OPEN)).kind is AlertKind.CONTACTOR_WELDED
    await rig.say(fault(AlertKind.CONTACTOR_WELDED, at(4), is_cleared=True))
    await rig.say(status(at(5), ConnectorStatus.FAULTED))
    await rig.say(status(at(6), ConnectorStatus.AVAILABLE))
    assert await Alert.filter(state=AlertState.OPEN).count() == 0


@pytest.mark.parametrize(("lost_power", "is_restart"), [(True, True), (False, True), (False, False)])
async def test_what_a_boot_means(rig: Rig, lost_power: bool, is_restart: bool) -> None:
    """Only one after a loss of power makes the ends of sessions awaited; one that was asked for is no restart."""
    command = await Command.create(
        id=new_id(),
        installation_id=rig.site.id,
        charger_id=rig.charger_id,
        requested_by_id=rig.user_id,
        action=CommandAction.RESTART,
        state=CommandState.ACCEPTED,
        requested_at=NOW,
        deadline=at(9),
    )
    await rig.say(started(at(0)))
    await rig.say(
        Booted(
            charger_time=None,
            received_at=at(1),
            vendor="Acme",
            model="Two",
            serial_number=None,
            firmware_version=None,
            is_restart=is_restart,
            lost_power=lost_power,
        )
    )
    assert ((await rig.session()).inferred_end_due_at is not None) is lost_power
    confirmed = (await Command.get(id=command.id)).state is CommandState.CONFIRMED
    assert confirmed is is_restart
