"""Charge sessions as each person sees them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from domain.access import Access
from domain.errors import ValidationError
from domain.filters import ANYTHING, Comparison, Condition, Every, Not, Some, Term
from domain.models import ChargeSession, EnergyInterval
from domain.pages import PageRequest, page_request
from domain.roles import DateQuality, IntervalQuality, Role, SessionFlag, SessionState
from domain.sessions import (
    EVERYWHERE,
    SessionOrder,
    SessionOrderField,
    SessionPlace,
    SessionRow,
    active_sessions_by_charger_ids,
    energy_details,
    replaced_sessions,
    sessions_by_ids,
    sessions_page,
)
from tests import factories
from tests.factories import LONG_AGO, NOW, Town

pytestmark = pytest.mark.usefixtures("database")

ALL = PageRequest(first=100)


@pytest.fixture
async def town(database: object) -> Town:
    return await factories.a_town()


@pytest.fixture
async def sessions(town: Town) -> dict[str, UUID]:
    """One of each kind: somebody's own, another's, one before the charger's owner came, a neighbour's, one elsewhere."""
    me = town.people["USER of charger"]
    return {
        "own": await factories.a_session(town.site, town.charger_id, user_id=me, user_name="Me"),
        "another's": await factories.a_session(town.site, town.charger_id, user_id=town.people["stranger"]),
        "before the grant": await factories.a_session(
            town.site, town.charger_id, started_at=LONG_AGO - timedelta(days=2), ended_at=LONG_AGO - timedelta(days=1)
        ),
        "neighbour's": await factories.a_session(town.site, town.neighbour_id),
        "elsewhere": await factories.a_session(town.other_site, town.other_charger_id),
        "own elsewhere": await factories.a_session(town.other_site, town.other_charger_id, user_id=me),
    }


SEEN = {
    "USER of charger": {"own", "own elsewhere"},
    "USER of installation": set(),
    "OWNER of charger": {"own", "another's"},
    "OWNER of installation": {"own", "another's", "before the grant", "neighbour's"},
    "SERVICE": set(),
    "ADMINISTRATOR": set(),
    "stranger": {"another's"},
    "not signed in": set(),
}


async def _ids(
    access: Access, where: Condition = ANYTHING, order: tuple[SessionOrder, ...] = (), at: SessionPlace = EVERYWHERE
) -> list[UUID]:
    return [row.id for row in (await sessions_page(access, ALL, where=where, order=order, at=at)).rows]


@pytest.mark.parametrize("person", SEEN)
async def test_each_role_sees_its_own_sessions_everywhere_and_no_others(
    town: Town, sessions: dict[str, UUID], person: str
) -> None:
    """In lists, counts, by id, at an installation and at a charger alike."""
    access = await town.access(person)
    seen = {sessions[name] for name in SEEN[person]}
    page = await sessions_page(access, ALL)
    assert {row.id for row in page.rows} == seen
    assert page.count is not None
    assert await page.count() == len(seen)
    assert set(await sessions_by_ids(access, list(sessions.values()))) == seen
    here = seen - {sessions["elsewhere"], sessions["own elsewhere"]}
    assert set(await _ids(access, at=SessionPlace(installation_id=town.site.id))) == here
    assert set(await _ids(access, at=SessionPlace(charger_id=town.charger_id))) == here - {sessions["neighbour's"]}


async def test_own_sessions_are_those_of_the_person_who_asks(town: Town, sessions: dict[str, UUID]) -> None:
    """An owner's own list has nobody else's."""
    me = await town.access("USER of charger")
    assert set(await _ids(me, at=SessionPlace(is_own=True))) == {sessions["own"], sessions["own elsewhere"]}
    assert await _ids(await town.access("OWNER of installation"), at=SessionPlace(is_own=True)) == []


async def test_a_filter_by_what_may_not_be_followed_matches_nothing(town: Town, sessions: dict[str, UUID]) -> None:
    """A person's old session elsewhere names its place, and cannot be found by that place's id; nor one by its circuit."""
    me = await town.access("USER of charger")
    assert await _ids(me, Term("installationId", Comparison.EQUALS, town.other_site.id)) == []
    assert await _ids(me, Term("chargerId", Comparison.ONE_OF, (town.other_charger_id,))) == []
    assert await _ids(me, Term("circuitId", Comparison.EQUALS, town.site.root_id)) == []
    assert await _ids(me, Term("chargerId", Comparison.EQUALS, town.charger_id)) == [sessions["own"]]
    row = (await sessions_by_ids(me, [sessions["own"]]))[sessions["own"]]
    assert (row.circuit_name, row.is_viewers) == (None, True)
    owner = await town.access("OWNER of installation")
    assert len(await _ids(owner, Term("circuitId", Comparison.EQUALS, town.site.root_id))) == 4
    assert (await sessions_by_ids(owner, [sessions["own"]]))[sessions["own"]].circuit_name == "Main breaker"


async def test_filters_combine_and_compare(town: Town) -> None:
    """By flags, quality of dates, energy, state and time; with AND, OR and NOT."""
    offline = await factories.a_session(town.site, town.charger_id, flags=SessionFlag.OFFLINE, energy_wh=100)
    both = await factories.a_session(
        town.site, town.charger_id, flags=SessionFlag.OFFLINE | SessionFlag.CLOCK_UNRELIABLE, energy_wh=200
    )
    active = await factories.a_session(town.site, town.charger_id, state=SessionState.ACTIVE, energy_wh=300)
    owner = await town.access("OWNER of installation")
    is_offline = Term("flags", Comparison.ONE_OF, (SessionFlag.OFFLINE, SessionFlag.SIGNED))
    assert set(await _ids(owner, is_offline)) == {offline, both}
    assert await _ids(owner, Term("dateQuality", Comparison.ONE_OF, (DateQuality.OFFLINE,))) == [offline]
    assert await _ids(owner, Not(is_offline)) == [active]
    assert await _ids(owner, Term("state", Comparison.ONE_OF, (SessionState.ACTIVE,))) == [active]
    at_least = Term("energyWh", Comparison.AT_LEAST, 200)
    assert set(await _ids(owner, Every((at_least, is_offline)))) == {both}
    assert set(await _ids(owner, Some((at_least, is_offline)))) == {offline, both, active}
    assert await _ids(owner, Term("endedAt", Comparison.BELOW, NOW - timedelta(hours=1))) == []


async def test_a_filter_that_is_too_large_is_refused(town: Town) -> None:
    """At most 50 terms."""
    owner = await town.access("OWNER of installation")
    with pytest.raises(ValidationError):
        await _ids(owner, Term("energyWh", Comparison.ONE_OF, tuple(range(51))))


@pytest.mark.parametrize("field", SessionOrderField)
@pytest.mark.parametrize("is_descending", [True, False])
async def test_pages_follow_each_other_without_gap_or_repetition(
    town: Town, field: SessionOrderField, is_descending: bool
) -> None:
    """In every order and both directions, with equal and absent values."""
    for number in range(7):
        await factories.a_session(
            town.site,
            town.charger_id,
            user_name=None if number % 3 else f"Person {number % 2}",
            energy_wh=None if number == 2 else number // 2,
            started_at=NOW - timedelta(hours=10 + number // 2),
            state=SessionState.ACTIVE if number == 5 else SessionState.ENDED,
        )
    owner = await town.access("OWNER of installation")
    order = (SessionOrder(field, is_descending),)
    whole = await _ids(owner, order=order)
    assert len(set(whole)) == 7
    forward: list[UUID] = []
    cursor: str | None = None
    while True:
        page = await sessions_page(owner, page_request(2, cursor, None, None), order=order)
        forward += [row.id for row in page.rows]
        if not page.has_next:
            break
        cursor = page.cursors[-1]
    assert forward == whole
    end = await sessions_page(owner, page_request(None, None, 3, None), order=order)
    assert [row.id for row in end.rows] == whole[-3:]
    before = await sessions_page(owner, page_request(None, None, 3, end.cursors[0]), order=order)
    assert [row.id for row in before.rows] == whole[1:4]


async def test_the_active_session_of_a_charger_is_seen_by_who_may_see_it(town: Town) -> None:
    """Its connected time runs; to others there is none."""
    session = await factories.a_session(
        town.site, town.charger_id, state=SessionState.ACTIVE, started_at=NOW - timedelta(minutes=5)
    )
    chargers = [town.charger_id, town.neighbour_id]
    found = await active_sessions_by_charger_ids(await town.access("OWNER of charger"), chargers)
    assert {charger: row.id for charger, row in found.items()} == {town.charger_id: session}
    assert found[town.charger_id].connected_seconds == 300
    for person in ("USER of installation", "SERVICE", "ADMINISTRATOR", "stranger", "not signed in"):
        assert await active_sessions_by_charger_ids(await town.access(person), chargers) == {}


async def test_a_replaced_session_is_void_and_known_from_the_one_that_replaced_it(town: Town) -> None:
    """Its energy is gone: not shown, not found, not ordered by."""
    old = await factories.a_session(town.site, town.charger_id, state=SessionState.VOID, flags=SessionFlag.VOID)
    new = await factories.a_session(town.site, town.charger_id)
    await ChargeSession.filter(id=old).update(replaced_by_id=new)
    owner = await town.access("OWNER of installation")
    found = await replaced_sessions(owner, [new, old])
    assert {key: row.id for key, row in found.items()} == {new: old}
    assert found[new].energy_wh is None
    await EnergyInterval.create(
        session_id=old,
        installation_id=town.site.id,
        start_at=NOW - timedelta(hours=3),
        end_at=NOW - timedelta(hours=2),
        energy_wh=7_200,
        quality=IntervalQuality.MEASURED,
    )
    assert await energy_details(found[new]) == []
    with_energy = Term("energyWh", Comparison.AT_LEAST, 0)
    by_energy = (SessionOrder(SessionOrderField.ENERGY),)
    assert [row.id for row in (await sessions_page(owner, ALL, where=with_energy)).rows] == [new]
    assert [row.id for row in (await sessions_page(owner, ALL, order=by_energy)).rows] == [new, old]


async def test_energy_details_add_up_to_the_session(town: Town) -> None:
    """Measured where there are samples, else even over its time; a part of it when only that is asked for."""
    start = datetime(2026, 2, 3, 9, 5, tzinfo=UTC)
    owner = await town.access("OWNER of installation")
    key = await factories.a_session(
        town.site, town.charger_id, started_at=start, ended_at=start + timedelta(minutes=30), energy_wh=1_000
    )
    session = (await sessions_by_ids(owner, [key]))[key]
    parts = await energy_details(session)
    assert [(part.start_at.minute, part.energy_wh, part.quality) for part in parts] == [
        (5, 333, IntervalQuality.ESTIMATED),
        (15, 500, IntervalQuality.ESTIMATED),
        (30, 167, IntervalQuality.ESTIMATED),
    ]
    cut = start.replace(minute=20)
    later = await energy_details(session, since=cut)
    assert (
        sum(part.energy_wh for part in later) + sum(part.energy_wh for part in await energy_details(session, until=cut))
        == 1_000
    )
    await EnergyInterval.create(
        session_id=key,
        installation_id=town.site.id,
        start_at=start,
        end_at=start + timedelta(minutes=30),
        energy_wh=1_000,
        quality=IntervalQuality.MEASURED,
    )
    measured = await energy_details(session)
    assert [(part.energy_wh, part.quality) for part in measured] == [(1_000, IntervalQuality.MEASURED)]
    assert await energy_details(session, since=start + timedelta(hours=5)) == []


async def test_pages_are_stable_while_sessions_arrive(town: Town) -> None:
    """Whoever leafs through meets every session that was there once, in order, however many come meanwhile, and whatever rights show it."""
    owner_id = town.people["OWNER of installation"]
    elsewhere = await factories.a_site("Third")
    third = await factories.a_charger(elsewhere, "Third 1")
    start = NOW - timedelta(days=2)
    there: list[UUID] = []
    for number in range(24):
        site, charger = (elsewhere, third) if number % 3 == 0 else (town.site, town.charger_id)
        # Two at a time begin at the same instant; those elsewhere are the owner's own, and every fourth one here is, too.
        own = number % 3 == 0 or number % 4 == 0
        at = start + timedelta(hours=number // 2)
        there.append(
            await factories.a_session(
                site,
                charger,
                user_id=owner_id if own else None,
                started_at=at,
                ended_at=at + timedelta(minutes=30),
                energy_wh=1_000 + number % 5,
            )
        )
    await factories.a_session(town.other_site, town.other_charger_id)
    access = await town.access("OWNER of installation")
    for field in SessionOrderField:
        for is_descending in (True, False):
            order = (SessionOrder(field, is_descending),)
            met: list[UUID] = []
            after: str | None = None
            while True:
                page = await sessions_page(access, PageRequest(first=5, after=after), order=order)
                met += [row.id for row in page.rows]
                if not page.has_next:
                    break
                after = page.cursors[-1]
                late = start + timedelta(hours=len(met) % 12, seconds=len(met))
                await factories.a_session(town.site, town.neighbour_id, started_at=late, ended_at=late)
            assert len(met) == len(set(met))
            assert set(there) <= set(met)
            everything = [row.id for row in (await _whole(access, order)) if row.id in set(met)]
            assert met == everything


async def _whole(access: Access, order: tuple[SessionOrder, ...]) -> list[SessionRow]:
    found: list[SessionRow] = []
    after: str | None = None
    while True:
        page = await sessions_page(access, PageRequest(first=100, after=after), order=order)
        found += page.rows
        if not page.has_next:
            return found
        after = page.cursors[-1]


async def test_a_list_confined_to_installations_is_that_list_whatever_else_may_be_seen(town: Town) -> None:
    """By one and by several, with what is one's own elsewhere, and with what is hidden."""
    owner_id = town.people["OWNER of installation"]
    second = await factories.a_site("Second")
    await factories.a_grant(Role.OWNER, second, user_id=owner_id)
    here = await factories.a_session(town.site, town.charger_id)
    there = await factories.a_session(second, await factories.a_charger(second, "Second 1"))
    own = await factories.a_session(town.other_site, town.other_charger_id, user_id=owner_id)
    await factories.a_session(town.other_site, town.other_charger_id)
    access = await town.access("OWNER of installation")

    async def met(where: Condition) -> set[UUID]:
        return {row.id for row in (await sessions_page(access, ALL, where=where)).rows}

    one_of = Term("installationId", Comparison.ONE_OF, (town.site.id, second.id))
    assert await met(ANYTHING) == {here, there, own}
    assert await met(Term("installationId", Comparison.EQUALS, town.site.id)) == {here}
    assert await met(one_of) == {here, there}
    assert await met(Every((one_of, Term("energyWh", Comparison.AT_LEAST, 1)))) == {here, there}
    assert await met(Every((one_of, Term("energyWh", Comparison.AT_LEAST, 10**6)))) == set()
    assert await met(Not(one_of)) == {own}
    assert await met(Term("installationId", Comparison.ONE_OF, (town.site.id, town.other_site.id))) == {here}


def test_no_list_is_read_by_offset() -> None:
    """The first rows would be read again for every page, and those that arrive meanwhile would be shown twice."""
    domain = Path(__file__).parents[2] / "domain"
    assert [path for path in domain.rglob("*.py") if re.search(r"\bOFFSET\b", path.read_text())] == []
