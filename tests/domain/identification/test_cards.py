"""Charge cards: one number is one card, and only whose it is, or who keeps it, changes it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from domain.access import Access, access_of_program
from domain.errors import ConflictError, DomainError, ErrorCode, NotAllowedError, NotFoundError
from domain.events import LocalListOutdated
from domain.identification.cards import (
    block_charge_card,
    masked,
    register_charge_card,
    remove_charge_card,
    rename_charge_card,
    upsert_charge_card,
)
from domain.identity.people import PersonKey
from domain.ids import new_id
from domain.models import ApiToken, AuditEntry, AuthorizationRequest, ChargeCard, Permission
from domain.roles import AuthorizationDecision, Role, Scope, SessionState
from tests.domain.rig import CARD, a_rig, at
from tests.factories import NOW, Program, a_card, a_grant, a_person, a_program, a_question, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

NUMBER = "04A1B2C3"

Change = Callable[[Access, UUID], Awaitable[None]]


async def _renamed(held: Access, card: UUID) -> None:
    await rename_charge_card(held, card, name="Another name")


async def _blocked(held: Access, card: UUID) -> None:
    await block_charge_card(held, card, installation_id=None, is_blocked=True, bus=RecordingBus())


async def _removed(held: Access, card: UUID) -> None:
    await remove_charge_card(held, card, bus=RecordingBus())


CHANGES = (_renamed, _blocked, _removed)


async def _upsert(held: Access, person: UUID, *, number: str = NUMBER, external_id: str = "card-1") -> UUID:
    return await upsert_charge_card(
        held,
        external_id=external_id,
        number=number,
        name=None,
        person=PersonKey(user_id=person),
        is_blocked=False,
        bus=RecordingBus(),
    )


async def test_of_two_who_register_a_number_at_once_one_has_it() -> None:
    """The other is told that it is registered, and nothing of it stays."""
    held = [await access(await a_person()) for _ in range(4)]
    numbers = ("04a1b2c3", "04 A1 B2 C3", "04:A1:B2:C3", "04-a1.b2_c3")
    found = await asyncio.gather(
        *(
            register_charge_card(one, number=number, bus=RecordingBus())
            for one, number in zip(held, numbers, strict=True)
        ),
        return_exceptions=True,
    )
    refused = [one for one in found if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == [ConflictError] * 3
    assert [card.number for card in await ChargeCard.all()] == [NUMBER]
    assert await AuditEntry.filter(action="chargeCard.register").count() == 1


async def test_a_taken_number_is_refused_with_the_same_words_whosever_it_is() -> None:
    """One's own, a neighbour's, a stranger's, a blocked one: nobody finds out by trying who has a card."""
    town = await a_town()
    me = town.people["USER of charger"]
    held = await access(me)
    told = set()
    for number, holder in (
        ("04AA01", me),
        ("04AA02", town.people["OWNER of charger"]),
        ("04AA03", town.people["stranger"]),
    ):
        await a_card(holder, number=number, name="Hidden name", is_blocked=holder != me)
        with pytest.raises(ConflictError) as caught:
            await register_charge_card(held, number=number, bus=RecordingBus())
        told.add((caught.value.message, caught.value.code, caught.value.path))
    ((message, code, path),) = told
    assert (code, path) == (ErrorCode.ALREADY_EXISTS, ("number",))
    assert "Hidden" not in message
    assert "04" not in message


@pytest.mark.parametrize(
    ("number", "shown"), [("1234", "1…4"), ("1234567", "1…7"), ("12345678", "12…78"), ("123", "…"), ("", "…")]
)
def test_most_of_a_number_stays_unknown(number: str, shown: str) -> None:
    """Also of a short one, of which first and last two signs would be all."""
    assert masked(number) == shown


@pytest.mark.parametrize(
    ("change", "decision"),
    [(_blocked, AuthorizationDecision.BLOCKED), (_removed, AuthorizationDecision.INVALID)],
)
async def test_a_blocked_or_removed_card_begins_no_charge_and_the_one_that_goes_on_ends_well(
    change: Change, decision: AuthorizationDecision
) -> None:
    """The same card ends it, and whose it was and how it was called stays with the session."""
    rig = await a_rig()
    card = await ChargeCard.get(user_id=rig.user_id)
    started = await rig.start(at(0), meter=1_000)
    assert started.decision is AuthorizationDecision.ACCEPTED
    await change(await access(rig.user_id), card.id)
    assert (await rig.present(CARD, at(2))).decision is decision
    await rig.stop(started.transaction_id, at(10), meter=3_000, card=CARD)
    session = await rig.session()
    assert (session.user_id, session.card_name, session.energy_wh) == (rig.user_id, card.name, 2_000)
    assert session.state is SessionState.ENDED


async def _token_of(program: Program, *scopes: Scope) -> Access:
    """A token of the program with these scopes only."""
    token = await ApiToken.create(
        id=new_id(),
        account_id=program.id,
        name="Narrow",
        prefix=f"lade_{new_id().hex[-10:]}",
        digest=new_id().hex,
        scopes=",".join(scopes),
        created_at=NOW,
    )
    return await access_of_program(program.id, token.id, now=NOW)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_token_that_may_not_keep_cards_changes_none_that_its_program_pushed(change: Change) -> None:
    """A token for reading that leaks takes nobody's card away."""
    site = await a_site()
    program, person = await a_program(site), await a_person()
    await a_grant(Role.USER, site, user_id=person)
    card = await _upsert(await program.access(), person)
    before = await ChargeCard.get(id=card).values()
    with pytest.raises(NotAllowedError):
        await change(await _token_of(program, Scope.READ_SESSIONS, Scope.READ_STATUS), card)
    assert await ChargeCard.get(id=card).values() == before
    await change(await _token_of(program, Scope.MANAGE_CARDS), card)


async def test_who_no_longer_keeps_the_cards_of_a_person_takes_none_to_themselves() -> None:
    """An owner registered a tenant's card by an id of their own: once the site is another's, it is not theirs to move."""
    site, owner, tenant = await a_site(), await a_person("Owner"), await a_person("Tenant")
    owned = await a_grant(Role.OWNER, site, user_id=owner)
    await a_grant(Role.USER, site, user_id=tenant)
    card = await _upsert(await access(owner), tenant)
    await Permission.filter(id=owned).update(revoked_at=NOW - timedelta(days=1))
    with pytest.raises(DomainError) as caught:
        await _upsert(await access(owner), owner)
    assert isinstance(caught.value, NotFoundError | NotAllowedError)
    assert caught.value.path == ("externalId",)
    assert (await ChargeCard.get(id=card)).user_id == tenant


async def test_a_program_moves_its_card_to_the_next_guest() -> None:
    """The number stays one card; the sites of both hear that their lists changed."""
    site, other = await a_site(), await a_site("Elsewhere")
    program = await a_program(site, other)
    first, second = await a_person("First"), await a_person("Second")
    await a_grant(Role.USER, site, user_id=first)
    await a_grant(Role.USER, other, user_id=second)
    card, bus = await _upsert(await program.access(), first), RecordingBus()
    await upsert_charge_card(
        await program.access(),
        external_id="card-1",
        number=NUMBER,
        name=None,
        person=PersonKey(user_id=second),
        is_blocked=False,
        bus=bus,
    )
    assert (await ChargeCard.get(id=card)).user_id == second
    told = {one.installation_id for one in bus.published if isinstance(one, LocalListOutdated)}
    assert told == {site.id, other.id}


async def test_no_log_holds_a_whole_number() -> None:
    """Whatever is done to a card."""
    held = await access(await a_person())
    card = await register_charge_card(held, number=NUMBER, bus=RecordingBus())
    for change in CHANGES:
        await change(held, card)
    entries = await AuditEntry.all()
    assert len(entries) == 4
    assert not [one for one in entries if NUMBER in f"{one.state_before}{one.state_after}"]


async def test_a_blocked_card_reaches_the_places_that_have_let_it_in_for_a_time() -> None:
    """An external system's answer that still serves is in the lists of its place, wherever the holder has permissions."""
    town, bus = await a_town(), RecordingBus()
    holder = await a_person("Visitor")
    card = await a_card(holder, number="04AA55")
    question = await a_question(town.site, town.charger_id, card="04AA55")
    await AuthorizationRequest.filter(id=question).update(cache_until=NOW + timedelta(hours=1))
    viewer = await access(holder)
    await block_charge_card(viewer, card, installation_id=None, is_blocked=True, bus=bus)
    assert bus.published == [LocalListOutdated(installation_id=town.site.id)]
    await remove_charge_card(viewer, card, bus=bus)
    assert bus.published == [LocalListOutdated(installation_id=town.site.id)] * 2


async def test_the_same_card_pushed_twice_at_once_is_one_card() -> None:
    """Both are answered with it: the one that came second sees the first's."""
    site = await a_site()
    program = await a_program(site)
    person = await a_person()
    await program.knows(person, "guest-1")
    held = await program.access()
    found = await asyncio.gather(*(_push(held, "card-1", "04AA01") for _ in range(6)))
    assert [card.id for card in await ChargeCard.all()] == list(set(found))


async def test_the_same_number_pushed_by_many_at_once_is_one_card() -> None:
    """The others are told that it is registered, not whose it is."""
    programs = [await a_program(await a_site(), name=f"System {number}") for number in range(6)]
    for number, program in enumerate(programs):
        await program.knows(await a_person(f"Secret {number}"), "guest-1")
    held = [await program.access() for program in programs]
    found = await asyncio.gather(*(_push(one, "card-1", "04AA01") for one in held), return_exceptions=True)
    assert await ChargeCard.all().count() == 1
    refused = [one for one in found if isinstance(one, ConflictError)]
    assert len(refused) == 5, found
    assert {(one.code, one.path, "Secret" in one.message) for one in refused} == {
        (ErrorCode.ALREADY_EXISTS, ("number",), False)
    }


async def test_two_cards_that_change_numbers_at_once_are_both_told() -> None:
    """Neither takes the other's, and neither waits for the other for ever."""
    programs = [await a_program(await a_site(), name=f"System {number}") for number in range(2)]
    for program in programs:
        await program.knows(await a_person(), "guest-1")
    one, other = [await program.access() for program in programs]
    for _ in range(5):
        await _push(one, "card-1", "04AA01")
        await _push(other, "card-1", "04AA02")
        found = await asyncio.gather(
            _push(one, "card-1", "04AA02"), _push(other, "card-1", "04AA01"), return_exceptions=True
        )
        assert {type(found_one) for found_one in found} <= {ConflictError, UUID}, found
        assert {card.number for card in await ChargeCard.all()} <= {"04AA01", "04AA02"}


async def _push(held: Access, external_id: str, number: str) -> UUID:
    return await upsert_charge_card(
        held,
        external_id=external_id,
        number=number,
        name=None,
        person=PersonKey(external_id="guest-1"),
        is_blocked=False,
        bus=RecordingBus(),
    )
