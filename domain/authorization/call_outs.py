"""Questions to external systems by HTTP: what they say, and how an answer is read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from domain import sql
from domain.authorization.decision import EXTERNAL_ID_LENGTH, LONGEST_CACHE, REASON_LENGTH
from domain.authorization.external_system import ExternalSystem
from domain.errors import UnavailableError
from domain.global_ids import global_id
from domain.ports import CallOuts
from domain.roles import AuthorizationDecision, CredentialType

AUTHORIZATION_REQUESTED = "authorization.requested"


@dataclass(frozen=True, slots=True)
class Question:
    """What an external system is told of an attempt to charge; `credential` is whole, as the charger read it."""

    request_id: UUID
    installation_id: UUID
    charger_id: UUID
    charger_name: str
    credential_type: CredentialType
    credential: str
    external_user_id: str | None
    requested_at: datetime
    expires_at: datetime


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it says."""

    decision: AuthorizationDecision
    reason: str | None = None
    external_user_id: str | None = msgspec.field(name="user", default=None)
    external_session_id: str | None = msgspec.field(name="externalSessionId", default=None)
    cache_for_s: int = msgspec.field(name="cacheFor", default=0)


_decoder = msgspec.json.Decoder(Answer)


async def question_of(request_id: UUID) -> Question:
    """The question as it is put. UnavailableError when there is no such request."""
    row = await sql.row(_QUESTION, request_id)
    if row is None:
        raise UnavailableError("There is no such question.")
    return Question(
        request_id=request_id,
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_id=sql.uuid_of(row["charger_id"]),
        charger_name=row["charger_name"],
        credential_type=CredentialType(row["credential_type"]),
        credential=row["token"],
        external_user_id=row["external_id"],
        requested_at=sql.instant_of(row["requested_at"]),
        expires_at=sql.instant_of(row["expires_at"]),
    )


_QUESTION = """
SELECT r.installation_id, r.charger_id, c.name AS charger_name, r.credential_type, r.token, r.requested_at, r.expires_at,
  (SELECT x.external_id FROM external_users x JOIN service_account_installations p ON p.account_id = x.account_id
   WHERE x.user_id = r.user_id AND p.installation_id = r.installation_id ORDER BY x.id LIMIT 1) AS external_id
FROM authorization_requests r JOIN chargers c ON c.id = r.charger_id WHERE r.id = $1
"""


async def ask(system: ExternalSystem, question: Question, *, call_outs: CallOuts, now: datetime) -> Answer:
    """What the system says. UnavailableError when there is no answer that can be used."""
    if system.url is None:
        raise UnavailableError("No address is set for the site's system.")
    left_s = min(system.timeout_s, max(0.0, (question.expires_at - now).total_seconds()))
    content = encoded(AUTHORIZATION_REQUESTED, _data(question), now=now)
    body = await call_outs.post(
        system.url, event_id=str(question.request_id), content=content, secrets=system.secrets, timeout_s=left_s
    )
    return read(body)


def encoded(kind: str, data: dict[str, Any], *, now: datetime) -> bytes:
    """The body of an event (Standard Webhooks: type, timestamp, data)."""
    event = {"type": kind, "timestamp": instant(now), "data": data}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def instant(at: datetime) -> str:
    """An instant as events tell it: UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(body: bytes) -> Answer:
    """The answer in a body. UnavailableError says what is wrong with it, without its content."""
    try:
        found = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnavailableError(
            "The answer is not the JSON that was asked for: decision is missing or wrong."
        ) from error
    most_s = int(LONGEST_CACHE.total_seconds())
    if not 0 <= found.cache_for_s <= most_s:
        raise UnavailableError(f"cacheFor is from 0 to {most_s} seconds.")
    ids = (found.external_user_id or "", found.external_session_id or "")
    if max(map(len, ids)) > EXTERNAL_ID_LENGTH or any(not text.isprintable() for text in ids):
        raise UnavailableError(f"user and externalSessionId have at most {EXTERNAL_ID_LENGTH} printable characters.")
    reason = "".join(sign for sign in found.reason or "" if sign.isprintable())[:REASON_LENGTH]
    return msgspec.structs.replace(found, reason=reason or None)


def _data(question: Question) -> dict[str, Any]:
    return {
        "requestId": global_id("AuthorizationRequest", question.request_id),
        "installationId": global_id("Installation", question.installation_id),
        "chargerId": global_id("Charger", question.charger_id),
        "chargerName": question.charger_name,
        "credentialType": question.credential_type.value,
        "credential": question.credential,
        "externalUserId": question.external_user_id,
        "requestedAt": instant(question.requested_at),
        "expiresAt": instant(question.expires_at),
    }
