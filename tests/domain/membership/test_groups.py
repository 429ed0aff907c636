"""Groups of people: who fills them, what they hold, and the ways round the rules that are none."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from domain.access import Access
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
from domain.identity.people import PersonKey
from domain.ids import new_id
from domain.membership.groups import MOST_GROUPS, add_group_member, create_user_group, remove_group_member
from domain.membership.permissions import Grant, SubjectKey, grant_permission, revoke_permission
from domain.models import AuditEntry, GroupMember, Permission, User, UserGroup
from domain.pages import PageRequest
from domain.roles import Role, Scope
from domain.views.group_views import groups_by_ids, groups_of_installations, members_page
from domain.views.permission_views import permissions_page
from tests.factories import NOW, PEOPLE, Town, a_charger, a_grant, a_group, a_person, a_program, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

MANAGERS = ("OWNER of installation", "ADMINISTRATOR", "program")
CALLERS = [*PEOPLE, "program", "not signed in"]


async def _access(town: Town, caller: str) -> Access:
    if caller == "program":
        return await (await a_program(town.site, scopes=[Scope.MANAGE_PERMISSIONS])).access()
    return await town.access(caller)


async def _add(viewer: Access, group: UUID, user_id: UUID, bus: RecordingBus | None = None) -> None:
    await add_group_member(viewer, group, PersonKey(user_id=user_id), bus=bus or RecordingBus())


async def _remove(viewer: Access, group: UUID, user_id: UUID, bus: RecordingBus | None = None) -> None:
    await remove_group_member(viewer, group, PersonKey(user_id=user_id), bus=bus or RecordingBus())


@pytest.mark.parametrize("caller", CALLERS)
async def test_who_decides_about_permissions_makes_and_fills_groups(caller: str) -> None:
    """A mere member is told that it is not theirs; for everyone else there is no group."""
    town, bus = await a_town(), RecordingBus()
    viewer = await _access(town, caller)
    member, driver = town.people["USER of installation"], town.people["USER of charger"]
    group = await a_group(town.site, member)
    if caller in MANAGERS:
        made = await create_user_group(viewer, town.site.id, name="Second floor")
        await _add(viewer, made, driver, bus)
        assert (await groups_by_ids(viewer, [made]))[made].is_managed
        await _remove(viewer, made, driver, bus)
        told = [PermissionChanged(user_id=driver, installation_id=town.site.id), LocalListOutdated(town.site.id)]
        assert bus.published == told * 2
        actions = [entry.action for entry in await AuditEntry.filter(object_id=made).order_by("id")]
        assert actions == ["userGroup.create", "userGroup.addMember", "userGroup.removeMember"]
        return
    hidden: type[DomainError] = UnauthenticatedError if caller == "not signed in" else NotFoundError
    with pytest.raises(hidden if caller in ("stranger", "not signed in") else NotAllowedError):
        await create_user_group(viewer, town.site.id, name="Second floor")
    for change in (_add, _remove):
        with pytest.raises(NotAllowedError if caller == "USER of installation" else hidden):
            await change(viewer, group, driver, bus)
    assert bus.published == []
    assert await GroupMember.all().count() == 1


async def test_a_group_has_a_name_of_its_own() -> None:
    """Compared without case; a site has at most a hundred."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    await create_user_group(owner, town.site.id, name=" First floor ")
    for name, code in (
        ("FIRST FLOOR", ErrorCode.ALREADY_EXISTS),
        ("", ErrorCode.INVALID),
        ("x" * 201, ErrorCode.INVALID),
    ):
        with pytest.raises((ConflictError, ValidationError)) as caught:
            await create_user_group(owner, town.site.id, name=name)
        assert (caught.value.code, caught.value.path) == (code, ("name",))
    for number in range(1, MOST_GROUPS):
        await a_group(town.site, name=f"Group {number:02}")
    with pytest.raises(ConflictError) as caught:
        await create_user_group(owner, town.site.id, name="One more")
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED
    shown = (await groups_of_installations(owner, [town.site.id]))[town.site.id]
    assert [row.name for row in shown][:2] == ["First floor", "Group 01"]
    with pytest.raises(NotFoundError):
        await create_user_group(await town.access("ADMINISTRATOR"), new_id(), name="Nowhere")


async def test_the_same_name_twice_at_once_is_one_group() -> None:
    """Whoever was second is told."""
    town = await a_town()
    owner = await town.access("OWNER of installation")
    results = await asyncio.gather(
        *(create_user_group(owner, town.site.id, name="Staff") for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [ConflictError]
    assert await UserGroup.all().count() == 1


async def test_a_person_is_named_only_by_who_may_know_of_them() -> None:
    """By address or id an absent person and a hidden one look the same; a program's own ids are known to it alone."""
    town = await a_town()
    owner, stranger = await town.access("OWNER of installation"), town.people["stranger"]
    program = await a_program(town.site, scopes=[Scope.MANAGE_PERMISSIONS])
    await program.knows(stranger, "tenant 7")
    group = await a_group(town.site)
    hidden = str((await User.get(id=stranger)).email)
    for key in (
        PersonKey(email=hidden),
        PersonKey(email="absent@example.com"),
        PersonKey(user_id=stranger),
        PersonKey(user_id=new_id()),
        PersonKey(external_id="tenant 7"),
        PersonKey(),
    ):
        for change in (add_group_member, remove_group_member):
            with pytest.raises(NotFoundError) as caught:
                await change(owner, group, key, bus=RecordingBus())
            assert caught.value.path == ("person",)
    await add_group_member(await program.access(), group, PersonKey(external_id="tenant 7"), bus=RecordingBus())
    known = str((await User.get(id=town.people["USER of charger"])).email).upper()
    await add_group_member(owner, group, PersonKey(email=known), bus=RecordingBus())
    assert await GroupMember.all().count() == 2
    await User.filter(id=stranger).update(is_active=False)
    await remove_group_member(owner, group, PersonKey(email=hidden), bus=RecordingBus())
    assert await GroupMember.all().count() == 1


async def test_adding_and_removing_again_does_nothing() -> None:
    """Not once more in the log, and nobody hears of it."""
    town, bus = await a_town(), RecordingBus()
    owner, driver = await town.access("OWNER of installation"), town.people["USER of charger"]
    group = await a_group(town.site)
    await asyncio.gather(*(_add(owner, group, driver, bus) for _ in range(3)))
    assert await GroupMember.all().count() == 1
    for _ in range(2):
        await _remove(owner, group, driver, bus)
    assert await AuditEntry.all().count() == 2
    assert len(bus.published) == 4


async def test_what_a_group_holds_its_members_hold() -> None:
    """From when they are in it until they are out, or it is revoked; every member hears of it."""
    town, bus = await a_town(), RecordingBus()
    owner, first, second = await town.access("OWNER of installation"), await a_person("A"), await a_person("B")
    group = await a_group(town.site, first, second)
    grant = Grant(subject=SubjectKey(group_id=group), object_id=town.charger_id, role=Role.USER)
    made = await grant_permission(owner, grant, bus=bus)
    told = [PermissionChanged(user_id=one, installation_id=town.site.id) for one in sorted([first, second])]
    assert bus.published == [*told, LocalListOutdated(town.site.id)]
    assert (await access(first)).chargers[town.charger_id].roles == {Role.USER}
    viewer = await access(second)
    shown = await permissions_page(viewer, PageRequest())
    assert [(row.group_id, row.user_id, row.invitation, row.granted_by) for row in shown.rows] == [
        (group, None, None, None)
    ]
    assert await grant_permission(owner, grant, bus=bus) == made
    await _remove(owner, group, second)
    assert (await access(second)).chargers == {}
    assert (await permissions_page(await access(second), PageRequest())).rows == []
    await revoke_permission(owner, permission_id=made, bus=bus)
    assert (await access(first)).chargers == {}


async def test_a_group_holds_roles_at_its_own_site_only() -> None:
    """One that cannot be seen is absent; one of another site is refused even to who owns both."""
    town = await a_town()
    owner = town.people["OWNER of installation"]
    other = await a_group(town.other_site)
    grant = Grant(subject=SubjectKey(group_id=other), object_id=town.site.id, role=Role.USER)
    with pytest.raises(NotFoundError) as caught:
        await grant_permission(await access(owner), grant, bus=RecordingBus())
    assert caught.value.path == ("subject", "groupId")
    await a_grant(Role.OWNER, town.other_site, user_id=owner)
    with pytest.raises(ValidationError) as invalid:
        await grant_permission(await access(owner), grant, bus=RecordingBus())
    assert invalid.value.path == ("subject", "groupId")
    assert await Permission.filter(group_id=other).count() == 0


async def test_no_owner_gets_service_through_a_group() -> None:
    """Neither by a grant to a group they are in, nor by putting themselves into one that holds it; another owner may."""
    town = await a_town()
    me, colleague = town.people["OWNER of installation"], await a_person("Colleague")
    await a_grant(Role.OWNER, town.site, user_id=colleague)
    mine, staff = await a_group(town.site, me, name="Mine"), await a_group(town.site, name="Staff")
    for place in (town.site.id, town.charger_id):
        grant = Grant(subject=SubjectKey(group_id=mine), object_id=place, role=Role.SERVICE)
        with pytest.raises(NotAllowedError):
            await grant_permission(await access(me), grant, bus=RecordingBus())
    grant = Grant(subject=SubjectKey(group_id=staff), object_id=town.site.id, role=Role.SERVICE)
    later = Grant(
        subject=SubjectKey(group_id=staff),
        object_id=town.charger_id,
        role=Role.SERVICE,
        valid_from=NOW + timedelta(days=1),
    )
    await grant_permission(await access(me), grant, bus=RecordingBus())
    with pytest.raises(NotAllowedError) as caught:
        await _add(await access(me), staff, me)
    assert caught.value.path == ("groupId",)
    await revoke_permission(
        await access(me), permission_id=(await Permission.get(group_id=staff)).id, bus=RecordingBus()
    )
    await grant_permission(await access(me), later, bus=RecordingBus())
    with pytest.raises(NotAllowedError):
        await _add(await access(me), staff, me)
    await _add(await access(colleague), staff, me)
    assert Role.SERVICE in (await access(me, now=NOW + timedelta(days=2))).chargers[town.charger_id].roles


async def test_a_program_makes_no_owner_through_a_group() -> None:
    """A group that holds what is not the program's to give is not the program's to change."""
    town = await a_town()
    program = await _access(town, "program")
    driver = town.people["USER of charger"]
    for role, charger in ((Role.OWNER, None), (Role.SERVICE, None), (Role.SERVICE, town.charger_id)):
        group = await a_group(town.site, driver, name=f"{role} {charger}")
        await a_grant(role, town.site, group_id=group, charger_id=charger)
        for change, person in ((_add, "USER of installation"), (_remove, "USER of charger")):
            with pytest.raises(NotAllowedError) as caught:
                await change(program, group, town.people[person])
            assert caught.value.path == ("groupId",)
    group = await a_group(town.site, name="Drivers")
    await a_grant(Role.OWNER, town.site, group_id=group, charger_id=town.charger_id)
    await _add(program, group, driver)


async def test_nobody_puts_another_into_a_group_for_longer_than_they_hold() -> None:
    """An owner until June adds nobody to a group that owns the site for good."""
    town = await a_town()
    tenant, june = await a_person("Tenant"), NOW + timedelta(days=100)
    await a_grant(Role.OWNER, town.site, user_id=tenant, valid_to=june)
    group = await a_group(town.site)
    held = await a_grant(Role.OWNER, town.site, group_id=group)
    with pytest.raises(ValidationError) as caught:
        await _add(await access(tenant), group, town.people["USER of charger"])
    assert caught.value.path == ("groupId",)
    await Permission.filter(id=held).update(valid_to=june)
    await _add(await access(tenant), group, town.people["USER of charger"])


async def test_the_last_owner_through_a_group_stays() -> None:
    """Neither they nor their group's grant can be taken away, but by an administrator; one who is disabled owns nothing."""
    town = await a_town()
    direct = town.people["OWNER of installation"]
    member, disabled = await a_person("Member"), await a_person("Disabled", is_active=False)
    group = await a_group(town.site, member, disabled)
    held = await a_grant(Role.OWNER, town.site, group_id=group)
    mine = (await Permission.get(user_id=direct, charger_id=None)).id
    await revoke_permission(await access(member), permission_id=mine, bus=RecordingBus())
    viewer = await access(member)
    with pytest.raises(ConflictError) as caught:
        await _remove(viewer, group, member)
    assert (caught.value.code, caught.value.path) == (ErrorCode.LAST_OWNER, ("person",))
    with pytest.raises(ConflictError):
        await revoke_permission(viewer, permission_id=held, bus=RecordingBus())
    ends = Grant(
        subject=SubjectKey(group_id=group), object_id=town.site.id, role=Role.OWNER, valid_to=NOW + timedelta(days=1)
    )
    with pytest.raises(ConflictError):
        await grant_permission(viewer, ends, bus=RecordingBus())
    assert await GroupMember.filter(user_id=member).count() == 1
    await _remove(await town.access("ADMINISTRATOR"), group, member)
    assert (await access(member)).installations == {}


async def test_two_owners_cannot_remove_each_other_from_their_group_at_once() -> None:
    """One of them stays, whoever was quicker; so too when one is removed and the other revoked."""
    town = await a_town()
    await Permission.filter(user_id=town.people["OWNER of installation"]).delete()
    first, second = await a_person("First"), await a_person("Second")
    group = await a_group(town.site, first, second)
    await a_grant(Role.OWNER, town.site, group_id=group)
    results = await asyncio.gather(
        _remove(await access(first), group, second), _remove(await access(second), group, first), return_exceptions=True
    )
    assert [type(one) for one in results if isinstance(one, Exception)] == [ConflictError]
    (left,) = await GroupMember.filter(group_id=group)
    gone = second if left.user_id == first else first
    third = await a_grant(Role.OWNER, town.site, user_id=gone)
    mixed = await asyncio.gather(
        _remove(await access(gone), group, left.user_id),
        revoke_permission(await access(left.user_id), permission_id=third, bus=RecordingBus()),
        return_exceptions=True,
    )
    refused = [one for one in mixed if isinstance(one, ConflictError)]
    assert [error.code for error in refused] == [ErrorCode.LAST_OWNER]


@pytest.mark.parametrize("caller", CALLERS)
async def test_who_sees_a_group_and_who_is_in_it(caller: str) -> None:
    """Members see its name only; who owns a charger sees the groups that hold something there; a program what it manages."""
    town = await a_town()
    viewer, member = await _access(town, caller), town.people["USER of installation"]
    hidden, group = await a_group(town.other_site), await a_group(town.site, member, town.people["SERVICE"])
    on_charger, elsewhere = await a_group(town.site, name="Drivers"), await a_group(town.site, name="Upstairs")
    await a_grant(Role.USER, town.site, group_id=on_charger, charger_id=town.charger_id)
    other = await a_charger(town.site, "Space 3")
    await a_grant(Role.USER, town.site, group_id=elsewhere, charger_id=other)
    rows = await groups_by_ids(viewer, [hidden, group, on_charger, elsewhere])
    expected = {
        "ADMINISTRATOR": {hidden, group, on_charger, elsewhere},
        "OWNER of installation": {group, on_charger, elsewhere},
        "program": {group, on_charger, elsewhere},
        "OWNER of charger": {on_charger},
        "USER of installation": {group},
        "SERVICE": {group},
    }
    assert set(rows) == expected.get(caller, set())
    assert {row.is_managed for row in rows.values()} == ({caller in MANAGERS} if rows else set())
    listed = (await groups_of_installations(viewer, [town.site.id])).get(town.site.id, [])
    assert {row.id for row in listed} == set(rows) - {hidden}
    if group in rows:
        page = await members_page(viewer, rows[group], PageRequest(first=1))
        names = [person.name for person in page.rows]
        assert (names, page.has_next) == ((["SERVICE"], True) if caller in MANAGERS else ([], False))
        after = await members_page(viewer, rows[group], PageRequest(first=1, after=page.cursors[0] if names else None))
        assert [person.name for person in after.rows] == (["USER of installation"] if caller in MANAGERS else [])
        assert page.count is None or await page.count() == (2 if caller in MANAGERS else 0)
