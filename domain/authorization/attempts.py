"""Attempts to charge and questions about them, as the machine doors write them: a few statements for many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from domain import sql
from domain.charging.live import padded
from domain.roles import AuthorizationDecision, CredentialType, Decider


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """A row of authorization_attempts. `decision` None: `request_id` is still waiting for its answer."""

    id: UUID
    installation_id: UUID
    charger_id: UUID
    station_id: UUID | None
    credential_type: CredentialType
    token: str | None
    user_id: UUID | None
    card_id: UUID | None
    at: datetime
    decision: AuthorizationDecision | None
    decided_by: Decider | None
    reason: str | None
    request_id: UUID | None
    session_id: UUID | None
    external_session_id: str | None


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """A new row of authorization_requests."""

    id: UUID
    installation_id: UUID
    charger_id: UUID
    station_id: UUID | None
    credential_type: CredentialType
    token: str
    user_id: UUID | None
    card_id: UUID | None
    requested_at: datetime
    expires_at: datetime
    is_shadow: bool
    native_decision: AuthorizationDecision
    called_at: datetime
    """Who writes the question calls the system about it, so that this costs no commit of its own."""


def _insert(table: str, record: type) -> str:
    names = [one.name for one in fields(record)]
    marks = ", ".join(f"${index}" for index in range(1, len(names) + 1))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  names of ours only


_INSERT_ATTEMPT = _insert("authorization_attempts", AttemptRecord)
_ATTEMPT = attrgetter(*(one.name for one in fields(AttemptRecord)))
_INSERT_REQUEST = _insert("authorization_requests", RequestRecord)
_REQUEST = attrgetter(*(one.name for one in fields(RequestRecord)))
_COLUMNS = ", ".join(one.name for one in fields(AttemptRecord))


async def recent(station_ids: Sequence[UUID], tokens: Sequence[str], *, since: datetime) -> list[AttemptRecord]:
    """Attempts at these stations with these tokens since then, newest first."""
    if not station_ids or not tokens:
        return []
    arguments: list[object] = [since]
    stations = sql.any_of("station_id", padded(station_ids), arguments)
    wanted = sql.any_of("token", tokens, arguments)
    found = await sql.rows(
        f"SELECT {_COLUMNS} FROM authorization_attempts WHERE at >= $1 AND {stations} AND {wanted}"  # noqa: S608
        " ORDER BY at DESC, id DESC",
        *arguments,
    )
    return [_record(row) for row in found]


def _record(row: sql.Row) -> AttemptRecord:
    return AttemptRecord(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_id=sql.uuid_of(row["charger_id"]),
        station_id=sql.optional_uuid_of(row["station_id"]),
        credential_type=CredentialType(row["credential_type"]),
        token=row["token"],
        user_id=sql.optional_uuid_of(row["user_id"]),
        card_id=sql.optional_uuid_of(row["card_id"]),
        at=sql.instant_of(row["at"]),
        decision=AuthorizationDecision(row["decision"]) if row["decision"] else None,
        decided_by=Decider(row["decided_by"]) if row["decided_by"] else None,
        reason=row["reason"],
        request_id=sql.optional_uuid_of(row["request_id"]),
        session_id=sql.optional_uuid_of(row["session_id"]),
        external_session_id=row["external_session_id"],
    )


async def insert(attempts: Iterable[AttemptRecord], requests: Iterable[RequestRecord]) -> None:
    """These are stored."""
    await sql.execute_many(_INSERT_REQUEST, [_REQUEST(one) for one in requests])
    await sql.execute_many(_INSERT_ATTEMPT, [_ATTEMPT(one) for one in attempts])


async def link(attempts: Iterable[AttemptRecord]) -> None:
    """Attempts that were stored before led to these sessions."""
    await sql.execute_many(
        "UPDATE authorization_attempts SET session_id = $2 WHERE id = $1",
        [(one.id, one.session_id) for one in attempts],
    )
