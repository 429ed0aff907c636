"""Grants: who gives whom which role where, and who takes it away again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import Access
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, Path, invalid
from domain.events import PermissionChanged
from domain.ids import new_id
from domain.models import Permission
from domain.people import people_by_ids
from domain.ports import EventBus
from domain.roles import Role

INVITATION_LIFETIME = timedelta(days=30)
EXTERNAL_ID_LENGTH = 200
_OBJECT: Path = ("objectId",)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is granted something: one of an account and an e-mail address, which stays an invitation until it is accepted."""

    user_id: UUID | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is granted: at a whole installation, or at one charger of it."""

    installation_id: UUID
    charger_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What is granted. `valid_from` None: from now on; `valid_to` None: until revoked."""

    subject: Subject
    object_id: UUID
    role: Role
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    external_id: str | None = None


async def grant_permission(access: Access, grant: Grant, *, bus: EventBus) -> UUID:
    """The subject holds the role there in that time. The same subject, object and role again: time and externalId are replaced.

    NotFoundError for an object or a person that the granter cannot see, NotAllowedError for a role that is not theirs to
    give, ConflictError (LAST_OWNER) when the new time would leave the installation without an owner.
    """
    access.signed_in()
    place = await _place(access, grant.object_id)
    await _require_known(access, grant.subject)
    subject = _checked(access, grant)
    async with in_transaction():
        await _lock(place.installation_id)
        await _require_may(access, place, grant.role)
        await _require_not_own_service(access, grant.role, subject)
        owners = await _owners(place.installation_id, access.now)
        row = await _present(place, grant.role, subject)
        before = None if row is None else _state(row)
        row = row or _new(access, place, grant.role, subject)
        _set_time(row, grant, access.now, is_new=before is None)
        await _require_within_own(access, place, row)
        await _require_free(access, row, grant.external_id)
        row.external_id = grant.external_id
        await row.save(force_create=before is None)
        await _require_owner_left(access, place.installation_id, owners, _OBJECT)
        await _audit(access, "permission.grant", row, before, _state(row))
    await _tell(row, bus)
    return row.id


async def revoke_permission(
    access: Access, *, permission_id: UUID | None = None, external_id: str | None = None, bus: EventBus
) -> UUID:
    """The grant of that id, or the one that this person gave that externalId, is over; one that was over stays as it is.

    Whoever may grant a role may revoke it. ConflictError (LAST_OWNER) for an installation's last owner, but by an administrator.
    """
    access.signed_in()
    if (permission_id is None) == (external_id is None):
        raise invalid("permissionId", "Name the permission by one of permissionId and externalId.")
    path: Path = ("permissionId",) if permission_id is not None else ("externalId",)
    found = await _visible(access, permission_id, external_id, path)
    place = Place(found.installation_id, found.charger_id)
    async with in_transaction():
        await _lock(place.installation_id)
        await _require_may(access, place, found.role, path=path)
        row = await Permission.get(id=found.id)
        if row.revoked_at is not None:
            return row.id
        owners = await _owners(place.installation_id, access.now)
        before = _state(row)
        row.revoked_at, row.revoked_by_id = access.now, access.user_id
        await row.save(update_fields=["revoked_at", "revoked_by_id"])
        await _require_owner_left(access, place.installation_id, owners, path)
        await _audit(access, "permission.revoke", row, before, _state(row))
    await _tell(row, bus)
    return row.id


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


async def _require_known(access: Access, subject: Subject) -> None:
    """Nobody finds out by a grant whether an id is that of a person."""
    if subject.user_id is not None and not await people_by_ids(access, [subject.user_id]):
        raise NotFoundError(path=("subject", "userId"))


def _checked(access: Access, grant: Grant) -> Subject:
    problems = Problems()
    email = None if grant.subject.email is None else problems.email(("subject", "email"), grant.subject.email)
    if (grant.subject.user_id is None) == (email is None):
        problems.add("subject", "Name one subject: a person or an e-mail address.")
    if grant.role is Role.ADMINISTRATOR:
        problems.add("role", "ADMINISTRATOR is a property of an account and cannot be granted on an object.")
    if grant.valid_from is not None:
        problems.aware("validFrom", grant.valid_from)
    if grant.valid_to is not None:
        problems.aware("validTo", grant.valid_to)
    problems.raise_any()
    if grant.valid_to is not None and grant.valid_to <= max(access.now, grant.valid_from or access.now):
        problems.add("validTo", "This is over before it begins; to end a permission, revoke it.")
    if grant.external_id is not None:
        problems.text("externalId", grant.external_id, most=EXTERNAL_ID_LENGTH)
    problems.raise_any()
    return Subject(grant.subject.user_id, email)


async def _lock(installation_id: UUID) -> None:
    """Grants at one site happen one after the other: two owners cannot remove each other at once."""
    await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_update()}", installation_id)  # noqa: S608


async def _require_may(access: Access, place: Place, role: Role, *, path: Path = ("role",)) -> None:
    """Returns when this person may give and take that role there (domain.md §2)."""
    if role in _GIVEN_BY_ADMINISTRATOR and access.is_administrator:
        return
    whole = access.roles_at(place.installation_id)
    if Role.OWNER in whole and role in _GIVEN_BY_OWNER:
        return
    if place.charger_id is not None:
        here = access.roles_at_charger(place.charger_id, place.installation_id)
        if Role.OWNER in here and role in _GIVEN_BY_CHARGER_OWNER:
            return
    elif Role.SERVICE in whole and role is Role.OWNER:
        owners = await _owners(place.installation_id, access.now)
        if not owners.now:  # who made a site names its owner, and from then on owners decide
            return
    raise NotAllowedError(f"The role {role.value} there is not yours to give or take.", path=path)


_GIVEN_BY_ADMINISTRATOR = frozenset({Role.USER, Role.OWNER, Role.SERVICE})
_GIVEN_BY_OWNER = _GIVEN_BY_ADMINISTRATOR
_GIVEN_BY_CHARGER_OWNER = frozenset({Role.USER, Role.OWNER})


async def _require_not_own_service(access: Access, role: Role, subject: Subject) -> None:
    """Who pays for the current does not set the breakers: no owner gives SERVICE to themselves, nor through their own address."""
    if role is not Role.SERVICE or access.is_administrator:
        return
    me = await sql.row("SELECT email FROM users WHERE id = $1", access.user_id)
    is_own_mail = subject.email is not None and me is not None and subject.email == me["email"]
    if subject.user_id == access.user_id or is_own_mail:
        raise NotAllowedError("Nobody gives SERVICE to themselves; ask another owner.", path=("role",))


@dataclass(frozen=True, slots=True)
class _Owners:
    """How many people own a site now, and how many of them without an end."""

    now: int
    lasting: int


async def _owners(installation_id: UUID, now: datetime) -> _Owners:
    found = await sql.row(
        "SELECT COUNT(DISTINCT p.user_id) AS now,"
        " COUNT(DISTINCT CASE WHEN p.valid_to IS NULL THEN p.user_id END) AS lasting"
        " FROM permissions p JOIN users u ON u.id = p.user_id"
        " WHERE p.installation_id = $1 AND p.charger_id IS NULL AND p.role = $2 AND p.revoked_at IS NULL"
        " AND p.valid_from <= $3 AND (p.valid_to IS NULL OR p.valid_to > $3) AND u.is_active AND u.erased_at IS NULL",
        installation_id,
        Role.OWNER,
        now,
    )
    return _Owners(found["now"], found["lasting"]) if found else _Owners(0, 0)


async def _require_owner_left(access: Access, installation_id: UUID, before: _Owners, path: Path) -> None:
    """Returns when the change took neither the last owner nor the last one without an end; an administrator may."""
    after = await _owners(installation_id, access.now)
    is_last = (before.now > 0 and after.now == 0) or (before.lasting > 0 and after.lasting == 0)
    if is_last and not access.is_administrator:
        message = "This is the installation's last owner: make another person OWNER first."
        raise ConflictError(message, code=ErrorCode.LAST_OWNER, path=path)


async def _present(place: Place, role: Role, subject: Subject) -> Permission | None:
    return await Permission.get_or_none(
        installation_id=place.installation_id,
        charger_id=place.charger_id,
        role=role,
        user_id=subject.user_id,
        email=subject.email,
        revoked_at=None,
    )


def _new(access: Access, place: Place, role: Role, subject: Subject) -> Permission:
    return Permission(
        id=new_id(),
        user_id=subject.user_id,
        email=subject.email,
        installation_id=place.installation_id,
        charger_id=place.charger_id,
        role=role,
        valid_from=access.now,
        granted_by_id=access.user_id,
        granted_at=access.now,
        invitation_expires_at=None if subject.email is None else access.now + INVITATION_LIFETIME,
    )


def _set_time(row: Permission, grant: Grant, now: datetime, *, is_new: bool) -> None:
    """Without a beginning of its own a grant begins now, or goes on from when it began."""
    is_over = row.valid_to is not None and row.valid_to <= now
    began = now if is_new or is_over else min(row.valid_from, now)
    row.valid_from, row.valid_to = grant.valid_from or began, grant.valid_to
    if not is_new and row.email is not None:
        row.invitation_expires_at = now + INVITATION_LIFETIME


async def _require_within_own(access: Access, place: Place, row: Permission) -> None:
    """Nobody gives for longer than they hold, nor, at a charger, the sight of sessions from before their own time."""
    if access.is_administrator or Role.OWNER not in access.roles_at_charger(
        place.charger_id or place.installation_id, place.installation_id
    ):
        return
    own = [
        one
        for one in await Permission.filter(
            user_id=access.user_id,
            installation_id=place.installation_id,
            role=Role.OWNER,
            revoked_at=None,
            valid_from__lte=access.now,
        )
        if one.charger_id in (None, place.charger_id) and (one.valid_to is None or one.valid_to > access.now)
    ]
    ends = [one.valid_to for one in own]
    last = None if None in ends else max((end for end in ends if end is not None), default=None)
    if last is not None and (row.valid_to is None or row.valid_to > last):
        raise invalid("validTo", f"Your own right there ends at {last.isoformat()}: give one that ends no later.")
    if row.role is Role.OWNER and place.charger_id is not None and all(one.charger_id is not None for one in own):
        first = min(one.valid_from for one in own)
        if row.valid_from < first:
            raise invalid(
                "validFrom", f"Your own right there began at {first.isoformat()}: give one that begins no earlier."
            )


async def _require_free(access: Access, row: Permission, external_id: str | None) -> None:
    """An externalId names one grant of its giver."""
    if external_id is None:
        return
    other = await Permission.filter(granted_by_id=access.user_id, external_id=external_id, revoked_at=None).exclude(
        id=row.id
    )
    if other:
        message = "Another permission that you gave has this externalId."
        raise ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("externalId",))


async def _visible(access: Access, permission_id: UUID | None, external_id: str | None, path: Path) -> Permission:
    arguments: list[object] = []
    visible = access.permissions_condition("p", arguments)
    if permission_id is not None:
        arguments.append(permission_id)
        named = f"p.id = ${len(arguments)}"
    else:
        arguments.extend((access.user_id, external_id))
        named = f"p.granted_by_id = ${len(arguments) - 1} AND p.external_id = ${len(arguments)}"
    statement = (
        f"SELECT p.id FROM permissions p WHERE {visible} AND {named} ORDER BY p.revoked_at IS NOT NULL, p.id DESC"  # noqa: S608
    )
    found = await sql.row(statement, *arguments)
    if found is None:
        raise NotFoundError(path=path)
    return await Permission.get(id=sql.uuid_of(found["id"]))


async def _audit(access: Access, action: str, row: Permission, before: audit.State | None, after: audit.State) -> None:
    await audit.record(
        access, action, "Permission", row.id, installation_id=row.installation_id, before=before, after=after
    )


async def _tell(row: Permission, bus: EventBus) -> None:
    if row.user_id is not None:
        await bus.publish(PermissionChanged(user_id=row.user_id, installation_id=row.installation_id))


def _state(row: Permission) -> audit.State:
    return {
        "userId": row.user_id,
        "email": row.email,
        "chargerId": row.charger_id,
        "role": row.role,
        "validFrom": row.valid_from,
        "validTo": row.valid_to,
        "externalId": row.external_id,
        "revokedAt": row.revoked_at,
    }
