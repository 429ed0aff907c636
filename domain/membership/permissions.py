"""Grants: who gives whom which role where, and who takes it away again."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.checks import Problems
from domain.errors import NotFoundError, Path, invalid
from domain.identity.people import PersonKey, found_person, people_by_ids
from domain.membership.permission_book import Place, Subject, Wanted, permission_book
from domain.models import Permission
from domain.ports import EventBus
from domain.roles import Role, Unset

EXTERNAL_ID_LENGTH = 200
_OBJECT: Path = ("objectId",)
_SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """Who is granted something, by one of: a person's id, an e-mail address, a group's id, the asking program's own id for a person."""

    user_id: UUID | None = None
    email: str | None = None
    group_id: UUID | None = None
    external_user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What is granted. `valid_from` None: from now on; `valid_to` None: until revoked."""

    subject: SubjectKey
    object_id: UUID
    role: Role
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    external_id: str | None = None


async def grant_permission(access: Access, grant: Grant, *, bus: EventBus) -> UUID:
    """The subject holds the role there in that time. The same subject, object and role again: time and externalId are replaced.

    NotFoundError for an object, person or group that the granter cannot see, NotAllowedError for a role that is not theirs to
    give, ConflictError (LAST_OWNER) when the new time would leave the installation without an owner, (ALREADY_EXISTS) when the
    externalId names another grant of theirs.
    """
    access.signed_in()
    place = await _place(access, grant.object_id)
    subject = await _found(access, grant.subject, place)
    wanted = Wanted(
        subject=subject,
        place=place,
        role=grant.role,
        valid_from=grant.valid_from,
        valid_to=grant.valid_to,
        external_id=grant.external_id,
    )
    wanted = checked(access, wanted)
    async with permission_book(access, place.installation_id, bus=bus) as book:
        await book.read(wanted)
        book.last_owner_path = _OBJECT
        change = book.grant(wanted)
    return change.row.id


async def revoke_permission(
    access: Access, *, permission_id: UUID | None = None, external_id: str | None = None, bus: EventBus
) -> UUID:
    """The grant of that id, or the one that whoever asks gave that externalId, is over; one that was over stays as it is.

    Whoever may grant a role may revoke it. ConflictError (LAST_OWNER) for an installation's last owner, but by an administrator.
    """
    access.signed_in()
    if (permission_id is None) == (external_id is None):
        raise invalid("permissionId", "Name the permission by one of permissionId and externalId.")
    path: Path = ("permissionId",) if permission_id is not None else ("externalId",)
    found = await _visible(access, permission_id, external_id, path)
    async with permission_book(access, found.installation_id, bus=bus) as book:
        book.last_owner_path = path
        book.revoke(await Permission.get(id=found.id), path=path)
    return found.id


def checked(access: Access, wanted: Wanted) -> Wanted:
    """What is wanted, if it makes sense by itself; ValidationError names every field in which it does not."""
    problems = Problems()
    subject = wanted.subject
    if subject.email is not None:
        subject = replace(subject, email=problems.email((_SUBJECT, "email"), subject.email))
    if wanted.role is Role.ADMINISTRATOR:
        problems.add("role", "ADMINISTRATOR is a property of an account and cannot be granted on an object.")
    if wanted.valid_from is not None:
        problems.aware("validFrom", wanted.valid_from)
    if wanted.valid_to is not None:
        problems.aware("validTo", wanted.valid_to)
    problems.raise_any()
    if wanted.valid_to is not None and wanted.valid_to <= max(access.now, wanted.valid_from or access.now):
        problems.add("validTo", "This is over before it begins; to end a permission, revoke it.")
    external_id = wanted.external_id
    if external_id is not None and not isinstance(external_id, Unset):
        external_id = problems.text("externalId", external_id, most=EXTERNAL_ID_LENGTH)
    problems.raise_any()
    return replace(wanted, subject=subject, external_id=external_id)


async def known_person(access: Access, key: PersonKey, *, path: Path = ("person",)) -> UUID:
    """The person, when whoever asks may know of them: by id anyone whom they see, by other names those whom they decide about.

    NotFoundError, the same for people who are there and people who are not.
    """
    if key.user_id is None:
        return await found_person(access, key, path=path)
    if not await people_by_ids(access, [key.user_id]):
        raise NotFoundError(path=path)
    return key.user_id


async def _place(access: Access, object_id: UUID) -> Place:
    charger = await sql.row("SELECT installation_id FROM chargers WHERE id = $1 AND removed_at IS NULL", object_id)
    if charger is not None:
        installation_id = sql.uuid_of(charger["installation_id"])
        if access.sees_charger(object_id, installation_id):
            return Place(installation_id, object_id)
    elif access.sees_installation(object_id) and await _exists(object_id):
        return Place(object_id)
    raise NotFoundError(path=_OBJECT)


async def _exists(installation_id: UUID) -> bool:
    return await sql.row("SELECT 1 AS found FROM installations WHERE id = $1", installation_id) is not None


async def _found(access: Access, key: SubjectKey, place: Place) -> Subject:
    """The subject. Nobody finds out by a grant whether an id is that of a person or a group."""
    given = (key.user_id, key.email, key.group_id, key.external_user_id)
    if sum(one is not None for one in given) != 1:
        raise invalid(_SUBJECT, "Name one subject: a person, an e-mail address or a group.")
    if key.group_id is not None:
        return Subject(group_id=await _group(access, key.group_id, place))
    if key.user_id is not None:
        person = PersonKey(user_id=key.user_id)
        return Subject(await known_person(access, person, path=(_SUBJECT, "userId")))
    if key.external_user_id is not None:
        person = PersonKey(external_id=key.external_user_id)
        return Subject(await found_person(access, person, path=(_SUBJECT, "externalUserId")))
    return Subject(email=key.email)


async def _group(access: Access, group_id: UUID, place: Place) -> UUID:
    path: Path = (_SUBJECT, "groupId")
    arguments: list[object] = [group_id]
    visible = access.groups_condition("g", arguments)
    found = await sql.row(f"SELECT g.installation_id FROM user_groups g WHERE g.id = $1 AND {visible}", *arguments)  # noqa: S608
    if found is None:
        raise NotFoundError(path=path)
    if sql.uuid_of(found["installation_id"]) != place.installation_id:
        raise invalid(path, "A group holds roles at its own installation only.")
    return group_id


async def _visible(access: Access, permission_id: UUID | None, external_id: str | None, path: Path) -> Permission:
    arguments: list[object] = []
    visible = access.permissions_condition("p", arguments)
    if permission_id is not None:
        arguments.append(permission_id)
        named = f"p.id = ${len(arguments)}"
    else:
        arguments.extend((access.signed_in().id, external_id))
        named = f"p.granted_by_id = ${len(arguments) - 1} AND p.external_id = ${len(arguments)}"
    statement = (
        f"SELECT p.id FROM permissions p WHERE {visible} AND {named} ORDER BY p.revoked_at IS NOT NULL, p.id DESC"  # noqa: S608
    )
    found = await sql.row(statement, *arguments)
    if found is None:
        raise NotFoundError(path=path)
    return await Permission.get(id=sql.uuid_of(found["id"]))
