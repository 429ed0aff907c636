"""Signing in, staying signed in, signing out, and the first account of a portal."""

from datetime import timedelta

import pytest

from app.auth import SignedTokens
from domain import sql
from domain.access import Access, access_of
from domain.errors import ConflictError, ErrorCode, NotFoundError, UnauthenticatedError, ValidationError
from domain.events import SignInEnded
from domain.identity.accounts import create_administrator
from domain.identity.people import PersonKey, found_person
from domain.identity.sign_ins import REFRESH_LIFETIME, Entrance, SignedIn, refresh_sign_in, sign_in, sign_out
from domain.ids import new_id
from domain.models import User
from tests.factories import NOW, PEOPLE, a_person, a_program, a_town
from tests.fakes import HandClock, OpenSeals, PlainPasswords, RecordingBus, UnlimitedAttempts

pytestmark = pytest.mark.usefixtures("database")

TOKENS = SignedTokens("a secret for tests")
PASSWORD = "correct horse battery"


def _entrance(*, passwords: PlainPasswords | None = None, clock: HandClock | None = None) -> Entrance:
    return Entrance(
        passwords=passwords or PlainPasswords(),
        tokens=TOKENS,
        sealer=OpenSeals(),
        attempts=UnlimitedAttempts(),
        clock=clock or HandClock(NOW),
        bus=RecordingBus(),
        address="192.0.2.1",
    )


async def _sign_in(email: str, password: str = PASSWORD, *, clock: HandClock | None = None) -> SignedIn:
    return await sign_in(email, password, at=_entrance(clock=clock))


async def _refresh(token: str, bus: RecordingBus, clock: HandClock | None = None) -> SignedIn:
    return await refresh_sign_in(token, tokens=TOKENS, clock=clock or HandClock(NOW), bus=bus)


async def test_the_right_password_signs_in_whatever_the_case_of_the_address() -> None:
    """The access token names the person and the sign-in that carries it."""
    person = await a_person(email="kari@example.com", password=PASSWORD)
    signed_in = await _sign_in("  Kari@Example.COM ")
    claims = TOKENS.verify(signed_in.access_token, now=NOW)
    assert claims.user_id == person
    assert signed_in.access.user_id == person
    held = await access_of(claims.user_id, now=NOW, sign_in_id=claims.session_id)
    assert held.user_id == person


@pytest.mark.parametrize(
    "email", ["kari@example.com", "nobody@example.com", "imported@example.com", "gone@example.com"]
)
async def test_every_wrong_sign_in_looks_and_costs_the_same(email: str) -> None:
    """One comparison of a password and one answer: wrong password, no account, no password, ended account."""
    await a_person(email="kari@example.com", password=PASSWORD)
    await a_person(email="imported@example.com")
    await a_person(email="gone@example.com", password="wrong password", is_active=False)
    passwords = PlainPasswords()
    with pytest.raises(ValidationError) as caught:
        await sign_in(email, "wrong password", at=_entrance(passwords=passwords))
    assert caught.value.code is ErrorCode.WRONG_CREDENTIALS
    assert caught.value.path == ()
    assert caught.value.message == "The e-mail address or the password is wrong."
    assert passwords.compared == 1


async def test_a_refresh_token_is_good_for_one_refresh() -> None:
    """The new one goes on in the same sign-in."""
    await a_person(email="kari@example.com", password=PASSWORD)
    first = await _sign_in("kari@example.com")
    second = await _refresh(first.refresh_token, RecordingBus())
    third = await _refresh(second.refresh_token, RecordingBus())
    sign_ins = {TOKENS.verify(one.access_token, now=NOW).session_id for one in (first, second, third)}
    assert len(sign_ins) == 1
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3


async def test_a_spent_refresh_token_ends_the_sign_in() -> None:
    """Either it or its successor was stolen: neither works any more, and streams are told."""
    person = await a_person(email="kari@example.com", password=PASSWORD)
    first = await _sign_in("kari@example.com")
    bus = RecordingBus()
    second = await _refresh(first.refresh_token, bus)
    for spent in (first, second):
        with pytest.raises(ValidationError) as caught:
            await _refresh(spent.refresh_token, bus)
        assert caught.value.code is ErrorCode.TOKEN_EXPIRED
    sign_in_id = TOKENS.verify(first.access_token, now=NOW).session_id
    assert bus.published == [SignInEnded(user_id=person, sign_in_id=sign_in_id)]
    assert (await access_of(person, now=NOW, sign_in_id=sign_in_id)).actor is None


@pytest.mark.parametrize("token", ["", "x", "0" * 32, "0" * 32 + ".secret", "." * 40, "é.é"])
async def test_a_made_up_refresh_token_is_refused(token: str) -> None:
    """It looks like one that has expired."""
    with pytest.raises(ValidationError) as caught:
        await _refresh(token, RecordingBus())
    assert (caught.value.code, caught.value.path) == (ErrorCode.TOKEN_EXPIRED, ("refreshToken",))


async def test_a_sign_in_that_is_not_used_runs_out() -> None:
    """Thirty days after the last refresh."""
    await a_person(email="kari@example.com", password=PASSWORD)
    clock = HandClock(NOW)
    signed_in = await _sign_in("kari@example.com", clock=clock)
    clock.advance(REFRESH_LIFETIME - timedelta(seconds=1))
    signed_in = await _refresh(signed_in.refresh_token, RecordingBus(), clock)
    clock.advance(REFRESH_LIFETIME)
    with pytest.raises(ValidationError):
        await _refresh(signed_in.refresh_token, RecordingBus(), clock)


@pytest.mark.parametrize("everywhere", [False, True])
async def test_signing_out_ends_this_sign_in_or_all(everywhere: bool) -> None:
    """The access token of an ended sign-in gives nobody's access at once."""
    person = await a_person(email="kari@example.com", password=PASSWORD)
    here, there = await _sign_in("kari@example.com"), await _sign_in("kari@example.com")
    bus = RecordingBus()
    await sign_out(here.access, everywhere=everywhere, bus=bus)
    held = [
        await access_of(person, now=NOW, sign_in_id=TOKENS.verify(one.access_token, now=NOW).session_id)
        for one in (here, there)
    ]
    assert [one.actor is not None for one in held] == [False, not everywhere]
    assert len(bus.published) == (2 if everywhere else 1)


async def test_nobody_cannot_sign_out() -> None:
    """Signing out needs a sign-in."""
    with pytest.raises(UnauthenticatedError):
        await sign_out(Access.nobody(NOW), everywhere=True, bus=RecordingBus())


async def test_the_operator_makes_administrators() -> None:
    """The account signs in, and its making is in the audit log without the password."""
    made = await create_administrator("Ada", " Ada@Example.com ", PASSWORD, passwords=PlainPasswords(), now=NOW)
    assert (await _sign_in("ada@example.com")).access.is_administrator
    entry = await sql.row("SELECT actor, action, object_id, state_after FROM audit_entries")
    assert entry is not None
    assert (entry["actor"], entry["action"], sql.uuid_of(entry["object_id"])) == ("operator", "user.create", made)
    assert PASSWORD not in entry["state_after"]


async def test_every_wrong_field_of_a_new_account_is_named() -> None:
    """Name, address and password at once."""
    with pytest.raises(ValidationError) as caught:
        await create_administrator(" ", "no address", "short", passwords=PlainPasswords(), now=NOW)
    assert [problem.path for problem in caught.value.problems] == [("name",), ("email",), ("password",)]


async def test_an_address_has_one_account() -> None:
    """A second account with it is refused."""
    await a_person(email="ada@example.com")
    with pytest.raises(ConflictError) as caught:
        await create_administrator("Ada", "ADA@example.com", PASSWORD, passwords=PlainPasswords(), now=NOW)
    assert caught.value.code is ErrorCode.ALREADY_EXISTS


async def test_a_person_is_found_by_who_may_know_of_them() -> None:
    """By id or address alike; who is not to be known looks as if they were not there."""
    town = await a_town()
    driver = await User.get(id=town.people["USER of charger"])
    keys = (PersonKey(user_id=driver.id), PersonKey(email=f" {str(driver.email).upper()}"))
    for person in PEOPLE:
        viewer = await town.access(person)
        knows = person in ("USER of charger", "OWNER of charger", "OWNER of installation", "ADMINISTRATOR")
        for key in keys:
            if knows:
                assert await found_person(viewer, key) == driver.id
            else:
                with pytest.raises(NotFoundError) as caught:
                    await found_person(viewer, key)
                assert caught.value.path == ("person",)
        for key in (
            PersonKey(user_id=new_id()),
            PersonKey(email="nobody@example.com"),
            PersonKey(),
            PersonKey(email=""),
        ):
            with pytest.raises(NotFoundError):
                await found_person(viewer, key)


async def test_an_external_id_is_that_of_the_program_that_asks() -> None:
    """Another program's, and one that a person names, is nobody's; so is that of somebody who was erased."""
    town = await a_town()
    stranger = town.people["stranger"]
    mine, other = await a_program(town.site), await a_program(town.site)
    await mine.knows(stranger, "tenant 7")
    key = PersonKey(external_id="tenant 7")
    assert await found_person(await mine.access(), key) == stranger
    assert await found_person(await mine.access(), PersonKey(user_id=stranger)) == stranger
    for viewer in (await other.access(), await town.access("ADMINISTRATOR"), await town.access("stranger")):
        with pytest.raises(NotFoundError):
            await found_person(viewer, key)
    await User.filter(id=stranger).update(is_active=False)
    with pytest.raises(NotFoundError):
        await found_person(await mine.access(), key)
    assert await found_person(await mine.access(), key, with_inactive=True) == stranger
    await User.filter(id=stranger).update(erased_at=NOW)
    with pytest.raises(NotFoundError):
        await found_person(await mine.access(), key, with_inactive=True)
