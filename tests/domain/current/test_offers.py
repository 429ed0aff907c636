"""Tests of what the balancer is told about a site, and of what it tells."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain import leases, sql
from domain.access import access_of
from domain.current import holds, offers
from domain.current.offers import OfferRecord, SessionFacts
from domain.equipment.capabilities import ChargerModels
from domain.models import Charger, ChargerStatus, ChargeSession
from domain.roles import BindingLimit, Role, SessionState
from domain.views.balancing_views import explanations
from tests.factories import NOW, a_charger, a_grant, a_person, a_session, a_site

pytestmark = pytest.mark.usefixtures("database")


async def test_only_a_disabled_charger_that_was_never_heard_is_left_out() -> None:
    """It is not installed yet; one that was connected before may be drawing although somebody disabled it."""
    site = await a_site()
    waiting, planned, switched_off = [await a_charger(site, name) for name in ("waiting", "planned", "switched off")]
    await Charger.filter(id__in=[planned, switched_off]).update(is_enabled=False)
    await sql.execute(
        "UPDATE stations SET epoch = 1 WHERE id = (SELECT station_id FROM chargers WHERE id = $1)", switched_off
    )
    facts = await offers.site(site.id, now=NOW, models=ChargerModels.load())
    assert facts is not None
    assert {charger.id for charger in facts.chargers} == {waiting, switched_off}


async def test_the_expected_turn_is_told_to_owners() -> None:
    """It is stored with the offer, with the place in the queue."""
    site = await a_site()
    charger_id = await a_charger(site, "P1")
    grip = await leases.take(offers.lease_of(site.id), "a", now=NOW, for_s=15)
    assert grip is not None
    record = OfferRecord(
        charger_id=charger_id,
        session_id=None,
        confirmed_a=0.0,
        confirmed_phases="",
        target_a=0.0,
        target_phases="",
        targeted_at=None,
        acknowledged_at=None,
        fallback_a=None,
        waiting_since=NOW,
        charging_since=None,
        limit=BindingLimit.ROTATION,
        limiting_circuit_id=None,
        queue_position=1,
        reason="Waits for its turn.",
        next_slot_at=NOW + timedelta(minutes=15),
    )
    assert await offers.keep(site.id, [record], fence=grip.fence, now=NOW)
    owner = await a_person("Olga Owner")
    await a_grant(Role.OWNER, site, user_id=owner)
    found = await explanations(await access_of(owner, now=NOW), [charger_id])
    assert found[charger_id].next_slot_at == NOW + timedelta(minutes=15)
    assert found[charger_id].queue_position == 1


async def test_when_a_car_was_held_back_is_remembered() -> None:
    """From the first offer that holds it back until the first that does not, also when that is another car's, and when the charger goes."""
    site = await a_site()
    charger_id, removed_id = await a_charger(site, "P1"), await a_charger(site, "P2")
    grip = await leases.take(offers.lease_of(site.id), "a", now=NOW, for_s=15)
    assert grip is not None
    at = [NOW + timedelta(minutes=number) for number in range(9)]
    for minute, is_held in ((0, False), (1, True), (2, True), (4, False), (5, False), (6, True)):
        records = [_record(one, is_held=is_held) for one in (charger_id, removed_id)]
        assert await offers.keep(site.id, records, fence=grip.fence, now=at[minute])
    await holds.end([removed_id], now=at[7])
    await sql.execute("DELETE FROM offers WHERE charger_id = $1", removed_id)
    assert await holds.held_spans([charger_id, removed_id], at[0], at[8]) == {
        charger_id: [(at[1], at[4]), (at[6], at[8])],
        removed_id: [(at[1], at[4]), (at[6], at[7])],
    }
    assert await holds.held_spans([charger_id], at[4], at[6]) == {}


def _record(charger_id: UUID, *, is_held: bool) -> OfferRecord:
    return OfferRecord(
        charger_id=charger_id, session_id=None, confirmed_a=0.0, confirmed_phases="", target_a=0.0, target_phases="", targeted_at=None,
        acknowledged_at=None, fallback_a=None, waiting_since=None, charging_since=None, limit=BindingLimit.ROTATION,
        limiting_circuit_id=None, queue_position=None, reason="", is_held=is_held,
    )  # fmt: skip


async def test_a_charge_is_told_with_what_its_driver_wants() -> None:
    """The energy that is wanted, what has flowed of it, and the seconds until the car leaves; nothing where nothing is wanted."""
    site = await a_site()
    wanting, other = [await a_charger(site, name) for name in ("wanting", "other")]
    for charger_id in (wanting, other):
        session_id = await a_session(site, charger_id, state=SessionState.ACTIVE)
        await ChargerStatus.filter(charger_id=charger_id).update(session_id=session_id, session_energy_wh=1_500)
        if charger_id == wanting:
            leaves_at = NOW + timedelta(hours=2)
            await ChargeSession.filter(id=session_id).update(energy_target_wh=20_000, departure_at=leaves_at)
    facts = await offers.site(site.id, now=NOW, models=ChargerModels.load())
    assert facts is not None
    told = {charger.id: charger.session for charger in facts.chargers}
    assert [_wish(told[one]) for one in (wanting, other)] == [(1_500, 20_000, 7_200.0), (1_500, None, None)]


def _wish(session: SessionFacts | None) -> tuple[object, ...]:
    assert session is not None
    return (session.energy_wh, session.energy_target_wh, session.departs_in_s)
