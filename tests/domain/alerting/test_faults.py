"""Alerts: opened once, resolved, mailed in the same transaction, damped."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from app.database import Database
from domain.alerting import inferred_faults
from domain.alerting.absences import AbsenceWatch
from domain.alerting.faults import KINDS, fault_of
from domain.events import AlertChanged, ChargerStatusChanged
from domain.lifecycle import disconnected
from domain.models import Alert, Station, User
from domain.observations import ConnectorStatus, FaultReported
from domain.roles import AlertKind, AlertState, Role, Severity
from tests.domain.mailing import subjects, work, written
from tests.domain.rig import Rig, a_rig, at
from tests.factories import a_grant, a_group, a_person, arrived


@pytest.fixture
async def rig(database: Database) -> Rig:
    made = await a_rig()
    owner = await a_person("Olga Owner", email="olga@example.com")
    await a_grant(Role.OWNER, made.site, user_id=owner)
    return made


@pytest.mark.parametrize(("code", "kind"), sorted(KINDS.items()))
def test_every_code_has_its_kind(code: str, kind: AlertKind) -> None:
    """The table of OCPP 1.6 error codes."""
    fault = fault_of(code, None, None, ConnectorStatus.FAULTED)
    assert fault is not None
    assert fault.kind is kind


def test_what_is_no_fault() -> None:
    """NoError, and codes about network and lists, are none; Faulted without a code is; vendors name cables themselves."""
    for code in ("NoError", "WeakSignal", "LocalListConflict", None):
        assert fault_of(code, None, None, ConnectorStatus.AVAILABLE) is None
    unnamed = fault_of("NoError", None, None, ConnectorStatus.FAULTED)
    assert unnamed is not None
    assert unnamed.kind is AlertKind.INTERNAL
    cable = fault_of("OtherError", "ProximityPilotMissing", None, ConnectorStatus.FAULTED)
    assert cable is not None
    assert (cable.kind, cable.vendor_code) == (AlertKind.CABLE_FAULT, "ProximityPilotMissing")


async def test_a_fault_opens_one_alert_and_mails_the_owner(rig: Rig) -> None:
    """However often it is reported: one alert, one mail, one warning in the live status."""
    for minute in range(3):
        await rig.status(ConnectorStatus.FAULTED, at(minute), error="OtherError", vendor="CableCheckFailure")
    alert = await Alert.get()
    assert (alert.kind, alert.severity, alert.state) == (AlertKind.CABLE_FAULT, Severity.ERROR, AlertState.OPEN)
    assert subjects(await written(at(3))) == [("olga@example.com", "Fjordveien garage: Space 1 has a cable fault")]
    status = [one for one in rig.events if isinstance(one, ChargerStatusChanged)][-1]
    assert [one.kind for one in status.warnings] == [AlertKind.CABLE_FAULT]


async def test_a_fault_ends_with_no_error(rig: Rig) -> None:
    """NoError resolves what the charger had reported, and the warning goes from the live status."""
    await rig.status(ConnectorStatus.FAULTED, at(0), error="HighTemperature")
    await rig.status(ConnectorStatus.AVAILABLE, at(5))
    alert = await Alert.get()
    assert (alert.state, alert.resolved_at, alert.open_key) == (AlertState.RESOLVED, at(5), None)
    status = [one for one in rig.events if isinstance(one, ChargerStatusChanged)][-1]
    assert status.warnings == ()
    assert len([one for one in rig.events if isinstance(one, AlertChanged)]) == 2


async def test_another_fault_takes_the_place_of_the_first(rig: Rig) -> None:
    """A charger reports one fault at a time; the older one is over."""
    await rig.status(ConnectorStatus.FAULTED, at(0), error="HighTemperature")
    await rig.status(ConnectorStatus.FAULTED, at(1), error="GroundFailure")
    assert {(one.kind, one.state) for one in await Alert.all()} == {
        (AlertKind.OVER_TEMPERATURE, AlertState.RESOLVED),
        (AlertKind.GROUND_FAULT, AlertState.OPEN),
    }


SECURITY_EVENTS = {"SecurityLogWasCleared": "Its log was emptied.", "TamperDetectionActivated": "It was opened."}


async def test_an_event_of_its_security_shows_for_a_day(rig: Rig) -> None:
    """One warning and one mail for each, however often it is told; statuses and other faults do not end it, time does."""
    for minute in (0, 1):
        for name, words in SECURITY_EVENTS.items():
            event = FaultReported(
                charger_time=at(minute),
                received_at=at(minute),
                evse=0,
                kind=AlertKind.SECURITY,
                is_cleared=False,
                vendor_code=name,
                info=words,
            )
            await rig.say(event)
    await rig.status(ConnectorStatus.FAULTED, at(2), error="HighTemperature")
    await rig.status(ConnectorStatus.AVAILABLE, at(3))
    alerts = await Alert.filter(resolved_at=None).order_by("opened_at", "vendor_code")
    assert [(one.kind, one.severity, one.vendor_code) for one in alerts] == [
        (AlertKind.SECURITY, Severity.WARNING, "SecurityLogWasCleared"),
        (AlertKind.SECURITY, Severity.WARNING, "TamperDetectionActivated"),
    ]
    status = [one for one in rig.events if isinstance(one, ChargerStatusChanged)][-1]
    begin = "The charger reports something that concerns its security. Somebody should look at it."
    assert {one.message for one in status.warnings} == {f"{begin} ({words})" for words in SECURITY_EVENTS.values()}
    about = [one for one in await written(at(4)) if "security" in one.text]
    assert [one.text.count("worries about its security") for one in about] == [2]
    for minute, expected in ((23 * 60 + 59, 2), (24 * 60, 0)):
        await inferred_faults.check(now=at(minute))
        assert await Alert.filter(resolved_at=None).count() == expected


async def test_information_is_not_mailed(rig: Rig) -> None:
    """A car that does not understand the charger is no reason for a mail."""
    await rig.status(ConnectorStatus.SUSPENDED_EV, at(0), error="EVCommunicationError")
    assert (await Alert.get()).severity is Severity.INFO
    assert await written(at(1)) == []


async def test_a_flapping_fault_is_damped(rig: Rig) -> None:
    """The third opening within an hour sends no mail of its own, but an hour later one that counts them; then one is sent again."""
    for minute in range(0, 50, 10):
        await rig.status(ConnectorStatus.FAULTED, at(minute), error="HighTemperature")
        await work(at(minute + 1))
        await rig.status(ConnectorStatus.AVAILABLE, at(minute + 5))
    assert len(await written(at(79))) == 2
    digest = (await written(at(80)))[2]
    assert "Has come and gone 5 times" in digest.text
    await rig.status(ConnectorStatus.FAULTED, at(200), error="HighTemperature")
    assert len(await written(at(201))) == 4


async def test_what_comes_back_within_minutes_is_the_same_alert(rig: Rig) -> None:
    """A fault that flaps every ten seconds is one alert that counts its openings, and one mail; acknowledged it stays so."""
    for number in range(180):
        await rig.status(ConnectorStatus.FAULTED, at(number / 3), error="HighTemperature")
        if number == 10:
            await Alert.all().update(state=AlertState.ACKNOWLEDGED, acknowledged_at=at(number / 3))
        await rig.status(ConnectorStatus.AVAILABLE, at(number / 3 + 1 / 6))
    await rig.status(ConnectorStatus.FAULTED, at(60), error="HighTemperature")
    alert = await Alert.get()
    assert (alert.opened_at, alert.reopened_at, alert.resolved_at) == (at(0), at(60), None)
    assert (alert.state, alert.occurrences) == (AlertState.ACKNOWLEDGED, 181)
    assert len(await written(at(59))) == 1


async def test_silence_opens_an_alert_and_the_return_resolves_it(rig: Rig) -> None:
    """A charger that was here and is silent for a quarter of an hour is reported once, mailed once, and resolved when it is back."""
    gone = at(0)
    await Station.filter(id=rig.station_id).update(last_seen_at=gone)
    await disconnected({rig.station_id: rig.epoch}, now=gone)
    watch = AbsenceWatch(timedelta(minutes=15), at(-600))
    assert await watch.check(now=at(15)) == []
    opened = await watch.check(now=at(16))
    assert [type(one) for one in opened] == [AlertChanged, ChargerStatusChanged]
    assert await watch.check(now=at(17)) == []
    (mail,) = await written(at(18))
    assert mail.subject == "Fjordveien garage: Space 1 is offline"
    assert f"\nSince: {gone.astimezone(ZoneInfo('Europe/Oslo')):%Y-%m-%d %H:%M} CET\n" in mail.text
    made = await arrived(rig.station_id, process="p1", protocol="ocpp1.6", now=at(20))
    alert = await Alert.get()
    assert (alert.kind, alert.state, alert.resolved_at) == (AlertKind.CHARGER_OFFLINE, AlertState.RESOLVED, at(20))
    status = next(one for one in made.events if isinstance(one, ChargerStatusChanged))
    assert (status.is_online, status.warnings) == (True, ())


async def test_a_portal_that_was_away_does_not_blame_chargers(rig: Rig) -> None:
    """Silence counts from the portal's own start."""
    await Station.filter(id=rig.station_id).update(last_seen_at=at(-600))
    await disconnected({rig.station_id: rig.epoch}, now=at(-600))
    watch = AbsenceWatch(timedelta(minutes=15), at(0))
    assert await watch.check(now=at(10)) == []
    assert await watch.check(now=at(15.5)) == []
    assert await watch.check(now=at(16)) != []


async def test_a_charger_that_never_came_is_not_missed(rig: Rig) -> None:
    """One that was only just added has not gone silent."""
    await Station.filter(id=rig.station_id).update(last_seen_at=None, is_connected=False)
    assert await AbsenceWatch(timedelta(minutes=15), at(0)).check(now=at(600)) == []


async def test_mails_go_to_owners_only(rig: Rig) -> None:
    """Residents, former owners and owners of other chargers get none; the charger's own owner does."""
    ended, charger_owner = await a_person("Former"), await a_person("Own", email="own@example.com")
    await a_grant(Role.OWNER, rig.site, user_id=ended, valid_to=at(-1))
    await a_grant(Role.OWNER, rig.site, user_id=charger_owner, charger_id=rig.charger_id)
    await rig.status(ConnectorStatus.FAULTED, at(0) + timedelta(seconds=1), error="GroundFailure")
    assert sorted(mail.to for mail in await written(at(1))) == ["olga@example.com", "own@example.com"]


async def test_owners_through_a_group_are_mailed_once(rig: Rig) -> None:
    """As those who hold it themselves, and who holds it both ways gets one."""
    member = await a_person("Member", email="member@example.com")
    both = await User.get(email="olga@example.com")
    group = await a_group(rig.site, member, both.id)
    await a_grant(Role.OWNER, rig.site, group_id=group)
    await rig.status(ConnectorStatus.FAULTED, at(0) + timedelta(seconds=1), error="GroundFailure")
    assert sorted(mail.to for mail in await written(at(1))) == ["member@example.com", "olga@example.com"]
