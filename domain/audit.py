"""The audit log: who changed what, written in the transaction of the change, so that neither exists without the other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.ids import new_id
from domain.models import AuditEntry
from domain.units import PhaseAmps

State = Mapping[str, object]
"""Fields of a row in our words. Passwords, tokens and hashes are never among them."""

OPERATOR = "operator"
"""The actor of what is done at the machine itself."""
PORTAL = "portal"
"""The actor of what follows by itself from what somebody asked for before."""


_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change."""

    action: str
    object_type: str
    object_id: UUID
    installation_id: UUID | None = None
    before: State | None = None
    after: State | None = None


async def record(
    access: Access,
    action: str,
    object_type: str,
    object_id: UUID,
    *,
    installation_id: UUID | None = None,
    before: State | None = None,
    after: State | None = None,
) -> None:
    """The change is in the log under the actor's present name, with those fields only in which before and after differ."""
    entry = Entry(
        action=action,
        object_type=object_type,
        object_id=object_id,
        installation_id=installation_id,
        before=before,
        after=after,
    )
    await record_all(access, [entry])


async def record_all(access: Access, entries: Sequence[Entry]) -> None:
    """As `record`, for many changes at once."""
    if not entries:
        return
    actor = access.signed_in()
    table = "users" if actor.user_id is not None else "service_accounts"
    named = await sql.row(f"SELECT name FROM {table} WHERE id = $1", actor.id)  # noqa: S608  one of two names
    name = named["name"] if named else str(actor.id)
    await AuditEntry.bulk_create((_row(access, name, entry) for entry in entries), batch_size=_BATCH)


def _row(access: Access, name: str, entry: Entry) -> AuditEntry:
    before, after = _differing(entry.before, entry.after)
    return AuditEntry(
        id=new_id(),
        installation_id=entry.installation_id,
        at=access.now,
        actor_id=access.signed_in().id,
        actor=name,
        action=entry.action,
        object_type=entry.object_type,
        object_id=entry.object_id,
        state_before=before,
        state_after=after,
    )


async def record_self(user_id: UUID, action: str, *, now: datetime, after: State | None = None) -> None:
    """As `record`, for what a person did about their own account before they were signed in."""
    named = await sql.row("SELECT name FROM users WHERE id = $1", user_id)
    await AuditEntry.create(
        id=new_id(),
        at=now,
        actor_id=user_id,
        actor=named["name"] if named else str(user_id),
        action=action,
        object_type="User",
        object_id=user_id,
        state_after=None if after is None else _json(after),
    )


async def record_portal(
    action: str, object_type: str, object_id: UUID, *, installation_id: UUID, now: datetime, after: State
) -> None:
    """As `record`, for what the portal did by itself because somebody had asked for it."""
    await AuditEntry.create(
        id=new_id(),
        installation_id=installation_id,
        at=now,
        actor=PORTAL,
        action=action,
        object_type=object_type,
        object_id=object_id,
        state_after=_json(after),
    )


async def record_operator(
    action: str, object_type: str, object_id: UUID, *, now: datetime, after: State | None = None
) -> None:
    """As `record`, for what an operator did with a command at the machine."""
    await AuditEntry.create(
        id=new_id(),
        at=now,
        actor=OPERATOR,
        action=action,
        object_type=object_type,
        object_id=object_id,
        state_after=None if after is None else _json(after),
    )


def _differing(before: State | None, after: State | None) -> tuple[str | None, str | None]:
    if before is None or after is None:
        return (None if before is None else _json(before), None if after is None else _json(after))
    changed = [key for key in after if before.get(key) != after[key]]
    return _json({key: before.get(key) for key in changed}), _json({key: after[key] for key in changed})


def _json(state: State) -> str:
    return json.dumps(state, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> object:
    match value:
        case PhaseAmps():
            return value.as_tuple()
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
    raise TypeError(f"{type(value).__name__} has no form in the audit log")
