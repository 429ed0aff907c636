"""Questions to external systems: the first answer holds, none in time is the fail policy, and what follows from it is done once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import session_events, sql
from domain.authorization.credentials import credentials_for
from domain.authorization.decision import LONGEST_CACHE, REASON_LENGTH, SAID
from domain.charging import live
from domain.events import AuthorizationDecided, Event, LocalListOutdated, SessionChanged
from domain.models import AuthorizationRequest, User
from domain.roles import (
    AuthorizationDecision,
    Decider,
    FailPolicy,
    Role,
    SessionFlag,
    SessionState,
    StopReason,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a system says. `cache_for_s`: how long the same credential need not be asked about at that site."""

    decision: AuthorizationDecision
    decided_by: Decider
    reason: str | None = None
    answered_by_id: UUID | None = None
    """The service account, if one answered."""
    external_user_id: str | None = None
    external_session_id: str | None = None
    cache_for_s: int = 0


@dataclass(frozen=True, slots=True)
class Denied:
    """A charge that goes on although it was denied: the charger is to stop it."""

    charger_id: UUID
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A question with its decision. `events` are published after the commit."""

    decision: AuthorizationDecision
    reason: str
    decided_by: Decider
    events: tuple[Event, ...] = ()


async def answer(request_id: UUID, given: Answer, *, now: datetime) -> Settled | None:
    """The answer holds from now on; None when there was one already, or the time for it is over."""
    async with in_transaction():
        request = await _undecided(request_id)
        if request is None or request.expires_at <= now:
            return None
        return await _decide(request, given, now)


async def settle(request_id: UUID, *, now: datetime) -> Settled:
    """The decision there is; where nobody has answered, that of the site's fail policy from now on."""
    async with in_transaction():
        request = await _undecided(request_id)
        if request is not None:
            return await _decide(request, await _by_policy(request, now), now)
    known = await AuthorizationRequest.get(id=request_id)
    decision = known.decision or AuthorizationDecision.INVALID
    return Settled(decision, known.reason or "", known.decided_by or Decider.FAIL_POLICY)


async def decision_of(request_id: UUID) -> Settled | None:
    """The decision of a question, if it has one."""
    row = await sql.row(
        "SELECT decision, reason, decided_by FROM authorization_requests WHERE id = $1 AND decision IS NOT NULL",
        request_id,
    )
    if row is None:
        return None
    return Settled(AuthorizationDecision(row["decision"]), row["reason"] or "", Decider(row["decided_by"]))


async def claim_call(request_id: UUID, *, now: datetime) -> bool:
    """Whether it is the caller who calls the system about that question: one does, of all processes."""
    claimed = await sql.execute(
        "UPDATE authorization_requests SET called_at = $2 WHERE id = $1 AND called_at IS NULL AND decision IS NULL",
        request_id,
        now,
    )
    return claimed == 1


async def overdue(*, now: datetime, limit: int = 100) -> list[UUID]:
    """Questions whose time is over and that nobody has settled, because whoever asked is gone."""
    rows = await sql.rows(
        "SELECT id FROM authorization_requests WHERE decided_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2",
        now,
        limit,
    )
    return [sql.uuid_of(row["id"]) for row in rows]


async def denied_charges(*, request_id: UUID | None = None, limit: int = 100) -> list[Denied]:
    """Charges that go on although they were denied: by that question's answer, or all of them."""
    arguments: list[object] = [SessionState.ACTIVE, StopReason.DEAUTHORIZED, limit]
    by_request = ""
    if request_id is not None:
        arguments.append(request_id)
        by_request = " AND s.id IN (SELECT a.session_id FROM authorization_attempts a WHERE a.request_id = $4)"
    rows = await sql.rows(
        "SELECT s.charger_id, s.transaction_id FROM charge_sessions s JOIN charger_statuses t ON t.charger_id = s.charger_id"  # noqa: S608
        " WHERE s.state = $1 AND s.stop_reason = $2 AND s.transaction_id IS NOT NULL AND s.inferred_end_due_at IS NULL"
        f" AND t.is_online{by_request} ORDER BY s.id LIMIT $3",
        *arguments,
    )
    return [Denied(sql.uuid_of(row["charger_id"]), row["transaction_id"]) for row in rows]


async def _undecided(request_id: UUID) -> AuthorizationRequest | None:
    """The question, held by this transaction, with its charger: whoever writes about a charge holds that first."""
    charger = await sql.row("SELECT charger_id FROM authorization_requests WHERE id = $1", request_id)
    if charger is None:
        return None
    await live.of_chargers([sql.uuid_of(charger["charger_id"])])
    query = AuthorizationRequest.filter(id=request_id, decision=None)
    return await (query if sql.is_sqlite() else query.select_for_update()).first()


async def _by_policy(request: AuthorizationRequest, now: datetime) -> Answer:
    row = await sql.row(
        "SELECT fail_policy FROM external_authentications WHERE installation_id = $1", request.installation_id
    )
    policy = FailPolicy(row["fail_policy"]) if row else FailPolicy.DENY
    is_known = policy is FailPolicy.ALLOW_KNOWN and await _is_known(request, now)
    if policy is FailPolicy.ALLOW_ALL or is_known:
        reason = "The site's own system did not answer; it is permitted meanwhile."
        return Answer(decision=AuthorizationDecision.ACCEPTED, decided_by=Decider.FAIL_POLICY, reason=reason)
    reason = "The site's own system did not answer; try again in a moment."
    return Answer(decision=AuthorizationDecision.INVALID, decided_by=Decider.FAIL_POLICY, reason=reason)


async def _is_known(request: AuthorizationRequest, now: datetime) -> bool:
    """Whether the credential was pushed as permitted, or accepted by an answer whose time is not over."""
    credentials = await credentials_for([request.token], now=now)
    cached = any(
        one.installation_id == request.installation_id
        and not one.is_shadow
        and one.decision is AuthorizationDecision.ACCEPTED
        and one.cache_until is not None
        and now < one.cache_until
        for one in credentials.standing.get(request.token, ())
    )
    is_permitted = request.native_decision is AuthorizationDecision.ACCEPTED and request.user_id is not None
    return cached or (is_permitted and await _is_pushed(request, now))


_PUSHED = """
SELECT 1 AS found FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id
WHERE COALESCE(p.user_id, m.user_id) = $1 AND p.installation_id = $2 AND (p.charger_id IS NULL OR p.charger_id = $3)
  AND p.role IN ($4, $5) AND p.revoked_at IS NULL AND p.valid_from <= $6 AND (p.valid_to IS NULL OR p.valid_to > $6)
  AND p.granted_by_id IN (SELECT id FROM service_accounts)
"""


async def _is_pushed(request: AuthorizationRequest, now: datetime) -> bool:
    """Whether what lets that person charge there comes from a program: what people permitted is not the system's word."""
    place = (request.user_id, request.installation_id, request.charger_id)
    return await sql.row(_PUSHED, *place, Role.USER, Role.OWNER, now) is not None


async def _decide(request: AuthorizationRequest, given: Answer, now: datetime) -> Settled:
    person = await _person(request, given)
    reason = (given.reason or "")[:REASON_LENGTH] or None
    request.decision, request.decided_by, request.decided_at, request.reason = (
        given.decision,
        given.decided_by,
        now,
        reason,
    )
    request.answered_by_id = given.answered_by_id
    request.external_user_id, request.external_session_id = given.external_user_id, given.external_session_id
    if given.cache_for_s > 0:
        request.cache_until = now + min(timedelta(seconds=given.cache_for_s), LONGEST_CACHE)
    if person is not None:
        request.user_id = person.id
    await request.save()
    if request.is_shadow:
        event = AuthorizationDecided(request.installation_id, request.id)
        return Settled(given.decision, reason or "", given.decided_by, (event,))
    await sql.execute(
        "UPDATE authorization_attempts SET decision = $2, decided_by = $3, reason = $4, external_session_id = $5,"
        " user_id = COALESCE(user_id, $6) WHERE request_id = $1 AND decision IS NULL",
        request.id,
        given.decision,
        given.decided_by,
        reason or SAID[given.decision],
        given.external_session_id,
        person.id if person is not None else None,
    )
    told = await _tell_sessions(request, given, person, now)
    await session_events.record(told, now=now)
    events: tuple[Event, ...] = (AuthorizationDecided(request.installation_id, request.id), *told)
    if request.cache_until is not None:
        events = (*events, LocalListOutdated(installation_id=request.installation_id))
    return Settled(given.decision, reason or "", given.decided_by, events)


async def _person(request: AuthorizationRequest, given: Answer) -> User | None:
    """Who the answer says that it is: a person whom that system knows."""
    if given.external_user_id is None:
        return None
    if given.answered_by_id is not None:
        account = "x.account_id = $2"
        arguments: tuple[object, ...] = (given.external_user_id, given.answered_by_id)
    else:
        account = (
            "x.account_id IN (SELECT p.account_id FROM service_account_installations p WHERE p.installation_id = $2)"
        )
        arguments = (given.external_user_id, request.installation_id)
    row = await sql.row(
        f"SELECT x.user_id FROM external_users x WHERE x.external_id = $1 AND {account} ORDER BY x.id",  # noqa: S608
        *arguments,
    )
    return None if row is None else await User.get_or_none(id=sql.uuid_of(row["user_id"]), erased_at=None)


async def _tell_sessions(
    request: AuthorizationRequest, given: Answer, person: User | None, now: datetime
) -> tuple[Event, ...]:
    """Every charge that began meanwhile has what the answer says of it; those that are denied are to be stopped."""
    rows = await sql.rows(
        "SELECT s.id, s.installation_id, s.charger_id, s.user_id, s.flags FROM charge_sessions s"
        " WHERE s.state = $2 AND s.id IN (SELECT a.session_id FROM authorization_attempts a WHERE a.request_id = $1)"
        " ORDER BY s.id",
        request.id,
        SessionState.ACTIVE,
    )
    ids = [sql.uuid_of(row["id"]) for row in rows]
    if given.decision is not AuthorizationDecision.ACCEPTED:
        await sql.execute_many(_DENY, [(one, StopReason.DEAUTHORIZED) for one in ids])
    else:
        degraded = int(SessionFlag.AUTHORIZATION_DEGRADED) if given.decided_by is Decider.FAIL_POLICY else 0
        person_id, name = (None, None) if person is None else (person.id, person.name)
        await sql.execute_many(
            _PERMIT,
            [
                (session_id, now, int(row["flags"]) | degraded, given.external_session_id, person_id, name)
                for session_id, row in zip(ids, rows, strict=True)
            ],
        )
    return tuple(
        SessionChanged(
            installation_id=sql.uuid_of(row["installation_id"]),
            charger_id=sql.uuid_of(row["charger_id"]),
            session_id=session_id,
            user_id=sql.optional_uuid_of(row["user_id"]) or (person.id if person else None),
            change="UPDATED",
        )
        for session_id, row in zip(ids, rows, strict=True)
    )


_DENY = "UPDATE charge_sessions SET stop_reason = $2 WHERE id = $1"
_PERMIT = """
UPDATE charge_sessions SET authorized_at = $2, flags = $3, external_id = COALESCE($4, external_id),
  user_name = CASE WHEN user_id IS NULL THEN $6 ELSE user_name END, user_id = COALESCE(user_id, $5) WHERE id = $1
"""


async def forget(*, before: datetime, now: datetime) -> int:
    """How many questions from before then were removed, but for those whose answers still serve."""
    return await sql.execute(
        "DELETE FROM authorization_requests WHERE requested_at < $1 AND (cache_until IS NULL OR cache_until <= $2)",
        before,
        now,
    )


async def forget_attempts(*, before: datetime) -> int:
    """How many attempts to charge from before then were removed."""
    return await sql.execute("DELETE FROM authorization_attempts WHERE at < $1", before)
