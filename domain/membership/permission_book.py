"""What is granted at one installation, read under its lock and written as a whole: every way to give or take a role comes through here.

The rules of domain.md §2 are kept in one place, for one grant and for a table of thousands alike.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.expressions import Q
from tortoise.transactions import in_transaction

from domain import audit, outbox, sql
from domain.access import Access
from domain.errors import ConflictError, ErrorCode, NotAllowedError, Path, invalid
from domain.events import LocalListOutdated, PermissionChanged
from domain.identity.invitations import INVITATION
from domain.ids import new_id
from domain.models import Permission
from domain.ports import EventBus
from domain.roles import Role, Scope, Unset

INVITATION_LIFETIME = timedelta(days=30)
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """Who holds a role: a person, an e-mail address that stays an invitation until it is accepted, or a group. One of them is set."""

    user_id: UUID | None = None
    email: str | None = None
    group_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is granted: at a whole installation, or at one charger of it."""

    installation_id: UUID
    charger_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be granted. `valid_from` None: from now on, or as before; `valid_to` None: until revoked; `external_id` UNSET: as
    before.
    """

    subject: Subject
    place: Place
    role: Role
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    external_id: str | Unset | None = None


@dataclass(slots=True)
class Change:
    """A grant as it is to be from now on; `before` None: a new one."""

    row: Permission
    before: audit.State | None
    action: str
    is_invited: bool = False
    """Whether the address is to be invited, for the first time or again."""

    @property
    def differs(self) -> bool:
        """Whether anything is to be written."""
        return self.before != state_of(self.row) or self.is_invited


@dataclass(frozen=True, slots=True)
class Owners:
    """How many people own a site now, by themselves or through groups, and how many of them without an end."""

    now: int
    lasting: int


@dataclass(frozen=True, slots=True)
class Own:
    """What whoever asks is and holds here themselves: their address, their groups, their valid grants of OWNER."""

    email: str | None = None
    groups: frozenset[UUID] = frozenset()
    owned: tuple[Permission, ...] = ()

    def end(self, charger_id: UUID | None = None) -> datetime | None:
        """When the last of what they own there ends; None where something has no end, or nothing is owned."""
        ends = [one.valid_to for one in self.owned if one.charger_id in (None, charger_id)]
        return None if None in ends else max((end for end in ends if end is not None), default=None)


_Key = tuple[UUID | None, Role, Subject]


@dataclass(slots=True)
class PermissionBook:
    """Grants at one installation as one transaction sees and changes them. Made by `permission_book`."""

    access: Access
    installation_id: UUID
    last_owner_path: Path = ()
    """Where in the input it is said what takes the last owner."""
    is_trial: bool = False
    """Everything is done and judged, and then undone."""
    _before: Owners = field(default_factory=lambda: Owners(0, 0))
    _own: Own = field(default_factory=Own)
    _present: dict[_Key, Permission] = field(default_factory=dict)
    _named: dict[str, Permission] = field(default_factory=dict)
    _changes: list[Change] = field(default_factory=list)
    _told: set[UUID] = field(default_factory=set)
    _is_changed: bool = False

    async def open(self) -> None:
        """Grants at one site happen one after the other: two owners cannot remove each other at once."""
        await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_change()}", self.installation_id)  # noqa: S608
        self._before = await owners_of(self.installation_id, self.access.now)
        if self.access.user_id is not None and not self.access.is_administrator:
            self._own = await own_at(self.access.user_id, self.installation_id, self.access.now)

    async def read(self, wanted: Wanted) -> None:
        """What is there already for this subject, place and role, and under this externalId, is known."""
        place, subject = wanted.place, wanted.subject
        held_by = Q(user_id=subject.user_id, group_id=subject.group_id, email=subject.email)
        if subject.email is not None:
            holder = await sql.row(
                "SELECT id FROM users WHERE email = $1 AND email_verified_at IS NOT NULL", subject.email
            )
            if holder is not None:
                held_by |= Q(user_id=sql.uuid_of(holder["id"]))
        await self._take(
            await Permission.filter(
                held_by,
                installation_id=place.installation_id,
                charger_id=place.charger_id,
                role=wanted.role,
                revoked_at=None,
            )
        )
        if isinstance(wanted.external_id, str):
            await self._take_named([wanted.external_id])

    async def read_all(self, external_ids: Sequence[str]) -> None:
        """Everything that is granted here, and what goes by these externalIds, is known."""
        await self._take(await Permission.filter(installation_id=self.installation_id, revoked_at=None))
        await self._take_named(external_ids)

    async def _take(self, rows: Sequence[Permission]) -> None:
        for row in rows:
            self._present[_key(row)] = row
        people = sorted({row.user_id for row in rows if row.user_id is not None})
        for start in range(0, len(people), _CHUNK):
            arguments: list[object] = []
            wanted = sql.any_of("id", people[start : start + _CHUNK], arguments)
            # Not by one that a program told: it may be somebody else's.
            proven = (
                f"SELECT id, email FROM users WHERE {wanted} AND email IS NOT NULL AND email_verified_at IS NOT NULL"  # noqa: S608
            )
            found = await sql.rows(proven, *arguments)
            addresses = {sql.uuid_of(row["id"]): row["email"] for row in found}
            for row in rows:
                # Whoever was invited by address, and has accepted, is found by it again.
                if row.user_id in addresses:
                    self._present[row.charger_id, row.role, Subject(email=addresses[row.user_id])] = row

    async def _take_named(self, external_ids: Sequence[str]) -> None:
        """An externalId names one grant of its giver: givers who use them wait for themselves, wherever they give."""
        if not external_ids:
            return
        giver = self.access.signed_in()
        table = "users" if giver.user_id is not None else "service_accounts"
        await sql.rows(f"SELECT id FROM {table} WHERE id = $1{sql.for_change()}", giver.id)  # noqa: S608
        for start in range(0, len(external_ids), _CHUNK):
            some = external_ids[start : start + _CHUNK]
            for row in await Permission.filter(granted_by_id=giver.id, external_id__in=some, revoked_at=None):
                known = self._present.get(_key(row))
                self._named[str(row.external_id)] = known if known is not None and known.id == row.id else row

    def present(self, place: Place, role: Role, subject: Subject) -> Permission | None:
        """The grant of that role to them there, of those that were read."""
        row = self._present.get((place.charger_id, role, subject))
        return None if row is None or row.revoked_at is not None else row

    def named(self, external_id: str) -> Permission | None:
        """The grant that whoever asks gave that externalId, of those that were read."""
        row = self._named.get(external_id)
        return None if row is None or row.revoked_at is not None else row

    def grant(self, wanted: Wanted, *, invites_again: bool = True) -> Change:
        """The subject holds the role there in that time, once the book is closed; read it first.

        Errors as `grant_permission`. `invites_again`: an address that is invited already is invited anew.
        """
        access, place, role = self.access, wanted.place, wanted.role
        self.require_may(place, role)
        self._require_not_own_service(role, wanted.subject)
        row = self.present(place, role, wanted.subject)
        change = Change(row or _new(access, wanted), None if row is None else state_of(row), "permission.grant")
        self._require_free(wanted.external_id, change.row)
        times = _times(change, wanted, access.now)
        self._require_within_own(place, role, *times)
        change.row.valid_from, change.row.valid_to = times
        self._name(change, wanted.external_id)
        self._invite(change, invites_again=invites_again)
        self._present[_key(change.row)] = change.row
        self._changes.append(change)
        return change

    def revoke(self, row: Permission, *, path: Path) -> Change:
        """The grant is over, once the book is closed; one that was over stays as it is. Errors as `revoke_permission`."""
        self.require_may(Place(row.installation_id, row.charger_id), row.role, path=path)
        change = Change(row, state_of(row), "permission.revoke")
        if row.revoked_at is None:
            row.revoked_at, row.revoked_by_id = self.access.now, self.access.signed_in().id
            self._changes.append(change)
        return change

    def require_may(self, place: Place, role: Role, *, path: Path = ("role",)) -> None:
        """Returns when whoever asks may give and take that role there; NotAllowedError otherwise."""
        access = self.access
        if role in _GIVEN_BY_ADMINISTRATOR and access.is_administrator:
            return
        whole = access.roles_at(place.installation_id)
        if Role.OWNER in whole and role in _GIVEN_BY_OWNER:
            return
        if Scope.MANAGE_PERMISSIONS in whole and (role is Role.USER or (role is Role.OWNER and place.charger_id)):
            return  # a token that leaks must not make anyone an owner of the site
        if place.charger_id is not None:
            here = access.roles_at_charger(place.charger_id, place.installation_id)
            if Role.OWNER in here and role in _GIVEN_BY_CHARGER_OWNER:
                return
        elif Role.SERVICE in whole and role is Role.OWNER and not self._before.now:
            return  # who made a site names its owner, and from then on owners decide
        raise NotAllowedError(f"The role {role.value} there is not yours to give or take.", path=path)

    def require_may_add(self, user_id: UUID, held: Iterable[Permission], *, path: Path) -> None:
        """Returns when whoever asks could give that person each of the grants that their new group holds; errors as `grant`."""
        for row in held:
            place = Place(row.installation_id, row.charger_id)
            self.require_may(place, row.role, path=path)
            self._require_not_own_service(row.role, Subject(user_id), path=path)
            self._require_within_own(place, row.role, row.valid_from, row.valid_to, path=path)

    def tell(self, user_id: UUID) -> None:
        """What that person may do has changed with this book."""
        self._told.add(user_id)
        self._is_changed = True

    def _require_not_own_service(self, role: Role, subject: Subject, *, path: Path = ("role",)) -> None:
        """Who pays for the current does not set the breakers: no owner gives SERVICE to themselves, directly, by group or by mail."""
        if role is not Role.SERVICE or self.access.is_administrator:
            return
        is_own_mail = subject.email is not None and subject.email == self._own.email
        is_me = subject.user_id is not None and subject.user_id == self.access.user_id
        if is_me or is_own_mail or subject.group_id in self._own.groups:
            raise NotAllowedError("Nobody gives SERVICE to themselves; ask another owner.", path=path)

    def _require_within_own(
        self, place: Place, role: Role, valid_from: datetime, valid_to: datetime | None, *, path: Path | None = None
    ) -> None:
        """Nobody gives for longer than they hold, nor, at a charger, the sight of sessions from before their own time."""
        own = [one for one in self._own.owned if one.charger_id in (None, place.charger_id)]
        if not own:
            return
        last = self._own.end(place.charger_id)
        if last is not None and (valid_to is None or valid_to > last):
            message = f"Your own right there ends at {last.isoformat()}: give one that ends no later."
            raise invalid(path or "validTo", message)
        if role is Role.OWNER and place.charger_id is not None and all(one.charger_id is not None for one in own):
            first = min(one.valid_from for one in own)
            if valid_from < first:
                message = f"Your own right there began at {first.isoformat()}: give one that begins no earlier."
                raise invalid(path or "validFrom", message)

    def _require_free(self, external_id: str | Unset | None, row: Permission) -> None:
        other = self.named(external_id) if isinstance(external_id, str) else None
        if other is not None and other.id != row.id:
            message = "Another permission that you gave has this externalId."
            raise ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("externalId",))

    def _name(self, change: Change, external_id: str | Unset | None) -> None:
        """The row goes by that externalId. It names a grant of its giver: who gives one to another's grant has given it anew."""
        row, giver = change.row, self.access.signed_in()
        if isinstance(external_id, str):
            if row.granted_by_id != giver.id:
                row.granted_by_id, row.granted_at = giver.id, self.access.now
            row.external_id = external_id
            self._named[external_id] = row
        elif external_id is None and row.granted_by_id == giver.id:
            row.external_id = None

    def _invite(self, change: Change, *, invites_again: bool) -> None:
        row, now = change.row, self.access.now
        if row.email is None:
            return
        is_over = row.invitation_expires_at is None or row.invitation_expires_at <= now
        if invites_again or is_over:
            row.invitation_expires_at, change.is_invited = now + INVITATION_LIFETIME, True

    def forget(self) -> None:
        """None of the changes is to be."""
        self._changes.clear()

    async def close(self) -> None:
        """The changes are in the tables and in the audit log. ConflictError (LAST_OWNER) when they leave the site without an owner."""
        changes = [change for change in self._changes if change.differs]
        self._is_changed = self._is_changed or bool(changes)
        new = [change.row for change in changes if change.before is None]
        await Permission.bulk_create(new, batch_size=_CHUNK)
        for change in changes:
            if change.before is not None:
                await change.row.save(update_fields=_WRITTEN)
        await audit.record_all(
            self.access,
            [
                audit.Entry(
                    action=change.action,
                    object_type="Permission",
                    object_id=change.row.id,
                    installation_id=change.row.installation_id,
                    before=change.before,
                    after=state_of(change.row),
                )
                for change in changes
            ],
        )
        for change in changes:
            if change.is_invited:
                await outbox.put(INVITATION, change.row.id.hex, now=self.access.now)
        await self._require_owner_left()
        self._told |= {change.row.user_id for change in changes if change.row.user_id is not None}
        self._told |= await _members({change.row.group_id for change in changes if change.row.group_id is not None})

    async def _require_owner_left(self) -> None:
        """Returns when neither the last owner is gone nor the last one without an end; an administrator may."""
        if self.access.is_administrator or not self._is_changed:
            return
        if is_last_gone(self._before, await owners_of(self.installation_id, self.access.now)):
            message = "This is the installation's last owner: make another person OWNER first."
            raise ConflictError(message, code=ErrorCode.LAST_OWNER, path=self.last_owner_path)

    async def publish(self, bus: EventBus) -> None:
        """Everyone concerned hears of it; for after the commit. An invitation concerns nobody until it is accepted."""
        if self._told:
            place = self.installation_id
            told = (PermissionChanged(user_id=one, installation_id=place) for one in sorted(self._told))
            await bus.publish(*told, LocalListOutdated(installation_id=place))


_GIVEN_BY_ADMINISTRATOR = frozenset({Role.USER, Role.OWNER, Role.SERVICE})
_GIVEN_BY_OWNER = _GIVEN_BY_ADMINISTRATOR
_GIVEN_BY_CHARGER_OWNER = frozenset({Role.USER, Role.OWNER})
_WRITTEN = (
    "valid_from",
    "valid_to",
    "granted_by_id",
    "granted_at",
    "revoked_by_id",
    "revoked_at",
    "invitation_expires_at",
    "external_id",
)


class _TrialError(Exception):
    """Undoes a trial."""


@asynccontextmanager
async def permission_book(access: Access, installation_id: UUID, *, bus: EventBus) -> AsyncIterator[PermissionBook]:
    """The book of that installation, open in a transaction of its own: closed, committed and told about at the end, or nothing of it."""
    book = PermissionBook(access, installation_id)
    try:
        async with in_transaction():
            await book.open()
            yield book
            await book.close()
            if book.is_trial:
                raise _TrialError
    except _TrialError:
        return
    await book.publish(bus)


def state_of(row: Permission) -> audit.State:
    """The grant in words of the audit log."""
    return {
        "userId": row.user_id,
        "groupId": row.group_id,
        "email": row.email,
        "chargerId": row.charger_id,
        "role": row.role,
        "validFrom": row.valid_from,
        "validTo": row.valid_to,
        "externalId": row.external_id,
        "revokedAt": row.revoked_at,
    }


def _key(row: Permission) -> _Key:
    return (row.charger_id, row.role, Subject(row.user_id, row.email, row.group_id))


def _new(access: Access, wanted: Wanted) -> Permission:
    return Permission(
        id=new_id(),
        user_id=wanted.subject.user_id,
        group_id=wanted.subject.group_id,
        email=wanted.subject.email,
        installation_id=wanted.place.installation_id,
        charger_id=wanted.place.charger_id,
        role=wanted.role,
        valid_from=access.now,
        granted_by_id=access.signed_in().id,
        granted_at=access.now,
    )


def _times(change: Change, wanted: Wanted, now: datetime) -> tuple[datetime, datetime | None]:
    """(from, to). Without a beginning of its own a grant begins now, or goes on from when it began."""
    row = change.row
    is_over = row.valid_to is not None and row.valid_to <= now
    began = now if change.before is None or is_over else min(row.valid_from, now)
    return wanted.valid_from or began, wanted.valid_to


async def owners_of(installation_id: UUID, now: datetime) -> Owners:
    """How many people own the installation at that instant, by themselves or through groups."""
    found = await sql.row(
        "SELECT COUNT(DISTINCT u.id) AS now, COUNT(DISTINCT CASE WHEN p.valid_to IS NULL THEN u.id END) AS lasting"
        " FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id"
        " JOIN users u ON u.id = COALESCE(p.user_id, m.user_id)"
        " WHERE p.installation_id = $1 AND p.charger_id IS NULL AND p.role = $2 AND p.revoked_at IS NULL"
        " AND p.valid_from <= $3 AND (p.valid_to IS NULL OR p.valid_to > $3) AND u.is_active AND u.erased_at IS NULL",
        installation_id,
        Role.OWNER,
        now,
    )
    return Owners(found["now"], found["lasting"]) if found else Owners(0, 0)


def is_last_gone(before: Owners, after: Owners) -> bool:
    """Whether the last owner of a site is gone, or the last one without an end."""
    return (before.now > 0 and after.now == 0) or (before.lasting > 0 and after.lasting == 0)


async def own_at(user_id: UUID, installation_id: UUID, now: datetime) -> Own:
    """What that person is and holds there at `now`."""
    me = await sql.row("SELECT email FROM users WHERE id = $1", user_id)
    found = await sql.rows("SELECT group_id FROM group_members WHERE user_id = $1", user_id)
    groups = frozenset(sql.uuid_of(row["group_id"]) for row in found)
    owned = await Permission.filter(
        Q(user_id=user_id) | Q(group_id__in=list(groups)),
        Q(valid_to__isnull=True) | Q(valid_to__gt=now),
        installation_id=installation_id,
        role=Role.OWNER,
        revoked_at=None,
        valid_from__lte=now,
    )
    return Own(None if me is None else me["email"], groups, tuple(owned))


async def _members(group_ids: Iterable[UUID]) -> set[UUID]:
    arguments: list[object] = []
    wanted = sql.any_of("group_id", sorted(group_ids), arguments)
    found = await sql.rows(f"SELECT user_id FROM group_members WHERE {wanted}", *arguments)  # noqa: S608
    return {sql.uuid_of(row["user_id"]) for row in found}
