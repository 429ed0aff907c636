"""What chargers do, other than what they say."""

from datetime import timedelta

import pytest

from app.database import Database
from domain.alerting import inferred_faults
from domain.charging.session_rules import Hearing
from domain.events import ChargerStatusChanged
from domain.models import Alert, Charger, ChargerStatus, ChargeSession, Station
from domain.observations import ConnectorStatus
from domain.roles import AlertKind, AlertState, CommandAction, Severity
from tests.domain.rig import Rig, a_rig, at, reading
from tests.domain.test_metering import a_command
from tests.factories import a_card, a_charger, a_person, a_site

NOTHING = (0.0, 0.1, 0.0)


@pytest.fixture
async def rig(database: Database) -> Rig:
    """A charger that charges since noon."""
    made = await a_rig()
    await made.start(at(0))
    await made.status(ConnectorStatus.CHARGING, at(0))
    return made


async def look(minute: float) -> list[AlertKind]:
    """What is open after it was looked at in that minute."""
    await inferred_faults.check(now=at(minute))
    return [one.kind for one in await Alert.filter(resolved_at=None)]


async def read(rig: Rig, minute: float, currents: tuple[float, float, float]) -> None:
    """The meter says so."""
    session = await rig.session()
    await rig.meter(session.transaction_id, reading(1000, at(minute), currents=currents))


async def test_ten_minutes_without_a_current_are_an_alert_that_a_current_ends(rig: Rig) -> None:
    """By the charger's readings: a warning at ten minutes and not before, over with the first ampere."""
    await read(rig, 1, NOTHING)
    await read(rig, 10, NOTHING)
    assert await look(10) == []
    await read(rig, 11, NOTHING)
    assert await look(11) == [AlertKind.NO_CURRENT]
    alert = await Alert.get()
    assert (alert.severity, alert.charger_id) == (Severity.WARNING, rig.charger_id)
    await read(rig, 12, (6.0, 0.0, 0.0))
    assert await look(12) == []
    assert (await Alert.get()).state is AlertState.RESOLVED


async def test_those_of_whom_nothing_is_known_hide_nobody(rig: Rig) -> None:
    """Chargers that say nothing more, however many come first, do not keep others from being looked at."""
    for number in range(3):
        silent = await a_charger(rig.site, f"Silent {number}")
        await ChargerStatus.filter(charger_id=silent).update(idle_since=at(-60), measured_at=at(-59))
    for minute in (1, 11):
        await read(rig, minute, NOTHING)
    row = await ChargerStatus.get(charger_id=rig.charger_id)
    last = await a_charger(rig.site, "Last")
    await ChargerStatus.filter(charger_id=last).update(idle_since=row.idle_since, measured_at=row.measured_at)
    await inferred_faults.check(now=at(11), at_once=1)
    assert {one.charger_id for one in await Alert.all()} == {rig.charger_id, last}


async def test_the_warning_shows_and_goes(rig: Rig) -> None:
    """The live status has it as long as it is open."""
    for minute in (1, 11):
        await read(rig, minute, NOTHING)
    shown = [one for one in await inferred_faults.check(now=at(11)) if isinstance(one, ChargerStatusChanged)]
    assert [[warning.kind for warning in one.warnings] for one in shown] == [[AlertKind.NO_CURRENT]]
    await read(rig, 12, (6.0, 6.0, 6.0))
    gone = [one for one in await inferred_faults.check(now=at(12)) if isinstance(one, ChargerStatusChanged)]
    assert [one.warnings for one in gone] == [()]


async def test_who_may_draw_nothing_or_wants_nothing_is_no_fault(rig: Rig) -> None:
    """A car that is full, and one that waits for its share, draw nothing for good reasons."""
    await rig.status(ConnectorStatus.SUSPENDED_EV, at(0.5))
    for minute in (1, 20):
        await read(rig, minute, NOTHING)
    assert await look(20) == []
    await rig.status(ConnectorStatus.CHARGING, at(21))
    await ChargerStatus.filter(charger_id=rig.charger_id).update(allocated_a=0.0)
    for minute in (22, 40):
        await read(rig, minute, NOTHING)
    assert await look(40) == []


async def test_what_is_not_measured_is_not_inferred(rig: Rig) -> None:
    """A charger that stopped saying anything, or never says currents, has no such alert."""
    await read(rig, 1, NOTHING)
    assert await look(60) == []
    session = await rig.session()
    for minute in (61, 80):
        await rig.meter(session.transaction_id, reading(1000, at(minute), power_w=0.0))
    assert await look(80) == []


async def test_a_charger_that_starts_again_and_again_has_an_alert_until_it_stays(rig: Rig) -> None:
    """The fourth start within an hour opens it, its NoError leaves it open, an hour without a start resolves it."""
    for minute in (1, 10, 20):
        await rig.boot(at(minute))
        await rig.status(ConnectorStatus.AVAILABLE, at(minute + 1))
    assert await look(21) == []
    await rig.boot(at(30))
    await rig.status(ConnectorStatus.AVAILABLE, at(31))
    assert await look(32) == [AlertKind.INTERNAL]
    assert "started 4 times within an hour" in (await Alert.get()).message
    assert await look(89) == [AlertKind.INTERNAL]
    assert await look(90) == []


async def test_starts_that_were_asked_for_or_are_rare_are_none(rig: Rig) -> None:
    """Neither the start after a restart command counts, nor four in two hours."""
    for minute in (1, 30):
        await rig.boot(at(minute))
    for minute in (31, 32):
        await a_command(rig, CommandAction.RESTART)
        await rig.boot(at(minute))
    for minute in (62, 90):
        await rig.boot(at(minute))
    assert await look(91) == []
    assert timedelta(hours=1) == inferred_faults.RESTARTS_WITHIN


async def test_a_restart_alert_hides_no_fault_that_is_told(rig: Rig) -> None:
    """An internal error that the charger tells of has an alert of its own, and keeps it when the restarts are over."""
    for minute in (1, 10, 20, 30):
        await rig.boot(at(minute))
    await rig.status(ConnectorStatus.FAULTED, at(31), error="InternalError")
    assert await look(32) == [AlertKind.INTERNAL, AlertKind.INTERNAL]
    assert await look(91) == [AlertKind.INTERNAL]
    assert (await Alert.get(resolved_at=None)).vendor_code == "InternalError"


async def test_a_car_that_draws_too_much_is_an_alert_until_it_is_over(rig: Rig) -> None:
    """The balancer says whose; the charger, which finds nothing wrong, does not end it by saying so."""
    await read(rig, 1, (6.0, 6.0, 6.0))
    shown = await inferred_faults.draw_too_much(rig.site.id, {rig.charger_id}, now=at(1))
    assert [one.kind for event in shown if isinstance(event, ChargerStatusChanged) for one in event.warnings] == [
        AlertKind.OVERCURRENT
    ]
    await rig.status(ConnectorStatus.SUSPENDED_EV, at(2))
    assert await inferred_faults.draw_too_much(rig.site.id, {rig.charger_id}, now=at(3)) == []
    assert [one.kind for one in await Alert.filter(resolved_at=None)] == [AlertKind.OVERCURRENT]
    await inferred_faults.draw_too_much(rig.site.id, set(), now=at(4))
    assert [one.state for one in await Alert.all()] == [AlertState.RESOLVED]


@pytest.mark.parametrize(("offset_s", "info"), [(-3600.0, "+3600 s"), (90.0, "-90 s")])
async def test_a_wrong_clock_is_an_alert_until_it_is_right(rig: Rig, offset_s: float, info: str) -> None:
    """More than a minute off; how far it is ahead is told."""
    await Station.filter(id=rig.station_id).update(clock_offset_s=60.0)
    assert await look(1) == []
    await Station.filter(id=rig.station_id).update(clock_offset_s=offset_s)
    assert await look(2) == [AlertKind.CLOCK_UNRELIABLE]
    assert (await Alert.get()).info == info
    await Station.filter(id=rig.station_id).update(clock_offset_s=None)
    assert await look(3) == []


async def test_a_card_that_nobody_knows_is_an_alert_when_it_is_held_again_and_again(rig: Rig) -> None:
    """The same three times within an hour; different ones are visitors. An hour without it is the end."""
    for minute, card in ((5, "0BADCA4D"), (15, "0BADCA4E"), (25, "0BADCA4F"), (35, "0BADCA4D"), (66, "0BADCA4D")):
        await rig.present(card, at(minute))
    assert await look(66) == []
    await rig.present("0BADCA4D", at(67.5))
    alert = await Alert.get()
    assert (alert.kind, alert.severity) == (AlertKind.UNKNOWN_CARD_REPEATED, Severity.INFO)
    assert "0BADCA4D" not in alert.message
    assert await look(127) == [AlertKind.UNKNOWN_CARD_REPEATED]
    assert await look(128) == []


async def test_a_card_that_may_not_charge_here_is_not_unknown(rig: Rig) -> None:
    """Somebody has it: that they are refused is told to them."""
    stranger = await a_person("Stranger")
    await a_card(stranger, number="0BADCA4D")
    for minute in (5, 15, 25, 35):
        await rig.present("0BADCA4D", at(minute))
    assert await look(36) == []


async def test_a_charge_that_arrives_late_is_told_for_a_day(rig: Rig) -> None:
    """One alert for all that come then; a charge that was told of at once has none."""
    session = await rig.session()
    await rig.stop(session.transaction_id, at(30), meter=2000)
    assert await look(31) == []
    rig.hearing = Hearing(at(39))
    await rig.start(at(-60), received=at(40))
    late = await ChargeSession.get(started_at=at(-60))
    await rig.stop(late.transaction_id, at(-30), meter=3000, received=at(41))
    assert await look(41) == [AlertKind.OFFLINE_SESSIONS_RECEIVED]
    assert (await Alert.get()).severity is Severity.INFO
    assert await look(41 + 24 * 60 - 1) == [AlertKind.OFFLINE_SESSIONS_RECEIVED]
    assert await look(41 + 24 * 60) == []


async def test_what_is_gone_has_no_alerts(rig: Rig) -> None:
    """A charger that was removed, or moved to another place: what was wrong here is over."""
    await rig.status(ConnectorStatus.FAULTED, at(1), error="HighTemperature")
    assert await look(2) == [AlertKind.OVER_TEMPERATURE]
    other = await a_site("Elsewhere")
    await Charger.filter(id=rig.charger_id).update(installation_id=other.id)
    assert await look(3) == []
    await rig.status(ConnectorStatus.FAULTED, at(10), error="GroundFailure")
    await Charger.filter(id=rig.charger_id).update(removed_at=at(11))
    assert await look(12) == []


async def test_what_a_charger_tells_of_is_not_what_was_inferred_before(rig: Rig) -> None:
    """An internal error just after the restarts are over has an alert of its own, and theirs stays in the history."""
    for minute in (1, 10, 20, 30):
        await rig.boot(at(minute))
    await look(90)
    await rig.status(ConnectorStatus.FAULTED, at(91), error="InternalError")
    alerts = await Alert.all().order_by("opened_at")
    assert [(one.vendor_code, one.state, one.occurrences) for one in alerts] == [
        ("RepeatedRestarts", AlertState.RESOLVED, 1),
        ("InternalError", AlertState.OPEN, 1),
    ]
