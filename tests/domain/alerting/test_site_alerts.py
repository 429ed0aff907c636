"""What is wrong with a place as a whole."""

from datetime import timedelta

import pytest

from app.database import Database
from domain import leases
from domain.alerting import site_alerts
from domain.current import offers
from domain.models import Alert, AuthorizationRequest, Charger, ExternalAuthentication, Installation, SessionEvent
from domain.roles import AlertKind, AlertState, AuthorizationDecision, Decider, ExternalMode, SessionEventKind
from tests.domain.rig import at
from tests.factories import Site, a_charger, a_question, a_site


@pytest.fixture
async def site(database: Database) -> Site:
    """A place with one charger that is balanced."""
    made = await a_site()
    await a_charger(made, "Space 1")
    await balanced(made, 0)
    return made


async def balanced(site: Site, minute: float) -> None:
    await leases.take(offers.lease_of(site.id), "a", now=at(minute), for_s=10)


async def open_at(minute: float, *, begun: float = -600) -> list[AlertKind]:
    await site_alerts.check(now=at(minute), started_at=at(begun))
    found = await Alert.exclude(state=AlertState.RESOLVED).order_by("kind")
    return [one.kind for one in found]


async def test_a_place_that_nobody_balances_has_an_alert(site: Site) -> None:
    """A minute after the lease ran out; over when somebody has it. A portal that has just begun waits a minute."""
    assert await open_at(1.1) == []
    assert await open_at(1.3, begun=1) == []
    assert await open_at(1.3) == [AlertKind.BALANCER_DEGRADED]
    await balanced(site, 2)
    assert await open_at(2) == []


async def test_places_that_are_not_balanced_are_not_missed(site: Site) -> None:
    """One that is put out of use, one without chargers, and one whose charger was added just now."""
    await Installation.filter(id=site.id).update(is_active=False)
    other = await a_site("Elsewhere")
    assert await open_at(10) == []
    charger_id = await a_charger(other, "Space 2")
    await Charger.filter(id=charger_id).update(created_at=at(9.5))
    assert await open_at(10) == []
    assert await open_at(10.6) == [AlertKind.BALANCER_DEGRADED]


async def asked(site: Site, minute: float, by: Decider) -> None:
    """A question that was decided by that."""
    question = await a_question(site, site.root_id)
    await AuthorizationRequest.filter(id=question).update(
        requested_at=at(minute), decided_at=at(minute), decided_by=by, decision=AuthorizationDecision.ACCEPTED
    )


@pytest.fixture
async def external(site: Site) -> Site:
    """Its external system decides."""
    await ExternalAuthentication.create(
        installation_id=site.id, mode=ExternalMode.ENFORCE, url="https://access.example/ask"
    )
    await leases.take(offers.lease_of(site.id), "a", now=at(0), for_s=10 * 24 * 3600)
    return site


async def test_a_system_that_leaves_three_questions_unanswered_is_down_until_it_answers(external: Site) -> None:
    """In a row: an answer in between begins anew. That nobody asks for a while tells nothing."""
    await asked(external, 0, Decider.FAIL_POLICY)
    await asked(external, 1, Decider.FAIL_POLICY)
    await asked(external, 2, Decider.CALL_OUT)
    await asked(external, 3, Decider.FAIL_POLICY)
    await asked(external, 4, Decider.FAIL_POLICY)
    assert await open_at(5) == []
    await asked(external, 5, Decider.FAIL_POLICY)
    assert await open_at(5) == [AlertKind.EXTERNAL_AUTHENTICATION_DOWN]
    assert await open_at(60) == [AlertKind.EXTERNAL_AUTHENTICATION_DOWN]
    await asked(external, 61, Decider.SUBSCRIBER)
    assert await open_at(61) == []


async def down(site: Site) -> None:
    for minute in range(3):
        await asked(site, minute, Decider.FAIL_POLICY)
    assert await open_at(3) == [AlertKind.EXTERNAL_AUTHENTICATION_DOWN]


async def test_other_signs_of_life_end_it(external: Site) -> None:
    """A check that passes."""
    await down(external)
    await ExternalAuthentication.all().update(passed_at=at(20))
    assert await open_at(21) == []


async def test_an_event_that_it_takes_is_a_sign_of_life(external: Site) -> None:
    """As an answer is."""
    await down(external)
    await SessionEvent.create(
        installation_id=external.id,
        session_id=external.id,
        kind=SessionEventKind.ENDED,
        payload="{}",
        created_at=at(15),
        due_at=at(15),
        delivered_at=at(20),
    )
    assert await open_at(21) == []


async def test_what_nobody_asks_any_more_is_not_down(external: Site) -> None:
    """Without a question for a day, or when the system has no say any more."""
    await down(external)
    assert await open_at(23 * 60) == [AlertKind.EXTERNAL_AUTHENTICATION_DOWN]
    await ExternalAuthentication.all().update(mode=ExternalMode.OFF)
    assert await open_at(23 * 60 + 1) == []
    await ExternalAuthentication.all().update(mode=ExternalMode.SHADOW)
    await asked(external, 1500, Decider.FAIL_POLICY)
    assert await open_at(1501) == []


async def test_an_address_where_nobody_is_any_more_is_down(external: Site) -> None:
    """It said 410 Gone to an event."""
    await ExternalAuthentication.all().update(gone_at=at(1))
    assert await open_at(2) == [AlertKind.EXTERNAL_AUTHENTICATION_DOWN]
    assert timedelta(minutes=15) == site_alerts.UNANSWERED_WITHIN
