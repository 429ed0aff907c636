"""Which cards a station's local list holds, and how it is brought into step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identification.local_list_rules import Entries, Held, Span, Update, applied, listed, updates
from domain.identification.local_lists import confirmed, failed, held, is_kept, unsupported, wanted
from domain.ids import new_id
from domain.models import (
    AuthorizationRequest,
    CardBlock,
    Charger,
    ChargeSession,
    ExternalAuthentication,
    LocalList,
    Permission,
    User,
)
from domain.roles import AuthorizationDecision, ExternalMode, Role
from tests.factories import (
    NOW,
    Site,
    a_card,
    a_charger,
    a_grant,
    a_group,
    a_person,
    a_program,
    a_question,
    a_session,
    a_site,
)

SOON, LATER = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
HERE, THERE = new_id(), new_id()


def _span(
    number: str, charger_id: UUID | None = None, valid_to: datetime | None = None, valid_from: datetime = NOW
) -> Span:
    return Span(number, charger_id, valid_from, valid_to)


def test_a_card_is_listed_while_some_permission_holds() -> None:
    """Until the last of them ends; a future one is not in it yet, and tells when to look again."""
    found = listed([_span("A", None, SOON), _span("A", None, LATER), _span("B", valid_from=SOON)], [HERE], now=NOW)
    assert found.entries == {"A": LATER}
    assert found.changes_at == SOON
    assert listed([_span("A", None, SOON), _span("A")], [HERE], now=NOW).entries == {"A": None}
    assert listed([_span("A", None, NOW)], [HERE], now=NOW).entries == {}
    assert listed([], [HERE], now=NOW).changes_at is None


def test_a_station_lists_what_may_charge_at_each_of_its_connectors() -> None:
    """The list is one for all: what may charge at one only is not in it."""
    both = [_span("A", HERE, LATER), _span("A", THERE, SOON), _span("B", HERE), _span("C")]
    assert listed(both, [HERE, THERE], now=NOW).entries == {"A": SOON, "C": None}
    assert listed(both, [HERE], now=NOW).entries == {"A": LATER, "B": None, "C": None}
    assert listed([_span("A", new_id())], [HERE], now=NOW).entries == {}


@dataclass
class Charger16:
    """The list of a charger that does what the standard says, and loses what it is told to lose."""

    version: int = 0
    entries: dict[str, datetime | None] = field(default_factory=dict)

    def take(self, update: Update, version: int, *, most: int) -> bool:
        assert len(update.entries) + len(update.removed) <= most
        if not update.is_full and version <= self.version:
            return False
        self.entries = dict(applied({} if update.is_full else self.entries, update))
        self.version = version
        return True


_NUMBERS = st.sampled_from([f"0{one}" for one in range(8)])
_ENTRIES = st.dictionaries(_NUMBERS, st.sampled_from([None, SOON, LATER]))
_FATES = st.sampled_from(["taken", "refused", "answer lost", "reset"])


@given(st.lists(st.tuples(_ENTRIES, st.lists(_FATES, max_size=6)), min_size=1, max_size=6), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_whatever_is_lost_the_list_comes_into_step(rounds: list[tuple[Entries, list[str]]], most: int) -> None:
    """As the service does it: any version but the confirmed one means that nothing is known. Nothing is sent when it is in step."""
    charger, known = Charger16(), Held(0, {})
    for entries, fates in rounds:
        losses = list(fates)
        for _ in range(len(fates) + 1):
            known = _synchronise(charger, known, entries, losses, most)
        assert charger.entries == entries
        assert (known.version, dict(known.entries)) == (charger.version, charger.entries)
        assert updates(known.entries, entries, most=most) == []


def _synchronise(charger: Charger16, known: Held, wanted: Entries, losses: list[str], most: int) -> Held:
    entries: Entries | None = known.entries if charger.version == known.version else None
    version = max(charger.version, known.version)
    for update in updates(entries, wanted, most=most):
        version += 1
        fate = losses.pop(0) if losses else "taken"
        if fate == "reset":
            charger.version, charger.entries = 0, {}
        if fate in ("refused", "reset") or not charger.take(update, version, most=most):
            return Held(0, {})
        if fate == "answer lost":
            return known
        entries = applied(entries, update)
        known = Held(version, entries)
    return known


def test_what_goes_goes_first() -> None:
    """A charger that is lost in the middle holds rather too few cards than too many."""
    sent = updates({"A": None, "B": None}, {"B": SOON, "C": None}, most=1)
    assert [(one.removed, dict(one.entries)) for one in sent] == [(("A",), {}), ((), {"B": SOON}), ((), {"C": None})]
    assert updates(None, {}, most=5) == [Update(is_full=True, entries={})]


async def _station(charger_id: UUID) -> UUID:
    station_id = (await Charger.get(id=charger_id)).station_id
    assert station_id is not None
    return station_id


async def _numbers(charger_id: UUID, *, most: int | None = None) -> Mapping[str, datetime | None]:
    return (await wanted(await _station(charger_id), most=most, now=NOW)).entries


@pytest.fixture
async def site(database: object) -> Site:
    return await a_site()


async def test_cards_of_those_who_may_charge_there_are_listed(site: Site) -> None:
    """By themselves, by a group, on the charger or all of the site; not of those who only own circuits or held something once."""
    charger_id, neighbour_id = await a_charger(site), await a_charger(site, "Space 2")
    people = [await a_person(f"Person {number}") for number in range(6)]
    for number, person in enumerate(people):
        await a_card(person, number=f"04AA0{number}")
    await a_grant(Role.USER, site, user_id=people[0])
    await a_grant(Role.OWNER, site, user_id=people[1], charger_id=charger_id)
    await a_grant(Role.USER, site, group_id=await a_group(site, people[2]), valid_to=SOON)
    await a_grant(Role.SERVICE, site, user_id=people[3])
    await a_grant(Role.USER, site, user_id=people[4], valid_to=NOW)
    revoked = await a_grant(Role.USER, site, user_id=people[5])
    await Permission.filter(id=revoked).update(revoked_at=NOW)
    assert await _numbers(charger_id) == {"04AA00": None, "04AA01": None, "04AA02": SOON}
    assert await _numbers(neighbour_id) == {"04AA00": None, "04AA02": SOON}


async def test_what_is_blocked_is_not_listed(site: Site) -> None:
    """A card blocked everywhere or here, an account that is closed, a charger or a site out of use, a number too long for OCPP 1.6."""
    charger_id = await a_charger(site)
    for number in ("04AA01", "04AA02", "04AA03", "0" * 21, "04AA04"):
        person = await a_person()
        card_id = await a_card(person, number=number, is_blocked=number == "04AA01")
        await a_grant(Role.USER, site, user_id=person)
        if number == "04AA02":
            await CardBlock.create(card_id=card_id, installation_id=site.id, blocked_at=NOW)
        if number == "04AA03":
            await User.filter(id=person).update(is_active=False)
    assert await _numbers(charger_id) == {"04AA04": None}
    await Charger.filter(id=charger_id).update(is_enabled=False)
    assert await _numbers(charger_id) == {}


async def test_those_who_charged_last_come_first_where_the_list_is_short(site: Site) -> None:
    """Never one more than the charger can keep."""
    charger_id = await a_charger(site)
    for number in range(5):
        person = await a_person()
        await a_card(person, number=f"04AA0{number}")
        await a_grant(Role.USER, site, user_id=person)
    for number, hours in ((4, 3), (2, 2)):
        session_id = await a_session(site, charger_id, started_at=NOW - timedelta(hours=hours))
        await ChargeSession.filter(id=session_id).update(id_token=f"04AA0{number}")
    assert set(await _numbers(charger_id, most=2)) == {"04AA02", "04AA04"}
    assert set(await _numbers(charger_id, most=3)) == {"04AA00", "04AA02", "04AA04"}
    assert len(await _numbers(charger_id, most=5)) == 5


async def test_where_an_external_system_decides_the_list_holds_what_it_said(site: Site) -> None:
    """What it pushed, and what it accepted for a time that is not over; its last word counts, and blocks here hold."""
    charger_id = await a_charger(site)
    program = await a_program(site)
    for number, giver in (("04AA01", None), ("04AA02", program.id)):
        person = await a_person()
        await a_card(person, number=number)
        await a_grant(Role.USER, site, user_id=person, granted_by_id=giver)
    await a_card(await a_person(), number="04BB03", is_blocked=True)
    await ExternalAuthentication.bulk_create(
        [ExternalAuthentication(installation_id=site.id, mode=ExternalMode.ENFORCE)]
    )
    for number, decision, asked_at, cache_until in (
        ("04BB01", AuthorizationDecision.ACCEPTED, NOW - timedelta(hours=2), SOON),
        ("04BB02", AuthorizationDecision.ACCEPTED, NOW - timedelta(hours=2), SOON),
        ("04BB02", AuthorizationDecision.BLOCKED, NOW - timedelta(hours=1), SOON),
        ("04BB03", AuthorizationDecision.ACCEPTED, NOW - timedelta(hours=2), SOON),
        ("04BB04", AuthorizationDecision.ACCEPTED, NOW - timedelta(hours=2), NOW),
        ("04BB05", AuthorizationDecision.ACCEPTED, NOW - timedelta(hours=2), None),
    ):
        question_id = await a_question(site, charger_id, card=number)
        await AuthorizationRequest.filter(id=question_id).update(
            decision=decision, decided_at=asked_at, requested_at=asked_at, cache_until=cache_until
        )
    assert await _numbers(charger_id) == {"04AA02": None, "04BB01": SOON}
    await ExternalAuthentication.filter(installation_id=site.id).update(mode=ExternalMode.SHADOW)
    assert await _numbers(charger_id) == {"04AA01": None, "04AA02": None}


async def test_an_answer_that_serves_lets_nobody_in_whose_account_is_closed(site: Site) -> None:
    """Whether it is a registered card or a person whom the system named."""
    charger_id = await a_charger(site)
    await ExternalAuthentication.bulk_create(
        [ExternalAuthentication(installation_id=site.id, mode=ExternalMode.ENFORCE)]
    )
    holder, named = await a_person("Holder"), await a_person("Named")
    await a_card(holder, number="04BB01")
    for number, user_id in (("04BB01", None), ("04BB02", named)):
        question = await a_question(site, charger_id, card=number, user_id=user_id)
        await AuthorizationRequest.filter(id=question).update(
            decision=AuthorizationDecision.ACCEPTED, decided_at=NOW, cache_until=SOON
        )
    assert await _numbers(charger_id) == {"04BB01": SOON, "04BB02": SOON}
    await User.filter(id__in=[holder, named]).update(is_active=False)
    assert await _numbers(charger_id) == {}


async def test_what_was_confirmed_is_kept(site: Site) -> None:
    """Written and read alike; a failure is noted beside it and changes nothing of it."""
    station_id = await _station(await a_charger(site))
    assert await held(station_id) == Held(0, {})
    await confirmed(station_id, 3, {"04AA01": SOON, "04AA02": None}, epoch=0, now=NOW)
    await failed(station_id, "no answer", epoch=0)
    assert await held(station_id) == Held(3, {"04AA01": SOON, "04AA02": None})
    assert (await LocalList.get(station_id=station_id)).error == "no answer"
    assert await is_kept(station_id)
    other_id = await _station(await a_charger(site, "Space 2"))
    await unsupported(other_id, "it keeps none", epoch=0)
    assert not await is_kept(other_id)
