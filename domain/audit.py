"""The audit log: who changed what, written in the transaction of the change, so that neither exists without the other."""

import json
from collections.abc import Mapping
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
    actor = access.signed_in()
    table = "users" if actor.user_id is not None else "service_accounts"
    named = await sql.row(f"SELECT name FROM {table} WHERE id = $1", actor.id)  # noqa: S608  one of two names
    kept_before, kept_after = _differing(before, after)
    await AuditEntry.create(
        id=new_id(),
        installation_id=installation_id,
        at=access.now,
        actor_id=actor.id,
        actor=named["name"] if named else str(actor.id),
        action=action,
        object_type=object_type,
        object_id=object_id,
        state_before=kept_before,
        state_after=kept_after,
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
