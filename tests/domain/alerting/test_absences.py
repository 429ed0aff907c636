"""Chargers that are gone, and places that are gone as a whole: one alert for it, and one mail, not forty."""

from datetime import timedelta

import pytest

from app.database import Database
from domain.alerting.absences import AbsenceWatch
from domain.events import AlertChanged
from domain.models import Alert, Charger, Station
from domain.roles import AlertKind, AlertState, Role
from tests.domain.mailing import subjects, written
from tests.domain.rig import at
from tests.factories import Site, a_charger, a_grant, a_person, a_site, arrived


@pytest.fixture
async def site(database: Database) -> Site:
    """A place with an owner."""
    made = await a_site()
    await a_grant(Role.OWNER, made, user_id=await a_person("Olga", email="olga@example.com"))
    return made


async def chargers(site: Site, count: int) -> list[Station]:
    """So many that are here."""
    stations = []
    for number in range(count):
        charger = await Charger.get(id=await a_charger(site, f"Space {number + 1}"))
        assert charger.station_id is not None
        await Station.filter(id=charger.station_id).update(is_connected=True, connected_at=at(-600), last_seen_at=at(0))
        stations.append(await Station.get(id=charger.station_id))
    return stations


async def gone(stations: list[Station], minute: float) -> None:
    ids = [one.id for one in stations]
    await Station.filter(id__in=ids).update(is_connected=False, disconnected_at=at(minute), last_seen_at=at(minute))


async def back(stations: list[Station], minute: float) -> None:
    for one in stations:
        await arrived(one.id, process="p1", protocol="ocpp1.6", now=at(minute))


def a_watch(since: float = -600) -> AbsenceWatch:
    return AbsenceWatch(timedelta(minutes=15), at(since))


async def open_now() -> list[tuple[AlertKind, bool]]:
    """(kind, whether it is a part of another) of each open alert."""
    found = await Alert.exclude(state=AlertState.RESOLVED).order_by("kind", "charger_id")
    return [(one.kind, one.folded_into_id is not None) for one in found]


async def test_forty_chargers_off_at_once_are_one_alert_and_one_mail(site: Site) -> None:
    """Whoever owns one of the chargers still has theirs; half of them back ends it."""
    stations = await chargers(site, 40)
    own = await Charger.get(station_id=stations[0].id)
    await a_grant(Role.OWNER, site, user_id=await a_person("Own", email="own@example.com"), charger_id=own.id)
    for number, station in enumerate(stations):
        await gone([station], number / 60)
    watch = a_watch()
    assert await watch.check(now=at(15.9)) == []
    await watch.check(now=at(16))
    kinds = await open_now()
    assert kinds.count((AlertKind.INSTALLATION_OFFLINE, False)) == 1
    assert kinds.count((AlertKind.CHARGER_OFFLINE, True)) == 40
    assert sorted(subjects(await written(at(17)))) == [
        ("olga@example.com", "Fjordveien garage: more than half of the chargers are offline"),
        ("own@example.com", "Fjordveien garage: Space 1 is offline"),
    ]
    await back(stations[:19], 30)
    assert [one for one in await watch.check(now=at(31)) if isinstance(one, AlertChanged)] == []
    await back(stations[19:20], 32)
    await watch.check(now=at(32))
    assert await open_now() == [(AlertKind.CHARGER_OFFLINE, False)] * 20
    assert subjects(await written(at(33)))[2:] == [("olga@example.com", "Fjordveien garage: 20 alerts")]
    await back(stations[20:], 40)
    await watch.check(now=at(41))
    assert await open_now() == []


async def test_those_that_went_before_become_parts(site: Site) -> None:
    """And who goes later is one at once."""
    stations = await chargers(site, 4)
    watch = a_watch()
    await gone(stations[:1], 0)
    await watch.check(now=at(16))
    assert await open_now() == [(AlertKind.CHARGER_OFFLINE, False)]
    await gone(stations[1:3], 20)
    await watch.check(now=at(36))
    assert await open_now() == [(AlertKind.CHARGER_OFFLINE, True)] * 3 + [(AlertKind.INSTALLATION_OFFLINE, False)]
    await gone(stations[3:], 40)
    await watch.check(now=at(55))
    assert await open_now() == [(AlertKind.CHARGER_OFFLINE, True)] * 4 + [(AlertKind.INSTALLATION_OFFLINE, False)]


@pytest.mark.parametrize(("total", "away", "is_whole"), [(2, 2, False), (3, 3, True), (6, 3, False), (5, 3, True)])
async def test_more_than_half_and_at_least_three(site: Site, total: int, away: int, is_whole: bool) -> None:
    """Two of two, and half of six, are told of one by one."""
    stations = await chargers(site, total)
    await gone(stations[:away], 0)
    await a_watch().check(now=at(16))
    assert ((AlertKind.INSTALLATION_OFFLINE, False) in await open_now()) is is_whole


async def test_a_charger_that_comes_and_goes_is_offline_until_it_stays(site: Site) -> None:
    """A new connection does not end it; staying for half of the time does."""
    stations = await chargers(site, 1)
    watch = a_watch()
    for second in range(0, 1500, 20):
        await gone(stations, second / 60)
        await watch.check(now=at((second + 1) / 60))
        await back(stations, (second + 12) / 60)
        await watch.check(now=at((second + 13) / 60))
    alert = await Alert.get()
    assert (alert.kind, alert.vendor_code, alert.state) == (AlertKind.CHARGER_OFFLINE, "ComesAndGoes", AlertState.OPEN)
    assert alert.occurrences == 1
    await watch.check(now=at(25))
    assert len(await open_now()) == 1
    await watch.check(now=at(35))
    assert await open_now() == []
    assert len(await written(at(36))) == 1


async def test_a_process_that_has_just_begun_blames_and_praises_nobody(site: Site) -> None:
    """What it has not seen it does not judge: an alert about comings and goings stays for a quarter of an hour."""
    stations = await chargers(site, 1)
    charger = await Charger.get(station_id=stations[0].id)
    await Alert.create(
        installation_id=site.id,
        charger_id=charger.id,
        kind=AlertKind.CHARGER_OFFLINE,
        severity="WARNING",
        vendor_code="ComesAndGoes",
        open_key=f"CHARGER_OFFLINE:{charger.id}",
        message="",
        opened_at=at(0),
    )
    await a_watch(since=10).check(now=at(11))
    assert len(await open_now()) == 1
    await a_watch(since=10).check(now=at(25))
    assert await open_now() == []
