"""Groups of people at an installation: who makes them, and who puts whom in and out.

To put somebody into a group is to give them all that the group holds, so it takes the right to give each of it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import GRANTERS, Access
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, Path
from domain.identity.people import PersonKey, found_person
from domain.ids import new_id
from domain.membership.permission_book import Place, permission_book
from domain.membership.permissions import known_person
from domain.models import GroupMember, Permission, UserGroup
from domain.ports import EventBus
from domain.roles import Role

MOST_GROUPS = 100
"""Of one installation: a list of them is shown whole."""
_GROUP: Path = ("groupId",)
_MANAGERS = GRANTERS | {Role.ADMINISTRATOR}


async def create_user_group(access: Access, installation_id: UUID, *, name: str) -> UUID:
    """A new group at the installation, with nobody in it and nothing to hold.

    ConflictError: ALREADY_EXISTS for a name that a group there has, LIMIT_EXCEEDED when there are a hundred.
    """
    access.signed_in()
    access.manage_installation(installation_id, _MANAGERS, path=("installationId",))
    problems = Problems()
    name = problems.text("name", name)
    problems.raise_any()
    group = UserGroup(id=new_id(), installation_id=installation_id, name=name, created_at=access.now)
    try:
        async with in_transaction():
            await _lock_names(installation_id, name)
            await group.save(force_create=True)
            await audit.record(
                access, "userGroup.create", "UserGroup", group.id, installation_id=installation_id, after={"name": name}
            )
    except IntegrityError as error:
        raise _taken() from error
    return group.id


async def add_group_member(access: Access, group_id: UUID, person: PersonKey, *, bus: EventBus) -> UUID:
    """The person is in the group and holds what it holds; who was in it already still is.

    NotFoundError for a hidden group or person, NotAllowedError for a group that is not managed by who asks, or that holds what
    is not theirs to give.
    """
    access.signed_in()
    installation_id = await _managed(access, group_id)
    user_id = await known_person(access, person)
    async with permission_book(access, installation_id, bus=bus) as book:
        if await GroupMember.exists(group_id=group_id, user_id=user_id):
            return group_id
        book.require_may_add(user_id, await _held(group_id, access.now), path=_GROUP)
        await GroupMember.create(group_id=group_id, user_id=user_id, added_by_id=_actor(access), added_at=access.now)
        await _audit(access, "userGroup.addMember", group_id, installation_id, user_id)
        book.tell(user_id)
    return group_id


async def remove_group_member(access: Access, group_id: UUID, person: PersonKey, *, bus: EventBus) -> UUID:
    """The person is not in the group and holds nothing through it; who was not in it still is not.

    Errors as `add_group_member`; ConflictError (LAST_OWNER) for the last of those who own the installation, but by an administrator.
    """
    access.signed_in()
    installation_id = await _managed(access, group_id)
    user_id = await found_person(access, person, with_inactive=True)
    async with permission_book(access, installation_id, bus=bus) as book:
        if not await GroupMember.exists(group_id=group_id, user_id=user_id):
            return group_id
        book.last_owner_path = ("person",)
        for row in await _held(group_id, access.now):
            book.require_may(Place(row.installation_id, row.charger_id), row.role, path=_GROUP)
        await leave_groups(user_id, [group_id], now=access.now)
        await _audit(access, "userGroup.removeMember", group_id, installation_id, user_id)
        book.tell(user_id)
    return group_id


async def leave_groups(user_id: UUID, group_ids: Sequence[UUID] | None = None, *, now: datetime) -> None:
    """The person is in none of these groups (None: in no group at all); that they were is kept, for what their charging cost then."""
    arguments: list[object] = [user_id]
    condition = "user_id = $1"
    if group_ids is not None:
        condition += f" AND {sql.any_of('group_id', list(group_ids), arguments)}"
    was = f"SELECT group_id, user_id, added_at, CAST(${len(arguments) + 1} AS {sql.instant_type()}) FROM group_members WHERE {condition}"  # noqa: S608
    kept = f"INSERT INTO past_group_members (group_id, user_id, added_at, removed_at) {was}"
    await sql.execute(kept, *arguments, now)
    await sql.execute(f"DELETE FROM group_members WHERE {condition}", *arguments)  # noqa: S608


async def _managed(access: Access, group_id: UUID) -> UUID:
    """The installation of the group, which whoever asks manages; its mere members are told that they do not."""
    arguments: list[object] = [group_id]
    visible = access.groups_condition("g", arguments)
    managed = access.managed_groups_condition("g", arguments)
    statement = f"SELECT g.installation_id, ({managed}) AS is_managed FROM user_groups g WHERE g.id = $1 AND {visible}"  # noqa: S608
    found = await sql.row(statement, *arguments)
    if found is None:
        raise NotFoundError(path=_GROUP)
    if not found["is_managed"]:
        raise NotAllowedError("This takes an owner of the group's installation.", path=_GROUP)
    return sql.uuid_of(found["installation_id"])


async def _held(group_id: UUID, now: datetime) -> list[Permission]:
    """What the group holds now or will hold."""
    return await Permission.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=now), group_id=group_id, revoked_at=None)


async def _lock_names(installation_id: UUID, name: str) -> None:
    found = await sql.row(f"SELECT id FROM installations WHERE id = $1{sql.for_change()}", installation_id)  # noqa: S608
    if found is None:
        raise NotFoundError(path=("installationId",))
    names = [row.name for row in await UserGroup.filter(installation_id=installation_id)]
    if name.casefold() in {one.casefold() for one in names}:
        raise _taken()
    if len(names) >= MOST_GROUPS:
        message = f"An installation has at most {MOST_GROUPS} groups."
        raise ConflictError(message, code=ErrorCode.LIMIT_EXCEEDED, path=("installationId",))


def _taken() -> ConflictError:
    message = "There is a group of this name at the installation already."
    return ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("name",))


def _actor(access: Access) -> UUID:
    return access.signed_in().id


async def _audit(access: Access, action: str, group_id: UUID, installation_id: UUID, user_id: UUID) -> None:
    is_in = action == "userGroup.addMember"
    await audit.record(
        access,
        action,
        "UserGroup",
        group_id,
        installation_id=installation_id,
        before=None if is_in else {"userId": user_id},
        after={"userId": user_id} if is_in else None,
    )
