"""Sessions as the machine doors make them: each rule of charge sessions by its name."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec
import pytest

from app.database import Database
from domain import sql
from domain.charging import session_store
from domain.charging.session_rules import END_HOLD, Hearing
from domain.events import ChargerStatusChanged, CommandChanged, SessionChanged
from domain.ids import new_id
from domain.metering import apply_batch, settle
from domain.models import ChargeCard, Charger, ChargeSession, Command, Installation, Permission, User
from domain.observations import ConnectorStatus, Metered, SessionStarted
from domain.roles import (
    AuthorizationDecision,
    CommandAction,
    CommandState,
    IntervalQuality,
    OperatingMode,
    Role,
    SessionFlag,
    SessionState,
    StopReason,
)
from tests.domain.rig import CARD, Rig, a_rig, at, reading
from tests.factories import NOW, a_charger, a_grant, arrived


@pytest.fixture
async def rig(database: Database) -> Rig:
    return await a_rig()


async def test_a_session_from_start_to_stop(rig: Rig) -> None:
    """Start, readings and stop make one ended session with its person, names, energy and times."""
    begun = await rig.start(at(0), meter=1000)
    assert begun.transaction_id == "1"
    assert begun.decision is AuthorizationDecision.ACCEPTED
    for minute in range(5, 31, 5):
        await rig.meter("1", reading(1000 + minute * 100, at(minute), power_w=6000.0, currents=(26.0, 0.0, 0.0)))
    live = await rig.live()
    assert (live.power_w, live.current_l1, live.session_energy_wh) == (6000.0, 26.0, 3000)
    assert live.mode is OperatingMode.CHARGING
    await rig.stop("1", at(31), meter=4050, reason=StopReason.CARD, card=CARD)
    session = await rig.session()
    assert session.state is SessionState.ENDED
    assert session.energy_wh == 3050
    assert (session.started_at, session.ended_at, session.registered_at) == (at(0), at(31), at(31))
    assert (session.user_id, session.user_name, session.card_name) == (rig.user_id, "Kari Nordmann", "Blue tag")
    assert (session.charger_name, session.circuit_name) == ("Space 1", "Main breaker")
    assert session.flag_set == SessionFlag.STOPPED_BY_CARD
    assert (session.connected_s, session.charging_s) == (31 * 60, 31 * 60)
    assert session.authorized_at == at(0)
    assert (await rig.live()).session_id is None


async def test_energy_intervals_add_up(rig: Rig) -> None:
    """The intervals of a session are aligned to quarters in UTC and add up to its energy exactly."""
    await rig.start(at(5), meter=0)
    await rig.meter("1", reading(1001, at(15)), reading(2002, at(22)))
    await rig.stop("1", at(40), meter=5003)
    parts = await rig.intervals()
    assert [part.start_at for part in parts] == [at(5), at(15), at(30)]
    assert sum(part.energy_wh for part in parts) == 5003
    assert [part.quality for part in parts] == [
        IntervalQuality.MEASURED,
        IntervalQuality.INTERPOLATED,
        IntervalQuality.INTERPOLATED,
    ]
    assert parts[0].energy_wh == 1001


async def test_a_session_without_samples_has_estimated_intervals(rig: Rig) -> None:
    """Without readings the energy lies evenly over the session's time and says so."""
    await rig.start(at(0), meter=0)
    await rig.stop("1", at(30), meter=3001)
    parts = await rig.intervals()
    assert [(part.energy_wh, part.quality) for part in parts] == [
        (1501, IntervalQuality.ESTIMATED),
        (1500, IntervalQuality.ESTIMATED),
    ]


async def test_the_same_start_twice_is_one_session(rig: Rig) -> None:
    """A retry of a start gets the same transaction id, in the same batch or later."""
    observation = SessionStarted(charger_time=at(0), received_at=at(0), evse=1, id_token=CARD, meter_start_wh=7)
    result = await rig.say(observation, msgspec.structs.replace(observation, received_at=at(1)))
    again = await rig.start(at(0), meter=7, received=at(9))
    assert [one.transaction_id for one in (*result.outcomes, again)] == ["1", "1", "1"]
    assert len(await rig.sessions()) == 1


async def test_the_same_final_record_twice_is_one_session(rig: Rig) -> None:
    """The first real final record counts; a repetition, even with other figures, changes nothing."""
    await rig.start(at(0))
    await rig.stop("1", at(10), meter=2000)
    await rig.stop("1", at(10), meter=2000, received=at(12))
    await rig.stop("1", at(20), meter=9000)
    session = await rig.session()
    assert (session.energy_wh, session.registered_at) == (1000, at(10))
    assert [one.change for one in rig.events if isinstance(one, SessionChanged)] == ["STARTED", "ENDED"]


@pytest.mark.parametrize("transaction_id", ["0", "-1", "777", None])
async def test_a_stop_without_a_usable_id_ends_the_open_session(rig: Rig, transaction_id: str | None) -> None:
    """A stop with transaction id 0, -1 or unknown ends the session that goes on at that connector, once."""
    await rig.start(at(0), meter=1000)
    await rig.stop(transaction_id, at(10), meter=1500)
    await rig.stop(transaction_id, at(10), meter=1500, received=at(11))
    session = await rig.session()
    assert (session.state, session.energy_wh) == (SessionState.ENDED, 500)


@pytest.mark.parametrize("transaction_id", ["0", "-1", "777", None])
async def test_a_stop_without_a_start_is_kept(rig: Rig, transaction_id: str | None) -> None:
    """A final record whose start we never saw becomes one session with START_UNKNOWN, energy from its own readings."""
    begin = reading(2000, at(-30), context="Transaction.Begin")
    for received in (at(0), at(1)):
        await rig.stop(transaction_id, at(0), meter=2600, received=received, samples=(begin,), card="FFFF")
    session = await rig.session()
    assert SessionFlag.START_UNKNOWN in session.flag_set
    assert (session.started_at, session.energy_wh, session.id_token) == (at(-30), 600, "FFFF")
    assert session.user_id is None
    # Its foreign id must not get in the way of ours.
    assert (await rig.start(at(5))).transaction_id == "1"


async def test_a_stop_that_overtakes_its_start_is_the_same_session(rig: Rig) -> None:
    """Events out of order give the same session as in order."""
    await rig.stop("0", at(20), meter=1500, received=at(30))
    begun = await rig.start(at(0), meter=1000, received=at(31))
    session = await rig.session()
    assert begun.transaction_id == session.transaction_id
    assert (session.started_at, session.ended_at, session.energy_wh) == (at(0), at(20), 500)
    assert session.user_name == "Kari Nordmann"
    assert SessionFlag.START_UNKNOWN not in session.flag_set


@pytest.mark.parametrize("is_ended", [False, True])
async def test_readings_that_overtake_their_start_are_its_own(rig: Rig, is_ended: bool) -> None:
    """Whose they are is known when the start comes, also where the end came before it; others stay nobody's."""
    await rig.meter("0", reading(900, at(-20)))
    await rig.meter("0", reading(1200, at(5)), received=at(30))
    if is_ended:
        await rig.stop("0", at(20), meter=1500, received=at(30))
    await rig.start(at(0), meter=1000, received=at(30))
    if not is_ended:
        await rig.stop("1", at(20), meter=1500, received=at(30))
    session = await rig.session()
    stored = await sql.rows("SELECT register_wh, session_id FROM samples ORDER BY at")
    assert [(row["register_wh"], row["session_id"] is not None) for row in stored] == [(900, False), (1200, True)]
    assert (session.energy_wh, session.charging_s) == (500, 20 * 60)
    assert [part.energy_wh for part in await rig.intervals()] == [400, 100]


async def sessions_of_readings() -> list[tuple[int, str | None]]:
    """Each stored reading and the transaction whose it is, in order of time."""
    found = await sql.rows(
        "SELECT s.register_wh, c.transaction_id FROM samples s LEFT JOIN charge_sessions c ON c.id = s.session_id ORDER BY s.at"
    )
    return [(row["register_wh"], row["transaction_id"]) for row in found]


@pytest.mark.parametrize("is_ended", [False, True])
@pytest.mark.parametrize("is_first_told_last", [False, True])
async def test_of_two_starts_that_readings_overtook_each_has_its_own(
    rig: Rig, is_first_told_last: bool, is_ended: bool
) -> None:
    """Whichever is told first, and whether the first has ended by then: the later one has what was read from its own start on."""
    for minute, register in ((5, 1200), (35, 2200)):
        await rig.meter("0", reading(register, at(minute)), received=at(60))
    first = partial(rig.start, at(0), meter=1000, received=at(60))
    second = partial(rig.start, at(30), meter=2000, received=at(60))
    if is_first_told_last:
        ids = [(await second()).transaction_id, (await first()).transaction_id][::-1]
    else:
        ids = [(await first()).transaction_id]
        if is_ended:
            await rig.stop("1", at(20), meter=1500, received=at(60))
        ids.append((await second()).transaction_id)
    assert await sessions_of_readings() == [(1200, ids[0]), (2200, ids[1])]


async def test_two_starts_of_one_batch_share_what_overtook_them(rig: Rig) -> None:
    """The first has nothing of the second's, which is stored at the same moment."""
    for minute, register in ((5, 1200), (30, 2000), (35, 2200)):
        await rig.meter("0", reading(register, at(minute)), received=at(60))
    starts = [
        SessionStarted(charger_time=at(minute), received_at=at(60), evse=1, id_token=CARD, meter_start_wh=meter)
        for minute, meter in ((0, 1000), (30, 2000))
    ]
    await rig.say(*starts)
    assert await sessions_of_readings() == [(1200, "1"), (2000, "2"), (2200, "2")]


async def test_a_late_start_takes_nothing_that_was_told_of_another(rig: Rig) -> None:
    """Readings with the transaction id of the session before stay its own, whatever their time."""
    await rig.start(at(0), meter=1000, received=at(60))
    await rig.meter("1", reading(1500, at(40)), received=at(61))
    await rig.start(at(30), meter=2000, received=at(62))
    assert await sessions_of_readings() == [(1500, "1")]


async def test_samples_out_of_order_give_the_same_session(rig: Rig) -> None:
    """Readings in any order make the same energy and the same intervals."""
    await rig.start(at(0), meter=0)
    for minute in (20, 10, 5, 15):
        await rig.meter("1", reading(minute * 10, at(minute)), received=at(25))
    await rig.stop("1", at(30), meter=300)
    assert [part.energy_wh for part in await rig.intervals()] == [150, 150]
    assert (await rig.session()).energy_wh == 300


async def test_a_start_at_1970_is_dated_by_its_receipt(rig: Rig) -> None:
    """A clock that was never set is flagged, and the dates come from receipt and duration, never from 1970."""
    lost = datetime(1970, 1, 1, 0, 10, tzinfo=UTC)
    await rig.start(charger_time=lost, received=at(0), meter=0)
    session = await rig.session()
    assert session.started_at == at(0)
    await rig.stop("1", lost + timedelta(minutes=20), meter=100, received=at(20))
    session = await rig.session()
    assert SessionFlag.CLOCK_UNRELIABLE in session.flag_set
    assert (session.started_at, session.ended_at, session.energy_wh) == (at(0), at(20), 100)


async def test_a_queued_session_of_a_lost_clock_keeps_its_duration(rig: Rig) -> None:
    """Start and stop of a lost clock delivered together keep the duration that the charger counted."""
    lost = datetime(1970, 1, 1, tzinfo=UTC)
    await rig.start(charger_time=lost, received=at(0), meter=0)
    await rig.stop("1", lost + timedelta(hours=3), meter=9000, received=at(0.1))
    session = await rig.session()
    assert session.ended_at is not None
    assert session.ended_at - session.started_at == timedelta(hours=3)
    assert session.energy_wh == 9000


async def test_a_start_in_the_future_is_not_believed(rig: Rig) -> None:
    """A time later than its receipt by more than five minutes is flagged and replaced."""
    await rig.start(charger_time=at(600), received=at(0))
    session = await rig.session()
    assert session.started_at == at(0)
    assert session.flag_set == SessionFlag.CLOCK_UNRELIABLE


async def test_a_start_without_a_time_is_of_its_receipt(rig: Rig) -> None:
    """A start whose time cannot be read is kept as of its receipt."""
    observation = SessionStarted(charger_time=None, received_at=at(3), evse=1, id_token=CARD, meter_start_wh=0)
    await rig.say(observation)
    assert (await rig.session()).started_at == at(3)


async def test_offline_is_what_happened_before_the_connection(rig: Rig) -> None:
    """An event produced before this connection opened flags OFFLINE, and its dates stay right."""
    rig.hearing = Hearing(at(60))
    await rig.start(at(0), received=at(60), meter=0)
    await rig.stop("1", at(30), meter=500, received=at(61))
    session = await rig.session()
    assert session.flag_set == SessionFlag.OFFLINE
    assert (session.started_at, session.ended_at, session.registered_at) == (at(0), at(30), at(61))


async def test_five_seconds_before_the_connection_are_still_live(rig: Rig) -> None:
    """A start stamped just before the socket opened is not offline."""
    rig.hearing = Hearing(at(0) + timedelta(seconds=5))
    await rig.start(at(0), received=at(1))
    assert (await rig.session()).flag_set == SessionFlag(0)


async def test_a_known_clock_offset_is_taken_out(rig: Rig) -> None:
    """A clock an hour behind is flagged unreliable, not offline, and the dates are right."""
    rig.hearing = Hearing(at(-5), offset=timedelta(hours=1))
    await rig.start(charger_time=at(-60), received=at(0))
    session = await rig.session()
    assert session.started_at == at(0)
    assert session.flag_set == SessionFlag.CLOCK_UNRELIABLE


async def test_a_clock_that_is_put_back_in_a_charge_makes_its_dates_unreliable(rig: Rig) -> None:
    """A higher register that seems to be older: the clock was put back. It is live all the same, and so is the end."""
    await rig.start(at(0))
    await rig.meter("1", reading(2000, at(20)))
    await rig.meter("1", reading(3000, at(-30)), received=at(30))
    await rig.stop("1", at(-20), meter=4000, received=at(40))
    session = await rig.session()
    assert session.flag_set == SessionFlag.CLOCK_UNRELIABLE
    assert (session.started_at, session.ended_at, session.energy_wh) == (at(0), at(40), 3000)


async def test_an_old_reading_looks_up_one_figure_of_its_session(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """However long the charge has been going on: the lowest register later than it, of each of its readings."""
    await rig.start(at(0))
    await rig.meter("1", *(reading(1000 + 10 * minute, at(minute)) for minute in range(60) if minute != 30))
    session = (await session_store.by_ids([(await rig.session()).id]))[0]
    asked = [(session, at(minute)) for minute in range(-1, 61)]
    found = await session_store.lowest_after(asked, by=timedelta(minutes=1))
    registers = [1000 + 10 * minute for minute in range(60) if minute != 30]
    assert list(found.values()) == [
        next((one for one in registers if one > 1000 + 10 * (minute + 1)), None) for minute in range(-1, 61)
    ]
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        await rig.meter("1", reading(1300, at(30)), received=at(60))
    read = [one for one in caplog.messages if "FROM samples" in one]
    assert (len(read), [one for one in read if "MIN(register_wh)" not in one]) == (1, [])
    assert (await rig.session()).flag_set == SessionFlag(0)


async def test_a_register_that_goes_backwards(rig: Rig) -> None:
    """Energy is never negative: a meter that was reset in a session counts its rises, flagged as estimated."""
    await rig.start(at(0), meter=5000)
    await rig.meter("1", reading(5000, at(1)), reading(5400, at(10)), reading(0, at(11)), reading(300, at(20)))
    assert (await rig.session()).energy_wh == 400
    await rig.stop("1", at(21), meter=310)
    session = await rig.session()
    assert session.energy_wh == 700
    assert SessionFlag.ENERGY_ESTIMATED in session.flag_set
    assert sum(part.energy_wh for part in await rig.intervals()) == 700


async def test_energy_above_the_rating_is_not_believed(rig: Rig) -> None:
    """A register that jumped by four gigawatt hours gives no energy that the charger could not have delivered."""
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(0, at(0)), reading(500, at(10)))
    await rig.stop("1", at(20), meter=4_000_000_000)
    session = await rig.session()
    assert session.energy_wh == 500
    assert SessionFlag.ENERGY_ESTIMATED in session.flag_set


async def test_energy_nobody_knows_is_none(rig: Rig) -> None:
    """Without registers the energy is unknown, flagged, and the session is kept."""
    await rig.start(at(0), meter=None)
    await rig.stop("1", at(20), meter=None)
    session = await rig.session()
    assert session.energy_wh is None
    assert session.flag_set == SessionFlag.ENERGY_ESTIMATED
    assert await rig.intervals() == []


async def test_a_session_without_energy_is_kept(rig: Rig) -> None:
    """A car that took nothing has a session of 0 Wh."""
    await rig.start(at(0), meter=1000)
    await rig.stop("1", at(20), meter=1000)
    session = await rig.session()
    assert (session.energy_wh, session.charging_s) == (0, 0)


async def test_a_car_plugged_in_for_a_week(rig: Rig) -> None:
    """A week is one session; its intervals add up and its charging time is that of the current."""
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(10_000, at(120), currents=(16.0, 16.0, 16.0)))
    await rig.meter("1", reading(10_000, at(7 * 1440 - 10), currents=(0.0, 0.0, 0.0)))
    await rig.stop("1", at(7 * 1440), meter=10_000)
    session = await rig.session()
    assert (session.connected_s, session.charging_s) == (7 * 86400, 7200)
    parts = await rig.intervals()
    assert len(parts) == 7 * 96
    assert sum(part.energy_wh for part in parts) == 10_000


async def test_across_midnight_and_both_clock_changes(rig: Rig) -> None:
    """Intervals are aligned in UTC, so that a session across a clock change has neither gap nor overlap."""
    spring, autumn = datetime(2026, 3, 29, 0, 40, tzinfo=UTC), datetime(2026, 10, 25, 0, 40, tzinfo=UTC)
    for begin in (spring, autumn):
        begun = await rig.start(begin, meter=0)
        await rig.stop(begun.transaction_id, begin + timedelta(hours=2), meter=1000)
    for session in await rig.sessions():
        parts = [one for one in await rig.intervals() if one.session_id == session.id]
        assert [one.end_at for one in parts[:-1]] == [one.start_at for one in parts[1:]]
        assert sum(one.energy_wh for one in parts) == 1000
        assert len(parts) == 9


async def test_an_unknown_card_is_kept_and_refused(rig: Rig) -> None:
    """A session of a card that nobody knows is stored without a person; the charger is told Invalid."""
    outcome = await rig.start(at(0), card="DEADBEEF")
    assert outcome.decision is AuthorizationDecision.INVALID
    session = await rig.session()
    assert (session.user_id, session.id_token, session.authorized_at) == (None, "DEADBEEF", None)


async def test_names_are_snapshots(rig: Rig) -> None:
    """A person who is renamed later keeps the old name in the old session."""
    await rig.start(at(0))
    await User.filter(id=rig.user_id).update(name="Kari Hansen")
    await rig.stop("1", at(5), meter=1100)
    assert (await rig.session()).user_name == "Kari Nordmann"


async def test_cards_compare_without_case_and_separators(rig: Rig) -> None:
    """04:a1-b2 c3 is 04A1B2C3."""
    assert (await rig.present("04:a1-b2 c3")).decision is AuthorizationDecision.ACCEPTED


async def test_who_may_charge(rig: Rig) -> None:
    """Accepted with a valid permission; blocked without, expired after, blocked with a blocked card, at a disabled site."""
    assert (await rig.present(CARD)).decision is AuthorizationDecision.ACCEPTED
    assert (await rig.present("UNKNOWN")).decision is AuthorizationDecision.INVALID
    await Permission.filter(user_id=rig.user_id).update(valid_to=at(-1))
    assert (await rig.present(CARD)).decision is AuthorizationDecision.EXPIRED
    await Permission.filter(user_id=rig.user_id).update(revoked_at=at(-1))
    assert (await rig.present(CARD)).decision is AuthorizationDecision.BLOCKED
    await a_grant(Role.OWNER, rig.site, user_id=rig.user_id, charger_id=rig.charger_id)
    assert (await rig.present(CARD)).decision is AuthorizationDecision.ACCEPTED
    await ChargeCard.filter(number=CARD).update(is_blocked=True)
    assert (await rig.present(CARD)).decision is AuthorizationDecision.BLOCKED
    await Installation.filter(id=rig.site.id).update(authentication_required=False)
    assert (await rig.present("ANYBODY")).decision is AuthorizationDecision.ACCEPTED
    await Installation.filter(id=rig.site.id).update(is_active=False)
    assert (await rig.present(CARD)).decision is AuthorizationDecision.BLOCKED


async def test_service_alone_does_not_charge(rig: Rig) -> None:
    """SERVICE is no right to charge."""
    await Permission.filter(user_id=rig.user_id).update(role=Role.SERVICE)
    assert (await rig.present(CARD)).decision is AuthorizationDecision.BLOCKED


async def test_one_card_charges_at_one_place(rig: Rig) -> None:
    """A card that charges at another charger of the site is told so, and the session is kept all the same."""
    await rig.start(at(0))
    other = await a_charger(rig.site, "Space 2")
    session = await ChargeSession.get(charger_id=rig.charger_id)
    neighbour = await a_rig_at(rig, other)
    assert (await neighbour.start(at(1))).decision is AuthorizationDecision.CONCURRENT
    await Installation.filter(id=rig.site.id).update(allows_concurrent=True)
    assert (await neighbour.present(CARD)).decision is AuthorizationDecision.ACCEPTED
    assert (await ChargeSession.get(id=session.id)).state is SessionState.ACTIVE


async def a_rig_at(rig: Rig, charger_id: UUID) -> Rig:
    charger = await Charger.get(id=charger_id)
    assert charger.station_id is not None
    made = await arrived(charger.station_id, process="p1", protocol="ocpp1.6", now=at(-60))
    return replace(rig, charger_id=charger.id, station_id=charger.station_id, epoch=made.epoch)


async def test_a_remote_start_belongs_to_who_asked(rig: Rig) -> None:
    """The token of a start command makes the session its person's, and the command confirmed with the session."""
    command_id = await a_command(rig, CommandAction.START, id_token="APP123")
    outcome = await rig.start(at(0), card="app123")
    assert outcome.decision is AuthorizationDecision.ACCEPTED
    session = await rig.session()
    assert session.user_id == rig.user_id
    command = await Command.get(id=command_id)
    assert (command.state, command.session_id) == (CommandState.CONFIRMED, session.id)
    assert CommandChanged(command_id, rig.charger_id, CommandState.CONFIRMED) in rig.events


async def test_a_remote_stop_is_confirmed_by_the_end(rig: Rig) -> None:
    """A stop command is confirmed when its session ends, not when the charger agrees."""
    await rig.start(at(0))
    command_id = await a_command(rig, CommandAction.STOP, session_id=(await rig.session()).id)
    await rig.stop("1", at(1), meter=1000, reason=StopReason.REMOTE)
    assert (await Command.get(id=command_id)).state is CommandState.CONFIRMED


async def a_command(
    rig: Rig, action: CommandAction, *, id_token: str | None = None, session_id: UUID | None = None
) -> UUID:
    command = await Command.create(
        id=new_id(),
        installation_id=rig.site.id,
        charger_id=rig.charger_id,
        session_id=session_id,
        requested_by_id=rig.user_id,
        action=action,
        state=CommandState.ACCEPTED,
        id_token=id_token,
        requested_at=at(-1),
        deadline=at(2),
    )
    return command.id


async def test_a_new_start_infers_the_end_of_the_old(rig: Rig) -> None:
    """A start on the same connector makes the older session's end awaited; after the hold it ends at its last reading."""
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(400, at(10)))
    await rig.start(at(20), meter=400)
    old, new = await rig.sessions()
    assert old.inferred_end_due_at == at(20) + END_HOLD
    assert (await rig.live()).session_id == new.id
    assert await settle(now=at(34)) == []
    await settle(now=at(35))
    old, new = await rig.sessions()
    assert (old.state, old.energy_wh, old.ended_at) == (SessionState.ENDED, 400, at(10))
    assert (old.registered_at, old.flag_set) == (at(35), SessionFlag.END_INFERRED)
    assert new.state is SessionState.ACTIVE


async def test_available_infers_an_end_unless_the_transaction_speaks_again(rig: Rig) -> None:
    """The hold that Available began is withdrawn by the next reading of that transaction."""
    await rig.start(at(0), meter=0)
    await rig.status(ConnectorStatus.AVAILABLE, at(5))
    assert (await rig.session()).inferred_end_due_at is not None
    await rig.meter("1", reading(10, at(6)))
    assert (await rig.session()).inferred_end_due_at is None


async def test_a_real_end_replaces_an_inferred_one(rig: Rig) -> None:
    """The queued stop that comes after the hold is the truth."""
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(100, at(10)))
    await rig.boot(at(20))
    await settle(now=at(40))
    await rig.stop("1", at(15), meter=180, received=at(50))
    session = await rig.session()
    assert (session.energy_wh, session.ended_at, session.flag_set) == (180, at(15), SessionFlag(0))


async def test_late_samples_refine_an_ended_session(rig: Rig) -> None:
    """A reading that arrives within a day after the end still shapes the intervals; the energy stays."""
    await rig.start(at(0), meter=0)
    await rig.stop("1", at(30), meter=300)
    await rig.meter("1", reading(290, at(15)), received=at(60))
    assert [part.energy_wh for part in await rig.intervals()] == [290, 10]
    assert (await rig.session()).energy_wh == 300


async def test_samples_are_kept_once(rig: Rig) -> None:
    """A reading delivered three times is stored once."""
    await rig.start(at(0), meter=0)
    for received in (at(1), at(2), at(3)):
        await rig.meter("1", reading(10, at(1)), received=received)
    assert await rig.sample_count() == 1


async def test_readings_without_a_transaction_count_for_the_session_there(rig: Rig) -> None:
    """Firmware that leaves the transaction id out is understood."""
    await rig.start(at(0), meter=0)
    await rig.meter(None, reading(77, at(1)))
    await rig.meter("-1", reading(88, at(2)))
    assert (await rig.session()).energy_wh == 88


async def test_live_status_never_goes_back(rig: Rig) -> None:
    """A replayed status changes nothing that shows, and versions only rise."""
    await rig.status(ConnectorStatus.CHARGING, at(10))
    before = await rig.live()
    await rig.status(ConnectorStatus.AVAILABLE, at(5), received=at(11))
    after = await rig.live()
    assert (after.connector_status, after.version) == (ConnectorStatus.CHARGING, before.version)
    versions = [one.version for one in rig.events if isinstance(one, ChargerStatusChanged)]
    assert versions == sorted(set(versions))


async def test_one_bad_report_does_not_take_the_others_along(rig: Rig) -> None:
    """A report that the database refuses is refused alone; its neighbours in the batch are stored."""
    await rig.start(at(0), meter=0)
    good = Metered(charger_time=at(1), received_at=at(1), evse=1, transaction_id="1", samples=(reading(50, at(1)),))
    bad = msgspec.structs.replace(good, samples=(reading(2**70, at(2)),))
    result = await rig.say(bad, good)
    assert [one.refusal is None for one in result.outcomes] == [False, True]
    assert (await rig.session()).energy_wh == 50


async def test_an_older_connection_is_refused(rig: Rig) -> None:
    """What a connection says after a newer one took over is not stored."""
    stale = msgspec.structs.replace(
        rig.report(SessionStarted(charger_time=NOW, received_at=NOW, evse=1, id_token=CARD, meter_start_wh=0)), epoch=0
    )
    result = await apply_batch([stale], now=NOW)
    assert result.outcomes[0].refusal is not None
    assert await rig.sessions() == []


async def test_many_stations_in_one_batch(rig: Rig) -> None:
    """Reports of many stations are one transaction with an answer for each."""
    rigs = [rig] + [await a_rig_at(rig, await a_charger(rig.site, f"Space {n}")) for n in range(2, 7)]
    await Installation.filter(id=rig.site.id).update(allows_concurrent=True)
    start = SessionStarted(charger_time=NOW, received_at=NOW, evse=1, id_token=CARD, meter_start_wh=0)
    result = await apply_batch([one.report(start) for one in rigs], now=NOW)
    assert [one.transaction_id for one in result.outcomes] == ["1"] * 6
    assert await ChargeSession.all().count() == 6
