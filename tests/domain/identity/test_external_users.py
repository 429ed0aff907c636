"""People as programs of other companies know them: the same again changes nothing, and no program learns of another's."""

import asyncio
from uuid import UUID

import pytest

from domain.access import Access
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, ValidationError
from domain.identity.external_users import ExternalCard, remove_external_user, upsert_external_user
from domain.identity.people import PersonKey, found_person, people_by_ids
from domain.models import ChargeCard, ExternalUser, Permission, User
from domain.roles import Role, Scope
from tests.factories import a_card, a_grant, a_person, a_program, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")


async def _push(held: Access, external_id: str = "guest-1", name: str = "Guest", **given: object) -> UUID:
    return await upsert_external_user(held, external_id=external_id, name=name, bus=RecordingBus(), **given)  # type: ignore[arg-type]


async def test_the_same_again_is_the_same_person() -> None:
    """With a new name under the same id."""
    held = await (await a_program(await a_site())).access()
    first = await _push(held)
    assert await _push(held) == first
    assert await _push(held, name="Guest of room 7") == first
    assert [user.name for user in await User.all()] == ["Guest of room 7"]


async def test_the_same_id_pushed_twice_at_once_is_one_person() -> None:
    """Whichever comes first."""
    held = await (await a_program(await a_site())).access()
    found = await asyncio.gather(*(_push(held) for _ in range(4)))
    assert len(set(found)) == 1
    assert await User.all().count() == 1


async def test_two_programs_have_ids_of_their_own() -> None:
    """The same text is another person, and neither finds the other's."""
    site = await a_site()
    one, other = await a_program(site), await a_program(site, name="Other system")
    first, second = await _push(await one.access()), await _push(await other.access(), name="Somebody else")
    assert first != second
    assert set(await people_by_ids(await one.access(), [first, second])) == {first}


async def test_a_person_with_an_account_is_not_taken_over() -> None:
    """Their address makes no link to them, and looks the same as a free one."""
    held = await (await a_program(await a_site())).access()
    kari = await a_person("Kari", email="kari@example.com", password="secret")
    taken, free = await _push(held, "a", email="kari@example.com"), await _push(held, "b", email="free@example.com")
    assert taken != kari
    seen = await people_by_ids(held, [taken, free, kari])
    assert set(seen) == {taken, free}
    assert [seen[one].email for one in (taken, free)] == ["kari@example.com", "free@example.com"]
    for person, email in ((taken, "Kari@example.com"), (free, "Free@example.com")):
        assert await found_person(held, PersonKey(email=email)) == person
    assert (await people_by_ids(await access(taken), [taken]))[taken].email is None
    assert (await User.get(id=kari)).name == "Kari"


async def test_the_cards_of_a_person_are_exactly_these() -> None:
    """Those that the program pushed; others of the person stay, and somebody else's is refused without changing anything."""
    held = await (await a_program(await a_site())).access()
    person = await _push(held, cards_wanted=[ExternalCard("04AA01"), ExternalCard("04AA02", "Ring")])
    await a_card(person, number="04FF01")
    await _push(held, cards_wanted=[ExternalCard("04 aa 02", "Ring", is_blocked=True), ExternalCard("04AA03")])
    assert {card.number: bool(card.is_blocked) for card in await ChargeCard.all()} == {
        "04FF01": False,
        "04AA02": True,
        "04AA03": False,
    }
    await a_card(await a_person("Secret"), number="04BB01")
    with pytest.raises(ConflictError) as refused:
        await _push(held, name="Changed", cards_wanted=[ExternalCard("04BB01")])
    assert refused.value.code is ErrorCode.ALREADY_EXISTS
    assert "Secret" not in refused.value.message
    assert (await User.get(id=person)).name == "Guest"
    assert await ChargeCard.filter(user_id=person).count() == 3
    with pytest.raises(ValidationError):
        await _push(held, cards_wanted=[ExternalCard("04AA09"), ExternalCard("04:AA:09")])
    await _push(held, cards_wanted=[])
    assert [card.number for card in await ChargeCard.filter(user_id=person)] == ["04FF01"]


async def test_who_is_removed_charges_no_more() -> None:
    """Their cards and what the program granted are gone; what others granted to a person with an account stays."""
    site = await a_site()
    program = await a_program(site)
    held = await program.access()
    person = await _push(held, cards_wanted=[ExternalCard("04AA01")])
    await a_grant(Role.USER, site, user_id=person, granted_by_id=program.id)
    kept = await a_grant(Role.USER, site, user_id=person)
    await remove_external_user(held, external_id="guest-1", bus=RecordingBus())
    assert not (await User.get(id=person)).is_active
    assert await ChargeCard.all().count() == 0
    assert [row.id for row in await Permission.filter(revoked_at=None)] == [kept]
    assert await ExternalUser.all().count() == 0
    with pytest.raises(NotFoundError):
        await remove_external_user(held, external_id="guest-1", bus=RecordingBus())


async def test_a_program_removes_no_last_owner() -> None:
    """Nothing is changed until there is another."""
    site = await a_site()
    held = await (await a_program(site)).access()
    person = await _push(held, cards_wanted=[ExternalCard("04AA01")])
    await a_grant(Role.OWNER, site, user_id=person)
    with pytest.raises(ConflictError) as refused:
        await remove_external_user(held, external_id="guest-1", bus=RecordingBus())
    assert refused.value.code is ErrorCode.LAST_OWNER
    assert (await User.get(id=person)).is_active
    assert (await ChargeCard.all().count(), await ExternalUser.all().count()) == (1, 1)
    await a_grant(Role.OWNER, site, user_id=await a_person())
    await remove_external_user(held, external_id="guest-1", bus=RecordingBus())
    assert not (await User.get(id=person)).is_active


async def test_who_may_keep_people() -> None:
    """Programs with MANAGE_CARDS or MANAGE_PERMISSIONS; cards need the first; people never."""
    town = await a_town()
    permissions = await a_program(town.site, scopes=[Scope.MANAGE_PERMISSIONS])
    await _push(await permissions.access())
    with pytest.raises(NotAllowedError):
        await _push(await permissions.access(), cards_wanted=[ExternalCard("04AA01")])
    reader = await a_program(town.site, scopes=[Scope.READ_SESSIONS, Scope.AUTHORIZE_CHARGING])
    for held in (await reader.access(), await town.access("ADMINISTRATOR"), await town.access("OWNER of installation")):
        with pytest.raises(NotAllowedError):
            await _push(held)
    assert await ExternalUser.all().count() == 1


async def test_the_same_address_pushed_by_many_at_once_is_one_persons() -> None:
    """Of eight programs one gives its person the address; for the others it looks as it does when one came before."""
    held = [await (await a_program(await a_site(), name=f"System {number}")).access() for number in range(8)]
    found = await asyncio.gather(*(_push(one, email="guest@example.com") for one in held))
    assert len(set(found)) == 8
    assert await User.filter(email="guest@example.com").count() == 1
    for one, person in zip(held, found, strict=True):
        assert (await people_by_ids(one, [person]))[person].email == "guest@example.com"


async def test_the_same_cards_pushed_by_many_at_once_are_one_persons() -> None:
    """In whatever order they are named: the others are told which card it is, not whose, and nothing of theirs is stored."""
    held = [await (await a_program(await a_site(), name=f"System {number}")).access() for number in range(8)]
    numbers = ("04AA01", "04AA02", "04AA03")
    found = await asyncio.gather(
        *(
            _push(
                one,
                name=f"Guest {place}",
                cards_wanted=[ExternalCard(f"04FF0{place}"), *map(ExternalCard, numbers[:: 1 if place % 2 else -1])],
            )
            for place, one in enumerate(held)
        ),
        return_exceptions=True,
    )
    (winner,) = [one for one in found if isinstance(one, UUID)]
    refused = [one for one in found if isinstance(one, ConflictError)]
    assert len(refused) == 7, found
    for one in refused:
        assert one.code is ErrorCode.ALREADY_EXISTS
        assert one.path in {("cards", str(index), "number") for index in (1, 2, 3)}
        assert "Guest" not in one.message
    assert [user.id for user in await User.all()] == [winner]
    assert await ChargeCard.filter(user_id=winner).count() == await ChargeCard.all().count() == 4
