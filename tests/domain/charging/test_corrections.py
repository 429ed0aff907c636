"""What was announced is never edited: a correction replaces it (domain.md §5)."""

import json
from datetime import date, datetime

import pytest

from domain.events import SessionChanged
from domain.metering import settle
from domain.models import ChargeSession, EnergyInterval, ExternalAuthentication, Sample, SessionEvent
from domain.reporting.reports import LockWish, lock_report
from domain.roles import ExternalMode, ReportBasis, Role, SessionFlag, SessionState, UsageDimension
from domain.views.report_views import contents_by_report_ids
from tests.domain.rig import Rig, a_rig, at, reading
from tests.factories import NOW, a_grant, a_person, access

pytestmark = pytest.mark.usefixtures("database")


async def _told() -> Rig:
    """A rig whose site tells a system of its charges."""
    rig = await a_rig()
    system = ExternalAuthentication(
        installation_id=rig.site.id, mode=ExternalMode.SHADOW, url="https://system.example/lade", secret="sealed:x"
    )
    await ExternalAuthentication.bulk_create([system])
    return rig


async def _both() -> tuple[ChargeSession, ChargeSession]:
    """(what was announced, its correction)."""
    old = await ChargeSession.get(state=SessionState.VOID)
    (new,) = await ChargeSession.exclude(id=old.id)
    return old, new


async def test_an_announced_session_is_never_edited_a_correction_replaces_it() -> None:
    """The replaced one is VOID without energy, the new one has its own time of registration, and the system is told once."""
    rig = await _told()
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(100, at(10)))
    await rig.boot(at(20))
    await settle(now=at(40))
    inferred = await rig.session()
    for again in (50, 55):
        await rig.stop("1", at(15), meter=180, received=at(again))
    old, new = await _both()
    assert (old.id, old.replaced_by_id, old.energy_wh, old.ended_at) == (inferred.id, new.id, None, inferred.ended_at)
    assert old.flag_set == SessionFlag.END_INFERRED | SessionFlag.VOID
    assert (new.state, new.flag_set, new.energy_wh, new.ended_at) == (SessionState.ENDED, SessionFlag(0), 180, at(15))
    assert (old.registered_at, new.registered_at, new.transaction_id) == (inferred.registered_at, at(50), "1")
    replaced = [one for one in rig.events if isinstance(one, SessionChanged) and one.change == "REPLACED"]
    assert [(one.session_id, one.replaces_id) for one in replaced] == [(new.id, old.id)]
    parts = await EnergyInterval.all().order_by("start_at")
    assert ({part.session_id for part in parts}, sum(part.energy_wh for part in parts)) == ({new.id}, 180)
    told = [json.loads(one.payload) for one in await SessionEvent.all().order_by("id")]
    assert [one["type"] for one in told if one["type"] != "session.updated"] == [
        "session.started",
        "session.ended",
        "session.replaced",
    ]
    assert told[-1]["data"]["session"]["replacesId"] == told[-2]["data"]["session"]["id"]
    assert told[-1]["data"]["session"]["energyKwh"] == "0.180"


async def test_a_reading_that_comes_late_corrects_when_the_energy_was_taken() -> None:
    """Also where the energy of the whole stays; the same reading again corrects nothing."""
    rig = await _told()
    await rig.start(at(0), meter=0)
    await rig.stop("1", at(30), meter=300)
    for received in (60, 61):
        await rig.meter("1", reading(290, at(15)), received=at(received))
    old, new = await _both()
    assert (old.energy_wh, new.energy_wh, new.registered_at) == (None, 300, at(60))
    assert [(one.session_id, one.energy_wh) for one in await EnergyInterval.all().order_by("start_at")] == [
        (new.id, 290),
        (new.id, 10),
    ]


async def test_readings_correct_until_a_day_after_the_end_arrived() -> None:
    """Corrections in between make it no longer, and what comes afterwards changes nothing, be it that it came late."""
    rig = await _told()
    await rig.start(at(0), meter=0)
    await rig.stop("1", at(30), meter=None)
    for minute, hour in ((10, 20), (20, 25), (25, 44)):
        await rig.meter("1", reading(0, at(5)), reading(10 * minute, at(minute)), received=at(60 * hour))
        _, new = await _both()
        assert (new.energy_wh, new.registered_at) == (100, at(60 * 20))
    assert await Sample.filter(session_id=new.id).count() == 4


async def test_a_session_of_a_locked_report_is_corrected_in_the_next() -> None:
    """The report has what it had, and the next one takes that away again and counts the correction where it was registered."""
    rig = await a_rig()
    owner = await a_person("Olga")
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    await rig.start(at(0), meter=0)
    await rig.meter("1", reading(100, at(10)))
    await rig.boot(at(20))
    await settle(now=at(40))

    async def lock(first: date, after: date, now: datetime) -> tuple[int, int]:
        wish = LockWish(first, after, basis=ReportBasis.REGISTERED, group_by=(UsageDimension.USER,))
        acting = await access(owner, now=now)
        made = await lock_report(acting, rig.site.id, wish)
        content = (await contents_by_report_ids(acting, [made]))[made]
        return content.summary.total.energy_wh, content.correction_total.energy_wh

    days = 24 * 60
    march, april, may = (NOW.date().replace(day=1, month=month) for month in (3, 4, 5))
    assert await lock(march, april, at(40 * days)) == (100, 0)
    await rig.stop("1", at(15), meter=180, received=at(41 * days))
    old, new = await _both()
    assert (old.energy_wh, new.energy_wh, new.registered_at) == (None, 180, at(41 * days))
    assert await lock(april, may, at(70 * days)) == (180, -100)


async def test_what_nobody_was_told_of_is_corrected_in_its_place() -> None:
    """No system and no report: one session."""
    rig = await a_rig()
    await rig.start(at(0), meter=0)
    await rig.stop("1", at(30), meter=300)
    await rig.meter("1", reading(290, at(15)), received=at(60))
    assert (await rig.session()).state is SessionState.ENDED
    assert await ChargeSession.all().count() == 1
