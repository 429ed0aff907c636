"""Who gives whom which role where, and takes it away: the table of domain.md §2, and its traps."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from domain import sql
from domain.errors import (
    ConflictError,
    DomainError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    UnauthenticatedError,
    ValidationError,
)
from domain.events import LocalListOutdated, PermissionChanged
from domain.ids import new_id
from domain.membership.permissions import Grant, SubjectKey, grant_permission, revoke_permission
from domain.models import AuditEntry, Permission
from domain.roles import Role, Scope
from domain.views.installation_views import installations_by_ids
from domain.views.permission_views import permissions_by_ids
from tests.factories import NOW, PEOPLE, Town, a_grant, a_person, a_program, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

U, O, S = Role.USER, Role.OWNER, Role.SERVICE  # noqa: E741

AT_INSTALLATION: dict[str, set[Role]] = {
    "USER of charger": set(),
    "USER of installation": set(),
    "OWNER of charger": set(),
    "OWNER of installation": {U, O, S},
    "SERVICE": set(),
    "ADMINISTRATOR": {U, O, S},
}
AT_CHARGER: dict[str, set[Role]] = {**AT_INSTALLATION, "OWNER of charger": {U, O}}
SUBJECT = SubjectKey(email="new@example.com")


async def _give(town: Town, person: str, grant: Grant, bus: RecordingBus | None = None) -> UUID:
    return await grant_permission(await town.access(person), grant, bus=bus or RecordingBus())


@pytest.mark.parametrize("is_charger", [False, True])
@pytest.mark.parametrize("role", [U, O, S])
async def test_who_may_grant_and_revoke_what(role: Role, is_charger: bool) -> None:
    """The table of domain.md §2; a stranger cannot tell the object from one that never was."""
    for person in (*AT_INSTALLATION, "stranger", "not signed in"):
        await _try(person, role, is_charger)


async def _try(person: str, role: Role, is_charger: bool) -> None:
    town = await a_town()
    charger = town.charger_id if is_charger else None
    grant = Grant(subject=SUBJECT, object_id=charger or town.site.id, role=role)
    present = await a_grant(role, town.site, email="old@example.com", charger_id=charger)
    viewer = await town.access(person)
    allowed = (AT_CHARGER if is_charger else AT_INSTALLATION).get(person, set())
    if role in allowed:
        await grant_permission(viewer, grant, bus=RecordingBus())
        await revoke_permission(viewer, permission_id=present, bus=RecordingBus())
        return
    hidden: type[DomainError] = UnauthenticatedError if person == "not signed in" else NotFoundError
    with pytest.raises(hidden if person in ("stranger", "not signed in") else NotAllowedError):
        await grant_permission(viewer, grant, bus=RecordingBus())
    sees = person == "OWNER of charger" and is_charger
    with pytest.raises(NotAllowedError if sees else hidden):
        await revoke_permission(viewer, permission_id=present, bus=RecordingBus())
    invited = Permission.filter(installation_id=town.site.id, email__not_isnull=True, revoked_at=None)
    assert await invited.count() == 1


async def test_a_grant_takes_effect_at_once_and_is_told() -> None:
    """The holder sees the site; whoever streams for them hears of it; the audit log has it."""
    town = await a_town()
    bus = RecordingBus()
    newcomer = town.people["USER of charger"]
    made = await _give(
        town, "OWNER of installation", Grant(subject=SubjectKey(newcomer), object_id=town.site.id, role=U), bus
    )
    row = (await installations_by_ids(await access(newcomer), [town.site.id]))[town.site.id]
    assert row.viewer_roles == [U]
    assert bus.published == [
        PermissionChanged(user_id=newcomer, installation_id=town.site.id),
        LocalListOutdated(installation_id=town.site.id),
    ]
    entry = await sql.row("SELECT actor, action, object_id, state_before, state_after FROM audit_entries")
    assert entry is not None
    assert (entry["actor"], entry["action"]) == ("OWNER of installation", "permission.grant")
    assert sql.uuid_of(entry["object_id"]) == made
    assert entry["state_before"] is None
    assert '"role":"USER"' in entry["state_after"]


async def test_the_same_grant_again_replaces_its_time_and_external_id() -> None:
    """One row, one id; without a beginning it goes on from when it began."""
    town = await a_town()
    subject = SubjectKey(town.people["USER of charger"])
    first = await _give(town, "OWNER of installation", Grant(subject=subject, object_id=town.site.id, role=U))
    end = NOW + timedelta(days=30)
    again = Grant(subject=subject, object_id=town.site.id, role=U, valid_to=end, external_id="flat 4")
    assert await _give(town, "OWNER of installation", again) == first
    row = await Permission.get(id=first)
    assert (row.valid_from, row.valid_to, row.external_id) == (NOW, end, "flat 4")


async def test_an_address_stays_an_invitation_whether_or_not_it_has_an_account() -> None:
    """Nobody finds out by granting who has an account, and nobody gets a right by their address alone."""
    town = await a_town()
    known = await a_person(email="known@example.com")
    rows = []
    for email in ("Known@Example.com", "unknown@example.com"):
        bus = RecordingBus()
        made = await _give(
            town, "OWNER of installation", Grant(subject=SubjectKey(email=email), object_id=town.site.id, role=U), bus
        )
        assert bus.published == []
        rows.append(await Permission.get(id=made))
    assert [(row.email, row.user_id) for row in rows] == [("known@example.com", None), ("unknown@example.com", None)]
    assert (await access(known)).installations == {}


@pytest.mark.parametrize("subject", ["own id", "own address"])
async def test_no_owner_gives_service_to_themselves(subject: str) -> None:
    """Neither directly nor by mail."""
    town = await a_town()
    me = await a_person("Owner", email="owner@example.com")
    await a_grant(O, town.site, user_id=me)
    named = SubjectKey(user_id=me) if subject == "own id" else SubjectKey(email=" OWNER@example.com")
    for place in (town.site.id, town.charger_id):
        with pytest.raises(NotAllowedError) as caught:
            await grant_permission(await access(me), Grant(subject=named, object_id=place, role=S), bus=RecordingBus())
        assert caught.value.path == ("role",)


async def test_a_person_whom_one_cannot_see_cannot_be_named() -> None:
    """A stranger's id and one that never was give the same NOT_FOUND; administrators know everybody."""
    town = await a_town()
    for user_id in (town.people["stranger"], new_id()):
        grant = Grant(subject=SubjectKey(user_id), object_id=town.site.id, role=U)
        with pytest.raises(NotFoundError) as caught:
            await _give(town, "OWNER of installation", grant)
        assert caught.value.path == ("subject", "userId")
    await _give(
        town, "ADMINISTRATOR", Grant(subject=SubjectKey(town.people["stranger"]), object_id=town.site.id, role=U)
    )


@pytest.mark.parametrize("person", ["OWNER of installation", "ADMINISTRATOR"])
async def test_the_last_owner_can_be_removed_by_an_administrator_only(person: str) -> None:
    """By revoking, by an end, or by a beginning in the future."""
    town = await a_town()
    me = town.people["OWNER of installation"]
    mine = (await Permission.get(user_id=me)).id
    soon = NOW + timedelta(days=1)
    ends = Grant(subject=SubjectKey(me), object_id=town.site.id, role=O, valid_to=soon)
    begins = Grant(subject=SubjectKey(me), object_id=town.site.id, role=O, valid_from=soon)
    if person == "ADMINISTRATOR":
        await _give(town, person, ends)
        await revoke_permission(await town.access(person), permission_id=mine, bus=RecordingBus())
        return
    for grant in (ends, begins):
        with pytest.raises(ConflictError) as caught:
            await _give(town, person, grant)
        assert caught.value.code is ErrorCode.LAST_OWNER
    with pytest.raises(ConflictError) as caught:
        await revoke_permission(await town.access(person), permission_id=mine, bus=RecordingBus())
    assert caught.value.code is ErrorCode.LAST_OWNER
    row = await Permission.get(id=mine)
    assert (row.revoked_at, row.valid_to) == (None, None)


async def test_an_owner_leaves_once_there_is_another() -> None:
    """An invitation is no owner yet; another person is."""
    town = await a_town()
    mine = (await Permission.get(user_id=town.people["OWNER of installation"])).id
    await a_grant(O, town.site, email="next@example.com")
    viewer = await town.access("OWNER of installation")
    with pytest.raises(ConflictError):
        await revoke_permission(viewer, permission_id=mine, bus=RecordingBus())
    await a_grant(O, town.site, user_id=await a_person("Next"))
    bus = RecordingBus()
    await revoke_permission(viewer, permission_id=mine, bus=bus)
    assert bus.published == [
        PermissionChanged(user_id=town.people["OWNER of installation"], installation_id=town.site.id),
        LocalListOutdated(installation_id=town.site.id),
    ]
    assert (await town.access("OWNER of installation")).installations == {}


async def test_two_owners_cannot_remove_each_other_at_once() -> None:
    """One of them stays, whoever was quicker."""
    town = await a_town()
    first, second = town.people["OWNER of installation"], await a_person("Second")
    grants = {
        first: (await Permission.get(user_id=first)).id,
        second: await a_grant(O, town.site, user_id=second),
    }
    results = await asyncio.gather(
        revoke_permission(await access(first), permission_id=grants[second], bus=RecordingBus()),
        revoke_permission(await access(second), permission_id=grants[first], bus=RecordingBus()),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, ConflictError)]
    assert [error.code for error in refused] == [ErrorCode.LAST_OWNER]
    owners = Permission.filter(installation_id=town.site.id, charger_id=None, role=O, revoked_at=None)
    assert await owners.count() == 1


async def test_the_same_grant_given_twice_at_once_is_one() -> None:
    """Retries of an integration find the row of the first."""
    town = await a_town()
    viewer = await town.access("OWNER of installation")
    grant = Grant(subject=SUBJECT, object_id=town.site.id, role=U)
    made = await asyncio.gather(*(grant_permission(viewer, grant, bus=RecordingBus()) for _ in range(3)))
    assert len(set(made)) == 1


async def test_whoever_made_a_site_names_its_owner() -> None:
    """SERVICE gives OWNER as long as nobody owns the site, and nothing else."""
    town = await a_town()
    site = await a_site("New")
    installer = town.people["SERVICE"]
    await a_grant(S, site, user_id=installer)
    viewer = await access(installer)
    owner = Grant(subject=SubjectKey(email="owner@example.com"), object_id=site.id, role=O)
    await grant_permission(viewer, owner, bus=RecordingBus())
    with pytest.raises(NotAllowedError):
        await grant_permission(viewer, Grant(subject=SUBJECT, object_id=site.id, role=U), bus=RecordingBus())
    await a_grant(O, site, user_id=await a_person("Owner"))
    with pytest.raises(NotAllowedError):
        await grant_permission(viewer, owner, bus=RecordingBus())


async def test_nobody_gives_longer_than_they_hold() -> None:
    """A tenant whose right ends in June gives none that lasts longer, not to themselves either."""
    town = await a_town()
    tenant = await a_person("Tenant")
    june = NOW + timedelta(days=100)
    await a_grant(O, town.site, user_id=tenant, charger_id=town.charger_id, valid_to=june)
    viewer = await access(tenant)
    for subject in (SUBJECT, SubjectKey(tenant)):
        for end in (None, june + timedelta(seconds=1)):
            grant = Grant(subject=subject, object_id=town.charger_id, role=O, valid_to=end)
            with pytest.raises(ValidationError) as caught:
                await grant_permission(viewer, grant, bus=RecordingBus())
            assert caught.value.path == ("validTo",)
    within = Grant(subject=SUBJECT, object_id=town.charger_id, role=U, valid_to=june)
    await grant_permission(viewer, within, bus=RecordingBus())


async def test_a_charger_owner_cannot_reach_back_before_their_time() -> None:
    """Else they would see the sessions of who lived there before."""
    town = await a_town()
    me = town.people["OWNER of charger"]
    earlier = NOW - timedelta(days=4000)
    for subject in (SubjectKey(me), SUBJECT):
        with pytest.raises(ValidationError) as caught:
            await _give(
                town,
                "OWNER of charger",
                Grant(subject=subject, object_id=town.charger_id, role=O, valid_from=earlier),
            )
        assert caught.value.path == ("validFrom",)
    await _give(
        town,
        "OWNER of installation",
        Grant(subject=SubjectKey(me), object_id=town.charger_id, role=O, valid_from=earlier),
    )


async def test_a_grant_that_makes_no_sense_is_refused() -> None:
    """ADMINISTRATOR on an object, nobody as subject, two subjects, no address, over before it begins."""
    town = await a_town()
    cases = [
        (Grant(subject=SUBJECT, object_id=town.site.id, role=Role.ADMINISTRATOR), ("role",)),
        (Grant(subject=SubjectKey(), object_id=town.site.id, role=U), ("subject",)),
        (
            Grant(subject=SubjectKey(town.people["SERVICE"], "a@example.com"), object_id=town.site.id, role=U),
            ("subject",),
        ),
        (Grant(subject=SubjectKey(email="nobody"), object_id=town.site.id, role=U), ("subject", "email")),
        (Grant(subject=SUBJECT, object_id=town.site.id, role=U, valid_to=NOW), ("validTo",)),
        (Grant(subject=SUBJECT, object_id=town.site.id, role=U, external_id=" "), ("externalId",)),
    ]
    for grant, path in cases:
        with pytest.raises(ValidationError) as caught:
            await _give(town, "ADMINISTRATOR", grant)
        assert caught.value.path == path


async def test_a_permission_is_revoked_by_the_external_id_of_its_giver() -> None:
    """Another giver's externalId is theirs alone; a second grant under the same is refused."""
    town = await a_town()
    made = await _give(
        town, "OWNER of installation", Grant(subject=SUBJECT, object_id=town.site.id, role=U, external_id="flat 4")
    )
    with pytest.raises(ConflictError) as caught:
        await _give(
            town, "OWNER of installation", Grant(subject=SUBJECT, object_id=town.site.id, role=O, external_id="flat 4")
        )
    assert (caught.value.code, caught.value.path) == (ErrorCode.ALREADY_EXISTS, ("externalId",))
    with pytest.raises(NotFoundError):
        await revoke_permission(await town.access("ADMINISTRATOR"), external_id="flat 4", bus=RecordingBus())
    owner = await town.access("OWNER of installation")
    assert await revoke_permission(owner, external_id="flat 4", bus=RecordingBus()) == made
    assert await revoke_permission(owner, permission_id=made, bus=RecordingBus()) == made
    with pytest.raises(ValidationError):
        await revoke_permission(owner, bus=RecordingBus())
    with pytest.raises(ValidationError):
        await revoke_permission(owner, permission_id=made, external_id="flat 4", bus=RecordingBus())


@pytest.mark.parametrize("person", PEOPLE)
async def test_a_hidden_permission_is_absent(person: str) -> None:
    """Revoking what one cannot see looks like revoking what never was; nothing changes."""
    town = await a_town()
    hidden = await a_grant(U, town.other_site, user_id=await a_person())
    if person == "ADMINISTRATOR":
        return
    for permission_id in (hidden, new_id()):
        with pytest.raises(NotFoundError):
            await revoke_permission(await town.access(person), permission_id=permission_id, bus=RecordingBus())
    assert (await Permission.get(id=hidden)).revoked_at is None


@pytest.mark.parametrize("is_charger", [False, True])
async def test_what_programs_give(is_charger: bool) -> None:
    """USER anywhere at their sites and OWNER of single chargers, by MANAGE_PERMISSIONS; no other scope gives anything."""
    town = await a_town()
    place = town.charger_id if is_charger else town.site.id
    manager = await (await a_program(town.site, scopes=[Scope.MANAGE_PERMISSIONS])).access()
    others = await (
        await a_program(town.site, scopes=[one for one in Scope if one is not Scope.MANAGE_PERMISSIONS])
    ).access()
    elsewhere = await (await a_program(town.other_site)).access()
    for role in (U, O, S):
        grant = Grant(subject=SUBJECT, object_id=place, role=role)
        with pytest.raises(NotAllowedError):
            await grant_permission(others, grant, bus=RecordingBus())
        with pytest.raises(NotFoundError):
            await grant_permission(elsewhere, grant, bus=RecordingBus())
        if role is U or (role is O and is_charger):
            made = await grant_permission(manager, grant, bus=RecordingBus())
            row = await Permission.get(id=made)
            assert row.granted_by_id == manager.service_account_id
            assert await revoke_permission(manager, permission_id=made, bus=RecordingBus()) == made
            assert (await Permission.get(id=made)).revoked_by_id == manager.service_account_id
        else:
            present = await a_grant(
                role, town.site, email="old@example.com", charger_id=town.charger_id if is_charger else None
            )
            with pytest.raises(NotAllowedError):
                await grant_permission(manager, grant, bus=RecordingBus())
            with pytest.raises(NotAllowedError):
                await revoke_permission(manager, permission_id=present, bus=RecordingBus())


async def test_a_program_keeps_its_grants_in_step_by_its_own_ids() -> None:
    """The same again changes nothing, another time replaces the old, another subject or place is refused; nobody else has its ids."""
    town, bus = await a_town(), RecordingBus()
    tenant = town.people["stranger"]
    program, other = await a_program(town.site, town.other_site), await a_program(town.site)
    await program.knows(tenant, "tenant 7")
    mine = await program.access()
    subject = SubjectKey(external_user_id="tenant 7")
    grant = Grant(subject=subject, object_id=town.charger_id, role=U, external_id="contract 1")
    made = await grant_permission(mine, grant, bus=bus)
    assert (await access(tenant)).chargers[town.charger_id].roles == {U}
    entries = await AuditEntry.all().count()
    assert await grant_permission(mine, grant, bus=bus) == made
    assert await AuditEntry.all().count() == entries
    assert bus.published == [
        PermissionChanged(user_id=tenant, installation_id=town.site.id),
        LocalListOutdated(installation_id=town.site.id),
    ]
    end = NOW + timedelta(days=3)
    assert await grant_permission(mine, replace(grant, valid_to=end), bus=bus) == made
    assert (await Permission.get(id=made)).valid_to == end
    for further in (
        replace(grant, subject=SUBJECT),
        replace(grant, object_id=town.site.id),
        replace(grant, object_id=town.other_site.id),
    ):
        with pytest.raises(ConflictError) as caught:
            await grant_permission(mine, further, bus=bus)
        assert (caught.value.code, caught.value.path) == (ErrorCode.ALREADY_EXISTS, ("externalId",))
    for viewer in (await other.access(), await town.access("OWNER of installation")):
        with pytest.raises(NotFoundError):
            await grant_permission(viewer, grant, bus=bus)
        with pytest.raises(NotFoundError):
            await revoke_permission(viewer, external_id="contract 1", bus=bus)
    assert await revoke_permission(mine, external_id="contract 1", bus=bus) == made
    again = await grant_permission(mine, grant, bus=bus)
    assert again != made, "what is revoked stays so"


async def test_the_same_external_id_at_two_sites_at_once_is_given_once() -> None:
    """Its giver waits for themselves, wherever they give."""
    town = await a_town()
    mine = await (await a_program(town.site, town.other_site)).access()
    results = await asyncio.gather(
        *(
            grant_permission(mine, Grant(subject=SUBJECT, object_id=place, role=U, external_id="x"), bus=RecordingBus())
            for place in (town.site.id, town.other_site.id)
        ),
        return_exceptions=True,
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [ConflictError]
    assert await Permission.filter(external_id="x").count() == 1


async def test_an_external_id_belongs_to_who_gave_it_last() -> None:
    """A program that gives anew what an owner gave takes it over; an owner who changes its time leaves the program's id."""
    town, bus = await a_town(), RecordingBus()
    program = await (await a_program(town.site)).access()
    owner = await town.access("OWNER of installation")
    grant = Grant(subject=SUBJECT, object_id=town.site.id, role=U)
    made = await grant_permission(owner, replace(grant, external_id="flat 4"), bus=bus)
    assert await grant_permission(program, replace(grant, external_id="contract 1"), bus=bus) == made
    with pytest.raises(NotFoundError):
        await revoke_permission(owner, external_id="flat 4", bus=bus)
    await grant_permission(owner, replace(grant, valid_to=NOW + timedelta(days=1)), bus=bus)
    row = await Permission.get(id=made)
    assert (row.external_id, row.granted_by_id) == ("contract 1", program.service_account_id)
    assert await revoke_permission(program, external_id="contract 1", bus=bus) == made


async def test_who_accepted_an_invitation_is_found_by_its_address_again() -> None:
    """The same grant by address is theirs, not a second invitation."""
    town = await a_town()
    person = await a_person(email="kari@example.com")
    grant = Grant(subject=SubjectKey(email="Kari@example.com"), object_id=town.site.id, role=U)
    made = await _give(town, "OWNER of installation", grant)
    await Permission.filter(id=made).update(user_id=person, email=None)
    end = NOW + timedelta(days=1)
    assert await _give(town, "OWNER of installation", replace(grant, valid_to=end)) == made
    row = await Permission.get(id=made)
    assert (row.user_id, row.email, row.valid_to) == (person, None, end)


async def test_who_gave_and_took_is_named_be_it_a_program() -> None:
    """For those who could have done it themselves."""
    town, bus = await a_town(), RecordingBus()
    program = await (await a_program(town.site, name="Parking Ltd")).access()
    driver = town.people["USER of charger"]
    made = await grant_permission(program, Grant(subject=SubjectKey(driver), object_id=town.site.id, role=U), bus=bus)
    await revoke_permission(program, permission_id=made, bus=bus)
    owner = await town.access("OWNER of installation")
    row = (await permissions_by_ids(owner, [made]))[made]
    assert (row.granted_by, row.revoked_by) == ("Parking Ltd", "Parking Ltd")
    own = (await permissions_by_ids(await access(driver), [made]))[made]
    assert (own.granted_by, own.revoked_by) == (None, None)


async def test_an_address_that_was_only_told_is_nobodys() -> None:
    """A grant to it is an invitation, although somebody whom a program gave that address holds the same already."""
    site, owner = await a_site(), await a_person("Ole")
    await a_grant(Role.OWNER, site, user_id=owner)
    for is_proven in (False, True):
        email = f"{is_proven}@example.com".lower()
        person = await a_person("Pushed", email=email, is_proven=is_proven)
        held = await a_grant(Role.USER, site, user_id=person)
        wanted = Grant(subject=SubjectKey(email=email), object_id=site.id, role=Role.USER)
        given = await grant_permission(await access(owner), wanted, bus=RecordingBus())
        assert (given == held) is is_proven
        assert await Permission.filter(email=email).count() == (0 if is_proven else 1)
