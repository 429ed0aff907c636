"""Invitations: a grant to an e-mail address is its reader's once they show the code of the letter."""

from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, letters, sql
from domain.access import Access, access_of
from domain.errors import ErrorCode, NotAllowedError, ValidationError, invalid
from domain.events import Event, LocalListOutdated, PermissionChanged
from domain.models import Permission
from domain.outbox import Claimed
from domain.ports import EventBus, Mail, Tokens
from domain.roles import Role

INVITATION = "invitation"
"""The outbox's kind: what it holds is the permission's id, and the code is made when the letter is written."""


async def write(invited: Claimed, *, tokens: Tokens, public_url: str, now: datetime) -> Mail | None:
    """The letter with a new code, which is the only one that is good from now on; None when there is nothing to accept any more."""
    permission_id = UUID(hex=invited.payload)
    row = await sql.row(_INVITED, permission_id, now)
    if row is None:
        return None
    secret = tokens.opaque()
    await Permission.filter(id=permission_id).update(invitation_digest=secret.digest)
    place = row["name"] if row["charger_name"] is None else f"{row['name']}, {row['charger_name']}"
    until = sql.instant_of(row["invitation_expires_at"])
    subject, text = letters.invitation(row["inviter"], row["role"], place, secret.token, public_url, until)
    return Mail(
        to=row["email"], subject=subject, text=text, message_id=f"<{permission_id.hex}.{secret.digest[:12]}@lade>"
    )


_INVITED = """
SELECT p.email, p.role, p.invitation_expires_at, i.name, c.name AS charger_name,
  COALESCE(u.name, a.name, 'An owner') AS inviter
FROM permissions p JOIN installations i ON i.id = p.installation_id LEFT JOIN chargers c ON c.id = p.charger_id
LEFT JOIN users u ON u.id = p.granted_by_id LEFT JOIN service_accounts a ON a.id = p.granted_by_id
WHERE p.id = $1 AND p.email IS NOT NULL AND p.revoked_at IS NULL AND p.invitation_expires_at > $2
"""


async def invited_address(token: str, *, tokens: Tokens, now: datetime) -> str | None:
    """Where the invitation with this code went; None when it is none, or is over."""
    row = await _open(token, tokens, now)
    return None if row is None else row.email


async def accept(access: Access, token: str, *, tokens: Tokens, bus: EventBus) -> UUID:
    """The permission is the person's who asks. ValidationError (TOKEN_EXPIRED) for a code that is wrong, used or over."""
    user_id = access.person()
    async with in_transaction():
        found = await _open(token, tokens, access.now)
        if found is None:
            raise _not_valid()
        kept = await _accepted(access, user_id, found)
    await bus.publish(*_told(user_id, found.installation_id))
    return kept.id


async def accept_new(user_id: UUID, token: str, *, tokens: Tokens, now: datetime) -> tuple[Event, ...]:
    """As `accept`, for an account of the invited address; call inside the transaction that makes it, publish the events after it."""
    found = await _open(token, tokens, now)
    if found is None:
        raise _not_valid("invitationToken")
    await _accepted(await access_of(user_id, now=now), user_id, found, path="invitationToken")
    return _told(user_id, found.installation_id)


def _told(user_id: UUID, installation_id: UUID) -> tuple[Event, ...]:
    return (
        PermissionChanged(user_id=user_id, installation_id=installation_id),
        LocalListOutdated(installation_id=installation_id),
    )


async def _accepted(access: Access, user_id: UUID, found: Permission, *, path: str = "token") -> Permission:
    # Grants at one site happen one after the other.
    await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_change()}", found.installation_id)  # noqa: S608
    row = await Permission.get(id=found.id)
    if row.email is None or row.revoked_at is not None:
        raise _not_valid(path)
    if row.role is Role.SERVICE and row.granted_by_id == user_id:
        raise NotAllowedError("Nobody gives SERVICE to themselves; ask another owner.", path=(path,))
    before = {"email": row.email, "userId": None}
    held = await Permission.get_or_none(
        user_id=user_id,
        installation_id=row.installation_id,
        charger_id=row.charger_id,
        role=row.role,
        revoked_at=None,
    )
    if held is None:
        row.user_id, row.email, row.invitation_digest = user_id, None, None
        await row.save(update_fields=["user_id", "email", "invitation_digest"])
    else:
        await _merged(held, row, access.now, user_id)
    await audit.record(
        access,
        "permission.accept",
        "Permission",
        row.id,
        installation_id=row.installation_id,
        before=before,
        after={"email": None, "userId": user_id},
    )
    return held or row


async def _merged(held: Permission, invited: Permission, now: datetime, user_id: UUID) -> None:
    """They hold the same already: it lasts from the earlier beginning to the later end where the two times touch.

    Else there is a time between in which neither holds: one that is over gives way to the invited one, one that is to come stays.
    """
    is_touching = (held.valid_to is None or held.valid_to >= invited.valid_from) and (
        invited.valid_to is None or invited.valid_to >= held.valid_from
    )
    if is_touching:
        held.valid_from = min(held.valid_from, invited.valid_from)
        if held.valid_to is not None:
            held.valid_to = None if invited.valid_to is None else max(held.valid_to, invited.valid_to)
    elif held.valid_to is not None and held.valid_to <= now:
        held.valid_from, held.valid_to = invited.valid_from, invited.valid_to
    await held.save(update_fields=["valid_from", "valid_to"])
    invited.revoked_at, invited.revoked_by_id, invited.invitation_digest = now, user_id, None
    await invited.save(update_fields=["revoked_at", "revoked_by_id", "invitation_digest"])


async def _open(token: str, tokens: Tokens, now: datetime) -> Permission | None:
    return await Permission.get_or_none(
        invitation_digest=tokens.digest(token.strip()),
        revoked_at=None,
        invitation_expires_at__gt=now,
        email__isnull=False,
    )


def _not_valid(path: str = "token") -> ValidationError:
    message = "This invitation is not valid, was used, or its time is over; ask for a new one."
    return invalid(path, message, ErrorCode.TOKEN_EXPIRED)
