"""Programs: who makes their accounts and tokens, who sees them, and what ends them."""

import asyncio
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest

from app.auth import SignedTokens
from domain import sql
from domain.access import Access
from domain.errors import (
    ConflictError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    UnauthenticatedError,
    ValidationError,
)
from domain.events import ProgramChanged
from domain.identity.callers import access_by, claims_of
from domain.identity.people import people_by_ids
from domain.identity.service_accounts import (
    MOST_ACCOUNTS,
    MOST_TOKENS,
    IssuedToken,
    create_api_token,
    create_service_account,
    remove_service_account,
    revoke_api_token,
)
from domain.ids import new_id
from domain.models import ApiToken, AuditEntry, ExternalUser, Permission, ServiceAccount
from domain.roles import Role, Scope
from domain.views.service_account_views import (
    api_tokens_by_ids,
    api_tokens_of_accounts,
    service_accounts_by_ids,
    service_accounts_of_installations,
)
from tests.factories import NOW, PEOPLE, Site, a_grant, a_person, a_program, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

TOKENS = SignedTokens("a secret for tests")
RULERS = ("OWNER of installation", "ADMINISTRATOR")


async def _an_account(viewer: Access, *sites: Site, scopes: tuple[Scope, ...] = tuple(Scope)) -> UUID:
    places = [site.id for site in sites]
    return await create_service_account(viewer, name="Parking", installation_ids=places, scopes=scopes)


async def _a_token(viewer: Access, account: UUID, scopes: list[Scope] | None = None) -> IssuedToken:
    return await create_api_token(viewer, account, name="Production", scopes=scopes, tokens=TOKENS)


async def _by(secret: str, *, now: datetime = NOW) -> Access:
    return await access_by(await claims_of(secret, tokens=TOKENS, now=now), now=now)


@pytest.mark.parametrize("person", [*PEOPLE, "not signed in", "program"])
async def test_who_rules_a_site_makes_its_programs(person: str) -> None:
    """Owners of the installation and administrators; a stranger cannot tell it from one that never was."""
    town = await a_town()
    viewer = await (await a_program(town.site)).access() if person == "program" else await town.access(person)
    if person in RULERS:
        account = await _an_account(viewer, town.site)
        assert (await service_accounts_by_ids(viewer, [account]))[account].installation_ids == [town.site.id]
        return
    expected: type[Exception] = NotAllowedError
    if person in ("stranger", "not signed in"):
        expected = NotFoundError if person == "stranger" else UnauthenticatedError
    with pytest.raises(expected):
        await _an_account(viewer, town.site)
    assert await ServiceAccount.filter(name="Parking").count() == 0


async def test_one_hidden_installation_among_many_is_not_found() -> None:
    """Nothing is made, and it does not show which of them it was."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    for hidden in (town.other_site.id, new_id()):
        with pytest.raises(NotFoundError) as caught:
            await create_service_account(
                owner, name="Parking", installation_ids=[town.site.id, hidden], scopes=[Scope.READ_STATUS]
            )
        assert caught.value.path == ("installationIds",)
    with pytest.raises(NotFoundError):
        await create_service_account(
            await town.access("ADMINISTRATOR"), name="P", installation_ids=[new_id()], scopes=[Scope.READ_STATUS]
        )
    assert await ServiceAccount.all().count() == 0


async def test_seen_but_not_ruled_is_not_allowed() -> None:
    """Who is a user of the second site owns the first only."""
    town = await a_town()
    await a_grant(Role.USER, town.other_site, user_id=town.people["OWNER of installation"])
    with pytest.raises(NotAllowedError):
        await _an_account(await town.access("OWNER of installation"), town.site, town.other_site)


async def test_a_program_that_makes_no_sense_is_refused() -> None:
    """Every wrong field is named at once."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    with pytest.raises(ValidationError) as caught:
        await create_service_account(owner, name=" ", installation_ids=[], scopes=[])
    assert [problem.path for problem in caught.value.problems] == [("name",), ("installationIds",), ("scopes",)]
    account = await _an_account(owner, town.site, scopes=(Scope.READ_STATUS,))
    with pytest.raises(ValidationError) as caught:
        await create_api_token(
            owner,
            account,
            name="",
            scopes=[Scope.READ_STATUS, Scope.MANAGE_CARDS],
            expires_at=datetime(2027, 1, 1),  # noqa: DTZ001
            tokens=TOKENS,
        )
    assert [problem.path for problem in caught.value.problems] == [("name",), ("scopes",), ("expiresAt",)]
    for scopes, expires_at, path in (([], None, "scopes"), (None, NOW, "expiresAt")):
        with pytest.raises(ValidationError) as caught:
            await create_api_token(owner, account, name="P", scopes=scopes, expires_at=expires_at, tokens=TOKENS)
        assert caught.value.path == (path,)
    assert await ApiToken.all().count() == 0


async def test_a_token_lets_its_program_in_with_its_scopes() -> None:
    """Those of the token that the account has; its secret is nowhere in the database."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    account = await _an_account(owner, town.site, scopes=(Scope.READ_STATUS, Scope.MANAGE_CARDS))
    whole, part = await _a_token(owner, account), await _a_token(owner, account, [Scope.READ_STATUS])
    assert (await _by(whole.secret)).installations == {town.site.id: {Scope.READ_STATUS, Scope.MANAGE_CARDS}}
    assert (await _by(part.secret)).installations == {town.site.id: {Scope.READ_STATUS}}
    row = await ApiToken.get(id=part.id)
    assert part.secret.startswith(f"{row.prefix}_")
    assert row.prefix.startswith("lade_")
    random = part.secret.removeprefix(f"{row.prefix}_")
    assert len(random) >= 43, "256 bits, six a character"
    for table in ("api_tokens", "service_accounts", "audit_entries"):
        for found in await sql.rows(f"SELECT * FROM {table}"):  # noqa: S608
            assert random not in str(found)


async def test_a_token_ends_at_its_time() -> None:
    """From then on it is nobody's."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    ends = NOW + timedelta(hours=1)
    local = ends.astimezone(timezone(timedelta(hours=5)))
    account = await _an_account(owner, town.site)
    token = await create_api_token(owner, account, name="P", expires_at=local, tokens=TOKENS)
    assert (await _by(token.secret, now=ends - timedelta(seconds=1))).service_account_id == account
    with pytest.raises(UnauthenticatedError):
        await claims_of(token.secret, tokens=TOKENS, now=ends)


async def test_a_revoked_token_is_over_at_once() -> None:
    """Its streams hear of it; revoked again it stays as it was."""
    town, bus = await a_town(), RecordingBus()
    owner = await town.access("OWNER of installation")
    account = await _an_account(owner, town.site)
    token, other = await _a_token(owner, account), await _a_token(owner, account)
    program = await _by(token.secret)
    assert program.service_account_id == account
    await revoke_api_token(owner, token.id, bus=bus)
    assert bus.published == [ProgramChanged(service_account_id=account)]
    with pytest.raises(UnauthenticatedError):
        await claims_of(token.secret, tokens=TOKENS, now=NOW)
    assert (await _by(other.secret)).service_account_id == account
    await revoke_api_token(await town.access("ADMINISTRATOR"), token.id, bus=bus)
    assert len(bus.published) == 1
    assert (await ApiToken.get(id=token.id)).revoked_by_id == owner.user_id


@pytest.mark.parametrize("person", [*PEOPLE, "program"])
async def test_only_who_rules_all_its_sites_changes_a_program(person: str) -> None:
    """Who owns one of two sees it, with their own site only; everyone else finds nothing, but itself and administrators."""
    town = await a_town()
    made = await a_program(town.site, town.other_site)
    viewer = await made.access() if person == "program" else await town.access(person)
    shown = await service_accounts_by_ids(viewer, [made.id])
    listed = await service_accounts_of_installations(viewer, [town.site.id])
    assert bool(listed) is (person in RULERS)
    if person == "ADMINISTRATOR":
        assert len(shown[made.id].installation_ids) == 2
        await _a_token(viewer, made.id)
        return
    if person in ("program", "OWNER of installation"):
        places = [town.site.id] if person != "program" else [town.site.id, town.other_site.id]
        assert sorted(shown[made.id].installation_ids) == sorted(places)
        assert list(await api_tokens_by_ids(viewer, [made.token_id])) == [made.token_id]
    else:
        assert shown == {}
        assert await api_tokens_by_ids(viewer, [made.token_id]) == {}
        assert await api_tokens_of_accounts(viewer, [made.id]) == {}
    expected = NotAllowedError if shown else NotFoundError
    with pytest.raises(expected):
        await _a_token(viewer, made.id)
    with pytest.raises(expected):
        await revoke_api_token(viewer, made.token_id, bus=RecordingBus())
    assert await ApiToken.filter(revoked_at=None).count() == 1


async def test_another_program_is_hidden_from_a_program() -> None:
    """Also one at the same installation."""
    town = await a_town()
    other = await a_program(town.site, name="Other")
    program = await (await a_program(town.site)).access()
    assert await service_accounts_by_ids(program, [other.id]) == {}
    for identity in (other.token_id, new_id()):
        with pytest.raises(NotFoundError):
            await revoke_api_token(program, identity, bus=RecordingBus())


async def test_a_program_stays_when_its_maker_goes() -> None:
    """It belongs to the installation: the next owner manages it, the former one no longer sees it."""
    town = await a_town()
    maker = town.people["OWNER of installation"]
    account = await _an_account(await access(maker), town.site)
    token = await _a_token(await access(maker), account)
    await sql.execute("UPDATE permissions SET revoked_at = $2 WHERE user_id = $1", maker, NOW)
    next_owner = await a_person("Next")
    await a_grant(Role.OWNER, town.site, user_id=next_owner)
    assert (await _by(token.secret)).service_account_id == account
    with pytest.raises(NotFoundError):
        await revoke_api_token(await access(maker), token.id, bus=RecordingBus())
    await revoke_api_token(await access(next_owner), token.id, bus=RecordingBus())


async def test_every_site_of_a_program_has_its_log() -> None:
    """Who did what, without the secret and without the other sites."""
    town = await a_town()
    admin = await town.access("ADMINISTRATOR")
    account = await _an_account(admin, town.site, town.other_site)
    token = await _a_token(admin, account)
    await revoke_api_token(admin, token.id, bus=RecordingBus())
    for site, other in ((town.site, town.other_site), (town.other_site, town.site)):
        entries = await AuditEntry.filter(installation_id=site.id).order_by("id")
        actions = [entry.action for entry in entries]
        assert actions == ["serviceAccount.create", "apiToken.create", "apiToken.revoke"]
        assert all(entry.actor == "ADMINISTRATOR" for entry in entries)
        assert all(str(other.id) not in str(entry.state_after) for entry in entries)


async def test_two_who_make_the_last_token_at_once_make_one() -> None:
    """No more than fifty in use, whoever is quicker; revoked and expired ones do not count."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    account = await _an_account(owner, town.site)
    made = [await _a_token(owner, account) for _ in range(MOST_TOKENS - 1)]
    results = await asyncio.gather(*(_a_token(owner, account) for _ in range(2)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, ConflictError)]
    assert [error.code for error in refused] == [ErrorCode.LIMIT_EXCEEDED]
    await revoke_api_token(owner, made[0].id, bus=RecordingBus())
    fresh = await _a_token(owner, account)
    shown = (await api_tokens_of_accounts(owner, [account]))[account]
    assert len(shown) == MOST_TOKENS + 1
    assert shown[0].id == fresh.id
    assert shown[-1].id == made[0].id, "what is over comes last"


async def test_a_site_has_at_most_a_hundred_programs() -> None:
    """A list of them is shown whole."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    for number in range(MOST_ACCOUNTS):
        await a_program(town.site, name=f"Program {number:03}")
    with pytest.raises(ConflictError) as caught:
        await _an_account(owner, town.site)
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED
    shown = (await service_accounts_of_installations(owner, [town.site.id]))[town.site.id]
    assert [row.name for row in shown] == [f"Program {number:03}" for number in range(MOST_ACCOUNTS)]


async def test_a_program_knows_people_by_ids_of_its_own() -> None:
    """Nobody else sees them, another program least of all."""
    town = await a_town()
    driver = town.people["USER of charger"]
    mine, other = await a_program(town.site), await a_program(town.site)
    await mine.knows(driver, "tenant 7")
    await mine.knows(driver, "tenant 8")
    await other.knows(driver, "Q-42")
    shown = {
        "mine": (await people_by_ids(await mine.access(), [driver]))[driver].external_id,
        "other": (await people_by_ids(await other.access(), [driver]))[driver].external_id,
        "owner": (await people_by_ids(await town.access("OWNER of installation"), [driver]))[driver].external_id,
        "self": (await people_by_ids(await access(driver), [driver]))[driver].external_id,
    }
    assert shown == {"mine": "tenant 7", "other": "Q-42", "owner": None, "self": None}


async def test_who_owns_two_sites_makes_one_program_for_both() -> None:
    """Named twice a site is one."""
    town = await a_town()
    second = await a_site("Second")
    me = town.people["OWNER of installation"]
    await a_grant(Role.OWNER, second, user_id=me)
    account = await _an_account(await access(me), town.site, second, town.site, scopes=(Scope.MANAGE_CARDS,) * 2)
    row = (await service_accounts_by_ids(await access(me), [account]))[account]
    assert (sorted(row.installation_ids), row.scopes) == (sorted([town.site.id, second.id]), [Scope.MANAGE_CARDS])


async def test_an_owner_cuts_a_program_off_from_their_own_site() -> None:
    """Elsewhere it goes on; with its last site its tokens are over and the ids that it gave people are gone, what it granted stays."""
    town, bus = await a_town(), RecordingBus()
    program, driver = await a_program(town.site, town.other_site), town.people["USER of charger"]
    await program.knows(driver, "tenant 7")
    given = await a_grant(Role.USER, town.site, user_id=driver, granted_by_id=program.id)
    with pytest.raises(NotAllowedError):
        await remove_service_account(await program.access(), program.id, bus=bus)
    for hidden in ("SERVICE", "OWNER of charger", "stranger"):
        with pytest.raises(NotFoundError):
            await remove_service_account(await town.access(hidden), program.id, bus=bus)
    assert bus.published == []
    owner = await town.access("OWNER of installation")
    await remove_service_account(owner, program.id, bus=bus)
    assert bus.published == [ProgramChanged(service_account_id=program.id)]
    assert list((await program.access()).installations) == [town.other_site.id]
    assert await service_accounts_by_ids(owner, [program.id]) == {}
    with pytest.raises(NotFoundError):
        await remove_service_account(owner, program.id, bus=bus)
    entries = await AuditEntry.filter(action="serviceAccount.remove")
    assert [entry.installation_id for entry in entries] == [town.site.id]
    await remove_service_account(await town.access("ADMINISTRATOR"), program.id, bus=bus)
    assert (await program.access()).actor is None
    assert await ExternalUser.all().count() == 0
    assert (await Permission.get(id=given)).revoked_at is None
    assert (await ServiceAccount.get(id=program.id)).name == "Access system", "the log and the grants go on naming it"


async def test_no_token_outlives_the_right_of_who_makes_it() -> None:
    """An owner until June makes none that is good for longer; whoever owns for good, or an administrator, may."""
    town = await a_town()
    tenant, june = await a_person("Tenant"), NOW + timedelta(days=100)
    await a_grant(Role.OWNER, town.site, user_id=tenant, valid_to=june)
    program = await a_program(town.site)
    for expires_at in (None, june + timedelta(seconds=1)):
        with pytest.raises(ValidationError) as caught:
            await create_api_token(await access(tenant), program.id, name="P", expires_at=expires_at, tokens=TOKENS)
        assert caught.value.path == ("expiresAt",)
    await create_api_token(await access(tenant), program.id, name="P", expires_at=june, tokens=TOKENS)
    for person in RULERS:
        await _a_token(await town.access(person), program.id)
